"""Graphs with every symbolic dimension replaced by its size, which may be one that is open."""

from __future__ import annotations

from ...graphs.dims import substitute
from ...graphs.interpreter import resolve, source_array
from ...graphs.ir import SIZE, Graph, Node, Value
from .extents import Extent


def concrete(graph: Graph, binding: dict[str, int]) -> Graph:
    """The graph for one binding of its symbolic dimensions.

    Parameters
    ----------
    graph : Graph
    binding : dict
        From the name of each dimension to its size, an int or an `Extent`.

    Raises
    ------
    ShapeError
        When an operator's result has another shape than the graph was built for.
    """
    if not graph.symbols:
        return graph

    def visit(new: Graph, node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...]:
        if node.op is SIZE:
            size = substitute(node.attrs["dim"], binding)
            if isinstance(size, Extent):
                return new.copy_node(node, inputs, node.bound.changed(dim=size))
            return (new.add_constant(source_array(node, binding)),)
        bound = resolve(node, binding)
        if node.op.region:
            attrs = {name: substitute(value, binding) for name, value in node.attrs.items()}
            attrs["bodies"] = tuple(concrete(body, binding) for body in node.attrs["bodies"])
            bound = bound.changed(**attrs)
        return new.copy_node(node, inputs, bound)

    return graph.rebuild(visit)
