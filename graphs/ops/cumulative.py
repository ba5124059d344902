"""Operators that carry something along an axis: cumulative sums and products, differences."""

from __future__ import annotations

import operator
from dataclasses import replace
from typing import Any

import numpy as np

from ..avals import Aval, show
from ..dims import Size
from ..dtypes import BOOL
from ..errors import ArgumentError, DTypeError, ShapeError
from ..kernels import cumulative as kernels
from . import promotion
from .axes import flip
from .batching import apply, shifted, spread
from .core import Bound, Operator, defop, functions_of
from .elementwise import subtract
from .indexing import WHOLE, getitem, scatter_slice
from .joining import concat
from .manipulation import named
from .plain import shaped
from .reducing import accumulated_dtype, as_type
from .rules import normal_axis, one_axis

_DOC = """{says}

    Parameters
    ----------
    x : array
    axis : int, optional
        Needed unless the operand has one axis.
    dtype : dtype, optional
        The operand is cast to it first. By default its own dtype; small integers and bools become
        64-bit integers of the same sign.
    include_initial : bool
        Begin with {initial}, so that the axis is longer by one.

    Returns
    -------
    array of the shape of `x`, but for `include_initial`

    Raises
    ------
    ShapeError
        When the axis is out of range, or missing.
    DTypeError
        When `dtype` is bool, or real for a complex operand.

    Examples
    --------
    >>> {code}
    {value}
"""


def _along(x: Aval, axis: Any, dtype: Any, include_initial: bool) -> dict[str, Any]:
    if axis is None and x.ndim != 1:
        raise ShapeError(f"axis must be given for all but one axis, got None for {show(x.shape)}")
    return {
        "axis": normal_axis(0 if axis is None else axis, x.ndim),
        "dtype": accumulated_dtype(x, dtype),
        "include_initial": bool(include_initial),
    }


def _carried(x: Aval, axis: int, dtype: np.dtype, include_initial: bool) -> Aval:
    size = x.shape[axis] + int(include_initial)
    return Aval((*x.shape[:axis], size, *x.shape[axis + 1 :]), dtype, x.device)


def part(x: Any, axis: int, start: Size, stop: Size) -> Any:
    """``x[start:stop]`` along an axis."""
    return getitem(x, _index(axis, start, stop))


def _index(axis: int, start: Size, stop: Size) -> tuple[Any, ...]:
    return (*[WHOLE] * axis, (start, stop, None))


def _of_operand(c: Any, g: Any) -> Any:
    """The cotangent without the element that is there for `include_initial`."""
    return part(g, c.axis, 1, c.outs[0].shape[c.axis]) if c.include_initial else g


def delayed(x: Any, axis: int) -> Any:
    """The elements moved one place along an axis: 0 comes in, the last goes out."""
    size = x.shape[axis]
    longer = (*x.shape[:axis], size + 1, *x.shape[axis + 1 :])
    return part(scatter_slice(x, _index(axis, 1, size + 1), longer), axis, 0, size)


def _cumulative_sum_vjp(c: Any, g: Any) -> Any:
    turned = cumulative_sum(flip(_of_operand(c, g), axis=c.axis), axis=c.axis)
    return as_type(flip(turned, axis=c.axis), c.ins[0].dtype)


cumulative_sum: Operator = defop(
    "cumulative_sum",
    "x -> y",
    attrs={"axis": None, "dtype": None, "include_initial": False},
    normalise=_along,
    infer=_carried,
    kernel=kernels.cumulative_sum,
    vjp=(_cumulative_sum_vjp,),
    saves=("",),
    batch=shifted("axis"),
    doc=_DOC.format(
        says="Sums of the elements up to each one, along an axis.",
        initial="0",
        code="dt.cumulative_sum(dt.tensor([1.0, 2.0, 3.0]))",
        value="tensor([1., 3., 6.])",
    ),
)


def before(x: Any, axis: int) -> Any:
    """Products of the elements before each one, along an axis."""
    products = cumulative_prod(x, axis=axis, include_initial=True)
    return part(products, axis, 0, x.shape[axis])


def _cumulative_prod_vjp(c: Any, g: Any) -> Any:
    """No quotients, so that zeros need no second thought.

    What comes before an element scales its every effect; what comes after takes in the
    cotangents from the end, each product with one factor more.
    """
    x = as_type(c.x, c.dtype)
    effects = _carried_back(x, _of_operand(c, g), c.axis)
    return as_type(before(x, c.axis) * effects, c.ins[0].dtype)


cumulative_prod: Operator = defop(
    "cumulative_prod",
    "x -> y",
    attrs={"axis": None, "dtype": None, "include_initial": False},
    normalise=_along,
    infer=_carried,
    kernel=kernels.cumulative_prod,
    vjp=(_cumulative_prod_vjp,),
    saves=("x",),
    batch=shifted("axis"),
    doc=_DOC.format(
        says="Products of the elements up to each one, along an axis.",
        initial="1",
        code="dt.cumulative_prod(dt.tensor([1.0, 2.0, 3.0]))",
        value="tensor([1., 2., 6.])",
    ),
)


def _of_one_shape(a: Aval, b: Aval, axis: int) -> Aval:
    if a.shape != b.shape:
        raise ShapeError(f"operands must have one shape, got {show(a.shape)} and {show(b.shape)}")
    return b if b.ndim else replace(b, device=a.device)


def _carried_back(a: Any, g: Any, axis: int) -> Any:
    """The cotangent of `b` in a recurrence: one that runs from the end, a step later."""
    factors = delayed(flip(a, axis=axis), axis)
    return flip(linear_recurrence(factors, flip(g, axis=axis), axis=axis), axis=axis)


def _recurrence_batch(call: Bound, operands: Any, batched: Any) -> Any:
    return apply(call, *spread(call, operands, batched), axis=call.attrs["axis"] + 1)


linear_recurrence: Operator = defop(
    "linear_recurrence",
    "a, b -> y",
    attrs={"axis": -1},
    normalise=lambda a, b, axis: one_axis(a, axis),
    infer=_of_one_shape,
    kernel=kernels.linear_recurrence,
    promote=promotion.common_float,
    vjp=(
        lambda c, g: _carried_back(c.a, g, c.axis) * delayed(c.y, c.axis),
        lambda c, g: _carried_back(c.a, g, c.axis),
    ),
    saves=("a y", "a"),
    batch=_recurrence_batch,
    cost=lambda ins, outs, attrs: 2 * outs[0].size,
    doc="""First-order linear recurrence ``y[i] = a[i] * y[i - 1] + b[i]`` from 0, along an axis.

    Computed in rounds that double the reach of each element, as many as the axis has binary
    digits.

    Parameters
    ----------
    a, b : arrays of one shape, floats or complex; integers become float32
        Factors, of which the first has no effect, and terms.
    axis : int

    Returns
    -------
    array of that shape, of the common dtype

    Raises
    ------
    ShapeError
        When the shapes differ or the axis is out of range.

    Examples
    --------
    >>> dt.linear_recurrence(dt.tensor([0.5, 0.5, 0.5]), dt.tensor([8.0, 0.0, 1.0]))
    tensor([8., 4., 3.])
    """,
)


def diff(x: Any, *, axis: int = -1, n: int = 1, prepend: Any = None, append: Any = None) -> Any:
    """Differences of neighbours along an axis, taken `n` times.

    Parameters
    ----------
    x : array of numbers
    axis : int
    n : int
        At least 0.
    prepend, append : array, optional
        Put before and behind the elements first. Of the shape of `x` but for the axis.

    Returns
    -------
    array, along the axis shorter by `n` than all that it is taken of, down to 0

    Raises
    ------
    ShapeError
        When the axis is out of range, or a shape does not fit.
    ArgumentError
        When `n` is no whole number of at least 0.
    DTypeError
        When the elements are bools.

    Examples
    --------
    >>> dt.diff(dt.tensor([1.0, 4.0, 9.0]))
    tensor([3., 5.])
    """
    x = shaped(x, "diff")
    if x.dtype == BOOL:
        raise DTypeError(f"diff: operands must be numbers, got {x.dtype}")
    if not hasattr(n, "__index__") or operator.index(n) < 0:
        raise ArgumentError(f"diff: n must be a whole number of at least 0, got {n!r}")
    axis = named("diff", normal_axis, axis, len(x.shape))
    first, last = (named("diff", _fitted, end, x, axis) for end in (prepend, append))
    pieces = [piece for piece in (first, x, last) if piece is not None]
    x = concat(pieces, axis=axis) if len(pieces) > 1 else x
    for _ in range(operator.index(n)):
        size = x.shape[axis]
        x = subtract(part(x, axis, 1, size), part(x, axis, 0, size - 1))
    return x


def _fitted(end: Any, x: Any, axis: int) -> Any:
    """What is put before or behind `x`; it must fit but for the axis."""
    if end is None:
        return None
    end = shaped(end, "diff")
    shapes = [[d for i, d in enumerate(of.shape) if i != axis] for of in (end, x)]
    if len(end.shape) != len(x.shape) or shapes[0] != shapes[1]:
        raise ShapeError(
            f"what is put before or behind must fit but for axis {axis}, got {show(end.shape)} "
            f"for {show(x.shape)}"
        )
    return end


__all__ = [*functions_of(__name__), "diff"]
