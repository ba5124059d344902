"""Which memory arrays show, and how much of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def shares(result: Any, read: Any) -> bool:
    """Whether a kernel's result is a view of what it read, or the very array."""
    return owner(result) is owner(read)


def shares_memory(a: Any, b: Any) -> bool:
    """Whether two arrays may lie in the same memory; by address ranges, so never wrongly no."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.may_share_memory(a, b)
    return owner(a) is owner(b)


def owner(array: Any) -> Any:
    """The array whose memory this one shows, through any views; itself if it is no view.

    It need not own the memory: an array over a buffer is its own owner here.
    """
    while isinstance(array.base, type(array)):
        array = array.base
    return array


def touched_bytes(array: Any) -> int:
    """Bytes of distinct elements: a broadcast operand is read once."""
    distinct = [n for n, stride in zip(array.shape, array.strides) if stride != 0 or n == 0]
    return math.prod(distinct) * array.itemsize
