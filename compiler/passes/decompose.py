"""decompose: composites in simple operators, which loops can hold together."""

from __future__ import annotations

from ...graphs.ir import Graph, Node, Value
from ..decompositions import rule_of


def decompose(graph: Graph) -> Graph:
    """Before: any graph. After: no operator that `decompositions.rule_of` has a rule for, but for
    the few calls that its formula does not hold for. Results agree to rounding. Of 16-bit floats
    the kernels compute composites in float32 and round once, so these stay."""
    begun: dict[Node, Value] = {}

    def visit(new: Graph, node: Node, inputs: tuple[Value, ...]) -> tuple[Value, ...] | None:
        rule = rule_of(node.bound)
        if rule is None:
            return None
        first = len(new.nodes)
        found = rule(*inputs, **node.attrs)
        if found is None:
            return None
        if len(new.nodes) > first:
            begun[node] = new.nodes[first].outputs[0]
        return found if isinstance(found, tuple) else (found,)

    new = graph.rebuild(visit, bodies=decompose)
    # An effect that hangs on one of several results takes place for the sake of any of them: it
    # now hangs on what all of them are made from.
    for old, effect in zip(graph.effects, new.effects, strict=True):
        if old.when is not None and old.when.node in begun and len(old.when.node.outputs) > 1:
            effect.when = begun[old.when.node]
    return new
