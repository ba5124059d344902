"""Samples of the operators that read and write by index arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import (
    DTYPES,
    INTS,
    LAYOUTS,
    NUMBERS,
    added,
    bad_dtype,
    bad_range,
    bad_shape,
    draw,
    entry,
    good,
    lay,
    positions,
    two,
)

# The formatter would give every sample lines of its own.
# fmt: off

_AT = np.array([2, 0, -1, 0])
_XS = draw((3, 4))
_AXES: Any = ((0, ()), (1, (2,)), (-1, (2, 1)), (0, (0,)), (-2, (3, 2)))
_GATHERED = [(axis, draw(shape, "int64", -3, 2)) for axis, shape in _AXES]

# -- along one axis
def _take(x: Any, indices: Any, axis: int | None) -> np.ndarray:
    axis = 0 if axis is None else axis % x.ndim
    return x[(*[slice(None)] * axis, indices)]

_NO_INDICES = "indices must be integers, got "
entry("take", _take, [
    *(good(_XS, at, axis=axis) for axis, at in _GATHERED),
    *(good(draw((3, 4)), (_AT % 3).astype(d), axis=0) for d in INTS),
    *(good(draw((3,), d), _AT) for d in DTYPES),
    *(good(draw((3, 4), layout=k), lay(_AT[:, None], k), axis=1) for k in LAYOUTS),
    good(draw((0, 3)), _AT, axis=1), good(draw((3,)), 1),
], [
    bad_dtype(_NO_INDICES + "float32", *two((3,), (2,))),
    bad_dtype(_NO_INDICES + "bool", draw((3,)), draw((2,), "bool")),
    bad_shape("axis must be in -1..0, got 1", draw((3,)), _AT, axis=1),
    bad_shape(r"axis must be given for more than one axis, got \(3, 4\)", _XS, _AT),
    bad_shape("a 0-d operand has no axis, got 0", draw(), _AT),
    bad_range("indices must be in -3..2 on axis 0 of size 3, got 3", draw((3,)), np.array([0, 3])),
    bad_range("indices must be in -4..3 on axis 1 of size 4, got -5", _XS, np.array([-5]), axis=1),
    bad_range("on axis 0 of size 0, got 0", draw((0,)), np.array([0])),
])
_UNGATHERED = r"operand must have the shape that the indices gather, got \(3,\) for \(4,\)"
entry("scatter_add", lambda g, indices, axis, shape: added(
    g, _take(positions(shape), indices, axis), shape
), [
    *(good(_take(_XS, at, axis), at, axis=axis, shape=(3, 4)) for axis, at in _GATHERED),
    *(good(draw((4,)), (_AT % 3).astype(d), axis=0, shape=(3,)) for d in INTS),
    *(good(draw((4,), d), _AT, axis=0, shape=(3,)) for d in NUMBERS),
    *(good(draw((4, 2), layout=k), lay(_AT, k), axis=0, shape=(3, 2)) for k in LAYOUTS),
], [
    bad_shape(_UNGATHERED, draw((3,)), _AT, axis=0, shape=(3,)),
    bad_dtype(_NO_INDICES + "float32", *two((2,), (2,)), axis=0, shape=(3,)),
    bad_shape("axis must be in -1..0, got 1", draw((4,)), _AT, axis=1, shape=(3,)),
    bad_range("on axis 0 of size 2, got 2", draw((4,)), _AT, axis=0, shape=(2,)),
])

# -- along several axes: one position after the other
def _keys(shape: Any, indices: Any, axes: Any) -> Any:
    """Per position of the indices, the part of an array of that shape that it selects."""
    axes = range(len(indices)) if axes is None else [a % len(shape) for a in axes]
    for at in np.ndindex(indices.shape[1:]):
        key: list[Any] = [slice(None)] * len(shape)
        for row, axis in zip(indices, axes):
            key[axis] = int(row[at])
        yield at, tuple(key)

def _front(array: Any, indices: Any, at: int) -> np.ndarray:
    count = indices.ndim - 1
    at %= array.ndim - count + 1
    return np.moveaxis(array, range(at, at + count), range(count))

def _index(x: Any, indices: Any, axes: Any, at: int) -> np.ndarray:
    count = indices.ndim - 1
    rest = np.delete(x.shape, axes if axes is not None else range(len(indices))).astype(int)
    found = np.zeros((*indices.shape[1:], *rest), x.dtype)
    for place, key in _keys(x.shape, indices, axes):
        found[place] = x[key]
    at %= len(rest) + 1
    return np.moveaxis(found, range(count), range(at, at + count))

def _index_put(x: Any, values: Any, indices: Any, axes: Any, at: int) -> np.ndarray:
    out = x.copy()
    full = np.broadcast_to(values, _index(x, indices, axes, at).shape)
    for place, key in _keys(x.shape, indices, axes):
        out[key] = _front(full, indices, at)[place]
    return out

def _index_add(g: Any, indices: Any, shape: Any, axes: Any, at: int) -> np.ndarray:
    out = np.zeros(shape, g.dtype)
    for place, key in _keys(out.shape, indices, axes):
        out[key] += _front(g, indices, at)[place]
    return out

_ROWS = np.array([[2, 0, -1, 0], [1, -4, 1, 1]])
_ONE_ROW = np.array([[1, -1, 0]])
_CUBE = (3, 4, 2)
_SELECTIONS: Any = (
    ((3, 4), _ROWS, None, 0), (_CUBE, _ROWS, None, 0), (_CUBE, _ROWS, None, 1),
    (_CUBE, _ROWS % 2, (2, 0), 1), (_CUBE, _ROWS[:, :, None] % 2, (-1, 1), -1),
    (_CUBE, _ROWS[:, :0], (0, 1), 0), (_CUBE, np.array([[1], [0], [1]]), (1, 2, 0), 0),
    ((3,), _ONE_ROW, None, 0), (_CUBE, np.array([1]), (1,), 1), ((3, 0), _ONE_ROW, (0,), 1),
    ((2, 2), np.array([1, 0]), None, 0),
)
_SEVERAL_ERRORS: Any = (
    (bad_shape, r"indices must have a row per indexed axis, got \(\)", np.array(1), None, 0),
    (bad_shape, "axes must be one per row of the indices, got .0,. for 2 rows", _ROWS, (0,), 0),
    (bad_shape, "axes must be one per row of the indices, got 0 for 2 rows", _ROWS, 0, 0),
    (bad_shape, r"axes must be one per row .*, got \(\) for 0 rows", _ROWS[:0], (), 0),
    (bad_shape, r"axes must differ, got \(0, -2\)", _ROWS, (0, -2), 0),
    (bad_shape, "axis must be in -2..1, got 2", _ROWS, (0, 2), 0),
    (bad_shape, "axis must be in -1..0, got 1", _ROWS, (0, 1), 1),
    (bad_dtype, _NO_INDICES + "float32", draw((2, 2)), (0, 1), 0),
    (bad_range, "must be in -4..3 on axis 1 of size 4, got 4", np.array([[0], [4]]), (0, 1), 0),
    (bad_range, "must be in -3..2 on axis 0 of size 3, got -4", np.array([[3], [-4]]), (1, 0), 0),
)
entry("index", _index, [
    *(good(draw(shape), at, axes=axes, at=place) for shape, at, axes, place in _SELECTIONS),
    *(good(draw((3, 4), d), _ROWS) for d in DTYPES),
    *(good(draw((3, 4)), (_ROWS % 3).astype(d)) for d in INTS),
    *(good(draw(_CUBE, layout=k), lay(_ROWS, k), at=1) for k in LAYOUTS),
], [
    *(error(match, draw((3, 4)), at, axes=axes, at=place)
      for error, match, at, axes, place in _SEVERAL_ERRORS),
    bad_shape("a 0-d operand has no axis, got 0", draw(), _ONE_ROW),
], lacks="scalar")
_UNFIT = r"values must broadcast to the shape that the indices select, got \(2, 4\) for \(4,\)"
entry("index_put", _index_put, [
    *(good(draw(shape), draw(_index(np.zeros(shape), at, axes, place).shape, seed=1), at, axes=axes,
           at=place) for shape, at, axes, place in _SELECTIONS),
    *(good(*two((3, 4), (4,), d, d), _ROWS) for d in DTYPES),
    *(good(*two((3, 4), (4,)), (_ROWS % 3).astype(d)) for d in INTS),
    *(good(draw(_CUBE, layout=k), draw((4, 2), layout=k), lay(_ROWS, k)) for k in LAYOUTS),
    good(draw(_CUBE), draw((2,)), _ROWS), good(draw(_CUBE), draw((2, 1)), _ROWS, at=1),
    good(draw((3, 4)), 7.5, _ROWS), good(draw((3, 4), "int32"), 7, _ROWS),
    good(draw((3, 4)), draw((), "float64"), _ROWS),
], [
    *(error(match, draw((3, 4)), 0.0, at, axes=axes, at=place)
      for error, match, at, axes, place in _SEVERAL_ERRORS),
    bad_shape(r"must broadcast, got \(3,\) and \(4,\)", draw((3, 4)), draw((3,)), _ROWS),
    bad_shape(_UNFIT, *two((3, 4), (2, 4)), _ROWS),
    bad_dtype("value must be real for float32, got complex64", draw((3, 4)), 1j, _ROWS),
], lacks="scalar")
entry("index_add", _index_add, [
    *(good(draw(_index(np.zeros(shape), at, axes, place).shape), at, shape=shape, axes=axes,
           at=place) for shape, at, axes, place in _SELECTIONS),
    *(good(draw((4,), d), _ROWS, shape=(3, 4)) for d in NUMBERS),
    *(good(draw((4,)), (_ROWS % 3).astype(d), shape=(3, 4)) for d in INTS),
    *(good(draw((4, 2), layout=k), lay(_ROWS, k), shape=_CUBE) for k in LAYOUTS),
], [
    *(error(match, draw((1,) if error is bad_range else (4,)), at, shape=(3, 4), axes=axes,
            at=place) for error, match, at, axes, place in _SEVERAL_ERRORS),
    bad_shape(_UNGATHERED, draw((3,)), _ROWS, shape=(3, 4)),
])
