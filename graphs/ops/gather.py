"""Gathering and scattering along one axis, each line of the others by indices of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..avals import Aval, as_shape, show
from ..dims import Shape, product
from ..dtypes import INT64, as_dtype
from ..errors import ShapeError
from ..kernels import indexing as kernels
from . import promotion
from .advanced import axis_of_shape, reads_first, require_integers
from .batching import apply, leading, spread
from .core import REQUIRED, Operator, defop, functions_of
from .creation import arange, zeros
from .indexing import value_as_first
from .logic import where
from .manipulation import broadcast_to, expand_dims, reshape
from .rules import broadcast_shapes, no_flop, one_axis, one_device, unbroadcast


def _along(shape: Shape, indices: Aval, axis: int) -> Shape:
    """The shape that indices along an axis select, the other axes broadcast."""
    require_integers(indices)
    if indices.ndim != len(shape):
        raise ShapeError(
            f"indices must have as many axes as the operand, got {show(indices.shape)} for "
            f"{show(shape)}"
        )
    others = (*shape[:axis], 1, *shape[axis + 1 :])
    rows = (*indices.shape[:axis], 1, *indices.shape[axis + 1 :])
    try:
        common = broadcast_shapes(others, rows)
    except ShapeError:
        raise ShapeError(
            f"shapes must broadcast but for axis {axis}, got {show(shape)} and "
            f"{show(indices.shape)}"
        ) from None
    return (*common[:axis], indices.shape[axis], *common[axis + 1 :])


def _take_along(x: Aval, indices: Aval, axis: int) -> Aval:
    return Aval(_along(x.shape, indices, axis), x.dtype, one_device(x, indices))


def _along_batch(call: Any, operands: Any, batched: Any) -> Any:
    """The batch is one more axis in front, over which an operand without it broadcasts."""
    operands = [x if is_batched else expand_dims(x, 0) for x, is_batched in zip(operands, batched)]
    return apply(call, *operands, axis=call.attrs["axis"] + 1)


take_along_axis: Operator = defop(
    "take_along_axis",
    "x, indices -> y",
    attrs={"axis": -1},
    normalise=lambda x, indices, axis: one_axis(x, axis),
    infer=_take_along,
    kernel=kernels.take_along_axis,
    may_raise=True,
    vjp=(
        lambda c, g: add_along_axis(g, c.indices, c.axis, c.ins[0].shape),
        lambda c, g: None,
    ),
    saves=("indices", ""),
    batch=_along_batch,
    cost=no_flop,
    doc="""Elements along an axis, each line of the others by indices of its own.

    Parameters
    ----------
    x : array
    indices : array, integer, of as many axes as `x`
        Broadcast against `x` on every other axis. Negative ones count from the end.
    axis : int

    Returns
    -------
    array of the broadcast shape, with the size of `indices` on `axis`

    Raises
    ------
    ShapeError
        When the axis is out of range, or the shapes do not broadcast.
    DTypeError
        When `indices` are no integers.
    RangeError
        When the kernel meets an index out of range.

    Examples
    --------
    >>> x = dt.tensor([[3.0, 1.0, 2.0], [4.0, 6.0, 5.0]])
    >>> dt.take_along_axis(x, dt.tensor([[1], [0]]), axis=1)
    tensor([[1.],
            [4.]])
    """,
)


def _add_along(g: Aval, indices: Aval, axis: int, shape: Shape) -> Aval:
    expected = _along(shape, indices, axis)
    if g.shape != expected:
        raise ShapeError(
            f"operand must have the shape that the indices select, got {show(g.shape)} for "
            f"{show(expected)}"
        )
    return replace(g, shape=shape)


def _add_along_batch(call: Any, operands: Any, batched: Any) -> Any:
    g, _ = spread(call, operands, batched)
    indices = operands[1] if batched[1] else expand_dims(operands[1], 0)
    shape = (g.shape[0], *call.attrs["shape"])
    return apply(call, g, indices, axis=call.attrs["axis"] + 1, shape=shape)


add_along_axis: Operator = defop(
    "add_along_axis",
    "g, indices -> x",
    attrs={"axis": REQUIRED, "shape": REQUIRED},
    normalise=axis_of_shape,
    infer=_add_along,
    kernel=kernels.add_along_axis,
    may_raise=True,
    vjp=(lambda c, g: take_along_axis(g, c.indices, c.axis), lambda c, g: None),
    saves=("indices", ""),
    batch=_add_along_batch,
    cost=reads_first,
    doc="""Zeros of a shape to which elements are added along an axis: `take_along_axis` undone.

    Parameters
    ----------
    g : array of the shape that ``take_along_axis(x, indices, axis)`` has
    indices : array, integer
    axis : int
    shape : tuple of int

    Returns
    -------
    array of `shape`

    Raises
    ------
    ShapeError
        When the operand has not the shape that the indices select.
    DTypeError
        When `indices` are no integers.
    RangeError
        When the kernel meets an index out of range.

    Examples
    --------
    >>> dt.add_along_axis(dt.tensor([[1.0, 2.0]]), dt.tensor([[2, 2]]), 1, (1, 3))
    tensor([[0., 0., 3.]])
    """,
)


def _put_along(x: Aval, indices: Aval, values: Aval, axis: int) -> Aval:
    selected = _along(x.shape, indices, axis)
    others = (*selected[:axis], x.shape[axis], *selected[axis + 1 :])
    if others != x.shape:
        raise ShapeError(
            f"indices must not repeat the operand, got {show(indices.shape)} for {show(x.shape)}"
        )
    if broadcast_shapes(values.shape, selected) != selected:
        raise ShapeError(
            "values must broadcast to the shape that the indices select, got "
            f"{show(values.shape)} for {show(selected)}"
        )
    return x


def _put_values_vjp(c: Any, g: Any) -> Any:
    """Only the value that was written last at a position has stayed there."""
    shape, device = _along(c.ins[0].shape, c.ins[1], c.axis), c.ins[1].device
    order = reshape(arange(product(shape), device=device), shape)
    written = zeros(c.ins[0].shape, dtype=INT64, device=device)
    written = put_along_axis(written, c.indices, order, c.axis)
    kept = take_along_axis(written, c.indices, c.axis) == order
    return unbroadcast(where(kept, take_along_axis(g, c.indices, c.axis), 0.0), c.ins[2])


def _put_along_batch(call: Any, operands: Any, batched: Any) -> Any:
    x, indices, values = operands
    size = next(o.shape[0] for o, is_batched in zip(operands, batched) if is_batched)
    x = x if batched[0] else broadcast_to(x, (size, *x.shape))
    indices = indices if batched[1] else expand_dims(indices, 0)
    if batched[2]:
        missing = call.ins[0].ndim - call.ins[2].ndim
        values = reshape(values, (size, *[1] * missing, *call.ins[2].shape))
    return apply(call, x, indices, values, axis=call.attrs["axis"] + 1)


def _promote_put(x: Any, indices: Any, values: Any) -> list[Aval]:
    first, value = value_as_first(x, values)
    return [first, *promotion.as_given(indices), value]


put_along_axis: Operator = defop(
    "put_along_axis",
    "x, indices, values -> y",
    attrs={"axis": -1},
    promote=_promote_put,
    normalise=lambda x, indices, values, axis: one_axis(x, axis),
    infer=_put_along,
    kernel=kernels.put_along_axis,
    may_raise=True,
    vjp=(
        lambda c, g: put_along_axis(g, c.indices, 0.0, c.axis),
        lambda c, g: None,
        _put_values_vjp,
    ),
    saves=("indices", "", "indices"),
    batch=_put_along_batch,
    in_place=True,
    cost=no_flop,
    doc="""A copy of `x` with values written along an axis, each line by indices of its own.

    Where an index is given twice, the last value stays.

    Parameters
    ----------
    x : array
    indices : array, integer, of as many axes as `x`
        Broadcast to the shape of `x` on every other axis. Negative ones count from the end.
    values : array or number
        Broadcast to the shape that ``take_along_axis(x, indices, axis)`` has, and cast to the
        dtype of `x`.
    axis : int

    Returns
    -------
    array like `x`

    Raises
    ------
    ShapeError
        When the axis is out of range, or the shapes do not broadcast.
    DTypeError
        When `indices` are no integers.
    RangeError
        When the kernel meets an index out of range.

    Examples
    --------
    >>> dt.put_along_axis(dt.tensor([[1.0, 2.0], [3.0, 4.0]]), dt.tensor([[1], [0]]), 9.0)
    tensor([[1., 9.],
            [9., 4.]])
    """,
)


def _classes(x: Aval, num_classes: Any, dtype: Any) -> dict[str, Any]:
    [size] = as_shape((num_classes,))
    return {"num_classes": size, "dtype": as_dtype(dtype)}


def _one_hot(x: Aval, num_classes: Any, dtype: Any) -> Aval:
    require_integers(x)
    return Aval((*x.shape, num_classes), dtype, x.device)


one_hot: Operator = defop(
    "one_hot",
    "x -> y",
    attrs={"num_classes": REQUIRED, "dtype": "float32"},
    normalise=_classes,
    infer=_one_hot,
    kernel=kernels.one_hot,
    may_raise=True,
    vjp=None,
    batch=leading,
    cost=no_flop,
    doc="""Rows of zeros with a one at each index.

    Parameters
    ----------
    x : array, any shape, integers in ``0..num_classes - 1``
    num_classes : int
    dtype : dtype

    Returns
    -------
    array, shape ``(*x.shape, num_classes)``

    Raises
    ------
    DTypeError
        When `x` holds no integers.
    ShapeError
        When `num_classes` is negative.
    RangeError
        When the kernel meets an index out of range.

    Examples
    --------
    >>> dt.one_hot(dt.tensor([2, 0]), 3)
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """,
)

__all__ = functions_of(__name__)
