"""Loops of Python as loops of the graph: the body is traced once, whatever the number of rounds.

A `for` over a tensor, over ``range`` of one of its sizes, and over ``enumerate``, ``zip`` and
``reversed`` of these becomes a `scan`: what a round changes is carried, what it appends to lists is
stacked, and an item at the loop's counter is a slice that the loop goes along. A body that cannot
be traced so, since it asks for the number of a round or changes what is not its own, is run round
by round, and the tracer notes why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..graphs import ops
from ..graphs.avals import Aval
from ..graphs.dims import Dim, Size
from ..graphs.dtypes import INT64
from ..graphs.errors import GraphError, StaticValueError
from ..graphs.ir import Graph, Value
from ..graphs.nodes import user_location
from ..graphs.operand import Operand
from ..graphs.ops import dispatch
from ..graphs.partition import cut
from ..graphs.regions import SCAN, Body, append_region, stacked
from ..graphs.trees import flatten, unflatten

if TYPE_CHECKING:
    from .tracer import Tracer


class Unbound:
    """What a name stands for that has no value yet."""

    def __repr__(self) -> str:
        return "nothing"


UNBOUND = Unbound()


class Length(int):
    """A size of a traced value, which `range` may make a loop of."""

    origin: Value

    def __new__(cls, size: int, origin: Value) -> Length:
        made = super().__new__(cls, size)
        made.origin = origin
        return made

    def _kept(self, result: Any) -> Any:
        return Length(result, self.origin) if type(result) is int else result

    def __add__(self, other: int) -> Any:
        return self._kept(int.__add__(self, other))

    def __sub__(self, other: int) -> Any:
        return self._kept(int.__sub__(self, other))

    __radd__ = __add__


# -- what a loop goes along ------------------------------------------------------------------------


class Along:
    """What a loop in the graph may go along."""

    reverse = False

    @property
    def length(self) -> Size:
        """The number of rounds."""
        raise NotImplementedError

    def item(self, one: OneRound) -> Any:
        """What a round sees."""
        raise NotImplementedError

    def items(self) -> Iterator[Any]:
        """What the rounds see one after the other, where no loop in the graph does it."""
        raise NotImplementedError

    @property
    def origins(self) -> list[Value]:
        """The values whose sizes say how many rounds there are."""
        raise NotImplementedError


@dataclass(eq=False)
class Rows(Along):
    """The slices of a value along its first axis."""

    value: Value

    @property
    def length(self) -> Size:
        return self.value.shape[0]

    def item(self, one: OneRound) -> Any:
        return one.slice_of(self.value, 0)

    def items(self) -> Iterator[Any]:
        return iter(self.value)

    @property
    def origins(self) -> list[Value]:
        return [self.value]


@dataclass(eq=False)
class Counted(Along):
    """Whole numbers at equal distance."""

    start: int
    step: int
    count: Size
    origin: Value | None

    @property
    def length(self) -> Size:
        return self.count

    def item(self, one: OneRound) -> Any:
        return one.counter(self)

    def items(self) -> Iterator[int]:
        if isinstance(self.length, Dim):
            raise StaticValueError(
                f"for: a loop of {self.length} rounds must be one of the graph, got a body that "
                "cannot be traced once"
            )
        return iter(range(self.start, self.start + self.length * self.step, self.step))

    @property
    def origins(self) -> list[Value]:
        return [] if self.origin is None else [self.origin]


@dataclass(eq=False)
class Together(Along):
    """Several at once, as `zip` and `enumerate` give them."""

    parts: Sequence[Along]

    @property
    def length(self) -> Size:
        return self.parts[0].length

    def item(self, one: OneRound) -> Any:
        return tuple(part.item(one) for part in self.parts)

    def items(self) -> Iterator[Any]:
        return zip(*(part.items() for part in self.parts))

    @property
    def origins(self) -> list[Value]:
        return [v for part in self.parts for v in part.origins]


@dataclass(eq=False)
class Backwards(Along):
    """From the last to the first."""

    forwards: Along
    reverse = True

    @property
    def length(self) -> Size:
        return self.forwards.length

    def item(self, one: OneRound) -> Any:
        return self.forwards.item(one)

    def items(self) -> Iterator[Any]:
        return reversed(list(self.forwards.items()))

    @property
    def origins(self) -> list[Value]:
        return self.forwards.origins


class Collected:
    """A list to which every round of a loop in the graph has appended the same number of items.

    Parameters
    ----------
    before : list
        What it held before the loop.
    parts : list of Value
        The items of a round, stacked over all rounds.
    """

    def __init__(self, before: list[Any], parts: list[Value]) -> None:
        self.before, self.parts = before, parts

    def stacked(self) -> Value:
        """All items, along a new first axis."""
        first = self.parts[0]
        found = first
        if len(self.parts) > 1:
            both = ops.stack(self.parts, axis=1)
            found = ops.reshape(both, (len(self.parts) * first.shape[0], *first.shape[1:]))
        return found if not self.before else ops.concat([ops.stack(self.before), found])

    def listed(self) -> list[Any]:
        """The list itself, an item a round."""
        length = self.parts[0].shape[0]
        if isinstance(length, Dim):
            raise StaticValueError(
                f"for: a list of {length} tensors must be stacked or concatenated, got another use"
            )
        rows = [part[i] for i in range(length) for part in self.parts]
        return [*self.before, *rows]


# -- a round -------------------------------------------------------------------------------------


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


class _Again(Exception):
    """A round must be traced again, with other starts."""


class _Carried:
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
            raise _Again
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


class _New:
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


class _Appended:
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


# -- what the tracer asks --------------------------------------------------------------------------


class Loops:
    """What one tracer knows of loops.

    Attributes
    ----------
    origins : dict of Value
        Whose sizes have said how many rounds there are.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._rounds: list[OneRound] = []
        self.origins: dict[Value, None] = {}

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
        return tuple([Length(n, owner) if isinstance(n, int) else n for n in shape])

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
            return _counted(args)
        if callee is len and len(args) == 1 and isinstance(args[0], Value) and args[0].shape:
            return self.shape_of(args[0])[0]
        if callee in (zip, enumerate, reversed) and args:
            parts = [self.along(a) for a in args]
            if isinstance(parts[0], Along) and not kwargs:
                return _joined(callee, parts)
        return NotImplemented

    def _call_collected(self, callee: Any, args: Any, kwargs: Any) -> Any:
        first, *others = args
        if callee is len:
            size = first.parts[0].shape[0] * len(first.parts) + len(first.before)
            return Length(size, first.parts[0]) if isinstance(size, int) else size
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
        if not isinstance(graph, Graph):
            return None
        self.origins.update(dict.fromkeys(along.origins))
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
                self.names.append(_New(graph, kind == "r"))
            elif kind == "a" and type(value) is list:
                self.names.append(_Appended(name, value))
            else:
                self.names.append(_Carried(graph, name, value))

    def state(self) -> tuple[Any, ...]:
        """What the names stand for after the loop."""
        for _ in range(_ATTEMPTS):
            one = OneRound(Body(self.graph, "for"), self.along.length)
            given = [name.enter(one) for name in self.names]
            found = self.loops.run(one, self.work.body, self.along.item(one), given)
            try:
                with one.graph.building():
                    ends = [name.leave(one, value) for name, value in zip(self.names, found)]
            except _Again:
                continue
            return self._close(one, [end for own in ends for end in own])
        raise GraphError("for: what a round carries must keep its shapes and dtypes, got others")

    def _close(self, one: OneRound, ends: list[Value]) -> tuple[Any, ...]:
        """Append the loop, and give each name its value."""
        graph, length = self.graph, self.along.length
        carries = [pair for name in self.names for pair in name.carries]
        state = one.graph.written
        items = [v for name in self.names if isinstance(name, _Appended) for v in name.items]
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
            if one.count is not None:
                operands.append(ops.arange(length, dtype=INT64))
                inside.append(one.count)
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
            name.after(appended if isinstance(name, _Appended) else carried) for name in self.names
        )


_ATTEMPTS = 4


def plain(value: Any) -> Any:
    """Sizes as ordinary numbers."""
    if isinstance(value, Length):
        return int(value)
    if type(value) in (tuple, list) and any(isinstance(v, Length) for v in value):
        return type(value)(map(plain, value))
    if type(value) is slice:
        return slice(plain(value.start), plain(value.stop), plain(value.step))
    return value


def _counted(args: Sequence[Any]) -> Any:
    start, stop, step = (0, args[0], 1) if len(args) == 1 else (*args, 1)[:3]
    if not isinstance(step, int) or step == 0 or isinstance(start, Dim):
        return NotImplemented
    origins = [a.origin for a in args if isinstance(a, Length)]
    if isinstance(stop, Dim):
        return Counted(int(start), 1, stop - start, None) if step == 1 else NotImplemented
    rounds = range(int(start), int(stop), step)
    return Counted(int(start), step, len(rounds), origins[0] if origins else None)


def _joined(callee: Any, parts: Sequence[Any]) -> Any:
    """`zip`, `enumerate` and `reversed` of what a loop in the graph may go along."""
    if callee is reversed:
        return Backwards(parts[0]) if not parts[0].reverse else NotImplemented
    if callee is enumerate:
        start = parts[1] if len(parts) > 1 else 0
        parts = [Counted(start, 1, parts[0].length, None), parts[0]]
    alike = all(
        isinstance(p, Along) and not p.reverse and p.length == parts[0].length for p in parts
    )
    return Together(parts) if alike else NotImplemented
