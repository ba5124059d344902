"""Positions and counts, by comparing every pair where one side has few elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...graphs.dims import Dim
from ...graphs.dtypes import BOOL, FLOAT64, INT64, UINT64, is_float
from ...graphs.ir import Value
from ...graphs.ops.elementwise import astype
from ...graphs.ops.logic import isnan, logical_and, logical_not, logical_or, where
from ...graphs.ops.manipulation import expand_dims, reshape
from ...graphs.ops.reductions import max as max_
from ...graphs.ops.reductions import min as min_
from ...graphs.ops.reductions import sum as sum_
from ...graphs.ops.sets import bincount_along

FEW = 512  # elements: a vector compares many at once, where a search waits for each step


def _position(reduction: Any, x: Value, axis: int | None, keepdims: bool) -> Any:
    """The least position of an extreme."""
    rank = len(x.shape)
    if isinstance(x.aval.size, Dim):
        return None
    if axis is None:
        found = _position(reduction, reshape(x, (-1,)), 0, False)
        return reshape(found, (1,) * rank) if keepdims else found
    if x.dtype == BOOL:
        x = astype(x, "uint8")
    count = x.shape[axis]
    stands = x == reduction(x, axis, keepdims=True)
    if is_float(x.dtype):  # the extreme is NaN where there is one, and nothing equals it
        stands = logical_or(stands, isnan(x))
    along = np.arange(count).reshape([-1 if a == axis else 1 for a in range(rank)])
    return min_(where(stands, along, count), axis, keepdims)


def argmax(x: Value, *, axis: int | None, keepdims: bool) -> Any:
    return _position(max_, x, axis, keepdims)


def argmin(x: Value, *, axis: int | None, keepdims: bool) -> Any:
    return _position(min_, x, axis, keepdims)


def _is_few(x: Value) -> bool:
    return not isinstance(x.aval.size, Dim) and 0 < x.aval.size <= FEW


def isin(x1: Value, x2: Value, *, invert: bool) -> Any:
    if not _is_few(x2):
        return None
    alike = expand_dims(x1, -1) == reshape(x2, (-1,))
    found = astype(max_(astype(alike, "uint8"), -1), BOOL)
    return logical_not(found) if invert else found


def searchsorted(x1: Value, x2: Value, *, side: str) -> Any:
    """How many elements stand before, in an order in which NaN is the last."""
    if not _is_few(x1):
        return None
    sought = expand_dims(x2, -1)
    before = x1 < sought if side == "left" else x1 <= sought
    if is_float(x1.dtype):
        last = (
            isnan(sought) if side == "right" else logical_and(isnan(sought), logical_not(isnan(x1)))
        )
        before = logical_or(before, last)
    return sum_(astype(before, INT64), -1)


def bincount(x: Value, weights: Value, *, length: int) -> Any:
    """Floats are added up in float64, integers and bools as ones of 64 bits."""
    dtype = weights.dtype
    wide = FLOAT64 if is_float(dtype) else UINT64 if dtype.kind == "u" else INT64
    if dtype == wide:
        return None
    found = bincount_along(x, astype(weights, wide), length)
    return astype(found, dtype) if is_float(dtype) else found


SEARCHING = {rule.__name__: rule for rule in (argmax, argmin, bincount, isin, searchsorted)}
