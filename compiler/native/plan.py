"""What a fused body computes in which pass over its domain."""

from __future__ import annotations

from collections.abc import Sequence

from ...graphs.ir import CONSTANT, PLACEHOLDER, Graph, Node, Value
from .scalars import is_dear

# What a result covers: the domain, its rows (a number for all of the axes that are reduced), or
# its columns, which are known when all rows are through.
FULL, ROW, END = "full", "row", "end"
REDUCTIONS = ("sum", "sum_to", "prod", "max", "min")


class Plan:
    """The passes of a fused body.

    Parameters
    ----------
    body : Graph
    kinds : sequence of str
        What each node's result covers.

    Attributes
    ----------
    kind : dict
        From each node to what its result covers.
    level : dict
        From each node to the pass that can compute it first.
    passes : int
    reductions : list of list of Node
        Per pass those of rows that it feeds.
    ends : list of list of Node
        Per pass those over all rows.
    stores : list of list of Value
        Per pass the results over the whole domain.
    rows : list of Value
        The results that are a number a row.
    """

    def __init__(self, body: Graph, kinds: Sequence[str]) -> None:
        self.kind = dict(zip(body.nodes, kinds))
        self.level: dict[Node, int] = {}
        for node in body.nodes:
            inputs = max((self.level[v.node] for v in node.inputs), default=0)
            self.level[node] = inputs + self.is_row_sum(node)
        outputs = list(dict.fromkeys(body.outputs))
        full = [v for v in outputs if self.kind[v.node] == FULL]
        rows = [n for n in body.nodes if self.is_row_sum(n)]
        ends = [n for n in body.nodes if self.kind[n] == END]
        self.passes = 1 + max(
            [self.level[v.node] for v in full]
            + [self.level[n] - 1 for n in rows]
            + [self.level[n] for n in ends],
            default=0,
        )
        at = range(self.passes)
        self.reductions = [[n for n in rows if self.level[n] - 1 == p] for p in at]
        self.ends = [[n for n in ends if self.level[n] == p] for p in at]
        self.stores = [[v for v in full if self.level[v.node] == p] for p in at]
        self.rows = [v for v in outputs if self.kind[v.node] == ROW]

    def is_row_sum(self, node: Node) -> bool:
        """Whether a node reduces elements to a number a row."""
        return self.kind[node] == ROW and node.op.name in REDUCTIONS

    def dear_values(self, now: int) -> list[Value]:
        """Values of the whole domain that pass `now` can compute, later ones read, and that take
        long to compute again."""
        pending: list[Value] = []
        for p in range(now + 1, self.passes):
            pending += [n.inputs[0] for n in (*self.reductions[p], *self.ends[p])]
            pending += self.stores[p]
        found: set[Value] = set()
        seen: set[Value] = set()
        while pending:
            value = pending.pop()
            node = value.node
            if value in seen or self.kind[node] == ROW or node.op in (PLACEHOLDER, CONSTANT):
                continue
            seen.add(value)
            if self.kind[node] == FULL and self.level[node] <= now and is_dear(node):
                found.add(value)
            else:
                pending += node.inputs
        return [v for v in sorted(found, key=lambda v: v.node.id) if self.level[v.node] == now]
