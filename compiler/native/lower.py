"""Lowering: from a graph whose fusable parts are fused to statements over buffers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...graphs.avals import Aval
from ...graphs.ir import CONSTANT, VARIABLE, Graph, Node, Value
from .buffers import Given, Variable
from .extents import are_open, most
from .layout import RESHAPES, Layout, dense
from .scope import Scope
from .stacks import given_stack
from .support import is_grown, is_placeable
from .timeline import Timeline


class Lowering:
    """Lowers a graph without symbolic sizes.

    Parameters
    ----------
    graph : Graph
        After `fuse`.
    order : sequence of Node
        The order in which to run them; see `schedule`.
    direct : dict
        From each value that is computed straight into a variable to that variable's value.
    known : set of Node
        Those of the nodes that are computed once, before the first run.
    threads : int
        How many run the step.
    given : mapping
        From the name of each feed, in order, to its aval. Passes may have left some unread.

    Attributes
    ----------
    once, step : Timeline
        What runs before all runs, and in each.
    feeds, outputs : list of Layout
    """

    def __init__(
        self,
        graph: Graph,
        order: Sequence[Node],
        direct: dict[Value, Value],
        known: set[Node],
        threads: int,
        given: Mapping[str, Aval],
    ) -> None:
        self.once = Timeline(threads)
        self.step = Timeline(threads, self.once)
        self.feeds: list[Layout] = []
        self.outputs: list[Layout] = []
        env: dict[Value, Layout] = {}
        for name, aval in given.items():
            self.feeds.append(_given(aval, f"feed {name}"))
            if name in graph.placeholders:
                env[graph.placeholders[name]] = self.feeds[-1]
        places = {v: self.step.source_of(variable.node) for v, variable in direct.items()}
        copied = self._place_outputs(graph, places, known)
        computed = {v for node in known for v in node.outputs}
        others = {v for node in graph.nodes if node not in known for v in node.outputs}
        before = Scope(self.once, graph, env, {}, self.once.statements, elsewhere=others)
        for node in graph.nodes:
            if node in known or node.op is CONSTANT:
                before.lower(node)
        scope = Scope(
            self.step, graph, env, places, self.step.statements, elsewhere=computed, order=order
        )
        old, new = _split(copied)
        for position, value in old.items():
            scope.lower_source(value)
            scope.copy(scope.env[value], self.outputs[position])
        for node in order:
            scope.lower(node)
        for position, value in new.items():
            scope.copy(scope.env[value], self.outputs[position])
        for position, value in enumerate(graph.outputs):
            if is_grown(value.aval):
                self.outputs[position] = scope.env[value]
        self._commit(scope, graph, direct)

    @property
    def results(self) -> list[Given]:
        """The memory of the outputs, but of those that are open, which may be smaller."""
        given = [(x.shape, x.buffer) for x in self.outputs]
        return [b for shape, b in given if isinstance(b, Given) and not are_open(shape)]

    def _place_outputs(
        self, graph: Graph, places: dict[Value, Layout], known: set[Node]
    ) -> dict[int, Value]:
        """Give each output its memory; those that no node computes into it are to be copied, which
        comes to nothing where they show what one does compute there."""
        copied: dict[int, Value] = {}
        for position, value in enumerate(graph.outputs):
            layout = _given(value.aval, f"output {position}")
            self.outputs.append(layout)
            if is_grown(value.aval):
                continue  # it is what a stack holds in the end
            shown = _reshaped(value)
            free = shown not in places and shown.node not in known
            if free and is_placeable(shown):
                places[shown] = dense(layout.buffer, shown.aval)
                if shown is value:
                    continue
            copied[position] = value
        return copied

    def _commit(self, scope: Scope, graph: Graph, direct: dict[Value, Value]) -> None:
        """Write what is assigned; all old numbers are read before any is written."""
        writes: list[tuple[Layout, Layout]] = []
        for effect in graph.last_effects:
            variable, value = effect.inputs
            if direct.get(value) is variable:
                continue
            source, target = scope.env[value], self.step.source_of(variable.node)
            if isinstance(source.buffer, Variable):
                kept = self.step.room(value.aval, f"old {value.name}")
                scope.copy(source, kept)
                source = kept
            writes.append((source, target))
        for source, target in writes:
            scope.copy(source, target)


def _given(aval: Aval, label: str) -> Layout:
    """Memory that a run hands over."""
    if is_grown(aval):
        return given_stack(aval, label)
    return dense(Given(most(aval.nbytes), label), aval)


def _reshaped(value: Value) -> Value:
    """What a value shows in another shape, or the value itself."""
    while value.node.op.name in RESHAPES:
        [value] = value.node.inputs
    return value


def _split(copied: dict[int, Value]) -> tuple[dict[int, Value], dict[int, Value]]:
    """Those that show a variable as it was before the step, and the others."""
    before: dict[int, Value] = {}
    after: dict[int, Value] = {}
    for position, value in copied.items():
        root = value.node
        while root.op.view:
            root = root.inputs[0].node
        (before if root.op is VARIABLE else after)[position] = value
    return before, after
