"""Numbers of Python that are known only when a graph runs: counters, and what branches leave.

They are as weak as numbers are: a tensor that meets one keeps its dtype. Among themselves they are
computed as Python computes, in float64 and int64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..graphs.dims import Dim
from ..graphs.dtypes import BOOL, DEFAULT_FLOAT, DTYPES, INT64, is_float
from ..graphs.errors import StaticValueError
from ..graphs.ir import Graph, Value
from ..graphs.operand import Operand
from ..graphs.ops import dispatch
from .operators import ARITHMETIC, ORDERING

FLOAT64 = DTYPES["float64"]
KINDS = (bool, int, float)  # from the narrowest on
DTYPE_OF: dict[type, Any] = {bool: BOOL, int: INT64, float: FLOAT64}


class Number:
    """A number that is known only when the graph runs.

    Parameters
    ----------
    value : Value
        Of shape (), in the dtype of its kind.
    kind : {bool, int, float}
    """

    def __init__(self, value: Value, kind: type) -> None:
        self.value, self.kind = value, kind

    def like(self, other: Any) -> Value:
        """The number as a tensor of the dtype in which it meets a tensor of another."""
        dtype = other.dtype
        if self.kind is float and not (is_float(dtype) or dtype.kind == "c"):
            dtype = DEFAULT_FLOAT
        elif self.kind is int and dtype == BOOL:
            dtype = INT64
        return self.value.astype(dtype)

    def as_tensor(self) -> Value:
        """The number as the tensor that `dt.tensor` makes of one."""
        return self.value.astype(DEFAULT_FLOAT) if self.kind is float else self.value

    def of_kind(self, kind: type) -> Value:
        return self.value.astype(DTYPE_OF[kind])

    def __neg__(self) -> Number:
        kind = int if self.kind is bool else self.kind
        return Number(-self.of_kind(kind), kind)

    def __pos__(self) -> Number:
        return self if self.kind is not bool else Number(self.of_kind(int), int)

    def __abs__(self) -> Number:
        kind = int if self.kind is bool else self.kind
        return Number(abs(self.of_kind(kind)), kind)

    def _refuse(self, *args: Any) -> Any:
        raise StaticValueError(
            "number: one that depends on data has no value until it runs, got a request for it"
        )

    __bool__ = __index__ = __int__ = __float__ = __hash__ = __len__ = __iter__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __str__ = __repr__ = __format__ = _refuse


def is_number(value: Any) -> bool:
    """Whether a value is a number, known or not."""
    return isinstance(value, Number) or type(value) in KINDS


def kind_of(value: Any) -> type:
    """The kind of a number; the widest of Python's own classes of them."""
    if isinstance(value, Number):
        return value.kind
    return next(kind for kind in KINDS if isinstance(value, kind))


def as_value(graph: Graph, number: Any, kind: type) -> Value:
    """A number as a value of a graph, in the dtype of a kind at least as wide."""
    if isinstance(number, Number):
        return graph.lift(number.of_kind(kind), "number")
    return graph.constant(np.array(number, DTYPE_OF[kind]))


def operated(name: str, left: Any, right: Any) -> Any:
    """An operator of Python on a number and something else; else NotImplemented."""
    if not isinstance(left, Number) and not isinstance(right, Number):
        return NotImplemented
    compute = ARITHMETIC.get(name) or ORDERING[name]
    sides = [left, right]
    tensors = [side for side in sides if isinstance(side, Operand | np.ndarray)]
    if tensors:
        return compute(*(s.like(tensors[0]) if isinstance(s, Number) else s for s in sides))
    sides = [_sized(side) for side in sides]
    if not all(isinstance(side, Number | int | float) for side in sides):
        if name in ("Eq", "NotEq"):
            return name == "NotEq"
        shown = " and ".join(type(s).__name__ for s in sides)
        raise StaticValueError(f"number: it must meet numbers and tensors in {name}, got {shown}")
    kind = max(map(kind_of, sides), key=KINDS.index)
    is_bitwise = name in ("BitAnd", "BitOr", "BitXor")
    if name in ARITHMETIC and not is_bitwise:
        kind = float if name == "Div" or _is_root(name, right) else max(kind, int, key=KINDS.index)
    values = [s.of_kind(kind) if isinstance(s, Number) else kind(s) for s in sides]
    return Number(compute(*values), bool if name in ORDERING else kind)


def computed(name: str, left: Any, right: Any) -> Any:
    """Arithmetic of numbers, known or not."""
    found = operated(name, left, right)
    return ARITHMETIC[name](left, right) if found is NotImplemented else found


def _is_root(name: str, exponent: Any) -> bool:
    """Whether a power of whole numbers is none itself, as far as is known before it runs."""
    return name == "Pow" and not (isinstance(exponent, int) and exponent >= 0)


def _sized(side: Any) -> Any:
    """A symbolic size as the number that it is when the graph runs."""
    if not isinstance(side, Dim):
        return side
    graph: Any = dispatch.current()
    return Number(graph.size_of(side), int)


def converted(kind: type, value: Any) -> Number:
    """What ``kind(value)`` is for a tensor of one element or a number."""
    if isinstance(value, Number):
        return Number(value.of_kind(kind), kind)
    whole = value.detach().reshape(())
    return Number(whole != 0 if kind is bool else whole.astype(DTYPE_OF[kind]), kind)


def index_of(key: Any) -> Any:
    """What stands between brackets, with tensors in place of numbers."""
    if isinstance(key, tuple):
        return tuple(map(index_of, key))
    return key.value if isinstance(key, Number) else key


def as_operands(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Arguments of an operator with tensors in place of numbers."""
    given = [*args, *kwargs.values()]
    floats = [x for x in given if isinstance(x, Operand) and is_float(x.dtype)]
    others = [x for x in given if isinstance(x, Operand)]
    like = next(iter((*floats, *others)), None)

    def of(x: Any) -> Any:
        if isinstance(x, Number):
            return x.as_tensor() if like is None else x.like(like)
        return type(x)(map(of, x)) if type(x) in (list, tuple) else x

    return tuple(map(of, args)), {key: of(x) for key, x in kwargs.items()}
