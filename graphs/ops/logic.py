"""Comparison, logical and bitwise operators, predicates, and selection by a condition."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..avals import Aval
from ..dtypes import BOOL, is_integer
from ..errors import DTypeError
from ..kernels import elementwise as kernels
from . import promotion
from .batching import elementwise
from .core import Operator, defop, functions_of
from .pointwise import FLOATS, binary, real_predicate, unary
from .rules import broadcast, numeric, one_device, predicate, unbroadcast


def _comparison(name: str, symbol: str, says: str, example: str, infer: Any) -> Any:
    return defop(
        **binary(
            name,
            infer=infer,
            vjp=None,
            expr=f"{{x}} {symbol} {{y}}",
            dtypes="real numbers or bools" if infer is real_predicate else "numbers or bools",
            result=", bool",
            says=says,
            example=example,
        )
    )


equal: Operator = _comparison(
    "equal", "==", "Element-wise ``x == y``; NaN equals nothing.",
    "dt.equal(dt.tensor([1.0, 2.0]), 1) -> tensor([ True, False])", predicate,
)  # fmt: skip
not_equal: Operator = _comparison(
    "not_equal", "!=", "Element-wise ``x != y``; NaN differs from all.",
    "dt.not_equal(dt.tensor([1.0, 2.0]), 1) -> tensor([False,  True])", predicate,
)  # fmt: skip
less: Operator = _comparison(
    "less", "<", "Element-wise ``x < y``.",
    "dt.less(dt.tensor([1.0, 2.0]), 2) -> tensor([ True, False])", real_predicate,
)  # fmt: skip
less_equal: Operator = _comparison(
    "less_equal", "<=", "Element-wise ``x <= y``.",
    "dt.less_equal(dt.tensor([1.0, 3.0]), 2) -> tensor([ True, False])", real_predicate,
)  # fmt: skip
greater: Operator = _comparison(
    "greater", ">", "Element-wise ``x > y``.",
    "dt.greater(dt.tensor([1.0, 3.0]), 2) -> tensor([False,  True])", real_predicate,
)  # fmt: skip
greater_equal: Operator = _comparison(
    "greater_equal", ">=", "Element-wise ``x >= y``.",
    "dt.greater_equal(dt.tensor([1.0, 3.0]), 2) -> tensor([False,  True])", real_predicate,
)  # fmt: skip


# -- logical and bitwise ---------------------------------------------------------------------


def _bools(*avals: Aval) -> Aval:
    for aval in avals:
        if aval.dtype != BOOL:
            raise DTypeError(f"operands must be bool, got {aval.dtype}")
    return broadcast(*avals)


def _bits(*avals: Aval) -> Aval:
    if avals[-1].dtype == BOOL:
        return broadcast(*avals)
    return _integers(*avals, what="integers or bools")


def _integers(*avals: Aval, what: str = "integers") -> Aval:
    if not is_integer(avals[-1].dtype):
        raise DTypeError(f"operands must be {what}, got {avals[-1].dtype}")
    return broadcast(*avals)


def _logical(name: str, symbol: str, says: str, example: str) -> Any:
    return defop(
        **binary(
            name,
            infer=_bools,
            vjp=None,
            dtypes="bool",
            result=", bool",
            expr=f"{{x}} {symbol} {{y}}",
            says=says,
            example=example,
        )
    )


logical_not: Operator = defop(
    **unary(
        "logical_not",
        infer=_bools,
        promote=promotion.as_given,
        vjp=None,
        dtypes="bool",
        expr="!{x}",
        says="Element-wise logical not, of bools.",
        example="dt.logical_not(dt.tensor([True, False])) -> tensor([False,  True])",
    )
)
logical_and: Operator = _logical(
    "logical_and", "&&", "Element-wise logical and, of bools.",
    "dt.logical_and(dt.tensor([True, False]), True) -> tensor([ True, False])",
)  # fmt: skip
logical_or: Operator = _logical(
    "logical_or", "||", "Element-wise logical or, of bools.",
    "dt.logical_or(dt.tensor([True, False]), False) -> tensor([ True, False])",
)  # fmt: skip
logical_xor: Operator = _logical(
    "logical_xor", "!=", "Element-wise logical exclusive or, of bools.",
    "dt.logical_xor(dt.tensor([True, False]), True) -> tensor([False,  True])",
)  # fmt: skip


def _bitwise(name: str, symbol: str, says: str, example: str) -> Any:
    return defop(
        **binary(
            name,
            infer=_bits,
            vjp=None,
            dtypes="integers or bools",
            expr=f"{{x}} {symbol} {{y}}",
            says=says,
            example=example,
        )
    )


bitwise_and: Operator = _bitwise(
    "bitwise_and", "&", "Element-wise ``x & y``: bit by bit; of bools, logical and.",
    "dt.bitwise_and(dt.tensor([6, 5]), 3) -> tensor([2, 1])",
)  # fmt: skip
bitwise_or: Operator = _bitwise(
    "bitwise_or", "|", "Element-wise ``x | y``: bit by bit; of bools, logical or.",
    "dt.bitwise_or(dt.tensor([6, 5]), 3) -> tensor([7, 7])",
)  # fmt: skip
bitwise_xor: Operator = _bitwise(
    "bitwise_xor", "^", "Element-wise ``x ^ y``: bit by bit; of bools, logical exclusive or.",
    "dt.bitwise_xor(dt.tensor([6, 5]), 3) -> tensor([5, 6])",
)  # fmt: skip
bitwise_invert: Operator = defop(
    **unary(
        "bitwise_invert",
        kernel="invert",
        infer=_bits,
        promote=promotion.as_given,
        vjp=None,
        dtypes="integers or bools",
        integer_expr="~{x}",
        says="Element-wise ``~x``: every bit inverted; of bools, logical not.",
        example="dt.bitwise_invert(dt.tensor([0, 5])) -> tensor([-1, -6])",
    )
)
bitwise_left_shift: Operator = defop(
    **binary(
        "bitwise_left_shift",
        kernel="left_shift",
        infer=_integers,
        vjp=None,
        dtypes="integers",
        integer_expr="left({x}, {y})",
        says="Element-wise ``x << y``: bits moved left; 0 where all of them have left.",
        example="dt.bitwise_left_shift(dt.tensor([1, 5]), 2) -> tensor([ 4, 20])",
    )
)
bitwise_right_shift: Operator = defop(
    **binary(
        "bitwise_right_shift",
        kernel="right_shift",
        infer=_integers,
        vjp=None,
        dtypes="integers",
        integer_expr="right({x}, {y})",
        says="Element-wise ``x >> y``: bits moved right; the sign's bit moves in.",
        example="dt.bitwise_right_shift(dt.tensor([5, -5]), 1) -> tensor([ 2, -3])",
    )
)


# -- predicates ------------------------------------------------------------------------------


def _of_numbers(x: Aval) -> Aval:
    return predicate(numeric(x))


def _predicate(name: str, infer: Any = _of_numbers, promote: Any = promotion.as_given,
               dtypes: str = "numbers", **rest: Any) -> Any:  # fmt: skip
    parts = unary(
        name, infer=infer, promote=promote, vjp=None, dtypes=dtypes, result=", bool", **rest
    )
    return defop(**parts)


isfinite: Operator = _predicate(
    "isfinite",
    expr="isfinite({x})",
    integer_expr="1",
    says="Element-wise whether a number is neither infinite nor NaN.",
    example='dt.isfinite(dt.tensor([1.0, float("inf")])) -> tensor([ True, False])',
)
isinf: Operator = _predicate(
    "isinf",
    expr="isinf({x})",
    integer_expr="0",
    says="Element-wise whether a number is infinite, of either sign.",
    example='dt.isinf(dt.tensor([1.0, float("inf")])) -> tensor([False,  True])',
)
isnan: Operator = _predicate(
    "isnan",
    expr="{x} != {x}",
    integer_expr="0",
    says="Element-wise whether a number is NaN.",
    example='dt.isnan(dt.tensor([1.0, float("nan")])) -> tensor([False,  True])',
)
signbit: Operator = _predicate(
    "signbit",
    infer=real_predicate,
    promote=promotion.common_float,
    dtypes=FLOATS,
    expr="signbit({x})",
    says="Element-wise whether the sign's bit is set: of negative numbers and -0.0.",
    example="dt.signbit(dt.tensor([1.0, -0.0])) -> tensor([False,  True])",
)


def _closeness(x: Aval, y: Aval, rtol: Any, atol: Any, equal_nan: Any) -> dict[str, Any]:
    return {"rtol": float(rtol), "atol": float(atol), "equal_nan": bool(equal_nan)}


isclose: Operator = defop(
    "isclose",
    "x, y -> z",
    attrs={"rtol": 1e-5, "atol": 1e-8, "equal_nan": False},
    normalise=_closeness,
    infer=predicate,
    kernel=kernels.isclose,
    promote=promotion.common,
    vjp=None,
    batch=elementwise,
    doc="""Element-wise ``abs(x - y) <= atol + rtol * abs(y)``; equal infinities are close.

    Parameters
    ----------
    x, y : array or number
        Broadcast against each other.
    rtol, atol : float
        Relative and absolute tolerance.
    equal_nan : bool
        Whether NaN is close to NaN.

    Returns
    -------
    array of the broadcast shape, bool

    Raises
    ------
    ShapeError
        When the shapes do not broadcast.
    DTypeError
        When the dtypes do not promote.

    Examples
    --------
    >>> dt.isclose(dt.tensor([1.0, 2.0]), dt.tensor([1.000001, 2.1]))
    tensor([ True, False])
    """,
)


def allclose(
    x: Any, y: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Any:
    """Whether all elements are close to each other; see `isclose`.

    Examples
    --------
    >>> dt.allclose(dt.tensor([1.0, 2.0]), dt.tensor([1.0, 2.000001]))
    tensor(True)
    """
    from .reductions import all

    return all(isclose(x, y, rtol, atol, equal_nan))


# -- selection -------------------------------------------------------------------------------


def _where(condition: Aval, x: Aval, y: Aval) -> Aval:
    if condition.dtype != BOOL:
        raise DTypeError(f"condition must be bool, got {condition.dtype}")
    shape = broadcast(replace(condition, dtype=x.dtype), x, y).shape
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
    batch=elementwise,
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

__all__ = ["allclose", *functions_of(__name__)]
