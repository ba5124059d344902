"""Samples of the neural operators."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .base import (
    AXIS_ERRORS,
    bad_dtype,
    bad_shape,
    draw,
    entry,
    good,
    kinds,
    rough,
)

# The formatter would give every sample lines of its own.
# fmt: off

def _softmax(x: Any, axis: int = -1) -> np.ndarray:
    rows = np.moveaxis(x, axis, -1)
    ratios = np.exp(rows[..., None, :] - rows[..., :, None])
    return np.moveaxis(1 / ratios.sum(-1), -1, axis)

def _log_softmax(x: Any, axis: int) -> np.ndarray:
    top = np.max(x, axis=axis, keepdims=True, initial=-math.inf)
    return x - top - np.log(np.exp(x - top).sum(axis=axis, keepdims=True))
_OVER = (((3,), 0), ((2, 3), -1), ((2, 3), 0), ((0, 3), 1), ((2, 3, 2), 1))
for _name, _normalised in (("softmax", _softmax), ("log_softmax", _log_softmax)):
    entry(_name, _normalised, [
        *(good(draw(shape), axis=axis) for shape, axis in _OVER),
        *kinds((3, 4), axis=0), *kinds((3, 4), axis=1),
        rough(np.array([[1e4, 0.0, -1e4], [-1e4] * 3])),
    ], [
        *AXIS_ERRORS, bad_shape("axis must be a whole number, got None", draw((2, 3)), axis=None),
        bad_shape(r"the axis must not be empty, got \(2, 0\)", draw((2, 0))),
        bad_dtype("operands must be real, got complex64", draw((2,), "complex64")),
    ], lacks="scalar")
