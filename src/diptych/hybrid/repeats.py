"""Loops of Python whose number of rounds depends on data, as `while_loop` nodes of the graph.

A loop runs as Python's does for as long as plain values say whether it goes on. From the round on
in which it is data, it is a `while_loop`; a `for` within another loop is a `scan` whose rounds ask
whether it has ended, so that its gradient needs no memory of unknown size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ..graphs.ir import Value
from ..graphs.nodes import user_location
from ..graphs.ops import dispatch
from ..graphs.regions import Body
from .along import Along, Counted
from .bodies import Own
from .branches import Branches, nothing
from .names import Names, Unlike
from .rounds import Round
from .weak import Number, as_value
from .whiles import While

if TYPE_CHECKING:
    from .tracer import Tracer

Thunk = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class DataRange:
    """`range` of numbers of which one is known only when the graph runs."""

    start: Any
    stop: Any
    step: int


class Repeats:
    """What one tracer knows of loops that end by data."""

    def __init__(self, tracer: Tracer, branches: Branches, own: Own) -> None:
        self._tracer, self._branches, self._own = tracer, branches, own

    def repeat(self, test: Thunk, body: Thunk, ends: Thunk | None, names: Names) -> None:
        """A `while`, which ends early where one of some flags is set."""

        def goes_on() -> Any:
            return self._unless(ends, lambda: self._branches.truth(test()))

        while True:
            going = goes_on()
            if isinstance(going, Value):
                self._tracer.note(f"the loop at {user_location()} is a while_loop")
                While(self._own, going, goes_on, body, names, self._tracer.loops.settled).run()
                return
            if not going:
                return
            body()

    def _unless(self, ends: Thunk | None, test: Thunk) -> Any:
        """Whether no flag is set and a test holds, which is not asked where one is set."""
        clear = self._branches.negated(self._branches.any_of(ends() if ends else ()))
        return self._branches.boolean("and", (lambda: clear, test))

    # -- for -------------------------------------------------------------------------------------

    def each_round(
        self, along: Any, body: Callable[[Any], None], ends: Thunk | None, names: Names
    ) -> None:
        """A `for`, which ends early where one of some flags is set."""
        if isinstance(along, DataRange):
            self._count(along.start, along.stop, along.step, body, ends, names)
            return
        if isinstance(along, Along) and self._captured(along, body, ends, names):
            return
        counted = _counted(along)
        items = self._items(along)
        done = 0
        for item in items:
            body(item)
            done += 1
            stopped = self._branches.any_of(ends()) if ends else False
            if not isinstance(stopped, Value):
                if stopped:
                    return
                continue
            if counted is None:
                self._guarded(items, body, ends, names)
            elif not _is_in_loop(dispatch.current()):
                self._count(done, counted.length, 1, lambda n: body(counted.at(n)), ends, names)
            elif done > 1 or not self._captured(counted.peeled()[1], body, ends, names, True):
                self._guarded(items, body, ends, names)
            return

    def _items(self, along: Any) -> Iterator[Any]:
        if not isinstance(along, Along) or isinstance(along.length, int):
            return iter(self._tracer.each(along))

        def items() -> Iterator[Any]:
            first, _ = along.peeled()
            yield first
            yield from along.items()  # which says that their number is not known

        return items()

    def _guarded(
        self, items: Iterator[Any], body: Callable[[Any], None], ends: Any, names: Names
    ) -> None:
        """Rounds one by one, each a branch on whether no flag is set."""
        names = replace(names, kinds="r" * len(names.names))  # another round may read them
        for item in items:
            stopped = self._branches.any_of(ends())
            if stopped is True:
                return
            clear = self._branches.negated(stopped)
            self._branches.branch(clear, partial(body, item), nothing, names)

    def _captured(
        self,
        along: Along,
        body: Callable[[Any], None],
        ends: Thunk | None,
        names: Names,
        guarded: bool = False,
    ) -> bool:
        """Whether the loop stands in the graph as a `scan`."""
        state = names.without("t")
        if not self._tracer.loops.may_append(state.kinds, state.take()):
            return False
        before = names.take()

        def run(item: Any, *values: Any) -> Any:
            state.give(values)
            if guarded:
                self._guarded(iter([item]), body, ends, names)
            else:
                body(item)
                if ends and self._branches.any_of(ends()) is not False:
                    raise Unlike("a loop that ends early")
            return state.take()

        work = Round(run, state.names, state.kinds, state.take())
        notes = list(self._tracer.notes)
        found = self._tracer.loops.capture(along, work)
        names.give(before)
        if found is None:
            if ends:  # then it may be a loop of the graph of another kind
                self._tracer.notes[:] = notes
            return False
        state.give(found)
        return True

    def _count(
        self,
        start: Any,
        stop: Any,
        step: int,
        body: Callable[[Any], None],
        ends: Thunk | None,
        names: Names,
    ) -> None:
        """Rounds with numbers at equal distance, of which data say when they end."""
        if isinstance(start, int) and isinstance(stop, int) and not range(start, stop, step):
            return
        graph: Any = dispatch.current()
        held = [start if isinstance(start, Number) else Number(as_value(graph, start, int), int)]

        def give(values: Any) -> None:
            held[0], *others = values
            names.give(others)

        counting = Names(
            ("the number of a round", *names.names), "-" + names.kinds,
            lambda: (held[0], *names.take()), give,
        )  # fmt: skip

        def test() -> Any:
            return self._tracer.compare("Lt" if step > 0 else "Gt", held[0], stop)

        def one() -> None:
            number = held[0]
            body(number)
            held[0] = self._tracer.binary("Add", number, step)

        self.repeat(test, one, ends, counting)


def _counted(along: Any) -> Along | None:
    """What a loop goes along by number."""
    if isinstance(along, Along):
        return along
    return Counted(along.start, along.step, len(along), None) if type(along) is range else None


def _is_in_loop(graph: Any) -> bool:
    while isinstance(graph, Body):
        if graph.name != "if":
            return True
        graph = graph.parent
    return False
