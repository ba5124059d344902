"""Running one native kernel on NumPy arrays, with guards around its memory."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from diptych.compiler.native.buffers import Given
from diptych.compiler.native.layout import Layout
from diptych.compiler.native.library import library

GUARD = 4096
TYPES = {"float32": "float", "float64": "double"}


def each_type(text: str) -> str:
    """C code for both types in place of TYPE: the library looks for whole names in it."""
    return "".join(text.replace("TYPE", name) for name in TYPES.values())


def layout(array: np.ndarray) -> Layout:
    strides = tuple(step // array.itemsize for step in array.strides)
    return Layout(Given(array.nbytes), array.dtype, array.shape, strides)


def run(step: Any, operands: list[Any], scratch: int, threads: int, fill: int = 255) -> int:
    """Run a step on pointers to arrays, or None, and at last one to scratch memory.

    The memory begins as `fill` in every byte: 255 makes every number NaN. What lies around it has
    to stay as it was.
    """
    memory = np.full(scratch + 2 * GUARD + 64, fill, np.uint8)
    start = GUARD + -(memory.ctypes.data + GUARD) % 64
    around = np.r_[0:start, start + scratch : len(memory)]
    memory[around] = 77
    addresses = [None if each is None else each.ctypes.data for each in operands]
    pointers = (ctypes.c_void_p * (len(operands) + 1))(*addresses, memory.ctypes.data + start)
    failed = library().dt_run(step, pointers, threads)
    assert (memory[around] == 77).all()
    return int(failed)


class Result:
    """Memory for a result with gaps between its numbers, which have to stay as they were."""

    UNUSED = -54321

    def __init__(self, shape: tuple[int, ...], dtype: Any, order: tuple[int, ...], gap: int = 1):
        wide = [shape[axis] for axis in order]
        wide[-1] += gap
        self.memory = np.full(wide, self.UNUSED, dtype)
        self.view = self.memory[..., : shape[order[-1]]].transpose(np.argsort(order))
        self.gap = self.memory[..., shape[order[-1]] :]

    def checked(self) -> np.ndarray:
        assert (self.gap == self.UNUSED).all()
        return self.view
