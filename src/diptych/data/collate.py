"""From samples to a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..graphs.avals import show
from ..graphs.devices import device_of
from ..graphs.errors import DTypeError, ShapeError
from ..graphs.ops.plain import array_of
from ..graphs.trees import flatten, unflatten


def default_collate(samples: Sequence[Any]) -> Any:
    """Stack samples along a new first axis.

    Parameters
    ----------
    samples : sequence
        Of arrays, Tensors, numbers or text, or of tuples, named tuples, lists and dicts of them;
        all of one structure, shape and dtype. One at least.

    Returns
    -------
    array, or the containers of a sample with arrays
        Python floats give float32, text gives a list.

    Raises
    ------
    ShapeError
        When structures or shapes differ.
    DTypeError
        When dtypes differ, or something cannot be stacked.

    Examples
    --------
    >>> default_collate([{"x": np.zeros(2), "name": "a"}, {"x": np.ones(2), "name": "b"}])
    {'x': array([[0., 0.],
           [1., 1.]]), 'name': ['a', 'b']}
    """
    columns, structure = _columns("default_collate", samples)
    return unflatten(structure, [_joined("default_collate", c) for c in columns])


def pad_collate(samples: Sequence[Any], padding: float = 0) -> tuple[Any, np.ndarray]:
    """Stack samples of varying length, and say how long each was.

    Arrays whose sizes differ are padded at the end of each axis to the largest. For another padding
    use ``functools.partial(pad_collate, padding=-1)``, which worker processes take, too.

    Parameters
    ----------
    samples : sequence
        As `default_collate` takes them, but that shapes may differ. The first array of a sample is
        the sequence that is measured.
    padding : number

    Returns
    -------
    batch : array, or the containers of a sample with arrays
    lengths : array, shape (number of samples,), int64
        Sizes of the first axis of each sample's first array.

    Raises
    ------
    ShapeError
        When structures or numbers of axes differ, or the first array has no axis.
    DTypeError
        When dtypes differ, or something cannot be stacked.

    Examples
    --------
    >>> batch, lengths = pad_collate([np.array([1, 2, 3]), np.array([4])])
    >>> batch, lengths
    (array([[1, 2, 3],
           [4, 0, 0]]), array([3, 1]))
    """
    columns, structure = _columns("pad_collate", samples)
    batch = unflatten(structure, [_joined("pad_collate", c, padding) for c in columns])
    shapes: list[Any] = [getattr(x, "shape", ()) for x in columns[0]] if columns else []
    if not shapes or () in shapes:
        raise ShapeError("pad_collate: a sample must begin with an array of an axis, got none")
    return batch, np.array([shape[0] for shape in shapes], np.int64)


def _columns(where: str, samples: Sequence[Any]) -> tuple[list[list[Any]], Any]:
    """What stands at the same place in every sample, place by place, and the common structure."""
    if not len(samples):
        raise ShapeError(f"{where}: one sample at least is needed, got none")
    rows, structures = zip(*map(flatten, samples))
    for structure in structures[1:]:
        if structure != structures[0]:
            raise ShapeError(
                f"{where}: samples must be of one structure, got {_described(samples[0])} and "
                f"{_described(samples[structures.index(structure)])}"
            )
    return [list(column) for column in zip(*rows)], structures[0]


def _described(sample: Any) -> str:
    if isinstance(sample, dict):
        return f"a dict of {list(sample)}"
    if isinstance(sample, tuple | list):
        return f"a {type(sample).__name__} of {len(sample)}"
    return f"one {type(sample).__name__}"


def _joined(where: str, column: list[Any], padding: float | None = None) -> Any:
    """One array of what stands at one place in every sample, padded where that is allowed."""
    leaves = [getattr(leaf, "array", leaf) for leaf in column]
    if all(isinstance(x, str) for x in leaves) or all(isinstance(x, bytes) for x in leaves):
        return leaves
    if all(map(is_array, leaves)):
        _check_arrays(where, leaves, padding is not None)
        return _stacked(leaves) if padding is None else _padded(leaves, padding)
    if all(isinstance(x, bool | int | float) for x in leaves):
        return array_of(leaves, where)
    kinds = " and ".join(sorted({type(x).__name__ for x in leaves}))
    raise DTypeError(
        f"{where}: samples must be arrays, numbers or text, in tuples, lists and dicts, got "
        f"{kinds}; a collate_fn of your own takes anything"
    )


def _check_arrays(where: str, arrays: list[Any], may_pad: bool) -> None:
    """Raises unless arrays can be stacked, after padding if that is allowed."""
    dtypes = sorted({str(x.dtype) for x in arrays})
    if len(dtypes) > 1:
        raise DTypeError(f"{where}: samples must have one dtype, got {' and '.join(dtypes)}")
    shapes = sorted({x.shape for x in arrays})
    if len({len(shape) for shape in shapes}) > 1 or (len(shapes) > 1 and not may_pad):
        rule = "one number of axes" if may_pad else "one shape"
        shown = " and ".join(map(show, shapes))
        raise ShapeError(f"{where}: samples must have {rule}, got {shown}")


def is_array(leaf: Any) -> bool:
    """Whether something is a NumPy or CuPy array, or a NumPy scalar."""
    return isinstance(leaf, np.ndarray | np.generic) or hasattr(leaf, "__cuda_array_interface__")


def _stacked(arrays: list[Any]) -> Any:
    return device_of(arrays[0]).xp.stack(arrays)


def _padded(arrays: list[Any], padding: float) -> Any:
    sizes = tuple(map(max, zip(*(x.shape for x in arrays))))
    first = arrays[0]
    batch = device_of(first).xp.full((len(arrays), *sizes), padding, first.dtype)
    for row, array in zip(batch, arrays):
        row[tuple(map(slice, array.shape))] = array
    return batch
