"""reference: node by node through eager's own kernels. The controlled side of a comparison."""

from __future__ import annotations

from typing import Any

from ...graphs.interpreter import Interpreter
from ...graphs.ir import Graph


class Reference:
    """Executes a graph with the reference interpreter; results are fresh memory."""

    name = "reference"
    source = ""

    def __init__(self, graph: Graph) -> None:
        self._interpreter = Interpreter(graph)
        self.needed = tuple(graph.placeholders)

    def run(self, feeds: list[Any], binding: dict[str, int]) -> list[Any]:
        return self._interpreter.run(feeds, binding)

    def prepare(self, binding: dict[str, int]) -> None:
        """There is nothing to be made before a run."""

    def explain(self) -> list[str]:
        return ["reference: each node launches its kernel and allocates its result"]
