"""Branches and rounds while they are traced: what they may change, and how that leaves them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..graphs.errors import GraphError
from ..graphs.ir import Value
from ..graphs.modes import GradMode
from ..graphs.moves import Memory, Moves
from ..graphs.regions import Body


class BranchBody(Body):
    """The graph of a branch or a round, in which tensors of the graph around may change in place.

    What they become is a result of the branch, and then of the graph around.
    """

    def __init__(self, parent: Any, name: str) -> None:
        super().__init__(parent, name)
        self.moves: Any = _Arriving(self)
        self.carried: dict[Value, Value] = {}  # from placeholders of rounds to what they begin as

    def carry(self, value: Value) -> Value:
        """A placeholder for what, in a round, a value of the graph around has become."""
        inside = self.add_placeholder(f"carry{len(self.nodes)}", value.aval)
        self._inside[value] = inside
        self.carried[inside] = value
        return inside

    def arriving(self, value: Value) -> Value:
        """The placeholder that stands for a value of a graph around, as it was at the start."""
        found: Value = super().lift(value, self.name)
        return found

    def lift(self, operand: Any, where: str) -> Any:
        found = super().lift(operand, where)
        return self.now(found) if isinstance(found, Value) else found

    def outside(self, inside: Value) -> Value | None:
        """What a placeholder stands for in the graph around."""
        found = self.captured.get(inside)
        return self.carried.get(inside) if found is None else found

    def changed(self) -> list[tuple[Value, Memory]]:
        """The values of the graph around that this one changes in place.

        Raises
        ------
        GraphError
            Where another view of the same memory is read, which would not see it.
        """
        found = []
        for memory in self.moves.changed:
            outer = self.outside(memory.base)
            if outer is not None and memory.value is not memory.base:
                self._check_alone(outer, memory)
                found.append((outer, memory))
        return found

    def _check_alone(self, outer: Value, memory: Memory) -> None:
        around = self.parent.moves
        others = [v for v in (*self.captured.values(), *self.carried.values()) if v is not outer]
        if around.is_view(outer) or any(around.share(outer, v) for v in others):
            raise GraphError(
                f"{memory.operator}: a branch or loop that depends on data changes in place what "
                "goes by one name, got a tensor of which it reads another view; clone it"
            )


class _Arriving(Moves):
    """The changes in place of a branch: what is captured may change, too."""

    takes_changes = True

    def check_change(self, leaf: Any, operator: str, recorded: bool) -> None:
        body: Any = self._graph
        if not isinstance(leaf, Value) or body.outside(leaf) is None:
            super().check_change(leaf, operator, recorded)

    def strides_of(self, value: Value) -> tuple[int, ...] | None:
        body: Any = self._graph
        outer = body.outside(value)
        found: tuple[int, ...] | None = outer and body.parent.moves.strides_of(outer)
        return found


def apply_changes(graph: Any, changes: list[tuple[Value, Memory]], results: list[Value]) -> None:
    """Let values of a graph become what branches within it made of them."""
    for (value, memory), result in zip(changes, results, strict=True):
        with GradMode(memory.recorded):
            graph.moves.change(value, lambda made=result: made, memory.operator)


class Own:
    """What is made within the bodies that are open: they may change it, and nothing else."""

    def __init__(self) -> None:
        self._made: list[dict[int, Any]] = []

    @property
    def is_open(self) -> bool:
        """Whether a branch or a round is being traced."""
        return bool(self._made)

    def add(self, value: Any) -> Any:
        if self._made:
            self._made[-1][id(value)] = value
        return value

    def has(self, value: Any) -> bool:
        return bool(self._made) and self._made[-1].get(id(value)) is value

    @contextmanager
    def opened(self) -> Iterator[None]:
        self._made.append({})
        try:
            yield
        finally:
            self._made.pop()

    def run(self, body: Body, function: Callable[[], Any]) -> Any:
        """What a function gives that is traced into a body."""
        with self.opened(), body.building():
            return function()
