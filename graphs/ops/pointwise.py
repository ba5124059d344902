"""How element-wise operators are declared, and the rules for dtypes that they share."""

from __future__ import annotations

from typing import Any

from ..avals import Aval
from ..dtypes import is_complex
from ..errors import DTypeError
from . import promotion
from .batching import elementwise
from .rules import broadcast, numeric, predicate, unbroadcast

_X = """
    Parameters
    ----------
    x : array or number, any shape, {dtypes}

    Returns
    -------
    array of the shape of `x`{result}

    Raises
    ------
    DTypeError
        When `x` has another dtype.

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
        When the dtypes do not promote, or are others.

    Examples
    --------
    >>> {code}
    {value}
"""

FLOATS = "floats; integers and bools become float32"
COMPLEX = "floats or complex; integers and bools become float32"
REALS = "real numbers"


def unary(name: str, *, vjp: Any, says: str, example: str, saves: str = "", infer: Any = None,
          promote: Any = promotion.common_float, dtypes: str = FLOATS, result: str = "",
          **rest: Any) -> dict[str, Any]:  # fmt: skip
    """What `defop` takes for an operator of one operand, by default of real floats.

    Parameters
    ----------
    vjp, saves
        Of the one operand.
    says : str
        First line of the docstring.
    example : str
        ``code -> value``, of the docstring.
    dtypes, result : str
        What the docstring says of the operand's dtypes, and of the result after its shape.
    rest
        As for `defop`; the kernel is by default the ufunc of the same name.
    """
    return {
        "name": name,
        "signature": "x -> y",
        "infer": infer or real,
        "kernel": name,
        "promote": promote,
        "vjp": None if vjp is None else (vjp,),
        "saves": (saves,),
        "in_place": True,
        "batch": elementwise,
        "doc": _doc(_X, says, example, dtypes=dtypes, result=result),
        **rest,
    }


def binary(name: str, *, says: str, example: str, infer: Any = numeric,
           promote: Any = promotion.common, dtypes: str = "numbers",
           result: str = ", of the common dtype", **rest: Any) -> dict[str, Any]:  # fmt: skip
    """What `defop` takes for an operator of two operands, by default of numbers; see `unary`."""
    return {
        "name": name,
        "signature": "x, y -> z",
        "infer": infer,
        "kernel": name,
        "promote": promote,
        "in_place": True,
        "batch": elementwise,
        "doc": _doc(_XY, says, example, dtypes=dtypes, result=result),
        **rest,
    }


def binary_real(name: str, **rest: Any) -> dict[str, Any]:
    """What `defop` takes for an operator of two real floats; see `unary`."""
    return binary(name, infer=real, promote=promotion.common_float, dtypes=FLOATS, **rest)


def _doc(template: str, says: str, example: str, **parts: str) -> str:
    code, _, value = example.partition(" -> ")
    return says + "\n" + template.format(code=code, value=value, **parts)


def real(*avals: Aval, **attrs: Any) -> Aval:
    """`broadcast`, for anything but complex numbers."""
    if is_complex(avals[-1].dtype):
        raise DTypeError(f"operands must be real, got {avals[-1].dtype}")
    return broadcast(*avals)


def real_numbers(*avals: Aval, **attrs: Any) -> Aval:
    """`broadcast`, for real numbers only."""
    return real(numeric(*avals))


def real_predicate(*avals: Aval, **attrs: Any) -> Aval:
    """`broadcast`, with a boolean result, for anything but complex numbers."""
    return predicate(real(*avals))


def flat(c: Any, g: Any) -> Any:
    """The gradient rule of an operand whose changes do not show: zeros."""
    return unbroadcast(g * 0.0, c.ins[0])


def flat_second(c: Any, g: Any) -> Any:
    """`flat`, of the second operand."""
    return unbroadcast(g * 0.0, c.ins[1])
