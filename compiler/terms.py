"""Sums as trees: what a chain of `accumulate` and `add` adds up, and who reads what."""

from __future__ import annotations

from collections import Counter

from ..graphs.ir import Graph, Node, Value


def readers(graph: Graph) -> Counter[Value]:
    """How often each value is read by what an output or an effect needs; outputs count as read."""
    count = Counter(graph.outputs)
    for node in reversed(graph.nodes):
        if node.op.effect or not count.keys().isdisjoint(node.outputs):
            for value in node.inputs:
                count[value] = count.get(value, 0) + 1  # `Counter.update` is slow for so few
    return count


def is_sum(node: Node) -> bool:
    """Whether a node adds up values that are all like its result."""
    if node.op.name not in ("accumulate", "add"):
        return False
    return all(aval == node.bound.outs[0] for aval in node.bound.ins)


def whole_sums(graph: Graph, reads: Counter[Value]) -> dict[Node, list[Value]]:
    """The roots of the trees of sums, each with its terms from left to right.

    A sum belongs to the tree of the one that reads it if nothing else does.
    """
    roots = {}
    for node in graph.nodes:
        if is_sum(node) and not _is_inner(node, reads):
            roots[node] = _terms(node, reads)
    return roots


def _is_inner(node: Node, reads: Counter[Value]) -> bool:
    [value] = node.outputs
    return reads[value] == 1 and any(is_sum(user) and reads[user.outputs[0]] for user in value.uses)


def _terms(root: Node, reads: Counter[Value]) -> list[Value]:
    terms: list[Value] = []
    pending = list(reversed(root.inputs))  # loops unrolled give chains too long for recursion
    while pending:
        value = pending.pop()
        if is_sum(value.node) and reads[value] == 1:
            pending += reversed(value.node.inputs)
        else:
            terms.append(value)
    return terms


__all__ = ["is_sum", "readers", "whole_sums"]
