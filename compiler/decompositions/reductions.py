"""Reductions of any real dtype, in those that loops know: of one dtype, over axes of some length.

The position of an extreme is the least one where it stands.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...graphs.dims import Dim, Shape
from ...graphs.dtypes import BOOL, INT64, is_float
from ...graphs.ir import Value
from ...graphs.ops import dispatch
from ...graphs.ops.elementwise import astype
from ...graphs.ops.logic import logical_or, not_equal, where
from ...graphs.ops.manipulation import broadcast_to, reshape
from ...graphs.ops.reducing import reduced
from ...graphs.ops.reductions import max as max_
from ...graphs.ops.reductions import min as min_
from ...graphs.ops.reductions import prod as prod_
from ...graphs.ops.reductions import sum as sum_

Axes = tuple[int, ...]


def filled(shape: Shape, number: Any, dtype: np.dtype) -> Any:
    """One number, seen as an array."""
    return broadcast_to(dispatch.current().constant(np.asarray(number, dtype)), shape)


def _is_empty(x: Value, axes: Axes) -> bool:
    """Whether it is known that there is nothing to reduce."""
    return 0 in [x.shape[a] for a in axes]


def _accumulated(
    reduction: Any, start: int, x: Value, axis: Axes, keepdims: bool, dtype: np.dtype
) -> Any:
    if x.dtype != dtype:
        return reduction(astype(x, dtype), axis, keepdims, dtype)
    if not axis:
        return x
    if _is_empty(x, axis):
        return filled(reduced(x.shape, axis, keepdims), start, dtype)
    return None


def sum(x: Value, *, axis: Axes, keepdims: bool, dtype: np.dtype) -> Any:
    return _accumulated(sum_, 0, x, axis, keepdims, dtype)


def prod(x: Value, *, axis: Axes, keepdims: bool, dtype: np.dtype) -> Any:
    return _accumulated(prod_, 1, x, axis, keepdims, dtype)


def sum_to(x: Value, *, shape: Shape) -> Any:
    return filled(shape, 0, x.dtype) if 0 in x.shape and 0 not in shape else None


def _extreme(reduction: Any, x: Value, axis: Axes, keepdims: bool) -> Any:
    if not axis:
        return x
    if x.dtype == BOOL:
        return astype(reduction(astype(x, "uint8"), axis, keepdims), BOOL)
    return None


def max(x: Value, *, axis: Axes, keepdims: bool) -> Any:
    return _extreme(max_, x, axis, keepdims)


def min(x: Value, *, axis: Axes, keepdims: bool) -> Any:
    return _extreme(min_, x, axis, keepdims)


def _quantified(reduction: Any, start: bool, x: Value, axis: Axes, keepdims: bool) -> Any:
    holds = not_equal(x, 0) if x.dtype != BOOL else x
    if not axis:
        return holds
    if _is_empty(x, axis):
        return filled(reduced(x.shape, axis, keepdims), start, BOOL)
    return astype(reduction(astype(holds, "uint8"), axis, keepdims), BOOL)


def all(x: Value, *, axis: Axes, keepdims: bool) -> Any:
    return _quantified(min_, True, x, axis, keepdims)


def any(x: Value, *, axis: Axes, keepdims: bool) -> Any:
    return _quantified(max_, False, x, axis, keepdims)


def count_nonzero(x: Value, *, axis: Axes, keepdims: bool) -> Any:
    holds = not_equal(x, 0) if x.dtype != BOOL else x
    return sum_(astype(holds, INT64), axis, keepdims)


def vecdot(x: Value, y: Value, *, axis: int) -> Any:
    return sum_(x * y, axis, dtype=x.dtype)


def _position(reduction: Any, x: Value, axis: int | None, keepdims: bool) -> Any:
    rank = len(x.shape)
    if isinstance(x.aval.size, Dim):
        return None
    if axis is None:
        found = _position(reduction, reshape(x, (-1,)), 0, False)
        return reshape(found, (1,) * rank) if keepdims else found
    if x.dtype == BOOL:
        x = astype(x, "uint8")
    count = x.shape[axis]
    extreme = reduction(x, axis, keepdims=True)
    stands = x == extreme
    if is_float(x.dtype):  # the extreme is NaN where there is one, and nothing equals it
        stands = logical_or(stands, x != x)
    along = np.arange(count).reshape([-1 if a == axis else 1 for a in range(rank)])
    return min_(where(stands, along, count), axis, keepdims)


def argmax(x: Value, *, axis: int | None, keepdims: bool) -> Any:
    return _position(max_, x, axis, keepdims)


def argmin(x: Value, *, axis: int | None, keepdims: bool) -> Any:
    return _position(min_, x, axis, keepdims)


REDUCTIONS = {
    rule.__name__: rule
    for rule in (
        all, any, argmax, argmin, count_nonzero, max, min, prod, sum, sum_to, vecdot,
    )
}  # fmt: skip
