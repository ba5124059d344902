"""Samples of the searching operators."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diptych.graphs.errors import ArgumentError

from .base import (
    AXIS_ERRORS,
    DTYPES,
    LAYOUTS,
    NO_EMPTY,
    NO_INTEGER,
    SIGNED,
    bad,
    bad_dtype,
    bad_shape,
    draw,
    entry,
    good,
    kinds,
    lay,
    rough,
    two,
)
from .reductions import ALL, REAL_ONLY

# The formatter would give every sample lines of its own.
# fmt: off

def order(value: Any) -> tuple[bool, Any]:
    """A key by which NaN comes last."""
    return (True, 0) if value != value else (False, value)

def _first(best: Any) -> Any:
    def reference(x: Any, axis: int | None, keepdims: bool) -> np.ndarray:
        if axis is None:
            found = reference(x.reshape(-1), 0, False)
            return found.reshape((1,) * x.ndim if keepdims else ())
        rows = np.moveaxis(x, axis, -1)
        first = [_position(list(rows[at]), best) for at in np.ndindex(rows.shape[:-1])]
        found = np.array(first, np.int64).reshape(rows.shape[:-1])
        return np.expand_dims(found, axis) if keepdims else found
    return reference

def _position(row: Any, best: Any) -> int:
    nans = [i for i, v in enumerate(row) if v != v]
    return nans[0] if nans else row.index(best(row))

_PLACES = (((3,), 0, False), ((2, 3), 1, True), ((0, 3), -1, False), ((2, 3), None, True),
           ((), None, False))
for _name, _best in (("argmax", max), ("argmin", min)):
    entry(_name, _first(_best), [
        *(good(draw(shape), axis=axis, keepdims=k) for shape, axis, k in _PLACES),
        *kinds((3, 4), axis=0), *kinds((3, 4), axis=1),
        rough(np.array([[math.nan, math.inf, 1.0], [1.0, math.nan, math.nan]]), axis=1),
    ], [*AXIS_ERRORS, NO_EMPTY, REAL_ONLY])

def _nonzero(x: Any) -> np.ndarray:
    return np.array([at for at in np.ndindex(x.shape) if x[at] != 0], int).reshape(-1, x.ndim).T

entry("nonzero", _nonzero, [
    *(good(draw(shape)) for shape in ((3,), (0,), (2, 0, 3), (2, 1, 3))),
    *(good(draw((3, 4), d) * (draw((3, 4)) > 0)) for d in ALL),
    *(good(lay(draw((3, 4)) * (draw((3, 4)) > 0), k)) for k in LAYOUTS),
    good(np.array([0.0, -0.0, math.nan, math.inf])), good(np.zeros((2, 2))),
], [bad_shape(r"operand must have an axis, got \(\)", draw())], lacks="scalar")

def _searchsorted(x1: Any, x2: Any, side: str) -> np.ndarray:
    keys = [order(v) for v in x1]
    found = [sum(k < order(v) or (side == "right" and k == order(v)) for k in keys)
             for v in x2.ravel()]
    return np.array(found, int).reshape(x2.shape)

def _sorted(shape: int, dtype: str = "float32") -> np.ndarray:
    return np.sort(draw((shape,), dtype))

_TIES = np.array([-1.0, 0.0, 0.0, 2.0, 2.0, 2.0, math.inf, math.nan, math.nan])
_SIDES = ("left", "right")
entry("searchsorted", _searchsorted, [
    *(good(_sorted(5), draw(shape, seed=1), side=side)
      for shape in ((), (4,), (0,), (2, 3)) for side in _SIDES),
    *(good(_sorted(5, d), draw((2, 3), d, seed=1), side="right") for d in DTYPES),
    *(good(_TIES, np.array([0.0, -0.0, 2.0, math.inf, -math.inf, math.nan, 1.0]), side=side)
      for side in _SIDES),
    *(good(lay(_sorted(5), k), draw((2, 3), layout=k, seed=1)) for k in LAYOUTS),
    good(_sorted(0), draw((2,))), good(_sorted(4), 0.5), good(_sorted(4, "int64"), 0.5),
    *(good(_sorted(4, d), draw((3,), e)) for d, e in (("int8", "float32"), ("uint8", "int16"))),
], [
    bad_shape(r"the first operand must have one axis, got \(2, 3\)", *two((2, 3), (2,))),
    bad_shape(r"the first operand must have one axis, got \(\)", *two((), (2,))),
    bad(ArgumentError, "side must be 'left' or 'right', got 'middle'", *two((2,), (2,)),
        side="middle"),
    bad_dtype("operands must be real, got complex64", *two((2,), (2,), "complex64")),
    bad_dtype(NO_INTEGER, *(x.reshape(-1) for x in SIGNED)),
])
