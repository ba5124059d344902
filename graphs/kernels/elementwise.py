"""Element-wise kernels that are no single ufunc."""

from __future__ import annotations

from typing import Any


def sigmoid(xp: Any, x: Any, out: Any = None) -> Any:
    """1 / (1 + exp(-x)), which neither overflows to NaN nor warns at large |x|."""
    out = xp.empty(x.shape, x.dtype) if out is None else out
    xp.negative(x, out=out)
    with xp.errstate(over="ignore"):
        xp.exp(out, out=out)
    xp.add(out, 1, out=out)
    return xp.reciprocal(out, out=out)


def relu(xp: Any, x: Any, out: Any = None) -> Any:
    out = xp.empty(x.shape, x.dtype) if out is None else out
    return xp.maximum(x, x.dtype.type(0), out=out)


def where(xp: Any, condition: Any, x: Any, y: Any, out: Any = None) -> Any:
    if out is None:
        out = xp.empty(xp.broadcast(condition, x, y).shape, x.dtype)
    xp.copyto(out, y)
    xp.copyto(out, x, where=condition)
    return out


def astype(xp: Any, x: Any, *, dtype: Any, out: Any = None) -> Any:
    if out is None:
        return x.astype(dtype, order="C")
    xp.copyto(out, x, casting="unsafe")
    return out
