"""Samples of resampling."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from diptych.graphs.errors import ArgumentError

from .base import FLOATS, LAYOUTS, NO_SIZE, bad, bad_dtype, bad_shape, draw, entry, good
from .convolution import per_axis

# The formatter would give every sample lines of its own.
# fmt: off

def _parts(length: int, n: int, factor: Any, mode: str, align_corners: bool) -> np.ndarray:
    """How much each of `n` results takes of each number of an axis, by exact fractions."""
    ratio = Fraction(length, n) if factor is None else 1 / Fraction(factor)
    parts = np.zeros((n, length))
    for i in range(n):
        if mode == "nearest":
            place = Fraction(min(int(i * ratio), length - 1))
        elif align_corners:
            place = Fraction(i * (length - 1), max(n - 1, 1))
        else:
            place = min(max((i + Fraction(1, 2)) * ratio - Fraction(1, 2), Fraction(0)),
                        Fraction(length - 1))
        for j in range(length):
            parts[i, j] = max(1 - abs(place - j), 0)
    return parts

def _matrices(lengths: Any, sizes: Any, scale_factor: Any, *mode: Any) -> list[np.ndarray]:
    factors = per_axis(scale_factor, len(lengths))
    return [_parts(m, n, f, *mode) for m, n, f in zip(lengths, sizes, factors)]

def _applied(x: Any, matrices: list[np.ndarray]) -> np.ndarray:
    for axis, matrix in enumerate(matrices, 2):
        x = np.moveaxis(np.tensordot(matrix, x, (1, axis)), 0, axis)
    return x

def _interpolate(x: Any, size: Any, scale_factor: Any, mode: str, align_corners: bool
                 ) -> np.ndarray:
    lengths = x.shape[2:]
    factors = per_axis(scale_factor, len(lengths))
    if size is None:
        size = tuple(int(n * f) for n, f in zip(lengths, factors))
    sizes = per_axis(size, len(lengths))
    return _applied(x, _matrices(lengths, sizes, scale_factor, mode, align_corners))

def _interpolate_grad(g: Any, size: Any, scale_factor: Any, mode: str, align_corners: bool
                      ) -> np.ndarray:
    lengths = per_axis(size, g.ndim - 2)
    matrices = _matrices(lengths, g.shape[2:], scale_factor, mode, align_corners)
    return _applied(g, [m.T for m in matrices])

_CASES: Any = (
    ((2, 1, 3), {"size": 5}), ((1, 2, 3), {"size": (2,)}), ((1, 1, 3), {"scale_factor": 2}),
    ((1, 1, 5), {"scale_factor": 1.5}), ((1, 1, 4), {"size": 6, "mode": "linear"}),
    ((1, 1, 4), {"size": 6, "mode": "linear", "align_corners": True}),
    ((1, 1, 3), {"size": 1, "mode": "linear", "align_corners": True}),
    ((1, 1, 1), {"size": 3, "mode": "linear"}), ((0, 1, 2), {"size": 3}),
    ((1, 1, 2, 3), {"size": (4, 5)}), ((1, 1, 3, 2), {"scale_factor": (2, 2.5)}),
    ((1, 1, 3, 3), {"size": 2, "mode": "bilinear"}),
    ((1, 2, 2, 3), {"scale_factor": 2, "mode": "bilinear"}),
    ((1, 1, 2, 3), {"size": (3, 5), "mode": "bilinear", "align_corners": True}),
    ((1, 1, 5, 2), {"scale_factor": 0.5, "mode": "bilinear"}),
)
_MAIN = ((1, 2, 2, 3), {"size": 4, "mode": "bilinear"})
_x = draw((1, 1, 3))
_MODE_ERRORS: Any = (
    (ArgumentError, "mode must be 'nearest' or 'linear', got 'bilinear'", {"mode": "bilinear"}),
    (ArgumentError, "mode must be 'nearest' or 'linear', got 2", {"mode": 2}),
    (ArgumentError, "align_corners is for linear modes, got mode 'nearest'",
     {"align_corners": True}),
    (ArgumentError, "scale_factor must be a number above 0 per spatial axis, got 0",
     {"scale_factor": 0}),
    (ArgumentError, r"scale_factor must be a number above 0 per spatial axis, got \(1, 2\)",
     {"scale_factor": (1, 2)}),
)
_SHAPE_ERRORS = [
    bad_dtype("operands must be real, got complex64", _x.astype("complex64"), size=2),
    bad_shape("operand must have a batch, channels, and 1 or 2 spatial axes, got", _x[0], size=2),
    bad_shape(r"size must have an entry above 0 per spatial axis, got \(0,\) for 1", _x, size=0),
    bad_shape(r"size must have an entry above 0 per spatial axis, got \(2, 2\)", _x, size=(2, 2)),
    bad_shape(NO_SIZE + "2.5", _x, size=2.5),
    bad_shape(r"images must not be empty, got \(1, 1, 0\)", _x[..., :0], size=2),
]
entry("interpolate", _interpolate, [
    *(good(draw(shape), **attrs) for shape, attrs in _CASES),
    *(good(draw(_MAIN[0], d), **_MAIN[1]) for d in (*FLOATS, "int8")),
    *(good(draw(_MAIN[0], layout=k), **_MAIN[1]) for k in LAYOUTS),
], [
    *_SHAPE_ERRORS,
    *(bad(error, match, _x, **{"size": 2, **attrs}) for error, match, attrs in _MODE_ERRORS),
    bad(ArgumentError, "either size or scale_factor must be given, got neither", _x),
    bad(ArgumentError, r"size and scale_factor must agree, got \(4,\) and 2", _x, size=4,
        scale_factor=2),
], lacks="scalar")

def _reversed_case(shape: Any, attrs: Any, **drawn: Any) -> Any:
    """The gradient of a case."""
    full = {"size": None, "scale_factor": None, "mode": "nearest", "align_corners": False, **attrs}
    return good(draw(_interpolate(np.zeros(shape), **full).shape, **drawn),
                **{**attrs, "size": shape[2:]})

entry("interpolate_grad", _interpolate_grad, [
    *(_reversed_case(shape, attrs) for shape, attrs in _CASES),
    *(_reversed_case(*_MAIN, dtype=d) for d in FLOATS),
    *(_reversed_case(*_MAIN, layout=k) for k in LAYOUTS),
], [
    *_SHAPE_ERRORS,
    *(bad(error, match, _x, **{"size": 2, **attrs}) for error, match, attrs in _MODE_ERRORS),
], lacks="scalar")
