"""Composite operators of neural networks, each with a kernel of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..avals import Aval, show
from ..dims import product
from ..dtypes import is_integer
from ..errors import DTypeError, ShapeError
from ..kernels import neural as kernels
from . import promotion
from .core import Operator, defop, functions_of
from .elementwise import exp
from .reductions import sum as sum_
from .rules import one_axis, require_float


def _over_axis(x: Aval, axis: int) -> Aval:
    if x.shape[axis] == 0:
        raise ShapeError(f"the axis must not be empty, got {show(x.shape)}")
    return x


def _softmax_vjp(c: Any, g: Any) -> Any:
    return c.y * (g - sum_(g * c.y, axis=c.axis, keepdims=True))


def _five_flop(ins: Any, outs: Any, attrs: Any) -> Any:
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
    cost=_five_flop,
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
    cost=_five_flop,
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

    Examples
    --------
    >>> dt.log_softmax(dt.tensor([0.0]))
    tensor([0.])
    """,
)


def _check(logits: Aval, labels: Aval) -> None:
    require_float(logits, "logits")
    if not is_integer(labels.dtype):
        raise DTypeError(f"labels must be integers, got {labels.dtype}")
    if not logits.ndim or labels.shape != logits.shape[:-1]:
        raise ShapeError(
            "labels must have the shape of logits without its last axis, "
            f"got {show(labels.shape)} for {show(logits.shape)}"
        )
    if 0 in logits.shape:
        raise ShapeError(f"logits must not be empty, got {show(logits.shape)}")


def _cross_entropy(logits: Aval, labels: Aval) -> Aval:
    _check(logits, labels)
    return replace(logits, shape=())


cross_entropy: Operator = defop(
    "cross_entropy",
    "logits, labels -> loss",
    infer=_cross_entropy,
    kernel=kernels.cross_entropy,
    may_raise=True,
    vjp=(lambda c, g: cross_entropy_grad(c.logits, c.labels, g), lambda c, g: None),
    saves=("logits labels", ""),
    cost=_five_flop,
    doc="""Mean over all rows of the cross-entropy between softmax(logits) and integer labels.

    Parameters
    ----------
    logits : array, shape (..., classes), floats
    labels : array, shape (...), integers in ``0..classes - 1``

    Returns
    -------
    array, shape (), in nats

    Raises
    ------
    ShapeError
        When the shapes do not fit, or there are no rows.
    DTypeError
        When the logits are no floats or the labels no integers.
    RangeError
        When a label is out of range.

    Examples
    --------
    >>> dt.cross_entropy(dt.tensor([[0.0, 0.0]]), dt.tensor([1]))
    tensor(0.6931472)
    """,
)


def _cotangent_as_logits(logits: Any, labels: Any, g: Any) -> list[Aval]:
    logits, labels, g = promotion.as_given(logits, labels, g)
    return [logits, labels, replace(g, dtype=logits.dtype)]


def _cross_entropy_grad(logits: Aval, labels: Aval, g: Aval) -> Aval:
    _check(logits, labels)
    if g.ndim:
        raise ShapeError(f"the cotangent must have shape (), got {show(g.shape)}")
    return logits


def _grad_vjp_logits(c: Any, h: Any) -> Any:
    p = softmax(c.logits)
    rows = product(c.ins[0].shape[:-1])
    return c.g / rows * (p * h - p * sum_(p * h, axis=-1, keepdims=True))


cross_entropy_grad: Operator = defop(
    "cross_entropy_grad",
    "logits, labels, g -> x",
    infer=_cross_entropy_grad,
    kernel=kernels.cross_entropy_grad,
    may_raise=True,
    promote=_cotangent_as_logits,
    vjp=(
        _grad_vjp_logits,
        lambda c, h: None,
        lambda c, h: sum_(h * cross_entropy_grad(c.logits, c.labels, 1.0)),
    ),
    saves=("logits g", "", "logits labels"),
    cost=_five_flop,
    doc="""The gradient of `cross_entropy` with respect to its logits, times `g`.

    Parameters
    ----------
    logits : array, shape (..., classes), floats
    labels : array, shape (...), integers
    g : array, shape ()

    Returns
    -------
    array of the shape of `logits`

    Raises
    ------
    ShapeError, DTypeError, RangeError
        As `cross_entropy` does.

    Examples
    --------
    >>> dt.cross_entropy_grad(dt.tensor([[0.0, 0.0]]), dt.tensor([1]), 1.0)
    tensor([[ 0.5, -0.5]])
    """,
)

__all__ = functions_of(__name__)
