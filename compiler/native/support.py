"""What has native code."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ...graphs.avals import Aval
from ...graphs.ir import CONSTANT, PLACEHOLDER, SIZE, VARIABLE, Graph, Node, Value
from ...graphs.regions import CHECKPOINT, COND, FUSED, SCAN, WHILE
from .calls import CALLS
from .copies import FILLED, JOINS
from .extents import is_unbounded


def is_call(node: Node) -> bool:
    """Whether the library of native kernels computes a node."""
    return node.op.name in CALLS and CALLS[node.op.name].takes(node)


def is_placeable(value: Value) -> bool:
    """Whether a value can be computed into any given memory."""
    node = value.node
    if node.op in (SCAN, WHILE) and value.index >= node.attrs["carries"]:
        return False  # a stack may hold a carry, for which it has a row more
    return node.op is FUSED or is_call(node) or lowers_region(node)


def lowers_region(node: Node) -> bool:
    """Whether a node is a region that runs as statements around those of its bodies."""
    if node.op is CHECKPOINT:
        return not any(is_grown(aval) for aval in node.bound.outs)
    return node.op in (COND, SCAN, WHILE) and is_native(node)


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
            if once and free and (is_placeable(value) or value.node.op.name in JOINS):
                found[value] = (node, position)
    return found


def is_native(node: Node) -> bool:
    """Whether a node has native code; of a region, all within it."""
    if node.op.region and node.op is not FUSED:
        bodies = node.attrs["bodies"]
        return _fills_stacks(node) and all(is_native(n) for body in bodies for n in body.nodes)
    return node.op in (PLACEHOLDER, CONSTANT, SIZE, VARIABLE) or (
        not is_symbolic(node)
        and (node.op.view or node.op.name in (*JOINS, *FILLED) or node.op is FUSED or is_call(node))
    )


def is_grown(aval: Aval) -> bool:
    """Whether the size of an array depends on data."""
    return any(map(is_unbounded, aval.shape))


def is_symbolic(node: Node) -> bool:
    """Whether a node reads or makes something whose size depends on data."""
    return any(is_grown(aval) for aval in (*node.bound.ins, *node.bound.outs))


def without_place(graph: Graph) -> str:
    """What has a size that depends on data and that no stack holds; empty where there is nothing.

    Parameters
    ----------
    graph : Graph
        Without any other symbolic sizes.
    """
    found = (n for n in _inlined(graph) if any(_has_odd_entries(a) for a in n.bound.outs))
    return next((node.op.name for node in found), "")


def _inlined(graph: Graph) -> Iterator[Node]:
    """The nodes of a graph, and those of checkpoints, which run in place of them."""
    for node in graph.nodes:
        yield node
        if node.op is CHECKPOINT:
            yield from _inlined(node.attrs["bodies"][0])


def _has_odd_entries(aval: Aval) -> bool:
    """Whether the size of an entry along the first axis depends on data, too."""
    return any(map(is_unbounded, aval.shape[1:]))


def _fills_stacks(region: Node) -> bool:
    """Whether what depends on data is the number of rounds of loops, which stacks hold."""
    ins, outs = region.bound.ins, region.bound.outs
    if region.op is COND:
        return all(_is_of_one_branch(region, i) for i, a in enumerate(outs) if is_grown(a))
    if region.op is CHECKPOINT:
        return not any(is_grown(aval) for aval in outs)
    count = region.attrs.get("carries", 0)
    if region.op is SCAN and is_unbounded(region.attrs["length"]):
        slices = ins[count : count + region.attrs["xs"]]
        if not any(is_grown(aval) for aval in slices):
            return False  # nothing tells how many rounds there are
    if any(is_grown(aval) for aval in outs[:count]):
        return False
    return not any(_has_odd_entries(aval) for aval in (*ins[count:], *outs[count:]))


def _is_of_one_branch(region: Node, position: int) -> bool:
    """Whether one branch alone gives a result, and the other one nothing."""
    found = [body.outputs[position].aval for body in region.attrs["bodies"]]
    return sum(is_grown(aval) for aval in found) == 1 and any(a.shape[0] == 0 for a in found)
