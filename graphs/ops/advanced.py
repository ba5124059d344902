"""Reading and writing by index arrays: along one axis, and along several at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..avals import Aval, as_shape, show
from ..dims import Dim, Shape, Size, product
from ..dtypes import INT64, is_integer
from ..errors import DTypeError, ShapeError
from ..kernels import indexing as kernels
from . import promotion
from .axes import moveaxis
from .batching import apply, spread
from .core import REQUIRED, Operator, defop, functions_of
from .creation import arange, zeros
from .elementwise import astype
from .indexing import value_as_first
from .joining import concat
from .logic import where
from .manipulation import broadcast_to, permute_dims, reshape
from .rules import broadcast_shapes, no_flop, normal_axis, unbroadcast

_INDICES = """
    indices : array, shape (k, ...), integer
        A row per indexed axis. Negative ones count from the end."""
_AXES = """
    axes : tuple of int, optional
        The k indexed axes; the first k by default.
    at : int
        Where the axes of the indices stand among the other axes of {where}."""


def require_integers(indices: Aval) -> None:
    """Raises DTypeError unless the dtype is an integer."""
    if not is_integer(indices.dtype):
        raise DTypeError(f"indices must be integers, got {indices.dtype}")


def reads_first(ins: Any, outs: Any, attrs: Any) -> Size:
    """The cost of an operator that adds every element of its first operand to some sum."""
    return ins[0].size


def axis_of_shape(g: Aval, indices: Aval, axis: Any, shape: Any) -> dict[str, Any]:
    """The attributes of an operator that adds to an axis of zeros of a shape."""
    shape = as_shape(shape)
    return {"axis": normal_axis(axis, len(shape)), "shape": shape}


# -- along one axis ----------------------------------------------------------------------------


def _take_axis(x: Aval, indices: Aval, axis: Any) -> dict[str, Any]:
    if axis is None and x.ndim > 1:
        raise ShapeError(f"axis must be given for more than one axis, got {show(x.shape)}")
    return {"axis": normal_axis(0 if axis is None else axis, x.ndim)}


def _take(x: Aval, indices: Aval, axis: int) -> Aval:
    require_integers(indices)
    return replace(x, shape=(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


def _take_batch(call: Any, operands: Any, batched: Any) -> Any:
    x, indices = operands
    axis = call.attrs["axis"]
    if not batched[1]:
        return take(x, indices, axis + 1)
    if not batched[0]:
        return moveaxis(take(x, indices, axis), axis, 0)
    rows = _with_batch(reshape(indices, (indices.shape[0], 1, *indices.shape[1:])))
    return _behind(index(x, rows, (0, axis + 1), 0), call.ins[1].ndim, axis)


take: Operator = defop(
    "take",
    "x, indices -> y",
    attrs={"axis": None},
    normalise=_take_axis,
    infer=_take,
    kernel=kernels.take,
    may_raise=True,
    vjp=(
        lambda c, g: scatter_add(g, c.indices, c.axis, c.ins[0].shape),
        lambda c, g: None,
    ),
    saves=("indices", ""),
    batch=_take_batch,
    cost=no_flop,
    doc="""Elements along an axis, gathered by integer indices of any shape.

    Parameters
    ----------
    x : array
    indices : array, integer
        Counted from 0; negative ones from the end.
    axis : int, optional
        May be left out where `x` has one axis only.

    Returns
    -------
    array, shape ``x.shape[:axis] + indices.shape + x.shape[axis + 1:]``

    Raises
    ------
    ShapeError
        When the axis is out of range, or left out where there are several.
    DTypeError
        When `indices` are no integers.
    RangeError
        When the kernel meets an index out of range.

    Examples
    --------
    >>> dt.take(dt.tensor([1.0, 2.0, 3.0]), dt.tensor([2, 0]))
    tensor([3., 1.])
    """,
)


def _scattered(g: Aval, indices: Aval, axis: int, shape: Shape) -> Aval:
    whole = replace(g, shape=shape)
    _require_shape(g, _take(whole, indices, axis).shape)
    return whole


def _scatter_batch(call: Any, operands: Any, batched: Any) -> Any:
    g, indices = operands
    axis = call.attrs["axis"]
    if not batched[1]:
        return apply(call, g, indices, axis=axis + 1, shape=(g.shape[0], *call.attrs["shape"]))
    g, indices = spread(call, operands, batched)
    rows = _with_batch(reshape(indices, (indices.shape[0], 1, *indices.shape[1:])))
    front = _before(g, call.ins[1].ndim, axis)
    return index_add(front, rows, (g.shape[0], *call.attrs["shape"]), (0, axis + 1), 0)


scatter_add: Operator = defop(
    "scatter_add",
    "g, indices -> x",
    attrs={"axis": REQUIRED, "shape": REQUIRED},
    normalise=axis_of_shape,
    infer=_scattered,
    kernel=kernels.scatter_add,
    may_raise=True,
    vjp=(lambda c, g: take(g, c.indices, c.axis), lambda c, g: None),
    saves=("indices", ""),
    batch=_scatter_batch,
    cost=reads_first,
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
    RangeError
        When the kernel meets an index out of range.

    Examples
    --------
    >>> dt.scatter_add(dt.tensor([1.0, 2.0, 3.0]), dt.tensor([0, 2, 0]), 0, (3,))
    tensor([4., 0., 2.])
    """,
)


# -- along several axes ------------------------------------------------------------------------


def _several(ndim: int, indices: Aval, axes: Any, at: Any) -> dict[str, Any]:
    """The indexed axes counted from 0, and the place of the indices' axes among the others."""
    require_integers(indices)
    if not indices.ndim or isinstance(indices.shape[0], Dim):
        raise ShapeError(f"indices must have a row per indexed axis, got {show(indices.shape)}")
    count = indices.shape[0]
    given = tuple(range(count)) if axes is None else axes
    if not isinstance(given, tuple | list) or len(given) != count or not count:
        raise ShapeError(f"axes must be one per row of the indices, got {given} for {count} rows")
    normal = tuple(normal_axis(a, ndim) for a in given)
    if len(set(normal)) != count:
        raise ShapeError(f"axes must differ, got {given}")
    return {"axes": normal, "at": normal_axis(at, ndim - count + 1)}


def _selected(shape: Shape, indices: Aval, axes: tuple[int, ...], at: int) -> Shape:
    rest = [size for a, size in enumerate(shape) if a not in axes]
    return (*rest[:at], *indices.shape[1:], *rest[at:])


def _index(x: Aval, indices: Aval, axes: tuple[int, ...], at: int) -> Aval:
    return replace(x, shape=_selected(x.shape, indices, axes, at))


def _index_batch(call: Any, operands: Any, batched: Any) -> Any:
    x, indices = operands
    axes, at = call.attrs["axes"], call.attrs["at"]
    shifted = tuple(a + 1 for a in axes)
    if not batched[1]:
        return index(x, indices, shifted, at + 1)
    if not batched[0]:
        return moveaxis(index(x, moveaxis(indices, 0, 1), axes, at), at, 0)
    return _behind(index(x, _with_batch(indices), (0, *shifted), 0), call.ins[1].ndim - 1, at)


index: Operator = defop(
    "index",
    "x, indices -> y",
    attrs={"axes": None, "at": 0},
    normalise=lambda x, indices, axes, at: _several(x.ndim, indices, axes, at),
    infer=_index,
    kernel=kernels.index,
    may_raise=True,
    vjp=(
        lambda c, g: index_add(g, c.indices, c.ins[0].shape, c.axes, c.at),
        lambda c, g: None,
    ),
    saves=("indices", ""),
    batch=_index_batch,
    cost=no_flop,
    doc=f"""Elements at positions that index arrays give along several axes at once.

    What ``x[i, j]`` does with index arrays: ``index(x, stack([i, j]))``.

    Parameters
    ----------
    x : array{_INDICES}{_AXES.format(where="the result")}

    Returns
    -------
    array of the other axes of `x`, with ``indices.shape[1:]`` at `at`

    Raises
    ------
    ShapeError
        When there is not one axis per row, or an axis is out of range.
    DTypeError
        When `indices` are no integers.
    RangeError
        When the kernel meets an index out of range.

    Examples
    --------
    >>> x = dt.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> dt.index(x, dt.tensor([[0, 1, 1], [1, 0, 1]]))
    tensor([2., 3., 4.])
    """,
)


def _last(c: Any) -> Any:
    """Where the value at a position is the last that was written there: the one that stayed."""
    indexed = tuple(c.ins[0].shape[a] for a in c.axes)
    shape = c.ins[2].shape[1:]
    order = reshape(arange(product(shape), device=c.ins[2].device), shape)
    written = index_put(zeros(indexed, dtype=INT64, device=c.ins[2].device), order, c.indices)
    kept = index(written, c.indices) == order
    behind = c.ins[0].ndim - len(c.axes) - c.at
    return reshape(kept, (*shape, *[1] * behind))


def _put_values_vjp(c: Any, g: Any) -> Any:
    return unbroadcast(where(_last(c), index(g, c.indices, c.axes, c.at), 0.0), c.ins[1])


def _index_put(x: Aval, values: Aval, indices: Aval, axes: tuple[int, ...], at: int) -> Aval:
    _require_fit(values, _selected(x.shape, indices, axes, at))
    return x


def _put_batch(call: Any, operands: Any, batched: Any) -> Any:
    x, values, indices = operands
    axes, at = call.attrs["axes"], call.attrs["at"]
    size = next(o.shape[0] for o, is_batched in zip(operands, batched) if is_batched)
    x = x if batched[0] else broadcast_to(x, (size, *x.shape))
    shifted = tuple(a + 1 for a in axes)
    selected = _selected(call.ins[0].shape, call.ins[2], axes, at)
    if batched[1]:
        missing = len(selected) - call.ins[1].ndim
        values = reshape(values, (size, *[1] * missing, *call.ins[1].shape))
    if not batched[2]:
        return apply(call, x, values, indices, axes=shifted, at=at + 1)
    values = _before(broadcast_to(values, (size, *selected)), call.ins[2].ndim - 1, at)
    return apply(call, x, values, _with_batch(indices), axes=(0, *shifted), at=0)


index_put: Operator = defop(
    "index_put",
    "x, values, indices -> y",
    attrs={"axes": None, "at": 0},
    promote=lambda x, values, indices: [
        *value_as_first(x, values),
        *promotion.as_given(indices),
    ],
    normalise=lambda x, values, indices, axes, at: _several(x.ndim, indices, axes, at),
    infer=_index_put,
    kernel=kernels.index_put,
    may_raise=True,
    vjp=(
        lambda c, g: index_put(g, 0.0, c.indices, c.axes, c.at),
        _put_values_vjp,
        lambda c, g: None,
    ),
    saves=("indices", "indices", ""),
    batch=_put_batch,
    in_place=True,
    cost=no_flop,
    doc=f"""A copy of `x` with values written at positions that index arrays give.

    Where a position is given twice, the last value stays.

    Parameters
    ----------
    x : array
    values : array or number
        Broadcast to the shape that ``index(x, indices, axes, at)`` has, and cast to the dtype of
        `x`.{_INDICES}{_AXES.format(where="the values")}

    Returns
    -------
    array like `x`

    Raises
    ------
    ShapeError
        When the values do not broadcast, or the axes do not fit.
    DTypeError
        When `indices` are no integers.
    RangeError
        When the kernel meets an index out of range.

    Examples
    --------
    >>> x = dt.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> dt.index_put(x, 9.0, dt.tensor([[0, 1], [1, 0]]))
    tensor([[1., 9.],
            [9., 4.]])
    """,
)


def _index_add(g: Aval, indices: Aval, shape: Shape, axes: tuple[int, ...], at: int) -> Aval:
    _require_shape(g, _selected(shape, indices, axes, at))
    return replace(g, shape=shape)


def _add_batch(call: Any, operands: Any, batched: Any) -> Any:
    g, indices = operands
    at = call.attrs["at"]
    shifted = tuple(a + 1 for a in call.attrs["axes"])
    if not batched[1]:
        shape = (g.shape[0], *call.attrs["shape"])
        return apply(call, g, indices, axes=shifted, at=at + 1, shape=shape)
    g, indices = spread(call, operands, batched)
    front = _before(g, call.ins[1].ndim - 1, at)
    shape = (g.shape[0], *call.attrs["shape"])
    return apply(call, front, _with_batch(indices), axes=(0, *shifted), at=0, shape=shape)


index_add: Operator = defop(
    "index_add",
    "g, indices -> x",
    attrs={"shape": REQUIRED, "axes": None, "at": 0},
    normalise=lambda g, indices, shape, axes, at: {
        "shape": as_shape(shape),
        **_several(len(as_shape(shape)), indices, axes, at),
    },
    infer=_index_add,
    kernel=kernels.index_add,
    may_raise=True,
    vjp=(lambda c, g: index(g, c.indices, c.axes, c.at), lambda c, g: None),
    saves=("indices", ""),
    batch=_add_batch,
    cost=reads_first,
    doc=f"""Zeros of a shape to which values are added at positions that index arrays give.

    Parameters
    ----------
    g : array of the shape that ``index(x, indices, axes, at)`` has{_INDICES}
    shape : tuple of int{_AXES.format(where="`g`")}

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
    >>> dt.index_add(dt.tensor([1.0, 2.0]), dt.tensor([[0, 0], [1, 1]]), (2, 2))
    tensor([[0., 3.],
            [0., 0.]])
    """,
)


def _require_shape(g: Aval, expected: Shape) -> None:
    if g.shape != expected:
        raise ShapeError(
            f"operand must have the shape that the indices gather, got {show(g.shape)} "
            f"for {show(expected)}"
        )


def _require_fit(values: Aval, selected: Shape) -> None:
    if broadcast_shapes(values.shape, selected) != selected:
        raise ShapeError(
            "values must broadcast to the shape that the indices select, got "
            f"{show(values.shape)} for {show(selected)}"
        )


def _with_batch(indices: Any) -> Any:
    """Rows of shape (batch, k, ...) as (k + 1, batch, ...), the first counting the batch."""
    size, _, *shape = indices.shape
    counted = reshape(arange(size, device=indices.device), (1, size, *[1] * len(shape)))
    rows = astype(moveaxis(indices, 0, 1), INT64)
    return concat([broadcast_to(counted, (1, size, *shape)), rows])


def _behind(y: Any, count: int, at: int) -> Any:
    """The `count` axes that follow the batch moved to stand at `at` of each example."""
    rest = range(count + 1, len(y.shape))
    return permute_dims(y, (0, *rest[:at], *range(1, count + 1), *rest[at:]))


def _before(g: Any, count: int, at: int) -> Any:
    """The `count` axes that stand at `at` of each example moved to follow the batch."""
    places = range(at + 1, at + 1 + count)
    rest = [a for a in range(1, len(g.shape)) if a not in places]
    return permute_dims(g, (0, *places, *rest))


__all__ = functions_of(__name__)
