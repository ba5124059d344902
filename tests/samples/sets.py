"""Samples of sets and counts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diptych.graphs.dtypes import as_dtype

from .base import (
    INTS,
    LAYOUTS,
    MIXED,
    NO_INTEGER,
    SIGNED,
    bad_dtype,
    bad_range,
    bad_shape,
    draw,
    entry,
    good,
    kinds,
    lay,
    two,
)
from .reductions import ALL

# The formatter would give every sample lines of its own.
# fmt: off

def _whole(shape: Any, dtype: str = "float32", seed: int = 0) -> np.ndarray:
    """Whole numbers in any dtype, so that some are equal."""
    return np.asarray(np.round(draw(shape, dtype, 0, 3, seed=seed))).astype(as_dtype(dtype))

def _key(value: Any) -> tuple[bool, Any]:
    if value != value:
        return True, 0
    return False, (value.real, value.imag)

def _unique(x: Any) -> tuple[np.ndarray, ...]:
    """Distinct elements in order, NaN last, each found by looking at all."""
    flat = x.ravel().tolist()
    first = [i for i, v in enumerate(flat) if v not in flat[:i] or v != v]
    first.sort(key=lambda i: _key(flat[i]))
    same = [[i for i, v in enumerate(flat) if i == j or v == flat[j]] for j in first]
    inverse = np.empty(len(flat), np.int64)
    for group, members in enumerate(same):
        inverse[members] = group
    values = x.ravel()[np.array(first, int)]
    return values, np.array(first, int), inverse.reshape(x.shape), np.array([*map(len, same)], int)

_REPEATED = np.array([[2.0, -1.0, 2.0], [0.5, -1.0, 2.0]])
_SAMPLES = [
    *(good(draw(shape, low=0, high=3)) for shape in ((), (3,), (0,), (2, 0, 3), (2, 1, 3))),
    *kinds((3, 4), ALL), *(good(_whole((3, 4), d)) for d in ("float64", "complex64")),
    *(good(lay(_REPEATED, k)) for k in LAYOUTS),
    good(np.array([1.0, math.nan, 0.0, -0.0, math.nan, math.inf, 1.0, -math.inf])),
]
for _name, _which in (
    ("unique_all", (0, 1, 2, 3)), ("unique_counts", (0, 3)), ("unique_inverse", (0, 2)),
    ("unique_values", (0,)),
):
    entry(_name, lambda x, which=_which: tuple(_unique(x)[i] for i in which), _SAMPLES, [
        bad_dtype("operands must be tensors, arrays or numbers, got str", "a"),
    ])

def _isin(x1: Any, x2: Any, invert: bool) -> np.ndarray:
    found = [any(v == w for w in x2.ravel()) != invert for v in x1.ravel()]
    return np.array(found, bool).reshape(x1.shape)

_PAIRS = (((), ()), ((3,), ()), ((), (3,)), ((0,), (2,)), ((2,), (0,)), ((2, 3), (4,)))
entry("isin", _isin, [
    *(good(_whole(shape), _whole(other, seed=1)) for shape, other in _PAIRS),
    *(good(_whole((3, 4), d), _whole((2,), d), invert=d in INTS) for d in ALL),
    *(good(lay(_whole((3, 4)), k), lay(_whole((2, 2)), k)) for k in LAYOUTS),
    *(good(*two((2, 3), (2, 3), d, e)) for d, e in MIXED),
    good(draw((3,), "int32"), 1), good(1, draw((3,), "int32"), invert=True),
    good(np.array([math.nan, 0.0, math.inf]), np.array([math.nan, -0.0, math.inf])),
], [bad_dtype(NO_INTEGER, *SIGNED)])

def _bincount(x: Any, weights: Any, length: int) -> np.ndarray:
    kind = {"b": int, "i": int}.get(weights.dtype.kind, weights.dtype)
    found = np.zeros((*x.shape[:-1], length), kind)
    for at in np.ndindex(x.shape):
        found[(*at[:-1], x[at])] += np.broadcast_to(weights, x.shape)[at]
    return found

def _bins(shape: Any, dtype: str = "int64", layout: str = "dense") -> np.ndarray:
    return lay(draw(shape, dtype, 0, 3, seed=5), layout)

_WHOLE = "the first operand must hold integers, got "
entry("bincount", _bincount, [
    *(good(_bins(shape), 1, length=length)
      for shape, length in (((5,), 4), ((5,), 7), ((0,), 2), ((0,), 0), ((2, 3), 4), ((2, 0), 3))),
    *(good(_bins((5,), d), 1, length=4) for d in INTS),
    *(good(_bins((5,)), draw((5,), d), length=4) for d in ALL),
    *(good(_bins((5,)), draw((), d), length=4) for d in ("float32", "float16", "uint8")),
    *(good(_bins((3, 5)), draw(shape), length=4) for shape in ((5,), (3, 1), (3, 5), ())),
    *(good(_bins((3, 5), layout=k), draw((3, 5), layout=k), length=4) for k in LAYOUTS),
], [
    bad_dtype(_WHOLE + "float32", draw((3,)), 1, length=4),
    bad_dtype(_WHOLE + "bool", draw((3,), "bool"), 1, length=4),
    bad_shape(r"the first operand must have an axis, got \(\)", _bins(()), 1, length=4),
    bad_shape(r"weights must broadcast to the first operand, got \(2, 3\) for \(3,\)",
              _bins((3,)), draw((2, 3)), length=4),
    bad_shape(r"shapes must broadcast, got \(2,\) and \(3,\)", _bins((3,)), draw((2,)), length=4),
    *(bad_shape(f"length must be a whole number of at least 0, got {wrong}", _bins((3,)), 1,
                length=wrong) for wrong in (-1, 1.5, True, None)),
    bad_range("indices must be in 0..2, got 3", np.array([0, 3]), 1, length=3),
    bad_range("indices must be in 0..2, got -1", np.array([-1, 2]), 1, length=3),
], lacks="scalar")
