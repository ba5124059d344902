"""Reduction kernels."""

from __future__ import annotations

from typing import Any


def sum(xp: Any, x: Any, *, axis: tuple[int, ...], keepdims: bool, out: Any = None) -> Any:
    dtype = _sum_dtype(xp, x)
    out = _result(xp, x, axis, keepdims, dtype) if out is None else out
    return xp.add.reduce(x, axis=axis, keepdims=keepdims, out=out, dtype=dtype)


def mean(xp: Any, x: Any, *, axis: tuple[int, ...], keepdims: bool, out: Any = None) -> Any:
    out = _result(xp, x, axis, keepdims, x.dtype) if out is None else out
    if x.dtype.itemsize > 2:
        return xp.mean(x, axis=axis, keepdims=keepdims, out=out)
    xp.copyto(out, xp.mean(x, axis=axis, keepdims=keepdims))  # summed in float32, rounded once
    return out


def max(xp: Any, x: Any, *, axis: tuple[int, ...], keepdims: bool, out: Any = None) -> Any:
    out = _result(xp, x, axis, keepdims, x.dtype) if out is None else out
    return xp.max(x, axis=axis, keepdims=keepdims, out=out)


def min(xp: Any, x: Any, *, axis: tuple[int, ...], keepdims: bool, out: Any = None) -> Any:
    out = _result(xp, x, axis, keepdims, x.dtype) if out is None else out
    return xp.min(x, axis=axis, keepdims=keepdims, out=out)


def argmax(xp: Any, x: Any, *, axis: int | None, keepdims: bool, out: Any = None) -> Any:
    axes = tuple(range(x.ndim)) if axis is None else (axis,)
    out = _result(xp, x, axes, keepdims, xp.int64) if out is None else out
    return xp.argmax(x, axis=axis, keepdims=keepdims, out=out)


def sum_to(xp: Any, x: Any, *, shape: tuple[int, ...], out: Any = None) -> Any:
    extra = x.ndim - len(shape)
    repeated = tuple(extra + i for i, n in enumerate(shape) if n != x.shape[extra + i])
    wide = (1,) * extra + shape if repeated else shape
    if out is None:
        out = xp.empty(shape, x.dtype)
    axes = (*range(extra), *repeated)
    xp.add.reduce(x, axis=axes, dtype=x.dtype, keepdims=bool(repeated), out=out.reshape(wide))
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


def _sum_dtype(xp: Any, x: Any) -> Any:
    return x.dtype if x.dtype.kind == "f" else xp.uint64 if x.dtype.kind == "u" else xp.int64


def _result(xp: Any, x: Any, axis: tuple[int, ...], keepdims: bool, dtype: Any) -> Any:
    """An array for a reduction's result."""
    if keepdims:
        shape = tuple(1 if i in axis else n for i, n in enumerate(x.shape))
    else:
        shape = tuple(n for i, n in enumerate(x.shape) if i not in axis)
    return xp.empty(shape, dtype)
