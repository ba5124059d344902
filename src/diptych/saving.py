"""Saving and loading of weights and checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .graphs.errors import ArgumentError
from .graphs.files import MOST_BYTES, load_state, save_state


def save(path: Any, state: Mapping[str, Any]) -> None:
    """Write a state, such as a ``state_dict`` or a checkpoint, to a file.

    The file is a safetensors file that any reader of these opens, with digests by which `load`
    knows every damage; ``docs/format.md`` describes it. It takes its name when it is complete: an
    error or a crash leaves what was there before. Nothing in it is ever executed.

    Parameters
    ----------
    path : str or path
    state : dict
        From text to arrays, tensors, storages, parameters, numbers of Python and NumPy, text,
        None, dtypes, devices, and lists, tuples and dicts of them, nested at most 32 deep. An
        array keeps its dtype, shape and order of axes in memory.

    Raises
    ------
    DTypeError
        When the state is no dict, or holds something else. Nothing is written then.
    ArgumentError
        When names and structure take more than the 100 MB that readers bear.
    OSError
        When the file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
    >>> dt.save(path, {"weight": dt.tensor([1.0, 2.0]), "epoch": 3})
    >>> dt.load(path)
    {'weight': array([1., 2.], dtype=float32), 'epoch': 3}
    """
    save_state(path, state)


def load(path: Any, *, digest: str = "required", max_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """Read a state that `save` wrote, or the tensors of another program's safetensors file.

    Parameters
    ----------
    path : str or path
    digest : {"required", "optional"}
        "optional" takes files of other programs, too, in which damage to a number goes unseen.
    max_bytes : int
        Refuse a file whose tensors take more. A file is refused, too, that says more than it has.

    Returns
    -------
    dict
        What was saved, with NumPy arrays for arrays of any kind; of another program's file, its
        tensors by name. ``load_state_dict`` of modules and optimisers takes parts of it.

    Raises
    ------
    FileError
        When the file is damaged or is no such file; it names the file and, where damage has a
        place, the tensor. Nothing has been allocated for tensors that do not fit the file.
    ArgumentError
        When `digest` is none of the two.
    OSError
        When the file cannot be read.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
    >>> model = dt.nn.Linear(3, 2)
    >>> dt.save(path, {"model": model.state_dict(), "loss": [0.5, 0.25]})
    >>> state = dt.load(path)
    >>> _ = model.load_state_dict(state["model"])
    >>> state["loss"]
    [0.5, 0.25]
    """
    if digest not in ("required", "optional"):
        raise ArgumentError(f"load: digest must be 'required' or 'optional', got {digest!r}")
    return load_state(path, needs_digest=digest == "required", max_bytes=max_bytes)
