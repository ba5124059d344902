"""Graphs with every symbolic dimension replaced by its size."""

from __future__ import annotations

from ...graphs.avals import aval_of
from ...graphs.dims import substitute
from ...graphs.interpreter import resolve, source_array
from ...graphs.ir import PLACEHOLDER, Graph, Node, Value
from ...graphs.nodes import CONSTANT, SIZE
from ...graphs.ops.core import Bound


def concrete(graph: Graph, binding: dict[str, int]) -> Graph:
    """The graph for one binding of its symbolic dimensions.

    Parameters
    ----------
    graph : Graph
    binding : dict
        From the name of each dimension to its size.

    Raises
    ------
    ShapeError
        When an operator's result has another shape than the graph was built for.
    """
    if not graph.symbols:
        return graph

    def visit(new: Graph, node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...]:
        if node.op is SIZE:
            array = source_array(node, binding)
            return new.append(
                Bound(CONSTANT, {"aval": aval_of(array), "array": array}, (), (aval_of(array),)), ()
            ).outputs
        bound = resolve(node, binding)
        if node.op.region:
            attrs = {name: substitute(value, binding) for name, value in node.attrs.items()}
            attrs["bodies"] = tuple(concrete(body, binding) for body in node.attrs["bodies"])
            bound = Bound(node.op, attrs, bound.ins, bound.outs)
        copy = new.append(bound, inputs, None, node.location)
        if node.op is PLACEHOLDER:
            new._placeholders[node.attrs["name"]] = copy.outputs[0]
        return copy.outputs

    return graph.rebuild(visit)
