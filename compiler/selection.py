"""Selections: what is fetched of a graph, and the graph that passes make of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from ..graphs.errors import FetchError
from ..graphs.ir import Graph, Node, Update, Value
from .fingerprint import Fingerprint, fingerprint, places
from .report import PassReport, run_passes

NamedPass = tuple[str, Callable[[Graph], Graph]]


class Selection:
    """What is fetched of a graph as it stands: nothing that is appended later belongs to it.

    Parameters
    ----------
    graph : Graph
        As it was built.
    leaves : list of Value or Update
        What is fetched.
    passes, at_once : sequence of (str, callable)
        By name; and those of which nobody may wait for the result, as they read variables.

    Attributes
    ----------
    outputs : list of Value
        The values among the leaves.
    declared : dict
        The graph's placeholders by name.
    passes : list of (str, callable)

    Raises
    ------
    FetchError
        When a leaf is none of this graph.
    """

    def __init__(
        self,
        graph: Graph,
        leaves: list[Any],
        passes: Sequence[NamedPass],
        at_once: Sequence[NamedPass] = (),
    ) -> None:
        self._graph, self._nodes, self.declared = graph, list(graph.nodes), graph.placeholders
        self.outputs = [leaf for leaf in leaves if isinstance(leaf, Value)]
        self._updates = {node for leaf in leaves for node in _members(graph, leaf)}
        self._is_concrete = not graph.symbols
        self.passes = list(passes)
        self._begun = run_passes(self._selected(), at_once) if at_once else None

    @property
    def symbols(self) -> frozenset[str]:
        """Names of the symbolic dimensions of what is to be run."""
        return frozenset() if self._is_concrete else self.graph.symbols

    @property
    def graph(self) -> Graph:
        """What is to be run. The passes run when it is asked for, which takes most of the time
        that building takes: what knows the fingerprint may not need it."""
        return self._made[0]

    @property
    def reports(self) -> list[PassReport]:
        """What the passes did."""
        return self._made[1]

    @cached_property
    def _made(self) -> tuple[Graph, list[PassReport]]:
        start, begun = self._begun or (self._selected(), [])
        graph, reports = run_passes(start, self.passes)
        if graph is not start and self._begun is None:
            start.dissolve()
        return graph, [*begun, *reports]

    def _selected(self) -> Graph:
        """A copy of the graph whose outputs and effects are the fetched ones.

        Effects that hang on a value stay, for pruning to decide.
        """
        kept = [
            node for node in self._nodes
            if not node.op.effect or node.when is not None or node in self._updates
        ]  # fmt: skip
        copy = self._graph.rebuild(nodes=kept, outputs=self.outputs)
        for old, new in zip(kept, copy.nodes, strict=True):
            if old in self._updates:
                new.when = None
        return copy

    @cached_property
    def fingerprint(self) -> Fingerprint | None:
        """That of the graph as it was built, and of what of it is fetched."""
        if self._begun is not None:
            graph, _ = self._begun
            return fingerprint(graph.nodes, places(graph.outputs))
        updates = sorted(node.id for node in self._updates)
        return fingerprint(self._nodes, [*places(self.outputs), -1, *updates])


def _members(graph: Graph, leaf: Any) -> Sequence[Node]:
    """The effects that a leaf stands for, which must be of the graph."""
    if not isinstance(leaf, Value | Update):
        raise FetchError(
            f"fetch: must be a value or an update of the graph, got {type(leaf).__name__} {leaf!r}"
        )
    nodes = leaf.nodes if isinstance(leaf, Update) else (leaf.node,)
    if any(node.graph is not graph for node in nodes):
        raise FetchError(f"fetch: must be of the graph that is compiled, got {leaf!r}")
    return [node for node in nodes if node.op.effect]
