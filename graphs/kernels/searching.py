"""Kernels that give positions of elements."""

from __future__ import annotations

from typing import Any

from .reductions import result_for


def argmax(xp: Any, x: Any, *, axis: int | None, keepdims: bool, out: Any = None) -> Any:
    return _position(xp, xp.argmax, x, axis, keepdims, out)


def argmin(xp: Any, x: Any, *, axis: int | None, keepdims: bool, out: Any = None) -> Any:
    return _position(xp, xp.argmin, x, axis, keepdims, out)


def nonzero(xp: Any, x: Any) -> Any:
    return xp.stack(xp.nonzero(x)).astype(xp.int64, copy=False)


def searchsorted(xp: Any, x1: Any, x2: Any, *, side: str, out: Any = None) -> Any:
    found = xp.asarray(xp.searchsorted(x1, x2, side)).astype(xp.int64, order="C", copy=False)
    if out is None:
        return found
    xp.copyto(out, found)
    return out


def _position(xp: Any, search: Any, x: Any, axis: int | None, keepdims: bool, out: Any) -> Any:
    axes = tuple(range(x.ndim)) if axis is None else (axis,)
    out = result_for(xp, x, axes, keepdims, xp.int64) if out is None else out
    return search(x, axis=axis, keepdims=keepdims, out=out)
