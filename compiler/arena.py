"""The arena: where in one piece of memory each buffer lies.

Offsets are found greedily, largest buffer first (Pisarchyk and Lee, Efficient Memory Management
for Deep Neural Net Inference, 2020).
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

ALIGNMENT = 64  # bytes: a cache line, and the widest vector register


def lay_out(buffers: Sequence[Any]) -> tuple[int, int]:
    """Give each buffer its offset in one arena: greedily, the largest first.

    Parameters
    ----------
    buffers : sequence
        With ``nbytes``, ``start`` and ``end``; ``offset`` is written.

    Returns
    -------
    arena_bytes, bound_bytes : int
        The size of the arena, and the liveness lower bound that no plan can beat.
    """
    placed: list[Any] = []
    arena_bytes = 0
    for buffer in sorted(buffers, key=lambda b: -b.nbytes):
        offset = 0
        for other in placed:  # by offset
            if other.end < buffer.start or buffer.end < other.start:
                continue
            if offset + buffer.nbytes <= other.offset:
                break
            offset = max(offset, aligned(other.offset + other.nbytes))
        buffer.offset = offset
        insort(placed, buffer, key=lambda b: b.offset)
        arena_bytes = max(arena_bytes, offset + buffer.nbytes)
    changes: dict[int, int] = defaultdict(int)
    for buffer in buffers:
        changes[buffer.start] += buffer.nbytes
        changes[buffer.end + 1] -= buffer.nbytes
    live = accumulate(changes[step] for step in sorted(changes))
    return arena_bytes, max(live, default=0)


def aligned(nbytes: int) -> int:
    """The least multiple of the alignment that holds so many bytes."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def aligned_bytes(nbytes: int) -> np.ndarray:
    """Memory for an arena."""
    raw = np.empty(nbytes + ALIGNMENT, np.uint8)
    shift = -raw.ctypes.data % ALIGNMENT
    return raw[shift : shift + nbytes]
