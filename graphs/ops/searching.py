"""Positions of elements: of the extremes, of what is not 0, and in a sorted sequence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..avals import Aval, show
from ..dims import Dim
from ..dtypes import DEFAULT_INT, is_integer
from ..errors import ArgumentError, DTypeError, ShapeError
from ..kernels import searching as kernels
from . import promotion
from .advanced import take
from .batching import apply, spread
from .core import Bound, Operator, defop
from .cumulative import part
from .indexing import getitem
from .joining import concat
from .manipulation import reshape
from .plain import shaped
from .reducing import reads_all, reduced, require_elements
from .rules import normal_axis, require_real
from .sorting import argsort


def _one_axis(x: Aval, axis: Any, keepdims: bool) -> dict[str, Any]:
    one = axis if axis is None else normal_axis(axis, x.ndim)
    return {"axis": one, "keepdims": bool(keepdims)}


def _position(x: Aval, axis: int | None, keepdims: bool) -> Aval:
    axes = tuple(range(x.ndim)) if axis is None else (axis,)
    require_real(x, "operands")
    require_elements(x, axes)
    return Aval(reduced(x.shape, axes, keepdims), DEFAULT_INT, x.device)


def _position_batch(call: Bound, operands: Any, batched: Any) -> Any:
    [x], axis = operands, call.attrs["axis"]
    if axis is not None:
        return apply(call, x, axis=axis + 1)
    rows = reshape(x, (x.shape[0], call.ins[0].size))
    return reshape(apply(call, rows, axis=1), (x.shape[0], *call.outs[0].shape))


def _position_op(name: str, kernel: Any, what: str, value: str) -> Operator:
    return defop(
        name,
        "x -> y",
        attrs={"axis": None, "keepdims": False},
        normalise=_one_axis,
        infer=_position,
        kernel=kernel,
        vjp=None,
        batch=_position_batch,
        cost=reads_all,
        doc=f"""Index of the first {what} element, along an axis or of all; of the first NaN.

    Parameters
    ----------
    x : array, real
    axis : int, optional
        By default the index is into the elements of all axes in row-major order.
    keepdims : bool
        Keep the reduced axes with size 1.

    Returns
    -------
    array, int64

    Raises
    ------
    ShapeError
        When the axis is out of range or empty.
    DTypeError
        When the operand is complex.

    Examples
    --------
    >>> dt.{name}(dt.tensor([[1.0, 5.0], [7.0, 2.0]]), axis=1)
    {value}
    """,
    )


argmax: Operator = _position_op("argmax", kernels.argmax, "largest", "tensor([1, 0])")
argmin: Operator = _position_op("argmin", kernels.argmin, "smallest", "tensor([0, 1])")


def _nonzero_aval(x: Aval) -> Aval:
    if not x.ndim:
        raise ShapeError(f"operand must have an axis, got {show(x.shape)}")
    return Aval((x.ndim, Dim.of_data("nonzero")), DEFAULT_INT, x.device)


_nonzero: Operator = defop(
    "nonzero",
    "x -> indices",
    infer=_nonzero_aval,
    kernel=kernels.nonzero,
    vjp=None,
    cost=reads_all,
    dynamic=True,
    doc="The operator behind `nonzero`: its result has a row per axis of the operand.",
)


def nonzero(x: Any) -> tuple[Any, ...]:
    """Indices of the elements that differ from 0, as NaN does, in row-major order.

    Parameters
    ----------
    x : array of at least one axis

    Returns
    -------
    tuple of arrays, int64, shape (count,)
        One per axis.

    Raises
    ------
    ShapeError
        When the operand has no axis.
    StaticValueError
        In a graph: the count depends on data.

    Examples
    --------
    >>> dt.nonzero(dt.tensor([[0.0, 5.0], [7.0, 0.0]]))
    (tensor([0, 1]), tensor([1, 0]))
    """
    found = _nonzero(x)
    return tuple(getitem(found, (axis,)) for axis in range(found.shape[0]))


def _search_attrs(x1: Aval, x2: Aval, side: Any) -> dict[str, Any]:
    if side not in ("left", "right"):
        raise ArgumentError(f"side must be 'left' or 'right', got {side!r}")
    return {"side": side}


def _search(x1: Aval, x2: Aval, side: str) -> Aval:
    require_real(x1, "operands")
    if x1.ndim != 1:
        raise ShapeError(f"the first operand must have one axis, got {show(x1.shape)}")
    return replace(x2, dtype=DEFAULT_INT)


def _rank(rows: Any) -> Any:
    """Which in order each element of the last axis is; equal ones as they come, NaN last."""
    return argsort(argsort(rows, axis=1), axis=1)


def _search_batch(call: Bound, operands: Any, batched: Any) -> Any:
    """Rows are merged with what is searched for: its rank less its rank among its own."""
    if not batched[0]:
        return apply(call, *operands)
    x1, x2 = spread(call, operands, batched)
    x2 = reshape(x2, (x2.shape[0], call.ins[1].size))
    is_left, size = call.attrs["side"] == "left", x1.shape[1]
    ranks = _rank(concat([x2, x1] if is_left else [x1, x2], axis=1))
    start, count = 0 if is_left else size, x2.shape[1]
    found = part(ranks, 1, start, start + count) - _rank(x2)
    return reshape(found, (found.shape[0], *call.outs[0].shape))


_searchsorted: Operator = defop(
    "searchsorted",
    "x1, x2 -> y",
    attrs={"side": "left"},
    normalise=_search_attrs,
    infer=_search,
    kernel=kernels.searchsorted,
    promote=promotion.common,
    vjp=None,
    batch=_search_batch,
    doc="The operator behind `searchsorted`.",
)


def searchsorted(x1: Any, x2: Any, *, side: str = "left", sorter: Any = None) -> Any:
    """Where elements would have to be put into a sorted sequence for it to stay sorted.

    Parameters
    ----------
    x1 : array, shape (n,), real
        In ascending order, NaN last.
    x2 : array or number, real
    side : {"left", "right"}
        Before or behind elements that are equal.
    sorter : array, shape (n,), integer, optional
        Indices that bring `x1` in order, as `argsort` gives them.

    Returns
    -------
    array of the shape of `x2`, int64, in ``0..n``

    Raises
    ------
    ShapeError
        When `x1` has not one axis, or `sorter` has another shape.
    ArgumentError
        When `side` is neither.
    DTypeError
        When the dtypes do not promote or are complex, or `sorter` holds no integers.
    IndexError
        When the kernel meets an index in `sorter` that is out of range.

    Examples
    --------
    >>> dt.searchsorted(dt.tensor([1.0, 2.0, 4.0]), dt.tensor([2.0, 3.0, 9.0]))
    tensor([1, 2, 3])
    """
    if sorter is not None:
        x1, sorter = shaped(x1, "searchsorted"), shaped(sorter, "searchsorted")
        if not is_integer(sorter.dtype):
            raise DTypeError(f"searchsorted: sorter must hold integers, got {sorter.dtype}")
        if len(x1.shape) != 1 or sorter.shape != x1.shape:
            raise ShapeError(
                "searchsorted: sorter must have the shape of the first operand, one axis, got "
                f"{show(sorter.shape)} for {show(x1.shape)}"
            )
        x1 = take(x1, sorter)
    return _searchsorted(x1, x2, side)


__all__ = ["argmax", "argmin", "nonzero", "searchsorted"]
