"""Diagonals of matrices: read, written and summed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..avals import Aval, as_shape, show
from ..dims import Dim, Shape, Size
from ..errors import ShapeError
from ..kernels import linalg as kernels
from .batching import leading, prefixed
from .core import REQUIRED, Operator, defop, functions_of
from .linalg import is_whole, require_matrix
from .manipulation import named
from .plain import shaped
from .reductions import sum as sum_
from .rules import no_flop


def _whole(x: Any, offset: Any) -> dict[str, Any]:
    if not is_whole(offset):
        raise ShapeError(f"offset must be a whole number, got {offset!r}")
    return {"offset": int(offset)}


def _length(rows: Size, columns: Size, offset: int) -> Size:
    """The number of elements of a diagonal."""
    if not offset and rows == columns:
        return rows
    if isinstance(rows, Dim) or isinstance(columns, Dim):
        raise ShapeError(
            "a diagonal's length must be known unless it is a square's main one, got "
            f"{show((rows, columns))}, offset {offset}"
        )
    return max(0, min(rows, columns, rows + offset, columns - offset))


def _diagonal(x: Aval, offset: int) -> Aval:
    require_matrix(x)
    return replace(x, shape=(*x.shape[:-2], _length(x.shape[-2], x.shape[-1], offset)))


diagonal: Operator = defop(
    "diagonal",
    "x -> y",
    attrs={"offset": 0},
    normalise=_whole,
    infer=_diagonal,
    kernel=kernels.diagonal,
    vjp=(lambda c, g: scatter_diagonal(g, c.offset, c.ins[0].shape),),
    view=True,
    cost=no_flop,
    batch=leading,
    doc="""A read-only view of a diagonal of the last two axes.

    Parameters
    ----------
    x : array, shape (..., n, m)
    offset : int
        How far right of the main diagonal; left of it where it is negative.

    Returns
    -------
    array, shape (..., k)
        `k` is 0 where the diagonal lies outside.

    Raises
    ------
    ShapeError
        When there are less than two axes, or `offset` is no whole number.

    Examples
    --------
    >>> dt.diagonal(dt.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([1., 4.])
    """,
)


def _scattered(g: Aval, offset: int, shape: Shape) -> Aval:
    whole = replace(g, shape=shape)
    expected = _diagonal(whole, offset).shape
    if g.shape != expected:
        raise ShapeError(
            f"operand must have the shape of the diagonal, got {show(g.shape)} for {show(expected)}"
        )
    return whole


scatter_diagonal: Operator = defop(
    "scatter_diagonal",
    "g -> x",
    attrs={"offset": REQUIRED, "shape": REQUIRED},
    normalise=lambda g, offset, shape: {**_whole(g, offset), "shape": as_shape(shape)},
    infer=_scattered,
    kernel=kernels.scatter_diagonal,
    vjp=(lambda c, g: diagonal(g, c.offset),),
    cost=no_flop,
    batch=prefixed("shape"),
    doc="""Zeros of a shape, but for a diagonal of the last two axes, which holds the operand.

    Parameters
    ----------
    g : array of the shape that ``diagonal(x, offset)`` has
    offset : int
        How far right of the main diagonal; left of it where it is negative.
    shape : tuple of int

    Returns
    -------
    array of `shape`

    Raises
    ------
    ShapeError
        When the operand has not the shape of the diagonal.

    Examples
    --------
    >>> dt.scatter_diagonal(dt.tensor([1.0, 2.0]), 0, (2, 3))
    tensor([[1., 0., 0.],
            [0., 2., 0.]])
    """,
)


def diag(x: Any, k: int = 0) -> Any:
    """The square matrix with a vector on a diagonal, or a diagonal of a matrix.

    Parameters
    ----------
    x : array, shape (n,) or (n, m)
    k : int
        How far right of the main diagonal; left of it where it is negative.

    Returns
    -------
    array, shape (n + |k|, n + |k|) for a vector; a view of the diagonal of a matrix

    Raises
    ------
    ShapeError
        When the operand is neither vector nor matrix, or `k` is no whole number.

    Examples
    --------
    >>> dt.diag(dt.tensor([1.0, 2.0]))
    tensor([[1., 0.],
            [0., 2.]])
    """
    x = shaped(x, "diag")
    offset = named("diag", _whole, x, k)["offset"]
    if len(x.shape) not in (1, 2):
        raise ShapeError(f"diag: the operand must be a vector or a matrix, got {show(x.shape)}")
    if len(x.shape) == 2:
        return diagonal(x, offset)
    size = x.shape[0] + abs(offset)
    return scatter_diagonal(x, offset, (size, size))


def trace(x: Any, offset: int = 0, dtype: Any = None) -> Any:
    """Sum of a diagonal of the last two axes.

    Parameters
    ----------
    x : array, shape (..., n, m), numbers
    offset : int
        How far right of the main diagonal; left of it where it is negative.
    dtype : dtype, optional
        Of the result and the sum; as of `sum` by default.

    Returns
    -------
    array, shape (...)

    Raises
    ------
    ShapeError
        When there are less than two axes, or `offset` is no whole number.
    DTypeError
        When `dtype` is none that Diptych computes with.

    Examples
    --------
    >>> dt.trace(dt.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(5.)
    """
    x = shaped(x, "trace")
    named("trace", require_matrix, x)
    named("trace", _whole, x, offset)
    return sum_(diagonal(x, offset), axis=-1, dtype=dtype)


__all__ = sorted([*functions_of(__name__), "diag", "trace"])
