"""What has native code."""

from __future__ import annotations

from collections.abc import Collection

from ...graphs.ir import CONSTANT, PLACEHOLDER, VARIABLE, Graph, Node, Value
from ...graphs.regions import FUSED
from .calls import CALLS
from .copies import JOINS, SCATTER


def is_call(node: Node) -> bool:
    """Whether the library of native kernels computes a node."""
    return node.op.name in CALLS and CALLS[node.op.name].takes(node)


def is_placeable(node: Node) -> bool:
    """Whether a node's results can be computed into any given memory."""
    return node.op is FUSED or is_call(node)


def joined(graph: Graph, placed: Collection[Value]) -> dict[Value, tuple[Node, int]]:
    """Values that can be computed straight into their part of a joined one: from each to the node
    that joins it and its position there.

    Those that are placed elsewhere are left out.
    """
    found: dict[Value, tuple[Node, int]] = {}
    for node in graph.nodes:
        if node.op.name not in JOINS:
            continue
        for position, value in enumerate(node.inputs):
            once = sum(v is value for v in node.inputs) == 1
            free = value not in placed and value not in found
            if once and free and (is_placeable(value.node) or value.node.op.name in JOINS):
                found[value] = (node, position)
    return found


def is_native(node: Node) -> bool:
    """Whether a node has native code; of a region, all within it."""
    if node.op.region and node.op is not FUSED:
        if any(aval.is_symbolic for aval in (*node.bound.ins, *node.bound.outs)):
            return False
        return all(is_native(child) for body in node.attrs["bodies"] for child in body.nodes)
    return (
        node.op in (PLACEHOLDER, CONSTANT, VARIABLE)
        or node.op.view
        or node.op.name in (*JOINS, SCATTER)
        or is_placeable(node)
    )
