"""fold: compute at build time what depends on constants alone."""

from __future__ import annotations

from ...graphs.dims import symbols
from ...graphs.ir import CONSTANT, Graph, Node, Value
from ...graphs.kernels import launch

# Above this a constant would cost more memory for the program's life than it saves time a step.
_MOST_BYTES = 1 << 20


def fold(graph: Graph) -> Graph:
    """Before: any graph. After: no node of known shape reads constants alone and gives a small
    array, but for the constants themselves. Kernels are the ones that a run would call."""
    return graph.rebuild(_visit)


def _visit(new: Graph, node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...]:
    if node.is_source or not _is_known(node) or not all(v.node.op is CONSTANT for v in inputs):
        return new.copy_node(node, inputs)
    results = launch(node.bound, [v.node.attrs["array"] for v in inputs])
    return tuple(new.add_constant(array) for array in results)


def _is_known(node: Node) -> bool:
    if any(symbols(value) for value in node.attrs.values()):
        return False
    avals = (*node.bound.ins, *node.bound.outs)
    return all(not a.is_symbolic and int(a.nbytes) <= _MOST_BYTES for a in avals)
