"""fold: compute at build time what depends on constants alone."""

from __future__ import annotations

from functools import partial
from typing import Any

from ...graphs.dims import symbols
from ...graphs.errors import DiptychError
from ...graphs.ir import CONSTANT, PLACEHOLDER, Graph, Node, Value
from ...graphs.kernels.launch import compute
from ...graphs.ops.core import Bound

# Above this a constant would cost more memory for the program's life than it saves time a step.
_MOST_BYTES = 1 << 20


def fold(graph: Graph) -> Graph:
    """Before: any graph. After: no node of known shape reads constants alone and gives a small
    array, but for the constants themselves. Kernels are the ones that a run would call. Constants
    that a region reads as a whole are constants of its bodies."""
    if not any(node.op.region or _is_known(node, node.inputs) for node in graph.nodes):
        return graph
    return graph.rebuild(_visit)


def _visit(new: Graph, node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
    if node.op.region:
        return new.copy_node(node, inputs, _absorbed(node, inputs))
    if not _is_known(node, inputs):
        return None
    try:
        found = compute(node.bound, [v.node.attrs["array"] for v in inputs])
    except DiptychError:
        return None  # for the run to raise
    results = found if isinstance(found, tuple) else (found,)
    return tuple(new.add_constant(array) for array in results)


def _absorbed(node: Node, inputs: tuple[Value, ...]) -> Bound:
    """A region whose bodies hold the constants they read, folded in turn."""
    attrs = node.attrs
    first = attrs.get("carries", 0) + attrs.get("xs", 0)
    known = {
        i: v.node.attrs["array"]
        for i, v in enumerate(inputs)
        if i >= first and v.node.op is CONSTANT and v.node.attrs["array"].nbytes <= _MOST_BYTES
    }
    bodies, feeds = [], []
    for body, feed in zip(attrs["bodies"], attrs["feeds"]):
        by_name = dict(zip(body.placeholders, feed))
        bodies.append(fold(body.rebuild(partial(_bring_in, known, by_name))))
        feeds.append(tuple(i for i in feed if i not in known))
    return node.bound.changed(bodies=tuple(bodies), feeds=tuple(feeds))


def _bring_in(
    known: dict[int, Any],
    by_name: dict[str, int],
    new: Graph,
    node: Node,
    inputs: tuple[Value, ...],
) -> tuple[Value] | None:
    if node.op is PLACEHOLDER and by_name[node.attrs["name"]] in known:
        return (new.add_constant(known[by_name[node.attrs["name"]]]),)
    return None


def _is_known(node: Node, inputs: tuple[Value, ...]) -> bool:
    """Whether a node computes, of constants alone, something small."""
    if not all(v.node.op is CONSTANT for v in inputs) or node.is_source or node.op.foreign:
        return False
    if any(symbols(value) for value in node.attrs.values()):
        return False
    avals = (*node.bound.ins, *node.bound.outs)
    return all(not a.is_symbolic and int(a.nbytes) <= _MOST_BYTES for a in avals)
