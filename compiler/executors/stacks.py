"""The stacks of an instance: memory that grows while steps run, and is kept between them."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..native.buffers import Stack
from ..native.layout import Layout
from ..native.library import library


class _Head(ctypes.Structure):
    """`dt_stack` in C."""

    _fields_ = [
        ("count", ctypes.c_int64),
        ("entries", ctypes.c_void_p),
        ("bytes", ctypes.c_int64),
    ]


class Stacks:
    """Some stacks, empty at first. Their memory goes with them.

    Parameters
    ----------
    stacks : sequence of Stack
    """

    def __init__(self, stacks: Sequence[Stack]) -> None:
        heads = (_Head * len(stacks))()
        self._heads = dict(zip(stacks, heads))
        if stacks:
            weakref.finalize(self, _release, heads)

    @property
    def nbytes(self) -> int:
        return sum(head.bytes for head in self._heads.values())

    def address(self, stack: Stack) -> int:
        """Of a stack's head."""
        return ctypes.addressof(self._heads[stack])

    def hold(self, stack: Stack, count: int) -> None:
        """Let a stack have so many entries.

        Raises
        ------
        MemoryError
        """
        head = self._heads[stack]
        sizes = ctypes.c_int64(count), ctypes.c_int64(stack.nbytes)
        if not library().dt_grow(ctypes.byref(head), *sizes):
            raise MemoryError(f"native: {count} entries of {stack.nbytes} bytes need memory")

    def show(self, stack: Stack, array: np.ndarray) -> None:
        """Let a stack have the entries of an array without gaps, as long as that is there."""
        head = self._heads[stack]
        head.count, head.entries = len(array), array.ctypes.data

    def array(self, stack: Stack, layout: Layout) -> np.ndarray:
        """All entries of a value that lies on a stack."""
        head = self._heads[stack]
        shape = (head.count, *layout.shape[1:])
        if not head.count * stack.nbytes:
            return np.empty(shape, layout.dtype)
        size = layout.dtype.itemsize
        memory = (ctypes.c_ubyte * (head.count * stack.nbytes)).from_address(head.entries)
        strides = tuple(s * size for s in layout.strides)
        return np.ndarray(shape, layout.dtype, memory, layout.offset * size, strides)


def _release(heads: Any) -> None:
    for head in heads:
        library().dt_release(ctypes.byref(head))
