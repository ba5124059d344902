"""Lowering: from a graph whose fusable parts are fused to statements over buffers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...graphs.avals import Aval
from ...graphs.ir import VARIABLE, Graph, Node, Value
from .buffers import Constant, Given, Held, Room, Variable
from .kernels import Kernels
from .layout import Layout, dense
from .lives import Lives
from .scope import Scope
from .statements import Statement
from .support import is_placeable


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
    threads : int
        How many run the step.
    given : mapping
        From the name of each feed, in order, to its aval. Passes may have left some unread.

    Attributes
    ----------
    kernels : Kernels
    statements : list of Statement
    lives : Lives
        Of all buffers.
    feeds, outputs : list of Layout
    """

    def __init__(
        self,
        graph: Graph,
        order: Sequence[Node],
        direct: dict[Value, Value],
        threads: int,
        given: Mapping[str, Aval],
    ) -> None:
        self.threads = threads
        self.kernels = Kernels(threads)
        self.statements: list[Statement] = []
        self.lives = Lives()
        self.feeds: list[Layout] = []
        self.outputs: list[Layout] = []
        self._sources: dict[int, Layout] = {}
        self._names = 0
        env: dict[Value, Layout] = {}
        for name, aval in given.items():
            self.feeds.append(_given(aval, f"feed {name}"))
            if name in graph.placeholders:
                env[graph.placeholders[name]] = self.feeds[-1]
        places = {v: self.source_of(variable.node) for v, variable in direct.items()}
        copied = self._place_outputs(graph, places)
        scope = Scope(self, graph, env, places, self.statements)
        before, after = _split(copied)
        for position, value in before.items():
            scope.lower_source(value)
            scope.copy(scope.env[value], self.outputs[position])
        for node in order:
            scope.lower(node)
        for position, value in after.items():
            scope.copy(scope.env[value], self.outputs[position])
        self._commit(scope, graph, direct)

    def _place_outputs(self, graph: Graph, places: dict[Value, Layout]) -> dict[int, Value]:
        """Give each output its memory; those that no node computes into it are to be copied."""
        copied: dict[int, Value] = {}
        for position, value in enumerate(graph.outputs):
            layout = _given(value.aval, f"output {position}")
            self.outputs.append(layout)
            if value in places or not is_placeable(value.node):
                copied[position] = value
            else:
                places[value] = layout
        return copied

    def _commit(self, scope: Scope, graph: Graph, direct: dict[Value, Value]) -> None:
        """Write what is assigned; all old numbers are read before any is written."""
        writes: list[tuple[Layout, Layout]] = []
        for effect in graph.last_effects:
            variable, value = effect.inputs
            if direct.get(value) is variable:
                continue
            source, target = scope.env[value], self.source_of(variable.node)
            if isinstance(source.buffer, Variable):
                kept = self.room(value.aval, f"old {value.name}")
                scope.copy(source, kept)
                source = kept
            writes.append((source, target))
        for source, target in writes:
            scope.copy(source, target)

    # -- for scopes --------------------------------------------------------------------------

    def source_of(self, node: Node) -> Layout:
        """The memory of a variable or constant."""
        held = node.attrs["storage"] if node.op is VARIABLE else node.attrs["array"]
        if id(held) not in self._sources:
            make = Variable if node.op is VARIABLE else Constant
            buffer: Held = make(held, f"{node.op.name} {node.outputs[0].name}")
            array = buffer.array
            strides = tuple(s // array.itemsize for s in array.strides)
            self._sources[id(held)] = Layout(buffer, array.dtype, array.shape, strides)
        return self._sources[id(held)]

    def arena(self, nbytes: int, label: str) -> Room:
        """A new buffer in the arena."""
        return Room(nbytes, label)

    def room(self, aval: Aval, label: str, order: tuple[int, ...] | None = None) -> Layout:
        """Memory of its own in the arena, without gaps; `order` has the axes from slow to fast."""
        return dense(self.arena(int(aval.nbytes), label), aval, order)

    def fresh(self, prefix: str) -> str:
        """A name for a loop."""
        self._names += 1
        return f"{prefix}{self._names}"


def _given(aval: Aval, label: str) -> Layout:
    """Memory that a run hands over."""
    return dense(Given(int(aval.nbytes), label), aval)


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
