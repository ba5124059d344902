"""What each pass did, for `explain`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..graphs.ir import CONSTANT, Graph
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
    held_before, held_after : int
        Bytes of constants, those of bodies left out.
    seconds : float
    """

    name: str
    before: int
    after: int
    bytes_before: int
    bytes_after: int
    held_before: int
    held_after: int
    seconds: float

    def __str__(self) -> str:
        moved = f"{self.bytes_before} bytes"
        if self.bytes_after != self.bytes_before:
            moved += f" -> {self.bytes_after}"
        if self.held_after != self.held_before:
            moved += f", of constants {self.held_before} -> {self.held_after}"
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
    given = graph
    gave: dict[str, Graph] = {}
    sizes = _bytes(graph), _held(graph)
    for name, change in passes:
        if gave.get(name) is graph:
            continue
        start = time.perf_counter()
        new = gave[name] = change(graph)
        seconds = time.perf_counter() - start
        before, sizes = sizes, sizes if new is graph else (_bytes(new), _held(new))
        moved, held = zip(before, sizes)
        counts = len(graph.nodes), len(new.nodes)
        reports.append(PassReport(name, *counts, *moved, *held, seconds))
        if graph is not new and graph is not given:
            graph.dissolve()
        graph = new
    return graph, reports


def _bytes(graph: Graph) -> int:
    """Of the results of operators that are no views, those of one round of a loop once."""
    of = {id(bound): _bytes_of(bound) for bound in graph.bounds}
    return sum(of[id(node.bound)] for node in graph.nodes)


def _held(graph: Graph) -> int:
    arrays = {id(n.attrs["array"]): n.attrs["array"] for n in graph.nodes if n.op is CONSTANT}
    return sum(int(array.nbytes) for array in arrays.values())


def _bytes_of(bound: Bound) -> int:
    if bound.op.is_source or bound.op.view or bound.op.effect:
        return 0
    return sum(int(a.nbytes) for a in bound.outs if not a.is_symbolic)
