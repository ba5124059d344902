"""Samples of the activation functions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .base import (
    BINARY_ERRORS,
    FLOATS,
    UNARY_ERRORS,
    bad_dtype,
    binary,
    draw,
    entry,
    unary,
)

# The formatter would give every sample lines of its own.
# fmt: off

REAL = (*FLOATS, "int32", "bool")
NO_COMPLEX = bad_dtype("operands must be real, got complex64", draw((2,), "complex64"))
_TWO_COMPLEX = bad_dtype("operands must be real, got complex64", draw((2,), "complex64"), 1.0)
_STEEP = math.sqrt(2 / math.pi)

def _each(function: Any) -> Any:
    """A function of Python floats, element by element."""
    return np.vectorize(function, otypes=[float])

def _below(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2

def _bell(x: float) -> float:
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)

def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0

def _gelu_tanh(x: float) -> float:
    return x * _logistic(2 * _STEEP * (x + 0.044715 * x**3))

def _gelu_tanh_slope(x: float) -> float:
    """By the derivative of the form with the hyperbolic tangent."""
    t = math.tanh(_STEEP * (x + 0.044715 * x**3))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * _STEEP * (1 + 3 * 0.044715 * x * x)

for _name, _function in (
    ("silu", lambda x: x * _logistic(x)), ("gelu", lambda x: x * _below(x)),
    ("gelu_slope", lambda x: _below(x) + x * _bell(x)), ("gelu_tanh", _gelu_tanh),
    ("gelu_tanh_slope", _gelu_tanh_slope),
):
    entry(_name, _each(_function), unary(dtypes=REAL), [*UNARY_ERRORS, NO_COMPLEX])

# Kinks at 0 are met by integers and bools alone, which have no gradient.
for _name, _function in (
    ("elu", lambda x, alpha: x if x > 0 else alpha * math.expm1(x)),
    ("leaky_relu", lambda x, slope: x if x > 0 else slope * x),
):
    entry(_name, np.vectorize(_function, otypes=[float]), binary(dtypes=REAL),
          [*BINARY_ERRORS[:3], _TWO_COMPLEX])
