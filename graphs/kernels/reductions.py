"""Reduction kernels.

Sums and products of 16-bit floats are accumulated in float32 and rounded once.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..compiled import reduces
from ..dtypes import FLOAT32, is_inexact

LARGE = 1 << 16  # elements, from which on threads may share a reduction


def sum(
    xp: Any, x: Any, *, axis: tuple[int, ...], keepdims: bool, dtype: Any, out: Any = None
) -> Any:
    return _accumulated(xp, xp.add, x, axis, keepdims, dtype, out)


def prod(
    xp: Any, x: Any, *, axis: tuple[int, ...], keepdims: bool, dtype: Any, out: Any = None
) -> Any:
    return _accumulated(xp, xp.multiply, x, axis, keepdims, dtype, out)


def mean(xp: Any, x: Any, *, axis: tuple[int, ...], keepdims: bool, out: Any = None) -> Any:
    out = result_for(xp, x, axis, keepdims, x.dtype) if out is None else out
    if x.size >= LARGE and _is_shared(xp, xp.add, x, axis, out):
        count = xp.intp(math.prod(x.shape[i] for i in axis))
        return xp.true_divide(out, count, out=out, casting="unsafe")  # as NumPy's mean does
    if x.dtype.itemsize > 2:
        return xp.mean(x, axis=axis, keepdims=keepdims, out=out)
    xp.copyto(out, xp.mean(x, axis=axis, keepdims=keepdims))  # summed in float32, rounded once
    return out


def max(xp: Any, x: Any, *, axis: tuple[int, ...], keepdims: bool, out: Any = None) -> Any:
    out = result_for(xp, x, axis, keepdims, x.dtype) if out is None else out
    if x.size >= LARGE and _is_shared(xp, xp.maximum, x, axis, out):
        return out
    return xp.max(x, axis=axis, keepdims=keepdims, out=out)


def min(xp: Any, x: Any, *, axis: tuple[int, ...], keepdims: bool, out: Any = None) -> Any:
    out = result_for(xp, x, axis, keepdims, x.dtype) if out is None else out
    if x.size >= LARGE and _is_shared(xp, xp.minimum, x, axis, out):
        return out
    return xp.min(x, axis=axis, keepdims=keepdims, out=out)


def all(xp: Any, x: Any, *, axis: tuple[int, ...], keepdims: bool, out: Any = None) -> Any:
    out = result_for(xp, x, axis, keepdims, xp.bool_) if out is None else out
    return xp.all(x, axis=axis, keepdims=keepdims, out=out)


def any(xp: Any, x: Any, *, axis: tuple[int, ...], keepdims: bool, out: Any = None) -> Any:
    out = result_for(xp, x, axis, keepdims, xp.bool_) if out is None else out
    return xp.any(x, axis=axis, keepdims=keepdims, out=out)


def count_nonzero(
    xp: Any, x: Any, *, axis: tuple[int, ...], keepdims: bool, out: Any = None
) -> Any:
    out = result_for(xp, x, axis, keepdims, xp.int64) if out is None else out
    if len(axis) == x.ndim:  # the count of all has a loop of its own, many times as fast
        out[...] = xp.count_nonzero(x)
        return out
    return xp.add.reduce(x != 0, axis=axis, keepdims=keepdims, dtype=xp.int64, out=out)


def sum_to(xp: Any, x: Any, *, shape: tuple[int, ...], out: Any = None) -> Any:
    extra = x.ndim - len(shape)
    repeated = tuple(extra + i for i, n in enumerate(shape) if n != x.shape[extra + i])
    wide = (1,) * extra + shape if repeated else shape
    if out is None:
        out = xp.empty(shape, x.dtype)
    axes = (*range(extra), *repeated)
    _accumulated(xp, xp.add, x, axes, bool(repeated), x.dtype, out.reshape(wide))
    return out


def accumulate(xp: Any, *xs: Any, out: Any = None) -> Any:
    out = xp.empty(xs[0].shape, xs[0].dtype) if out is None else out
    if len(xs) == 1:
        xp.copyto(out, xs[0])
        return out
    xp.add(xs[0], xs[1], out=out)
    for x in xs[2:]:
        xp.add(out, x, out=out)
    return out


def accumulator(dtype: Any) -> Any:
    """The dtype in which many numbers are added up to one of `dtype`."""
    return FLOAT32 if is_inexact(dtype) and dtype.itemsize == 2 else dtype


def result_for(xp: Any, x: Any, axis: tuple[int, ...], keepdims: bool, dtype: Any) -> Any:
    """An array for a reduction's result."""
    if keepdims:
        shape = tuple(1 if i in axis else n for i, n in enumerate(x.shape))
    else:
        shape = tuple(n for i, n in enumerate(x.shape) if i not in axis)
    return xp.empty(shape, dtype)


def _accumulated(
    xp: Any, ufunc: Any, x: Any, axis: tuple[int, ...], keepdims: bool, dtype: Any, out: Any
) -> Any:
    """`x` cast to `dtype` and reduced."""
    wide = accumulator(dtype)
    if wide == dtype:
        out = result_for(xp, x, axis, keepdims, dtype) if out is None else out
        if x.size >= LARGE and _is_shared(xp, ufunc, x, axis, out):
            return out
        return ufunc.reduce(x, axis=axis, keepdims=keepdims, dtype=dtype, out=out)
    total = result_for(xp, x, axis, keepdims, wide)
    ufunc.reduce(x, axis=axis, keepdims=keepdims, dtype=wide, out=total)
    if out is None:
        return total.astype(dtype)
    xp.copyto(out, total, casting="same_kind")
    return out


def _is_shared(xp: Any, ufunc: Any, x: Any, axis: tuple[int, ...], out: Any) -> bool:
    """Whether threads have reduced a large array into `out`."""
    if xp is not np or x.dtype.itemsize < 4:
        return False
    sizes = as_four(x.shape, axis)
    return sizes is not None and reduces(ufunc, x, out, sizes)


def as_four(shape: tuple[int, ...], axis: tuple[int, ...]) -> tuple[int, ...] | None:
    """A shape seen as four axes, of which the second and the last are reduced, where it can be."""
    sizes = [1]  # of groups of axes side by side, in turn kept and reduced
    for i, size in enumerate(shape):
        if size == 1:
            continue
        if (i in axis) == (len(sizes) % 2 == 0):
            sizes[-1] *= size
        else:
            sizes.append(size)
    if len(sizes) == 2:  # only what lies side by side is reduced
        sizes = [1, 1, *sizes]
    elif len(sizes) == 3:
        sizes.append(1)
    return tuple(sizes) if len(sizes) == 4 else None
