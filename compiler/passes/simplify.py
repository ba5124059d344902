"""simplify: algebra that keeps every bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...graphs import ops
from ...graphs.dtypes import is_complex
from ...graphs.ir import CONSTANT, Graph, Node, Value

# What stands for a node with these operands, or what appends that; None where it stays.
Rule = Callable[[Node, tuple[Value, ...]], "Value | Callable[[], Value] | None"]


def simplify(graph: Graph) -> Graph:
    """Before: any graph. After: no node matches a rule below. Each rule is exact for NaN,
    infinities and signed zeros; ``x + 0.0`` is no rule, for it turns -0.0 into 0.0."""
    if not graph.regions and all(_found(node, node.inputs) is None for node in graph.nodes):
        return graph

    def visit(new: Graph, node: Node, inputs: tuple[Value, ...]) -> tuple[Value] | None:
        found = _found(node, inputs)
        if found is None:
            return None
        return (found if isinstance(found, Value) else found(),)

    return graph.rebuild(visit, bodies=simplify)


def _found(node: Node, inputs: tuple[Value, ...]) -> Value | Callable[[], Value] | None:
    rule = RULES.get(node.op.name)
    return None if rule is None else rule(node, inputs)


def _without(neutral: float, node: Node, x: Value, y: Value) -> Value | None:
    """``x`` where `y` is a constant of the neutral number and the result is like `x`."""
    if y.node.op is not CONSTANT or x.aval != node.outputs[0].aval:
        return None
    array = y.node.attrs["array"]
    if array.size != 1 or not isinstance(array, np.ndarray) or is_complex(array.dtype):
        return None
    number = array.reshape(())
    exact = number == neutral and np.signbit(number) == np.signbit(neutral)
    return x if exact else None


def _either(neutral: float) -> Rule:
    def rule(node: Node, inputs: tuple[Value, ...]) -> Value | None:
        x, y = inputs
        found = _without(neutral, node, x, y)
        return _without(neutral, node, y, x) if found is None else found

    return rule


def _right(neutral: float) -> Rule:
    return lambda node, inputs: _without(neutral, node, *inputs)


def _unchanged(node: Node, inputs: tuple[Value, ...]) -> Value | None:
    """An operator that only reshapes or casts does nothing where the aval stays."""
    return inputs[0] if inputs[0].aval == node.outputs[0].aval else None


def _reshape(node: Node, inputs: tuple[Value, ...]) -> Value | Callable[[], Value] | None:
    [x] = inputs
    source = x.node.inputs[0] if x.node.op.name == "reshape" else x
    if source.aval == node.outputs[0].aval:
        return source
    return None if source is x else lambda: ops.reshape(source, node.attrs["shape"])


def _permute(node: Node, inputs: tuple[Value, ...]) -> Value | Callable[[], Value] | None:
    [x] = inputs
    axes = node.attrs["axes"]
    if axes == tuple(range(len(axes))):
        return x
    if x.node.op.name == "permute_dims":
        inner = x.node.attrs["axes"]
        composed = tuple(inner[a] for a in axes)
        source = x.node.inputs[0]
        identity = composed == tuple(range(len(axes)))
        return source if identity else lambda: ops.permute_dims(source, composed)
    return None


def _negative(node: Node, inputs: tuple[Value, ...]) -> Value | None:
    [x] = inputs
    return x.node.inputs[0] if x.node.op.name == "negative" else None


def _accumulate(node: Node, inputs: tuple[Value, ...]) -> Value | None:
    return inputs[0] if len(inputs) == 1 else None


def _reduce(node: Node, inputs: tuple[Value, ...]) -> Value | Callable[[], Value] | None:
    """A reduction over no axes gives its operand; a sum begins with zero."""
    [x] = inputs
    if node.attrs["axis"] or x.aval != node.outputs[0].aval:
        return None
    return x if node.op.name != "sum" else lambda: ops.add(x, 0)


RULES: dict[str, Rule] = {
    "accumulate": _accumulate,
    "add": _either(-0.0),
    "astype": _unchanged,
    "broadcast_to": _unchanged,
    "divide": _right(1.0),
    "max": _reduce,
    "min": _reduce,
    "multiply": _either(1.0),
    "negative": _negative,
    "permute_dims": _permute,
    "pow": _right(1.0),
    "prod": _reduce,
    "reshape": _reshape,
    "subtract": _right(0.0),
    "sum": _reduce,
    "sum_to": _unchanged,
}
