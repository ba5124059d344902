"""freeze: what a program only reads is a constant of it."""

from __future__ import annotations

from ...graphs.ir import VARIABLE, Graph, Node, Value
from ...graphs.kernels import shares_memory


def freeze(graph: Graph) -> Graph:
    """Before: any graph. After: its variables are those that it assigns, and those that lie in the
    memory of one of these; all others are constants, copies of what they hold now."""
    written = {id(effect.attrs["storage"]): effect.attrs["storage"] for effect in graph.effects}
    arrays = [storage.array for storage in written.values()]

    def visit(new: Graph, node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...]:
        array = node.attrs["storage"].array if node.op is VARIABLE else None
        if array is None or any(array is a or shares_memory(array, a) for a in arrays):
            return new.copy_node(node, inputs)
        return (new.add_constant(array.copy(order="K")),)

    return graph.rebuild(visit)
