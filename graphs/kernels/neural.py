"""Kernels of the softmax family."""

from __future__ import annotations

from typing import Any

from .precision import rounded_once


@rounded_once
def softmax(xp: Any, x: Any, *, axis: int, out: Any = None) -> Any:
    out = xp.empty_like(x, order="C") if out is None else out
    xp.subtract(x, x.max(axis=axis, keepdims=True), out=out)
    xp.exp(out, out=out)
    return xp.divide(out, out.sum(axis=axis, keepdims=True), out=out)


@rounded_once
def log_softmax(xp: Any, x: Any, *, axis: int, out: Any = None) -> Any:
    out = xp.empty_like(x, order="C") if out is None else out
    xp.subtract(x, x.max(axis=axis, keepdims=True), out=out)
    total = xp.exp(out).sum(axis=axis, keepdims=True)
    return xp.subtract(out, xp.log(total, out=total), out=out)
