"""Sums as trees: what a chain of `accumulate` and `add` adds up, and who reads what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from ...graphs.ir import Graph, Node, Value


def readers(graph: Graph) -> Counter[Value]:
    """How often each value is read by what an output or an effect needs; outputs count as read."""
    count = Counter(graph.outputs)
    for node in reversed(graph.nodes):
        if node.op.effect or not count.keys().isdisjoint(node.outputs):
            for value in node.inputs:
                count[value] = count.get(value, 0) + 1  # `Counter.update` is slow for so few
    return count


def is_addition(node: Node) -> bool:
    """Whether a node adds values up; some of them may be broadcast."""
    return node.op.name in ("accumulate", "add")


def is_sum(node: Node) -> bool:
    """Whether a node adds up values that are all like its result."""
    return is_addition(node) and all(aval == node.bound.outs[0] for aval in node.bound.ins)


def whole_sums(graph: Graph, reads: Counter[Value]) -> dict[Node, list[Value]]:
    """The roots of the trees of sums, each with its terms from left to right.

    A sum belongs to the tree of the one that reads it if nothing else does.
    """

    def is_inner(value: Value) -> bool:
        return is_sum(value.node) and reads[value] == 1

    def is_root(node: Node) -> bool:
        [value] = node.outputs
        users = (user for user in value.uses if reads[user.outputs[0]])
        return reads[value] != 1 or not any(map(is_sum, users))

    sums = filter(is_sum, graph.nodes)
    return {node: terms_of(node, is_inner)[0] for node in sums if is_root(node)}


def terms_of(root: Node, is_inner: Callable[[Value], bool]) -> tuple[list[Value], list[Node]]:
    """What a sum adds up, from left to right, and the sums within; `is_inner` tells them."""
    terms: list[Value] = []
    inner: list[Node] = []
    pending = [*reversed(root.inputs)]  # loops unrolled give chains too long for recursion
    while pending:
        value = pending.pop()
        if is_inner(value):
            inner.append(value.node)
            pending += reversed(value.node.inputs)
        else:
            terms.append(value)
    return terms, inner
