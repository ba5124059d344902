"""cse: compute the same thing once (common subexpression elimination)."""

from __future__ import annotations

from typing import Any

from ...graphs.ir import CONSTANT, Graph, Node, Value
from ...graphs.ops.core import distinct
from ...graphs.regions import into_bodies


def cse(graph: Graph) -> Graph:
    """Before: any graph. After: no two nodes apply one operator with equal attributes to the same
    operands, and no two small constants are equal. Operators are functions of their operands,
    random ones too (they read their offset), so the first result stands for all. The same
    holds within each body of a region."""
    seen: dict[Any, tuple[Value, ...]] = {}

    def visit(new: Graph, node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...]:
        key = _key(node, inputs)
        if key not in seen:
            seen[key] = new.copy_node(node, inputs)
        return seen[key]

    return graph.rebuild(into_bodies(cse, visit))


def _key(node: Node, inputs: tuple[Value, ...]) -> Any:
    if node.op is CONSTANT:
        array = node.attrs["array"]
        if array.nbytes > 4096 or not hasattr(array, "tobytes"):
            return id(array)
        # Strides decide the order of sums in what reads it.
        return ("constant", array.shape, array.strides, array.dtype, array.tobytes())
    if node.is_source:
        return node
    attrs = tuple(node.attrs.values())
    return (node.op, attrs, distinct(attrs), tuple(map(id, inputs)))
