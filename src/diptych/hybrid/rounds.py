"""One round of a loop, while it is traced: what it goes along, and what becomes of its names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from ..graphs import ops
from ..graphs.avals import Aval
from ..graphs.dims import Size
from ..graphs.dtypes import INT64
from ..graphs.errors import GraphError
from ..graphs.ir import Graph, Value
from ..graphs.operand import Operand
from ..graphs.regions import Body
from ..graphs.trees import flatten, unflatten
from .along import Collected, Counted


class Unbound:
    """What a name stands for that has no value yet."""

    def __repr__(self) -> str:
        return "nothing"


UNBOUND = Unbound()


@dataclass(eq=False)
class Round:
    """The body of a loop as a function ``body(item, *state)`` that gives the next state.

    Attributes
    ----------
    names : tuple of str
        Of the state.
    kinds : str
        A letter for each: "a" for a list that rounds append to, "r" for what is read beyond the
        loop, "-" for what is not.
    """

    body: Callable[..., Any]
    names: tuple[str, ...]
    kinds: str
    state: tuple[Any, ...]


@dataclass(eq=False)
class OneRound:
    """A round that is being traced: its graph, and the slices that it was found to go along."""

    graph: Body
    length: Size
    slices: dict[tuple[Value, int], Value] = field(default_factory=dict)
    counted: dict[Value, Counted] = field(default_factory=dict)
    lists: list[list[Any]] = field(default_factory=list)
    numbers: set[Value] = field(default_factory=set)
    count: Value | None = None

    def placeholder(self, aval: Aval) -> Value:
        return self.graph.add_placeholder(f"for{len(self.graph.nodes)}", aval)

    def slice_of(self, value: Value, axis: int) -> Value:
        """What stands in the round for a slice of a value of the graph around."""
        if (value, axis) not in self.slices:
            shape = value.shape[:axis] + value.shape[axis + 1 :]
            self.slices[value, axis] = self.placeholder(Aval(shape, value.dtype, value.device))
        return self.slices[value, axis]

    def counter(self, along: Counted) -> Value:
        """The whole number that a round sees."""
        if self.count is None:
            self.count = self.placeholder(Aval((), INT64))
        value = self.count
        if (along.start, along.step) != (0, 1):
            with self.graph.building():
                value = value * along.step + along.start
        self.counted[value] = along
        return value

    def sliced(self, value: Value, index: Any) -> Value | None:
        """``value[index]`` as a slice that the loop goes along, if it is one."""
        parts = index if isinstance(index, tuple) else (index,)
        axes = [i for i, part in enumerate(parts) if isinstance(part, Value)]
        others = [part for part in parts if not isinstance(part, Value)]
        if len(axes) != 1 or any(type(p) is not slice or p != _ALL for p in others):
            return None
        [axis] = axes
        along = self.counted.get(parts[axis])
        if along is None or value.graph is self.graph or axis >= len(value.shape):
            return None
        if (along.start, along.step) != (0, 1) or value.shape[axis] != self.length:
            return None
        return self.slice_of(value, axis)


_ALL = slice(None)


# -- what happens to a name ------------------------------------------------------------------------


class Again(Exception):
    """A round must be traced again, with other starts."""


class Carried:
    """A name that has a value before the loop: containers of tensors and numbers.

    Numbers of Python are carried only once a round is seen to change them.
    """

    def __init__(self, graph: Graph, name: str, value: Any) -> None:
        self.name = name
        self.begun, self.structure = flatten(value)
        self.starts = [graph.lift(x, "for") if isinstance(x, Operand) else x for x in self.begun]
        self.graph = graph

    def enter(self, one: OneRound) -> Any:
        self.inside = [one.placeholder(x.aval) if isinstance(x, Value) else x for x in self.starts]
        given = zip(self.begun, self.inside)
        one.numbers.update(
            x for leaf, x in given if not isinstance(leaf, Operand) and x is not leaf
        )
        return unflatten(self.structure, self.inside)

    def leave(self, one: OneRound, value: Any) -> list[Value]:
        leaves, structure = flatten(value)
        if structure != self.structure:
            raise GraphError(f"for: {self.name!r} must keep its structure, got another")
        starts = [self._start(one, x, leaf) for x, leaf in zip(self.starts, leaves)]
        if any(a is not b for a, b in zip(starts, self.starts)):
            self.starts = starts
            raise Again
        pairs = zip(starts, leaves)
        return [_value(one.graph, leaf) for start, leaf in pairs if isinstance(start, Value)]

    def _start(self, one: OneRound, start: Any, leaf: Any) -> Any:
        """What the leaf must begin with, to be in each round what this round left."""
        if not isinstance(start, Value):
            if leaf is start or (type(leaf) is type(start) and leaf == start):
                return start
            if type(start) not in (int, float, bool) or isinstance(leaf, float):
                raise GraphError(
                    f"for: {self.name!r} must be of tensors or stay the same, got {leaf!r} for "
                    f"{start!r}"
                )
            aval = _value(one.graph, leaf).aval
            with self.graph.building():
                return ops.full(aval.shape, start, dtype=aval.dtype)
        aval = _value(one.graph, leaf).aval
        if aval == start.aval:
            return start
        if start.shape != ():
            raise GraphError(
                f"for: {self.name!r} must keep its shape and dtype, got {aval} for {start.aval}"
            )
        with self.graph.building():
            return ops.broadcast_to(start.astype(aval.dtype), aval.shape)

    @property
    def carries(self) -> list[tuple[Value, Value]]:
        return [(x, y) for x, y in zip(self.starts, self.inside) if isinstance(x, Value)]

    def after(self, values: Iterator[Value]) -> Any:
        leaves = [next(values) if isinstance(x, Value) else x for x in self.starts]
        return unflatten(self.structure, leaves)


class New:
    """A name that rounds bind first."""

    def __init__(self, graph: Graph, is_read: bool) -> None:
        self.graph, self.is_read = graph, is_read
        self.carries: list[tuple[Value, Value]] = []

    def enter(self, one: OneRound) -> Any:
        return UNBOUND

    def leave(self, one: OneRound, value: Any) -> list[Value]:
        leaves, self.structure = flatten(value)
        if not self.is_read:
            return []
        self.leaves = leaves
        ends = [_value(one.graph, x) for x in leaves if isinstance(x, Operand)]
        with self.graph.building():
            starts = [ops.zeros(v.shape, dtype=v.dtype) for v in ends]
        self.carries = [(start, one.placeholder(start.aval)) for start in starts]
        return ends

    def after(self, values: Iterator[Value]) -> Any:
        if not self.is_read:
            return UNBOUND
        leaves = [next(values) if isinstance(x, Operand) else x for x in self.leaves]
        return unflatten(self.structure, leaves)


class Appended:
    """A list that rounds append to."""

    carries: Sequence[tuple[Value, Value]] = ()

    def __init__(self, name: str, held: list[Any]) -> None:
        self.name, self.held = name, held

    def enter(self, one: OneRound) -> Any:
        self.inside: list[Any] = []
        one.lists.append(self.inside)
        return self.inside

    def leave(self, one: OneRound, value: Any) -> list[Value]:
        if value is not self.inside:
            raise GraphError(f"for: the list {self.name!r} must stay the same, got another")
        self.items = [_value(one.graph, x) for x in self.inside]
        return []

    def after(self, values: Iterator[Value]) -> Any:
        parts = list(islice(values, len(self.items)))
        return Collected(self.held, parts) if parts else self.held


def _value(graph: Graph, leaf: Any) -> Value:
    found = graph.lift(leaf, "for")
    return found if isinstance(found, Value) else graph.constant(found)
