"""What the extension offers, and its twins in Python for where it is not built.

The extension is built with the package where there is a compiler, and so are the modules that have
a ``.pxd`` file beside them; ``DIPTYCH_PURE_PYTHON=1`` does without all of them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from ctypes import c_void_p, cast
from functools import cache, partial
from importlib import import_module
from typing import Any

import numpy as np

try:
    speedups: Any = import_module(".speedups", __package__)
except ImportError:
    speedups = None


def is_compiled() -> bool:
    """Whether the hot paths of eager code run as compiled code.

    Examples
    --------
    >>> dt.is_compiled() in (True, False)
    True
    """
    return speedups is not None


class _Local(threading.local):
    """Called, it gives this thread's object, which a factory makes once."""

    def __init__(self, factory: Callable[[], Any]) -> None:
        self._object = factory()  # runs again on each thread

    def __call__(self) -> Any:
        return self._object


class _Table:
    """No table: `Op.bind` has one for shapes and dtypes that are Python objects already."""

    def __call__(self, operands: list[Any], attrs: tuple[Any, ...]) -> None:
        return None

    def add(self, operands: list[Any], attrs: tuple[Any, ...], found: Any) -> None:
        return None


def _quiet(ufunc: Any, *arrays: Any, out: Any = None) -> Any:
    with np.errstate(all="ignore"):
        result = ufunc(*arrays, out=out, order="C")
    return result if type(result) is np.ndarray else np.asarray(result)  # of 0-d arrays it is none


def universal(ufunc: np.ufunc) -> Callable[..., Any]:
    """A ufunc of NumPy as a kernel: without warnings, its result C-contiguous."""
    quiet = partial(_quiet, ufunc)
    if speedups is None:
        return quiet
    kind = speedups.Product if ufunc is np.matmul else speedups.Loop
    kernel: Callable[..., Any] = kind(ufunc, quiet)
    return kernel


@cache
def loop(ufunc: Any) -> Callable[..., Any]:
    """`universal`, for kernels to call; CuPy's ufuncs as they are."""
    return universal(ufunc) if isinstance(ufunc, np.ufunc) else ufunc


def over_blocks(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """The kernel with its large arrays in memory that is kept for the next ones."""
    if speedups is None or isinstance(kernel, speedups.Loop):  # which does so by itself
        return kernel
    return speedups.OverBlocks(kernel)


def are_plain(arrays: list[Any]) -> bool:
    """Whether each array is NumPy's, C-contiguous, aligned, writeable, and owns its memory."""
    if speedups is not None:
        return bool(speedups.are_plain(arrays))
    return all(type(a) is np.ndarray and a.flags.carray and a.flags.owndata for a in arrays)


def entry(function: Any, launch: int) -> Callable[[tuple[Any, ...]], int]:
    """A C function with its first argument, to be called with a tuple of arrays.

    Parameters
    ----------
    function : ctypes function
        From an address and the address of a tuple to an int; it takes and gives no references.
    launch : int
        The address that it is called with.
    """
    if speedups is None:
        return partial(function, launch)
    found: Callable[..., int] = speedups.Entry(cast(function, c_void_p).value, launch)
    return found


def as_compiled(kind: type, /, **fields: Any) -> None:
    """Let fields of a class begin as None, 0 or False, as compiled ones do by themselves."""
    if speedups is None:
        for name, value in fields.items():
            setattr(kind, name, value)


def reduces(ufunc: np.ufunc, x: np.ndarray, out: np.ndarray, sizes: tuple[int, ...]) -> bool:
    """Reduce a dense array into `out` on all threads, with the bits of ``ufunc.reduce``.

    Parameters
    ----------
    ufunc : numpy.ufunc
        ``add``, ``multiply``, ``maximum`` or ``minimum``.
    sizes : tuple of int
        The array seen as four axes, of which the second and the last are reduced.

    Returns
    -------
    bool
        Whether it is done: not for few numbers, and not for results of another dtype.
    """
    return speedups is not None and speedups.reduce(ufunc, x, out, sizes)


def adopt_operators(kind: type, base: type) -> None:
    """Let a class call the operators of its base without a search, where the base is compiled."""
    if speedups is not None:
        speedups.adopt_operators(kind, base)


def set_pool_threads(count: int) -> None:
    """Let large loops run on so many threads, where there is a pool of them."""
    if speedups is not None:
        speedups.set_pool_threads(count)


Local: Any = _Local if speedups is None else speedups.Local
Table: Any = _Table if speedups is None else speedups.Table
