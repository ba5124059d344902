"""Reductions of any real dtype, in those that loops know: of one dtype, over what has elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...graphs.dims import Shape
from ...graphs.dtypes import BOOL, INT64, is_complex, is_float
from ...graphs.ir import Value
from ...graphs.kernels.reductions import accumulator
from ...graphs.ops import dispatch
from ...graphs.ops.cumulative import cumulative_prod as cumulative_prod_
from ...graphs.ops.cumulative import cumulative_sum as cumulative_sum_
from ...graphs.ops.elementwise import astype
from ...graphs.ops.logic import not_equal
from ...graphs.ops.manipulation import broadcast_to
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
    wide = accumulator(dtype)
    if x.dtype != dtype or wide != dtype:
        return astype(reduction(astype(x, wide), axis, keepdims, wide), dtype)
    if not axis:
        return x
    if _is_empty(x, axis):
        return filled(reduced(x.shape, axis, keepdims), start, dtype)
    return None


def sum(x: Value, *, axis: Axes, keepdims: bool, dtype: np.dtype) -> Any:
    return _accumulated(sum_, 0, x, axis, keepdims, dtype)


def prod(x: Value, *, axis: Axes, keepdims: bool, dtype: np.dtype) -> Any:
    return _accumulated(prod_, 1, x, axis, keepdims, dtype)


def _carried(function: Any, x: Value, axis: int, dtype: np.dtype, include_initial: bool) -> Any:
    if is_complex(dtype):
        return None
    wide = accumulator(dtype) if is_float(dtype) else INT64  # shorter integers wrap around alike
    if x.dtype == dtype == wide:
        return None
    found = function(astype(x, wide), axis, dtype=wide, include_initial=include_initial)
    return astype(found, dtype)


def cumulative_sum(x: Value, *, axis: int, dtype: np.dtype, include_initial: bool) -> Any:
    return _carried(cumulative_sum_, x, axis, dtype, include_initial)


def cumulative_prod(x: Value, *, axis: int, dtype: np.dtype, include_initial: bool) -> Any:
    return _carried(cumulative_prod_, x, axis, dtype, include_initial)


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


REDUCTIONS = {
    rule.__name__: rule
    for rule in (
        all, any, count_nonzero, cumulative_prod, cumulative_sum, max, min, prod, sum, sum_to,
        vecdot,
    )
}  # fmt: skip
