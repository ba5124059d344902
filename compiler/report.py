"""What each pass did, for `explain`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ..graphs.ir import Graph


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


def reported(name: str, change: Callable[[Graph], Graph], graph: Graph) -> tuple[Graph, PassReport]:
    """Apply a pass to a graph, and tell what it did."""
    start = time.perf_counter()
    new = change(graph).verify()
    seconds = time.perf_counter() - start
    nodes = len(graph.nodes), len(new.nodes)
    return new, PassReport(name, *nodes, _bytes(graph), _bytes(new), seconds)


def _bytes(graph: Graph) -> int:
    """Of the results of operators that are no views, those of one round of a loop once."""
    total = 0
    for node in graph.nodes:
        if node.is_source or node.op.view or node.op.effect:
            continue
        total += sum(int(a.nbytes) for a in node.bound.outs if not a.is_symbolic)
    return total
