"""Groups: which operators one loop nest computes; see `fuse`.

A group has a domain: the shape that its loops run over. Its members are element-wise operators on
the whole domain, reductions of some of its axes, element-wise operators on what these give, and
at most one product of matrices, whose loops the others then follow.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ...graphs.dtypes import is_integer
from ...graphs.ir import Graph, Node, Value
from ...graphs.ops.core import Bound
from ..known import known_nodes
from ..native.extents import most
from ..native.plan import END, FULL, REDUCTIONS, ROW
from ..native.scalars import has_scalar_code, is_dear, is_float
from ..native.support import is_grown
from .leave import left_to_readers

# Limits of what compilers and registers take well.
MOST_MEMBERS = 64
MOST_OPERANDS = 24

PRODUCT, REDUCTION, SCALAR = "product", "reduction", "scalar"
_COMPARISONS = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
# Views of all elements of their operand.
SHOWING = frozenset(["reshape", "expand_dims", "squeeze", "stop_gradient", "broadcast_to"])

# What members read of others, and what others read of them.
Border = tuple[set[Value], set[Value]]


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
    read, shown : set of Value
        What members read of others, and what others read of them.
    first, last : int
        The least and the largest number of a member.
    """

    domain: tuple[Any, ...]
    members: dict[Node, str]
    reduced: tuple[int, ...] | None = None
    product: Node | None = None
    read: set[Value] = field(init=False)
    shown: set[Value] = field(init=False)
    first: int = field(init=False)
    last: int = field(init=False)

    def __post_init__(self) -> None:
        [node] = self.members
        self.read, self.shown = set(node.inputs), set(node.outputs)
        self.first = self.last = node.id

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
        self._known = known_nodes(graph)
        self._part = {id(bound): _part(bound) for bound in graph.bounds}
        self._kept: set[Value] = set()  # for readers that compute something from them
        for node in graph.nodes:
            self._add(node)
        self._leave_to_readers()
        for node in self.inlined:
            [value] = node.outputs
            if value in self._outputs or any(self._needs_memory(user) for user in value.uses):
                self.of[node] = Group(_shape(value), {node: FULL})

    def _add(self, node: Node) -> None:
        part = self._part[id(node.bound)]
        if part == PRODUCT:
            self.of[node] = Group(_shape(node.outputs[0]), {node: FULL}, None, node)
        elif part == REDUCTION:
            self._add_reduction(node)
        elif part == SCALAR:
            if not node.outputs[0].shape and self._is_cheap(node) and node not in self._exact:
                self.inlined.add(node)  # a number: computed again wherever it is read
            else:
                self._add_scalar_code(node)

    def _is_product(self, node: Node) -> bool:
        return self._part[id(node.bound)] == PRODUCT

    def _needs_memory(self, user: Node) -> bool:
        """Whether a reader takes its operands from memory."""
        return user not in self.of and user not in self.inlined

    def _leave_to_readers(self) -> None:
        """Let readers compute what is quick to compute from less than there was to keep."""
        for group in reversed(list(dict.fromkeys(self.of.values()))):
            quick = {node for node in group.members if self._is_quick(node, group)}
            wanted = [v for n in group.members for v in n.outputs if self._is_wanted(v, group)]
            readers = {reader for v in wanted for reader in self._readers(v)} - {group}
            weight = partial(self._weight, group=group, readers=readers)
            left = left_to_readers(wanted, quick, weight)
            self._kept.update(v for n in left for v in n.inputs if v.node not in left)
            for node in left:
                del group.members[node], self.of[node]
                self.inlined.add(node)

    def _is_quick(self, node: Node, group: Group) -> bool:
        """Whether readers of a group may compute a member's result."""
        return (
            group.members[node] == FULL
            and not is_dear(node)
            and not self._is_product(node)
            and node not in self._exact
            and node not in self._known
            and not any(user.op.view for v in node.outputs for user in v.uses)
            and not any(v.node.op.view and root(v) in group.members for v in node.inputs)
        )

    def _is_wanted(self, value: Value, group: Group) -> bool:
        """Whether something outside of a group reads what it computes."""
        return any(self.of.get(user) is not group for user in value.uses)

    def _readers(self, value: Value) -> Iterator[Group]:
        """The groups that read a value."""
        for user in value.uses:
            if user in self.inlined:
                yield from self._readers(user.outputs[0])
            elif user in self.of:
                yield self.of[user]

    def _weight(self, value: Value, group: Group, readers: Collection[Group]) -> int:
        """The bytes that it takes to keep a value in memory for readers of a group."""
        is_there = value in self._kept or value.node in self.inlined or value.node.is_source
        if is_there or not value.shape:
            return 0
        nbytes = most(value.aval.nbytes)
        if value.node not in group.members:
            # Where both take as much, what is there is read again, and nothing more written.
            return 0 if any(reader in readers for reader in self._readers(value)) else nbytes - 1
        is_kept = value in self._outputs or any(self._takes(user, group) for user in value.uses)
        return 0 if is_kept else nbytes

    def _takes(self, user: Node, group: Group) -> bool:
        """Whether a reader of what a group computes takes it from memory in any case."""
        if user.op.name in SHOWING:
            [shown] = user.outputs
            others = (self.of.get(u) is not group or self._is_product(u) for u in shown.uses)
            return shown in self._outputs or any(others)
        return self._is_product(user) or self._needs_memory(user)

    def _is_cheap(self, node: Node) -> bool:
        return all(v.node.is_source or v.node in self.inlined for v in node.inputs)

    def _add_reduction(self, node: Node) -> None:
        shape, axes = _shape(node.inputs[0]), _reduced_axes(node.bound)
        source = self._source(node.inputs[0], node)
        group = None if source is None else self.of[source]
        if (
            source is not None
            and group is not None
            and group.product is None
            and group.members[source] == FULL
            and group.domain == shape
            and group.is_even
            and len(group.members) < MOST_MEMBERS
            and not self._is_between(group, Group(shape, {node: ROW}))
        ):
            others = tuple(i for i in range(len(shape)) if i not in axes)
            if group.reduced is None:
                group.reduced = axes
            if group.reduced in (axes, others):
                mine = Group(shape, {node: ROW if group.reduced == axes else END})
                self._join(group, mine, self._common_border(group, mine))
                return
        self.of[node] = Group(shape, {node: ROW}, axes)

    def _add_scalar_code(self, node: Node) -> None:
        shape = _shape(node.outputs[0])
        mine = self.of[node] = Group(shape, {node: FULL})
        sources = {s for v in node.inputs if (s := self._source(v, node)) is not None}
        for source in sorted(sources, key=lambda n: -n.id):
            group = self.of[source]
            if group is not mine:
                border = self._border(group, mine, source)
                mine = mine if border is None else self._merge(group, mine, border)

    def _source(self, value: Value, reader: Node) -> Node | None:
        """The grouped node that a value, or a view of the same elements, comes from; None where
        it is known before all runs and its reader is not, for these are computed apart."""
        node = value.node
        while node.op.name in SHOWING:
            if (
                node.op.name == "broadcast_to"
                and node.inputs[0].aval.ndim != node.outputs[0].aval.ndim
            ):
                return None
            node = node.inputs[0].node
        apart = (node in self._known) != (reader in self._known)
        return node if node in self.of and not apart else None

    def _border(self, group: Group, mine: Group, source: Node) -> Border | None:
        """The border of the group of a source and that of its reader, if they can be one."""
        kind = self._kind_in(group, mine, source)
        if kind is None or (group.product is not None and mine.product is not None):
            return None
        if (
            kind == FULL
            and (group.product or mine.product)
            and (group.reduced is not None or mine.reduced is not None)
        ):
            return None
        product = group.product or mine.product
        if product is not None and any(
            root(v) in group.members or root(v) in mine.members for v in product.inputs
        ):
            return None  # it takes its operands from memory
        if self._compares_exactly(group, mine):
            return None
        if len(group.members) + len(mine.members) > MOST_MEMBERS:
            return None
        border = self._common_border(group, mine)
        if sum(map(len, border)) > MOST_OPERANDS or self._is_between(group, mine):
            return None
        return border

    def _compares_exactly(self, *groups: Group) -> bool:
        """Whether a member compares what another one gives, and what must be in memory for it."""
        if not self._exact:
            return False
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

    def _merge(self, group: Group, mine: Group, border: Border) -> Group:
        rows = mine.domain != group.domain and not _aligned(
            mine.domain, group.domain, group.reduced or mine.reduced
        )
        if rows:
            mine.members = dict.fromkeys(mine.members, ROW)
        self._join(group, mine, border)
        if not rows:
            if group.product is None and len(mine.domain) > len(group.domain):
                group.domain = mine.domain
            group.reduced = group.reduced if group.reduced is not None else mine.reduced
        group.product = group.product or mine.product
        return group

    def _join(self, group: Group, mine: Group, border: Border) -> None:
        group.read, group.shown = border
        group.first, group.last = min(group.first, mine.first), max(group.last, mine.last)
        group.members.update(mine.members)
        self.of.update(dict.fromkeys(mine.members, group))

    def _common_border(self, group: Group, mine: Group) -> Border:
        """What both together would read of others, and show to others."""
        a, b = group.members, mine.members
        inner = (group.shown & mine.read) | (group.read & mine.shown)
        shown = {
            v for v in inner
            if v in self._outputs or any(u not in a and u not in b for u in v.uses)
        }  # fmt: skip
        return (group.read | mine.read) - inner, ((group.shown | mine.shown) - inner) | shown

    def _is_between(self, group: Group, mine: Group) -> bool:
        """Whether a node outside of both reads one of them and is read by the other."""
        a, b = group.members, mine.members
        first = min(group.first, mine.first)
        # Views of what a member computes are read within the group.
        pending = [
            node for v in (*group.read, *mine.read) if (node := root(v)) not in a and node not in b
        ]
        seen: set[Node | Group] = set()
        while pending:
            node = pending.pop()
            held = self.of.get(node)
            item, last = (node, node.id) if held is None else (held, held.last)
            if last < first or item in seen:
                continue
            seen.add(item)
            for value in node.inputs if held is None else held.read:
                if value.node in a or value.node in b:
                    return True
                pending.append(value.node)
        return False


def _reads_well(held: Group, reading: Group) -> bool:
    """Whether members of a group read another's rows as what they are, and no columns."""
    if held.reduced is None:
        return True
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


def _part(bound: Bound) -> str:
    """What part an operator can have in a group; empty for none."""
    if _is_product(bound):
        return PRODUCT
    if _is_reduction(bound):
        return REDUCTION
    symbolic = any(is_grown(aval) for aval in (*bound.ins, *bound.outs))
    return SCALAR if has_scalar_code(bound) and not symbolic else ""


def _is_product(bound: Bound) -> bool:
    """Whether it is a product of two matrices, or of stacks of them, that C can compute."""
    if bound.op.name != "matmul":
        return False
    a, b = bound.ins
    return (
        is_float(a.dtype)
        and a.dtype == b.dtype
        and a.device.kind == "cpu"
        and min(a.ndim, b.ndim) >= 2
        and not (is_grown(a) or is_grown(b))
    )


def _is_reduction(bound: Bound) -> bool:
    """Whether it reduces axes of its operand in a way that loops can."""
    if bound.op.name not in REDUCTIONS or not bound.ins:
        return False
    x, y = bound.ins[0], bound.outs[0]
    known = x.dtype == y.dtype and (is_float(x.dtype) or is_integer(x.dtype))
    if not known or x.device.kind != "cpu" or is_grown(x):
        return False
    axes = _reduced_axes(bound)
    return bool(axes) and all(x.shape[a] for a in axes)


def _reduced_axes(bound: Bound) -> tuple[int, ...]:
    """The axes of the operand that a reduction goes over."""
    shape = bound.ins[0].shape
    if bound.op.name == "sum_to":
        target = bound.outs[0].shape
        extra = len(shape) - len(target)
        repeated = (extra + i for i, n in enumerate(target) if n != shape[extra + i])
        return (*range(extra), *repeated)
    return tuple(bound.attrs["axis"])


def _shape(value: Value) -> tuple[Any, ...]:
    return value.aval.shape


def _aligned(a: tuple[Any, ...], b: tuple[Any, ...], reduced: tuple[int, ...] | None) -> bool:
    """Whether two shapes have the same elements in the same order, row by row of the last axis."""
    if a == b:
        return True
    if reduced is not None or not a or not b or a[-1] != b[-1]:
        return False
    return math.prod(a) == math.prod(b)
