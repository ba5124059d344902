"""cse: compute the same thing once (common subexpression elimination)."""

from __future__ import annotations

from typing import Any

from ...graphs.ir import CONSTANT, Graph, Node, Value
from ...graphs.ops.core import Bound, distinct


def cse(graph: Graph) -> Graph:
    """Before: any graph. After: no two nodes apply one operator with equal attributes to the same
    operands, and no two small constants are equal. Operators are functions of their operands,
    random ones too (they read their offset), so the first result stands for all. The same
    holds within each body of a region."""
    repeats = _repeats(graph)
    if not repeats and not graph.regions:
        return graph
    repeated = set(repeats.values())
    made: dict[Node, tuple[Value, ...]] = {}

    def visit(new: Graph, node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
        if node in repeated:
            made[node] = new.copy_node(node, inputs)
        return made.get(repeats.get(node, node))

    return graph.rebuild(visit, bodies=cse)


def _repeats(graph: Graph) -> dict[Node, Node]:
    """From each node that does what an earlier one does to the first that does it."""
    kinds: dict[Any, int] = {}
    kind_of = {id(b): kinds.setdefault(_kind(b), len(kinds)) for b in graph.bounds}
    firsts: dict[Any, Node] = {}
    repeats: dict[Node, Node] = {}
    stands: dict[Value, Value] = {}  # for results of repeats
    for node in graph.nodes:
        if not node.op.effect and not node.op.region:
            operands = [id(stands.get(value, value)) for value in node.inputs]
            first = firsts.setdefault((kind_of[id(node.bound)], *operands), node)
            if first is not node:
                repeats[node] = first
                stands.update(zip(node.outputs, first.outputs))
    return repeats


def _kind(bound: Bound) -> Any:
    """What is equal for those that give the same for the same operands."""
    if bound.op is CONSTANT:
        array = bound.attrs["array"]
        if array.nbytes > 4096 or not hasattr(array, "tobytes"):
            return id(array)
        # Strides decide the order of sums in what reads it.
        return (array.shape, array.strides, array.dtype, array.tobytes())
    if bound.op.is_source or bound.op.effect or bound.op.region:
        return bound
    attrs = tuple(bound.attrs.values())
    return (bound.op, attrs, distinct(attrs))
