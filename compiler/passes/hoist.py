"""hoist: compute before a loop what its rounds need no carry for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

from ...graphs import ops
from ...graphs.errors import ShapeError
from ...graphs.ir import Graph, Node, Value
from ...graphs.ops.batching import elementwise
from ...graphs.ops.core import Bound
from ...graphs.ops.rules import broadcast_shapes
from ...graphs.partition import cut, feeding
from ...graphs.regions import SCAN, WHILE
from .rounds import Rounds, addends, at_most, is_product, is_settled, nbytes, settled
from .terms import is_addition


def hoist(graph: Graph) -> Graph:
    """Before: a pruned graph. After: no round of a loop computes what is the same in every round,
    and no round of a `scan` multiplies a slice by a matrix that is the same in every round: it
    takes its slice of one product for all. Sums with such products are put in another order, so
    that what needs no carry is added before the loop. An element-wise operator on such products is
    moved with them where the loop then reads no more than before, and whatever leads from slices to
    results alone leaves the loop. Sums are rounded differently, but those of integers."""
    if is_settled(graph) and not graph.regions:
        return graph

    def visit(new: Graph, node: Node, inputs: tuple[Value, ...]) -> Sequence[Value] | None:
        if node.op is SCAN:
            return _hoist_scan(new, node, inputs)
        return _hoist_while(new, node, inputs) if node.op is WHILE else None

    return settled(graph.rebuild(visit, bodies=hoist))


def _hoist_while(new: Graph, node: Node, inputs: tuple[Value, ...]) -> Sequence[Value]:
    """Only what is the same in every round: how many rounds there are is not known before."""
    operands = list(inputs)
    pairs = [
        _hoist_body(Rounds(new, node, inputs, hoist(body), feed), operands)
        for body, feed in zip(node.attrs["bodies"], node.attrs["feeds"])
    ]
    bodies, feeds = zip(*pairs)
    attrs = {**node.attrs, "bodies": bodies, "feeds": feeds}
    bound = Bound(WHILE, attrs, tuple(v.aval for v in operands), node.bound.outs)
    return new.copy_node(node, tuple(operands), bound)


def _hoist_body(rounds: Rounds, operands: list[Value]) -> tuple[Graph, tuple[int, ...]]:
    """A body and its feed, without what is the same in every round, which joins the operands."""
    outputs = list(rounds.body.outputs)
    moved = _moved_whole(rounds)
    if not moved:
        return rounds.body, tuple(rounds.operand_of.values())
    reads = feeding(outputs, lambda v: v in rounds.operand_of or v in moved)
    rounds.compute(v for v in reads if v in moved)
    feed = []
    for value in reads:
        if value in moved:
            feed.append(len(operands))
            operands.append(rounds.outside[value])
        else:
            feed.append(rounds.operand_of[value])
    return cut(rounds.body, reads, outputs), tuple(feed)


def _hoist_scan(new: Graph, node: Node, inputs: tuple[Value, ...]) -> Sequence[Value]:
    [body], [feed] = node.attrs["bodies"], node.attrs["feeds"]
    rounds = Rounds(new, node, inputs, hoist(body), feed)
    regrouped = _regrouped(rounds)
    if regrouped is not rounds.body:
        rounds = Rounds(new, node, inputs, regrouped, feed)
    along = _Along(rounds).moved
    moved = _moved_whole(rounds) | along
    count, outputs = rounds.carries, rounds.body.outputs
    carries = [i for i in range(count) if i not in rounds.unchanged]
    gone = [
        i
        for i, v in enumerate(outputs)
        if i >= count and (v in along or rounds.operand_of.get(v) in rounds.slices)
    ]
    if not (moved or gone or rounds.unchanged):
        return rounds.append_copy()
    left = [i for i in range(count, len(outputs)) if i not in gone]
    kept = [outputs[i] for i in (*carries, *left)]
    reads = feeding(kept, lambda v: v in rounds.operand_of or v in moved)
    rounds.compute([*(v for v in reads if v in moved), *(outputs[i] for i in gone)])
    results = dict(zip((*carries, *left), rounds.append_scan(carries, kept, moved)))
    results.update((i, inputs[i]) for i in rounds.unchanged)
    results.update((i, rounds.outside[outputs[i]]) for i in gone)
    return [results[i] for i in range(len(outputs))]


def _moved_whole(rounds: Rounds) -> set[Value]:
    """What is the same in every round and worth keeping, unlike what only repeats a number."""
    return {
        v
        for node in rounds.body.nodes
        if node.inputs and node.op.name != "broadcast_to"
        for v in node.outputs
        if v in rounds.fixed
    }


class _Along:
    """Which values are computed for all rounds at once.

    Attributes
    ----------
    moved : set of Value
    """

    def __init__(self, rounds: Rounds) -> None:
        self.rounds = rounds
        self.outputs = set(rounds.body.outputs)
        self.nodes = [n for n in rounds.body.nodes if n.inputs and n.outputs[0] in rounds.along]
        self.moved: set[Value] = set()
        self._move(n for n in self.nodes if is_product(n, rounds))
        grown = _products_on(rounds)
        before = -1
        while len(self.moved) != before:
            before = len(self.moved)
            for node in self.nodes:
                if node.outputs[0] in grown and self._pays(node):
                    self.moved.update(node.outputs)
            self._move(self._whole())

    def _move(self, nodes: Iterable[Node]) -> None:
        """Move nodes and what leads to them."""
        pending = [v for node in nodes for v in node.outputs]
        while pending:
            value = pending.pop()
            if value in self.rounds.along and value not in self.moved and value.node.inputs:
                self.moved.update(value.node.outputs)
                pending.extend(value.node.inputs)

    def _is_ready(self, value: Value) -> bool:
        return value not in self.rounds.along or value in self.moved or not value.node.inputs

    def _pays(self, node: Node) -> bool:
        """Whether the loop reads no more when it reads a node's result."""
        if node.outputs[0] in self.moved or not all(map(self._is_ready, node.inputs)):
            return False
        read = {v for v in node.inputs if v in self.rounds.along and v not in self.outputs}
        saved = [v for v in read if all(n is node or n.outputs[0] in self.moved for n in v.uses)]
        return at_most(nbytes(node.outputs), nbytes(saved))

    def _is_small(self, node: Node) -> bool:
        """Whether the results for all rounds need no more memory than what is there anyway."""
        if any(v in self.outputs for v in node.outputs):
            return True
        read = {v for v in node.inputs if v in self.rounds.along}
        return at_most(nbytes(node.outputs), nbytes(read))

    def _whole(self) -> list[Node]:
        """The nodes that lead from slices and moved values to stacked results alone."""
        carried = set(self.rounds.body.outputs[: self.rounds.carries])
        chosen = {n for n in self.nodes if n.outputs[0] not in self.moved and self._is_small(n)}
        before = -1
        while len(chosen) != before:
            before = len(chosen)
            chosen = {
                n
                for n in chosen
                if not any(v in carried for v in n.outputs)
                and all(user in chosen for v in n.outputs for user in v.uses)
                and all(v.node in chosen or self._is_ready(v) for v in n.inputs)
            }
        return [n for n in self.nodes if n in chosen]


def _products_on(rounds: Rounds) -> set[Value]:
    """The products of slices, and what element-wise operators make of them without a carry."""
    found: set[Value] = set()
    for node in rounds.body.nodes:
        [value, *more] = node.outputs
        if value not in rounds.along or more:
            continue
        follows = any(v in found for v in node.inputs)
        if is_product(node, rounds) or (
            follows and (node.op.batch is elementwise or is_addition(node))
        ):
            found.add(value)
    return found


# -- the order of sums -----------------------------------------------------------------------


@dataclass(frozen=True)
class _Sum:
    """The terms of a sum: those that need no carry, those that are the same in every round, and
    the rest."""

    along: list[Value]
    fixed: list[Value]
    rest: list[Value]


def _regrouped(rounds: Rounds) -> Graph:
    """The body with its sums in such an order that what needs no carry is added first."""
    outputs = set(rounds.body.outputs)
    products = _products_on(rounds)
    sums: dict[Node, _Sum] = {}
    inner: set[Node] = set()
    for node in reversed(rounds.body.nodes):
        if not is_addition(node) or node in inner or node.outputs[0] in rounds.fixed:
            continue
        terms, within = addends(node, outputs)
        inner.update(within)
        found = _sorted_terms(terms, rounds, products)
        if found is not None:
            sums[node] = found
    if not sums:
        return rounds.body
    env: dict[Value, Value] = {}

    def visit(new: Graph, node: Node, inputs: tuple[Value, ...]) -> Sequence[Value]:
        results: Sequence[Value]
        if node in sums:
            results = (_total(sums[node], env),)
        else:
            results = new.copy_node(node, inputs)
        env.update(zip(node.outputs, results))
        return results

    # What added the terms in their old order goes.
    body = rounds.body.rebuild(visit)
    return cut(body, list(body.placeholders.values()), list(body.outputs))


def _sorted_terms(terms: list[Value], rounds: Rounds, products: set[Value]) -> _Sum | None:
    """The terms in another order, where that lets some be added before the loop."""
    fixed = [t for t in terms if t in rounds.fixed]
    first = next((t for t in (*filter(products.__contains__, terms), *fixed)), None)
    if first is None:
        return None
    early = [t for t in terms if _broadcasts(t, first) and (t in rounds.fixed or t in rounds.along)]
    along = [t for t in early if t in rounds.along] if first in products else []
    fixed = [t for t in early if t in rounds.fixed]
    if len(along) + len(fixed) < 2:
        return None
    moved = {*along, *fixed}
    return _Sum(along, fixed, [t for t in terms if t not in moved])


def _broadcasts(term: Value, first: Value) -> bool:
    """Whether a term can be added to another one without making it larger."""
    try:
        return broadcast_shapes(term.shape, first.shape) == first.shape
    except ShapeError:
        return False


def _total(found: _Sum, env: dict[Value, Value]) -> Value:
    """Append a sum in its new order."""
    along, fixed, rest = ([env[t] for t in part] for part in (found.along, found.fixed, found.rest))
    parts = [reduce(ops.add, part) for part in (along, fixed) if part]
    return reduce(ops.add, [*parts, *rest])
