"""Branches of Python on what only runs know, as `cond` nodes of the graph.

Both sides are traced, each into a body of its own, and what they leave under the names that they
bind is merged: the same thing stays what it is, numbers that differ become one that is known when
the graph runs, tensors must be alike. A name for which that cannot be is lost, which is an error
where it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ..graphs import ops
from ..graphs.avals import show
from ..graphs.dtypes import BOOL
from ..graphs.errors import GraphError, ShapeError
from ..graphs.ir import Value
from ..graphs.nodes import user_location
from ..graphs.operand import Operand
from ..graphs.ops import dispatch
from ..graphs.regions import append_cond
from .bodies import BranchBody, Own, apply_changes
from .merging import Sides, nothing_like
from .names import Lost, Names, Unlike, is_internal, shown, tensor_in
from .python_call import call_python
from .rounds import UNBOUND
from .weak import KINDS, Number, converted

if TYPE_CHECKING:
    from .tracer import Tracer

Thunk = Callable[[], Any]


def nothing() -> None:
    """A branch that does nothing."""


class Branches:
    """What one tracer knows of branches."""

    def __init__(self, tracer: Tracer, own: Own) -> None:
        self._tracer, self._own = tracer, own

    # -- conditions ------------------------------------------------------------------------------

    def truth(self, value: Any) -> Any:
        """Whether something holds: True, False, or a bool of the graph."""
        if isinstance(value, Number):
            return value.value if value.kind is bool else value.value != 0
        if not isinstance(value, Operand):
            return bool(self._tracer.objects.tested(value))
        value = tensor_in(self._graph, value)
        if any(size != 1 for size in value.shape):
            raise ShapeError(
                f"if: a condition must have one element, got {show(value.shape)}; use any or all"
            )
        value = value.reshape(()) if value.shape else value
        return value if value.dtype == BOOL else value != 0

    @property
    def _graph(self) -> Any:
        return dispatch.current()

    def negated(self, holds: Any) -> Any:
        return ops.logical_not(holds) if isinstance(holds, Value) else not holds

    def any_of(self, flags: Sequence[Any]) -> Any:
        """Whether one of some flags is set."""
        found: Any = False
        for flag in map(self.truth, flags):
            if flag is True:
                return True
            if flag is not False:
                found = flag if found is False else ops.logical_or(found, flag)
        return found

    def boolean(self, name: str, operands: Sequence[Thunk]) -> Any:
        """``a and b`` and ``a or b`` of any number of operands, which are asked in turn."""
        first, *others = operands
        value = first()
        if not others:
            return value
        holds = self.truth(value)

        def rest() -> Any:
            return self.boolean(name, others)

        if isinstance(holds, bool):
            return rest() if holds == (name == "and") else value
        sides = (rest, lambda: value) if name == "and" else (lambda: value, rest)
        return self.choose(holds, *sides, construct=name)

    def chain(self, names: Sequence[str], left: Any, others: Sequence[Thunk], compare: Any) -> Any:
        """``a < b < c``: each side is asked once, and only where those before hold."""
        right = others[0]()
        found = compare(names[0], left, right)
        if len(names) == 1:
            return found

        def rest() -> Any:
            return self.chain(names[1:], right, others[1:], compare)

        return self.boolean("and", (lambda: found, rest))

    def choose(self, holds: Any, one: Thunk, other: Thunk, construct: str = "if") -> Any:
        """The value of one of two expressions."""
        if isinstance(holds, bool):
            return one() if holds else other()
        held: list[Any] = [UNBOUND]

        def give(values: Any) -> None:
            [held[0]] = values

        def setting(side: Thunk) -> Thunk:
            return lambda: give([side()])

        value = Names(("",), "r", lambda: tuple(held), give)
        self.branch(holds, setting(one), setting(other), value, construct)
        if isinstance(held[0], Lost):
            raise held[0].error()
        return held[0]

    # -- calls -----------------------------------------------------------------------------------

    def call(self, callee: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What functions of Python give for numbers that only runs know; else NotImplemented."""
        if getattr(callee, "__name__", "") == "item" and not args:
            args, callee = (getattr(callee, "__self__", None),), "item"
        if kwargs or not any(isinstance(arg, Operand | Number) for arg in args):
            return NotImplemented
        if callee == "item":
            return converted(_kind_of_item(args[0].dtype), tensor_in(self._graph, args[0]))
        if callee is abs:
            return abs(args[0])
        if len(args) == 1 and callee in KINDS:
            value = args[0]
            value = value if isinstance(value, Number) else tensor_in(self._graph, value)
            return converted(callee, value)
        if len(args) > 1 and callee in (min, max):
            name = "Lt" if callee is min else "Gt"
            found = args[0]
            for other in args[1:]:
                holds = self.truth(self._tracer.compare(name, other, found))
                found = self._one_of(holds, other, found, callee.__name__)
            return found
        return NotImplemented

    def _one_of(self, holds: Any, one: Any, other: Any, construct: str) -> Any:
        return self.choose(holds, lambda: one, lambda: other, construct)

    def check(self, holds: Any, message: Thunk) -> None:
        """Have each run raise an AssertionError unless something holds."""
        told = message()
        if not isinstance(told, str | int | float | bool | None):
            raise GraphError(f"assert: its message must be text, got {shown(told)}")
        call_python(partial(_asserted, told, user_location()), holds, like=[], effect=True)

    # -- branches --------------------------------------------------------------------------------

    def branch(
        self, holds: Any, then: Thunk, other: Thunk, names: Names, construct: str = "if"
    ) -> None:
        """Run one of two pieces of a function; where it is not known which, both of them."""
        if isinstance(holds, bool):
            (then if holds else other)()
            return
        graph = self._graph
        before = names.take()
        bodies, ends = [], []
        for run in (then, other):
            body = BranchBody(graph, "if")
            try:
                self._run(body, run)
                ends.append(names.take())
            finally:
                names.give(before)
            bodies.append(body)
        names.give(self._merged(graph, holds, bodies, ends, names, construct))

    def _run(self, body: BranchBody, run: Thunk) -> None:
        try:
            self._own.run(body, run)
        except RecursionError:
            raise GraphError(
                "script: a recursion must end by what Python knows, got one that ends by data at "
                f"{user_location()}; write it as a loop"
            ) from None

    def _merged(
        self,
        graph: Any,
        holds: Value,
        bodies: list[BranchBody],
        ends: Any,
        names: Names,
        construct: str,
    ) -> list[Any]:
        changes = [dict(body.changed()) for body in bodies]
        sides = []
        for name, kind, *values in zip(names.names, names.kinds, *ends):
            sides.append(UNBOUND if kind == "-" else self._sides(name, bodies, values, construct))
        outputs = [pair for side in sides if isinstance(side, Sides) for pair in side.outputs]
        moved = {value: memory for found in changes for value, memory in found.items()}
        for body, found, column in zip(bodies, changes, (0, 1)):
            with body.building():
                last = [found[v].value if v in found else tensor_in(body, v) for v in moved]
            body.outputs = (*(pair[column] for pair in outputs), *last)
        results: tuple[Value, ...] = ()
        if outputs or moved or any(body.written for body in bodies):
            self._tracer.note(f"the branch at {user_location()} is a cond")
            results = append_cond(graph, holds, *bodies)
        apply_changes(graph, list(moved.items()), list(results[len(outputs) :]))
        rest = iter(results)
        return [side.after(rest) if isinstance(side, Sides) else side for side in sides]

    def _sides(self, name: str, bodies: list[BranchBody], values: list[Any], construct: str) -> Any:
        """What a name becomes: `Sides` of two values, or a value that is no result."""
        graphs = bodies[0], bodies[1]
        if values[0] is values[1]:
            return values[0]
        values = [self._tracer.loops.settled(value) for value in values]
        absent = [value is UNBOUND for value in values]
        if any(isinstance(value, Lost) for value in values):
            return next(value for value in values if isinstance(value, Lost))
        if any(absent):
            side = absent.index(True)
            if not is_internal(name):
                return Lost(
                    f"if: {name!r} must have a value in both branches to be read after, got none "
                    "in one of them"
                )
            values[side] = nothing_like(graphs[side], values[1 - side])
        try:
            return Sides(graphs, (values[0], values[1]))
        except Unlike as unlike:
            what = "both results" if is_internal(name) else repr(name) if name else "both sides"
            return Lost(f"{construct}: {what} must be of one kind in both branches, got {unlike}")


def _kind_of_item(dtype: Any) -> type:
    return {"b": bool, "i": int, "u": int}.get(dtype.kind, float)


def _asserted(message: Any, location: Any, holds: Any) -> list[Any]:
    if not holds.item():
        error = AssertionError(*([] if message is None else [message]))
        error.add_note(f"asserted at {location}")
        raise error
    return []
