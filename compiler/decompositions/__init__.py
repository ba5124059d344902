"""Operators written out in simpler ones, which loops can hold together.

A rule takes an operator's operands as values and its attributes by name, as a kernel does, and
gives the results in operators; None where its formula does not hold.
"""

from __future__ import annotations

from collections.abc import Callable

from ...graphs.dtypes import BOOL, FLOAT32, FLOAT64, is_complex
from ...graphs.ir import Value
from ...graphs.ops.core import Bound
from .composites import COMPOSITES
from .halves import widened
from .moves import MOVES
from .reductions import REDUCTIONS, filled
from .searching import SEARCHING

Rule = Callable[..., "Value | tuple[Value, ...] | None"]

# Rules for float32 and float64, for any dtype that is not complex, and for any.
OF_FLOATS: dict[str, Rule] = COMPOSITES
OF_REALS: dict[str, Rule] = {**REDUCTIONS, **SEARCHING, **MOVES}
OF_ANY = ("full", "roll")


def rule_of(bound: Bound) -> Rule | None:
    """The rule for an operator on operands of its dtypes, if there is one."""
    dtypes = {aval.dtype for aval in bound.ins}
    wide = dtypes <= {FLOAT32, FLOAT64, BOOL} and dtypes != {BOOL}  # a mask may be one of bools
    if wide and bound.op.name in OF_FLOATS:
        return OF_FLOATS[bound.op.name]
    if bound.op.name not in OF_ANY and any(map(is_complex, dtypes)):
        return None
    return OF_REALS.get(bound.op.name)


__all__ = ["OF_FLOATS", "OF_REALS", "Rule", "filled", "rule_of", "widened"]
