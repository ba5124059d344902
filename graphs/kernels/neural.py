"""Kernels of the softmax family."""

from __future__ import annotations

from typing import Any

from .calls import FUNCTION_FLOP, Description, Lying, call, is_native
from .precision import rounded_once
from .shapes.dense import rows


@rounded_once
def softmax(xp: Any, x: Any, *, axis: int, out: Any = None) -> Any:
    out = xp.empty_like(x, order="C") if out is None else out
    if is_native(xp, x, out) and call(_along_rows, (x, out), "softmax", axis):
        return out
    xp.subtract(x, x.max(axis=axis, keepdims=True), out=out)
    xp.exp(out, out=out)
    return xp.divide(out, out.sum(axis=axis, keepdims=True), out=out)


@rounded_once
def log_softmax(xp: Any, x: Any, *, axis: int, out: Any = None) -> Any:
    out = xp.empty_like(x, order="C") if out is None else out
    if is_native(xp, x, out) and call(_along_rows, (x, out), "log_softmax", axis):
        return out
    xp.subtract(x, x.max(axis=axis, keepdims=True), out=out)
    total = xp.exp(out).sum(axis=axis, keepdims=True)
    return xp.subtract(out, xp.log(total, out=total), out=out)


def _along_rows(x: Lying, y: Lying, step: str, axis: int, threads: int) -> Description | None:
    if not x.shape or axis not in (-1, len(x.shape) - 1) or x.strides != y.strides:
        return None
    shape = rows(x, x.shape[-1])
    if shape is None:
        return None
    return Description(step, shape, (), FUNCTION_FLOP * shape.rows * shape.width)
