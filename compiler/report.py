"""What each pass did, for `explain`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..graphs.ir import Graph
from ..graphs.ops.core import Bound


@dataclass(frozen=True, slots=True)
class PassReport:
    """What one pass did.

    Attributes
    ----------
    name : str
    before, after : int
        Number of nodes.
    bytes_before, bytes_after : int
        Of all results that nodes compute into memory, where their sizes are known.
    seconds : float
    """

    name: str
    before: int
    after: int
    bytes_before: int
    bytes_after: int
    seconds: float

    def __str__(self) -> str:
        moved = f"{self.bytes_before} bytes"
        if self.bytes_after != self.bytes_before:
            moved += f" -> {self.bytes_after}"
        return (
            f"{self.name}: {self.before} nodes -> {self.after}, {moved} "
            f"({self.seconds * 1e3:.2f} ms)"
        )


def run_passes(
    graph: Graph, passes: Iterable[tuple[str, Callable[[Graph], Graph]]]
) -> tuple[Graph, list[PassReport]]:
    """Apply passes in turn, and tell what each did.

    One that comes again is left out where the graph is the very one that it gave.
    """
    reports: list[PassReport] = []
    gave: dict[str, Graph] = {}
    nbytes = _bytes(graph)
    for name, change in passes:
        if gave.get(name) is graph:
            continue
        start = time.perf_counter()
        new = gave[name] = change(graph)
        seconds = time.perf_counter() - start
        before, nbytes = nbytes, nbytes if new is graph else _bytes(new)
        counts = len(graph.nodes), len(new.nodes)
        reports.append(PassReport(name, *counts, before, nbytes, seconds))
        graph = new
    return graph, reports


def _bytes(graph: Graph) -> int:
    """Of the results of operators that are no views, those of one round of a loop once."""
    of = {id(bound): _bytes_of(bound) for bound in graph.bounds}
    return sum(of[id(node.bound)] for node in graph.nodes)


def _bytes_of(bound: Bound) -> int:
    if bound.op.is_source or bound.op.view or bound.op.effect:
        return 0
    return sum(int(a.nbytes) for a in bound.outs if not a.is_symbolic)
