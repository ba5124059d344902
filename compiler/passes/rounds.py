"""A loop taken apart: what the values of its rounds are, and how they are computed around it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from ...graphs.dims import Dim, Size
from ...graphs.ir import PLACEHOLDER, Graph, Node, Value
from ...graphs.ops.core import Bound
from ...graphs.partition import cut, feeding
from ...graphs.regions import SCAN, stacked
from .terms import is_addition, terms_of


class Rounds:
    """One body of a loop within a pass that rebuilds the graph around it.

    Parameters
    ----------
    new : Graph
        The graph that is built.
    node : Node
        A `scan` or `while_loop` of the old graph.
    inputs : tuple of Value
        Its operands in the new one.
    body : Graph
        One of its bodies, or what a pass made of it.
    feed : tuple of int
        Which operands the body's placeholders take.

    Attributes
    ----------
    unchanged : frozenset of int
        The carries that every round hands on as they are.
    fixed : set of Value
        What is the same in every round.
    along : set of Value
        What differs from round to round but needs no carry. Computed for all rounds at once, it has
        an axis for the rounds.
    outside : dict
        From values of the body to those of the new graph that hold them, for all rounds where
        `along` has them.
    """

    def __init__(
        self,
        new: Graph,
        node: Node,
        inputs: tuple[Value, ...],
        body: Graph,
        feed: Sequence[int],
    ) -> None:
        self.new, self.node, self.inputs, self.body = new, node, inputs, body
        attrs = node.attrs
        self.carries: int = attrs["carries"]
        self.slices = range(self.carries, self.carries + attrs.get("xs", 0))
        self.length: Size = attrs["length"] if node.op is SCAN else Dim.of_data("rounds")
        self.operand_of = dict(zip(body.placeholders.values(), feed))
        self.unchanged = unchanged_carries(node)
        self.fixed: set[Value] = set()
        self.along: set[Value] = set()
        self.outside: dict[Value, Value] = {}
        for value, operand in self.operand_of.items():
            if operand in self.slices:
                self.along.add(value)
            elif operand >= self.carries or operand in self.unchanged:
                self.fixed.add(value)
            else:
                continue
            self.outside[value] = inputs[operand]
        for body_node in body.nodes:
            if body_node.op is not PLACEHOLDER:
                self._classify(body_node)

    @property
    def is_counted(self) -> bool:
        """Whether the number of rounds is known before the loop runs."""
        return not depends_on_data(self.length)

    def _classify(self, node: Node) -> None:
        if all(v in self.fixed for v in node.inputs):
            into = self.fixed if node.is_source or is_pure(node) else None
        elif all(v in self.fixed or v in self.along for v in node.inputs):
            into = self.along if self.is_counted and can_batch(node) else None
        else:
            into = None
        if into is not None:
            into.update(node.outputs)

    def compute(self, wanted: Iterable[Value]) -> None:
        """Append to the new graph what gives these values there; see `outside`."""
        needed: set[Node] = set()
        pending = list(wanted)
        while pending:
            value = pending.pop()
            if value not in self.outside and value.node not in needed:
                needed.add(value.node)
                pending.extend(value.node.inputs)
        for node in self.body.nodes:
            if node in needed:
                with self.new.located(node.location):
                    results = self._outside(node)
                self.outside.update(zip(node.outputs, results))

    def _outside(self, node: Node) -> Sequence[Value]:
        operands = [self.outside[v] for v in node.inputs]
        batched = [v in self.along for v in node.inputs]
        if not any(batched):
            return self.new.copy_node(node, tuple(operands))
        rule: Any = node.op.batch  # `can_batch` saw to it that there is one
        results = rule(node.bound, operands, batched)
        self.along.update(node.outputs)
        return results if isinstance(results, tuple) else (results,)

    def append_copy(self) -> tuple[Value, ...]:
        """Append the scan with this body, whose placeholders and outputs are those of the old."""
        bound = self.node.bound.changed(bodies=(self.body,))
        return self.new.copy_node(self.node, self.inputs, bound)

    def append_scan(
        self, carries: Sequence[int], outputs: Sequence[Value], known: Collection[Value] = ()
    ) -> tuple[Value, ...]:
        """Append the scan with another body.

        Parameters
        ----------
        carries : sequence of int
            The carries that are left.
        outputs : sequence of Value
            Of the body: first what these carries become, then what is stacked.
        known : collection of Value
            Values that `outside` has and the body takes rather than computes.
        """
        if not outputs:
            return ()
        reads = feeding(list(outputs), lambda v: v in self.operand_of or v in known)
        along = [v for v in reads if v in self.along]
        whole = [v for v in reads if v in self.outside and v not in self.along]
        slices = list(dict.fromkeys(self.outside[v] for v in along))
        if not slices and not self.is_counted:
            slices = [self.inputs[i] for i in self.slices[:1]]  # it tells how many rounds there are
        starts = [self.inputs[i] for i in carries]
        operands = [*starts, *slices, *dict.fromkeys(self.outside[v] for v in whole)]
        first_slice, first_whole = len(starts), len(starts) + len(slices)
        place = {v: carries.index(self.operand_of[v]) for v in reads if v not in self.outside}
        of_slice = {v: i for i, v in enumerate(slices, first_slice)}
        of_whole = {v: i for i, v in enumerate(operands[first_whole:], first_whole)}
        place.update((v, of_slice[self.outside[v]]) for v in along)
        place.update((v, of_whole[self.outside[v]]) for v in whole)
        reads.sort(key=place.__getitem__)
        attrs = {
            **self.node.attrs,
            "bodies": (cut(self.body, reads, list(outputs)),),
            "feeds": (tuple(place[v] for v in reads),),
            "carries": len(starts),
            "xs": len(slices),
        }
        outs = [v.aval for v in starts]
        outs += [stacked(v.aval, self.length) for v in outputs[len(starts) :]]
        bound = Bound(SCAN, attrs, tuple(v.aval for v in operands), tuple(outs))
        return self.new.copy_node(self.node, tuple(operands), bound)


def unchanged_carries(node: Node) -> frozenset[int]:
    """The carries of a loop, but for state, that every round hands on as they are."""
    body, feed = node.attrs["bodies"][-1], node.attrs["feeds"][-1]
    operand_of = dict(zip(body.placeholders.values(), feed))
    count = node.attrs["carries"] - node.attrs["state"]
    return frozenset(i for i, v in enumerate(body.outputs[:count]) if operand_of.get(v) == i)


def is_pure(node: Node) -> bool:
    """Whether a node may run though its round may not: it gives the same and never raises."""
    return _is_plain(node) and not node.bound.may_raise


def can_batch(node: Node) -> bool:
    """Whether a node can run for all rounds at once. Each of them runs, so it may raise."""
    return _is_plain(node) and node.op.batch is not None


def _is_plain(node: Node) -> bool:
    if node.op.kernel is None or node.op.effect:
        return False
    avals = (*node.bound.ins, *node.bound.outs)
    return not any(depends_on_data(size) for aval in avals for size in aval.shape)


def depends_on_data(size: Size) -> bool:
    return isinstance(size, Dim) and size.depends_on_data


def is_product(node: Node, rounds: Rounds) -> bool:
    """Whether a node multiplies slices by one matrix, which is one product for all rounds."""
    if node.op.name != "matmul" or not can_batch(node):
        return False
    return sum(v in rounds.fixed for v in node.inputs) == 1


def addends(root: Node, outputs: Collection[Value]) -> tuple[list[Value], list[Node]]:
    """What a sum adds up, from left to right, and the sums in it that nothing else reads."""
    return terms_of(root, lambda v: is_addition(v.node) and len(v.uses) == 1 and v not in outputs)


def nbytes(values: Iterable[Value]) -> Size:
    """Bytes of these values together."""
    total: Size = 0
    for value in values:
        total = total + value.aval.nbytes
    return total


def at_most(a: Size, b: Size) -> bool:
    """Whether ``a <= b`` whatever the symbols in them stand for."""
    rest = b - a
    return rest >= 0 if isinstance(rest, int) else all(c >= 0 for c in rest.terms.values())


def is_settled(graph: Graph) -> bool:
    """Whether no effect hangs on a value."""
    return all(node.when is None for node in graph.effects)


def settled(graph: Graph) -> Graph:
    """The graph, whose effects no longer hang on values.

    Those that pruning left take place in every run. A value that they hung on may by now be
    computed elsewhere than the others of its loop, and be pruned where those are not.
    """
    for node in graph.effects:
        node.when = None
    return graph
