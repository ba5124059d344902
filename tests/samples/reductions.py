"""Samples of the reductions operators."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .base import (
    AXIS_ERRORS,
    DTYPES,
    FLOATS,
    LAYOUTS,
    MIXED,
    NO_EMPTY,
    NO_INTEGER,
    NO_SIZE,
    SIGNED,
    added,
    bad_dtype,
    bad_shape,
    draw,
    entry,
    good,
    kinds,
    moved,
    positions,
    rough,
    two,
)

# The formatter would give every sample lines of its own.
# fmt: off

_REDUCED: Any = (
    ((2, 3), {}), ((2, 3), {"axis": 0}), ((2, 3), {"axis": -1, "keepdims": True}), ((), {}),
    ((2, 3, 2), {"axis": (0, 2)}), ((2, 3, 2), {"axis": (-1, 0), "keepdims": True}),
    ((2, 3), {"axis": ()}), ((0, 3), {"axis": 1}), ((1,), {"axis": 0, "keepdims": True}),
)
_EMPTY: Any = (((0,), {}), ((2, 0), {"axis": 1}), ((0, 3), {"axis": 0, "keepdims": True}))
_NAN_ROW = rough(np.array([[math.nan, 1.0], [2.0, math.inf]]), axis=1)

for _name, _reduce, _of_nothing, _errors in (
    ("sum", lambda x, **over: np.where(x, x, 0).sum(**over), good, ()),
    # The mean of nothing is NaN, and so is whatever is derived from it.
    ("mean", lambda x, **over: x.sum(**over) / np.ones(x.shape).sum(**over), rough, ()),
    ("max", lambda x, **over: np.maximum.reduce(x, **over), None, (NO_EMPTY,)),
    ("min", lambda x, **over: np.minimum.reduce(x, **over), None, (NO_EMPTY,)),
):
    entry(_name, _reduce, [
        *(good(draw(shape), **attrs) for shape, attrs in _REDUCED),
        *(_of_nothing(draw(shape), **attrs) for shape, attrs in _EMPTY if _of_nothing),
        # Three rows of many columns: dividing by a power of two rounds nothing.
        *kinds((3, 20), axis=0), *kinds((3, 4), axis=1), *kinds((3, 4), FLOATS), _NAN_ROW,
    ], [
        *AXIS_ERRORS, bad_shape(r"axes must differ, got \(0, -2\)", draw((2, 3)), axis=(0, -2)),
        *_errors,
    ])

def _argmax(x: Any, axis: int | None, keepdims: bool) -> np.ndarray:
    if axis is None:
        return _argmax(x.reshape(-1), 0, False).reshape((1,) * x.ndim if keepdims else ())
    rows = np.moveaxis(x, axis, -1)
    first = [list(rows[at]).index(max(rows[at])) for at in np.ndindex(rows.shape[:-1])]
    found = np.array(first, np.int64).reshape(rows.shape[:-1])
    return np.expand_dims(found, axis) if keepdims else found
_ARGMAX = (((3,), 0, False), ((2, 3), 1, True), ((0, 3), -1, False), ((2, 3), None, True))
entry("argmax", _argmax, [
    *(good(draw(shape), axis=axis, keepdims=k) for shape, axis, k in _ARGMAX),
    *kinds((3, 4), axis=0), *kinds((3, 4), axis=1),
], [*AXIS_ERRORS, NO_EMPTY], lacks="scalar")
moved("sum_to", "shape",
    (((2, 3, 4), (3, 1)), ((2, 3), ()), ((2, 3), (2, 3)), ((2, 3), (1, 1)), ((0, 3), (1, 3)),
     ((), ()), ((2, 0), (0,)), ((2, 3), 3)), (
        ((2, 3), (2,), r"shapes must broadcast, got \(2,\) and \(2, 3\)"),
        ((3,), (2, 3), r"shape must broadcast to the operand, got \(3,\) to \(2, 3\)"),
        ((2, 1), (2, 3), r"shape must broadcast to the operand, got \(2, 1\) to \(2, 3\)"),
        ((3,), (-1,), NO_SIZE + "-1"),
    ), lambda x, shape: added(x, np.broadcast_to(positions(shape), x.shape), shape))
entry("accumulate", lambda *xs: sum(xs[1:], xs[0]), [
    *(good(*(draw(s, seed=i) for i in range(n))) for s in ((), (0,), (2, 3)) for n in (1, 2, 4)),
    *(good(*(draw((2, 3), d, seed=i) for i in range(3))) for d in DTYPES),
    *(good(*two((2, 3), (2, 3), d, e)) for d, e in MIXED),
    good(*(draw((3, 3), layout=layout, seed=i) for i, layout in enumerate(LAYOUTS))),
], [
    bad_shape("at least one operand is needed, got none"),
    bad_shape(r"operands must have one shape, got \(2,\) and \(\)", *two((2,), ())),
    bad_dtype(NO_INTEGER, *SIGNED),
])
