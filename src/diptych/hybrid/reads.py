"""Places in Python's memory that a trace read, and how what stands there is told from other things.

A place is asked again at each call, so it holds whatever it is reached through.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from types import CellType, MemberDescriptorType, SimpleNamespace
from typing import Any

import numpy as np

from ..eager import Tensor
from ..graphs.avals import Aval, aval_of
from ..graphs.dtypes import DTYPES
from ..graphs.parameter import Parameter
from .staging import is_of_library, is_users_class


class Same:
    """A token that only the very same object has."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)

    def __repr__(self) -> str:
        name = getattr(self.value, "__qualname__", None) or f"a {type(self.value).__name__}"
        return f"{name} at {id(self.value):#x}"


@dataclass(frozen=True, slots=True)
class Scalar:
    """A token of numbers and text that are alike to the last bit: 0.0 and -0.0 are not."""

    kind: type
    value: Any

    def __repr__(self) -> str:
        return self.value if self.kind in (float, complex) else repr(self.value)


@dataclass(frozen=True, slots=True)
class Array:
    """A token of arrays that a trace is fed: whatever their numbers."""

    aval: Aval
    requires_grad: bool

    def __repr__(self) -> str:
        return f"{self.aval}{', requires_grad' if self.requires_grad else ''}"


class Nothing(Enum):
    """Tokens of what is not there."""

    MISSING = "nothing"

    def __repr__(self) -> str:
        return self.value


MISSING = Nothing.MISSING
CONTAINERS = (list, dict, set, tuple, frozenset, deque)
_PLAIN = (int, bool, str, bytes, type(None), type(Ellipsis))


def token(value: Any) -> Any:
    """What two values share exactly if a trace cannot tell them apart, as far as it read them."""
    kind = type(value)
    if kind in _PLAIN:
        return Scalar(kind, value)
    if kind is float or kind is complex:
        return Scalar(kind, repr(value))
    if kind is slice:
        return Scalar(kind, (token(value.start), token(value.stop), token(value.step)))
    if isinstance(value, np.generic):
        return Scalar(kind, value.tobytes())
    if is_fed(value):
        return Array(aval_of_leaf(value), getattr(value, "requires_grad", False))
    return Same(value)


def aval_of_leaf(value: Any) -> Aval:
    """Of an eager tensor or an array."""
    return aval_of(getattr(value, "array", value))


def aval_or_none(value: Any) -> Any:
    """The token of a gradient, which may not be there."""
    return MISSING if value is None else aval_of_leaf(value)


def is_plain(value: Any) -> bool:
    """Whether a value is a number or text, told from others to the last bit."""
    return type(value) in (*_PLAIN, float, complex, slice) or isinstance(value, np.generic)


def is_fed(value: Any) -> bool:
    """Whether a trace takes an array found somewhere as one more operand."""
    if isinstance(value, np.ndarray):
        return value.dtype in DTYPES.values()
    return isinstance(value, Tensor) and not isinstance(value, Parameter)


def numbers(value: Any) -> Any:
    """The token of an array whose numbers are part of a trace."""
    if not isinstance(value, np.ndarray):
        return token(value)
    return Scalar(np.ndarray, (value.shape, value.dtype, value.tobytes()))


def content(value: Any) -> Any:
    """The token of all that a container, or an object of the user's own class, holds."""
    return _content(value, {})


def _content(value: Any, above: dict[int, int]) -> Any:
    kind = type(value)
    if isinstance(value, set | frozenset):
        return Scalar(kind, frozenset(map(token, value)))
    held = parts(value)
    if held is None:
        return token(value)
    if id(value) in above:  # it holds itself
        return Scalar(kind, above[id(value)])
    above = {**above, id(value): len(above)}
    found = tuple([(token(key), _content(part, above)) for key, part in held])
    return Scalar(kind, found if isinstance(value, CONTAINERS) else (Same(value), found))


def snapshot(value: Any) -> list[tuple[Any, tuple[Any, ...]]] | None:
    """The containers and objects within a value, and what each of them holds.

    Of a dict these are keys and values, of an object its dict. Where each of them holds the very
    same as before, the token of the content is the same, too. None where that says not enough: of
    arrays, and of objects with slots.
    """
    found: list[tuple[Any, tuple[Any, ...]]] = []
    pending, seen = [value], set()
    while pending:
        holder = pending.pop()
        if id(holder) in seen:
            continue
        seen.add(id(holder))
        kind = type(holder)
        if kind is dict:
            items = tuple([x for item in holder.items() for x in item])
        elif kind in CONTAINERS:
            items = tuple(holder)
        elif is_fed(holder):
            return None
        elif parts(holder) is None:
            continue
        elif isinstance(holder, CONTAINERS) or _slots(kind):
            return None
        else:
            items = (holder.__dict__,)
        found.append((holder, items))
        pending += items
    return found


def parts(value: Any) -> list[tuple[Any, Any]] | None:
    """What a container or an object of the user's own class holds, and where; None for others."""
    kind = type(value)
    if isinstance(value, dict):
        held = list(dict.items(value))
    elif isinstance(value, CONTAINERS):
        held = list(enumerate(value))
    elif kind is SimpleNamespace or (is_users_class(kind) and not is_of_library(kind)):
        held = []
    else:
        return None
    return held if kind in CONTAINERS else held + _attributes(value)


def _attributes(value: Any) -> list[tuple[str, Any]]:
    """Of an object, those in its dict and in slots."""
    held = list(getattr(value, "__dict__", {}).items())
    slots = _slots(type(value))
    return held + [(name, s.__get__(value)) for name, s in slots if hasattr(value, name)]


def _slots(kind: type) -> list[tuple[str, Any]]:
    declared = [item for base in kind.__mro__ for item in base.__dict__.items()]
    return [item for item in declared if isinstance(item[1], MemberDescriptorType)]


def declaring(kind: type, key: str) -> type | None:
    """The class, among a class and its bases, that holds a name."""
    return next((base for base in kind.__mro__ if key in base.__dict__), None)


def declared(kind: type, key: str) -> Any:
    """What a class or its bases hold under a name, as it is held; MISSING if they do not."""
    where = declaring(kind, key)
    return MISSING if where is None else where.__dict__[key]


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was read.

    Attributes
    ----------
    text : str
        How the user would write it.
    holder : object
        What it is reached through.
    key : object
    read : callable
        ``read(holder, key)``; a LookupError or AttributeError where nothing is there.
    tell : callable
        From what was read to a token.
    """

    text: str
    holder: Any
    key: Any
    read: Callable[[Any, Any], Any]
    tell: Callable[[Any], Any] = token

    def now(self) -> Any:
        """The token of what stands there."""
        try:
            return self.tell(self.read(self.holder, self.key))
        except (LookupError, AttributeError, ValueError):  # ValueError: an empty cell
            return MISSING

    @property
    def identity(self) -> tuple[int, Any, Any, Any]:
        """What places that are one have in common."""
        return id(self.holder), self.key, self.read, self.tell


def entry(holder: Any, key: Any) -> Any:
    return holder[key]


def attribute(holder: Any, key: str) -> Any:
    return getattr(holder, key)


def cell(holder: CellType, key: str) -> Any:
    return holder.cell_contents


def itself(holder: Any, key: str) -> Any:
    return holder


def length(holder: Any, key: str) -> int:
    return len(holder)


def membership(holder: Any, key: Any) -> bool:
    return key in holder
