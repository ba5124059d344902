"""Kernels of sets and counts. NaN equals nothing, so each NaN is an element of its own."""

from __future__ import annotations

import math
from typing import Any

from ..dtypes import INT64, UINT64, is_float, is_integer
from .manipulation import check_range


def unique_values(xp: Any, x: Any) -> Any:
    return xp.unique(x.reshape(-1), equal_nan=False)


def unique_counts(xp: Any, x: Any) -> tuple[Any, Any]:
    values, counts = xp.unique(x.reshape(-1), return_counts=True, equal_nan=False)
    return values, _int64(xp, counts)


def unique_inverse(xp: Any, x: Any) -> tuple[Any, Any]:
    values, inverse = xp.unique(x.reshape(-1), return_inverse=True, equal_nan=False)
    return values, _int64(xp, inverse).reshape(x.shape)


def unique_all(xp: Any, x: Any) -> tuple[Any, Any, Any, Any]:
    values, indices, inverse, counts = xp.unique(
        x.reshape(-1), return_index=True, return_inverse=True, return_counts=True, equal_nan=False
    )
    return (
        values, _int64(xp, indices), _int64(xp, inverse).reshape(x.shape), _int64(xp, counts)
    )  # fmt: skip


def isin(xp: Any, x1: Any, x2: Any, *, invert: bool, out: Any = None) -> Any:
    found = xp.asarray(xp.isin(x1, x2, invert=invert)).astype(bool, order="C", copy=False)
    if out is None:
        return found
    xp.copyto(out, found)
    return out


def bincount(xp: Any, x: Any, weights: Any, *, length: int, out: Any = None) -> Any:
    """Every row is counted in bins of its own, all rows at once. Floats are added in float64."""
    check_range("bincount", x, 0, length)
    shape = x.shape[:-1]
    rows = math.prod(shape)
    bins = x.reshape(-1).astype(xp.int64, copy=False)
    if rows > 1:
        bins = bins + xp.repeat(xp.arange(rows) * length, x.shape[-1])
    summed = _summed(weights.dtype)
    if weights.ndim == 0:
        counts = xp.bincount(bins, minlength=rows * length)
        found = (counts.astype(summed) if is_integer(summed) else counts) * weights
    elif is_float(weights.dtype):
        terms = xp.broadcast_to(weights, x.shape).reshape(-1)
        found = xp.bincount(bins, terms, rows * length)
    else:
        found = xp.zeros(rows * length, summed)
        xp.add.at(found, bins, xp.broadcast_to(weights, x.shape).reshape(-1))
    found = found.reshape(*shape, length)
    if out is None:
        return found.astype(summed, copy=False)
    xp.copyto(out, found, casting="same_kind")
    return out


def _summed(dtype: Any) -> Any:
    """Integers and bools are summed as 64-bit integers."""
    return {"b": INT64, "i": INT64, "u": UINT64}.get(dtype.kind, dtype)


def _int64(xp: Any, array: Any) -> Any:
    return array.astype(xp.int64, copy=False)
