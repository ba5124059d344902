"""How images lie between the two passes of a compiled function.

Convolutions in native code take channels last, and what is fused with them follows. An image that
the backward pass reads is handed over as it lies then: with its axes moved, which is a view in
either program, where the order of the axes would cost a copy in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ..graphs.ir import PLACEHOLDER, Graph, Node, Value
from ..graphs.ops import permute_dims

_CONVOLUTIONS = frozenset(["conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d"])

Axes = tuple[int, ...]


def channels_last(graph: Graph, values: Iterable[Value]) -> dict[Value, Axes]:
    """The order of axes in which to hand over those of some values that convolutions deal with."""
    shapes = {
        value.shape
        for node in graph.nodes
        if node.op.name in _CONVOLUTIONS
        for value in (node.inputs[0], *node.outputs)
    }
    return {v: (0, *range(2, len(v.shape)), 1) for v in values if v.shape in shapes}


def give(graph: Graph, orders: Mapping[int, Axes]) -> None:
    """Let outputs of a graph, by their positions, be given in other orders of their axes."""
    with graph.building():
        graph.outputs = tuple(
            [permute_dims(v, orders[i]) if i in orders else v for i, v in enumerate(graph.outputs)]
        )


def take(graph: Graph, orders: Mapping[int, Axes]) -> Graph:
    """The graph with placeholders, by their positions, that are fed in other orders of axes."""
    if not orders:
        return graph
    placeholders = list(graph.placeholders.values())
    moved = {placeholders[i].node: axes for i, axes in orders.items()}

    def visit(new: Graph, node: Node, inputs: tuple[Value, ...]) -> Sequence[Value] | None:
        if node.op is not PLACEHOLDER or node not in moved:
            return None
        [value], axes = node.outputs, moved[node]
        aval = replace(value.aval, shape=tuple([value.shape[axis] for axis in axes]))
        given = new.add_placeholder(node.attrs["name"], aval)
        return [permute_dims(given, tuple(sorted(range(len(axes)), key=axes.__getitem__)))]

    found = graph.rebuild(visit)
    found.adopt_parameters(graph)
    return found
