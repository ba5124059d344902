"""One loop that ends by data, on its way into the graph as a `while_loop`.

A round is traced, and the question whether another one follows is its last part. What a round
leaves under another name than it found is carried, and the round is traced anew, until it changes
nothing but what is carried: names that are bound anew, tensors that change in place, and numbers,
which are then known only when the graph runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..graphs.ir import Graph, Value
from ..graphs.ops import dispatch
from ..graphs.regions import Body, append_while
from ..graphs.trees import flatten, unflatten
from .bodies import BranchBody, Own, apply_changes
from .merging import is_same, met, nothing_like
from .names import Lost, Names, Unlike, is_internal, is_tensor, shown, tensor_in
from .rounds import UNBOUND
from .weak import KINDS, Number, as_value, is_number, kind_of

Thunk = Callable[[], Any]


class _Fixed:
    """Part of what a name holds that rounds leave as it is."""

    def __init__(self, start: Any) -> None:
        self.start = start

    def next(self, end: Any, body: Graph, graph: Graph) -> Any:
        """How it is to be carried, if a round leaves that."""
        if is_same(self.start, end):
            return self
        if is_number(self.start) and is_number(end):
            return _Count(self.start, max(kind_of(self.start), kind_of(end), key=KINDS.index))
        if is_tensor(self.start) and (is_tensor(end) or is_number(end)):
            return _Array(tensor_in(graph, self.start))
        if is_number(self.start) and is_tensor(end):
            return _Array(met(graph, self.start, end.aval))
        raise Unlike


class _Count:
    """A number that changes."""

    def __init__(self, start: Any, kind: type) -> None:
        self.start, self.kind = start, kind

    def next(self, end: Any, body: Graph, graph: Graph) -> Any:
        if is_tensor(end):
            return _Array(met(graph, self.start, end.aval))
        if not is_number(end):
            raise Unlike
        wider = KINDS.index(kind_of(end)) > KINDS.index(self.kind)
        return _Count(self.start, kind_of(end)) if wider else self

    def first(self, graph: Graph) -> Value:
        return as_value(graph, self.start, self.kind)

    def inside(self, placeholder: Value) -> Any:
        return Number(placeholder, self.kind)

    def last(self, body: Graph, end: Any) -> Value:
        return as_value(body, end, self.kind)


class _Array:
    """A tensor that changes."""

    def __init__(self, start: Value) -> None:
        self.start = start

    def next(self, end: Any, body: Graph, graph: Graph) -> Any:
        if is_number(end):
            met(graph, 0.0 if kind_of(end) is float else 0, self.start.aval)
        elif not is_tensor(end) or tensor_in(body, end).aval != self.start.aval:
            raise Unlike
        return self

    def first(self, graph: Graph) -> Value:
        return tensor_in(graph, self.start)

    def inside(self, placeholder: Value) -> Any:
        return placeholder

    def last(self, body: Graph, end: Any) -> Value:
        return met(body, end, self.start.aval) if is_number(end) else tensor_in(body, end)


class _Held:
    """What a name holds before the loop: a value in parts, nothing, or what is lost."""

    def __init__(self, name: str, value: Any, parts: list[Any] | None = None) -> None:
        self.name, self.value, self.after = name, value, value
        self.is_open = not (isinstance(value, Lost) or value is UNBOUND)
        self.structure: Any = None
        self.parts: list[Any] = [] if parts is None else parts
        if self.is_open:
            leaves, self.structure = flatten(value)
            self.parts = self.parts or [_Fixed(leaf) for leaf in leaves]
        self.ends: list[Any] = []  # what a round leaves in place of the parts

    @property
    def carried(self) -> list[Any]:
        return [part for part in self.parts if not isinstance(part, _Fixed)]

    def rebuilt(self, values: Iterator[Value]) -> Any:
        """The value of the name, of those of what is carried."""
        if not self.carried:
            return self.value
        leaves = [
            part.start if isinstance(part, _Fixed) else part.inside(next(values))
            for part in self.parts
        ]
        return unflatten(self.structure, leaves)

    def settled(self, end: Any, body: Graph, graph: Graph) -> _Held:
        """Itself, where the next round may begin with what one leaves; else what may take that."""
        if isinstance(self.value, Lost) or end is self.value:
            return self._ending([] if not self.is_open else flatten(end)[0])
        if isinstance(end, Lost):
            return _Held(self.name, end)
        if self.value is UNBOUND:
            if is_internal(self.name):
                return _Held(self.name, nothing_like(graph, end))
            self.after = Lost(
                f"while: {self.name!r} must have a value before the loop to be read after it, got "
                "none"
            )
            return self
        leaves, structure = flatten(end)
        try:
            if structure != self.structure:
                raise Unlike
            parts = [part.next(leaf, body, graph) for part, leaf in zip(self.parts, leaves)]
        except Unlike:
            message = f"must stay of one kind, got {shown(self.value)} before and {shown(end)}"
            return _Held(self.name, Lost(f"while: {self.name!r} {message} after a round"))
        if all(a is b for a, b in zip(parts, self.parts)):
            return self._ending(leaves)
        return _Held(self.name, self.value, parts)

    def _ending(self, leaves: list[Any]) -> _Held:
        self.ends = leaves
        return self

    def last(self, body: Graph) -> list[Value]:
        """What a round hands on."""
        return [
            part.last(body, end)
            for part, end in zip(self.parts, self.ends, strict=True)
            if not isinstance(part, _Fixed)
        ]


class While:
    """One loop.

    Parameters
    ----------
    own : Own
    going : Value
        Whether there is a first round.
    goes_on : callable
        Asks whether there is another.
    body : callable
        Runs a round.
    names : Names
    settled : callable
        From what a name holds to what it is when a loop has ended.
    """

    def __init__(
        self, own: Own, going: Value, goes_on: Thunk, body: Thunk, names: Names, settled: Any
    ) -> None:
        self._own, self._names, self._settled = own, names, settled
        self._going, self._goes_on, self._body = going, goes_on, body
        self._graph: Any = dispatch.current()
        self._before = tuple(map(settled, names.take()))
        self._held = [_Held(*pair) for pair in zip(names.names, self._before)]
        self._moved: list[Value] = []  # of the graph around, that rounds change in place

    def run(self) -> None:
        """Append the loop, and set the names to what it leaves."""
        try:
            found = self._traced()
            while found is None:
                found = self._traced()
        finally:
            self._names.give(self._before)
        body, places, going, changes = found
        graph = self._graph
        with body.building():
            body.outputs = (
                tensor_in(body, going) if isinstance(going, Value) else body.constant(going),
                *(value for held in self._held for value in held.last(body)),
                *(memory.value for _, memory in changes),
            )
        first = [
            self._going,
            *(part.first(graph) for held in self._held for part in held.carried),
            *(graph.now(value) for value in self._moved),
        ]
        asks = Body(graph, "while")
        asked = [asks.add_placeholder(f"carry{i}", value.aval) for i, value in enumerate(first)]
        asks.outputs = (asked[0],)
        results = append_while(graph, first, (asks, asked), (body, places))
        rest = iter(results[1 : len(results) - len(self._moved)])
        found = [held.rebuilt(rest) if held.is_open else held.after for held in self._held]
        self._names.give([
            UNBOUND if kind in "-t" else value for kind, value in zip(self._names.kinds, found)
        ])  # fmt: skip
        apply_changes(graph, changes, list(results[len(results) - len(self._moved) :]))

    def _traced(self) -> Any:
        """A round, if all that it changes is carried: its body, placeholders, and how it ends."""
        body = BranchBody(self._graph, "while")
        places = [body.add_placeholder("going", self._going.aval)]
        for held in self._held:
            for part in held.carried:
                aval = part.first(self._graph).aval
                places.append(body.add_placeholder(f"carry{len(body.nodes)}", aval))
        self._names.give([
            held.rebuilt(rest) for rest in [iter(places[1:])] for held in self._held
        ])  # fmt: skip
        places += [body.carry(value) for value in self._moved]

        def one() -> Any:
            self._body()
            going = self._goes_on()
            ends = map(self._settled, self._names.take())
            return going, [h.settled(e, body, self._graph) for h, e in zip(self._held, ends)]

        going, held = self._own.run(body, one)
        is_settled = all(a is b for a, b in zip(held, self._held))
        changes = body.changed()
        new = [v for v, _ in changes if not any(v is known for known in self._moved)]
        self._held, self._moved = held, [*self._moved, *new]
        return (body, places, going, changes) if is_settled and not new else None
