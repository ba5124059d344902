"""Element-wise kernels that are no single ufunc."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..compiled import loop
from ..compiled import speedups as own
from ..errors import ArgumentError
from .calls import are_few, computes

# Dtypes for which there are ufuncs of our own: select, sigmoid and relu.
_SELECTED = frozenset() if own is None else {kinds[1] for kinds in own.select.types}
LOOPED = frozenset() if own is None else {kinds[0] for kinds in own.sigmoid.types}


def sigmoid(xp: Any, x: Any, out: Any = None) -> Any:
    """1 / (1 + exp(-x)), which neither overflows to NaN nor warns at large |x|."""
    if xp is np and x.dtype.char in LOOPED and are_few(x):
        return loop(own.sigmoid)(x, out=out)
    out = xp.empty(x.shape, x.dtype) if out is None else out
    if computes(xp, "sigmoid", x, out):
        return out
    loop(xp.negative)(x, out=out)
    loop(xp.exp)(out, out=out)
    loop(xp.add)(out, _number(xp, 1, x.dtype), out=out)
    return loop(xp.reciprocal)(out, out=out)


def softplus(xp: Any, x: Any, out: Any = None) -> Any:
    return loop(xp.logaddexp)(x, _number(xp, 0, x.dtype), out=out)


def relu(xp: Any, x: Any, out: Any = None) -> Any:
    if xp is np and x.dtype.char in LOOPED and are_few(x):
        return loop(own.relu)(x, out=out)
    out = xp.empty(x.shape, x.dtype) if out is None else out
    if computes(xp, "relu", x, out):
        return out
    return loop(xp.maximum)(x, _number(xp, 0, x.dtype), out=out)


def rsqrt(xp: Any, x: Any, out: Any = None) -> Any:
    out = loop(xp.sqrt)(x, out=out)
    return loop(xp.reciprocal)(out, out=out)


def power(xp: Any, x: Any, y: Any, out: Any = None) -> Any:
    if y.dtype.kind == "i" and y.size and (least := int(y.min())) < 0:
        raise no_integer_power(least)
    if x.dtype.kind in "fc":
        return loop(xp.power)(x, y, out=out)
    out = xp.empty(xp.broadcast(x, y).shape, x.dtype) if out is None else out
    return xp.power(x, y, out=out)


def no_integer_power(exponent: int) -> ArgumentError:
    return ArgumentError(f"pow: integers must have exponents of at least 0, got {exponent}")


def clip(xp: Any, x: Any, low: Any, high: Any, out: Any = None) -> Any:
    out = xp.empty(xp.broadcast(x, low, high).shape, x.dtype) if out is None else out
    return xp.clip(x, low, high, out=out)


def ceil(xp: Any, x: Any, out: Any = None) -> Any:
    return _rounded(xp, xp.ceil, x, out)


def floor(xp: Any, x: Any, out: Any = None) -> Any:
    return _rounded(xp, xp.floor, x, out)


def trunc(xp: Any, x: Any, out: Any = None) -> Any:
    return _rounded(xp, xp.trunc, x, out)


def round(xp: Any, x: Any, out: Any = None) -> Any:
    if x.dtype.kind == "c":
        out = xp.empty(x.shape, x.dtype) if out is None else out
        xp.rint(x.real, out=out.real)
        xp.rint(x.imag, out=out.imag)
        return out
    return _rounded(xp, xp.rint, x, out)


def _rounded(xp: Any, ufunc: Any, x: Any, out: Any) -> Any:
    """Integers are whole as they are; NumPy before 2.1 makes floats of them."""
    if x.dtype.kind == "f":
        return loop(ufunc)(x, out=out)
    out = xp.empty(x.shape, x.dtype) if out is None else out
    xp.copyto(out, x)
    return out


def real(xp: Any, x: Any, out: Any = None) -> Any:
    out = xp.empty(x.shape, x.real.dtype) if out is None else out
    xp.copyto(out, x.real)
    return out


def imag(xp: Any, x: Any, out: Any = None) -> Any:
    out = xp.empty(x.shape, x.real.dtype) if out is None else out
    xp.copyto(out, x.imag)
    return out


def isclose(
    xp: Any, x: Any, y: Any, *, rtol: float, atol: float, equal_nan: bool, out: Any = None
) -> Any:
    out = xp.equal(x, y, out=xp.empty(xp.broadcast(x, y).shape, bool) if out is None else out)
    with np.errstate(invalid="ignore", over="ignore"):
        near = _distance(xp, x, y) <= atol + rtol * xp.abs(y.astype(xp.result_type(y, 1.0)))
    out |= near & xp.isfinite(y)  # an infinite tolerance is none
    if equal_nan:
        out |= xp.isnan(x) & xp.isnan(y)
    return out


def _distance(xp: Any, x: Any, y: Any) -> Any:
    """abs(x - y); of integers exact, for the difference wraps around into the unsigned dtype."""
    if x.dtype.kind in "fc":
        return xp.abs(x - y)
    if x.dtype.kind == "b":
        return xp.asarray(x != y, xp.float64)
    return (xp.maximum(x, y) - xp.minimum(x, y)).view(f"u{x.dtype.itemsize}")


def nan_to_num(xp: Any, x: Any, *, nan: Any, posinf: Any, neginf: Any, out: Any = None) -> Any:
    out = xp.empty(x.shape, x.dtype) if out is None else out
    if x.dtype.kind != "f":
        xp.copyto(out, x)
        return out
    replaced = [(xp.isnan(x), nan), (x == xp.inf, posinf), (x == -xp.inf, neginf)]
    xp.copyto(out, x)
    for where, number in replaced:
        xp.copyto(out, number, where=where)
    return out


def where(xp: Any, condition: Any, x: Any, y: Any, out: Any = None) -> Any:
    if xp is np and x.dtype.char in _SELECTED:
        return loop(own.select)(condition, x, y, out=out)
    if out is None:
        out = xp.empty(xp.broadcast(condition, x, y).shape, x.dtype)
    xp.copyto(out, y)
    xp.copyto(out, x, where=condition)
    return out


def astype(xp: Any, x: Any, *, dtype: Any, out: Any = None) -> Any:
    if out is None:
        return cast(x, dtype)
    with np.errstate(invalid="ignore"):
        xp.copyto(out, x, casting="unsafe")
    return out


def cast(x: Any, dtype: Any) -> Any:
    """A copy in another dtype. What an integer dtype does not hold gives no warning."""
    if dtype.kind not in "iu":
        return x.astype(dtype, order="C")
    with np.errstate(invalid="ignore"):
        return x.astype(dtype, order="C")


def _number(xp: Any, number: int, dtype: Any) -> Any:
    """A number as an array, which loops take."""
    return xp.array(number, dtype)
