"""Operators that move elements and compute none: shapes, axes and joining."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..avals import Aval, as_shape, show, sizes_of
from ..dims import Shape, Size, divide_exactly, product
from ..errors import ShapeError
from ..kernels import manipulation as kernels
from . import promotion
from .core import REQUIRED, Operator, defop, functions_of
from .indexing import getitem
from .rules import broadcast_shapes, no_flop, normal_axes, normal_axis, unbroadcast


def _fill_in(x: Aval, shape: Any) -> dict[str, Any]:
    """A shape with its -1 replaced by the size that keeps the number of elements."""
    given = sizes_of(shape)
    at = next((i for i, s in enumerate(given) if isinstance(s, int | np.integer) and s == -1), None)
    if at is None:
        return {"shape": as_shape(given)}
    known = as_shape(given[:at] + given[at + 1 :])
    try:
        size = divide_exactly(x.size, product(known))
    except ShapeError:
        raise ShapeError(
            f"sizes must keep the number of elements, got {show(x.shape)} to {show(given)}"
        ) from None
    return {"shape": (*known[:at], size, *known[at:])}


def _reshape(x: Aval, shape: Shape) -> Aval:
    if product(shape) != x.size:
        raise ShapeError(
            f"sizes must keep the number of elements, got {show(x.shape)} to {show(shape)}"
        )
    return replace(x, shape=shape)


reshape: Operator = defop(
    "reshape",
    "x -> y",
    attrs={"shape": REQUIRED},
    normalise=_fill_in,
    infer=_reshape,
    kernel=kernels.reshape,
    vjp=(lambda c, g: reshape(g, c.ins[0].shape),),
    view=True,
    cost=no_flop,
    doc="""The same elements, in row-major order, under another shape. A view where possible.

    Parameters
    ----------
    x : array
    shape : tuple of int
        One size may be -1: it is inferred.

    Returns
    -------
    array of `shape`

    Raises
    ------
    ShapeError
        When the number of elements would change.

    Examples
    --------
    >>> dt.reshape(dt.tensor([1.0, 2.0, 3.0, 4.0]), (2, -1))
    tensor([[1., 2.],
            [3., 4.]])
    """,
)


def _permutation(x: Aval, axes: Any) -> dict[str, Any]:
    if axes is None:
        axes = tuple(reversed(range(x.ndim)))
    order = None
    if isinstance(axes, tuple | list):
        order = tuple(normal_axis(a, x.ndim) for a in axes)
    if order is None or sorted(order) != list(range(x.ndim)):
        raise ShapeError(f"axes must be a permutation of {x.ndim} axes, got {axes}")
    return {"axes": order}


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


permute_dims: Operator = defop(
    "permute_dims",
    "x -> y",
    attrs={"axes": None},
    normalise=_permutation,
    infer=lambda x, axes: replace(x, shape=tuple(x.shape[a] for a in axes)),
    kernel=kernels.permute_dims,
    vjp=(lambda c, g: permute_dims(g, _inverse(c.axes)),),
    view=True,
    cost=no_flop,
    doc="""A view with the axes in another order.

    Parameters
    ----------
    x : array
    axes : tuple of int, optional
        Which axis of `x` each axis of the result is. By default all in reverse.

    Returns
    -------
    array

    Raises
    ------
    ShapeError
        When `axes` is no permutation.

    Examples
    --------
    >>> dt.permute_dims(dt.tensor([[1.0, 2.0], [3.0, 4.0]]), (1, 0))
    tensor([[1., 3.],
            [2., 4.]])
    """,
)


def _broadcast_to(x: Aval, shape: Shape) -> Aval:
    if broadcast_shapes(x.shape, shape) != shape:
        raise ShapeError(
            f"operand must broadcast to the shape, got {show(x.shape)} to {show(shape)}"
        )
    return replace(x, shape=shape)


broadcast_to: Operator = defop(
    "broadcast_to",
    "x -> y",
    attrs={"shape": REQUIRED},
    normalise=lambda x, shape: {"shape": as_shape(shape)},
    infer=_broadcast_to,
    kernel=kernels.broadcast_to,
    vjp=(lambda c, g: unbroadcast(g, c.ins[0]),),
    view=True,
    cost=no_flop,
    doc="""A read-only view that repeats the operand to a shape.

    Parameters
    ----------
    x : array
    shape : tuple of int

    Returns
    -------
    array of `shape`

    Raises
    ------
    ShapeError
        When `x` does not broadcast to `shape`.

    Examples
    --------
    >>> dt.broadcast_to(dt.tensor([1.0, 2.0]), (2, 2))
    tensor([[1., 2.],
            [1., 2.]])
    """,
)


def _new_axis(x: Aval, axis: Any) -> dict[str, Any]:
    return {"axis": normal_axis(axis, x.ndim + 1)}


expand_dims: Operator = defop(
    "expand_dims",
    "x -> y",
    attrs={"axis": 0},
    normalise=_new_axis,
    infer=lambda x, axis: replace(x, shape=(*x.shape[:axis], 1, *x.shape[axis:])),
    kernel=kernels.expand_dims,
    vjp=(lambda c, g: reshape(g, c.ins[0].shape),),
    view=True,
    cost=no_flop,
    doc="""A view with a new axis of size 1.

    Parameters
    ----------
    x : array
    axis : int
        Where the new axis stands in the result.

    Returns
    -------
    array

    Raises
    ------
    ShapeError
        When the axis is out of range.

    Examples
    --------
    >>> dt.expand_dims(dt.tensor([1.0, 2.0]), 0)
    tensor([[1., 2.]])
    """,
)


def _ones(x: Aval, axis: Any) -> dict[str, Any]:
    if axis is None:
        return {"axis": tuple(i for i, d in enumerate(x.shape) if d == 1)}
    axes = normal_axes(axis, x.ndim)
    for a in axes:
        if x.shape[a] != 1:
            raise ShapeError(f"a squeezed axis must have size 1, got {show(x.shape)}, axis {a}")
    return {"axis": axes}


squeeze: Operator = defop(
    "squeeze",
    "x -> y",
    attrs={"axis": None},
    normalise=_ones,
    infer=lambda x, axis: replace(
        x, shape=tuple(d for i, d in enumerate(x.shape) if i not in axis)
    ),
    kernel=kernels.squeeze,
    vjp=(lambda c, g: reshape(g, c.ins[0].shape),),
    view=True,
    cost=no_flop,
    doc="""A view without axes of size 1.

    Parameters
    ----------
    x : array
    axis : int or tuple of int, optional
        By default every axis of size 1.

    Returns
    -------
    array

    Raises
    ------
    ShapeError
        When an axis is out of range or not of size 1.

    Examples
    --------
    >>> dt.squeeze(dt.tensor([[1.0, 2.0]]), 0)
    tensor([1., 2.])
    """,
)


def _concat(*xs: Aval, axis: int) -> Aval:
    first = xs[0]
    total: Size = 0
    for x in xs:
        if x.ndim != first.ndim or any(
            a != b for i, (a, b) in enumerate(zip(x.shape, first.shape)) if i != axis
        ):
            shapes = " and ".join(show(x.shape) for x in xs)
            raise ShapeError(f"shapes must agree but for axis {axis}, got {shapes}")
        total = total + x.shape[axis]
    return replace(first, shape=(*first.shape[:axis], total, *first.shape[axis + 1 :]))


def _concat_axis(*xs: Aval, axis: Any) -> dict[str, Any]:
    return {"axis": normal_axis(axis, xs[0].ndim)}


def _piece(c: Any, g: Any, position: int) -> Any:
    start: Size = 0
    for x in c.ins[:position]:
        start = start + x.shape[c.axis]
    stop = start + c.ins[position].shape[c.axis]
    return getitem(g, (*[slice(None)] * c.axis, slice(start, stop)))


concat: Operator = defop(
    "concat",
    "*xs -> y",
    attrs={"axis": 0},
    normalise=_concat_axis,
    infer=_concat,
    kernel=kernels.concat,
    promote=promotion.common,
    vjp=(_piece,),
    saves=("",),
    cost=no_flop,
    doc="""Arrays joined along an axis that they have.

    Parameters
    ----------
    xs : sequence of arrays
    axis : int

    Returns
    -------
    array of the common dtype

    Raises
    ------
    ShapeError
        When there is no operand, or the other axes differ.

    Examples
    --------
    >>> dt.concat([dt.tensor([1.0]), dt.tensor([2.0, 3.0])])
    tensor([1., 2., 3.])
    """,
)

stop_gradient: Operator = defop(
    "stop_gradient",
    "x -> y",
    infer=lambda x: x,
    kernel=kernels.alias,
    vjp=None,
    view=True,
    cost=no_flop,
    doc="""A view of the same numbers through which no gradient flows.

    Parameters
    ----------
    x : array

    Returns
    -------
    array like `x`

    Examples
    --------
    >>> dt.stop_gradient(dt.tensor([1.0], requires_grad=True)).requires_grad
    False
    """,
)

__all__ = functions_of(__name__)
