"""The names that a branch or a round may change, and what stands for those it leaves unclear."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..graphs.errors import GraphError
from ..graphs.ir import Graph, Value
from ..graphs.nodes import user_location
from ..graphs.operand import Operand
from .jumps import VALUE
from .rounds import UNBOUND
from .weak import Number


@dataclass(eq=False)
class Names:
    """The names of a function that some of its statements bind.

    Attributes
    ----------
    names : tuple of str
    kinds : str
        A letter for each: "r" for what is read elsewhere, "-" for what is not, "a" for a list that
        rounds append to, "t" for the target of a loop that is not read when it has ended.
    take : callable
        Gives their values.
    give : callable
        Sets them.
    """

    names: tuple[str, ...]
    kinds: str
    take: Callable[[], tuple[Any, ...]]
    give: Callable[[Any], None]

    def without(self, letter: str) -> Names:
        """Those of other kinds."""
        kept = [i for i, kind in enumerate(self.kinds) if kind != letter]

        def take() -> tuple[Any, ...]:
            found = self.take()
            return tuple([found[i] for i in kept])

        def give(values: Any) -> None:
            found = list(self.take())
            for i, value in zip(kept, values, strict=True):
                found[i] = value
            self.give(found)

        return Names(
            tuple([self.names[i] for i in kept]), "".join(self.kinds[i] for i in kept), take, give
        )


class Lost:
    """What a name stands for that has no one value: to read it is an error."""

    def __init__(self, message: str) -> None:
        self.message = message
        self._where = user_location()

    def error(self) -> GraphError:
        error = GraphError(self.message)
        error.add_note(f"read at {user_location()}; it was left so at {self._where}")
        return error


class Unlike(Exception):
    """Two values cannot stand under one name; says what they are."""


def is_internal(name: str) -> bool:
    """Whether a name holds the result of a function that has returned already, or nothing."""
    return name == VALUE


def local(name: str, value: Any) -> Any:
    """What a name of a function holds, when it is read."""
    if value is UNBOUND:
        raise UnboundLocalError(
            f"cannot access local variable {name!r} where it is not associated with a value"
        )
    if isinstance(value, Lost):
        raise value.error()
    return value


def is_tensor(value: Any) -> bool:
    """Whether a value is known by its aval."""
    return isinstance(value, Operand | np.ndarray)


def tensor_in(graph: Graph, value: Any) -> Value:
    """A tensor or an array as a value of a graph."""
    found = graph.lift(value, "branch")
    return found if isinstance(found, Value) else graph.constant(found)


def shown(value: Any) -> str:
    """A value as an error names it."""
    if value is UNBOUND:
        return "nothing"
    if isinstance(value, Number):
        return f"a number ({value.kind.__name__})"
    if isinstance(value, Value):
        return str(value.aval)
    if is_tensor(value):
        return f"{value.dtype}[{', '.join(map(str, value.shape))}]"
    if isinstance(value, int | float | str | None):
        return repr(value)
    return f"a {type(value).__name__}"
