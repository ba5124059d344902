"""decompose: composites in simple operators, which loops can hold together."""

from __future__ import annotations

from ...graphs.dtypes import FLOAT32, FLOAT64
from ...graphs.ir import Graph, Node, Value
from ..decompositions import DECOMPOSITIONS


def decompose(graph: Graph) -> Graph:
    """Before: any graph. After: no operator of the table `decompositions.DECOMPOSITIONS` on
    float32 or float64, but for the few calls that its formula does not hold for. Results agree to
    rounding. Of 16-bit floats the kernels compute in float32 and round once, so they stay."""
    begun: dict[Node, Value] = {}

    def visit(new: Graph, node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
        rule = DECOMPOSITIONS.get(node.op.name)
        if rule is None or any(aval.dtype not in (FLOAT32, FLOAT64) for aval in node.bound.ins):
            return None
        first = len(new.nodes)
        found = rule(*inputs, **node.attrs)
        if found is None:
            return None
        begun[node] = new.nodes[first].outputs[0]
        return found if isinstance(found, tuple) else (found,)

    new = graph.rebuild(visit, bodies=decompose)
    # An effect that hangs on one of several results takes place for the sake of any of them: it
    # now hangs on what all of them are made from.
    for old, effect in zip(graph.effects, new.effects, strict=True):
        if old.when is not None and old.when.node in begun and len(old.when.node.outputs) > 1:
            effect.when = begun[old.when.node]
    return new
