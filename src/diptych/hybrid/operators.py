"""The operators of Python by the names that its syntax trees give them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

Binary = Callable[[Any, Any], Any]

# And the special methods, without underscores.
_ARITHMETIC = {
    "Add": "add", "Sub": "sub", "Mult": "mul", "Div": "truediv", "FloorDiv": "floordiv",
    "Mod": "mod", "Pow": "pow", "MatMult": "matmul", "LShift": "lshift", "RShift": "rshift",
    "BitAnd": "and", "BitOr": "or", "BitXor": "xor",
}  # fmt: skip
_RICH = {
    "Eq": ("eq", "eq"), "NotEq": ("ne", "ne"), "Lt": ("lt", "gt"), "LtE": ("le", "ge"),
    "Gt": ("gt", "lt"), "GtE": ("ge", "le"),
}  # fmt: skip

ARITHMETIC: dict[str, Binary] = {
    name: getattr(operator, f"__{method}__") for name, method in _ARITHMETIC.items()
}
IN_PLACE: dict[str, Binary] = {
    name: getattr(operator, f"__i{method}__") for name, method in _ARITHMETIC.items()
}
ORDERING: dict[str, Binary] = {
    name: getattr(operator, f"__{method}__") for name, (method, _) in _RICH.items()
}
COMPARISONS: dict[str, Binary] = {
    **ORDERING,
    "Is": operator.is_,
    "IsNot": operator.is_not,
    "In": lambda item, held: item in held,
    "NotIn": lambda item, held: item not in held,
}
# The method that the left side is asked for, and the one that the right side is asked for then.
METHODS = {
    **{name: (f"__{method}__", f"__r{method}__") for name, method in _ARITHMETIC.items()},
    **{name: (f"__{left}__", f"__{right}__") for name, (left, right) in _RICH.items()},
}
