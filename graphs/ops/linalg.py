"""Matrix products."""

from __future__ import annotations

from typing import Any

from ..avals import Aval, show
from ..dims import Shape, Size
from ..dtypes import BOOL
from ..errors import DTypeError, ShapeError
from . import promotion
from .core import Operator, defop, functions_of
from .manipulation import expand_dims, permute_dims, reshape
from .rules import broadcast_shapes, one_device, unbroadcast


def _matmul(x: Aval, y: Aval) -> Aval:
    got = f"got {show(x.shape)} @ {show(y.shape)}"
    if not x.ndim or not y.ndim:
        raise ShapeError(f"operands must have at least one axis, {got}")
    if x.dtype == BOOL:
        raise DTypeError("operands must be numbers, got bool")
    a, b = _as_matrices(x.shape, y.shape)
    if a[-1] != b[-2]:
        raise ShapeError(f"inner dimensions must match, {got}")
    try:
        batch = broadcast_shapes(a[:-2], b[:-2])
    except ShapeError:
        raise ShapeError(f"batch dimensions must broadcast, {got}") from None
    rows = () if x.ndim == 1 else (a[-2],)
    columns = () if y.ndim == 1 else (b[-1],)
    return Aval((*batch, *rows, *columns), x.dtype, one_device(x, y))


def _as_matrices(x: Shape, y: Shape) -> tuple[Shape, Shape]:
    return (1, *x) if len(x) == 1 else x, (*y, 1) if len(y) == 1 else y


def _swap(x: Any) -> Any:
    ndim = len(x.shape)
    return permute_dims(x, (*range(ndim - 2), ndim - 1, ndim - 2))


def _cotangent(c: Any, g: Any) -> Any:
    """The cotangent with the axes that a vector operand dropped put back."""
    x, y = c.ins
    g = expand_dims(g, -1) if y.ndim == 1 else g
    return expand_dims(g, -2) if x.ndim == 1 else g


def _vjp_x(c: Any, g: Any) -> Any:
    x, y = c.ins
    right = expand_dims(c.y, -1) if y.ndim == 1 else c.y
    product = matmul(_cotangent(c, g), _swap(right))
    return _back(product, x, (1, *x.shape) if x.ndim == 1 else x.shape)


def _vjp_y(c: Any, g: Any) -> Any:
    x, y = c.ins
    left = expand_dims(c.x, 0) if x.ndim == 1 else c.x
    product = matmul(_swap(left), _cotangent(c, g))
    return _back(product, y, (*y.shape, 1) if y.ndim == 1 else y.shape)


def _back(product: Any, operand: Aval, as_matrix: Shape) -> Any:
    product = unbroadcast(product, Aval(as_matrix, operand.dtype, operand.device))
    return product if operand.ndim > 1 else reshape(product, operand.shape)


def _flop(ins: tuple[Aval, ...], outs: tuple[Aval, ...], attrs: Any) -> Size:
    return 2 * outs[0].size * ins[0].shape[-1]


matmul: Operator = defop(
    "matmul",
    "x, y -> z",
    infer=_matmul,
    kernel="matmul",
    promote=promotion.common,
    vjp=(_vjp_x, _vjp_y),
    saves=("y", "x"),
    cost=_flop,
    doc="""Matrix product over the last two axes; the axes before them broadcast.

    Parameters
    ----------
    x : array, shape (..., n, k) or (k,)
    y : array, shape (..., k, m) or (k,)

    Returns
    -------
    array, shape (..., n, m), without the axis of an operand that is a vector

    Raises
    ------
    ShapeError
        When the inner dimensions differ or the batch dimensions do not broadcast.
    DTypeError
        When the dtypes do not promote, or are bool.

    Examples
    --------
    >>> dt.matmul(dt.tensor([[1.0, 2.0]]), dt.tensor([[3.0], [4.0]]))
    tensor([[11.]])
    """,
)

__all__ = functions_of(__name__)
