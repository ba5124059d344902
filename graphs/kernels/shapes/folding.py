"""Axes that follow each other in memory, folded into one: kernels know a few axes, tensors many."""

from __future__ import annotations

from collections.abc import Sequence

Strides = tuple[int, ...]


def folded(
    sizes: Sequence[int], strides: Sequence[Sequence[int]], axes: int
) -> tuple[Strides, list[Strides]] | None:
    """The same elements along so many axes.

    Parameters
    ----------
    sizes : sequence of int
    strides : sequence of sequences of int
        Of each tensor, along all these axes.
    axes : int
        How many there may be. Fewer are filled up in front with axes of size 1.

    Returns
    -------
    (sizes, strides) or None
        None where some tensor has its elements too far apart.

    Examples
    --------
    >>> folded((4, 2, 3), [(6, 3, 1), (0, 0, 0)], axes=2)
    ((1, 24), [(0, 1), (0, 0)])
    >>> folded((4, 2, 3), [(12, 3, 1)], axes=2)
    ((4, 6), [(12, 1)])
    """
    if 0 in sizes:
        return (0,) * axes, [(0,) * axes for _ in strides]
    kept: list[tuple[int, Strides]] = []
    for size, *steps in zip(sizes, *strides, strict=True):
        if size == 1:
            continue
        if kept and all(outer == step * size for outer, step in zip(kept[-1][1], steps)):
            kept[-1] = (kept[-1][0] * size, tuple(steps))
        else:
            kept.append((size, tuple(steps)))
    if len(kept) > axes:
        return None
    kept = [(1, (0,) * len(strides))] * (axes - len(kept)) + kept
    return tuple(size for size, _ in kept), [tuple(axis) for axis in zip(*(s for _, s in kept))]
