"""Samples of norms, inverses and decompositions.

The matrices are well conditioned and their spectra distinct: gradients of singular and eigenvectors
divide by the gaps. LAPACK rounds more often than an element-wise kernel, in an order of its own, so
a result may be off by more units in the last place.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from diptych.graphs.dtypes import as_dtype
from diptych.graphs.errors import ArgumentError, LinAlgError

from .base import (
    AXIS_ERRORS,
    COMPLEX,
    FLOATS,
    INTS,
    LAYOUTS,
    NO_OPERAND,
    bad,
    bad_dtype,
    bad_shape,
    draw,
    entry,
    good,
    kinds,
    lay,
    rough,
)
from .reductions import over

# The formatter would give every sample lines of its own.
# fmt: off

_ULP = 64
_INEXACT = (*FLOATS, *COMPLEX)

# -- matrices --------------------------------------------------------------------------------
def _ladder(shape: Any, dtype: str = "float32", layout: str = "", seed: int = 0) -> np.ndarray:
    """Numbers up to 0.6 beside 2, 4, 6, ... on the main diagonal; of integers, 0 and 1."""
    steps = np.eye(*shape[-2:]) * (2 + 2 * np.arange(shape[-1]))
    if dtype in INTS:
        return (draw(shape, dtype, 0, 1, seed=seed) + steps).astype(dtype)
    wide = "complex128" if dtype in COMPLEX else "float64"
    return lay((draw(shape, wide, -0.6, 0.6, seed=seed) + steps).astype(as_dtype(dtype)), layout)

def _hermitian(shape: Any, dtype: str = "float32", layout: str = "", seed: int = 0) -> np.ndarray:
    """A positive definite ladder that is its own adjoint, in every bit."""
    lower = np.tril(_ladder(shape, dtype, seed=seed))
    strict = np.tril(lower, -1)
    real = lower - strict - 1j * (lower - strict).imag if dtype in COMPLEX else lower - strict
    return lay((real + strict + strict.conj().swapaxes(-1, -2)).astype(as_dtype(dtype)), layout)

_SQUARES = ((3, 3), (1, 1), (2, 2, 2), (0, 0), (2, 0, 0), (0, 2, 2))
_RECTANGLES = (
    (3, 2), (2, 3), (3, 3), (1, 2), (2, 1, 1), (2, 3, 2), (0, 3), (2, 0), (0, 0), (0, 2, 3),
)
_REALS = (*FLOATS, "int8", "int64", "uint8")
_ALL = (*_REALS, *COMPLEX)

def _each(make: Any, shapes: Any, dtypes: Iterable[str] = _ALL, **attrs: Any) -> Any:
    """Matrices in every shape, dtype and layout."""
    size = shapes[0]
    return [
        *(good(make(shape), **attrs) for shape in shapes),
        *(good(make(size, d), **attrs) for d in dtypes if d != "float32"),
        *(good(make(size, layout=k), **attrs) for k in LAYOUTS),
        good(make((2, *size), layout="transposed"), **attrs),
    ]

_SINGULAR = np.array([[1.0, 2.0], [2.0, 4.0]], "float32")
_STACK = np.stack([np.eye(2, dtype="float32"), _SINGULAR])
_NAN = np.full((2, 2), math.nan, "float32")

def refused(match: str, *args: Any, **attrs: Any) -> Any:
    return bad(LinAlgError, match, *args, **attrs)

_AXES_ERRORS = [
    bad_shape(r"at least two axes, got \(\)", draw()), bad_dtype(NO_OPERAND, "a"),
    bad_shape(r"at least two axes, got \(3,\)", draw((3,))),
]
_SQUARE_ERRORS = [*_AXES_ERRORS, bad_shape(r"must be square, got \(2, 3\)", draw((2, 3)))]
_ENDLESS = refused("the iteration must converge, got a matrix for which it does not", _NAN)

# -- inverses and determinants ---------------------------------------------------------------
def square(name: str, reference: Any, errors: Any = (), make: Any = _ladder) -> None:
    entry(name, reference, _each(make, _SQUARES), [*_SQUARE_ERRORS, *errors], "scalar", _ULP)

def _inverse(x: Any) -> np.ndarray:
    return np.linalg.solve(x, np.broadcast_to(np.eye(x.shape[-1]), x.shape))

def _det(x: Any) -> np.ndarray:
    found = np.linalg.eigvals(x).prod(-1)
    return found if np.iscomplexobj(x) else found.real

def _cofactors(x: Any) -> np.ndarray:
    found = np.empty(x.shape, np.result_type(x, float))
    for i, j in np.ndindex(x.shape[-2:]):
        minor = np.delete(np.delete(x, i, -2), j, -1)
        found[..., i, j] = (-1) ** (i + j) * _det(minor)
    return found

def _slogdet(x: Any) -> Any:
    found = _det(x)
    return found / np.abs(found), np.log(np.abs(found))

square("inv", _inverse, [
    refused("must be invertible, got a singular one$", _SINGULAR),
    refused(r"must be invertible, got a singular one at \(1,\)$", _STACK),
    refused("must be invertible, got a singular one$", np.zeros((2, 2), "float16")),
])
square("det", _det)
square("slogdet", _slogdet)
entry("cofactor", _cofactors, _each(_ladder, _SQUARES, _REALS), [*_SQUARE_ERRORS, _ENDLESS],
      "scalar", _ULP)

def _solution(a: Any, b: Any) -> np.ndarray:
    columns = b[:, None] if b.ndim == 1 else b
    found = (np.linalg.inv(a)[..., :, :, None] * columns[..., None, :, :]).sum(-2)
    return found[..., 0] if b.ndim == 1 else found
_SYSTEMS = (
    ((3, 3), (3,)), ((3, 3), (3, 2)), ((2, 2, 2), (2,)), ((2, 2, 2), (2, 1)), ((2, 2), (3, 2, 1)),
    ((2, 1, 2, 2), (3, 2, 2)), ((0, 0), (0,)), ((0, 0), (0, 2)), ((2, 2), (2, 0)),
    ((0, 2, 2), (2, 1)), ((1, 1), (1,)),
)
entry("solve", _solution, [
    *(good(_ladder(a), draw(b)) for a, b in _SYSTEMS),
    *(good(_ladder((2, 2), d), draw((2, 2), d)) for d in _ALL),
    *(good(_ladder((2, 2), d), draw((2,), e)) for d, e in (
        ("float32", "float64"), ("int32", "float32"), ("complex64", "float64"))),
    *(good(_ladder((3, 3), layout=k), draw((3, 3), layout=m))
      for k, m in zip(LAYOUTS, LAYOUTS[::-1])),
], [
    bad_shape(r"at least two axes, got \(3,\)", draw((3,)), draw((3,))),
    bad_shape(r"must be square, got \(2, 3\)", draw((2, 3)), draw((2,))),
    bad_shape(r"as many rows as the matrices, got \(3, 3\) and \(2,\)", draw((3, 3)), draw((2,))),
    bad_shape(r"rows as the matrices, got \(3, 3\) and \(2, 3\)", draw((3, 3)), draw((2, 3))),
    bad_shape(r"at least one axis, got \(2, 2\) and \(\)", draw((2, 2)), draw()),
    bad_shape(r"must broadcast, got \(2,\) and \(3,\)", draw((2, 2, 2)), draw((3, 2, 1))),
    refused("must be invertible, got a singular one$", _SINGULAR, draw((2,))),
    refused(r"must be invertible, got a singular one at \(1,\)$", _STACK, draw((2,))),
], "scalar", _ULP)

_RANK_ONE = np.outer([1.0, 2.0, 3.0], [1.0, -1.0])
entry("pinv", lambda x, rtol: np.linalg.pinv(x, rtol=rtol), [
    *(good(*s.args, 1e-3) for s in _each(_ladder, _RECTANGLES)),
    rough(_RANK_ONE, 1e-3), rough(np.zeros((2, 3)), 0.0),
    good(_ladder((3, 2)), np.array(0.01, "float32")), rough(_ladder((3, 3)), 0.5),
    good(_ladder((2, 3, 2)), np.array([1e-3, 0.1], "float32")),
    good(_ladder((2, 3, 2)), np.array([1e-3])), good(_ladder((3, 2), "complex64"), 0),
], [
    *(bad(e.error, e.match, *e.args, 0.1) for e in _AXES_ERRORS),
    bad_shape(r"the stack of matrices, got \(2,\) for \(3, 2\)", draw((3, 2)), draw((2,))),
    bad_shape(r"must broadcast, got \(3,\) and \(2,\)", draw((3, 2, 2)), draw((2,))),
    bad_dtype("rtol must be real, got complex64", draw((3, 2)), draw((), "complex64")),
    refused("the iteration must converge, got a matrix", _NAN, 0.1),
], "", _ULP)

# -- decompositions --------------------------------------------------------------------------
def _cholesky(x: Any, upper: bool) -> np.ndarray:
    factor = np.zeros(x.shape, np.result_type(x, float))
    for j in range(x.shape[-1]):
        rest = x[..., :, j] - (factor @ factor.conj()[..., j, :, None])[..., 0]
        factor[..., j:, j] = rest[..., j:] / np.sqrt(rest[..., j, None])
    return factor.conj().swapaxes(-1, -2) if upper else factor
entry("cholesky", _cholesky, [
    *_each(_hermitian, _SQUARES, upper=False),
    *(good(_hermitian((3, 3), d), upper=True) for d in _INEXACT),
], [
    *_SQUARE_ERRORS, refused("must be positive definite, got one that is not$", -_SINGULAR),
    refused(r"must be positive definite, got one that is not at \(1,\)$", _STACK * [[[1]], [[-1]]]),
], "scalar", _ULP)
entry("qr", lambda x, mode: tuple(np.linalg.qr(x, mode)), [
    *_each(_ladder, _RECTANGLES, mode="reduced"),
    *(rough(_ladder(s), mode="complete") for s in ((3, 2), (2, 3, 1), (3, 0))),
    good(_ladder((2, 3)), mode="complete"), good(_ladder((2, 2), "complex128"), mode="complete"),
], [
    *_AXES_ERRORS,
    bad(ArgumentError, "must be 'reduced' or 'complete', got 'r'", draw((2, 2)), mode="r"),
], "scalar", _ULP)
entry("svd", lambda x, full_matrices: tuple(np.linalg.svd(x, full_matrices)), [
    *_each(_ladder, _RECTANGLES, full_matrices=False),
    *(rough(_ladder(s), full_matrices=True) for s in ((3, 2), (2, 1, 3), (3, 0), (0, 2))),
    good(_ladder((2, 2)), full_matrices=True),
    good(_ladder((3, 2), "complex64"), full_matrices=True),
], [*_AXES_ERRORS, _ENDLESS], "scalar", _ULP)
entry("svdvals", lambda x: np.linalg.svd(x)[1], _each(_ladder, _RECTANGLES),
      [*_AXES_ERRORS, _ENDLESS], "scalar", _ULP)
square("eigh", lambda x: tuple(np.linalg.eigh(x)), make=_hermitian)
square("eigvalsh", lambda x: np.linalg.eigh(x)[0], make=_hermitian)
square("eig", lambda x: tuple(np.linalg.eig(x)), [_ENDLESS])
square("eigvals", lambda x: np.linalg.eig(x)[0], [_ENDLESS])

# -- norms -----------------------------------------------------------------------------------
def _length(row: Any, ord: float) -> Any:
    sizes = np.abs(row)
    if math.isinf(ord):
        return sizes.max() if ord > 0 else sizes.min()
    if ord == 0:
        return np.count_nonzero(sizes)
    return (sizes ** ord).sum() ** (1 / ord)
_ORDERS: Any = (2, 1, math.inf, -math.inf, 3, 2.5, 0.5, -1, -2)
entry("vector_norm", over(_length), [
    *kinds((2, 3), _ALL), good(draw(())), good(draw((0,))), good(draw((0, 3)), axis=1, ord=1),
    *(good(draw((2, 3)), ord=p) for p in _ORDERS), rough(draw((2, 3)), ord=0),
    *(good(draw((2, 3, 2)), axis=(-1, 0), keepdims=True, ord=p) for p in (2, 1, math.inf)),
    good(draw((2, 3)), axis=()), good(draw((2, 3)), axis=1, keepdims=True),
    good(draw((2, 0, 3)), axis=0),
    *(good(draw((2, 3), "complex64"), axis=0, ord=p) for p in (1, 0, math.inf, 3)),
    *(rough(np.array([0.0, -0.0, 0.0]), ord=p) for p in (2, 1, math.inf, 3, 0)),
    *(rough(np.array([3.0, -3.0, 0.0]), ord=p) for p in (math.inf, -math.inf, 1.5, 0)),
    good(draw((2, 3), "float16"), ord=1), good(draw((2, 3), "bfloat16"), ord=1),
], [
    *AXIS_ERRORS, bad_dtype(NO_OPERAND, "a"),
    bad_shape(r"reduced axes must not be empty, got \(2, 0\)", draw((2, 0)), ord=math.inf),
    *(bad(ArgumentError, "ord must be a number, got ", draw((2,)), ord=p)
      for p in ("fro", math.nan, True)),
])
