"""Samples of the linalg operators."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import (
    COMPLEX,
    DTYPES,
    FLOATS,
    LAYOUTS,
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
    kinds,
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
    *(good(*two(x, y)) for x, y in _PRODUCTS),
    *(good(*two((2, 3), (3, 2), d, d)) for d in (*NUMBERS, *COMPLEX)),
    *(good(*two((2, 3), (3, 2), d, e)) for d, e in MIXED), *layouts((3, 3)),
], [
    bad_shape(_INNER + r"\(3, 4\) @ \(5, 2\)", *two((3, 4), (5, 2))),
    bad_shape(_INNER + r"\(3,\) @ \(2,\)", *two((3,), (2,))),
    bad_shape(_NO_AXES + r"\(\) @ \(2, 2\)", *two((), (2, 2))),
    bad_shape(_NO_AXES + r"\(2, 2\) @ \(\)", draw((2, 2)), 2.0),
    bad_shape(r"must broadcast, got \(2, 2, 2\) @ \(3, 2, 2\)", *two((2, 2, 2), (3, 2, 2))),
    bad_dtype(NO_BOOL, *two((2, 2), (2, 2), "bool", "bool")), bad_dtype(NO_INTEGER, *SIGNED),
], lacks="scalar")

def _vectors(axis_size: int) -> Any:
    """Calls of an operator on vectors of a size."""
    n = axis_size
    pairs = (((n,), (n,), -1), ((2, n), (n,), -1), ((n, 2), (n, 1), -2), ((2, 1, n), (3, n), -1),
             ((n, 2), (n, 2), 0), ((0, n), (n,), -1), ((n, 0), (n, 2), -2), ((2, n), (2, n), 1))
    return [
        *(good(*two(x, y), axis=axis) for x, y, axis in pairs if 0 not in x or y[-1] != 2),
        *(good(*two((2, n), (2, n), d, d)) for d in (*FLOATS, *COMPLEX, "int8", "int64", "uint8")),
        *(good(*two((2, n), (n,), d, e)) for d, e in MIXED), *layouts((n, n)),
    ]
_VECTOR_ERRORS = [
    bad_dtype(NO_BOOL, *two((3,), (3,), "bool", "bool")),
    bad_dtype(NO_INTEGER, draw((3,), "uint64"), draw((3,), "int8")),
    bad_shape(r"must broadcast, got \(2(, 3|,)\) and \(4(, 3|,)\)", *two((2, 3), (4, 3))),
    bad_shape("in -1..-1, got -2", *two((2, 3), (3,)), axis=-2),
    bad_shape("in -1..-1, got 0", *two((2, 3), (3,)), axis=0),
    bad_shape("axis must be in -2..1, got 2", *two((2, 3), (2, 3)), axis=2),
    bad_shape("a 0-d operand has no axis, got -1", *two((), (3,))),
    bad_shape("axis must be a whole number, got 0.5", *two((3,), (3,)), axis=0.5),
    bad_shape("axis must be a whole number, got True", *two((3,), (3,)), axis=True),
]
entry("vecdot", lambda x, y, axis: (x.conj() * y).sum(axis), [
    *_vectors(3), good(*two((0,), (0,))), good(*two((2, 0), (0,))),
], [
    bad_shape(r"must have one size, got \(3,\) and \(2,\), axis -1", *two((3,), (2,))),
    bad_shape(r"must have one size, got \(3,\) and \(1,\), axis -1", *two((3,), (1,))),
    *_VECTOR_ERRORS,
], lacks="scalar")
entry("cross", lambda x, y, axis: np.cross(x, y, axis=axis), _vectors(3), [
    bad_shape(r"must have size 3, got \(2,\) and \(2,\), axis -1", *two((2,), (2,))),
    bad_shape(r"must have size 3, got \(3,\) and \(1,\), axis -1", *two((3,), (1,))),
    *_VECTOR_ERRORS,
], lacks="scalar")

def _diagonal(x: Any, offset: int) -> np.ndarray:
    pairs = [(i, i + offset) for i in range(x.shape[-2]) if 0 <= i + offset < x.shape[-1]]
    return x[..., [i for i, _ in pairs], [j for _, j in pairs]] if pairs else x[..., 0:0].reshape(
        *x.shape[:-2], 0)
_DIAGONALS = (
    ((2, 3), 0), ((2, 3), 1), ((3, 2), -1), ((2, 3), 2), ((2, 3), -1), ((2, 2, 2), 0), ((0, 3), 0),
    ((2, 0), 0), ((2, 3), 3), ((2, 3), -5), ((3, 1), 0), ((0, 2, 2), 0),
)
_TOO_FEW = r"operands must have at least two axes, got \("
entry("diagonal", _diagonal, [
    *(good(draw(s), offset=k) for s, k in _DIAGONALS),
    *kinds((3, 4), (*DTYPES, *COMPLEX), offset=1),
], [
    bad_shape(_TOO_FEW, draw()), bad_shape(_TOO_FEW + "3", draw((3,))),
    bad_shape("offset must be a whole number, got 0.5", draw((2, 2)), offset=0.5),
    bad_shape("offset must be a whole number, got True", draw((2, 2)), offset=True),
], lacks="scalar")

def _scattered(g: Any, offset: int, shape: Any) -> np.ndarray:
    whole = np.zeros(shape, g.dtype)
    for i in range(g.shape[-1]):
        whole[..., i + max(0, -offset), i + max(0, offset)] = g[..., i]
    return whole
entry("scatter_diagonal", _scattered, [
    *(good(draw(_diagonal(draw(s), k).shape), offset=k, shape=s) for s, k in _DIAGONALS),
    *(good(draw((3,), d), offset=1, shape=(3, 4)) for d in (*DTYPES, *COMPLEX)),
    *(good(draw((2, 3), layout=k), offset=-1, shape=(2, 4, 3)) for k in LAYOUTS),
], [
    bad_shape(r"the diagonal, got \(2,\) for \(3,\)", draw((2,)), offset=0, shape=(3, 3)),
    bad_shape(r"the diagonal, got \(\) for \(3,\)", draw(), offset=0, shape=(3, 3)),
    bad_shape(_TOO_FEW + "3", draw((3,)), offset=0, shape=(3,)),
    bad_shape("offset must be a whole number, got None", draw((3,)), offset=None, shape=(3, 3)),
    bad_shape("must be a whole number of at least 0, got -1", draw((3,)), offset=0, shape=(3, -1)),
], lacks="scalar")
