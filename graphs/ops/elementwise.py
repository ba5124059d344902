"""Element-wise operators: arithmetic, functions, comparison, logic and selection."""

from __future__ import annotations

from typing import Any

from ..avals import Aval
from ..dtypes import BOOL, as_dtype
from ..errors import DTypeError
from ..kernels import elementwise as kernels
from . import promotion
from .core import REQUIRED, Operator, defop, functions_of
from .rules import broadcast, numeric, one_device, predicate, same, unbroadcast

_X = """
    Parameters
    ----------
    x : array, any shape, {dtypes}

    Returns
    -------
    array of the shape of `x`

    Examples
    --------
    >>> {code}
    {value}
"""

_XY = """
    Parameters
    ----------
    x, y : array or number, {dtypes}
        Broadcast against each other.

    Returns
    -------
    array of the broadcast shape{result}

    Raises
    ------
    ShapeError
        When the shapes do not broadcast.
    DTypeError
        When the dtypes do not promote.

    Examples
    --------
    >>> {code}
    {value}
"""


def _unary(name: str, *, vjp: Any, saves: str = "", expr: str, says: str, example: str,
           kernel: Any = None, floats: bool = True, infer: Any = None) -> Any:  # fmt: skip
    dtypes = "floats; integers become float32" if floats else "numbers"
    return defop(
        name,
        "x -> y",
        infer=infer or (same if floats else numeric),
        kernel=kernel or name,
        promote=promotion.common_float if floats else promotion.common,
        in_place=True,
        vjp=None if vjp is None else (vjp,),
        saves=(saves,),
        expr=expr,
        doc=_doc(_X, says, example, dtypes=dtypes),
    )


def _binary(name: str, *, vjp: Any, saves: tuple[str, str] = ("", ""), expr: str, says: str,
            example: str, kernel: Any = None, infer: Any = numeric, promote: Any = promotion.common,
            dtypes: str = "numbers", result: str = ", of the common dtype") -> Any:  # fmt: skip
    return defop(
        name,
        "x, y -> z",
        infer=infer,
        kernel=kernel or name,
        promote=promote,
        vjp=vjp,
        saves=saves,
        expr=expr,
        in_place=True,
        doc=_doc(_XY, says, example, dtypes=dtypes, result=result),
    )


def _doc(template: str, says: str, example: str, **parts: str) -> str:
    code, _, value = example.partition(" -> ")
    return says + "\n" + template.format(code=code, value=value, **parts)


add: Operator = _binary(
    "add",
    infer=broadcast,
    dtypes="numbers or bools",
    vjp=(lambda c, g: unbroadcast(g, c.ins[0]), lambda c, g: unbroadcast(g, c.ins[1])),
    expr="{x} + {y}",
    says="Element-wise sum; of bools, logical or.",
    example="dt.add(dt.tensor([1.0, 2.0]), 1) -> tensor([2., 3.])",
)
subtract: Operator = _binary(
    "subtract",
    vjp=(lambda c, g: unbroadcast(g, c.ins[0]), lambda c, g: unbroadcast(-g, c.ins[1])),
    expr="{x} - {y}",
    says="Element-wise difference.",
    example="dt.subtract(dt.tensor([1.0, 2.0]), 1) -> tensor([0., 1.])",
)
multiply: Operator = _binary(
    "multiply",
    infer=broadcast,
    dtypes="numbers or bools",
    vjp=(lambda c, g: unbroadcast(g * c.y, c.ins[0]), lambda c, g: unbroadcast(g * c.x, c.ins[1])),
    saves=("y", "x"),
    expr="{x} * {y}",
    says="Element-wise product; of bools, logical and.",
    example="dt.multiply(dt.tensor([1.0, 2.0]), 3) -> tensor([3., 6.])",
)
divide: Operator = _binary(
    "divide",
    promote=promotion.common_float,
    vjp=(
        lambda c, g: unbroadcast(g / c.y, c.ins[0]),
        lambda c, g: unbroadcast(-g * (c.x / (c.y * c.y)), c.ins[1]),
    ),
    saves=("y", "x y"),
    expr="{x} / {y}",
    dtypes="numbers; integers become float32",
    says="Element-wise quotient, as floats.",
    example="dt.divide(dt.tensor([1.0, 2.0]), 4) -> tensor([0.25, 0.5 ])",
)
pow: Operator = _binary(
    "pow",
    kernel="power",
    vjp=(
        # The exponent 0 is kept off y - 1: at x = 0 that would give 0 * infinity.
        lambda c, g: unbroadcast(g * (c.y * c.x ** where(c.y == 0, 1.0, c.y - 1)), c.ins[0]),
        # Where the power is 0 so is the slope, and the logarithm of 0 is not asked for.
        lambda c, g: unbroadcast(g * (c.z * log(where(c.z == 0, 1.0, c.x))), c.ins[1]),
    ),
    saves=("x y", "x z"),
    expr="pow({x}, {y})",
    says="Element-wise power, `x` to the `y`.",
    example="dt.pow(dt.tensor([2.0, 3.0]), 2) -> tensor([4., 9.])",
)
maximum: Operator = _binary(
    "maximum",
    infer=broadcast,
    vjp=(
        lambda c, g: unbroadcast(g * _share(c.x, c.y, c.ins[0]), c.ins[0]),
        lambda c, g: unbroadcast(g * _share(c.y, c.x, c.ins[1]), c.ins[1]),
    ),
    saves=("x y", "x y"),
    expr="({x} > {y} || {x} != {x}) ? {x} : {y}",
    says="Element-wise larger operand; NaN where either is NaN. A tie shares the gradient.",
    example="dt.maximum(dt.tensor([1.0, 5.0]), 3) -> tensor([3., 5.])",
)
minimum: Operator = _binary(
    "minimum",
    infer=broadcast,
    vjp=(
        lambda c, g: unbroadcast(g * _share(c.y, c.x, c.ins[0]), c.ins[0]),
        lambda c, g: unbroadcast(g * _share(c.x, c.y, c.ins[1]), c.ins[1]),
    ),
    saves=("x y", "x y"),
    expr="({x} < {y} || {x} != {x}) ? {x} : {y}",
    says="Element-wise smaller operand; NaN where either is NaN. A tie shares the gradient.",
    example="dt.minimum(dt.tensor([1.0, 5.0]), 3) -> tensor([1., 3.])",
)

negative: Operator = _unary(
    "negative",
    vjp=lambda c, g: -g,
    floats=False,
    expr="-{x}",
    says="Element-wise negation.",
    example="dt.negative(dt.tensor([1.0, -2.0])) -> tensor([-1.,  2.])",
)
abs: Operator = _unary(
    "abs",
    kernel="absolute",
    vjp=lambda c, g: g * sign(c.x),
    saves="x",
    floats=False,
    expr="fabs({x})",
    says="Element-wise absolute value; its gradient at 0 is 0.",
    example="dt.abs(dt.tensor([1.0, -2.0])) -> tensor([1., 2.])",
)
sign: Operator = _unary(
    "sign",
    vjp=lambda c, g: g * 0.0,
    floats=False,
    expr="{x} != {x} ? {x} : ({x} > 0) - ({x} < 0)",
    says="Element-wise sign: -1, 0 or 1; NaN for NaN.",
    example="dt.sign(dt.tensor([3.0, -2.0])) -> tensor([ 1., -1.])",
)
exp: Operator = _unary(
    "exp",
    vjp=lambda c, g: g * c.y,
    saves="y",
    expr="exp({x})",
    says="Element-wise exponential.",
    example="dt.exp(dt.tensor([0.0])) -> tensor([1.])",
)
log: Operator = _unary(
    "log",
    vjp=lambda c, g: g / c.x,
    saves="x",
    expr="log({x})",
    says="Element-wise natural logarithm.",
    example="dt.log(dt.tensor([1.0])) -> tensor([0.])",
)
sqrt: Operator = _unary(
    "sqrt",
    vjp=lambda c, g: g * 0.5 / c.y,
    saves="y",
    expr="sqrt({x})",
    says="Element-wise square root.",
    example="dt.sqrt(dt.tensor([4.0])) -> tensor([2.])",
)
sin: Operator = _unary(
    "sin",
    vjp=lambda c, g: g * cos(c.x),
    saves="x",
    expr="sin({x})",
    says="Element-wise sine of angles in radians.",
    example="dt.sin(dt.tensor([0.0])) -> tensor([0.])",
)
cos: Operator = _unary(
    "cos",
    vjp=lambda c, g: -g * sin(c.x),
    saves="x",
    expr="cos({x})",
    says="Element-wise cosine of angles in radians.",
    example="dt.cos(dt.tensor([0.0])) -> tensor([1.])",
)
tanh: Operator = _unary(
    "tanh",
    vjp=lambda c, g: g * (1 - c.y * c.y),
    saves="y",
    expr="tanh({x})",
    says="Element-wise hyperbolic tangent.",
    example="dt.tanh(dt.tensor([0.0])) -> tensor([0.])",
)
sigmoid: Operator = _unary(
    "sigmoid",
    kernel=kernels.sigmoid,
    vjp=lambda c, g: g * (c.y * (1 - c.y)),
    saves="y",
    expr="1 / (1 + exp(-{x}))",
    says="Element-wise logistic function, 1 / (1 + exp(-x)).",
    example="dt.sigmoid(dt.tensor([0.0])) -> tensor([0.5])",
)
relu: Operator = _unary(
    "relu",
    kernel=kernels.relu,
    vjp=lambda c, g: where(c.y > 0, g, 0.0),
    saves="y",
    floats=False,
    expr="({x} > 0 || {x} != {x}) ? {x} : 0",
    says="Element-wise max(x, 0); its gradient at 0 is 0.",
    example="dt.relu(dt.tensor([1.0, -2.0])) -> tensor([1., 0.])",
)


def _comparison(name: str, symbol: str, says: str, example: str) -> Any:
    return _binary(
        name,
        infer=predicate,
        vjp=None,
        expr=f"{{x}} {symbol} {{y}}",
        dtypes="numbers or bools",
        result=", bool",
        says=says,
        example=example,
    )


equal: Operator = _comparison(
    "equal", "==", "Element-wise ``x == y``; NaN equals nothing.",
    "dt.equal(dt.tensor([1.0, 2.0]), 1) -> tensor([ True, False])",
)  # fmt: skip
not_equal: Operator = _comparison(
    "not_equal", "!=", "Element-wise ``x != y``; NaN differs from all.",
    "dt.not_equal(dt.tensor([1.0, 2.0]), 1) -> tensor([False,  True])",
)  # fmt: skip
less: Operator = _comparison(
    "less", "<", "Element-wise ``x < y``.",
    "dt.less(dt.tensor([1.0, 2.0]), 2) -> tensor([ True, False])",
)  # fmt: skip
less_equal: Operator = _comparison(
    "less_equal", "<=", "Element-wise ``x <= y``.",
    "dt.less_equal(dt.tensor([1.0, 3.0]), 2) -> tensor([ True, False])",
)  # fmt: skip
greater: Operator = _comparison(
    "greater", ">", "Element-wise ``x > y``.",
    "dt.greater(dt.tensor([1.0, 3.0]), 2) -> tensor([False,  True])",
)  # fmt: skip
greater_equal: Operator = _comparison(
    "greater_equal", ">=", "Element-wise ``x >= y``.",
    "dt.greater_equal(dt.tensor([1.0, 3.0]), 2) -> tensor([False,  True])",
)  # fmt: skip


def _bools(*avals: Aval) -> Aval:
    for aval in avals:
        if aval.dtype != BOOL:
            raise DTypeError(f"operands must be bool, got {aval.dtype}")
    return broadcast(*avals)


logical_not: Operator = _unary(
    "logical_not",
    infer=_bools,
    floats=False,
    vjp=None,
    expr="!{x}",
    says="Element-wise logical not, of bools.",
    example="dt.logical_not(dt.tensor([True, False])) -> tensor([False,  True])",
)
logical_and: Operator = _binary(
    "logical_and",
    infer=_bools,
    vjp=None,
    dtypes="bool",
    expr="{x} && {y}",
    says="Element-wise logical and, of bools.",
    example="dt.logical_and(dt.tensor([True, False]), True) -> tensor([ True, False])",
)
logical_or: Operator = _binary(
    "logical_or",
    infer=_bools,
    vjp=None,
    dtypes="bool",
    expr="{x} || {y}",
    says="Element-wise logical or, of bools.",
    example="dt.logical_or(dt.tensor([True, False]), False) -> tensor([ True, False])",
)


def _where(condition: Aval, x: Aval, y: Aval) -> Aval:
    if condition.dtype != BOOL:
        raise DTypeError(f"condition must be bool, got {condition.dtype}")
    shape = broadcast(Aval(condition.shape, x.dtype, condition.device), x, y).shape
    return Aval(shape, x.dtype, one_device(condition, x, y))


where: Operator = defop(
    "where",
    "condition, x, y -> z",
    infer=_where,
    kernel=kernels.where,
    promote=promotion.after_first,
    vjp=(
        lambda c, g: None,
        lambda c, g: unbroadcast(where(c.condition, g, 0.0), c.ins[1]),
        lambda c, g: unbroadcast(where(c.condition, 0.0, g), c.ins[2]),
    ),
    saves=("", "condition", "condition"),
    expr="{condition} ? {x} : {y}",
    doc="""Elements of `x` where `condition` holds, of `y` elsewhere.

    Parameters
    ----------
    condition : array, bool
    x, y : array or number
        All three broadcast.

    Returns
    -------
    array of the broadcast shape, of the common dtype of `x` and `y`

    Raises
    ------
    ShapeError
        When the shapes do not broadcast.
    DTypeError
        When `condition` is not bool, or the dtypes do not promote.

    Examples
    --------
    >>> dt.where(dt.tensor([True, False]), 1.0, 2.0)
    tensor([1., 2.])
    """,
)


def _share(x: Any, y: Any, aval: Aval) -> Any:
    """1 where ``x > y``, one half where they tie, 0 elsewhere, in the operand's dtype."""
    half = astype(x >= y, aval.dtype) + astype(x > y, aval.dtype)
    return half * 0.5


def _astype(x: Aval, dtype: Any) -> Aval:
    return Aval(x.shape, dtype, x.device)


def _named_dtype(x: Aval, dtype: Any) -> dict[str, Any]:
    return {"dtype": as_dtype(dtype)}


astype: Operator = defop(
    "astype",
    "x -> y",
    infer=_astype,
    kernel=kernels.astype,
    attrs={"dtype": REQUIRED},
    normalise=_named_dtype,
    vjp=(lambda c, g: astype(g, c.ins[0].dtype),),
    saves=("",),
    expr="({dtype}){x}",
    doc="""Elements converted to another dtype; float to integer truncates towards 0.

    Parameters
    ----------
    x : array, any shape and dtype
    dtype : dtype, str or type

    Returns
    -------
    array of the shape of `x`

    Raises
    ------
    DTypeError
        When `dtype` is none that Diptych computes with.

    Examples
    --------
    >>> dt.astype(dt.tensor([1.5, 2.5]), "int64")
    tensor([1, 2])
    """,
)

__all__ = functions_of(__name__)
