"""Functions of floats, element by element: powers, exponentials, trigonometry, special ones."""

from __future__ import annotations

import math
from typing import Any

from ..kernels import elementwise as kernels
from ..kernels import special
from . import promotion
from .core import Operator, defop, functions_of
from .logic import isinf, where
from .pointwise import COMPLEX, REALS, binary_real, real_numbers, unary
from .rules import same, unbroadcast


def _analytic(name: str, **parts: Any) -> Any:
    """A function that complex numbers have, too."""
    return defop(**unary(name, infer=same, dtypes=COMPLEX, **parts))


# -- powers ----------------------------------------------------------------------------------

sqrt: Operator = _analytic(
    "sqrt",
    vjp=lambda c, g: g * 0.5 / c.y,
    saves="y",
    expr="sqrt({x})",
    says="Element-wise square root.",
    example="dt.sqrt(dt.tensor([4.0])) -> tensor([2.])",
)
rsqrt: Operator = defop(
    **unary(
        "rsqrt",
        kernel=kernels.rsqrt,
        vjp=lambda c, g: g * (c.y * c.y * c.y * -0.5),
        saves="y",
        expr="1 / sqrt({x})",
        says="Element-wise reciprocal of the square root.",
        example="dt.rsqrt(dt.tensor([4.0])) -> tensor([0.5])",
    )
)
reciprocal: Operator = _analytic(
    "reciprocal",
    vjp=lambda c, g: -g * (c.y * c.y),
    saves="y",
    expr="1 / {x}",
    says="Element-wise ``1 / x``.",
    example="dt.reciprocal(dt.tensor([4.0])) -> tensor([0.25])",
)

# -- exponentials and logarithms -------------------------------------------------------------

exp: Operator = _analytic(
    "exp",
    vjp=lambda c, g: g * c.y,
    saves="y",
    expr="exp({x})",
    says="Element-wise exponential.",
    example="dt.exp(dt.tensor([0.0])) -> tensor([1.])",
)
expm1: Operator = _analytic(
    "expm1",
    # Not y + 1, in which nothing of a small exponential is left.
    vjp=lambda c, g: g * exp(c.x),
    saves="x",
    expr="expm1({x})",
    says="Element-wise ``exp(x) - 1``, exact near 0.",
    example="dt.expm1(dt.tensor([0.0])) -> tensor([0.])",
)
log: Operator = _analytic(
    "log",
    vjp=lambda c, g: g / c.x,
    saves="x",
    expr="log({x})",
    says="Element-wise natural logarithm.",
    example="dt.log(dt.tensor([1.0])) -> tensor([0.])",
)
log1p: Operator = _analytic(
    "log1p",
    vjp=lambda c, g: g / (c.x + 1),
    saves="x",
    expr="log1p({x})",
    says="Element-wise ``log(1 + x)``, exact near 0.",
    example="dt.log1p(dt.tensor([0.0])) -> tensor([0.])",
)
log2: Operator = _analytic(
    "log2",
    vjp=lambda c, g: g / (c.x * math.log(2)),
    saves="x",
    expr="log2({x})",
    says="Element-wise logarithm to the base 2.",
    example="dt.log2(dt.tensor([8.0])) -> tensor([3.])",
)
log10: Operator = _analytic(
    "log10",
    vjp=lambda c, g: g / (c.x * math.log(10)),
    saves="x",
    expr="log10({x})",
    says="Element-wise logarithm to the base 10.",
    example="dt.log10(dt.tensor([1.0])) -> tensor([0.])",
)


def _lead(x: Any, y: Any) -> Any:
    """``x - y``, and 0 where both are the same infinity."""
    same = isinf(x) & (x == y)
    return where(same, 0.0, x) - where(same, 0.0, y)


logaddexp: Operator = defop(
    **binary_real(
        "logaddexp",
        vjp=(
            lambda c, g: unbroadcast(g * sigmoid(_lead(c.x, c.y)), c.ins[0]),
            lambda c, g: unbroadcast(g * sigmoid(_lead(c.y, c.x)), c.ins[1]),
        ),
        saves=("x y", "x y"),
        expr="{x} == {y} ? {x} + log(2) : {x} > {y} ? {x} + log1p(exp({y} - {x})) : "
        "{x} < {y} ? {y} + log1p(exp({x} - {y})) : {x} + {y}",
        says="Element-wise ``log(exp(x) + exp(y))``, without overflow.",
        example="dt.logaddexp(dt.tensor([0.0]), 0.0) -> tensor([0.6931472])",
    )
)

# -- trigonometry ----------------------------------------------------------------------------

sin: Operator = _analytic(
    "sin",
    vjp=lambda c, g: g * cos(c.x),
    saves="x",
    expr="sin({x})",
    says="Element-wise sine of angles in radians.",
    example="dt.sin(dt.tensor([0.0])) -> tensor([0.])",
)
cos: Operator = _analytic(
    "cos",
    vjp=lambda c, g: -g * sin(c.x),
    saves="x",
    expr="cos({x})",
    says="Element-wise cosine of angles in radians.",
    example="dt.cos(dt.tensor([0.0])) -> tensor([1.])",
)
tan: Operator = _analytic(
    "tan",
    vjp=lambda c, g: g * (1 + c.y * c.y),
    saves="y",
    expr="tan({x})",
    says="Element-wise tangent of angles in radians.",
    example="dt.tan(dt.tensor([0.0])) -> tensor([0.])",
)
asin: Operator = _analytic(
    "asin",
    kernel="arcsin",
    vjp=lambda c, g: g / sqrt((1 - c.x) * (1 + c.x)),
    saves="x",
    expr="asin({x})",
    says="Element-wise inverse sine, in radians; NaN outside -1..1.",
    example="dt.asin(dt.tensor([0.0])) -> tensor([0.])",
)
acos: Operator = _analytic(
    "acos",
    kernel="arccos",
    vjp=lambda c, g: -g / sqrt((1 - c.x) * (1 + c.x)),
    saves="x",
    expr="acos({x})",
    says="Element-wise inverse cosine, in radians; NaN outside -1..1.",
    example="dt.acos(dt.tensor([1.0])) -> tensor([0.])",
)
atan: Operator = _analytic(
    "atan",
    kernel="arctan",
    vjp=lambda c, g: g / (1 + c.x * c.x),
    saves="x",
    expr="atan({x})",
    says="Element-wise inverse tangent, in radians.",
    example="dt.atan(dt.tensor([0.0])) -> tensor([0.])",
)


def _over_square(x: Any, y: Any) -> Any:
    """``x / (x * x + y * y)``, without overflow; 0 at the origin."""
    length = hypot(x, y)
    length = where(length == 0, math.inf, length)
    return x / length / length


atan2: Operator = defop(
    **binary_real(
        "atan2",
        kernel="arctan2",
        vjp=(
            lambda c, g: unbroadcast(g * _over_square(c.y, c.x), c.ins[0]),
            lambda c, g: unbroadcast(-g * _over_square(c.x, c.y), c.ins[1]),
        ),
        saves=("x y", "x y"),
        expr="atan2({x}, {y})",
        says="Element-wise angle of the point ``(y, x)``, in radians from -pi to pi.",
        example="dt.atan2(dt.tensor([0.0]), 1.0) -> tensor([0.])",
    )
)
hypot: Operator = defop(
    **binary_real(
        "hypot",
        vjp=(
            lambda c, g: unbroadcast(g * _over_length(c.x, c.z), c.ins[0]),
            lambda c, g: unbroadcast(g * _over_length(c.y, c.z), c.ins[1]),
        ),
        saves=("x z", "y z"),
        expr="hypot({x}, {y})",
        says="Element-wise ``sqrt(x * x + y * y)``, without overflow; its gradient at 0 is 0.",
        example="dt.hypot(dt.tensor([3.0]), 4.0) -> tensor([5.])",
    )
)


def _over_length(x: Any, length: Any) -> Any:
    return x / where(length == 0, math.inf, length)


sinh: Operator = _analytic(
    "sinh",
    vjp=lambda c, g: g * cosh(c.x),
    saves="x",
    expr="sinh({x})",
    says="Element-wise hyperbolic sine.",
    example="dt.sinh(dt.tensor([0.0])) -> tensor([0.])",
)
cosh: Operator = _analytic(
    "cosh",
    vjp=lambda c, g: g * sinh(c.x),
    saves="x",
    expr="cosh({x})",
    says="Element-wise hyperbolic cosine.",
    example="dt.cosh(dt.tensor([0.0])) -> tensor([1.])",
)
tanh: Operator = _analytic(
    "tanh",
    vjp=lambda c, g: g * (1 - c.y * c.y),
    saves="y",
    expr="tanh({x})",
    says="Element-wise hyperbolic tangent.",
    example="dt.tanh(dt.tensor([0.0])) -> tensor([0.])",
)
asinh: Operator = _analytic(
    "asinh",
    kernel="arcsinh",
    vjp=lambda c, g: g / hypot(c.x, 1.0),
    saves="x",
    expr="asinh({x})",
    says="Element-wise inverse hyperbolic sine.",
    example="dt.asinh(dt.tensor([0.0])) -> tensor([0.])",
)
acosh: Operator = _analytic(
    "acosh",
    kernel="arccosh",
    vjp=lambda c, g: g / (sqrt(c.x - 1) * sqrt(c.x + 1)),
    saves="x",
    expr="acosh({x})",
    says="Element-wise inverse hyperbolic cosine; NaN below 1.",
    example="dt.acosh(dt.tensor([1.0])) -> tensor([0.])",
)
atanh: Operator = _analytic(
    "atanh",
    kernel="arctanh",
    vjp=lambda c, g: g / ((1 - c.x) * (1 + c.x)),
    saves="x",
    expr="atanh({x})",
    says="Element-wise inverse hyperbolic tangent; NaN outside -1..1.",
    example="dt.atanh(dt.tensor([0.0])) -> tensor([0.])",
)

# -- special functions -----------------------------------------------------------------------


def _bell(x: Any) -> Any:
    """The slope of `erf`."""
    return exp(-(x * x)) * (2 / math.sqrt(math.pi))


erf: Operator = defop(
    **unary(
        "erf",
        kernel=special.erf,
        vjp=lambda c, g: g * _bell(c.x),
        saves="x",
        expr="erf({x})",
        says="Element-wise error function: exp(-t * t) integrated over -x..x, over sqrt(pi).",
        example="dt.erf(dt.tensor([0.0])) -> tensor([0.])",
    )
)
erfc: Operator = defop(
    **unary(
        "erfc",
        kernel=special.erfc,
        vjp=lambda c, g: -g * _bell(c.x),
        saves="x",
        expr="erfc({x})",
        says="Element-wise ``1 - erf(x)``, exact where that is small.",
        example="dt.erfc(dt.tensor([0.0])) -> tensor([1.])",
    )
)
sigmoid: Operator = defop(
    **unary(
        "sigmoid",
        kernel=kernels.sigmoid,
        vjp=lambda c, g: g * (c.y * (1 - c.y)),
        saves="y",
        expr="1 / (1 + exp(-{x}))",
        says="Element-wise logistic function, 1 / (1 + exp(-x)).",
        example="dt.sigmoid(dt.tensor([0.0])) -> tensor([0.5])",
    )
)
softplus: Operator = defop(
    **unary(
        "softplus",
        kernel=kernels.softplus,
        vjp=lambda c, g: g * sigmoid(c.x),
        saves="x",
        expr="{x} > 0 ? {x} + log1p(exp(-{x})) : log1p(exp({x}))",
        says="Element-wise log(1 + exp(x)), without overflow.",
        example="dt.softplus(dt.tensor([0.0])) -> tensor([0.6931472])",
    )
)
relu: Operator = defop(
    **unary(
        "relu",
        kernel=kernels.relu,
        infer=real_numbers,
        promote=promotion.common,
        vjp=lambda c, g: where(c.y > 0, g, 0.0),
        saves="y",
        dtypes=REALS,
        expr="({x} > 0 || {x} != {x}) ? {x} : 0",
        says="Element-wise max(x, 0); its gradient at 0 is 0.",
        example="dt.relu(dt.tensor([1.0, -2.0])) -> tensor([1., 0.])",
    )
)

__all__ = functions_of(__name__)
