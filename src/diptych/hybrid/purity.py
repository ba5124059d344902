"""Which functions of Python's own change nothing, and say the same each time."""

from __future__ import annotations

import builtins
import math
import operator
from typing import Any

IMMUTABLE = (int, float, complex, str, bytes, tuple, frozenset, type(None))
_PURE_TYPES = {
    bool, complex, dict, enumerate, float, frozenset, int, list, range, set, slice, str, tuple,
    type, zip,
}  # fmt: skip
_PURE_BUILTINS = {
    abs, all, any, callable, divmod, getattr, hasattr, isinstance, issubclass, len, max, min, pow,
    round, sorted, sum,
}  # fmt: skip
_READING = {"copy", "count", "get", "index", "items", "keys", "values"}


def is_pure(callee: Any) -> bool:
    """Whether a function of Python's own changes nothing, and says the same each time."""
    if isinstance(callee, type):
        return callee in _PURE_TYPES
    owner = getattr(callee, "__self__", None)
    if owner is builtins:
        return callee in _PURE_BUILTINS
    if isinstance(owner, list | dict | set):
        return callee.__name__ in _READING
    return isinstance(owner, IMMUTABLE) or owner is math or owner is operator
