"""Samples of the linalg operators."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import (
    MIXED,
    NO_BOOL,
    NO_INTEGER,
    NUMBERS,
    SIGNED,
    bad_dtype,
    bad_shape,
    draw,
    entry,
    good,
    layouts,
    two,
)

# The formatter would give every sample lines of its own.
# fmt: off

def _matmul(x: Any, y: Any) -> np.ndarray:
    a = x[None] if x.ndim == 1 else x
    b = y[:, None] if y.ndim == 1 else y
    z = (a[..., :, :, None] * b[..., None, :, :]).sum(-2)
    z = z[..., 0] if y.ndim == 1 else z
    row = z.ndim - (1 if y.ndim == 1 else 2)
    return z.take(0, axis=row) if x.ndim == 1 else z
_PRODUCTS = (
    ((2, 3), (3, 4)), ((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((2, 2, 3), (3, 2)),
    ((2, 1, 2, 3), (3, 3, 2)), ((3,), (2, 3, 2)), ((2, 2, 3), (3,)), ((2, 0), (0, 3)),
    ((0, 2), (2, 3)), ((0, 2, 2), (2, 2)), ((1, 1), (1, 1)),
)
_INNER, _NO_AXES = "inner dimensions must match, got ", "operands must have at least one axis, got "
entry("matmul", _matmul, [
    *(good(*two(x, y)) for x, y in _PRODUCTS), *(good(*two((2, 3), (3, 2), d, d)) for d in NUMBERS),
    *(good(*two((2, 3), (3, 2), d, e)) for d, e in MIXED), *layouts((3, 3)),
], [
    bad_shape(_INNER + r"\(3, 4\) @ \(5, 2\)", *two((3, 4), (5, 2))),
    bad_shape(_INNER + r"\(3,\) @ \(2,\)", *two((3,), (2,))),
    bad_shape(_NO_AXES + r"\(\) @ \(2, 2\)", *two((), (2, 2))),
    bad_shape(_NO_AXES + r"\(2, 2\) @ \(\)", draw((2, 2)), 2.0),
    bad_shape(r"must broadcast, got \(2, 2, 2\) @ \(3, 2, 2\)", *two((2, 2, 2), (3, 2, 2))),
    bad_dtype(NO_BOOL, *two((2, 2), (2, 2), "bool", "bool")), bad_dtype(NO_INTEGER, *SIGNED),
], lacks="scalar")
