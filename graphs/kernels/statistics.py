"""Kernels of the statistical reductions that are more than one pass."""

from __future__ import annotations

import math
from typing import Any

from .precision import rounded_once
from .reductions import result_for


@rounded_once
def var(
    xp: Any, x: Any, *, axis: tuple[int, ...], correction: float, keepdims: bool, out: Any = None
) -> Any:
    out = result_for(xp, x, axis, keepdims, x.dtype) if out is None else out
    count = math.prod(x.shape[a] for a in axis)
    freedom = count - correction
    if not count or freedom <= 0:
        out[...] = math.nan
        return out
    deviation = xp.empty(x.shape, x.dtype)
    centre = result_for(xp, x, axis, True, x.dtype)
    xp.mean(x, axis=axis, keepdims=True, out=centre)
    xp.subtract(x, centre, out=deviation)
    xp.multiply(deviation, deviation, out=deviation)
    xp.add.reduce(deviation, axis=axis, keepdims=keepdims, out=out)
    return xp.divide(out, x.dtype.type(freedom), out=out)


@rounded_once
def std(
    xp: Any, x: Any, *, axis: tuple[int, ...], correction: float, keepdims: bool, out: Any = None
) -> Any:
    out = var(xp, x, axis=axis, correction=correction, keepdims=keepdims, out=out)
    return xp.sqrt(out, out=out)


@rounded_once
def logsumexp(xp: Any, x: Any, *, axis: tuple[int, ...], keepdims: bool, out: Any = None) -> Any:
    out = result_for(xp, x, axis, keepdims, x.dtype) if out is None else out
    if not x.size:
        out[...] = -math.inf
        return out
    top = result_for(xp, x, axis, True, x.dtype)
    xp.max(x, axis=axis, keepdims=True, out=top)
    # An infinite maximum less itself is NaN. Less 0 it gives the right infinity, and so do NaNs.
    top[~xp.isfinite(top)] = 0
    terms = xp.empty(x.shape, x.dtype)
    xp.subtract(x, top, out=terms)
    xp.exp(terms, out=terms)
    xp.add.reduce(terms, axis=axis, keepdims=keepdims, out=out)
    with xp.errstate(divide="ignore"):
        xp.log(out, out=out)
    return xp.add(out, top.reshape(out.shape), out=out)
