"""The arena: where in one piece of memory each buffer lies.

Offsets are found greedily, largest buffer first (Pisarchyk and Lee, Efficient Memory Management
for Deep Neural Net Inference, 2020); where that leaves gaps, other orders are tried as well.
"""

from __future__ import annotations

import math
import random
from bisect import insort
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from ..graphs.kernels.shapes.structs import LINE, aligned

CLOSE = 1.02  # times the bound: not worth a further try
FEW, TRIES = 64, 100  # so few buffers are tried in so many more orders

Taken = tuple[int, int, int, int]  # from and to where, from and to when

# In which orders buffers may be placed; the first is best most of the time.
_ORDERS = (
    lambda b: -b.nbytes,
    lambda b: -b.nbytes * (b.end - b.start + 1),
    lambda b: (b.start - b.end, -b.nbytes),
    lambda b: (b.start, -b.nbytes),
)


def lay_out(buffers: Sequence[Any]) -> tuple[int, int]:
    """Give each buffer its offset in one arena.

    Parameters
    ----------
    buffers : sequence
        With ``nbytes``, and the positions ``start`` and ``end`` between which they are in use;
        ``offset`` is written, in bytes.

    Returns
    -------
    arena_bytes, bound_bytes : int
        The size of the arena, and the liveness lower bound that no plan can beat.
    """
    changes: dict[int, int] = defaultdict(int)
    for buffer in buffers:
        changes[buffer.start] += buffer.nbytes
        changes[buffer.end + 1] -= buffer.nbytes
    bound = max(accumulate(changes[step] for step in sorted(changes)), default=0)
    best, offsets = 0, None
    for order in _orders(buffers):
        size = _place(order)
        if offsets is None or size < best:
            best, offsets = size, [buffer.offset for buffer in buffers]
        if best <= CLOSE * bound:
            break
    for buffer, offset in zip(buffers, offsets or ()):
        buffer.offset = offset
    return best, bound


def _orders(buffers: Sequence[Any]) -> Iterator[list[Any]]:
    """Orders to try; the first ones are best most of the time."""
    for key in _ORDERS:
        yield sorted(buffers, key=key)
    if len(buffers) <= FEW:
        chance = random.Random(0)
        by_size = sorted(buffers, key=_ORDERS[0])
        for _ in range(TRIES):  # large buffers stay about where they are in the order
            places = [i + chance.gauss(0, 3) for i in range(len(by_size))]
            yield [b for _, b in sorted(zip(places, by_size), key=lambda pair: pair[0])]


def _place(buffers: Sequence[Any]) -> int:
    """Put each buffer, in turn, at the lowest place that is free while it lives."""
    placed: list[Taken] = []
    return max((put(buffer, placed) for buffer in buffers), default=0)


def put(buffer: Any, placed: list[Taken], room: float = math.inf) -> int:
    """Put a buffer at the lowest place that is free while it lives.

    Parameters
    ----------
    buffer : object
        As for `lay_out`.
    placed : list of Taken
        What is taken, in order; this place joins it.
    room : int
        How many bytes there are.

    Returns
    -------
    int
        Where it ends; 0 where there is no room for it, and nothing is written then.
    """
    nbytes, start, end = buffer.nbytes, buffer.start, buffer.end
    offset = 0
    for low, high, first, last in placed:
        if last < start or end < first:
            continue
        if offset + nbytes <= low:
            break
        if high > offset:
            offset = high
    if offset + nbytes > room:
        return 0
    buffer.offset = offset
    insort(placed, (offset, aligned(offset + nbytes), start, end))
    return offset + nbytes


def aligned_bytes(nbytes: int) -> np.ndarray:
    """Memory for an arena."""
    if not nbytes:
        return np.empty(0, np.uint8)
    raw = np.empty(nbytes + LINE, np.uint8)
    shift = -raw.ctypes.data % LINE
    return raw[shift : shift + nbytes]
