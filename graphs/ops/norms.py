"""Norms of vectors and matrices, and ranks."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from ..avals import Aval, show
from ..dtypes import DEFAULT_INT, real_of
from ..errors import ArgumentError, ShapeError
from ..kernels import linalg as kernels
from . import promotion
from .batching import shifted
from .core import Operator, defop
from .decompositions import svdvals
from .elementwise import abs as abs_
from .elementwise import astype, sign
from .inverses import tolerance
from .linalg import require_matrix
from .logic import where
from .manipulation import expand_dims, named, reshape
from .plain import shaped
from .reductions import max as max_
from .reductions import min as min_
from .reductions import over_axes, reads_all, reduced, require_elements, with_axes
from .reductions import sum as sum_

_MATRIX_ORDERS = ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf)


def _ordered(x: Aval, axis: Any, keepdims: bool, ord: Any) -> dict[str, Any]:
    if isinstance(ord, bool | str) or not hasattr(ord, "__float__") or math.isnan(ord):
        raise ArgumentError(f"ord must be a number, got {ord!r}")
    return over_axes(x, axis, keepdims, ord=float(ord))


def _vector_norm(x: Aval, axis: tuple[int, ...], keepdims: bool, ord: float) -> Aval:
    if math.isinf(ord):
        require_elements(x, axis)
    return replace(x, shape=reduced(x.shape, axis, keepdims), dtype=real_of(x.dtype))


def _vector_norm_vjp(c: Any, g: Any) -> Any:
    """In terms of ``|x| / y``, which overflows in no power; 0 wherever the norm has a kink at 0."""
    x = c.x
    y, g = (with_axes(v, c.ins[0], c.axis, c.keepdims) for v in (c.y, g))
    if c.ord == 0:
        return g * (0.0 * sign(x))
    if math.isinf(c.ord):
        hit = astype(abs_(x) == y, x.dtype)
        return g * sign(x) * (hit / sum_(hit, axis=c.axis, keepdims=True))
    if c.ord == 1:
        return g * sign(x)
    y = where(y == 0, 1.0, y)
    if c.ord == 2:
        return g * (x / y)
    return g * sign(x) * (where(x == 0, 1.0, abs_(x)) / y) ** (c.ord - 1)


vector_norm: Operator = defop(
    "vector_norm",
    "x -> y",
    attrs={"axis": None, "keepdims": False, "ord": 2},
    normalise=_ordered,
    infer=_vector_norm,
    kernel=kernels.vector_norm,
    promote=promotion.common_float,
    vjp=(_vector_norm_vjp,),
    saves=("x y",),
    cost=lambda ins, outs, attrs: 2 * reads_all(ins, outs, attrs),
    batch=shifted("axis"),
    doc="""Norm of the elements over axes, as of one vector. Its gradient at 0 is 0.

    Parameters
    ----------
    x : array, floats or complex; integers become float32
    axis : int or tuple of int, optional
        All axes by default.
    keepdims : bool
        Keep the reduced axes with size 1.
    ord : number
        ``sum(|x|**ord) ** (1/ord)``; the largest size for infinity, the smallest for its negative,
        the number of elements that are not 0 for 0.

    Returns
    -------
    array without the reduced axes, real

    Raises
    ------
    ShapeError
        When an axis is out of range, or is empty and `ord` infinite.
    ArgumentError
        When `ord` is no number.

    Examples
    --------
    >>> dt.linalg.vector_norm(dt.tensor([[3.0, 4.0], [5.0, 12.0]]), axis=1)
    tensor([ 5., 13.])
    """,
)


def matrix_norm(x: Any, keepdims: bool = False, ord: Any = "fro") -> Any:
    """Norm of matrices, over the last two axes.

    Parameters
    ----------
    x : array, shape (..., n, m), floats or complex; integers become float32
    keepdims : bool
        Keep the last two axes with size 1.
    ord : "fro", "nuc", 1, -1, 2, -2, inf or -inf
        The root of the sum of squares; the sum of the singular values; the largest (or smallest)
        sum of sizes in a column; the largest (or smallest) singular value; the largest (or
        smallest) sum of sizes in a row.

    Returns
    -------
    array, shape (...), real

    Raises
    ------
    ShapeError
        When there are less than two axes, or a matrix is empty where `ord` asks for an extremum.
    ArgumentError
        When `ord` is none of these.
    LinAlgError
        When singular values are asked of a matrix with NaN or infinities.

    Examples
    --------
    >>> dt.linalg.matrix_norm(dt.tensor([[3.0, 0.0], [0.0, 4.0]]))
    tensor(5.)
    """
    x = shaped(x, "matrix_norm")
    norm = _norm(x, named("matrix_norm", _matrix_order, x, ord))
    return reshape(norm, (*x.shape[:-2], 1, 1)) if keepdims else norm


def _matrix_order(x: Any, ord: Any) -> Any:
    require_matrix(x)
    order = "fro" if ord is None else ord
    if isinstance(order, bool) or order not in _MATRIX_ORDERS:
        orders = ", ".join(map(str, _MATRIX_ORDERS))
        raise ArgumentError(f"ord must be one of {orders}, got {ord!r}")
    if not isinstance(order, str) and 0 in x.shape[-2:]:
        raise ShapeError(f"matrices must not be empty, got {show(x.shape)} for ord={ord}")
    return order


def _norm(x: Any, order: Any) -> Any:
    if order == "fro":
        return vector_norm(x, (-2, -1))
    if order == "nuc":
        return sum_(svdvals(x), axis=-1)
    sizes = (
        svdvals(x) if order in (2, -2) else vector_norm(x, -2 if order in (1, -1) else -1, ord=1)
    )
    return max_(sizes, axis=-1) if order > 0 else min_(sizes, axis=-1)


def matrix_rank(x: Any, rtol: Any = None) -> Any:
    """Ranks of matrices: how many singular values count as not 0.

    Parameters
    ----------
    x : array, shape (..., m, n), floats or complex; integers become float32
    rtol : number or array, shape (...), optional
        Singular values up to `rtol` times the largest count as 0. By default ``max(m, n)`` times
        the epsilon of the dtype.

    Returns
    -------
    array, shape (...), int64

    Raises
    ------
    ShapeError
        When there are less than two axes, or `rtol` does not broadcast to the stack.
    LinAlgError
        When a matrix holds NaN or infinities.

    Examples
    --------
    >>> dt.linalg.matrix_rank(dt.tensor([[1.0, 2.0], [2.0, 4.0]]))
    tensor(1)
    """
    x = shaped(x, "matrix_rank")
    named("matrix_rank", require_matrix, x)
    values = svdvals(x)
    bound = tolerance(x, rtol)
    bound = expand_dims(bound, -1) if hasattr(bound, "shape") else bound
    largest = 1.0 if 0 in x.shape[-2:] else max_(values, axis=-1, keepdims=True)
    return sum_(values > bound * largest, axis=-1, dtype=DEFAULT_INT)


__all__ = ["matrix_norm", "matrix_rank", "vector_norm"]
