"""Inverses, linear systems, determinants and powers of matrices, over stacks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from ml_dtypes import finfo

from ..avals import Aval, show
from ..dims import Size
from ..dtypes import DEFAULT_FLOAT, is_complex, is_inexact, real_of
from ..errors import DTypeError, ShapeError
from ..kernels import linalg as kernels
from . import promotion
from .batching import apply, leading, spread
from .core import Bound, Operator, defop
from .creation import full, ones_like, zeros_like
from .diagonals import diagonal, scatter_diagonal
from .elementwise import maximum
from .indexing import getitem
from .linalg import (
    is_whole,
    matmul,
    matrix_transpose,
    require_matrix,
    require_numbers,
    require_square,
    stacked,
)
from .manipulation import expand_dims, named, reshape
from .plain import shaped
from .reductions import sum as sum_
from .rules import broadcast_shapes, one_device, unbroadcast


class SlogdetResult(NamedTuple):
    """What `slogdet` gives."""

    sign: Any
    logabsdet: Any


def _cube(ins: Any, outs: Any, attrs: Any) -> Size:
    """FLOP of a matrix product, which those of an inverse are, too."""
    return 2 * ins[0].size * ins[0].shape[-1]


def _lu_flop(ins: Any, outs: Any, attrs: Any) -> Size:
    return _cube(ins, outs, attrs) // 3


def _as_matrix(x: Any) -> Any:
    """Numbers, one a matrix, as matrices of one element."""
    return expand_dims(expand_dims(x, -1), -1)


# -- inverses and systems --------------------------------------------------------------------


def _inv_vjp(c: Any, g: Any) -> Any:
    yt = matrix_transpose(c.y)
    return -matmul(matmul(yt, g), yt)


inv: Operator = defop(
    "inv",
    "x -> y",
    infer=lambda x: require_square(x),
    kernel=kernels.inv,
    promote=promotion.common_float,
    vjp=(_inv_vjp,),
    saves=("y",),
    may_raise=True,
    cost=_cube,
    batch=leading,
    doc="""Inverses of square matrices.

    Parameters
    ----------
    x : array, shape (..., n, n), floats or complex; integers become float32

    Returns
    -------
    array of the shape of `x`

    Raises
    ------
    ShapeError
        When the last two axes are not of one size.
    LinAlgError
        When a matrix is singular.

    Examples
    --------
    >>> dt.linalg.inv(dt.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5 , 0.  ],
            [0.  , 0.25]])
    """,
)


def _solve(a: Aval, b: Aval) -> Aval:
    require_square(a)
    got = f"got {show(a.shape)} and {show(b.shape)}"
    if not b.ndim:
        raise ShapeError(f"right-hand sides must have at least one axis, {got}")
    if b.shape[-min(b.ndim, 2)] != a.shape[-1]:
        raise ShapeError(f"right-hand sides must have as many rows as the matrices, {got}")
    stack = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return Aval((*stack, *b.shape[-2:]), a.dtype, one_device(a, b))


def _solve_b_bar(c: Any, g: Any) -> Any:
    """The cotangent of the right-hand sides as matrices, before they were broadcast."""
    return solve(matrix_transpose(c.a), expand_dims(g, -1) if c.ins[1].ndim == 1 else g)


def _solve_vjp_a(c: Any, g: Any) -> Any:
    x = expand_dims(c.x, -1) if c.ins[1].ndim == 1 else c.x
    return unbroadcast(-matmul(_solve_b_bar(c, g), matrix_transpose(x)), c.ins[0])


def _solve_vjp_b(c: Any, g: Any) -> Any:
    b_bar = _solve_b_bar(c, g)
    return unbroadcast(getitem(b_bar, (Ellipsis, 0)) if c.ins[1].ndim == 1 else b_bar, c.ins[1])


def _solve_of_batch(call: Bound, operands: Any, batched: Any) -> Any:
    (a, b), (a_aval, b_aval) = operands, call.ins
    if b_aval.ndim == 1:
        if tuple(batched) == (False, True) and a_aval.ndim == 2:
            # One factorisation for all right-hand sides, which are columns of one matrix.
            return matrix_transpose(solve(a, matrix_transpose(b)))
        b = expand_dims(b, -1)
    stacks = max(a_aval.ndim, b_aval.ndim, 2) - 2
    x = solve(stacked(a, stacks, batched[0]), stacked(b, stacks, batched[1]))
    return reshape(x, (x.shape[0], *call.outs[0].shape))


solve: Operator = defop(
    "solve",
    "a, b -> x",
    infer=_solve,
    kernel=kernels.solve,
    promote=promotion.common_float,
    vjp=(_solve_vjp_a, _solve_vjp_b),
    saves=("a x", "a"),
    may_raise=True,
    cost=lambda ins, outs, attrs: _lu_flop(ins, outs, attrs) + 2 * outs[0].size * ins[0].shape[-1],
    batch=_solve_of_batch,
    doc="""Solutions of linear systems ``a x = b``.

    Parameters
    ----------
    a : array, shape (..., n, n), floats or complex; integers become float32
    b : array, shape (..., n, k), or (n,) for one right-hand side
        The axes before the last two broadcast with those of `a`.

    Returns
    -------
    array, shape (..., n, k), or (..., n) when `b` is a vector

    Raises
    ------
    ShapeError
        When the matrices are not square, or the shapes do not fit.
    DTypeError
        When the dtypes do not promote.
    LinAlgError
        When a matrix is singular.

    Examples
    --------
    >>> dt.linalg.solve(dt.tensor([[2.0, 0.0], [0.0, 4.0]]), dt.tensor([2.0, 2.0]))
    tensor([1. , 0.5])
    """,
)


def tolerance(x: Any, rtol: Any) -> Any:
    """A given tolerance, or the larger size of the matrices times the dtype's epsilon."""
    if rtol is not None:
        return rtol
    epsilon = float(finfo(real_of(x.dtype) if is_inexact(x.dtype) else DEFAULT_FLOAT).eps)
    m, n = x.shape[-2:]
    if isinstance(m, int) and isinstance(n, int):
        return max(m, n) * epsilon
    return maximum(full((), m, dtype="float32"), full((), n, dtype="float32")) * epsilon


def _with_real_tolerance(x: Any, rtol: Any) -> list[Aval]:
    [x], [rtol] = promotion.common_float(x), promotion.as_given(rtol)
    if is_complex(rtol.dtype):
        raise DTypeError(f"rtol must be real, got {rtol.dtype}")
    return [x, replace(rtol, dtype=real_of(x.dtype))]


def _pinv_aval(x: Aval, rtol: Aval) -> Aval:
    require_matrix(x)
    *stack, m, n = x.shape
    if broadcast_shapes(tuple(stack), rtol.shape) != tuple(stack):
        raise ShapeError(
            f"rtol must broadcast to the stack of matrices, got {show(rtol.shape)} for "
            f"{show(x.shape)}"
        )
    return replace(x, shape=(*stack, n, m))


def _pinv_vjp(c: Any, g: Any) -> Any:
    """At constant rank, after Golub and Pereyra (1973)."""
    x, y, gt = c.x, c.y, matrix_transpose(g)
    yt = matrix_transpose(y)
    within = matmul(matmul(yt, g), yt)
    below = matmul(matmul(gt - matmul(x, matmul(y, gt)), y), yt)
    beside = matmul(yt, matmul(y, gt - matmul(matmul(gt, y), x)))
    return below + beside - within


def _pinv_of_batch(call: Bound, operands: Any, batched: Any) -> Any:
    x, rtol = operands
    if batched[1]:
        x = spread(call, operands, batched)[0]
        missing = call.ins[0].ndim - 2 - call.ins[1].ndim
        rtol = reshape(rtol, (rtol.shape[0], *[1] * missing, *call.ins[1].shape))
    return apply(call, x, rtol)


_pinv: Operator = defop(
    "pinv",
    "x, rtol -> y",
    infer=_pinv_aval,
    kernel=kernels.pinv,
    promote=_with_real_tolerance,
    vjp=(_pinv_vjp, lambda c, g: zeros_like(c.rtol)),
    saves=("x y", "rtol"),
    may_raise=True,
    cost=lambda ins, outs, attrs: 23 * ins[0].size * ins[0].shape[-1],
    batch=_pinv_of_batch,
    doc="The operator behind `pinv`.",
)


def pinv(x: Any, rtol: Any = None) -> Any:
    """Pseudo-inverses (Moore and Penrose) of matrices. The gradient takes the rank as constant.

    Parameters
    ----------
    x : array, shape (..., m, n), floats or complex; integers become float32
    rtol : number or array, shape (...), optional
        Singular values up to `rtol` times the largest count as 0. By default ``max(m, n)`` times
        the epsilon of the dtype.

    Returns
    -------
    array, shape (..., n, m)

    Raises
    ------
    ShapeError
        When there are less than two axes, or `rtol` does not broadcast to the stack.
    DTypeError
        When `rtol` is complex.
    LinAlgError
        When a matrix holds NaN or infinities.

    Examples
    --------
    >>> dt.linalg.pinv(dt.tensor([[2.0, 0.0], [0.0, 0.0]]))
    tensor([[0.5, 0. ],
            [0. , 0. ]])
    """
    x = shaped(x, "pinv")
    named("pinv", require_matrix, x)
    return _pinv(x, tolerance(x, rtol))


# -- determinants ----------------------------------------------------------------------------


def _number_of_matrix(x: Aval) -> Aval:
    return replace(require_square(x), shape=x.shape[:-2])


det: Operator = defop(
    "det",
    "x -> y",
    infer=_number_of_matrix,
    kernel=kernels.det,
    promote=promotion.common_float,
    vjp=(lambda c, g: _as_matrix(g) * _cofactor(c.x),),
    saves=("x",),
    cost=_lu_flop,
    batch=leading,
    doc="""Determinants of square matrices.

    The gradient is the matrix of cofactors, which singular matrices have, too; the second one
    needs the inverse.

    Parameters
    ----------
    x : array, shape (..., n, n), floats or complex; integers become float32

    Returns
    -------
    array, shape (...)

    Raises
    ------
    ShapeError
        When the last two axes are not of one size.

    Examples
    --------
    >>> dt.linalg.det(dt.tensor([[2.0, 1.0], [0.0, 3.0]]))
    tensor(6.)
    """,
)


def _cofactor_vjp(c: Any, g: Any) -> Any:
    """From ``det(x) inv(x)^T``, the cofactors of an invertible matrix."""
    inverse = matrix_transpose(inv(c.x))
    trace = sum_(g * inverse, axis=(-2, -1), keepdims=True)
    return c.y * trace - matmul(matmul(c.y, matrix_transpose(g)), inverse)


_cofactor: Operator = defop(
    "cofactor",
    "x -> y",
    infer=lambda x: require_square(x),
    kernel=kernels.cofactor,
    promote=promotion.common_float,
    vjp=(_cofactor_vjp,),
    saves=("x y",),
    may_raise=True,
    cost=lambda ins, outs, attrs: 24 * ins[0].size * ins[0].shape[-1],
    batch=leading,
    doc="The gradient of `det`: what each element of a matrix is multiplied by in it.",
)


def _slogdet_avals(x: Aval) -> tuple[Aval, Aval]:
    sign = _number_of_matrix(x)
    return sign, replace(sign, dtype=real_of(x.dtype))


_slogdet: Operator = defop(
    "slogdet",
    "x -> sign, logabsdet",
    infer=_slogdet_avals,
    kernel=kernels.slogdet,
    promote=promotion.common_float,
    vjp=(lambda c, sign_bar, g: _as_matrix(g) * matrix_transpose(inv(c.x)),),
    saves=("x",),
    cost=_lu_flop,
    batch=leading,
    doc="The operator behind `slogdet`.",
)


def slogdet(x: Any) -> SlogdetResult:
    """Signs of determinants, and logarithms of their sizes, which do not overflow.

    Parameters
    ----------
    x : array, shape (..., n, n), floats or complex; integers become float32

    Returns
    -------
    sign : array, shape (...)
        1, 0 or -1; of complex matrices, a number of size 1 or 0.
    logabsdet : array, shape (...), real
        Minus infinity where the determinant is 0. The gradient there is a LinAlgError.

    Raises
    ------
    ShapeError
        When the last two axes are not of one size.

    Examples
    --------
    >>> dt.linalg.slogdet(dt.tensor([[0.0, 1.0], [1.0, 0.0]]))
    SlogdetResult(sign=tensor(-1.), logabsdet=tensor(0.))
    """
    return SlogdetResult(*_slogdet(x))


# -- powers ----------------------------------------------------------------------------------


def matrix_power(x: Any, n: int) -> Any:
    """Square matrices multiplied by themselves, by repeated squaring.

    Parameters
    ----------
    x : array, shape (..., m, m), numbers
    n : int
        The inverse is taken where it is negative; 0 gives identities.

    Returns
    -------
    array of the shape of `x`

    Raises
    ------
    ShapeError
        When the last two axes are not of one size, or `n` is no whole number.
    DTypeError
        When the operand is bool.
    LinAlgError
        When `n` is negative and a matrix singular.

    Examples
    --------
    >>> dt.linalg.matrix_power(dt.tensor([[1.0, 1.0], [0.0, 1.0]]), 5)
    tensor([[1., 5.],
            [0., 1.]])
    """
    x = shaped(x, "matrix_power")
    named("matrix_power", require_square, x)
    named("matrix_power", require_numbers, x)
    if not is_whole(n):
        raise ShapeError(f"matrix_power: the power must be a whole number, got {n!r}")
    if n == 0:
        return scatter_diagonal(ones_like(diagonal(x)), 0, x.shape)
    square = inv(x) if n < 0 else x
    power, result = abs(n), None
    while True:
        power, is_odd = divmod(power, 2)
        if is_odd:
            result = square if result is None else matmul(result, square)
        if not power:
            return result
        square = matmul(square, square)


__all__ = [
    "SlogdetResult", "det", "inv", "matrix_power", "pinv", "slogdet", "solve",
]  # fmt: skip
