"""Samples of basic indexing."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import (
    DTYPES,
    LAYOUTS,
    NO_SIZE,
    bad_dtype,
    bad_shape,
    draw,
    entry,
    good,
    kinds,
    positions,
    two,
)

# The formatter would give every sample lines of its own.
# fmt: off

_WHOLE, _BACK, _PART = slice(None), slice(None, None, -1), (slice(2), slice(3, 1, -1))
_INDICES = (
    ((3, 4), (1, -1)), ((3, 4), 2), ((3, 4), (_WHOLE, slice(3, 0, -2))), ((3, 4), (..., 0)),
    ((3, 4), (None, slice(1, 2), None)), ((3, 4), (_BACK, ..., None)), ((3, 4), (slice(5, 9),)),
    ((3, 4), ()), ((5,), (slice(-1, None, -2),)), ((), ()), ((), (None, ...)),
    ((0, 3), (_WHOLE, 1)), ((2, 3, 4), (0, slice(None, None, 3), slice(1, -1))),
    ((3, 4), (np.int64(1), slice(None, 2))),
)
_NO_INDEX = "an index must be whole numbers, slices, None and one ellipsis, got "
_INDEX_ERRORS: tuple[tuple[Any, str], ...] = (
    ((3,), r"an index must be in -3..2 on axis 0, got 3"),
    ((0, -5), r"an index must be in -4..3 on axis 1, got -5"),
    ((0, 0, 0), "too many indices for 2 axes, got 3"),
    ((..., 0, ...), "there must be at most one ellipsis, got 2"), (([0, 1],), _NO_INDEX + "list"),
    ((1.5,), _NO_INDEX + "float"), ((True,), _NO_INDEX + "bool"),
    ((np.array([0, 1]),), _NO_INDEX + "ndarray"),
    ((slice(0, 2, 0),), "a slice's step must not be 0, got 0"),
    ((slice(0.5, 2),), "a slice must hold whole numbers, got"),
)

def _assigned(x: Any, value: Any, index: Any) -> np.ndarray:
    out = x.flatten()
    out[positions(x.shape)[index]] = value
    return out.reshape(x.shape)
entry("getitem", lambda x, index: np.take(x, positions(x.shape)[index]), [
    *(good(draw(shape), index=index) for shape, index in _INDICES),
    *kinds((3, 4), index=(1, slice(1, 3))), *kinds((3, 4), index=_PART),
], [bad_shape(match, draw((3, 4)), index=index) for index, match in _INDEX_ERRORS])
_UNSELECTED = r"operand must have the shape that the index selects, got \(3,\) for \(2,\)"
entry("scatter_slice", lambda g, index, shape: _assigned(np.zeros(shape, g.dtype), g, index), [
    *(good(draw(np.zeros(s)[i].shape), index=i, shape=s) for s, i in _INDICES),
    *kinds((2, 2), index=_PART, shape=(3, 4)),
], [
    bad_shape(_UNSELECTED, draw((3,)), index=(slice(2),), shape=(3,)),
    bad_shape(NO_SIZE + "-3", draw((1,)), index=(0,), shape=(-3,)),
    *(bad_shape(match, draw((3, 4)), index=i, shape=(3, 4)) for i, match in _INDEX_ERRORS),
])
_UNFIT = r"value must broadcast to the shape that the index selects, got \(2, 4\) for \(4,\)"
entry("setitem", _assigned, [
    *(good(*two(s, np.zeros(s)[i].shape), index=i) for s, i in _INDICES),
    *(good(*two((3, 4), (2,), d, d), index=(0, slice(2))) for d in DTYPES),
    *(good(draw((3, 4), layout=k), draw((2, 2), layout=k), index=_PART) for k in LAYOUTS),
    good(*two((3, 4), (1, 4)), index=(slice(2),)), good(*two((3, 4), (3, 4)), index=(...,)),
    good(*two((3, 3), (3, 3)), index=(_BACK,)), good(draw((3, 4)), 7.5, index=(1,)),
    good(draw((3,), "int32"), 7, index=(1,)), good(draw((3,)), draw((), "float64"), index=(1,)),
], [
    bad_shape(r"must broadcast, got \(3,\) and \(4,\)", *two((3, 4), (3,)), index=(0,)),
    bad_shape(_UNFIT, *two((3, 4), (2, 4)), index=(0,)),
    *(bad_shape(match, draw((3, 4)), 0.0, index=i) for i, match in _INDEX_ERRORS),
    bad_dtype("value must be real for float32, got complex64", draw((3,)), 1j, index=0),
])
