"""decompose: composites in simple operators, which loops can hold together."""

from __future__ import annotations

from ...graphs import ops
from ...graphs.ir import Graph, Node, Value
from ...graphs.ops.core import Bound
from ...graphs.ops.elementwise import astype
from ..decompositions import filled, rule_of, widened

Values = tuple[Value, ...]


def decompose(graph: Graph) -> Graph:
    """Before: any graph. After: no operator that `decompositions.rule_of` has a rule for, but for
    the few calls that its formula does not hold for, none that computes with floats of 16 bits,
    and none whose results have no elements. Results agree to rounding."""
    begun: dict[Node, Value] = {}

    def visit(new: Graph, node: Node, inputs: Values) -> Values | None:
        if not node.op.module.startswith(ops.__name__):
            return None  # a user's own operator computes as its kernel does
        first = len(new.nodes)
        found = _nothing(node.bound)
        if found is None:
            found = _in_float32(new, node.bound, inputs)
        if found is None:
            found = _decomposed(node.bound, inputs)
        if found is not None and len(new.nodes) > first:
            begun[node] = new.nodes[first].outputs[0]
        return found

    new = graph.rebuild(visit, bodies=decompose)
    # An effect that hangs on one of several results takes place for the sake of any of them: it
    # now hangs on what all of them are made from.
    for old, effect in zip(graph.effects, new.effects, strict=True):
        if old.when is not None and old.when.node in begun and len(old.when.node.outputs) > 1:
            effect.when = begun[old.when.node]
    return new


def _nothing(bound: Bound) -> Values | None:
    """Results without elements, which nothing has to compute."""
    op = bound.op
    if op.kernel is None or op.view or op.effect or not bound.outs or bound.may_raise:
        return None
    if not all(0 in aval.shape for aval in bound.outs):
        return None
    return tuple(filled(aval.shape, 0, aval.dtype) for aval in bound.outs)


def _decomposed(bound: Bound, inputs: Values) -> Values | None:
    rule = rule_of(bound)
    found = None if rule is None else rule(*inputs, **bound.attrs)
    return found if found is None or isinstance(found, tuple) else (found,)


def _in_float32(new: Graph, bound: Bound, inputs: Values) -> Values | None:
    """The results of an operator on floats of 16 bits, from floats of 32."""
    wide = widened(bound)
    if wide is None:
        return None
    operands = tuple(
        astype(v, a.dtype) if v.dtype != a.dtype else v for v, a in zip(inputs, wide.ins)
    )
    found = _decomposed(wide, operands) or new.append(wide, operands).outputs
    return tuple(astype(v, a.dtype) if v.dtype != a.dtype else v for v, a in zip(found, bound.outs))
