"""Kernels that resample images to another size, axis by axis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .precision import rounded_once

Sizes = tuple[int, ...]
# Which numbers of an axis each result reads, and how much of each; None for all of it.
Reads = list[tuple[Any, Any]]


@rounded_once
def interpolate(
    xp: Any, x: Any, *, size: Sizes, scale_factor: Any, mode: str, align_corners: bool,
    out: Any = None,
) -> Any:  # fmt: skip
    for axis, length, n, scale in axes_of(x.shape, size, scale_factor):
        reads = reads_of(length, n, scale, mode, align_corners)
        x = _gathered(xp, x, reads, axis)
    if out is None:
        return xp.ascontiguousarray(x)
    xp.copyto(out, x)
    return out


@rounded_once
def interpolate_grad(
    xp: Any, g: Any, *, size: Sizes, scale_factor: Any, mode: str, align_corners: bool,
    out: Any = None,
) -> Any:  # fmt: skip
    for axis, n, length, scale in axes_of(g.shape, size, scale_factor):
        reads = reads_of(length, n, scale, mode, align_corners)
        g = _scattered(xp, g, reads, axis, length)
    if out is None:
        return xp.ascontiguousarray(g)
    xp.copyto(out, g)
    return out


def axes_of(shape: Sizes, size: Sizes, scale_factor: Any) -> Iterator[tuple[int, int, int, Any]]:
    """The spatial axes, how long they are and become, and their factors."""
    first = len(shape) - len(size)
    return zip(range(first, len(shape)), shape[first:], size, scale_factor)


def reads_of(length: int, n: int, scale: float | None, mode: str, align_corners: bool) -> Reads:
    """Indices into an axis of `length` for each of `n` results, and their weights."""
    at = np.arange(n)
    if mode == "nearest":
        whole = at * length // n if scale is None else np.floor(at / scale).astype(np.int64)
        return [(np.minimum(whole, length - 1), None)]
    if align_corners:
        place = at * ((length - 1) / max(n - 1, 1))
    else:
        place = np.maximum((at + 0.5) * (length / n if scale is None else 1 / scale) - 0.5, 0)
    low = np.minimum(place.astype(np.int64), length - 1)
    part = np.minimum(place - low, 1)
    return [(low, 1 - part), (np.minimum(low + 1, length - 1), part)]


def _gathered(xp: Any, x: Any, reads: Reads, axis: int) -> Any:
    total: Any = None
    for indices, weights in reads:
        part = xp.take(x, xp.asarray(indices), axis=axis)
        if weights is not None:
            part *= _along(xp, weights, part, axis)
        total = part if total is None else xp.add(total, part, out=total)
    return total


def _scattered(xp: Any, g: Any, reads: Reads, axis: int, length: int) -> Any:
    shape = (*g.shape[:axis], length, *g.shape[axis + 1 :])
    total = xp.zeros(shape, g.dtype)
    for indices, weights in reads:
        part = g if weights is None else g * _along(xp, weights, g, axis)
        # Indices never fall, so results that read the same number stand together.
        reached, first = np.unique(indices, return_index=True)
        sums = xp.add.reduceat(part, xp.asarray(first), axis=axis)
        total[(*[slice(None)] * axis, xp.asarray(reached))] += sums
    return total


def _along(xp: Any, weights: Any, x: Any, axis: int) -> Any:
    shape = [1] * x.ndim
    shape[axis] = -1
    return xp.asarray(weights, x.dtype).reshape(shape)
