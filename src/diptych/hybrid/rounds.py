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
from ..graphs.errors import GraphError, StaticValueError
from ..graphs.ir import Graph, Value, is_within
from ..graphs.operand import Operand
from ..graphs.regions import Body
from ..graphs.trees import flatten, unflatten
from .along import AppendOnly, Collected, Counted, Counter
from .weak import Number


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
    count: Value | None = None

    def placeholder(self, aval: Aval) -> Value:
        return self.graph.add_placeholder(f"for{len(self.graph.nodes)}", aval)

    def slice_of(self, value: Value, axis: int) -> Value:
        """What stands in the round for a slice of a value of the graph around."""
        if (value, axis) not in self.slices:
            shape = value.shape[:axis] + value.shape[axis + 1 :]
            self.slices[value, axis] = self.placeholder(Aval(shape, value.dtype, value.device))
        return self.slices[value, axis]

    def counter(self, along: Counted) -> Counter:
        """The whole number that a round sees."""
        if self.count is None:
            self.count = self.placeholder(Aval((), INT64))
        value = self.count
        if (along.start, along.step) != (0, 1):
            with self.graph.building():
                value = value * along.step + along.start
        return Counter(value, along)

    def sliced(self, value: Value, index: Any) -> Value | None:
        """``value[index]`` as a slice that the loop goes along, if it is one."""
        parts = index if isinstance(index, tuple) else (index,)
        axes = [i for i, part in enumerate(parts) if isinstance(part, Number)]
        others = [part for part in parts if not isinstance(part, Number)]
        if len(axes) != 1 or any(type(p) is not slice or p != _ALL for p in others):
            return None
        [axis] = axes
        along = getattr(parts[axis], "along", None)
        if along is None or along.start < 0 or along.step < 1 or is_within(value.graph, self.graph):
            return None
        if axis >= len(value.shape):
            return None
        size, end = value.shape[axis], along.start + along.step * (self.length - 1) + 1
        if size != end:
            if not isinstance(size, int) or not isinstance(end, int):
                return None
            if size < end:
                raise StaticValueError(
                    f"getitem: the last index must be in 0..{size - 1}, got {end - 1}"
                )
        if along.start or along.step != 1 or size != end:
            stop = end if isinstance(end, int) else None
            with self.graph.parent.building():
                value = value[(*[_ALL] * axis, slice(along.start, stop, along.step))]
        return self.slice_of(value, axis)


_ALL = slice(None)


# -- what happens to a name ------------------------------------------------------------------------


class Unlike(GraphError):
    """A round leaves another kind of thing under a name than it found."""


class Carried:
    """A name that has a value before the loop: containers of tensors, and what stays the same."""

    def __init__(self, graph: Graph, name: str, value: Any) -> None:
        self.name = name
        leaves, self.structure = flatten(value)
        self.starts = [graph.lift(x, "for") if isinstance(x, Operand) else x for x in leaves]

    def enter(self, one: OneRound) -> Any:
        self.inside = [one.placeholder(x.aval) if isinstance(x, Value) else x for x in self.starts]
        return unflatten(self.structure, self.inside)

    def leave(self, one: OneRound, value: Any) -> list[Value]:
        leaves, structure = flatten(value)
        if structure != self.structure:
            raise Unlike(f"for: {self.name!r} must keep its structure, got another")
        ends = []
        for start, leaf in zip(self.starts, leaves):
            if isinstance(start, Value):
                end = _value(one.graph, leaf) if isinstance(leaf, Operand) else None
                if end is None or end.aval != start.aval:
                    got = leaf if end is None else end.aval
                    raise Unlike(f"for: {self.name!r} must stay {start.aval}, got {got}")
                ends.append(end)
            elif isinstance(leaf, Operand):
                raise Unlike(f"for: {self.name!r} must stay of one kind, got a tensor for another")
            elif leaf is not start and (type(leaf) is not type(start) or leaf != start):
                raise GraphError(f"for: the number {self.name!r} must stay the same, got another")
        return ends

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
        if not self.is_read:
            return []
        leaves, self.structure = flatten(value)
        if any(isinstance(x, Number | AppendOnly) for x in leaves):
            raise GraphError("for: the number of the last round must be none, got a use of it")
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
        self.inside = AppendOnly(one.graph)
        return self.inside

    def leave(self, one: OneRound, value: Any) -> list[Value]:
        if value is not self.inside:
            raise GraphError(f"for: the list {self.name!r} must stay the same, got another")
        if not all(isinstance(x, Operand) for x in self.inside.items):
            raise GraphError(f"for: the list {self.name!r} must be of tensors, got other items")
        self.items = [_value(one.graph, x) for x in self.inside.items]
        return []

    def after(self, values: Iterator[Value]) -> Any:
        parts = list(islice(values, len(self.items)))
        return Collected(self.held, parts) if parts else self.held


def _value(graph: Graph, leaf: Any) -> Value:
    found = graph.lift(leaf, "for")
    return found if isinstance(found, Value) else graph.constant(found)
