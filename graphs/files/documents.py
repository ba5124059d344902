"""Graphs as documents: the nodes that fetches need, with the storages and constants they read."""

from __future__ import annotations

from typing import Any

from ..avals import Aval
from ..dims import Dim
from ..errors import FetchError, GraphError
from ..ir import Graph, Node, Update, Value
from ..ops.core import REGISTRY
from ..storage import Storage
from ..trees import flatten
from .layout import GRAPH_KEY
from .strict_json import dump
from .values import Encoder
from .writing import write_container


def save_graph(path: Any, graph: Graph, fetches: Any) -> None:
    """Write what fetches need of a graph to a file; see `static.Graph.save`."""
    leaves, _ = flatten(fetches)
    for leaf in leaves:
        if not isinstance(leaf, Value | Update):
            raise FetchError(
                f"save: fetches must be values or updates, got {type(leaf).__name__} {leaf!r}"
            )
        nodes = leaf.nodes if isinstance(leaf, Update) else (leaf.node,)
        if any(node.graph is not graph for node in nodes):
            raise FetchError(f"save: fetches must be of the graph that is saved, got {leaf!r}")
    writer = _Writer(graph)
    kept = needed(graph, leaves)
    writer.add(graph, [node for node in graph.nodes if node.id in kept])
    document = {
        "fetches": writer.encode(fetches),
        "storages": writer.storages,
        "graphs": writer.graphs,
    }
    write_container(path, writer.tensors, GRAPH_KEY, dump(document))


def needed(graph: Graph, leaves: list[Any]) -> set[int]:
    """The ids of the nodes that values and updates need, and of all placeholders.

    An effect with a condition is needed where its condition is, and so is the assignment whose
    value a needed node reads as the variable's: without it, the node were a function of others.
    """
    found = {value.node.id for value in graph.placeholders.values()}
    found.update(value.node.id for value in graph.outputs)
    for leaf in leaves:
        found.update(n.id for n in (leaf.nodes if isinstance(leaf, Update) else (leaf.node,)))
    reads = _reads(graph)
    assigned = {node: _assignment(graph, storage, node) for node, storage in reads.items()}
    before = -1
    while len(found) != before:
        before = len(found)
        found.update(n.id for n in graph.effects if _happens(n, found))
        found.update(effect.id for node, effect in assigned.items() if node.id in found)
        for node in reversed(graph.nodes):
            if node.id in found:
                found.update(value.node.id for value in node.inputs)
                if node.when is not None:
                    found.add(node.when.node.id)
    return found


def _happens(effect: Node, computed: set[int]) -> bool:
    return effect.when is not None and effect.when.node.id in computed


def _reads(graph: Graph) -> dict[Node, Storage]:
    """The nodes that give a storage's value after an assignment."""
    return {
        value.node: storage
        for storage, _ in graph.variables
        for value in graph.reads_of(storage)[1:]
    }


def _assignment(graph: Graph, storage: Storage, read: Node) -> Node:
    """The assignment whose value a node reads."""
    before = (e for e in graph.effects if e.id < read.id and e.attrs["storage"] is storage)
    return max(before, key=lambda effect: effect.id)


class _Writer(Encoder):
    """Encodes a graph, its bodies before it.

    Attributes
    ----------
    graphs, storages : list
        JSON of each.
    """

    def __init__(self, main: Graph) -> None:
        super().__init__("save")
        self.graphs: list[Any] = []
        self.storages: list[Any] = []
        self._storage_numbers: dict[int, int] = {}
        self._node_numbers: dict[Node, int] = {}
        self._data_sizes: dict[str, int] = {}
        self._reads = _reads(main)
        self._parameters = {id(p.storage): p for p in main.parameters}

    def tagged(self, value: Any, path: tuple[str, ...]) -> tuple[str, Any]:
        if isinstance(value, Dim) and value.depends_on_data:
            return super().tagged(self._renamed(value), path)
        if isinstance(value, Storage):
            return "storage", self._storage(value)
        if isinstance(value, Graph):
            return "graph", self.add(value, value.nodes)
        if isinstance(value, Value):
            return "value", self._reference(value)
        if isinstance(value, Update):
            return "update", [self._node_numbers[node] for node in value.nodes]
        return super().tagged(value, path)

    def add(self, graph: Graph, nodes: list[Node]) -> int:
        """Encode some nodes of a graph; the graph's number."""
        encoded = []
        for number, node in enumerate(nodes):
            self._node_numbers[node] = number
            encoded.append(self._node(node))
        outputs = [self._reference(value) for value in graph.outputs]
        self.graphs.append({"nodes": encoded, "outputs": outputs})
        return len(self.graphs) - 1

    def _node(self, node: Node) -> dict[str, Any]:
        name = node.op.name
        if REGISTRY.get(name) is not node.op:
            raise GraphError(f"save: operators must be in the table, got {name!r}, which is not")
        members = {
            "op": name,
            "inputs": [self._reference(value) for value in node.inputs],
            "attrs": {key: self.encode(v, (name, key)) for key, v in node.attrs.items()},
            "results": [self._aval(value.aval) for value in node.outputs],
            "recorded": node.recorded,
        }
        if node.when is not None:
            members["when"] = self._reference(node.when)
        if node in self._reads:
            members["reads"] = self._storage(self._reads[node])
        return members

    def _renamed(self, dim: Dim) -> Dim:
        """Sizes that depend on data, numbered anew.

        A graph names them after its number of nodes, so that the names of what is appended to the
        loaded graph, which may have fewer, are free.
        """
        terms = {
            tuple(sorted((self._symbol(name), power) for name, power in monomial)): coefficient
            for monomial, coefficient in dim.terms.items()
        }
        return Dim(terms)

    def _symbol(self, name: str) -> str:
        if not Dim.symbol(name).depends_on_data:
            return name
        number = self._data_sizes.setdefault(name, len(self._data_sizes))
        [new] = Dim.of_data(f"trips{number}").terms
        return new[0][0]

    def _reference(self, value: Value) -> list[int]:
        return [self._node_numbers[value.node], value.index]

    def _aval(self, aval: Aval) -> list[Any]:
        return [aval.dtype.name, self.encode(aval.shape), str(aval.device)]

    def _storage(self, storage: Storage) -> int:
        if id(storage) not in self._storage_numbers:
            parameter = self._parameters.get(id(storage))
            self._storage_numbers[id(storage)] = len(self.storages)
            self.storages.append(
                {
                    "name": self.encode(storage.name),
                    "data": self.encode(storage.array, (storage.name or "variable",)),
                    "device": str(storage.device),
                    "requires_grad": None if parameter is None else parameter.requires_grad,
                }
            )
        return self._storage_numbers[id(storage)]
