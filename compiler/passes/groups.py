"""Groups: which operators one loop nest computes; see `fuse`.

A group has a domain: the shape that its loops run over. Its members are element-wise operators on
the whole domain, reductions of some of its axes, element-wise operators on what these give, and
at most one product of matrices, whose loops the others then follow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from ...graphs.dims import Dim
from ...graphs.ir import Graph, Node, Value
from ..native.plan import END, FULL, REDUCTIONS, ROW
from ..native.scalars import has_scalar_code, is_dear, is_float

# Limits of what compilers and registers take well.
MOST_MEMBERS = 64
MOST_OPERANDS = 24

_COMPARISONS = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
# Views of all elements of their operand.
SHOWING = frozenset(["reshape", "expand_dims", "squeeze", "stop_gradient", "broadcast_to"])


@dataclass(eq=False)
class Group:
    """Members with one domain.

    Attributes
    ----------
    members : dict
        From each node to what its result covers: the domain, its rows (one number for all of the
        axes that are reduced), or columns, which are known at the end only.
    domain : tuple
    reduced : tuple of int or None
        Axes of the domain that the reductions go over.
    product : Node or None
        The product of matrices.
    """

    domain: tuple[Any, ...]
    members: dict[Node, str] = field(default_factory=dict)
    reduced: tuple[int, ...] | None = None
    product: Node | None = None

    @property
    def rows(self) -> tuple[Any, ...]:
        """The shape of a reduction that keeps its axes."""
        reduced = self.reduced or ()
        return tuple(1 if i in reduced else n for i, n in enumerate(self.domain))

    @property
    def is_even(self) -> bool:
        """Whether all that covers the domain has its very shape."""
        covering = (node for node, kind in self.members.items() if kind == FULL)
        return all(_shape(node.outputs[0]) == self.domain for node in covering)


class Grouping:
    """Which group each node is in."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self._outputs = graph, set(graph.outputs)
        self.of: dict[Node, Group] = {}
        self.inlined: set[Node] = set()
        self._exact = _compared_with_extremes(graph)
        for node in graph.nodes:
            self._add(node)
        self._leave_to_readers()
        for node in self.inlined:
            [value] = node.outputs
            if value in self._outputs or any(self._needs_memory(user) for user in value.uses):
                self.of[node] = Group(_shape(value), {node: FULL})

    def _add(self, node: Node) -> None:
        if _is_product(node):
            self.of[node] = Group(_shape(node.outputs[0]), {node: FULL}, None, node)
        elif _is_reduction(node):
            self._add_reduction(node)
        elif has_scalar_code(node) and not _is_symbolic(node):
            if not node.outputs[0].shape and self._is_cheap(node) and node not in self._exact:
                self.inlined.add(node)  # a number: computed again wherever it is read
            else:
                self._add_scalar_code(node)

    def _needs_memory(self, user: Node) -> bool:
        """Whether a reader takes its operands from memory."""
        return user not in self.of and user not in self.inlined

    def _leave_to_readers(self) -> None:
        """Let readers compute what is quick to compute from what is in memory anyway."""
        for node, group in reversed(list(self.of.items())):
            if group.members[node] != FULL or len(group.members) == 1 or _is_product(node):
                continue
            wide = {v for v in node.inputs if v.shape}
            kept = [v for v in wide if not self._is_kept(v, group, node)]
            [value] = node.outputs
            readers = [self.of.get(user) for user in value.uses]
            if (
                len(wide) == 1
                and not kept
                and not is_dear(node)
                and node not in self._exact
                and value not in self._outputs
                and all(r is not None and r is not group for r in readers)
                and not any(_is_product(user) for user in value.uses)
                and all(
                    v.node in self.inlined or v.node.is_source or v in wide for v in node.inputs
                )
            ):
                del group.members[node], self.of[node]
                self.inlined.add(node)

    def _is_kept(self, value: Value, group: Group, reader: Node) -> bool:
        """Whether a value is in memory even if this member of the group does not read it."""
        if value.node not in group.members:
            return value.node not in self.inlined
        others = (user for user in value.uses if user is not reader)
        return value in self._outputs or any(self.of.get(user) is not group for user in others)

    def _is_cheap(self, node: Node) -> bool:
        return all(v.node.is_source or v.node in self.inlined for v in node.inputs)

    def _add_reduction(self, node: Node) -> None:
        shape, axes = _shape(node.inputs[0]), _reduced_axes(node)
        source = self._source(node.inputs[0])
        group = None if source is None else self.of[source]
        if (
            source is not None
            and group is not None
            and group.product is None
            and group.members[source] == FULL
            and group.domain == shape
            and group.is_even
            and self._may_join(group, node)
        ):
            others = tuple(i for i in range(len(shape)) if i not in axes)
            if group.reduced is None:
                group.reduced = axes
            if group.reduced == axes:
                self._join(group, node, ROW)
                return
            if group.reduced == others:
                self._join(group, node, END)
                return
        self.of[node] = Group(shape, {node: ROW}, axes)

    def _add_scalar_code(self, node: Node) -> None:
        shape = _shape(node.outputs[0])
        mine = self.of[node] = Group(shape, {node: FULL})
        sources = {s for s in map(self._source, node.inputs) if s is not None}
        for source in sorted(sources, key=lambda n: -n.id):
            group = self.of[source]
            if group is not mine and self._may_merge(group, mine, source):
                mine = self._merge(group, mine)

    def _source(self, value: Value) -> Node | None:
        """The grouped node that a value, or a view of the same elements, comes from."""
        node = value.node
        while node.op.name in SHOWING:
            if (
                node.op.name == "broadcast_to"
                and node.inputs[0].aval.ndim != node.outputs[0].aval.ndim
            ):
                return None
            node = node.inputs[0].node
        return node if node in self.of else None

    def _may_merge(self, group: Group, mine: Group, source: Node) -> bool:
        """Whether the group of a source and that of its reader can be one."""
        kind = self._kind_in(group, mine, source)
        if kind is None or (group.product is not None and mine.product is not None):
            return False
        if (
            kind == FULL
            and (group.product or mine.product)
            and (group.reduced is not None or mine.reduced is not None)
        ):
            return False
        product = group.product or mine.product
        if product is not None and any(
            root(v) in group.members or root(v) in mine.members for v in product.inputs
        ):
            return False  # it takes its operands from memory
        if self._compares_exactly(group, mine):
            return False
        if len(group.members) + len(mine.members) > MOST_MEMBERS:
            return False
        if self._operands(group, mine) > MOST_OPERANDS:
            return False
        return not self._is_between(group, mine)

    def _compares_exactly(self, *groups: Group) -> bool:
        """Whether a member compares what another one gives, and what must be in memory for it."""
        members = {n for group in groups for n in group.members}
        return any(
            root(v) in members and root(v) in self._exact
            for node in members
            if node.op.name in _COMPARISONS
            for v in node.inputs
        )

    def _kind_in(self, group: Group, mine: Group, source: Node) -> str | None:
        """What the reader covers in the source's group."""
        covers = group.members[source]
        if covers == END:
            return None
        if _aligned(mine.domain, group.domain, group.reduced or mine.reduced):
            both = group.reduced is not None and mine.reduced is not None
            if both and group.reduced != mine.reduced:
                return None
            if not (_reads_well(group, mine) and _reads_well(mine, group)):
                return None
            return FULL
        is_plain = mine.reduced is None and mine.product is None
        if covers == ROW and is_plain and mine.domain == _shape(source.outputs[0]):
            return ROW
        return None

    def _merge(self, group: Group, mine: Group) -> Group:
        rows = mine.domain != group.domain and not _aligned(
            mine.domain, group.domain, group.reduced or mine.reduced
        )
        for node, kind in mine.members.items():
            group.members[node] = ROW if rows else kind
            self.of[node] = group
        if not rows:
            if group.product is None and len(mine.domain) > len(group.domain):
                group.domain = mine.domain
            group.reduced = group.reduced if group.reduced is not None else mine.reduced
        group.product = group.product or mine.product
        return group

    def _may_join(self, group: Group, node: Node) -> bool:
        return len(group.members) < MOST_MEMBERS and not self._is_between(group, node)

    def _join(self, group: Group, node: Node, kind: str) -> None:
        group.members[node] = kind
        self.of[node] = group

    def _operands(self, *groups: Group) -> int:
        members = {n for g in groups for n in g.members}
        outside = {v for n in members for v in n.inputs if v.node not in members}
        shown = {
            v for n in members for v in n.outputs
            if v in self._outputs or any(u not in members for u in v.uses)
        }  # fmt: skip
        return len(outside) + len(shown)

    def _is_between(self, group: Group, mine: Group | Node) -> bool:
        """Whether a node outside of both reads one of them and is read by the other."""
        second = mine.members if isinstance(mine, Group) else {mine: FULL}
        members = group.members.keys() | second.keys()
        first = min(node.id for node in members)
        # Views of what a member computes are read within the group.
        read = {root(v) for n in members for v in n.inputs}
        pending = [node for node in read if node not in members]
        seen: set[Node] = set()
        while pending:
            node = pending.pop()
            if node in seen or node.id < first:
                # A group that began earlier may have members that come later.
                held = self.of.get(node)
                if node in seen or held is None or max(n.id for n in held.members) < first:
                    continue
            seen.add(node)
            held = self.of.get(node)
            for member in held.members if held is not None else (node,):
                seen.add(member)
                for value in member.inputs:
                    if value.node in members:
                        return True
                    pending.append(value.node)
        return False


def _reads_well(held: Group, reading: Group) -> bool:
    """Whether members of a group read another's rows as what they are, and no columns."""
    for node, kind in reading.members.items():
        for value in node.inputs:
            covers = held.members.get(root(value))
            if covers == END:
                return False
            if covers == ROW and kind == FULL and _shape(value) not in (held.rows, held.domain):
                return False
    return True


def _compared_with_extremes(graph: Graph) -> set[Node]:
    """The nodes whose elements are compared with their maximum or minimum, to find out where it is.

    Computed twice, an element may be rounded in two ways, and then nothing equals the maximum.
    """
    extremes = {root(v) for n in graph.nodes if n.op.name in ("max", "min") for v in n.inputs}
    compared = {root(v) for n in graph.nodes if n.op.name in _COMPARISONS for v in n.inputs}
    return extremes & compared


def root(value: Value) -> Node:
    """The node whose elements a value shows."""
    node = value.node
    while node.op.name in SHOWING:
        node = node.inputs[0].node
    return node


def _is_product(node: Node) -> bool:
    """Whether a node is a product of two matrices, or of stacks of them, that C can compute."""
    if node.op.name != "matmul":
        return False
    a, b = node.bound.ins
    return (
        is_float(a.dtype)
        and a.dtype == b.dtype
        and a.device.kind == "cpu"
        and min(a.ndim, b.ndim) >= 2
        and not any(isinstance(n, Dim) for n in (*a.shape, *b.shape))
    )


def _is_reduction(node: Node) -> bool:
    """Whether a node reduces axes of its operand in a way that loops can."""
    if node.op.name not in REDUCTIONS or not node.inputs:
        return False
    x, y = node.bound.ins[0], node.bound.outs[0]
    same = x.dtype == y.dtype and x.dtype.name in ("float32", "float64", "int32", "int64")
    if not same or x.device.kind != "cpu" or x.is_symbolic:
        return False
    axes = _reduced_axes(node)
    return bool(axes) and all(x.shape[a] for a in axes)


def _reduced_axes(node: Node) -> tuple[int, ...]:
    """The axes of the operand that a reduction goes over."""
    shape = node.bound.ins[0].shape
    if node.op.name == "sum_to":
        target = node.bound.outs[0].shape
        extra = len(shape) - len(target)
        repeated = (extra + i for i, n in enumerate(target) if n != shape[extra + i])
        return (*range(extra), *repeated)
    return tuple(node.attrs["axis"])


def _is_symbolic(node: Node) -> bool:
    return any(aval.is_symbolic for aval in (*node.bound.ins, *node.bound.outs))


def _shape(value: Value) -> tuple[Any, ...]:
    return value.aval.shape


def _aligned(a: tuple[Any, ...], b: tuple[Any, ...], reduced: tuple[int, ...] | None) -> bool:
    """Whether two shapes have the same elements in the same order, row by row of the last axis."""
    if a == b:
        return True
    if reduced is not None or not a or not b or a[-1] != b[-1]:
        return False
    return math.prod(a) == math.prod(b)
