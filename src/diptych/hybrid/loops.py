"""Loops of Python as loops of the graph: the body is traced once, whatever the number of rounds.

A `for` over a tensor, over ``range`` of one of its sizes, and over ``enumerate``, ``zip`` and
``reversed`` of these becomes a `scan`: what a round changes is carried, what it appends to lists is
stacked, and an item at the loop's counter is a slice that the loop goes along. A body that cannot
be traced so, since it asks for the number of a round or changes what is not its own, is run round
by round, and the tracer notes why.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..graphs import ops
from ..graphs.dims import Dim
from ..graphs.dtypes import INT64
from ..graphs.errors import GraphError, StaticValueError
from ..graphs.ir import Graph, Value
from ..graphs.nodes import user_location
from ..graphs.ops import dispatch
from ..graphs.partition import cut
from ..graphs.regions import SCAN, Body, append_region, stacked
from .along import (
    Along,
    Backwards,
    Collected,
    Counted,
    Length,
    Rows,
    Together,
    plain,
)  # fmt: skip
from .rounds import UNBOUND, Appended, Carried, New, OneRound, Round, Unlike
from .weak import Number, index_of

if TYPE_CHECKING:
    from .tracer import Tracer

ROLL = "roll"  # the name among passes of making loops of Python loops of the graph


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

    def shape_of(self, owner: Any) -> Any:
        shape = owner.shape
        if not isinstance(owner, Value):
            return shape
        sizes = enumerate(shape)
        return tuple([Length(n, (owner, i)) if isinstance(n, int) else n for i, n in sizes])

    def item(self, owner: Value, key: Any) -> Any:
        for one in reversed(self._rounds):
            found = one.sliced(owner, key)
            if found is not None:
                return found
        parts = key if isinstance(key, tuple) else (key,)
        _check_bounds(owner, parts)
        return owner[plain(index_of(key))]

    def along(self, value: Any) -> Any:
        if isinstance(value, Collected):
            if value.is_list or value.before or len(value.parts) != 1:
                return value.listed()
            return Rows(value.parts[0])
        return Rows(value) if isinstance(value, Value) and value.shape else value

    def along_zip(self, *parts: Any) -> Any:
        alike = parts and all(isinstance(p, Along) and not p.reverse for p in parts)
        if alike and all(p.length == parts[0].length for p in parts):
            return Together(parts)
        return zip(*map(self.each, parts))

    def along_enumerate(self, part: Any, start: Any = 0) -> Any:
        if isinstance(part, Along) and not part.reverse and type(start) is int:
            return Together([Counted(start, 1, part.length, None), part])
        return enumerate(self.each(part), start)

    def along_reversed(self, part: Any) -> Any:
        if isinstance(part, Rows | Counted):
            return Backwards(part)
        return reversed(list(self.each(part)) if isinstance(part, Along) else part)

    def each(self, value: Any) -> Any:
        """What is gone through where no loop in the graph does it."""
        if isinstance(value, Collected):
            return value.listed()
        return value.items() if isinstance(value, Along) else value

    def settled(self, value: Any) -> Any:
        """A result with every list that a loop filled as a list."""
        if isinstance(value, Collected):
            return value.listed()
        if type(value) is dict:
            made: Any = {k: self.settled(v) for k, v in value.items()}
            return value if all(made[k] is v for k, v in value.items()) else made
        if type(value) in (list, tuple):
            made = type(value)(map(self.settled, value))
            return value if all(a is b for a, b in zip(made, value)) else made
        return value

    def call(self, callee: Any, args: Any, kwargs: Any) -> Any:
        """What some functions do with what loops made; else NotImplemented."""
        if any(isinstance(a, Collected) for a in args):
            return self._call_collected(callee, args, kwargs)
        if callee is len and len(args) == 1 and isinstance(args[0], Value) and args[0].shape:
            return self.shape_of(args[0])[0]
        return NotImplemented

    def _call_collected(self, callee: Any, args: Any, kwargs: Any) -> Any:
        first, *others = args
        if isinstance(first, Collected) and not first.is_list and not others:
            if callee is len:
                size = first.parts[0].shape[0] * len(first.parts) + len(first.before)
                return Length(size, (first.parts[0], 0)) if isinstance(size, int) else size
            axis = kwargs.get("axis", 0)
            if callee is ops.stack:
                return ops.moveaxis(first.stacked(), 0, axis)
            if callee is ops.concat and axis == 0:
                whole = first.stacked()
                return ops.reshape(whole, (whole.shape[0] * whole.shape[1], *whole.shape[2:]))
        held = [a.listed() if isinstance(a, Collected) else a for a in args]
        return self._tracer.call(callee, tuple(held), kwargs)

    # -- a loop in the graph -----------------------------------------------------------------------

    def may_append(self, kinds: str, state: tuple[Any, ...]) -> bool:
        """Whether the lists that rounds append to go by one name: others would not see it."""
        for kind, value, count in zip(kinds, state, _references(state)):
            if kind == "a" and count > _UNNAMED + 1 + self._tracer.own.has(value):
                self._tracer.note("a loop that appends to a list which goes by other names unrolls")
                return False
        return True

    def capture(self, along: Along, work: Round) -> tuple[Any, ...] | None:
        """The state after the loop; None where its body cannot be traced once."""
        graph = dispatch.current()
        if not self._captures or not isinstance(graph, Graph) or along.length in (0, 1):
            return None
        self.origins += along.origins
        before, assigned = len(self._rounds), graph.assigned()
        try:
            try:
                return _Scan(self, graph, along, work).state()
            except Unlike:
                if before:
                    raise
                return self._capture_rest(graph, along, work)
        except Exception as error:  # the loop as it is written raises it again, if it is its own
            if assigned != graph.assigned():
                raise  # a round that was run alone has moved state
            self._tracer.notes.append(f"the loop at {user_location()} unrolls: {error}")
            return None
        finally:
            del self._rounds[before:]

    def _capture_rest(self, graph: Graph, along: Along, work: Round) -> tuple[Any, ...]:
        """The state after a loop whose first round is run alone, as it sees other kinds of things.

        That it changes nothing but its own names was seen when it was traced.
        """
        first, rest = along.peeled()
        lists = {i for i, kind in enumerate(work.kinds) if kind == "a"}
        given = [list(v) if i in lists else v for i, v in enumerate(work.state)]
        state = work.body(first, *given)
        return _Scan(self, graph, rest, replace(work, state=tuple(state))).state()

    def run(self, one: OneRound, body: Callable[..., Any], item: Any, state: list[Any]) -> Any:
        """One round, traced."""
        self._rounds.append(one)
        found = self._tracer.own.run(one.graph, lambda: body(item, *state))
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
        one = OneRound(Body(self.graph, "for"), self.along.length)
        given = [name.enter(one) for name in self.names]
        found = self.loops.run(one, self.work.body, self.along.item(one), given)
        length = self.along.length if self.along.is_known else None
        if isinstance(length, int) and length < _FEWEST_SIMPLE and _is_simple(one.graph):
            raise GraphError("for: a round must do more than element-wise work, which is fused")
        with one.graph.building():
            ends = [name.leave(one, value) for name, value in zip(self.names, found)]
        return self._close(one, [end for own in ends for end in own])

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


def _is_simple(graph: Graph) -> bool:
    """Whether a round's work is that of one loop over elements, as all rounds' then is."""
    return all(n.op.expr or n.op.view or n.op.structural for n in graph.nodes)


def _check_bounds(owner: Value, parts: tuple[Any, ...]) -> None:
    """Raise a StaticValueError where a symbolic size may be too short for an index.

    A symbol stands for 2 or more.
    """
    if any(part is Ellipsis or part is None for part in parts):
        parts = ()
    for size, part in zip(owner.shape, parts):
        if not isinstance(size, Dim):
            continue
        if type(part) is slice:
            ends = [part.start or 0, part.stop or 0]
            fits = part.step in (None, 1) and all(type(n) is int for n in ends)
            fits = fits and ends[0] >= 0 >= ends[1] and ends[0] - ends[1] <= _LEAST
            if part == slice(None) or fits:
                continue
        elif (
            isinstance(part, Value | Number)
            or not isinstance(part, int)
            or -_LEAST <= part < _LEAST
        ):
            continue
        raise StaticValueError(f"getitem: {size} must be a number for such an index, got {part}")


def _references(values: tuple[Any, ...]) -> list[int]:
    return [sys.getrefcount(value) for value in values]


_UNNAMED = _references(([],))[0]  # to what is in a tuple alone
_LEAST = 2
_FEWEST_SIMPLE = 128
