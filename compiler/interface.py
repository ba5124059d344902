"""What a graph takes from outside and leaves there."""

from __future__ import annotations

from dataclasses import dataclass

from ..graphs.ir import Graph
from ..graphs.storage import Storage


@dataclass(frozen=True, slots=True)
class Interface:
    """What a run is fed, reads and writes.

    Attributes
    ----------
    needed : tuple of str
        The placeholders that are fed.
    variables : tuple of Storage
        What is read or written.
    written : tuple of Storage
    """

    needed: tuple[str, ...]
    variables: tuple[Storage, ...]
    written: tuple[Storage, ...]

    @staticmethod
    def of(graph: Graph) -> Interface:
        """That of a graph."""
        written = {id(s): s for s in (node.attrs["storage"] for node in graph.effects)}
        variables = (storage for storage, _ in graph.variables)
        return Interface(tuple(graph.placeholders), tuple(variables), tuple(written.values()))
