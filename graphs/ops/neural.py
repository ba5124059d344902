"""The softmax family."""

from __future__ import annotations

from typing import Any

from ..avals import Aval, show
from ..errors import ShapeError
from ..kernels import neural as kernels
from . import promotion
from .batching import shifted
from .core import Operator, defop, functions_of
from .functions import exp
from .reductions import sum as sum_
from .rules import one_axis
from .windows import check_floats


def _over_axis(x: Aval, axis: int) -> Aval:
    check_floats(x)
    if x.shape[axis] == 0:
        raise ShapeError(f"the axis must not be empty, got {show(x.shape)}")
    return x


def _softmax_vjp(c: Any, g: Any) -> Any:
    return c.y * (g - sum_(g * c.y, axis=c.axis, keepdims=True))


def five_flop(ins: Any, outs: Any, attrs: Any) -> Any:
    return 5 * ins[0].size


softmax: Operator = defop(
    "softmax",
    "x -> y",
    attrs={"axis": -1},
    normalise=one_axis,
    infer=_over_axis,
    kernel=kernels.softmax,
    promote=promotion.common_float,
    vjp=(_softmax_vjp,),
    saves=("y",),
    in_place=True,
    batch=shifted("axis"),
    cost=five_flop,
    doc="""Exponentials along an axis, scaled to sum to 1. None overflows.

    The maximum is subtracted first.

    Parameters
    ----------
    x : array, floats; integers become float32
    axis : int

    Returns
    -------
    array of the shape of `x`

    Raises
    ------
    ShapeError
        When the axis is out of range or empty.
    DTypeError
        When the operand is complex.

    Examples
    --------
    >>> dt.softmax(dt.tensor([1.0, 1.0]))
    tensor([0.5, 0.5])
    """,
)

log_softmax: Operator = defop(
    "log_softmax",
    "x -> y",
    attrs={"axis": -1},
    normalise=one_axis,
    infer=_over_axis,
    kernel=kernels.log_softmax,
    promote=promotion.common_float,
    vjp=(lambda c, g: g - exp(c.y) * sum_(g, axis=c.axis, keepdims=True),),
    saves=("y",),
    in_place=True,
    batch=shifted("axis"),
    cost=five_flop,
    doc="""Logarithm of `softmax`, computed without forming it.

    Parameters
    ----------
    x : array, floats; integers become float32
    axis : int

    Returns
    -------
    array of the shape of `x`

    Raises
    ------
    ShapeError
        When the axis is out of range or empty.
    DTypeError
        When the operand is complex.

    Examples
    --------
    >>> dt.log_softmax(dt.tensor([0.0]))
    tensor([0.])
    """,
)

__all__ = functions_of(__name__)
