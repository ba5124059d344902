"""What a backward pass is handed of its forward pass, where these are two programs.

A value that the backward pass reads is kept, which writes it and reads it again, or computed again
from others that are kept or exist anyway. What costs least is a minimum cut. A node of the flow
that is on the sink's side says that an operator runs again, that its result is needed, or that
loops of the backward pass read it from memory; an edge holds what it costs if its head is there and
its tail is not.

What counts is memory that is moved. Operators that are fused hand on what they compute in
registers: of these only what they begin with is read, and only what something else than a loop
takes is written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from ..graphs.dims import Dim, Size
from ..graphs.ir import Graph, Node, Value
from ..graphs.partition import feeding, is_made_again
from .decompositions import rule_of
from .native.plan import REDUCTIONS
from .native.scalars import has_scalar_code, is_dear

RECOMPUTE = "recompute"  # its name among passes

# In quarters of a byte: to move one, to have one kept, and to compute.
_MOVE, _KEEP, _FLOP = 4, 1, 1
_DEAR = 48  # FLOP of a function such as exp
_SIZE = 64  # of a symbolic dimension, which nobody knows here
_LEAST = 4 << 16  # below which a gain is not worth the choice
# What computes little more than it reads, and has no scalar code.
_QUICK = frozenset([*REDUCTIONS, "mean", "var", "std", "layer_norm", "rms_norm"])
# They ask whether two numbers are equal, which need not be if one was rounded anew.
_EXACT = frozenset(["equal", "not_equal", "max_pool_grad", "max_pool_tangent"])
_THERE, _WANTED = "there", "wanted"


def least_kept(graph: Graph, first: int, reads: list[Value]) -> list[Value]:
    """The values of a forward pass from which its backward pass costs least.

    Arguments and variables are there for nothing, but only those that the backward pass reads in
    any case: what must not change between the two passes is the same, whatever is chosen.

    Parameters
    ----------
    graph : Graph
        Of the forward pass and, from its node `first` on, the backward pass.
    first : int
    reads : list of Value
        What the backward pass reads that it does not make itself: results of the forward pass,
        arguments and variables.

    Returns
    -------
    list of Value
        In order of creation. What lies between them and the backward pass runs again in it.
    """
    at_hand = {v for v in reads if v.node.is_source}
    wanted = [v for v in reads if v not in at_hand]
    choice = _Choice(graph, first, at_hand)
    is_symbolic = any(value.aval.is_symbolic for value in wanted)
    if sum(map(choice.gain, wanted)) <= (0 if is_symbolic else _LEAST):
        return wanted
    again = choice.least(wanted)
    return feeding(
        wanted, lambda v: v.node not in again and v not in at_hand and not _is_free(v.node)
    )


class _Choice:
    """What it costs to keep and to compute, and the flow that weighs one against the other.

    Parameters
    ----------
    graph : Graph
    first : int
    at_hand : set of Value
        Arguments and variables that may be read.
    """

    def __init__(self, graph: Graph, first: int, at_hand: set[Value]) -> None:
        self._first, self._at_hand = first, at_hand
        self._views: dict[Node, bool] = {}
        exact = [v for n in graph.nodes[first:] if n.op.name in _EXACT for v in n.inputs]
        found = feeding(exact, lambda v: v.node.id < first and not self._shows(v.node))
        self._exact = {v.node for v in found}
        self._edges: dict[tuple[Any, Any], int | None] = {}

    def gain(self, value: Value) -> int:
        """What it spares at most to compute a wanted value again in place of keeping it."""
        node = value.node
        if not self._may_run(node):
            return 0
        read = _moved(value) if self._loops_read(value) else 0
        return max(_kept(value) + read - self._cost(node), 0)

    def least(self, wanted: list[Value]) -> set[Node]:
        """The nodes that run again."""
        import networkx
        from networkx.algorithms.flow import boykov_kolmogorov

        self._weigh(wanted)
        # Comparing values would append to their graph: the flow knows their numbers alone.
        numbers: dict[Any, int] = {}
        flow = networkx.DiGraph()
        for edge, cost in self._edges.items():
            tail, head = (numbers.setdefault(end, len(numbers)) for end in edge)
            # An edge without a capacity is endless.
            flow.add_edge(tail, head, **({} if cost is None else {"capacity": cost}))
        ends = numbers[_THERE], numbers[_WANTED]
        _, (_, beyond) = networkx.minimum_cut(flow, *ends, flow_func=boykov_kolmogorov)
        return {end for end, i in numbers.items() if i in beyond and isinstance(end, Node)}

    def _weigh(self, wanted: list[Value]) -> None:
        """The edges of all that can have a part in computing what is wanted."""
        for value in wanted:
            self._edges[("needed", value), _WANTED] = None
        pending, seen = list(wanted), set(self._at_hand)
        while pending:
            value = pending.pop()
            if value in seen or _is_free(value.node):
                continue
            seen.add(value)
            node = value.node
            runs = self._may_run(node)
            shown = runs and self._shows(node)
            self._edges[node if runs else _THERE, ("needed", value)] = (
                None if shown else _kept(value)
            )
            if not shown and self._loops_read(value):
                self._edges[self._read(value), _WANTED] = None
            if not runs:
                continue
            self._edges[_THERE, node] = self._cost(node)
            for operand in node.inputs:
                if operand not in self._at_hand and not _is_free(operand.node):
                    self._edges[("needed", operand), node] = None
                    pending.append(operand)
                root = self._root(operand)
                if not self._shows(node) and not _is_free(root.node):
                    self._edges[self._read(root), node] = None

    def _read(self, value: Value) -> Any:
        """What says that loops of the backward pass read a value from memory."""
        read = ("read", value)
        at_hand = value in self._at_hand
        # Of what is there and read in any case, a further reader costs nothing.
        if not (at_hand and self._loops_read(value)):
            node = value.node
            made = _THERE if at_hand or not self._may_run(node) else node
            self._edges[made, read] = _moved(value)
        return read

    def _may_run(self, node: Node) -> bool:
        """Whether an operator of the forward pass may run again."""
        bound = node.bound
        if node.op.name in _EXACT or node in self._exact or node.op.effect or bound.may_raise:
            return False
        if not (node.op.view or node.op.name in _QUICK or has_scalar_code(bound)):
            return False
        return all(
            v in self._at_hand or not v.node.is_source or _is_free(v.node) for v in node.inputs
        )

    def _shows(self, node: Node) -> bool:
        """Whether a node gives a view, which is never kept."""
        if not node.op.view:
            return False
        if node not in self._views:
            self._views[node] = is_made_again(node)
        return self._views[node]

    def _root(self, value: Value) -> Value:
        """The value whose memory another one shows."""
        while self._shows(value.node):
            value = value.node.inputs[0]
        return value

    def _cost(self, node: Node) -> int:
        """That of running a node again, and of writing what has to be in memory for its readers."""
        if self._shows(node):
            return 0
        moved = [_moved(v) for v in node.outputs if any(map(_takes_memory, self._readers(v)))]
        if node.op.view:  # a reshape that copies
            return _moved(node.outputs[0]) * 2
        weight = _FLOP * (_DEAR if is_dear(node) else 1)
        return _size(node.bound.flop) * weight + sum(moved)

    def _loops_read(self, value: Value) -> bool:
        return not all(map(_takes_memory, self._readers(value)))

    def _readers(self, value: Value) -> Iterator[Node]:
        """What reads a value, or a view of it, in the backward pass."""
        for user in value.uses:
            if self._shows(user):
                yield from self._readers(user.outputs[0])
            elif user.id >= self._first:
                yield user


def _takes_memory(node: Node) -> bool:
    """Whether a node is no part of a loop, and has to find its operands in memory."""
    bound = node.bound
    is_loop = has_scalar_code(bound) or bound.name in REDUCTIONS or rule_of(bound) is not None
    return not is_loop


def _is_free(node: Node) -> bool:
    """Whether a program makes a node's results of nothing."""
    return not node.inputs and is_made_again(node)


def _kept(value: Value) -> int:
    """What it costs to write a value, and to have no other use for its memory."""
    return _size(value.aval.nbytes) * (_MOVE + _KEEP)


def _moved(value: Value) -> int:
    return _size(value.aval.nbytes) * _MOVE


def _size(size: Size) -> int:
    """A number of elements, bytes or FLOP; one that is symbolic for sizes that are assumed."""
    return size.evaluate(defaultdict(lambda: _SIZE)) if isinstance(size, Dim) else size
