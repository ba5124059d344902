"""Rows of a table, looked up by index."""

from __future__ import annotations

from typing import Any

from ..avals import Aval, show
from ..dims import Dim, Size
from ..dtypes import is_integer
from ..errors import ArgumentError, DTypeError, ShapeError
from ..kernels import embeddings as kernels
from .batching import Results, apply, spread
from .core import REQUIRED, Bound, Operator, defop, functions_of
from .creation import arange
from .elementwise import astype
from .indexing import setitem
from .logic import where
from .manipulation import expand_dims, reshape, stop_gradient
from .rules import no_flop, one_device
from .windows import whole


def _padding(padding_idx: Any, count: Size) -> int | None:
    """The row without a gradient, counted from 0."""
    if padding_idx is None:
        return None
    index = whole(padding_idx, "padding_idx", None)
    if isinstance(count, Dim):
        return index
    if not -count <= index < count:
        raise ArgumentError(f"padding_idx must be in -{count}..{count - 1}, got {index}")
    return index % count


def _rows_of(indices: Aval, weight: Aval, padding_idx: Any) -> dict[str, Any]:
    if weight.ndim != 2:
        raise ShapeError(f"weight must have shape (rows, width), got {show(weight.shape)}")
    return {"padding_idx": _padding(padding_idx, weight.shape[0])}


def _check_indices(indices: Aval) -> None:
    if not is_integer(indices.dtype):
        raise DTypeError(f"indices must be integers, got {indices.dtype}")


def _embedding(indices: Aval, weight: Aval, padding_idx: int | None) -> Aval:
    _check_indices(indices)
    shape = (*indices.shape, weight.shape[1])
    return Aval(shape, weight.dtype, one_device(weight, indices))


def _in_one_table(indices: Any, rows: Size) -> Any:
    """Indices of each example moved to its part of a table that holds those of all."""
    size = indices.shape[0]
    first = arange(size, dtype="int64") * rows
    return astype(indices, "int64") + reshape(first, (size, *[1] * (indices.ndim - 1)))


def _embedding_batch(call: Bound, operands: Any, batched: Any) -> Results:
    if not batched[1]:
        return apply(call, *operands)
    indices, weight = spread(call, operands, batched)
    rows, width = call.ins[1].shape
    table = reshape(weight, (weight.shape[0] * rows, width))
    y = apply(call, _in_one_table(indices, rows), table, padding_idx=None)
    if call.attrs["padding_idx"] is None:
        return y
    return where(expand_dims(indices == call.attrs["padding_idx"], -1), stop_gradient(y), y)


embedding: Operator = defop(
    "embedding",
    "indices, weight -> y",
    attrs={"padding_idx": None},
    normalise=_rows_of,
    infer=_embedding,
    kernel=kernels.embedding,
    may_raise=True,
    vjp=(
        lambda c, g: None,
        lambda c, g: embedding_grad(g, c.indices, c.ins[1].shape[0], c.padding_idx),
    ),
    saves=("", "indices"),
    batch=_embedding_batch,
    cost=no_flop,
    doc="""Rows of a table, one for each index.

    Parameters
    ----------
    indices : array, integers in ``0..rows - 1``
    weight : array, shape (rows, width)
    padding_idx : int, optional
        The row that gets no gradient.

    Returns
    -------
    array, shape (*indices.shape, width)

    Raises
    ------
    ShapeError
        When the table has not two axes.
    DTypeError
        When the indices are no integers.
    ArgumentError
        When `padding_idx` is out of range.
    RangeError
        When the kernel meets an index out of range.

    Examples
    --------
    >>> dt.embedding(dt.tensor([1, 0]), dt.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[3., 4.],
            [1., 2.]])
    """,
)


def _table(g: Aval, indices: Aval, count: Any, padding_idx: Any) -> dict[str, Any]:
    rows = count if isinstance(count, Dim) else whole(count, "count", 0)
    return {"count": rows, "padding_idx": _padding(padding_idx, rows)}


def _embedding_grad(g: Aval, indices: Aval, count: Size, padding_idx: int | None) -> Aval:
    _check_indices(indices)
    if g.ndim != indices.ndim + 1 or g.shape[:-1] != indices.shape:
        raise ShapeError(
            "the cotangent must have a row for each index, got "
            f"{show(g.shape)} for {show(indices.shape)}"
        )
    return Aval((count, g.shape[-1]), g.dtype, one_device(g, indices))


def _embedding_grad_vjp(c: Any, h: Any) -> Any:
    y = embedding(c.indices, h)
    if c.padding_idx is None:
        return y
    return where(expand_dims(c.indices == c.padding_idx, -1), 0.0, y)


def _embedding_grad_batch(call: Bound, operands: Any, batched: Any) -> Results:
    g, indices = spread(call, operands, batched)
    rows, width = call.outs[0].shape
    size = g.shape[0]
    y = apply(call, g, _in_one_table(indices, rows), count=size * rows, padding_idx=None)
    y = reshape(y, (size, rows, width))
    padding = call.attrs["padding_idx"]
    return y if padding is None else setitem(y, 0.0, ((None, None, None), padding))


embedding_grad: Operator = defop(
    "embedding_grad",
    "g, indices -> gweight",
    attrs={"count": REQUIRED, "padding_idx": None},
    normalise=_table,
    infer=_embedding_grad,
    kernel=kernels.embedding_grad,
    may_raise=True,
    vjp=(_embedding_grad_vjp, lambda c, h: None),
    saves=("indices", ""),
    batch=_embedding_grad_batch,
    cost=lambda ins, outs, attrs: ins[0].size,
    doc="""The gradient of `embedding` with respect to its table.

    Parameters
    ----------
    g : array, shape (*indices.shape, width)
        The cotangent of the result.
    indices : array, integers in ``0..count - 1``
    count : int
        Rows of the table.
    padding_idx : int, optional
        The row that gets no gradient.

    Returns
    -------
    array, shape (count, width)

    Raises
    ------
    ShapeError
        When the cotangent has not a row for each index.
    DTypeError
        When the indices are no integers.
    ArgumentError
        When `padding_idx` is out of range.
    RangeError
        When the kernel meets an index out of range.

    Examples
    --------
    >>> dt.embedding_grad(dt.tensor([[1.0], [2.0], [3.0]]), dt.tensor([0, 2, 0]), 3)
    tensor([[4.],
            [0.],
            [2.]])
    """,
)

__all__ = functions_of(__name__)
