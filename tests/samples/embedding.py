"""Samples of embedding."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.graphs.errors import ArgumentError

from .base import (
    FLOATS,
    INTS,
    LAYOUTS,
    bad,
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

def _embedding(indices: Any, weight: Any, padding_idx: Any) -> np.ndarray:
    rows = [weight[int(i)] for i in indices.flat]
    return np.array(rows).reshape(*indices.shape, weight.shape[1])

def _embedding_grad(g: Any, indices: Any, count: int, padding_idx: Any) -> np.ndarray:
    hot = np.equal.outer(indices, np.arange(count)).reshape(indices.size, count).astype(float)
    if padding_idx is not None:
        hot[:, padding_idx] = 0
    return hot.T @ g.reshape(len(hot), g.shape[-1])

def _indices(shape: Any, dtype: str = "int64", layout: str = "") -> np.ndarray:
    return lay(draw(shape, dtype, 0, 3, seed=5), layout)

_W = draw((4, 2))
_NO_PADDING = "padding_idx must be in -4..3, got "
entry("embedding", _embedding, [
    *(good(_indices(shape), _W) for shape in ((3,), (2, 3), (), (0,))),
    *(good(_indices((3,)), _W, padding_idx=p) for p in (0, -1)),
    *(good(_indices((2,), d), draw((4, 3))) for d in INTS),
    *(good(_indices((3,)), draw((4, 2), d)) for d in (*FLOATS, "int32", "bool", "complex64")),
    *(good(_indices((2, 2), layout=k), draw((4, 3), layout=k)) for k in LAYOUTS),
    good(_indices((2,)), draw((4, 0))),
], [
    bad_shape(r"weight must have shape \(rows, width\), got \(4,\)", _indices((2,)), draw((4,))),
    bad_dtype("indices must be integers, got float32", draw((2,)), _W),
    bad_dtype("indices must be integers, got bool", draw((2,), "bool"), _W),
    bad(ArgumentError, _NO_PADDING + "4", _indices((2,)), _W, padding_idx=4),
    bad(ArgumentError, "padding_idx must be a whole number, got 1.5", _indices((2,)), _W,
        padding_idx=1.5),
    bad_range("indices must be in 0..3, got 4", np.array([0, 4]), _W),
    bad_range("indices must be in 0..3, got -1", np.array([0, -1]), _W),
    bad_range("indices must be in 0..-1, got 0", np.array([0]), _W[:0]),
])
_G = draw((3, 2))
entry("embedding_grad", _embedding_grad, [
    *(good(draw((*shape, 2)), _indices(shape), count=4) for shape in ((3,), (2, 3), (), (0,))),
    *(good(_G, _indices((3,)), count=4, padding_idx=p) for p in (int(_indices((3,))[0]), -1)),
    *(good(draw((2, 3)), _indices((2,), d), count=5) for d in INTS),
    *(good(draw((5, 2), d), _indices((5,)), count=4) for d in FLOATS),
    *(good(draw((2, 2, 3), layout=k), _indices((2, 2), layout=k), count=4) for k in LAYOUTS),
    good(draw((2, 0)), _indices((2,)), count=4), good(draw((0, 2)), _indices((0,)), count=0),
], [
    bad_shape(r"the cotangent must have a row for each index, got \(3, 2\) for \(2,\)", _G,
              _indices((2,)), count=4),
    bad_shape(r"the cotangent must have a row for each index, got \(3,\) for \(3,\)", _G[:, 0],
              _indices((3,)), count=4),
    bad_dtype("indices must be integers, got float32", _G, draw((3,)), count=4),
    bad(ArgumentError, "count must be a whole number of at least 0, got -1", _G, _indices((3,)),
        count=-1),
    bad(ArgumentError, _NO_PADDING + "-5", _G, _indices((3,)), count=4, padding_idx=-5),
    bad_range("indices must be in 0..3, got 4", _G, np.array([0, 4, 1]), count=4),
    bad_range("indices must be in 0..3, got -1", _G, np.array([0, -1, 1]), count=4),
], lacks="scalar")
