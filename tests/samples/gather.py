"""Samples of the operators that gather and scatter along an axis, line by line."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import (
    DTYPES,
    FLOATS,
    INTS,
    LAYOUTS,
    NO_SIZE,
    NUMBERS,
    bad_dtype,
    bad_range,
    bad_shape,
    draw,
    entry,
    good,
    lay,
)

# The formatter would give every sample lines of its own.
# fmt: off

def _selected(shape: Any, indices: Any, axis: int) -> tuple[int, ...]:
    return tuple(
        n if a == axis % len(shape) else max(m, n) if m and n else 0
        for a, (m, n) in enumerate(zip(shape, indices.shape))
    )

def _lines(shape: Any, indices: Any, axis: int) -> Any:
    """Per element that is selected, its place and the position that it comes from."""
    for place in np.ndindex(_selected(shape, indices, axis)):
        source = [i if n > 1 else 0 for i, n in zip(place, shape)]
        row = tuple(i if n > 1 else 0 for i, n in zip(place, indices.shape))
        source[axis] = int(indices[row])
        yield place, tuple(source)

def _take(x: Any, indices: Any, axis: int) -> np.ndarray:
    found = np.zeros(_selected(x.shape, indices, axis), x.dtype)
    for place, source in _lines(x.shape, indices, axis):
        found[place] = x[source]
    return found

def _add(g: Any, indices: Any, axis: int, shape: Any) -> np.ndarray:
    out = np.zeros(shape, g.dtype)
    for place, source in _lines(shape, indices, axis):
        out[source] += g[place]
    return out

def _put(x: Any, indices: Any, values: Any, axis: int) -> np.ndarray:
    out = x.copy()
    values = np.broadcast_to(values, _selected(x.shape, indices, axis))
    for place, source in _lines(x.shape, indices, axis):
        out[source] = values[place]
    return out

_AT = draw((3, 2), "int64", -4, 3)
_LINES: Any = (
    ((3, 4), _AT, 1), ((3, 4), draw((5, 4), "int64", -3, 2), 0), ((3, 4), _AT[:1], -1),
    ((4,), np.array([3, 3, 0]), 0), ((2, 3, 2), draw((2, 1, 2), "int64", -3, 2), 1),
    ((3, 4), _AT[:, :0], 1), ((0, 4), _AT[:0], 1), ((2, 0), np.zeros((2, 0), int), 1),
)
_SPREAD: Any = (((1, 4), _AT, 1), ((2, 1, 2), draw((1, 3, 1), "int64", -1, 0), 1))
_ALONG_ERRORS: Any = (
    (bad_shape, r"indices must have as many axes as the operand, got \(2,\) for \(3, 4\)",
     np.array([0, 1]), 1),
    (bad_shape, r"shapes must broadcast but for axis 1, got \(3, 4\) and \(2, 2\)", _AT[:2], 1),
    (bad_shape, "axis must be in -2..1, got 2", _AT, 2),
    (bad_dtype, "indices must be integers, got float32", draw((3, 2)), 1),
    (bad_range, "must be in -4..3 on axis 1 of size 4, got 4", _AT * 0 + 4, 1),
    (bad_range, "must be in -4..3 on axis 1 of size 4, got -5", _AT * 0 - 5, 1),
)
entry("take_along_axis", _take, [
    *(good(draw(shape), at, axis=axis) for shape, at, axis in (*_LINES, *_SPREAD)),
    *(good(draw((3, 4), d), _AT) for d in DTYPES),
    *(good(draw((3, 4)), (_AT % 4).astype(d)) for d in INTS),
    *(good(draw((3, 4), layout=k), lay(_AT, k)) for k in LAYOUTS),
], [
    *(error(match, draw((3, 4)), at, axis=axis) for error, match, at, axis in _ALONG_ERRORS),
    bad_shape("a 0-d operand has no axis, got -1", draw(), np.array(0)),
], lacks="scalar")
entry("add_along_axis", _add, [
    *(good(draw(_selected(shape, at, axis)), at, axis=axis, shape=shape)
      for shape, at, axis in (*_LINES, *_SPREAD)),
    *(good(draw((3, 2), d), _AT, axis=1, shape=(3, 4)) for d in NUMBERS),
    *(good(draw((3, 2)), (_AT % 4).astype(d), axis=1, shape=(3, 4)) for d in INTS),
    *(good(draw((3, 2), layout=k), lay(_AT, k), axis=-1, shape=(3, 4)) for k in LAYOUTS),
], [
    *(error(match, draw((3, 2)), at, axis=axis, shape=(3, 4))
      for error, match, at, axis in _ALONG_ERRORS),
    bad_shape(r"operand must have the shape that the indices select, got \(3,\) for \(3, 2\)",
              draw((3,)), _AT, axis=1, shape=(3, 4)),
], lacks="scalar")
_UNFIT = r"values must broadcast to the shape that the indices select, got \(1, 3, 2\) for \(3, 2\)"
entry("put_along_axis", _put, [
    *(good(draw(s), at, draw(_selected(s, at, axis), seed=1), axis=axis) for s, at, axis in _LINES),
    *(good(draw((3, 4), d), _AT, draw((3, 2), d, seed=1)) for d in DTYPES),
    *(good(draw((3, 4)), (_AT % 4).astype(d), draw((2,), seed=1)) for d in INTS),
    *(good(draw((3, 4), layout=k), lay(_AT, k), draw((3, 2), layout=k)) for k in LAYOUTS),
    good(draw((3, 4)), _AT, 7.5), good(draw((3, 4), "int32"), _AT, 7),
    good(draw((3, 4)), _AT, draw((), "float64")),
], [
    *(error(match, draw((3, 4)), at, 0.0, axis=axis) for error, match, at, axis in _ALONG_ERRORS),
    bad_shape(_UNFIT, draw((3, 4)), _AT, draw((1, 3, 2))),
    bad_shape(r"must broadcast, got \(3,\) and \(3, 2\)", draw((3, 4)), _AT, draw((3,))),
    bad_shape(r"indices must not repeat the operand, got \(3, 2\) for \(1, 4\)", draw((1, 4)), _AT,
              0.0),
    bad_dtype("value must be real for float32, got complex64", draw((3, 4)), _AT, 1j),
], lacks="scalar")

def _one_hot(x: Any, num_classes: int, dtype: Any) -> np.ndarray:
    return np.array([i == c for i in x.flat for c in range(num_classes)], int).reshape(
        *x.shape, num_classes
    )
_CLASSES = draw((2, 3), "int64", 0, 4)
entry("one_hot", _one_hot, [
    *(good(draw(shape, "int64", 0, 4), num_classes=5) for shape in ((), (4,), (0,), (2, 0))),
    *(good(_CLASSES.astype(d), num_classes=5) for d in INTS),
    *(good(_CLASSES, num_classes=5, dtype=d) for d in ("bool", "int32", *FLOATS)),
    *(good(lay(_CLASSES, k), num_classes=6) for k in LAYOUTS),
    good(draw((0,), "int64"), num_classes=0),
], [
    bad_dtype("indices must be integers, got float32", draw((3,)), num_classes=3),
    bad_range("indices must be in 0..2, got 3", np.array([0, 3]), num_classes=3),
    bad_range("indices must be in 0..2, got -1", np.array([0, -1]), num_classes=3),
    bad_range("indices must be in 0..-1, got 0", np.array([0]), num_classes=0),
    bad_shape(NO_SIZE + "-1", np.array([0]), num_classes=-1),
    bad_dtype("dtype: must be one of", np.array([0]), num_classes=1, dtype="object"),
], lacks="floats")
