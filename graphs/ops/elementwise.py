"""Arithmetic, element by element: sums to powers, extrema, rounding, signs and conversion."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from ml_dtypes import finfo

from ..avals import Aval
from ..dtypes import (
    BFLOAT16,
    BOOL,
    as_dtype,
    is_complex,
    is_float,
    is_integer,
    promote,
    rank,
    real_of,
)
from ..errors import DTypeError
from ..kernels import elementwise as kernels
from . import promotion
from .batching import elementwise
from .core import REQUIRED, Operator, defop, functions_of
from .functions import log
from .logic import isfinite, where
from .manipulation import placed
from .plain import as_plain
from .pointwise import REALS, binary, binary_real, flat, flat_second, real, real_numbers, unary
from .rules import broadcast, numeric, unbroadcast

add: Operator = defop(
    **binary(
        "add",
        infer=broadcast,
        dtypes="numbers or bools",
        vjp=(lambda c, g: unbroadcast(g, c.ins[0]), lambda c, g: unbroadcast(g, c.ins[1])),
        expr="{x} + {y}",
        says="Element-wise sum; of bools, logical or.",
        example="dt.add(dt.tensor([1.0, 2.0]), 1) -> tensor([2., 3.])",
    )
)
subtract: Operator = defop(
    **binary(
        "subtract",
        vjp=(lambda c, g: unbroadcast(g, c.ins[0]), lambda c, g: unbroadcast(-g, c.ins[1])),
        expr="{x} - {y}",
        says="Element-wise difference.",
        example="dt.subtract(dt.tensor([1.0, 2.0]), 1) -> tensor([0., 1.])",
    )
)
multiply: Operator = defop(
    **binary(
        "multiply",
        infer=broadcast,
        dtypes="numbers or bools",
        vjp=(
            lambda c, g: unbroadcast(g * c.y, c.ins[0]),
            lambda c, g: unbroadcast(g * c.x, c.ins[1]),
        ),
        saves=("y", "x"),
        expr="{x} * {y}",
        says="Element-wise product; of bools, logical and.",
        example="dt.multiply(dt.tensor([1.0, 2.0]), 3) -> tensor([3., 6.])",
    )
)
divide: Operator = defop(
    **binary(
        "divide",
        infer=broadcast,
        promote=promotion.common_float,
        vjp=(
            lambda c, g: unbroadcast(g / c.y, c.ins[0]),
            lambda c, g: unbroadcast(-g * (c.x / (c.y * c.y)), c.ins[1]),
        ),
        saves=("y", "x y"),
        expr="{x} / {y}",
        dtypes="numbers; integers and bools become float32",
        says="Element-wise quotient, as floats.",
        example="dt.divide(dt.tensor([1.0, 2.0]), 4) -> tensor([0.25, 0.5 ])",
    )
)

_REST = "fmod({x}, {y})"
_ROUNDS_DOWN = f"({_REST} != 0 && ({_REST} < 0) != ({{y}} < 0))"
# What fmod leaves is a whole number of divisors, but for rounding.
_WHOLE = f"(({{x}} - {_REST}) / {{y}} - {_ROUNDS_DOWN})"

floor_divide: Operator = defop(
    **binary(
        "floor_divide",
        infer=real_numbers,
        vjp=(flat, flat_second),
        expr=f"{{y}} == 0 ? {{x}} / {{y}} : {_WHOLE} == 0 ? copysign(0.0, {{x}} / {{y}}) "
        f": rint({_WHOLE})",
        integer_expr="quotient({x}, {y})",
        dtypes=REALS,
        says="Element-wise quotient, rounded down, as Python's ``x // y``.",
        example="dt.floor_divide(dt.tensor([7, -7]), 2) -> tensor([ 3, -4])",
    )
)
remainder: Operator = defop(
    **binary(
        "remainder",
        infer=real_numbers,
        vjp=(
            lambda c, g: unbroadcast(g, c.ins[0]),
            lambda c, g: unbroadcast(-g * floor_divide(c.x, c.y), c.ins[1]),
        ),
        saves=("", "x y"),
        expr=f"{_REST} == 0 ? copysign(0.0, {{y}}) : {_ROUNDS_DOWN} ? {_REST} + {{y}} : {_REST}",
        integer_expr="rest({x}, {y})",
        dtypes=REALS,
        says="Element-wise rest of `floor_divide`, of the sign of `y`, as Python's ``x % y``.",
        example="dt.remainder(dt.tensor([7, -7]), 2) -> tensor([1, 1])",
    )
)
square: Operator = defop(
    **unary(
        "square",
        vjp=lambda c, g: g * (c.x * 2),
        saves="x",
        infer=numeric,
        promote=promotion.common,
        dtypes="numbers",
        expr="{x} * {x}",
        says="Element-wise ``x * x``.",
        example="dt.square(dt.tensor([1.0, -2.0])) -> tensor([1., 4.])",
    )
)
_pow: Operator = defop(
    **binary(
        "pow",
        kernel=kernels.power,
        vjp=(
            # The exponent 0 is kept off y - 1: at x = 0 that would give 0 * infinity.
            lambda c, g: unbroadcast(g * (c.y * c.x ** where(c.y == 0, 1.0, c.y - 1)), c.ins[0]),
            # Where the power is 0 so is the slope, and the logarithm of 0 is not asked for.
            lambda c, g: unbroadcast(g * (c.z * log(where(c.z == 0, 1.0, c.x))), c.ins[1]),
        ),
        saves=("x y", "x z"),
        may_raise=lambda x, y: is_integer(x.dtype),
        expr="pow({x}, {y})",
        says="The operator behind `pow`.",
        example="dt.tensor([2.0, 3.0]) ** 2 -> tensor([4., 9.])",
    )
)


def pow(x: Any, y: Any) -> Any:
    """Element-wise power, `x` to the `y`.

    Parameters
    ----------
    x, y : array or number
        Broadcast against each other.

    Returns
    -------
    array of the broadcast shape, of the common dtype

    Raises
    ------
    ShapeError
        When the shapes do not broadcast.
    DTypeError
        When the dtypes do not promote, or are bool.
    ArgumentError
        When both are integers and an exponent is negative; one in an array is found by the kernel.

    Examples
    --------
    >>> dt.pow(dt.tensor([2.0, 3.0]), 2)
    tensor([4., 9.])
    """
    if type(y) is int and y < 0 and (type(x) is int or _holds_integers(x)):
        raise kernels.no_integer_power(y)
    return _pow(x, y)


def _holds_integers(x: Any) -> bool:
    return hasattr(x, "dtype") and x.dtype.kind in "biu"


# -- extrema ---------------------------------------------------------------------------------

maximum: Operator = defop(
    **binary(
        "maximum",
        infer=real,
        vjp=(
            lambda c, g: unbroadcast(g * _share(c.x, c.y, c.ins[0]), c.ins[0]),
            lambda c, g: unbroadcast(g * _share(c.y, c.x, c.ins[1]), c.ins[1]),
        ),
        saves=("x y", "x y"),
        expr="({x} > {y} || {x} != {x}) ? {x} : {y}",
        dtypes="real numbers or bools",
        says="Element-wise larger operand; NaN where either is NaN. A tie shares the gradient.",
        example="dt.maximum(dt.tensor([1.0, 5.0]), 3) -> tensor([3., 5.])",
    )
)
minimum: Operator = defop(
    **binary(
        "minimum",
        infer=real,
        vjp=(
            lambda c, g: unbroadcast(g * _share(c.y, c.x, c.ins[0]), c.ins[0]),
            lambda c, g: unbroadcast(g * _share(c.x, c.y, c.ins[1]), c.ins[1]),
        ),
        saves=("x y", "x y"),
        expr="({x} < {y} || {x} != {x}) ? {x} : {y}",
        dtypes="real numbers or bools",
        says="Element-wise smaller operand; NaN where either is NaN. A tie shares the gradient.",
        example="dt.minimum(dt.tensor([1.0, 5.0]), 3) -> tensor([1., 3.])",
    )
)


def _share(x: Any, y: Any, aval: Aval) -> Any:
    """1 where ``x > y``, one half where they tie, 0 elsewhere, in the operand's dtype."""
    half = astype(x >= y, aval.dtype) + astype(x > y, aval.dtype)
    return half * 0.5


def _bounds_as_first(*specs: Any) -> list[Aval]:
    x, *bounds = promotion.as_given(*specs)
    for bound in bounds:
        if rank(bound.dtype) > rank(x.dtype):
            raise DTypeError(
                f"a bound must not be of a higher kind than x, got {bound.dtype} for {x.dtype}"
            )
    return [x, *(replace(bound, dtype=x.dtype) for bound in bounds)]


_RAISED = "(({x} > {min} || {x} != {x}) ? {x} : {min})"

_clip: Operator = defop(
    "clip",
    "x, min, max -> y",
    infer=real_numbers,
    kernel=kernels.clip,
    promote=_bounds_as_first,
    vjp=(
        lambda c, g: unbroadcast(
            g * _share(c.x, c.min, c.ins[0]) * _below_max(c, c.ins[0]), c.ins[0]
        ),
        lambda c, g: unbroadcast(
            g * _share(c.min, c.x, c.ins[1]) * _below_max(c, c.ins[1]), c.ins[1]
        ),
        lambda c, g: unbroadcast(g * _share(maximum(c.x, c.min), c.max, c.ins[2]), c.ins[2]),
    ),
    saves=("x min max", "x min max", "x min max"),
    in_place=True,
    batch=elementwise,
    expr=f"({_RAISED} < {{max}} || {_RAISED} != {_RAISED}) ? {_RAISED} : {{max}}",
    doc="""The operator behind `clip`, in which both bounds are given.""",
)


def _below_max(c: Any, aval: Aval) -> Any:
    """The share of the gradient that the upper bound leaves."""
    return _share(c.max, maximum(c.x, c.min), aval)


def clip(x: Any, min: Any = None, max: Any = None) -> Any:
    """Elements moved to the nearer bound where they lie outside of them. Ties share the gradient.

    Parameters
    ----------
    x : array or number, real
    min, max : array or number, optional
        The bounds; None for no bound. They are broadcast, and take the dtype of `x`.

    Returns
    -------
    array of the broadcast shape, of the dtype of `x`
        NaN where an operand is NaN; `max` where `min` is larger.

    Raises
    ------
    ShapeError
        When the shapes do not broadcast.
    DTypeError
        When `x` is bool or complex, or a bound is a float and `x` an integer.

    Examples
    --------
    >>> dt.clip(dt.tensor([1.0, 5.0, 9.0]), 2, 8)
    tensor([2., 5., 8.])
    """
    x = x if hasattr(x, "dtype") else as_plain(x, "clip")
    least, most = _limits(x.dtype if hasattr(x, "dtype") else promote([type(x)]))
    return _clip(x, least if min is None else min, most if max is None else max)


def _limits(dtype: np.dtype) -> tuple[float, float]:
    if not is_integer(dtype):
        return -math.inf, math.inf
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


# -- signs -----------------------------------------------------------------------------------

positive: Operator = defop(
    **unary(
        "positive",
        vjp=lambda c, g: g,
        infer=numeric,
        promote=promotion.common,
        dtypes="numbers",
        expr="{x}",
        says="A copy: element-wise ``+x``.",
        example="dt.positive(dt.tensor([1.0, -2.0])) -> tensor([ 1., -2.])",
    )
)
negative: Operator = defop(
    **unary(
        "negative",
        vjp=lambda c, g: -g,
        infer=numeric,
        promote=promotion.common,
        dtypes="numbers",
        expr="-{x}",
        says="Element-wise negation.",
        example="dt.negative(dt.tensor([1.0, -2.0])) -> tensor([-1.,  2.])",
    )
)
abs: Operator = defop(
    **unary(
        "abs",
        kernel="absolute",
        vjp=lambda c, g: g * sign(c.x),
        saves="x",
        infer=lambda x: replace(numeric(x), dtype=real_of(x.dtype)),
        promote=promotion.common,
        dtypes="numbers",
        result=", of real dtype",
        expr="fabs({x})",
        integer_expr="abs({x})",
        says="Element-wise absolute value; its gradient at 0 is 0.",
        example="dt.abs(dt.tensor([1.0, -2.0])) -> tensor([1., 2.])",
    )
)
sign: Operator = defop(
    **unary(
        "sign",
        vjp=flat,
        infer=numeric,
        promote=promotion.common,
        dtypes="numbers",
        expr="{x} != {x} ? {x} : ({x} > 0) - ({x} < 0)",
        integer_expr="sign({x})",
        says="Element-wise sign: -1, 0 or 1, NaN for NaN; of complex numbers, ``x / abs(x)``.",
        example="dt.sign(dt.tensor([3.0, -2.0])) -> tensor([ 1., -1.])",
    )
)
copysign: Operator = defop(
    **binary_real(
        "copysign",
        vjp=(
            lambda c, g: unbroadcast(g * (sign(c.x) * copysign(1.0, c.y)), c.ins[0]),
            flat_second,
        ),
        saves=("x y", ""),
        expr="copysign({x}, {y})",
        says="Element-wise magnitude of `x` with the sign of `y`; its gradient at x = 0 is 0.",
        example="dt.copysign(dt.tensor([1.0, 2.0]), -0.0) -> tensor([-1., -2.])",
    )
)


def _neighbour(x: Aval, y: Aval) -> Aval:
    if y.dtype == BFLOAT16:
        raise DTypeError("operands must be float16, float32 or float64, got bfloat16")
    return real(x, y)


nextafter: Operator = defop(
    **binary(
        "nextafter",
        infer=_neighbour,
        promote=promotion.common_float,
        vjp=None,
        expr="nextafter({x}, {y})",
        dtypes="float16, float32 or float64; integers and bools become float32",
        says="Element-wise next number after `x` that its dtype holds, in the direction of `y`.",
        example="dt.nextafter(dt.tensor([1.0]), 2.0) == 1 + 2**-23 -> tensor([ True])",
    )
)

# -- rounding --------------------------------------------------------------------------------


def _rounding(name: str, infer: Any, expr: str, says: str, example: str) -> Any:
    return defop(
        **unary(
            name,
            kernel=getattr(kernels, name),
            vjp=flat,
            infer=infer,
            promote=promotion.common,
            dtypes="numbers" if infer is numeric else REALS,
            expr=expr,
            integer_expr="{x}",
            says=says,
            example=example,
        )
    )


ceil: Operator = _rounding(
    "ceil", real_numbers, "ceil({x})", "Element-wise least whole number not below.",
    "dt.ceil(dt.tensor([1.5, -1.5])) -> tensor([ 2., -1.])",
)  # fmt: skip
floor: Operator = _rounding(
    "floor", real_numbers, "floor({x})", "Element-wise greatest whole number not above.",
    "dt.floor(dt.tensor([1.5, -1.5])) -> tensor([ 1., -2.])",
)  # fmt: skip
trunc: Operator = _rounding(
    "trunc", real_numbers, "trunc({x})", "Element-wise nearest whole number towards 0.",
    "dt.trunc(dt.tensor([1.5, -1.5])) -> tensor([ 1., -1.])",
)  # fmt: skip
round: Operator = _rounding(
    "round", numeric, "rint({x})",
    "Element-wise nearest whole number, the even one of two; complex numbers part by part.",
    "dt.round(dt.tensor([0.5, 1.5, -2.2])) -> tensor([ 0.,  2., -2.])",
)  # fmt: skip

# -- replacement and conversion --------------------------------------------------------------


def _replacements(x: Aval, nan: Any, posinf: Any, neginf: Any) -> dict[str, Any]:
    if is_float(x.dtype):
        largest = float(finfo(x.dtype).max)
        posinf = largest if posinf is None else float(posinf)
        neginf = -largest if neginf is None else float(neginf)
    return {"nan": float(nan), "posinf": posinf, "neginf": neginf}


nan_to_num: Operator = defop(
    "nan_to_num",
    "x -> y",
    attrs={"nan": 0.0, "posinf": None, "neginf": None},
    normalise=_replacements,
    infer=real_numbers,
    kernel=kernels.nan_to_num,
    promote=promotion.common,
    vjp=(lambda c, g: where(isfinite(c.x), g, 0.0),),
    saves=("x",),
    in_place=True,
    batch=elementwise,
    doc="""Elements with NaN and infinities replaced by numbers, through which no gradient flows.

    Parameters
    ----------
    x : array or number, real; integers hold neither and are copied
    nan, posinf, neginf : float
        What takes the place of NaN and of the infinities; by default of these the largest and
        the least finite number of the dtype.

    Returns
    -------
    array like `x`

    Raises
    ------
    DTypeError
        When `x` is bool or complex.

    Examples
    --------
    >>> dt.nan_to_num(dt.tensor([1.0, float("nan"), float("inf")]), posinf=9.0)
    tensor([1., 0., 9.])
    """,
)


def _converted(x: Aval, dtype: Any) -> Aval:
    if is_complex(x.dtype) and not is_complex(dtype) and dtype != BOOL:
        raise DTypeError(
            f"complex numbers have no one real form, got {x.dtype} to {dtype}; take dt.real"
        )
    return replace(x, dtype=dtype)


_astype: Operator = defop(
    "astype",
    "x -> y",
    infer=_converted,
    kernel=kernels.astype,
    attrs={"dtype": REQUIRED},
    normalise=lambda x, dtype: {"dtype": as_dtype(dtype)},
    vjp=(lambda c, g: astype(g, c.ins[0].dtype),),
    saves=("",),
    batch=elementwise,
    expr="({dtype}){x}",
    doc="""The operator behind `astype`.""",
)


def astype(x: Any, dtype: Any, *, copy: bool = True, device: Any = None) -> Any:
    """Elements converted to another dtype; float to integer truncates towards 0.

    A NaN, an infinity or a number that an integer dtype does not hold gives an integer that is not
    specified, as in C, and no error.

    Parameters
    ----------
    x : array, any shape and dtype
    dtype : dtype, str or type
    copy : bool
        Whether an array that has the dtype already is copied, too.
    device : Device or str, optional
        Where the result should be; by default where `x` is.

    Returns
    -------
    array of the shape of `x`

    Raises
    ------
    DTypeError
        When `dtype` is none that Diptych computes with, or `x` is complex and `dtype` real.
    DeviceError
        When the device is unknown, or a static value should move to another one.

    Examples
    --------
    >>> dt.astype(dt.tensor([1.5, 2.5]), "int64")
    tensor([1, 2])
    """
    keeps = not copy and getattr(x, "dtype", None) == as_dtype(dtype)
    return placed("astype", x if keeps else _astype(x, dtype), device)


__all__ = functions_of(__name__)
