"""Overwriting: what can be computed over numbers that nothing reads afterwards.

An update goes straight into its variable, and a carry of a loop over the one before. Whatever reads
the old numbers has to run first, and what computes the new ones reads old ones element by element.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from ...graphs.ir import Graph, Node, Value
from ...graphs.regions import CHECKPOINT, COND, FUSED, SCAN, WHILE
from .calls import CALLS
from .copies import JOINS
from .plan import FULL, ROW, Plan
from .product import product_of_body
from .support import is_call

# What is overwritten, and with what.
Pair = tuple[Value, Value]


class Precedence:
    """Which nodes must run before which others.

    Parameters
    ----------
    nodes : sequence of Node

    Attributes
    ----------
    after : dict
        From each node to those that must come later.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self.after: dict[Node, set[Node]] = defaultdict(set)
        for node in nodes:
            for value in node.inputs:
                self.after[value.node].add(node)

    def put_first(self, first: Collection[Node], last: Node) -> bool:
        """Let some nodes run before another one; whether they can."""
        pending, seen = [last], {last}
        while pending:
            for node in self.after[pending.pop()]:
                if node in first:
                    return False
                if node not in seen:
                    seen.add(node)
                    pending.append(node)
        for node in first:
            self.after[node].add(last)
        return True

    def order(self) -> list[Node]:
        """The nodes as they were created, as far as this lets them."""
        waiting = dict.fromkeys(self._nodes, 0)
        for node in self._nodes:
            for later in self.after[node]:
                waiting[later] += later in waiting
        ready = [(node.id, node) for node in self._nodes if not waiting[node]]
        result = []
        while ready:
            _, node = heapq.heappop(ready)
            result.append(node)
            for later in self.after[node]:
                waiting[later] -= 1
                if not waiting[later]:
                    heapq.heappush(ready, (later.id, later))
        return result


def readers_of(value: Value) -> list[Node]:
    """The nodes that read a value, directly or through views."""
    found, shown = [], [value]
    while shown:
        for user in shown.pop().uses:
            if not user.op.effect:
                found.append(user)
            if user.op.view:
                shown += user.outputs
    return found


def views_of(value: Value) -> set[Value]:
    """A value and all that shows it."""
    return {value, *(v for node in readers_of(value) if node.op.view for v in node.outputs)}


def overwriting(body: Graph, pairs: Iterable[Pair]) -> tuple[list[Pair], Precedence]:
    """Those of some pairs of placeholders and outputs of a body of which the output can take the
    placeholder's memory, and what must run before what then."""
    precedence = Precedence(body.nodes)
    found: list[Pair] = []
    for held, value in pairs:
        if value is not held and not _can_follow(body, held, value, found):
            continue
        writer = value.node
        first = set() if value is held else {n for n in readers_of(held) if n is not writer}
        if precedence.put_first(first, writer):
            found.append((held, value))
    return found, precedence


def _can_follow(body: Graph, held: Value, value: Value, found: list[Pair]) -> bool:
    """Whether an output can be computed over a placeholder, if all other readers go first."""
    node = value.node
    return (
        held.aval == value.aval
        and node.op.name not in JOINS  # parts of it are there before
        and not is_call(node)  # a gradient may be computed with its loss
        and all(value is not taken for _, taken in found)
        and not views_of(held) & set(body.outputs)
        and reads_in_place(held, value, found)
    )


def reads_in_place(held: Value, value: Value, others: Iterable[Pair] = ()) -> bool:
    """Whether the node that computes a value reads another one at the same element at most, or
    hands it on to bodies that do.

    Parameters
    ----------
    held, value : Value
    others : iterable of pairs
        What else is to be overwritten.
    """
    node, shown = value.node, views_of(held)
    reads = [i for i, v in enumerate(node.inputs) if v in shown]
    if not reads:
        return True
    if any(node.inputs[i] is not held for i in reads):
        return False
    if node.op is FUSED:
        return held in overwritable(node).get(value, ())
    if node.op in (SCAN, WHILE):
        is_carry = value.index < node.attrs["carries"]
        return is_carry and reads == [value.index]  # the loop begins with it
    if node.op in (COND, CHECKPOINT):
        pairs = [(h, v) for h, v in others if v.node is node]
        return _follow_in_bodies(node, [*pairs, (held, value)])
    return False


def _follow_in_bodies(node: Node, pairs: list[Pair]) -> bool:
    """Whether results of a region can take the memory of operands, in each of its bodies."""
    for body, feed in zip(node.attrs["bodies"], node.attrs["feeds"]):
        inside = []
        for held, value in pairs:
            fed = [p for p, i in zip(body.placeholders.values(), feed) if node.inputs[i] is held]
            if len(fed) > 1:
                return False
            if fed:
                inside.append((fed[0], body.outputs[value.index]))
        if len(overwriting(body, inside)[0]) < len(inside):
            return False
    return True


def overwritable(node: Node) -> dict[Value, set[Value]]:
    """From each result of a node to the operands over which it can be computed: those of its shape
    and dtype that the node reads element by element, as long as it writes nothing yet."""
    elements = set(node.inputs) - read_whole(node)
    if node.op is not FUSED:
        return {v: {o for o in elements if _are_alike(o, v)} for v in node.outputs[:1]}
    [body] = node.attrs["bodies"]
    plan, has_product = Plan(body, node.attrs["kinds"]), product_of_body(body) is not None
    of_rows = {
        v
        for v, inner in zip(node.inputs, body.placeholders.values())
        if all(plan.kind[user] == ROW for user in inner.uses)
    }
    found = {}
    for result, inner in zip(node.outputs, body.outputs):
        is_last = has_product or plan.level[inner.node] == plan.passes - 1
        operands = elements if plan.kind[inner.node] == FULL and is_last else set()
        operands = of_rows if plan.kind[inner.node] == ROW else operands
        found[result] = {v for v in operands if _are_alike(v, result)}
    return found


def _are_alike(a: Value, b: Value) -> bool:
    return (a.aval.shape, a.dtype) == (b.aval.shape, b.dtype)


def read_whole(node: Node) -> set[Value]:
    """The operands that a node does not read element by element: those of the product in a fused
    node, and of a call of the library all but one at most."""
    if node.op is not FUSED:
        over = CALLS[node.op.name].over if is_call(node) else None
        return {v for i, v in enumerate(node.inputs) if i != over}
    [body] = node.attrs["bodies"]
    product = product_of_body(body)
    whole = set() if product is None else set(product.node.inputs)
    return {v for v, inner in zip(node.inputs, body.placeholders.values()) if inner in whole}
