"""Matrices as products of simpler ones, over stacks: what LAPACK decomposes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from ..avals import Aval, show
from ..dims import Size
from ..dtypes import complex_of, real_of
from ..errors import ArgumentError, ShapeError
from ..kernels import linalg as kernels
from . import promotion
from .batching import leading
from .core import Operator, defop
from .creation import tril
from .diagonals import scatter_diagonal
from .indexing import WHOLE, getitem
from .inverses import solve
from .joining import concat
from .linalg import matmul, matrix_transpose, require_matrix, require_square
from .logic import where
from .manipulation import expand_dims


class QRResult(NamedTuple):
    """What `qr` gives."""

    Q: Any
    R: Any


class SVDResult(NamedTuple):
    """What `svd` gives."""

    U: Any
    S: Any
    Vh: Any


class EighResult(NamedTuple):
    """What `eigh` gives."""

    eigenvalues: Any
    eigenvectors: Any


class EigResult(NamedTuple):
    """What `eig` gives."""

    eigenvalues: Any
    eigenvectors: Any


def _flop(per_element: int) -> Callable[..., Size]:
    """So many FLOP per element and column: about the leading term for square matrices."""
    return lambda ins, outs, attrs: per_element * ins[0].size * ins[0].shape[-1]


def _lesser(m: Size, n: Size) -> Size:
    """The smaller size of a matrix."""
    if m == n:
        return m
    if isinstance(m, int) and isinstance(n, int):
        return min(m, n)
    raise ShapeError(f"the smaller of both sizes must be known, got {show((m, n))}")


def _symmetric_part(x: Any) -> Any:
    return (x + matrix_transpose(x)) * 0.5


def _rows(x: Any, start: Any, stop: Any) -> Any:
    return getitem(x, (Ellipsis, (start, stop, None), WHOLE))


def _columns(x: Any, start: Any, stop: Any) -> Any:
    return getitem(x, (Ellipsis, (start, stop, None)))


def _reciprocal(x: Any) -> Any:
    """1 / x, and 0 where `x` is: what would be infinite is left out."""
    return where(x == 0, 0.0, 1 / where(x == 0, 1.0, x))


# -- triangular factors ----------------------------------------------------------------------


def _cholesky_vjp(c: Any, g: Any) -> Any:
    lower, g = (matrix_transpose(c.y), matrix_transpose(g)) if c.upper else (c.y, g)
    product = matmul(matrix_transpose(lower), g)
    half = (tril(product) + tril(product, k=-1)) * 0.5
    right = matrix_transpose(lower)
    return _symmetric_part(solve(right, matrix_transpose(solve(right, matrix_transpose(half)))))


cholesky: Operator = defop(
    "cholesky",
    "x -> y",
    attrs={"upper": False},
    normalise=lambda x, upper: {"upper": bool(upper)},
    infer=lambda x, upper: require_square(x),
    kernel=kernels.cholesky,
    promote=promotion.common_float,
    vjp=(_cholesky_vjp,),
    saves=("y",),
    may_raise=True,
    cost=lambda ins, outs, attrs: ins[0].size * ins[0].shape[-1] // 3,
    batch=leading,
    doc="""Triangular factor of positive definite matrices: ``x = L L^H``.

    Only the Hermitian part ``(x + x^H) / 2`` counts, which is all of a Hermitian matrix; so the
    gradient is symmetric.

    Parameters
    ----------
    x : array, shape (..., n, n), floats or complex; integers become float32
    upper : bool
        Give the factor ``U = L^H`` of ``x = U^H U`` in place of `L`.

    Returns
    -------
    array of the shape of `x`, lower or upper triangular

    Raises
    ------
    ShapeError
        When the last two axes are not of one size.
    LinAlgError
        When a matrix is not positive definite.

    Examples
    --------
    >>> dt.linalg.cholesky(dt.tensor([[4.0, 2.0], [2.0, 5.0]]))
    tensor([[2., 0.],
            [1., 2.]])
    """,
)


def _named_mode(x: Aval, mode: Any) -> dict[str, Any]:
    if mode not in ("reduced", "complete"):
        raise ArgumentError(f"mode must be 'reduced' or 'complete', got {mode!r}")
    return {"mode": mode}


def _qr_avals(x: Aval, mode: str) -> tuple[Aval, Aval]:
    require_matrix(x)
    *stack, m, n = x.shape
    inner = m if mode == "complete" else _lesser(m, n)
    return replace(x, shape=(*stack, m, inner)), replace(x, shape=(*stack, inner, n))


def _qr_vjp(c: Any, q_bar: Any, r_bar: Any) -> Any:
    """After Walter, Lehmann and Lamour (2012), and for wide matrices Roberts and Roberts (2020)."""
    m, n = c.ins[0].shape[-2:]
    inner = _lesser(m, n)
    q, r = c.Q, c.R
    if inner != m:
        q, q_bar = _columns(q, 0, inner), _columns(q_bar, 0, inner)
        r, r_bar = _rows(r, 0, inner), _rows(r_bar, 0, inner)
    if inner == n:
        return _tall_qr_vjp(q, r, q_bar, r_bar)
    # The columns behind the square part X are Y = Q V, so their cotangent passes through Q.
    u, v = _columns(r, 0, inner), _columns(r, inner, n)
    u_bar, v_bar = _columns(r_bar, 0, inner), _columns(r_bar, inner, n)
    q_bar = q_bar + matmul(matmul(q, v), matrix_transpose(v_bar))
    return concat([_tall_qr_vjp(q, u, q_bar, u_bar), matmul(q, v_bar)], axis=-1)


def _tall_qr_vjp(q: Any, r: Any, q_bar: Any, r_bar: Any) -> Any:
    inner = matmul(r, matrix_transpose(r_bar)) - matmul(matrix_transpose(q_bar), q)
    symmetric = tril(inner) + matrix_transpose(tril(inner, k=-1))
    return matrix_transpose(solve(r, matrix_transpose(q_bar + matmul(q, symmetric))))


_qr: Operator = defop(
    "qr",
    "x -> Q, R",
    attrs={"mode": "reduced"},
    normalise=_named_mode,
    infer=_qr_avals,
    kernel=kernels.qr,
    promote=promotion.common_float,
    vjp=(_qr_vjp,),
    saves=("Q R",),
    cost=_flop(4),
    batch=leading,
    doc="The operator behind `qr`.",
)


def qr(x: Any, mode: str = "reduced") -> QRResult:
    """Matrices as products of orthonormal columns and an upper triangular matrix: ``x = Q R``.

    The gradient is that of matrices whose first ``k = min(m, n)`` columns are independent. With
    ``mode="complete"`` it leaves out the columns of `Q` behind these, whose choice is free.

    Parameters
    ----------
    x : array, shape (..., m, n), floats or complex; integers become float32
    mode : "reduced" or "complete"

    Returns
    -------
    Q : array, shape (..., m, k), or (..., m, m) when complete
    R : array, shape (..., k, n), or (..., m, n) when complete

    Raises
    ------
    ShapeError
        When there are less than two axes.
    ArgumentError
        When `mode` is neither.

    Examples
    --------
    >>> q, r = dt.linalg.qr(dt.ones((3, 2)))
    >>> q.shape, r.shape
    ((3, 2), (2, 2))
    """
    return QRResult(*_qr(x, mode))


# -- singular values -------------------------------------------------------------------------


def _svd_avals(x: Aval, full_matrices: bool) -> tuple[Aval, Aval, Aval]:
    require_matrix(x)
    *stack, m, n = x.shape
    inner = _lesser(m, n)
    left, right = (m, n) if full_matrices else (inner, inner)
    return (
        replace(x, shape=(*stack, m, left)),
        replace(x, shape=(*stack, inner), dtype=real_of(x.dtype)),
        replace(x, shape=(*stack, right, n)),
    )


def _gaps(squares: Any) -> Any:
    """1 / (s_j - s_i), and 0 where two coincide."""
    return _reciprocal(expand_dims(squares, -2) - expand_dims(squares, -1))


def _svd_vjp(c: Any, u_bar: Any, s_bar: Any, vh_bar: Any) -> Any:
    """After Townsend, Differentiating the singular value decomposition (2016)."""
    m, n = c.ins[0].shape[-2:]
    inner = _lesser(m, n)
    u, u_bar = (_columns(v, 0, inner) for v in (c.U, u_bar))
    vh, vh_bar = (_rows(v, 0, inner) for v in (c.Vh, vh_bar))
    ut, v = matrix_transpose(u), matrix_transpose(vh)
    across, down = expand_dims(c.S, -2), expand_dims(c.S, -1)
    gaps = _gaps(c.S * c.S)
    left, right = matmul(ut, u_bar), matmul(vh, matrix_transpose(vh_bar))
    middle = scatter_diagonal(s_bar, 0, (*s_bar.shape, inner))
    middle = middle + gaps * (left - matrix_transpose(left)) * across
    middle = middle + down * (gaps * (right - matrix_transpose(right)))
    x_bar = matmul(matmul(u, middle), vh)
    if inner != m:
        outside = u_bar * _reciprocal(across)
        x_bar = x_bar + matmul(outside - matmul(u, matmul(ut, outside)), vh)
    if inner != n:
        outside = _reciprocal(down) * vh_bar
        x_bar = x_bar + matmul(u, outside - matmul(matmul(outside, v), vh))
    return x_bar


_svd: Operator = defop(
    "svd",
    "x -> U, S, Vh",
    attrs={"full_matrices": True},
    normalise=lambda x, full_matrices: {"full_matrices": bool(full_matrices)},
    infer=_svd_avals,
    kernel=kernels.svd,
    promote=promotion.common_float,
    vjp=(_svd_vjp,),
    saves=("U S Vh",),
    may_raise=True,
    cost=_flop(21),
    batch=leading,
    doc="The operator behind `svd`.",
)


def svd(x: Any, full_matrices: bool = True) -> SVDResult:
    """Singular value decomposition: ``x = U diag(S) Vh``, the values in descending order.

    The gradient is that of distinct singular values: between two that coincide the vectors turn
    freely, and that part, which would be infinite, is left out. With `full_matrices` it leaves out
    the vectors behind the first ``k = min(m, n)``, too, whose choice is free.

    Parameters
    ----------
    x : array, shape (..., m, n), floats or complex; integers become float32
    full_matrices : bool
        Give all of the square matrices `U` and `Vh`, not only the first `k` columns and rows.

    Returns
    -------
    U : array, shape (..., m, m), or (..., m, k) without `full_matrices`
    S : array, shape (..., k), real
    Vh : array, shape (..., n, n), or (..., k, n) without `full_matrices`

    Raises
    ------
    ShapeError
        When there are less than two axes.
    LinAlgError
        When a matrix holds NaN or infinities.

    Examples
    --------
    >>> dt.linalg.svd(dt.tensor([[0.0, 2.0], [1.0, 0.0]])).S
    tensor([2., 1.])
    """
    return SVDResult(*_svd(x, full_matrices))


def _svdvals_aval(x: Aval) -> Aval:
    return _svd_avals(x, False)[1]


def _svdvals_vjp(c: Any, g: Any) -> Any:
    u, _, vh = _svd(c.x, False)
    return matmul(u * expand_dims(g, -2), vh)


svdvals: Operator = defop(
    "svdvals",
    "x -> y",
    infer=_svdvals_aval,
    kernel=kernels.svdvals,
    promote=promotion.common_float,
    vjp=(_svdvals_vjp,),
    saves=("x",),
    may_raise=True,
    cost=_flop(4),
    batch=leading,
    doc="""Singular values of matrices, in descending order.

    Parameters
    ----------
    x : array, shape (..., m, n), floats or complex; integers become float32

    Returns
    -------
    array, shape (..., min(m, n)), real

    Raises
    ------
    ShapeError
        When there are less than two axes.
    LinAlgError
        When a matrix holds NaN or infinities.

    Examples
    --------
    >>> dt.linalg.svdvals(dt.tensor([[0.0, 2.0], [1.0, 0.0]]))
    tensor([2., 1.])
    """,
)


# -- eigenvalues -----------------------------------------------------------------------------


def _eigh_avals(x: Aval) -> tuple[Aval, Aval]:
    require_square(x)
    return replace(x, shape=x.shape[:-1], dtype=real_of(x.dtype)), x


def _eigh_vjp(c: Any, values_bar: Any, vectors_bar: Any) -> Any:
    """After Giles, An extended collection of matrix derivative results (2008)."""
    values, vectors = c.eigenvalues, c.eigenvectors
    adjoint = matrix_transpose(vectors)
    middle = scatter_diagonal(values_bar, 0, c.ins[0].shape)
    middle = middle + _gaps(values) * matmul(adjoint, vectors_bar)
    return _symmetric_part(matmul(matmul(vectors, middle), adjoint))


_eigh: Operator = defop(
    "eigh",
    "x -> eigenvalues, eigenvectors",
    infer=_eigh_avals,
    kernel=kernels.eigh,
    promote=promotion.common_float,
    vjp=(_eigh_vjp,),
    saves=("eigenvalues eigenvectors",),
    may_raise=True,
    cost=_flop(9),
    batch=leading,
    doc="The operator behind `eigh`.",
)


def eigh(x: Any) -> EighResult:
    """Eigenvalues, in ascending order, and orthonormal eigenvectors of Hermitian matrices.

    Only the Hermitian part ``(x + x^H) / 2`` counts, which is all of a Hermitian matrix; so the
    gradient is symmetric. It is that of distinct eigenvalues: between two that coincide the
    vectors turn freely, and that part, which would be infinite, is left out.

    Parameters
    ----------
    x : array, shape (..., n, n), floats or complex; integers become float32

    Returns
    -------
    eigenvalues : array, shape (..., n), real
    eigenvectors : array, shape (..., n, n)
        In columns.

    Raises
    ------
    ShapeError
        When the last two axes are not of one size.
    LinAlgError
        When the iteration does not converge.

    Examples
    --------
    >>> dt.linalg.eigh(dt.tensor([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
    tensor([1., 2.])
    """
    return EighResult(*_eigh(x))


def _eigvalsh_vjp(c: Any, g: Any) -> Any:
    _, vectors = _eigh(c.x)
    return _symmetric_part(matmul(vectors * expand_dims(g, -2), matrix_transpose(vectors)))


eigvalsh: Operator = defop(
    "eigvalsh",
    "x -> y",
    infer=lambda x: _eigh_avals(x)[0],
    kernel=kernels.eigvalsh,
    promote=promotion.common_float,
    vjp=(_eigvalsh_vjp,),
    saves=("x",),
    may_raise=True,
    cost=lambda ins, outs, attrs: 4 * ins[0].size * ins[0].shape[-1] // 3,
    batch=leading,
    doc="""Eigenvalues of Hermitian matrices, in ascending order.

    Only the Hermitian part ``(x + x^H) / 2`` counts, which is all of a Hermitian matrix; so the
    gradient is symmetric.

    Parameters
    ----------
    x : array, shape (..., n, n), floats or complex; integers become float32

    Returns
    -------
    array, shape (..., n), real

    Raises
    ------
    ShapeError
        When the last two axes are not of one size.
    LinAlgError
        When the iteration does not converge.

    Examples
    --------
    >>> dt.linalg.eigvalsh(dt.tensor([[0.0, 1.0], [1.0, 0.0]]))
    tensor([-1.,  1.])
    """,
)


def _eig_avals(x: Aval) -> tuple[Aval, Aval]:
    vectors = replace(require_square(x), dtype=complex_of(x.dtype))
    return replace(vectors, shape=x.shape[:-1]), vectors


_eig: Operator = defop(
    "eig",
    "x -> eigenvalues, eigenvectors",
    infer=_eig_avals,
    kernel=kernels.eig,
    promote=promotion.common_float,
    vjp=None,
    may_raise=True,
    cost=_flop(25),
    batch=leading,
    doc="The operator behind `eig`.",
)


def eig(x: Any) -> EigResult:
    """Eigenvalues, in no order, and eigenvectors of square matrices. Complex, so no gradient.

    Parameters
    ----------
    x : array, shape (..., n, n), floats or complex; integers become float32

    Returns
    -------
    eigenvalues : array, shape (..., n), complex
    eigenvectors : array, shape (..., n, n), complex
        In columns of norm 1.

    Raises
    ------
    ShapeError
        When the last two axes are not of one size.
    LinAlgError
        When a matrix holds NaN or infinities.

    Examples
    --------
    >>> dt.linalg.eig(dt.tensor([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
    tensor([2.+0.j, 1.+0.j], dtype=complex64)
    """
    return EigResult(*_eig(x))


eigvals: Operator = defop(
    "eigvals",
    "x -> y",
    infer=lambda x: _eig_avals(x)[0],
    kernel=kernels.eigvals,
    promote=promotion.common_float,
    vjp=None,
    may_raise=True,
    cost=_flop(10),
    batch=leading,
    doc="""Eigenvalues of square matrices, in no order. Complex, so they have no gradient.

    Parameters
    ----------
    x : array, shape (..., n, n), floats or complex; integers become float32

    Returns
    -------
    array, shape (..., n), complex

    Raises
    ------
    ShapeError
        When the last two axes are not of one size.
    LinAlgError
        When a matrix holds NaN or infinities.

    Examples
    --------
    >>> dt.linalg.eigvals(dt.tensor([[2.0, 0.0], [0.0, 1.0]]))
    tensor([2.+0.j, 1.+0.j], dtype=complex64)
    """,
)

__all__ = [
    "EigResult", "EighResult", "QRResult", "SVDResult", "cholesky", "eig", "eigh", "eigvals",
    "eigvalsh", "qr", "svd", "svdvals",
]  # fmt: skip
