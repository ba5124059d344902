"""Basic indexing: integers, slices, an ellipsis and new axes, which give views.

`subscript` holds the functions that users call, which take index arrays and masks, too.
"""

from __future__ import annotations

import operator
from dataclasses import replace
from types import NoneType
from typing import Any

import numpy as np

from ..avals import Aval, as_shape, show
from ..dims import Dim, Shape, Size
from ..dtypes import is_complex
from ..errors import DTypeError, ShapeError
from ..kernels import indexing as kernels
from . import batching, promotion
from .core import REQUIRED, Operator, defop
from .rules import broadcast_shapes, no_flop, unbroadcast

# The normal form of ``:``.
WHOLE = (None, None, None)


def hashable(index: Any) -> tuple[Any, ...]:
    """An index as users write it, with its slices as tuples, so that it can key a table."""
    entries = index if isinstance(index, tuple) else (index,)
    return tuple(
        [
            (_number(i.start), _number(i.stop), _number(i.step)) if isinstance(i, slice) else i
            for i in entries
        ]
    )


def _number(bound: Any) -> Any:
    """A slice's bound; what stands for a number, such as a tensor, as that number."""
    if isinstance(bound, (int, Dim, NoneType)) or not hasattr(bound, "__index__"):
        return bound
    return operator.index(bound)


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
        return _symbolic_slice(entry, size)
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
    return WHOLE if count == size else (first, last, stride)


def _symbolic_slice(entry: tuple[Any, ...], size: Size) -> tuple[Any, ...]:
    """A slice of an axis whose size, or one of its bounds, is known when the graph runs.

    What a bound beyond the end would cut off cannot be known here, so a run in which one is
    raises an error.
    """
    start, stop, step = entry
    if entry == (None, None, -1):
        return entry
    if step not in (1, None):
        raise ShapeError(f"a symbolic axis takes start:stop and ::-1 slices alone, got {entry}")
    first, last = _from_start(start, 0, size), _from_start(stop, size, size)
    return WHOLE if first == 0 and last == size else (first, last, None)


def _from_start(bound: Any, default: Size, size: Size) -> Size:
    if bound is None:
        return default
    return size + bound if isinstance(bound, int) and bound < 0 else bound


def _complete(x: Aval, index: Any) -> dict[str, Any]:
    """An index with one entry for every axis, in normal form."""
    entries = index if isinstance(index, tuple) else (index,)
    consumed = [e for e in entries if e is not None and e is not Ellipsis]
    ellipses = sum(e is Ellipsis for e in entries)
    if len(consumed) > x.ndim:
        raise ShapeError(f"too many indices for {x.ndim} axes, got {len(consumed)}")
    if ellipses > 1:
        raise ShapeError(f"there must be at most one ellipsis, got {ellipses}")
    at = next((i for i, e in enumerate(entries) if e is Ellipsis), len(entries))
    fill = (WHOLE,) * (x.ndim - len(consumed))
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
    if start is None and stop is None and step in (None, -1):
        return size
    if any(isinstance(v, Dim) for v in (size, start, stop)):
        return stop - start
    return len(range(*slice(start, stop, step).indices(size)))


def _behind_batch(call: Any, operands: Any, batched: Any, **changed: Any) -> Any:
    return batching.apply(call, *operands, index=(WHOLE, *call.attrs["index"]), **changed)


def _scatter_batch(call: Any, operands: Any, batched: Any) -> Any:
    shape = (operands[0].shape[0], *call.attrs["shape"])
    return _behind_batch(call, operands, batched, shape=shape)


def _setitem_batch(call: Any, operands: Any, batched: Any) -> Any:
    """The batch of the value stands left of all that the index selects."""
    from .manipulation import broadcast_to, reshape

    x, value = operands
    given, selected = call.ins[1], _indexed(call.ins[0], call.attrs["index"])
    if not batched[0]:
        x = broadcast_to(x, (value.shape[0], *x.shape))
    if batched[1]:
        ones = [1] * (selected.ndim - given.ndim)
        value = reshape(value, (value.shape[0], *ones, *given.shape))
    return _behind_batch(call, (x, value), batched)


getitem: Operator = defop(
    "getitem",
    "x -> y",
    attrs={"index": REQUIRED},
    normalise=_complete,
    infer=_indexed,
    kernel=kernels.getitem,
    vjp=(lambda c, g: scatter_slice(g, c.index, c.ins[0].shape),),
    batch=_behind_batch,
    view=True,
    cost=no_flop,
    doc="The operator behind `getitem` where an index holds no arrays: a view.",
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
    batch=_scatter_batch,
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


def value_as_first(x: Any, value: Any) -> list[Aval]:
    """Avals of an array and of what is written into it, which takes the array's dtype.

    Raises
    ------
    DTypeError
        When the imaginary part of the value would be lost.
    """
    x, value = promotion.as_given(x, value)
    if is_complex(value.dtype) and not is_complex(x.dtype):
        raise DTypeError(f"value must be real for {x.dtype}, got {value.dtype}")
    return [x, replace(value, dtype=x.dtype)]


setitem: Operator = defop(
    "setitem",
    "x, value -> y",
    attrs={"index": REQUIRED},
    promote=value_as_first,
    normalise=lambda x, value, index: _complete(x, index),
    infer=_assigned,
    kernel=kernels.setitem,
    vjp=(
        lambda c, g: setitem(g, 0.0, c.index),
        lambda c, g: unbroadcast(getitem(g, c.index), c.ins[1]),
    ),
    saves=("", ""),
    batch=_setitem_batch,
    in_place=True,
    cost=no_flop,
    doc="The operator behind `setitem` where an index holds no arrays.",
)

__all__ = ["scatter_slice"]
