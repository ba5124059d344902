"""Samples of the reductions operators."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diptych.graphs.dtypes import as_dtype

from .base import (
    AXIS_ERRORS,
    COMPLEX,
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

def over(function: Any) -> Any:
    """A reference that reduces row by row, from a function of one row."""
    def reference(x: Any, axis: Any, keepdims: bool, **others: Any) -> np.ndarray:
        axes = range(x.ndim) if axis is None else np.atleast_1d(axis).astype(int) % max(x.ndim, 1)
        kept = [a for a in range(x.ndim) if a not in axes]
        lengths = [x.shape[a] for a in kept]
        count = math.prod(x.shape[a] for a in axes)
        rows = x.transpose(*kept, *sorted(axes)).reshape(*lengths, count)
        found = [function(rows[at], **others) for at in np.ndindex(*lengths)]
        shape = [1 if a in axes else n for a, n in enumerate(x.shape)] if keepdims else lengths
        return np.array(found).reshape(shape)
    return reference

def cast(x: Any, dtype: Any) -> Any:
    """Elements as they are added up: in the wide dtype of the kind."""
    kind = x.dtype.kind if dtype is None else as_dtype(dtype).kind
    return x.astype({"b": int, "i": int, "u": np.uint64, "c": complex}.get(kind, float))

REDUCED: Any = (
    ((2, 3), {}), ((2, 3), {"axis": 0}), ((2, 3), {"axis": -1, "keepdims": True}), ((), {}),
    ((2, 3, 2), {"axis": (0, 2)}), ((2, 3, 2), {"axis": (-1, 0), "keepdims": True}),
    ((2, 3), {"axis": ()}), ((0, 3), {"axis": 1}), ((1,), {"axis": 0, "keepdims": True}),
)
EMPTY: Any = (((0,), {}), ((2, 0), {"axis": 1}), ((0, 3), {"axis": 0, "keepdims": True}))
NAN_ROW = rough(np.array([[math.nan, 1.0], [2.0, math.inf]]), axis=1)
_ZEROS = np.array([[0.0, 2.0, -3.0], [0.0, 0.5, 0.0], [1.0, 2.0, 0.25]])
_CAST = (
    ("int8", "float32"), ("float32", "float64"), ("float32", "bfloat16"), ("float16", "float32"),
    ("bfloat16", "float64"), ("float32", "int64"), ("float64", "complex64"), ("bool", "uint8"),
)
ALL = (*DTYPES, *COMPLEX)
REAL_ONLY = bad_dtype("operands must be real, got complex64", draw((2, 3), "complex64"))
REDUCTION_ERRORS = (
    *AXIS_ERRORS, bad_shape(r"axes must differ, got \(0, -2\)", draw((2, 3)), axis=(0, -2)),
)
DTYPE_ERRORS = (
    bad_dtype("dtype must be one of numbers, got bool", draw((2,)), dtype="bool"),
    bad_dtype("dtype: must be one of .* got 'float8'", draw((2,)), dtype="float8"),
    bad_dtype("dtype must be complex for complex operands, got float32 for complex64",
              draw((2,), "complex64"), dtype="float32"),
)

def _counted(row: Any) -> int:
    return sum(bool(v != 0) for v in row)

for _name, _row, _of_nothing, _dtypes, _errors in (
    ("sum", lambda row, dtype: sum(cast(row, dtype), 0), good, ALL, DTYPE_ERRORS),
    ("prod", lambda row, dtype: math.prod(cast(row, dtype)), good, ALL, DTYPE_ERRORS),
    # The mean of nothing is NaN, and so is whatever is derived from it.
    ("mean", lambda row: sum(cast(row, "complex64" if row.dtype.kind == "c" else "float32"), 0)
     / np.float64(row.size), rough, ALL, ()),
    ("max", lambda row: np.maximum.reduce(row), None, DTYPES, (NO_EMPTY, REAL_ONLY)),
    ("min", lambda row: np.minimum.reduce(row), None, DTYPES, (NO_EMPTY, REAL_ONLY)),
    ("all", lambda row: _counted(row) == row.size, good, ALL, ()),
    ("any", lambda row: _counted(row) > 0, good, ALL, ()),
    ("count_nonzero", _counted, good, ALL, ()),
):
    entry(_name, over(_row), [
        *(good(draw(shape), **attrs) for shape, attrs in REDUCED),
        *(_of_nothing(draw(shape), **attrs) for shape, attrs in EMPTY if _of_nothing),
        # Three rows of many columns: dividing by a power of two rounds nothing.
        *kinds((3, 20), _dtypes, axis=0), *kinds((3, 4), FLOATS, axis=1),
        good(draw((3, 4), "float16")), NAN_ROW,
        *(good(draw((3, 4), d), axis=1, dtype=e) for d, e in _CAST if DTYPE_ERRORS[0] in _errors),
        *(good(_ZEROS, axis=axis) for axis in (0, 1, None) if _name in ("prod", "all", "any")),
    ], [*REDUCTION_ERRORS, *_errors])

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
