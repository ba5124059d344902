"""Calls of the library of native kernels on NumPy arrays.

A kernel describes its operands, where they lie and what is computed of them; what follows from that
is kept, so that a further call on arrays that lie alike does little in Python. Where there is no
library, or it cannot read an operand as it lies, the kernel does its work with NumPy.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..compiled import speedups
from ..dtypes import FLOAT32, FLOAT64
from ..threads import get_num_threads
from .library import library
from .shapes.dense import dense
from .shapes.structs import LINE, Struct, aligned

_TYPES = {FLOAT32: "float", FLOAT64: "double"}

# Below so many seconds of work, by the roofline, waking other threads costs more than it brings.
_WORTH_THREADS = 20e-6
_FLOP_PER_SECOND, _BYTES_PER_SECOND = 60e9, 20e9

# Numbers below which NumPy is done before a call has begun, where it has little to do.
FEW = 4096

# What a function such as exp takes, with what is around it.
FUNCTION_FLOP = 30

# Scratch memory that a thread keeps, in bytes, so that not every call waits for fresh pages.
_MOST_KEPT = 64 << 20


class Lying(NamedTuple):
    """Where the elements of an array lie; strides count elements."""

    dtype: np.dtype
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Description(NamedTuple):
    """What a kernel is called with.

    Attributes
    ----------
    step : str
        Its name, without the type.
    shape : Struct
    rooms : tuple of int
        Bytes of each piece of scratch memory.
    flop : int
        What there is to do.
    """

    step: str
    shape: Struct
    rooms: tuple[int, ...] = ()
    flop: int = 0


# From where operands and results lie, attributes, and a number of threads.
Describe = Callable[..., Description | None]


class _Prepared(NamedTuple):
    step: int
    threads: int
    shape: bytes
    rooms: tuple[int, ...]


def is_native(xp: Any, *arrays: Any) -> bool:
    """Whether the library is there for arrays of one type."""
    if xp is not np or _run is None:
        return False
    dtype = arrays[0].dtype
    return dtype in _TYPES and all(a.dtype == dtype for a in arrays)


def call(describe: Describe, arrays: tuple[Any, ...], *attrs: Any) -> bool:
    """Run a kernel of the library.

    Parameters
    ----------
    describe : callable
        ``describe(*lying, *attrs, threads)``, the same for all calls; None where the library cannot
        compute it.
    arrays : tuple of numpy.ndarray or None
        Operands and results, in the order of the step's pointers, the first of the type that it is
        for.
    *attrs
        Hashable.

    Returns
    -------
    bool
        False where nothing has run, or the data were refused.
    """
    lying = tuple([None if a is None else (a.dtype, a.shape, a.strides) for a in arrays])
    prepared = _prepared(describe, lying, attrs, get_num_threads())
    if prepared is None:
        return False
    rooms = _scratch(prepared.rooms) if prepared.rooms else ()
    return _run(prepared.step, prepared.threads, prepared.shape, *arrays, *rooms)


def are_few(x: Any) -> bool:
    """Whether an array or aval is too small for a call, where NumPy has little to do."""
    return bool(x.size < FEW)


def computes(xp: Any, step: str, x: Any, out: Any) -> bool:
    """Run a step that computes each number of `out` from the one at its place in x.

    Returns
    -------
    bool
        As `call`, and False where there are few numbers.
    """
    return not are_few(x) and is_native(xp, x, out) and call(_from_one, (x, out), step)


def _from_one(x: Lying, y: Lying, step: str, threads: int) -> Description | None:
    shape = dense(y, x)
    return None if shape is None else Description(step, shape, (), FUNCTION_FLOP * shape.count)


@lru_cache(maxsize=4096)
def _prepared(describe: Describe, lying: Any, attrs: Any, threads: int) -> _Prepared | None:
    operands = [None if each is None else _lying(*each) for each in lying]
    known = [each for each in operands if each is not None]
    if len(known) < sum(each is not None for each in lying):
        return None
    found = describe(*operands, *attrs, threads=threads)
    if found is not None and threads > 1 and _seconds(found, known) < _WORTH_THREADS:
        threads = 1
        found = describe(*operands, *attrs, threads=1)
    if found is None:
        return None
    kind = next(_TYPES[each.dtype] for each in known if each.dtype in _TYPES)
    step = getattr(library(), f"dt_step_{found.step}_{kind}")
    address = ctypes.cast(step, ctypes.c_void_p).value
    assert address is not None
    return _Prepared(address, threads, found.shape.packed(), tuple(map(aligned, found.rooms)))


def _lying(dtype: np.dtype, shape: tuple[int, ...], strides: tuple[int, ...]) -> Lying | None:
    size = dtype.itemsize
    if any(step % size for step in strides):
        return None
    return Lying(dtype, shape, tuple([step // size for step in strides]))


def _seconds(found: Description, operands: list[Lying]) -> float:
    moved = sum(int(np.prod(each.shape)) * each.dtype.itemsize for each in operands)
    return max(found.flop / _FLOP_PER_SECOND, moved / _BYTES_PER_SECOND)


class _Kept(threading.local):
    memory = np.empty(0, np.uint8)


_kept = _Kept()


def _scratch(rooms: tuple[int, ...]) -> list[Any]:
    """Pieces of scratch memory, each at the begin of a line."""
    total, at = sum(rooms), 0
    memory = _kept.memory
    if len(memory) < total:
        memory = np.empty(total + LINE, np.uint8)
        shift = -memory.ctypes.data % LINE
        memory = memory[shift : shift + total]
        if total <= _MOST_KEPT:
            _kept.memory = memory
    pieces = []
    for room in rooms:
        pieces.append(memory[at : at + room])
        at += room
    return pieces


_run: Any = None if speedups is None or library() is None else speedups.run
