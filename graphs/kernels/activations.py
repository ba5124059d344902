"""Kernels of the activation functions."""

from __future__ import annotations

import math
from typing import Any

from .calls import computes
from .elementwise import sigmoid
from .precision import rounded_once
from .special import erfc

# The logistic function of this multiple of x + CUBIC x^3 is close to the normal distribution's.
STEEPNESS = 2 * math.sqrt(2 / math.pi)
CUBIC = 0.044715


@rounded_once
def silu(xp: Any, x: Any, *, out: Any = None) -> Any:
    out = xp.empty(x.shape, x.dtype) if out is None else out
    if computes(xp, "silu", x, out):
        return out
    below = sigmoid(xp, x)
    return xp.multiply(x, below, out=out)


@rounded_once
def gelu(xp: Any, x: Any, *, out: Any = None) -> Any:
    below = _normal_distribution(xp, x)
    return xp.multiply(x, below, out=below if out is None else out)


@rounded_once
def gelu_slope(xp: Any, x: Any, *, out: Any = None) -> Any:
    density = _squared(xp, x)
    density *= -0.5
    xp.exp(density, out=density)
    density *= x
    density *= 1 / math.sqrt(2 * math.pi)
    below = _normal_distribution(xp, x)
    return xp.add(below, density, out=below if out is None else out)


@rounded_once
def gelu_tanh(xp: Any, x: Any, *, out: Any = None) -> Any:
    out = xp.empty(x.shape, x.dtype) if out is None else out
    if computes(xp, "gelu_tanh", x, out):
        return out
    below = sigmoid(xp, _steep(xp, x))
    return xp.multiply(x, below, out=out)


@rounded_once
def gelu_tanh_slope(xp: Any, x: Any, *, out: Any = None) -> Any:
    out = xp.empty(x.shape, x.dtype) if out is None else out
    if computes(xp, "gelu_tanh_slope", x, out):
        return out
    below = sigmoid(xp, _steep(xp, x))
    rise = _squared(xp, x)
    rise *= 3 * CUBIC * STEEPNESS
    rise += STEEPNESS
    rise *= x
    rise *= 1 - below
    rise *= below
    return xp.add(below, rise, out=out)


@rounded_once
def elu(xp: Any, x: Any, alpha: Any, *, out: Any = None) -> Any:
    return _where_positive(xp, x, alpha * xp.expm1(xp.minimum(x, 0)), out)


@rounded_once
def leaky_relu(xp: Any, x: Any, negative_slope: Any, *, out: Any = None) -> Any:
    return _where_positive(xp, x, negative_slope * x, out)


def _where_positive(xp: Any, x: Any, other: Any, out: Any) -> Any:
    found = xp.ascontiguousarray(xp.where(x > 0, x, other)).reshape(other.shape)
    if out is None:
        return found
    xp.copyto(out, found)
    return out


def _normal_distribution(xp: Any, x: Any) -> Any:
    """How much of the standard normal distribution lies below x."""
    at = xp.multiply(x, x.dtype.type(-math.sqrt(0.5)), out=xp.empty(x.shape, x.dtype))
    erfc(xp, at, out=at)
    at *= 0.5
    return at


def _squared(xp: Any, x: Any) -> Any:
    return xp.multiply(x, x, out=xp.empty(x.shape, x.dtype))


def _steep(xp: Any, x: Any) -> Any:
    found = _squared(xp, x)
    found *= CUBIC
    found += 1
    found *= x
    found *= STEEPNESS
    return found
