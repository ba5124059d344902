"""Known nodes: those whose results are the same in every run, as constants alone lead to them."""

from __future__ import annotations

from collections.abc import Callable

from ..graphs.ir import CONSTANT, Graph, Node, Value
from ..graphs.regions import FUSED


def known_nodes(graph: Graph, takes: Callable[[Node], bool] = lambda node: True) -> set[Node]:
    """The nodes that a program had better compute once, before its runs.

    They read constants and each other alone, never refuse their data, and no result takes more
    memory than the operands: what grew from a few numbers is cheaper to make again than to keep.

    Parameters
    ----------
    graph : Graph
    takes : callable
        Whether whoever asks can compute a node beforehand.
    """
    found: set[Node] = set()
    held: dict[Value, int] = {}  # bytes in memory, of constants and of what follows from them
    for node in graph.nodes:
        if node.op is CONSTANT:
            held[node.outputs[0]] = int(node.attrs["array"].nbytes)
            continue
        if not node.inputs or not all(v in held for v in node.inputs) or not _is_plain(node):
            continue
        room = sum(held[v] for v in set(node.inputs))
        sizes = [room if node.op.view else int(aval.nbytes) for aval in node.bound.outs]
        if max(sizes) <= room and takes(node):
            found.add(node)
            held.update(zip(node.outputs, sizes))
    return found


def _is_plain(node: Node) -> bool:
    """Whether a node computes sizes that are known from its operands, whatever these hold."""
    if node.op.region and node.op is not FUSED:
        return False
    avals = (*node.bound.ins, *node.bound.outs)
    return not (node.op.effect or node.bound.may_raise or any(a.is_symbolic for a in avals))
