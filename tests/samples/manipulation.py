"""Samples of the manipulation operators."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import (
    DTYPES,
    INTS,
    MIXED,
    NO_INTEGER,
    NO_SIZE,
    SIGNED,
    UNARY_ERRORS,
    bad_dtype,
    bad_shape,
    draw,
    entry,
    good,
    kinds,
    layouts,
    moved,
    two,
    unary,
)

# The formatter would give every sample lines of its own.
# fmt: off

_NO_RESHAPE = "sizes must keep the number of elements, got "
moved("reshape", "shape",
    (((2, 3, 2), (3, -1)), ((6,), (2, 3)), ((), (1, 1)), ((1,), ()), ((0, 3), (-1, 3)), ((4,), 4),
     ((2, 2), -1), ((0, 3), (3, 0, 5))), (
        ((4,), (3,), _NO_RESHAPE + r"\(4,\) to \(3,\)"),
        ((6,), (-1, 4), _NO_RESHAPE + r"\(6,\) to \(-1, 4\)"),
        ((6,), (-1, 0), _NO_RESHAPE + r"\(6,\) to \(-1, 0\)"),
        ((0, 3), (-1, 0), r"got \(0, 3\) to \(-1, 0\)"), ((6,), (-1, -1), NO_SIZE + "-1"),
        ((6,), (2.5,), NO_SIZE + "2.5"), ((6,), 2.5, NO_SIZE + "2.5"),
    ), lambda x, shape: np.array(list(x.flat), x.dtype).reshape(shape))
moved("permute_dims", "axes",
    (((2, 3, 4), (2, 0, 1)), ((2, 3), None), ((), ()), ((2, 0), (1, 0)), ((2, 3, 4), (-1, 0, 1))), (
        ((2, 3), (0, 0), r"axes must be a permutation of 2 axes, got \(0, 0\)"),
        ((2, 3), (0,), r"axes must be a permutation of 2 axes, got \(0,\)"),
        ((2, 3), 1, "axes must be a permutation of 2 axes, got 1"),
        ((2, 3), (0, 2), "axis must be in -2..1, got 2"),
    ), lambda x, axes: np.moveaxis(x, range(x.ndim)[::-1] if axes is None else axes, range(x.ndim)))
moved("broadcast_to", "shape",
    (((3, 1), (2, 3, 4)), ((3,), (3,)), ((), (2, 2)), ((1,), (0,)), ((0, 1), (0, 2)), ((), 3)), (
        ((3,), (2,), r"shapes must broadcast, got \(3,\) and \(2,\)"),
        ((2, 3), (3,), r"operand must broadcast to the shape, got \(2, 3\) to \(3,\)"),
        ((1,), (-1,), NO_SIZE + "-1"),
    ), lambda x, shape: x + np.zeros(shape, x.dtype))
def _expanded(x: Any, axis: Any) -> np.ndarray:
    axes = axis if isinstance(axis, tuple) else (axis,)
    ndim = x.ndim + len(axes)
    shape = list(x.shape)
    for a in sorted(a % ndim for a in axes):
        shape.insert(a, 1)
    return x.reshape(shape)
moved("expand_dims", "axis",
    (((2, 3), 1), ((2, 3), -1), ((2, 3), -3), ((), 0), ((0,), 1), ((2, 3), (0, 2)),
     ((2, 3), (-1, 0, 2)), ((2, 3), ()), ((), (0, 1))), (
        ((3,), 2, "axis must be in -2..1, got 2"), ((3,), (0, -4), "axis must be in -3..2, got -4"),
        ((3,), 0.5, "axis must be a whole number, got 0.5"),
        ((3,), (0, -3), r"axes must differ, got \(0, -3\)"),
    ), _expanded)

def _squeezed(x: Any, axis: Any) -> np.ndarray:
    axes = range(x.ndim) if axis is None else np.atleast_1d(np.mod(axis, x.ndim))
    return x.reshape([n for i, n in enumerate(x.shape) if n != 1 or i not in axes])
moved("squeeze", "axis",
    (((2, 1, 3), 1), ((1, 2, 1), None), ((1, 2, 1), (0, -1)), ((), None), ((0, 1), -1)), (
        ((2, 1), 0, r"a squeezed axis must have size 1, got \(2, 1\), axis 0"),
        ((2, 1), 2, "axis must be in -2..1, got 2"),
        ((1, 1), (0, 0), r"axes must differ, got \(0, 0\)"),
    ), _squeezed)
entry("stop_gradient", lambda x: x, unary(dtypes=DTYPES), UNARY_ERRORS)

def _concat(*xs: Any, axis: int) -> np.ndarray:
    rows = [row for x in xs for row in np.moveaxis(x, axis, 0)]
    rest = np.delete(xs[0].shape, axis).astype(int)
    return np.moveaxis(np.array(rows, xs[0].dtype).reshape(len(rows), *rest), 0, axis)
_PIECES: Any = (
    (((2,), (3,), (1,)), 0), (((2, 3), (2, 1)), 1), (((2, 3), (1, 3)), -2), (((0,), (2,)), 0),
    (((2, 0), (2, 0)), 0), (((2,),), 0),
)
_NO_CONCAT = "shapes must agree but for axis 0, got "
entry("concat", _concat, [
    *(good(*(draw(s, seed=i) for i, s in enumerate(xs)), axis=axis) for xs, axis in _PIECES),
    *(good(*two((2, 2), (1, 2), d, d)) for d in DTYPES),
    *(good(*two((2, 2), (1, 2), d, e)) for d, e in MIXED), *layouts((3, 2), axis=1),
], [
    bad_shape("at least one operand is needed, got none"),
    bad_shape(_NO_CONCAT + r"\(2, 3\) and \(2, 2\)", *two((2, 3), (2, 2)), axis=0),
    bad_shape(_NO_CONCAT + r"\(2,\) and \(2, 1\)", *two((2,), (2, 1))),
    bad_shape("a 0-d operand has no axis, got 0", *two((), ())),
    bad_shape("axis must be in -1..0, got 1", *two((2,), (2,)), axis=1),
    bad_dtype(NO_INTEGER, *SIGNED),
], lacks="scalar")

def _stacked(*xs: Any, axis: int) -> np.ndarray:
    axis %= xs[0].ndim + 1
    out = np.zeros((*xs[0].shape[:axis], len(xs), *xs[0].shape[axis:]), xs[0].dtype)
    for i, x in enumerate(xs):
        out[(*[slice(None)] * axis, i)] = x
    return out
_NO_STACK = "shapes must agree, got "
entry("stack", _stacked, [
    *(good(*two((2, 3), (2, 3)), axis=axis) for axis in (0, 1, 2, -1, -3)),
    *(good(*two(shape, shape)) for shape in ((), (0,), (2, 0))), good(draw((3,))),
    good(draw((2,)), draw((2,), seed=1), draw((2,), seed=2), axis=-1),
    *(good(*two((2, 2), (2, 2), d, d)) for d in DTYPES),
    *(good(*two((2,), (2,), d, e)) for d, e in MIXED), *layouts((3, 2), axis=1),
], [
    bad_shape("at least one operand is needed, got none"),
    bad_shape(_NO_STACK + r"\(2, 3\) and \(3,\)", *two((2, 3), (3,))),
    bad_shape(_NO_STACK + r"\(1,\) and \(3,\)", *two((1,), (3,))),
    bad_shape("axis must be in -2..1, got 2", *two((2,), (2,)), axis=2),
    bad_dtype(NO_INTEGER, *SIGNED),
])

def _rolled(x: Any, shift: Any, axis: Any) -> np.ndarray:
    axes = axis if isinstance(axis, tuple) else (axis,)
    for s, a in zip(shift if isinstance(shift, tuple) else (shift,) * len(axes), axes):
        for _ in range(s % max(1, x.shape[a])):
            last, rest = np.split(x, [-1], a)[::-1]
            x = np.concatenate([last, rest], a)
    return x
_ROLLS: Any = (
    ((5,), 2, 0), ((5,), -7, -1), ((3, 4), (1, 2), (1, 0)), ((3, 4), 1, (0, -1)), ((0,), 3, 0),
    ((2, 0), 1, 0), ((3, 1), 0, 0), ((3,), np.int64(1), 0), ((), (), ()),
)
entry("roll", _rolled, [
    *(good(draw(shape), shift=shift, axis=axis) for shape, shift, axis in _ROLLS),
    *kinds((3, 4), shift=1, axis=1),
], [
    bad_shape("axis must be in -1..0, got 1", draw((3,)), shift=1, axis=1),
    bad_shape(r"axes must differ, got \(0, -2\)", draw((3, 4)), shift=1, axis=(0, -2)),
    bad_shape(r"shifts must be one per axis, got \(1, 2\) for 0", draw((3,)), shift=(1, 2), axis=0),
    bad_shape("a shift must be a whole number, got 0.5", draw((3,)), shift=0.5, axis=0),
    bad_shape("a 0-d operand has no axis, got 0", draw(), shift=1, axis=0),
])

_TIMES = np.array([2, 0, 1])
entry("repeat_positions", lambda repeats, size: np.array(
    [at for at, times in enumerate(np.broadcast_to(repeats, size)) for _ in range(times)], int
), [
    *(good(_TIMES.astype(d), size=3) for d in INTS), good(_TIMES[::-1], size=3),
    good(np.arange(6)[::2], size=3), good(np.array([2]), size=4), good(np.array(2), size=3),
    good(np.array([], int), size=0), good(np.array([2]), size=0), good(_TIMES * 0, size=3),
], [
    bad_dtype("repeats must be integers, got float32", draw((3,)), size=3),
    bad_shape(r"one number or one per element, got \(3,\) for 2 elements", _TIMES, size=2),
    bad_shape(NO_SIZE + "-1", _TIMES, size=-1),
], lacks="floats")
