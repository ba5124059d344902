"""Basic indexing (integers, slices, ellipsis, new axes) and gathering along an axis."""

from __future__ import annotations

import operator
from dataclasses import replace
from typing import Any

import numpy as np

from ..avals import Aval, as_shape, show
from ..dims import Dim, Shape, Size
from ..dtypes import is_integer
from ..errors import DTypeError, ShapeError
from ..kernels import manipulation as kernels
from . import promotion
from .core import REQUIRED, Operator, defop, functions_of
from .rules import broadcast_shapes, no_flop, normal_axis, unbroadcast


def hashable(index: Any) -> tuple[Any, ...]:
    """An index as users write it, with its slices as tuples, so that it can key a table."""
    entries = index if isinstance(index, tuple) else (index,)
    return tuple((i.start, i.stop, i.step) if isinstance(i, slice) else i for i in entries)


def _entry(entry: Any, size: Size, axis: int) -> Any:
    """One entry in normal form: an index from 0, or ``(start, stop, step)`` within the axis."""
    if isinstance(entry, slice):
        entry = (entry.start, entry.stop, entry.step)
    if isinstance(entry, tuple):
        return _slice(entry, size)
    if isinstance(entry, bool | np.bool_) or getattr(entry, "shape", ()) != ():
        raise _no_index(entry)
    try:
        number = operator.index(entry)
    except TypeError:
        raise _no_index(entry) from None
    if isinstance(size, Dim):
        return number
    if not -size <= number < size:
        raise ShapeError(f"an index must be in -{size}..{size - 1} on axis {axis}, got {number}")
    return number % size


def _no_index(entry: Any) -> ShapeError:
    return ShapeError(
        f"an index must be whole numbers, slices, None and one ellipsis, got {type(entry).__name__}"
    )


def _slice(entry: tuple[Any, ...], size: Size) -> tuple[Any, ...]:
    start, stop, step = entry
    if step == 0:
        raise ShapeError("a slice's step must not be 0, got 0")
    if any(isinstance(v, Dim) for v in (size, start, stop)):
        if entry == (None, None, None) or (
            start in (0, None) and stop == size and step in (1, None)
        ):
            return (None, None, None)
        if step not in (1, None) or start is None or stop is None:
            raise ShapeError(f"a symbolic axis takes start:stop slices alone, got {entry}")
        return (start, stop, None)
    try:
        first, last, stride = slice(start, stop, step).indices(size)
    except TypeError:
        raise ShapeError(f"a slice must hold whole numbers, got {entry}") from None
    count = len(range(first, last, stride))
    if count == 0:
        return (0, 0, 1)
    if stride < 0:
        end = first + count * stride
        return (first, end if end >= 0 else None, stride)
    return (None, None, None) if count == size else (first, last, stride)


def _complete(x: Aval, index: Any) -> dict[str, Any]:
    """An index with one entry for every axis, in normal form."""
    entries = index if isinstance(index, tuple) else (index,)
    consumed = [e for e in entries if e is not None and e is not Ellipsis]
    if len(consumed) > x.ndim or sum(e is Ellipsis for e in entries) > 1:
        raise ShapeError(f"too many indices for {x.ndim} axes, got {len(consumed)}")
    at = next((i for i, e in enumerate(entries) if e is Ellipsis), len(entries))
    fill = ((None, None, None),) * (x.ndim - len(consumed))
    normal: list[Any] = []
    axis = 0
    for entry in (*entries[:at], *fill, *entries[at + 1 :]):
        if entry is None:
            normal.append(None)
        else:
            normal.append(_entry(entry, x.shape[axis], axis))
            axis += 1
    return {"index": tuple(normal)}


def _indexed(x: Aval, index: tuple[Any, ...]) -> Aval:
    shape: list[Size] = []
    axis = 0
    for entry in index:
        if entry is None:
            shape.append(1)
            continue
        if isinstance(entry, tuple):
            shape.append(_length(entry, x.shape[axis]))
        axis += 1
    return replace(x, shape=tuple(shape))


def _length(entry: tuple[Any, ...], size: Size) -> Size:
    start, stop, step = entry
    if entry == (None, None, None):
        return size
    if any(isinstance(v, Dim) for v in (start, stop)):
        return stop - start
    return len(range(*slice(start, stop, step).indices(size)))


getitem: Operator = defop(
    "getitem",
    "x -> y",
    attrs={"index": REQUIRED},
    normalise=_complete,
    infer=_indexed,
    kernel=kernels.getitem,
    vjp=(lambda c, g: scatter_slice(g, c.index, c.ins[0].shape),),
    view=True,
    cost=no_flop,
    doc="""A view of part of an array, as ``x[index]``.

    Parameters
    ----------
    x : array
    index : int, slice, None, Ellipsis or a tuple of them

    Returns
    -------
    array

    Raises
    ------
    ShapeError
        When an index is out of range or of another kind.

    Examples
    --------
    >>> dt.tensor([[1.0, 2.0], [3.0, 4.0]])[:, 0]
    tensor([1., 3.])
    """,
)

scatter_slice: Operator = defop(
    "scatter_slice",
    "g -> x",
    attrs={"index": REQUIRED, "shape": REQUIRED},
    normalise=lambda g, index, shape: (
        {**_complete(replace(g, shape=as_shape(shape)), index), "shape": as_shape(shape)}
    ),
    infer=lambda g, index, shape: _scattered(g, index, shape),
    kernel=kernels.scatter_slice,
    vjp=(lambda c, g: getitem(g, c.index),),
    cost=no_flop,
    doc="""Zeros of a shape, but for ``x[index]``, which holds the operand.

    Parameters
    ----------
    g : array of the shape of ``x[index]``
    index : as for `getitem`
    shape : tuple of int

    Returns
    -------
    array of `shape`

    Raises
    ------
    ShapeError
        When the operand has not the shape that `index` selects.

    Examples
    --------
    >>> dt.scatter_slice(dt.tensor([5.0]), slice(1, 2), (3,))
    tensor([0., 5., 0.])
    """,
)


def _scattered(g: Aval, index: tuple[Any, ...], shape: Shape) -> Aval:
    whole = replace(g, shape=shape)
    selected = _indexed(whole, index).shape
    if g.shape != selected:
        raise ShapeError(
            f"operand must have the shape that the index selects, got {show(g.shape)} "
            f"for {show(selected)}"
        )
    return whole


def _assigned(x: Aval, value: Aval, index: tuple[Any, ...]) -> Aval:
    selected = _indexed(x, index).shape
    if broadcast_shapes(value.shape, selected) != selected:
        raise ShapeError(
            f"value must broadcast to the shape that the index selects, got {show(value.shape)} "
            f"for {show(selected)}"
        )
    return x


def _value_as_first(x: Any, value: Any) -> list[Aval]:
    x, value = promotion.as_given(x)[0], promotion.as_given(value)[0]
    return [x, replace(value, dtype=x.dtype)]


setitem: Operator = defop(
    "setitem",
    "x, value -> y",
    attrs={"index": REQUIRED},
    promote=_value_as_first,
    normalise=lambda x, value, index: _complete(x, index),
    infer=_assigned,
    kernel=kernels.setitem,
    vjp=(
        lambda c, g: setitem(g, 0.0, c.index),
        lambda c, g: unbroadcast(getitem(g, c.index), c.ins[1]),
    ),
    saves=("", ""),
    in_place=True,
    cost=no_flop,
    doc="""A copy of `x` in which ``x[index]`` is `value`.

    Parameters
    ----------
    x : array
    value : array or number
        Broadcast to the shape of ``x[index]`` and cast to the dtype of `x`.
    index : as for `getitem`

    Returns
    -------
    array like `x`

    Raises
    ------
    ShapeError
        When the index is out of range, or the value does not broadcast.

    Examples
    --------
    >>> dt.setitem(dt.tensor([1.0, 2.0]), 9.0, 0)
    tensor([9., 2.])
    """,
)


def _axis_of(x: Aval, indices: Aval, axis: Any) -> dict[str, Any]:
    return {"axis": normal_axis(axis, x.ndim)}


def _take(x: Aval, indices: Aval, axis: int) -> Aval:
    if not is_integer(indices.dtype):
        raise DTypeError(f"indices must be integers, got {indices.dtype}")
    return replace(x, shape=(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


take: Operator = defop(
    "take",
    "x, indices -> y",
    attrs={"axis": 0},
    normalise=_axis_of,
    infer=_take,
    kernel=kernels.take,
    may_raise=True,
    vjp=(
        lambda c, g: scatter_add(g, c.indices, c.axis, c.ins[0].shape),
        lambda c, g: None,
    ),
    saves=("indices", ""),
    cost=no_flop,
    doc="""Elements along an axis, gathered by integer indices of any shape.

    Parameters
    ----------
    x : array
    indices : array, integer
        Counted from 0; negative ones from the end.
    axis : int

    Returns
    -------
    array, shape ``x.shape[:axis] + indices.shape + x.shape[axis + 1:]``

    Raises
    ------
    ShapeError
        When the axis is out of range.
    DTypeError
        When `indices` are no integers.
    IndexError
        When the kernel meets an index out of range.

    Examples
    --------
    >>> dt.take(dt.tensor([1.0, 2.0, 3.0]), dt.tensor([2, 0]))
    tensor([3., 1.])
    """,
)


def _gathered(g: Aval, indices: Aval, axis: int, shape: Shape) -> Aval:
    whole = replace(g, shape=shape)
    expected = _take(whole, indices, axis).shape
    if g.shape != expected:
        raise ShapeError(
            f"operand must have the shape that the indices gather, got {show(g.shape)} "
            f"for {show(expected)}"
        )
    return whole


scatter_add: Operator = defop(
    "scatter_add",
    "g, indices -> x",
    attrs={"axis": REQUIRED, "shape": REQUIRED},
    normalise=lambda g, indices, axis, shape: {
        "axis": normal_axis(axis, len(as_shape(shape))),
        "shape": as_shape(shape),
    },
    infer=_gathered,
    kernel=kernels.scatter_add,
    may_raise=True,
    vjp=(lambda c, g: take(g, c.indices, c.axis), lambda c, g: None),
    saves=("indices", ""),
    doc="""Zeros of a shape to which slices are added at integer indices along an axis.

    Parameters
    ----------
    g : array of the shape that ``take(x, indices, axis)`` has
    indices : array, integer
    axis : int
    shape : tuple of int

    Returns
    -------
    array of `shape`

    Raises
    ------
    ShapeError
        When the operand has not the shape that the indices gather.
    DTypeError
        When `indices` are no integers.

    Examples
    --------
    >>> dt.scatter_add(dt.tensor([1.0, 2.0, 3.0]), dt.tensor([0, 2, 0]), 0, (3,))
    tensor([4., 0., 2.])
    """,
)

__all__ = functions_of(__name__)
