"""Loops of Python as loops of the graph: the body is traced once, whatever the number of rounds.

A `for` over a tensor, over ``range`` of one of its sizes, and over ``enumerate``, ``zip`` and
``reversed`` of these becomes a `scan`: what a round changes is carried, what it appends to lists is
stacked, and an item at the loop's counter is a slice that the loop goes along. A body that cannot
be traced so, since it asks for the number of a round or changes what is not its own, is run round
by round, and the tracer notes why.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..graphs import ops
from ..graphs.dims import Dim
from ..graphs.dtypes import INT64
from ..graphs.errors import GraphError
from ..graphs.ir import Graph, Value
from ..graphs.nodes import user_location
from ..graphs.ops import dispatch
from ..graphs.partition import cut
from ..graphs.regions import SCAN, Body, append_region, stacked
from .along import Along, Collected, Length, Rows, counted, joined, plain
from .rounds import UNBOUND, Again, Appended, Carried, New, OneRound, Round

if TYPE_CHECKING:
    from .tracer import Tracer

ROLL = "roll"  # the name among passes of making loops of Python loops of the graph

_ATTEMPTS = 4  # how often a round may be traced until its starts fit


class Loops:
    """What one tracer knows of loops.

    Attributes
    ----------
    origins : list of (Value, int)
        The axes whose sizes have said how many rounds there are.
    """

    def __init__(self, tracer: Tracer, captures: bool) -> None:
        self._tracer, self._captures = tracer, captures
        self._rounds: list[OneRound] = []
        self.origins: list[tuple[Value, int]] = []

    def axes_of(self, inputs: list[Value]) -> set[tuple[int, int]]:
        """The axes of inputs that loops go along, directly or through what is computed of them."""
        places = {value: i for i, value in enumerate(inputs)}
        found: set[tuple[int, int]] = set()
        for origin, axis in self.origins:
            if origin in places:
                found.add((places[origin], axis))
                continue
            size, seen, pending = origin.shape[axis], set(), [origin]
            while pending:
                value = pending.pop()
                if value in seen:
                    continue
                seen.add(value)
                if value in places and value.shape[:1] == (size,):
                    found.add((places[value], 0))
                pending.extend(value.node.inputs)
        return found

    @property
    def is_in_round(self) -> bool:
        """Whether the body of a loop is being traced, which must not change what is around it."""
        return bool(self._rounds)

    def is_own(self, owner: Any) -> bool:
        """Whether an object is a list that the round being traced may append to."""
        return any(owner is held for held in self._rounds[-1].lists)

    def changed(self, before: Any, change: Callable[[Any, Any], Any], value: Any) -> Any:
        """What ``before += value`` leaves under the name, where that is a number to the user.

        Numbers do not change in place, also where a round sees a value of the graph for one.
        """
        for one in self._rounds:
            if isinstance(before, Value) and before in one.numbers:
                found = change(before, value)
                one.numbers.add(found)
                return found
        return NotImplemented

    def shape_of(self, owner: Any) -> Any:
        shape = owner.shape
        if not isinstance(owner, Value):
            return shape
        return tuple(
            [Length(n, (owner, i)) if isinstance(n, int) else n for i, n in enumerate(shape)]
        )

    def item(self, owner: Value, key: Any) -> Any:
        for one in reversed(self._rounds):
            found = one.sliced(owner, key)
            if found is not None:
                return found
        return owner[plain(key)]

    def each(self, value: Any) -> Any:
        if isinstance(value, Collected):
            return value.listed()
        return value.items() if isinstance(value, Along) else value

    def settled(self, value: Any) -> Any:
        """A result with every list that a loop filled as a list."""
        if isinstance(value, Collected):
            return value.listed()
        if type(value) is dict:
            return {k: self.settled(v) for k, v in value.items()}
        if type(value) in (list, tuple):
            return type(value)(map(self.settled, value))
        return value

    def along(self, value: Any) -> Any:
        if isinstance(value, Collected) and not value.before and len(value.parts) == 1:
            return Rows(value.parts[0])
        return Rows(value) if isinstance(value, Value) and value.shape else value

    def call(self, callee: Any, args: Any, kwargs: Any) -> Any:
        """What some built-in functions and operators do with loops; else NotImplemented."""
        if any(isinstance(a, Collected) for a in args):
            return self._call_collected(callee, args, kwargs)
        if callee is range and any(isinstance(a, Length | Dim) for a in args):
            return counted(args)
        if callee is len and len(args) == 1 and isinstance(args[0], Value) and args[0].shape:
            return self.shape_of(args[0])[0]
        if callee in (zip, enumerate, reversed) and args:
            parts = [self.along(a) for a in args]
            if isinstance(parts[0], Along) and not kwargs:
                return joined(callee, parts)
        return NotImplemented

    def _call_collected(self, callee: Any, args: Any, kwargs: Any) -> Any:
        first, *others = args
        if callee is len:
            size = first.parts[0].shape[0] * len(first.parts) + len(first.before)
            return Length(size, (first.parts[0], 0)) if isinstance(size, int) else size
        if isinstance(first, Collected) and callee in (ops.stack, ops.concat) and not others:
            axis = kwargs.get("axis", 0)
            if callee is ops.stack:
                return ops.moveaxis(first.stacked(), 0, axis)
            if axis == 0:
                whole = first.stacked()
                return ops.reshape(whole, (whole.shape[0] * whole.shape[1], *whole.shape[2:]))
        held = [a.listed() if isinstance(a, Collected) else a for a in args]
        return self._tracer.call(callee, tuple(held), kwargs)

    # -- a loop in the graph -----------------------------------------------------------------------

    def capture(self, along: Along, work: Round) -> tuple[Any, ...] | None:
        """The state after the loop; None where its body cannot be traced once."""
        graph = dispatch.current()
        if not self._captures or not isinstance(graph, Graph):
            return None
        self.origins += along.origins
        before = len(self._rounds)
        try:
            return _Scan(self, graph, along, work).state()
        except Exception as error:  # the loop as it is written raises it again, if it is its own
            self._tracer.notes.append(f"the loop at {user_location()} unrolls: {error}")
            return None
        finally:
            del self._rounds[before:]

    def run(self, one: OneRound, body: Callable[..., Any], item: Any, state: list[Any]) -> Any:
        """One round, traced."""
        self._rounds.append(one)
        with one.graph.building():
            found = body(item, *state)
        self._rounds.pop()
        return found


class _Scan:
    """One loop on its way into the graph."""

    def __init__(self, loops: Loops, graph: Graph, along: Along, work: Round) -> None:
        self.loops, self.graph, self.along, self.work = loops, graph, along, work
        self.names: list[Any] = []
        for name, kind, value in zip(work.names, work.kinds, work.state):
            if value is UNBOUND:
                self.names.append(New(graph, kind == "r"))
            elif kind == "a" and type(value) is list:
                self.names.append(Appended(name, value))
            else:
                self.names.append(Carried(graph, name, value))

    def state(self) -> tuple[Any, ...]:
        """What the names stand for after the loop."""
        for _ in range(_ATTEMPTS):
            one = OneRound(Body(self.graph, "for"), self.along.length)
            given = [name.enter(one) for name in self.names]
            found = self.loops.run(one, self.work.body, self.along.item(one), given)
            try:
                with one.graph.building():
                    ends = [name.leave(one, value) for name, value in zip(self.names, found)]
            except Again:
                continue
            return self._close(one, [end for own in ends for end in own])
        raise GraphError("for: what a round carries must keep its shapes and dtypes, got others")

    def _close(self, one: OneRound, ends: list[Value]) -> tuple[Any, ...]:
        """Append the loop, and give each name its value."""
        graph, length = self.graph, self.along.length
        carries = [pair for name in self.names for pair in name.carries]
        if one.count is not None:
            carries.append((self._first_count(), one.count))
            with one.graph.building():
                ends = [*ends, one.count + (-1 if self.along.reverse else 1)]
        state = one.graph.written
        items = [v for name in self.names if isinstance(name, Appended) for v in name.items]
        body = cut(
            one.graph, list(one.graph.placeholders.values()),
            [*ends, *(value for _, value in state), *items],
        )  # fmt: skip
        inside = [*(y for _, y in carries), *(one.graph.variable_of(s) for s, _ in state)]
        operands = [*(x for x, _ in carries), *(graph.read(s) for s, _ in state)]
        count = len(operands)
        with graph.building():
            for (value, axis), slice_ in one.slices.items():
                outer = graph.lift(value, "for")
                operands.append(ops.moveaxis(outer, axis, 0) if axis else outer)
                inside.append(slice_)
        xs = len(operands) - count
        known = {value: i for i, value in enumerate(inside)}
        feeds = []
        for value in one.graph.placeholders.values():
            if value not in known:
                known[value] = len(operands)
                operands.append(one.graph.captured[value])
            feeds.append(known[value])
        outs = [v.aval for v in operands[:count]] + [stacked(v.aval, length) for v in items]
        values = append_region(
            graph, SCAN, operands, outs,
            bodies=(body,), feeds=(tuple(feeds),), carries=count, state=len(state), xs=xs,
            length=length, reverse=self.along.reverse,
        )  # fmt: skip
        for (storage, _), value in zip(state, values[len(ends) :]):
            graph.assign(storage, value, when=values[0])
        carried, made = iter(values[: len(ends)]), list(values[count:])
        if self.along.reverse:  # results stand at the place of their slice
            with graph.building():
                made = [ops.flip(value, axis=0) for value in made]
        appended = iter(made)
        return tuple(
            name.after(appended if isinstance(name, Appended) else carried) for name in self.names
        )

    def _first_count(self) -> Value:
        """The number of the first round."""
        with self.graph.building():
            if not self.along.reverse:
                return ops.zeros((), dtype=INT64)
            last = self.along.length - 1
            if isinstance(last, Dim):
                return self.graph.size_of(last)
            return ops.full((), last, dtype=INT64)
