"""Orders: which node runs when, such that little memory is in use at once.

To find the best order is hard, so a few are made and the best of them is taken: as nodes were
created; the same, but what frees memory goes as soon as it can; and always what leaves the least
memory in use.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence

from ...graphs.ir import Node, Value
from ...graphs.regions import FUSED
from .extents import most
from .product import product_of_body
from .support import is_grown

Rank = Callable[[int], int]  # from the bytes that a node adds to those in use to its place

RANKS: tuple[Rank, ...] = (
    lambda change: 0,
    lambda change: min(change, 1),
    lambda change: change,
)


def order(
    nodes: Sequence[Node],
    after: Mapping[Node, Collection[Node]],
    elsewhere: Collection[Value],
    parts: Mapping[Value, Value],
) -> list[Node]:
    """Nodes in an order that keeps little memory in use.

    Parameters
    ----------
    nodes : sequence of Node
    after : mapping
        From each node to those that must come later.
    elsewhere : collection of Value
        What takes no memory of the arena.
    parts : mapping
        From each value that is computed straight into its part of another one to that one.
    """
    uses = _Uses(nodes, elsewhere, parts)
    found = [_sorted(nodes, after, uses, rank) for rank in RANKS]
    return min(found, key=uses.peak)


class _Uses:
    """Which memory nodes make and read; values that share it go by one of them.

    Attributes
    ----------
    made, read : dict
        From each node to what it writes and reads.
    readers : Counter
        How many nodes read each.
    users : dict
        The nodes that make or read each.
    """

    def __init__(
        self, nodes: Sequence[Node], elsewhere: Collection[Value], parts: Mapping[Value, Value]
    ) -> None:
        self._elsewhere, self._parts = set(elsewhere), parts
        self.made = {n: {self._home(v) for v in n.outputs if not n.op.view} for n in nodes}
        self.read = {n: {self._home(v) for v in n.inputs if not n.op.view} for n in nodes}
        self.readers = Counter(v for n in nodes for v in self.read[n])
        self.users: dict[Value, list[Node]] = defaultdict(list)
        for node in nodes:
            for value in self.made[node] | self.read[node]:
                self.users[value].append(node)
        self.nbytes = {v: self._nbytes(v) for v in self.users}

    def _home(self, value: Value) -> Value:
        while True:
            if value in self._parts:
                value = self._parts[value]
            elif value.node.op.view:
                value = value.node.inputs[0]
            else:
                return value

    def _nbytes(self, value: Value) -> int:
        is_there = value.node not in self.made or value.node.is_source
        if is_there or value in self._elsewhere or is_grown(value.aval):
            return 0  # what grows is outside the arena
        return most(value.aval.nbytes)

    def start(self) -> _State:
        """Before the first node."""
        return _State(self)

    def peak(self, order: Sequence[Node]) -> int:
        """The most that is in use at once."""
        state, most, now = self.start(), 0, 0
        for node in order:
            most = max(most, now + state.added(node) - state.replaced(node))
            now += state.change(node)
            state.run(node)
        return most


class _State:
    """What is in use after some nodes."""

    def __init__(self, uses: _Uses) -> None:
        self._uses = uses
        self._left = Counter(uses.readers)
        self._live: set[Value] = set()

    def added(self, node: Node) -> int:
        """Bytes that a node would begin to use."""
        uses = self._uses
        return sum(uses.nbytes[v] for v in uses.made[node] if v not in self._live)

    def _dying(self, node: Node) -> list[Value]:
        return [v for v in self._uses.read[node] if self._left[v] == 1]

    def change(self, node: Node) -> int:
        """Bytes that are in use more after a node than before."""
        return self.added(node) - sum(self._uses.nbytes[v] for v in self._dying(node))

    def replaced(self, node: Node) -> int:
        """Bytes of results that may lie where operands lay that nothing else reads."""
        if node.op is not FUSED:
            return 0
        [body] = node.attrs["bodies"]
        product = product_of_body(body)
        whole = set() if product is None else set(product.node.inputs)
        held = {v for v, p in zip(node.inputs, body.placeholders.values()) if p in whole}
        nbytes = self._uses.nbytes
        free = Counter(nbytes[v] for v in self._dying(node) if v not in held)
        made = Counter(nbytes[v] for v in self._uses.made[node] if v not in self._live)
        return sum(size * count for size, count in (free & made).items())

    def run(self, node: Node) -> set[Node]:
        """Go on past a node; those whose `change` is another one now."""
        uses = self._uses
        other: set[Node] = set()
        for value in uses.read[node]:
            self._left[value] -= 1
            if self._left[value] == 1:
                other.update(uses.users[value])
        for value in uses.made[node]:
            if value not in self._live:
                self._live.add(value)
                other.update(uses.users[value])
        return other


def _sorted(
    nodes: Sequence[Node], after: Mapping[Node, Collection[Node]], uses: _Uses, rank: Rank
) -> list[Node]:
    """Topological order; of the nodes that are ready views, which take nothing, then the first by
    rank, then by creation."""
    waiting = dict.fromkeys(nodes, 0)
    for node in nodes:
        for later in after[node]:
            if later in waiting:
                waiting[later] += 1
    state, done = uses.start(), set()

    def place(node: Node) -> tuple[bool, int, int, Node]:
        return not node.op.view, rank(state.change(node)), node.id, node

    ready = [place(node) for node in nodes if not waiting[node]]
    heapq.heapify(ready)
    result = []
    while ready:
        *_, node = heapq.heappop(ready)
        if node in done:
            continue
        done.add(node)
        result.append(node)
        other = {n for n in state.run(node) if not waiting[n]}
        for later in after[node]:
            if later in waiting:
                waiting[later] -= 1
                if not waiting[later]:
                    other.add(later)
        for n in other - done:  # what it changes only ever becomes less
            heapq.heappush(ready, place(n))
    return result
