"""Reduction kernels."""

from __future__ import annotations

from typing import Any


def sum(xp: Any, x: Any, *, axis: tuple[int, ...], keepdims: bool, out: Any = None) -> Any:
    return xp.add.reduce(x, axis=axis, keepdims=keepdims, out=out, dtype=_sum_dtype(xp, x))


def mean(xp: Any, x: Any, *, axis: tuple[int, ...], keepdims: bool, out: Any = None) -> Any:
    return xp.mean(x, axis=axis, keepdims=keepdims, out=out)


def max(xp: Any, x: Any, *, axis: tuple[int, ...], keepdims: bool, out: Any = None) -> Any:
    return xp.max(x, axis=axis, keepdims=keepdims, out=out)


def min(xp: Any, x: Any, *, axis: tuple[int, ...], keepdims: bool, out: Any = None) -> Any:
    return xp.min(x, axis=axis, keepdims=keepdims, out=out)


def argmax(xp: Any, x: Any, *, axis: int, keepdims: bool, out: Any = None) -> Any:
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
    if len(xs) == 1:
        out = xp.empty_like(xs[0]) if out is None else out
        xp.copyto(out, xs[0])
        return out
    total = xp.add(xs[0], xs[1], out=out)
    if not total.ndim and out is None:
        total = xp.asarray(total)
    for x in xs[2:]:
        total = xp.add(total, x, out=total)
    return total


def _sum_dtype(xp: Any, x: Any) -> Any:
    return None if x.dtype.kind == "f" else xp.uint64 if x.dtype.kind == "u" else xp.int64
