"""Samples of the functions of floats."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .base import (
    BINARY_ERRORS,
    FLOATS,
    NUMERIC_ERRORS,
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
COMPLEX = (*REAL, "complex64", "complex128")
NO_COMPLEX = bad_dtype("operands must be real, got complex64", draw((2,), "complex64"))

def _each(function: Any) -> Any:
    """A function of Python floats, element by element."""
    return np.vectorize(function, otypes=[float])

def _by_kind(real: Any, complex: Any) -> Any:
    return lambda x: complex(x) if x.dtype.kind == "c" else real(x)

def _exp(x: Any) -> Any:
    if x.dtype.kind != "c":
        return np.exp2(x / math.log(2))
    return np.exp(x.real) * (np.cos(x.imag) + 1j * np.sin(x.imag))

def _log(x: Any) -> Any:
    if x.dtype.kind != "c":
        return np.log2(x) * math.log(2)
    return np.log(np.hypot(x.real, x.imag)) + 1j * np.arctan2(x.imag, x.real)

def _leg(x: Any) -> Any:
    return np.sqrt((1 - x) * (1 + x))

def _complex_sin(x: Any) -> Any:
    return (_exp(1j * x) - _exp(-1j * x)) / 2j

def _complex_cos(x: Any) -> Any:
    return (_exp(1j * x) + _exp(-1j * x)) / 2

_POSITIVE, _INSIDE, _OUTSIDE = (0.25, 2.0), (-0.875, 0.875), (1.125, 3.0)
_ANALYTIC: tuple[tuple[Any, ...], ...] = (
    ("exp", _exp),
    ("expm1", lambda x: _exp(x) - 1),
    ("log", _log, *_POSITIVE),
    ("log1p", lambda x: _log(1 + x), -0.75, 2.0),
    ("log2", lambda x: _log(x) / math.log(2), *_POSITIVE),
    ("log10", lambda x: _log(x) / math.log(10), *_POSITIVE),
    ("sqrt", _by_kind(np.sqrt, lambda x: _exp(_log(x) / 2)), *_POSITIVE),
    ("reciprocal", lambda x: 1 / x, *_POSITIVE),
    ("sin", _by_kind(lambda x: np.cos(x - np.pi / 2), _complex_sin)),
    ("cos", _by_kind(lambda x: np.sin(x + np.pi / 2), _complex_cos)),
    ("tan", _by_kind(
        lambda x: np.sin(x) / np.cos(x), lambda x: _complex_sin(x) / _complex_cos(x)
    ), -1.0, 1.0),
    ("asin", _by_kind(
        lambda x: np.arctan2(x, _leg(x)), lambda x: -1j * _log(1j * x + _leg(x))
    ), *_INSIDE),
    ("acos", _by_kind(
        lambda x: np.arctan2(_leg(x), x), lambda x: -1j * _log(x + 1j * _leg(x))
    ), *_INSIDE),
    ("atan", _by_kind(
        lambda x: np.arctan2(x, 1), lambda x: (_log(1 + 1j * x) - _log(1 - 1j * x)) / 2j
    )),
    ("sinh", lambda x: (_exp(x) - _exp(-x)) / 2),
    ("cosh", lambda x: (_exp(x) + _exp(-x)) / 2),
    ("tanh", lambda x: 1 - 2 / (_exp(2 * x) + 1)),
    ("asinh", _by_kind(
        lambda x: np.sign(x) * np.log(np.abs(x) + np.sqrt(x * x + 1)),
        lambda x: _log(x + np.sqrt(x * x + 1)),
    )),
    ("acosh", _by_kind(
        lambda x: np.log(x + np.sqrt(x * x - 1)),
        lambda x: _log(x + np.sqrt(x - 1) * np.sqrt(x + 1)),
    ), *_OUTSIDE),
    ("atanh", _by_kind(
        lambda x: np.log((1 + x) / (1 - x)) / 2, lambda x: (_log(1 + x) - _log(1 - x)) / 2
    ), *_INSIDE),
)
for _name, _reference, *_range in _ANALYTIC:
    entry(_name, _reference, unary(*_range, dtypes=COMPLEX), UNARY_ERRORS)

_OF_REALS: tuple[tuple[Any, ...], ...] = (
    ("rsqrt", lambda x: 1 / np.sqrt(x), *_POSITIVE),
    ("erf", _each(math.erf)),
    ("erfc", _each(math.erfc)),
    ("sigmoid", lambda x: (1 + np.tanh(x / 2)) / 2),
    ("softplus", lambda x: np.log1p(np.exp(x))),
)
for _name, _reference, *_range in _OF_REALS:
    entry(_name, _reference, unary(*_range, dtypes=REAL), [*UNARY_ERRORS, NO_COMPLEX])
entry("relu", lambda x: np.where(x <= 0, 0, x), unary(dtypes=(*FLOATS, "int8", "uint32")), [
    *NUMERIC_ERRORS, NO_COMPLEX,
])

_PAIR = {"dtypes": REAL, "mixed": (["float16", "int64"],), "weak": (1.5,)}
_PAIR_ERRORS = [
    *BINARY_ERRORS[:3],
    bad_dtype("operands must be real, got complex64", draw((2,), "complex64"), draw((2,))),
    bad_dtype("operands must be real, got complex64", draw((2,)), 1j),
]
entry("logaddexp", lambda x, y: np.log(np.exp(x) + np.exp(y)), binary(**_PAIR), _PAIR_ERRORS)
entry("hypot", _each(math.hypot), binary(**_PAIR), _PAIR_ERRORS)
entry("atan2", _each(math.atan2), binary(**_PAIR), _PAIR_ERRORS)
