"""Kernels that carry something along an axis.

Sums and products of 16-bit floats are carried in float32; each result is rounded once.
"""

from __future__ import annotations

from typing import Any

from .precision import rounded_once
from .reductions import accumulator


def cumulative_sum(
    xp: Any, x: Any, *, axis: int, dtype: Any, include_initial: bool, out: Any = None
) -> Any:
    return _cumulative(xp, xp.cumsum, 0, x, axis, dtype, include_initial, out)


def cumulative_prod(
    xp: Any, x: Any, *, axis: int, dtype: Any, include_initial: bool, out: Any = None
) -> Any:
    return _cumulative(xp, xp.cumprod, 1, x, axis, dtype, include_initial, out)


def _cumulative(
    xp: Any, function: Any, initial: int, x: Any, axis: int, dtype: Any, include_initial: bool,
    out: Any,
) -> Any:  # fmt: skip
    wide = accumulator(dtype)
    shape = (*x.shape[:axis], x.shape[axis] + include_initial, *x.shape[axis + 1 :])
    found = out if out is not None and wide == dtype else xp.empty(shape, wide)
    rows = xp.moveaxis(found, axis, 0)
    if include_initial:
        rows[0] = initial
    function(x, axis=axis, dtype=wide, out=xp.moveaxis(rows[include_initial:], 0, axis))
    if wide == dtype:
        return found
    if out is None:
        return found.astype(dtype)
    xp.copyto(out, found, casting="same_kind")
    return out


@rounded_once
def linear_recurrence(xp: Any, a: Any, b: Any, *, axis: int, out: Any = None) -> Any:
    """By doubling: after k rounds, each element has taken in the 2**k - 1 before it."""
    if out is None:
        out = xp.empty(b.shape, b.dtype)
    factors = xp.moveaxis(a, axis, 0).copy(order="C")
    xp.copyto(out, b)
    rows = xp.moveaxis(out, axis, 0)
    reach, size = 1, len(rows)
    while reach < size:
        rows[reach:] += factors[reach:] * rows[:-reach]
        factors[reach:] = factors[reach:] * factors[:-reach]
        reach *= 2
    return out
