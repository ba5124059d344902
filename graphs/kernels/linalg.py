"""Kernels of vectors and matrices: products beside matmul, norms, and LAPACK over stacks.

LAPACK knows no float16: that is computed in float32 and rounded once, as bfloat16 is everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import Any

import numpy as np

from ..dtypes import complex_of, real_of
from ..errors import LinAlgError
from .precision import rounded_once

Kernel = Callable[..., Any]


# -- diagonals and products ------------------------------------------------------------------


def diagonal(xp: Any, x: Any, *, offset: int) -> Any:
    return x.diagonal(offset, -2, -1)


def scatter_diagonal(
    xp: Any, g: Any, *, offset: int, shape: tuple[int, ...], out: Any = None
) -> Any:
    out = xp.empty(shape, g.dtype) if out is None else out
    out[...] = 0
    at = xp.arange(g.shape[-1])
    out[..., at + max(0, -offset), at + max(0, offset)] = g
    return out


def vecdot(xp: Any, x: Any, y: Any, *, axis: int, out: Any = None) -> Any:
    x, y = xp.moveaxis(x.conj(), axis, -1), xp.moveaxis(y, axis, -1)
    if out is None:
        out = xp.empty(np.broadcast_shapes(x.shape[:-1], y.shape[:-1]), x.dtype)
    xp.matmul(x[..., None, :], y[..., :, None], out=out[..., None, None])
    return out


def cross(xp: Any, x: Any, y: Any, *, axis: int, out: Any = None) -> Any:
    if out is None:
        out = xp.empty(np.broadcast_shapes(x.shape, y.shape), x.dtype)
    x, y, z = (xp.moveaxis(a, axis, -1) for a in (x, y, out))
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        z[..., i] = x[..., j] * y[..., k] - x[..., k] * y[..., j]
    return out


@rounded_once
def vector_norm(
    xp: Any, x: Any, *, axis: tuple[int, ...], keepdims: bool, ord: float, out: Any = None
) -> Any:
    if out is None:
        shape = [1 if i in axis else n for i, n in enumerate(x.shape) if keepdims or i not in axis]
        out = xp.empty(shape, real_of(x.dtype))
    over = {"axis": axis, "keepdims": keepdims, "out": out}
    if ord == 0:
        return xp.add.reduce(x != 0, dtype=out.dtype, **over)
    if ord == 2:
        squares = xp.square(xp.abs(x) if x.dtype.kind == "c" else x)
        return xp.sqrt(xp.add.reduce(squares, **over), out=out)
    size = xp.abs(x)
    if ord == np.inf:
        return xp.max(size, **over)
    if ord == -np.inf:
        return xp.min(size, **over)
    if ord == 1:
        return xp.add.reduce(size, **over)
    return xp.power(xp.add.reduce(xp.power(size, ord), **over), 1 / ord, out=out)


# -- LAPACK ----------------------------------------------------------------------------------


def _lapack(compute: Kernel) -> Kernel:
    """A decorator: float16 is rounded once, and results are in C order, or copied to `out`."""

    @rounded_once
    @wraps(compute)
    def kernel(xp: Any, *arrays: Any, out: Any = None, **attrs: Any) -> Any:
        results = compute(xp, *arrays, **attrs)
        if out is not None:
            xp.copyto(out, results)
            return out
        if isinstance(results, tuple):
            return tuple(xp.asarray(r, order="C") for r in results)
        return xp.asarray(results, order="C")

    return kernel


def _refusing(says: str, probe: str) -> Callable[[Kernel], Kernel]:
    """A decorator for what LAPACK may refuse.

    Parameters
    ----------
    says : str
        The error's text behind the operator's name.
    probe : str
        The function of `linalg` that refuses the same matrices, one at a time.
    """

    def decorate(compute: Kernel) -> Kernel:
        @wraps(compute)
        def kernel(xp: Any, x: Any, *rest: Any, **attrs: Any) -> Any:
            try:
                with _watched(xp):
                    return compute(xp, x, *rest, **attrs)
            except np.linalg.LinAlgError:
                where = _first_refused(xp, x, probe)
                raise LinAlgError(f"{compute.__name__}: {says}{where}") from None

        return kernel

    return decorate


def _watched(xp: Any) -> AbstractContextManager[Any]:
    """CuPy asks its solver whether it failed only when it is told to."""
    if xp is np:
        return nullcontext()
    import cupyx

    return cupyx.errstate(linalg="raise")


def _first_refused(xp: Any, x: Any, probe: str) -> str:
    """Where in a stack the first matrix stands that is refused; of a single matrix, nothing."""
    for at in np.ndindex(x.shape[:-2]):
        try:
            with _watched(xp):
                getattr(xp.linalg, probe)(x[at])
        except np.linalg.LinAlgError:
            return f" at {at}" if at else ""
    return ""


_SINGULAR = "matrices must be invertible, got a singular one"
_NOT_POSITIVE = "matrices must be positive definite, got one that is not"
_ENDLESS = "the iteration must converge, got a matrix for which it does not"


@_lapack
@_refusing(_SINGULAR, "inv")
def inv(xp: Any, x: Any) -> Any:
    return xp.linalg.inv(x)


@_lapack
@_refusing(_SINGULAR, "inv")
def solve(xp: Any, a: Any, b: Any) -> Any:
    return xp.linalg.solve(a, b[:, None])[..., 0] if b.ndim == 1 else xp.linalg.solve(a, b)


@_lapack
def det(xp: Any, x: Any) -> Any:
    return xp.linalg.det(x)


@_lapack
def slogdet(xp: Any, x: Any) -> Any:
    return tuple(xp.linalg.slogdet(x))


@_lapack
@_refusing(_ENDLESS, "svd")
def cofactor(xp: Any, x: Any) -> Any:
    """By singular values, because a singular matrix has cofactors, too."""
    u, s, vh = xp.linalg.svd(x)
    others = xp.where(xp.eye(x.shape[-1], dtype=bool), 1, s[..., None, :]).prod(-1)
    orientation = xp.sign(xp.linalg.det(u) * xp.linalg.det(vh))
    return (u * (orientation[..., None] * others)[..., None, :]) @ vh


@_lapack
@_refusing(_ENDLESS, "svd")
def pinv(xp: Any, x: Any, rtol: Any) -> Any:
    u, s, vh = xp.linalg.svd(x, full_matrices=False)
    counts = s > rtol[..., None] * s[..., :1]
    inverse = xp.where(counts, 1 / xp.where(counts, s, 1), 0)
    return (_adjoint(vh) * inverse[..., None, :]) @ _adjoint(u)


@_lapack
@_refusing(_NOT_POSITIVE, "cholesky")
def cholesky(xp: Any, x: Any, *, upper: bool) -> Any:
    lower = xp.linalg.cholesky(_hermitian_part(x))
    return _adjoint(lower) if upper else lower


@_lapack
def qr(xp: Any, x: Any, *, mode: str) -> Any:
    return tuple(xp.linalg.qr(x, mode=mode))


@_lapack
@_refusing(_ENDLESS, "svd")
def svd(xp: Any, x: Any, *, full_matrices: bool) -> Any:
    return tuple(xp.linalg.svd(x, full_matrices=full_matrices))


@_lapack
@_refusing(_ENDLESS, "svd")
def svdvals(xp: Any, x: Any) -> Any:
    return xp.linalg.svd(x, compute_uv=False)


@_lapack
@_refusing(_ENDLESS, "eigh")
def eigh(xp: Any, x: Any) -> Any:
    return tuple(xp.linalg.eigh(_hermitian_part(x)))


@_lapack
@_refusing(_ENDLESS, "eigh")
def eigvalsh(xp: Any, x: Any) -> Any:
    return xp.linalg.eigvalsh(_hermitian_part(x))


@_lapack
@_refusing(_ENDLESS, "eigvals")
def eig(xp: Any, x: Any) -> Any:
    """Complex even where every eigenvalue is real."""
    return tuple(r.astype(complex_of(x.dtype)) for r in xp.linalg.eig(x))


@_lapack
@_refusing(_ENDLESS, "eigvals")
def eigvals(xp: Any, x: Any) -> Any:
    return xp.linalg.eigvals(x).astype(complex_of(x.dtype))


def _adjoint(x: Any) -> Any:
    return x.swapaxes(-1, -2).conj()


def _hermitian_part(x: Any) -> Any:
    """What LAPACK takes from one triangle is taken from both, as the gradient needs it."""
    half = x * 0.5
    return half + _adjoint(half)
