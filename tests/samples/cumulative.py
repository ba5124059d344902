"""Samples of the cumulative operators."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from .base import (
    AXIS_ERRORS,
    FLOATS,
    INTS,
    LAYOUTS,
    bad_dtype,
    bad_shape,
    draw,
    entry,
    good,
    kinds,
    layouts,
    rough,
    two,
)
from .reductions import ALL, DTYPE_ERRORS, cast

# The formatter would give every sample lines of its own.
# fmt: off

def _carried(step: Any, initial: int) -> Any:
    def reference(x: Any, axis: Any, dtype: Any, include_initial: bool) -> np.ndarray:
        rows = np.moveaxis(cast(x, dtype), 0 if axis is None else axis, 0)
        found = np.full((len(rows) + 1, *rows.shape[1:]), initial, rows.dtype)
        for i, row in enumerate(rows):
            found[i + 1] = step(found[i], row)
        return np.moveaxis(found[0 if include_initial else 1:], 0, 0 if axis is None else axis)
    return reference

_ALONG: Any = (
    ((4,), {}), ((0,), {}), ((0,), {"include_initial": True}), ((2, 3), {"axis": 0}),
    ((2, 3), {"axis": -1, "include_initial": True}), ((2, 0), {"axis": 0}),
    ((2, 5, 2), {"axis": 1}), ((1,), {"axis": 0}), ((3, 1), {"axis": 1, "include_initial": True}),
)
_ZEROS = np.array([[1.5, 0.0, 2.0, 3.0], [0.0, 0.0, -1.0, 2.0], [1.0, -2.0, 0.5, 0.0]])
_CAST = (("int8", "float32"), ("float32", "float64"), ("float32", "bfloat16"),
         ("bfloat16", "float32"), ("float32", "int64"), ("float64", "complex64"), ("bool", "int16"))
_NO_AXIS = r"axis must be given for all but one axis, got None for "

for _name, _step, _initial in (
    ("cumulative_sum", operator.add, 0), ("cumulative_prod", operator.mul, 1),
):
    entry(_name, _carried(_step, _initial), [
        *(good(draw(shape), **attrs) for shape, attrs in _ALONG),
        *kinds((3, 4), ALL, axis=1), *kinds((3, 4), FLOATS, axis=0, include_initial=True),
        *(good(draw((3, 4), d), axis=1, dtype=e) for d, e in _CAST),
        *(good(_ZEROS, axis=axis) for axis in (0, 1)),
        rough(np.array([math.nan, 1.0, math.inf])), rough(np.array([math.inf, -math.inf, 0.0])),
    ], [
        *AXIS_ERRORS, *DTYPE_ERRORS, bad_shape(_NO_AXIS + r"\(2, 3\)", draw((2, 3))),
        bad_shape(_NO_AXIS + r"\(\)", draw()),
    ], lacks="scalar")

def _recurrence(a: Any, b: Any, axis: int) -> np.ndarray:
    factors, terms = np.moveaxis(a, axis, 0), np.moveaxis(b, axis, 0)
    found = np.zeros(terms.shape, np.result_type(a, b))
    for i, (factor, term) in enumerate(zip(factors, terms)):
        found[i] = term + (factor * found[i - 1] if i else 0)
    return np.moveaxis(found, 0, axis)

entry("linear_recurrence", _recurrence, [
    *(good(*two(shape, shape), axis=axis) for shape, axis in (
        ((1,), 0), ((2,), -1), ((7,), 0), ((0,), 0), ((2, 5), 1), ((4, 2), 0), ((2, 0, 3), 0),
        ((2, 3, 2), 1),
    )),
    *(good(*two((2, 4), (2, 4), d, d)) for d in (*FLOATS, *INTS, "bool", "complex64")),
    *(good(*two((2, 4), (2, 4), d, e)) for d, e in (("float16", "bfloat16"), ("int8", "float64"))),
    *layouts((3, 5), axis=0), *layouts((3, 5), axis=1), good(_ZEROS, _ZEROS[::-1]),
    *(good(draw((9,), layout=k), draw((9,), seed=2)) for k in LAYOUTS),
], [
    *(bad_shape(e.match, *e.args, *e.args, **e.attrs) for e in AXIS_ERRORS),
    bad_shape(r"operands must have one shape, got \(3,\) and \(2,\)", *two((3,), (2,))),
    bad_dtype("no integer dtype holds both", draw((2,), "uint64"), draw((2,), "int8")),
], lacks="scalar")
