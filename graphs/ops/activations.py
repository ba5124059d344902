"""Activation functions with kernels of their own."""

from __future__ import annotations

import math
from typing import Any

from ..errors import ArgumentError
from ..kernels import activations as kernels
from ..kernels.activations import CUBIC, STEEPNESS
from . import promotion
from .batching import elementwise
from .core import Operator, defop, functions_of
from .elementwise import minimum
from .functions import exp, expm1, sigmoid
from .logic import where
from .pointwise import real, unary
from .rules import unbroadcast


def _silu_slope(x: Any) -> Any:
    y = sigmoid(x)
    return y * (1 + x * (1 - y))


silu: Operator = defop(
    **unary(
        "silu",
        kernel=kernels.silu,
        vjp=lambda c, g: g * _silu_slope(c.x),
        saves="x",
        expr="{x} / (1 + exp(-{x}))",
        says="Element-wise ``x * sigmoid(x)``.",
        example="dt.silu(dt.tensor([0.0, 20.0])) -> tensor([ 0., 20.])",
    )
)


# -- the mean of a rectified normal variable ---------------------------------------------------


def _gelu_curvature(x: Any) -> Any:
    return exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi)) * (2 - x * x)


_BELOW = f"0.5 * erfc({{x}} * {-math.sqrt(0.5)!r})"

_gelu: Operator = defop(
    **unary(
        "gelu",
        kernel=kernels.gelu,
        vjp=lambda c, g: g * gelu_slope(c.x),
        saves="x",
        expr=f"{{x}} * ({_BELOW})",
        says="The operator behind `gelu` in its exact form.",
        example="dt.gelu(dt.tensor([0.0, 20.0])) -> tensor([ 0., 20.])",
    )
)
gelu_slope: Operator = defop(
    **unary(
        "gelu_slope",
        kernel=kernels.gelu_slope,
        vjp=lambda c, g: g * _gelu_curvature(c.x),
        saves="x",
        expr=f"{_BELOW} + exp(-0.5 * {{x}} * {{x}}) * {{x}} * {1 / math.sqrt(2 * math.pi)!r}",
        says="Element-wise slope of `gelu` in its exact form.",
        example="dt.gelu_slope(dt.tensor([0.0])) -> tensor([0.5])",
    )
)


def _gelu_tanh_curvature(x: Any) -> Any:
    rise = STEEPNESS + 3 * CUBIC * STEEPNESS * (x * x)
    y = sigmoid(STEEPNESS * x * (1 + CUBIC * (x * x)))
    return y * (1 - y) * (2 * rise + x * (6 * CUBIC * STEEPNESS * x + (1 - 2 * y) * rise * rise))


_STEEP = f"({{x}} * {{x}} * {CUBIC!r} + 1) * {{x}} * {STEEPNESS!r}"

gelu_tanh: Operator = defop(
    **unary(
        "gelu_tanh",
        kernel=kernels.gelu_tanh,
        vjp=lambda c, g: g * gelu_tanh_slope(c.x),
        saves="x",
        expr=f"{{x}} / (1 + exp(-({_STEEP})))",
        says="The operator behind `gelu` in its approximate form.",
        example="dt.gelu_tanh(dt.tensor([0.0, 20.0])) -> tensor([ 0., 20.])",
    )
)
gelu_tanh_slope: Operator = defop(
    **unary(
        "gelu_tanh_slope",
        kernel=kernels.gelu_tanh_slope,
        vjp=lambda c, g: g * _gelu_tanh_curvature(c.x),
        saves="x",
        expr=None,
        says="Element-wise slope of `gelu` in its approximate form.",
        example="dt.gelu_tanh_slope(dt.tensor([0.0])) -> tensor([0.5])",
    )
)


def gelu(x: Any, approximate: str = "none") -> Any:
    """Element-wise ``x * P(z < x)`` for a standard normal z.

    Parameters
    ----------
    x : array or number, any shape, floats; integers and bools become float32
    approximate : {"none", "tanh"}
        Whether the normal distribution is approximated by
        ``(1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2``.

    Returns
    -------
    array of the shape of `x`

    Raises
    ------
    DTypeError
        When `x` is complex.
    ArgumentError
        When `approximate` is neither.

    Examples
    --------
    >>> dt.gelu(dt.tensor([0.0, 20.0]))
    tensor([ 0., 20.])
    >>> round(dt.gelu(dt.tensor(1.0), approximate="tanh").item(), 4)
    0.8412
    """
    if approximate not in ("none", "tanh"):
        raise ArgumentError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
    return _gelu(x) if approximate == "none" else gelu_tanh(x)


# -- with a parameter --------------------------------------------------------------------------


def _below_zero(x: Any, slope: Any, g: Any) -> Any:
    return where(x > 0, g, g * slope)


_elu: Operator = defop(
    "elu",
    "x, alpha -> y",
    infer=real,
    kernel=kernels.elu,
    promote=promotion.common_float,
    vjp=(
        lambda c, g: unbroadcast(_below_zero(c.x, c.alpha * exp(minimum(c.x, 0.0)), g), c.ins[0]),
        lambda c, g: unbroadcast(where(c.x > 0, 0.0, g * expm1(minimum(c.x, 0.0))), c.ins[1]),
    ),
    saves=("x alpha", "x"),
    in_place=True,
    batch=elementwise,
    expr="{x} > 0 ? {x} : {alpha} * expm1({x})",
    cost=lambda ins, outs, attrs: 2 * outs[0].size,
    doc="The operator behind `elu`, in which the parameter is an operand.",
)


def elu(x: Any, alpha: Any = 1.0) -> Any:
    """Element-wise `x` where it is positive, ``alpha * (exp(x) - 1)`` elsewhere.

    Parameters
    ----------
    x : array or number, floats; integers and bools become float32
    alpha : array or number
        Broadcast against `x`.

    Returns
    -------
    array of the broadcast shape

    Raises
    ------
    ShapeError
        When the shapes do not broadcast.
    DTypeError
        When an operand is complex.

    Examples
    --------
    >>> dt.elu(dt.tensor([2.0, 0.0]))
    tensor([2., 0.])
    """
    return _elu(x, alpha)


_leaky_relu: Operator = defop(
    "leaky_relu",
    "x, negative_slope -> y",
    infer=real,
    kernel=kernels.leaky_relu,
    promote=promotion.common_float,
    vjp=(
        lambda c, g: unbroadcast(_below_zero(c.x, c.negative_slope, g), c.ins[0]),
        lambda c, g: unbroadcast(where(c.x > 0, 0.0, g * c.x), c.ins[1]),
    ),
    saves=("x negative_slope", "x"),
    in_place=True,
    batch=elementwise,
    expr="{x} > 0 ? {x} : {negative_slope} * {x}",
    doc="The operator behind `leaky_relu`, in which the parameter is an operand.",
)


def leaky_relu(x: Any, negative_slope: Any = 0.01) -> Any:
    """Element-wise `x` where it is positive, ``negative_slope * x`` elsewhere.

    Parameters
    ----------
    x : array or number, floats; integers and bools become float32
    negative_slope : array or number
        Broadcast against `x`; an array learns by its gradient.

    Returns
    -------
    array of the broadcast shape

    Raises
    ------
    ShapeError
        When the shapes do not broadcast.
    DTypeError
        When an operand is complex.

    Examples
    --------
    >>> dt.leaky_relu(dt.tensor([2.0, -2.0]), 0.25)
    tensor([ 2. , -0.5])
    """
    return _leaky_relu(x, negative_slope)


__all__ = functions_of(__name__)
