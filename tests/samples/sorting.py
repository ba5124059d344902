"""Samples of the sorting operators."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .base import (
    AXIS_ERRORS,
    DTYPES,
    FLOATS,
    LAYOUTS,
    bad_dtype,
    bad_shape,
    draw,
    entry,
    good,
    kinds,
    lay,
    rough,
)
from .reductions import REAL_ONLY

# The formatter would give every sample lines of its own.
# fmt: off

def _indices(x: Any, axis: int, descending: bool) -> np.ndarray:
    rows = np.moveaxis(x, axis, -1)
    found = np.empty(rows.shape, np.int64)
    for at in np.ndindex(rows.shape[:-1]):
        row = rows[at].tolist()
        found[at] = sorted(range(len(row)), key=lambda i: _key(row[i], descending))
    return np.moveaxis(found, -1, axis)

def _key(value: Any, descending: bool) -> tuple[bool, Any]:
    return (True, 0) if value != value else (False, -value if descending else value)

def _argsort(x: Any, axis: int, descending: bool, stable: bool) -> np.ndarray:
    return _indices(x, axis, descending)

def _sort(x: Any, axis: int, descending: bool, stable: bool) -> np.ndarray:
    return np.take_along_axis(x, _indices(x, axis, descending), axis)

_TIES = np.array([[2.0, math.nan, -0.0, 2.0, 0.0], [math.inf, 1.0, -math.inf, math.nan, 1.0]])
_SHAPES = (((4,), 0), ((0,), 0), ((2, 3), 0), ((2, 3), -1), ((2, 4, 3), 1), ((3, 0), 0), ((1,), 0))
for _name, _reference in (("sort", _sort), ("argsort", _argsort)):
    entry(_name, _reference, [
        *(good(draw(shape), axis=axis) for shape, axis in _SHAPES),
        *kinds((3, 5)), *kinds((3, 5), axis=0, descending=True),
        *(good(draw((3, 5), d), descending=i, stable=False) for d in FLOATS for i in (False, True)),
        *(rough(_TIES, descending=d, stable=s) for d in (False, True) for s in (True, False)
          if s or _name == "sort"),
    ], [*AXIS_ERRORS, REAL_ONLY], lacks="scalar")

def _topk(x: Any, k: int, axis: int, largest: bool) -> tuple[np.ndarray, np.ndarray]:
    indices = np.take(_indices(x, axis, largest), range(k), axis)
    return np.take_along_axis(x, indices, axis), indices

_DISTINCT = np.array([[3, 0, 4, 1, 2], [1, 2, 0, 4, 3]])
_TOP = (((5,), 2, 0, True), ((5,), 5, -1, False), ((5,), 0, 0, True), ((0,), 0, 0, True),
        ((2, 5), 3, 1, False), ((4, 2), 1, 0, True), ((2, 6, 3), 4, -2, True), ((0, 3), 2, 1, True))
entry("topk", _topk, [
    *(good(draw(shape), k=k, axis=axis, largest=largest) for shape, k, axis, largest in _TOP),
    *(good(_DISTINCT.astype(d), k=3, largest=largest) for d in DTYPES if d not in ("bool", *FLOATS)
      for largest in (True, False)),
    *(good(draw((3, 6), d), k=2, axis=axis) for d in FLOATS for axis in (0, 1)),
    *(good(lay(draw((4, 6)), layout), k=3, axis=axis) for layout in LAYOUTS for axis in (0, 1)),
    good(draw((2, 4), "bool"), k=4), good(draw((2, 4), "bool"), k=4, largest=False),
    *(rough(_TIES[1:, :4], k=k, largest=largest) for k in (2, 4) for largest in (True, False)),
], [
    *(bad_shape(e.match, *e.args, k=0, **e.attrs) for e in AXIS_ERRORS),
    *(bad_shape(rf"k must be in 0\.\.3, got {k!r}", draw((2, 3)), k=k) for k in (4, -1, 1.5, True)),
    bad_dtype(REAL_ONLY.match, *REAL_ONLY.args, k=1),
], lacks="scalar")
