"""Samples of the neural operators."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .base import (
    AXIS_ERRORS,
    FLOATS,
    INTS,
    LAYOUTS,
    bad_dtype,
    bad_range,
    bad_shape,
    draw,
    entry,
    good,
    kinds,
    lay,
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
    ], lacks="scalar")

def _cross_entropy(logits: Any, labels: Any) -> np.ndarray:
    p = _softmax(logits).reshape(-1, logits.shape[-1])
    return np.mean([-np.log(row[label]) for row, label in zip(p, labels.ravel())])

def _cross_entropy_grad(logits: Any, labels: Any, g: Any) -> np.ndarray:
    hot = np.arange(logits.shape[-1]) == labels[..., None]
    return (_softmax(logits) - hot) * (g / labels.size)

def _labels(shape: Any, dtype: str = "int64") -> np.ndarray:
    return draw(shape, dtype, 0, 2, seed=3)
_LOGITS = draw((2, 3))
_NO_LABELS = "labels must have the shape of logits without its last axis, got "
for _name, _loss, _g in (
    ("cross_entropy", _cross_entropy, ()),
    ("cross_entropy_grad", _cross_entropy_grad, (draw(),)),
):
    entry(_name, _loss, [
        *(good(draw((*rows, 3)), _labels(rows), *_g) for rows in ((4,), (1,), (2, 2), ())),
        *(good(draw((n, 3), d), _labels((n,)), *(x.astype(d) for x in _g))
          for d in FLOATS for n in (3, 5, 6, 7)),
        *(good(draw((4, 3)), _labels((4,), d), *_g) for d in INTS),
        *(good(draw((4, 3), layout=k), lay(_labels((4,)), k), *_g) for k in LAYOUTS),
        *(good(_LOGITS, _labels((2,)), g) for x in _g for g in (2.0, *map(x.astype, FLOATS))),
    ], [
        bad_shape(_NO_LABELS + r"\(3,\) for \(2, 3\)", _LOGITS, _labels((3,)), *_g),
        bad_shape(_NO_LABELS + r"\(\) for \(\)", draw(), _labels(()), *_g),
        bad_dtype("labels must be integers, got float32", _LOGITS, draw((2,)), *_g),
        bad_dtype("logits must be floats, got int64", _labels((2, 3)), _labels((2,)), *_g),
        bad_shape(r"must not be empty, got \(0, 3\)", draw((0, 3)), _labels((0,)), *_g),
        bad_range("must be in 0..2, got 3", _LOGITS, np.array([0, 3]), *_g),
        bad_range("must be in 0..2, got -1", _LOGITS, np.array([-1, 0]), *_g),
        *(bad_shape(r"got \(2,\)", _LOGITS, _labels((2,)), draw((2,))) for _ in _g),
    ], lacks="empty")
