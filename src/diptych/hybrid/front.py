"""The front of a compiled function: from the arguments of a call to the trace that serves it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..eager.tape import Recorded
from ..graphs.modes import may_detour, mode
from .decisions import Decisions
from .entry import Entry

_NDARRAY = np.ndarray
_MISSED = object()
_IDENTITY = object.__eq__
_DEEPEST = 16  # containers of containers, from which on a call is known by `trees.flatten`
_MOST_KEYS = 4096


class Served:
    """By what the calls of one key are served.

    Attributes
    ----------
    decisions : Decisions
        Which trace holds.
    entry : Entry
        The trace that the choice below was made for.
    key : object
        Of the calls; holds the objects that are known by their place in memory.
    is_eager : bool
        Whether they run as eager code.
    is_due : bool
        Whether that is so until they are compiled.
    calls : int
        So many of them, until it is asked again whether that trace holds.
    """

    decisions: Decisions
    entry: Entry
    key: Any
    is_eager: bool
    is_due: bool
    calls: int

    def __init__(self, decisions: Decisions, entry: Entry, key: Any) -> None:
        self.decisions, self.entry, self.key = decisions, entry, key
        self.is_eager, self.is_due, self.calls = False, False, 0


class Front:
    """Finds what serves a call, where an earlier one was alike; `CompiledFunction` adds the rest.

    Attributes
    ----------
    function : callable
        What was compiled.
    """

    function: Callable[..., Any]
    _known: dict[tuple[Any, ...], Served]

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self._known = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if may_detour() and self._is_off():
            return self.function(*args, **kwargs)
        parts: list[Any] = [mode().enabled]
        arrays: list[Any] = []
        key = None
        if _read_key(args, parts, arrays, 0) and (
            not kwargs or _read_key(kwargs, parts, arrays, 0)
        ):
            key = tuple(parts)
            served: Served | None = self._known.get(key)
            if served is not None:
                if not served.is_eager:
                    result = _served(served, arrays)
                    if result is not _MISSED:
                        return result
                elif _goes_on(served):
                    return self.function(*args, **kwargs) if kwargs else self.function(*args)
        return self._call(key, args, kwargs)

    def _remember(self, key: tuple[Any, ...], served: Served) -> None:
        """Let calls of a key be served from now on."""
        if len(self._known) >= _MOST_KEYS:
            self._known = {}
        self._known[key] = served

    def _is_off(self) -> bool:
        """Whether the function itself is to run on this thread."""
        raise NotImplementedError

    def _call(self, key: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call by the long way; with a key, calls of the same key may be served the next time."""
        raise NotImplementedError


def _goes_on(served: Served) -> bool:
    """Whether one more call runs as eager code without a question."""
    served.calls -= 1
    return served.calls >= 0


def _served(served: Served, arrays: list[Any]) -> Any:
    """What a trace gives that holds now; `_MISSED` where none does."""
    values: list[Any] = []
    entry: Entry | None = served.decisions.find(values)
    if entry is not None:
        entry = entry.of(arrays, values)
    return _MISSED if entry is None else entry.run(arrays, values)


def _read_key(value: Any, parts: list[Any], arrays: list[Any], depth: int) -> bool:
    """Add to a key what tells an argument from others, and to `arrays` the arrays within.

    False for what only the long way can tell.
    """
    kind = type(value)
    if isinstance(value, Recorded):
        array = value.array
        if type(array) is not _NDARRAY:
            return False
        parts.append(array.shape)
        parts.append(array.dtype)
        parts.append(value.requires_grad)
        arrays.append(value)
        return True
    if kind is _NDARRAY:
        parts.append(value.shape)
        parts.append(value.dtype)
        parts.append(False)
        arrays.append(value)
        return True
    parts.append(kind)
    if kind is int or kind is bool or kind is str or value is None:
        parts.append(value)
        return True
    if kind is float:
        # Zeros are equal and NaN is not, but for how they are written.
        parts.append(value if value != 0.0 and value == value else repr(value))
        return True
    if depth == _DEEPEST:
        return False
    if kind is dict:
        parts.append(tuple(value))
        items = value.values()
    elif kind is tuple or kind is list:
        parts.append(len(value))
        items = value
    else:
        parts.append(id(value))  # of which the key that `Served` has holds the object
        return kind.__eq__ is _IDENTITY and not hasattr(kind, "__dataclass_fields__")
    alike = True
    for item in items:
        alike = alike and _read_key(item, parts, arrays, depth + 1)
    return alike
