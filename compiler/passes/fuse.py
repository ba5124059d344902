"""fuse: put operators that one loop nest can compute into one node; see `groups`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...graphs.ir import CONSTANT, PLACEHOLDER, Graph, Node, Value
from ...graphs.ops.core import Bound
from ...graphs.regions import FUSED
from .groups import SHOWING, Group, Grouping, root


def fuse(graph: Graph) -> Graph:
    """Before: any graph. After: what loops can compute stands in `fused` nodes, whose bodies hold
    the operators. Values that nothing outside a group reads are no longer in memory."""
    graph = _live(graph)
    return _live(_Rebuilding(graph, Grouping(graph)).new)


class _Rebuilding:
    """The graph with each group as one node. Groups that compute the same share one `Bound`."""

    def __init__(self, graph: Graph, groups: Grouping) -> None:
        self.groups, self.outputs = groups, set(graph.outputs)
        self.new = Graph()
        self._bounds: dict[Any, Bound] = {}
        self.env: dict[Value, Value] = {}
        with self.new.building():
            for item in _order(graph, groups):
                if isinstance(item, Group):
                    self._append_group(item)
                else:
                    self._append_node(item)
        self.new.outputs = tuple(self.env[v] for v in graph.outputs)
        self.new.adopt_parameters(graph)

    def _append_node(self, node: Node) -> None:
        if node.op.view and node.inputs[0] not in self.env:
            return  # it shows what a group keeps to itself, and is read there alone
        inputs = tuple(self.env[v] for v in node.inputs)
        if node.op.effect:
            when = None if node.when is None else self.env[node.when]
            self.new.append(node.bound, inputs, when, node.location)
            return
        bound = node.bound
        if node.op.region:
            bound = bound.changed(bodies=tuple(map(fuse, node.attrs["bodies"])))
        self.env.update(zip(node.outputs, self.new.copy_node(node, inputs, bound)))

    def _append_group(self, group: Group) -> None:
        members = sorted(group.members, key=lambda n: n.id)
        location = members[-1].location
        body = Graph()
        inner: dict[Value, Value] = {}
        operands: list[Value] = []
        kinds: dict[Node, str] = {}

        def lowered(value: Value) -> Value:
            """The value within the body: copied with what leads to it, or an operand."""
            if value not in inner:
                node = value.node
                if node in group.members or node in self.groups.inlined or self._leads(node, group):
                    inputs = tuple(lowered(v) for v in node.inputs)
                    inner.update(zip(node.outputs, body.copy_node(node, inputs)))
                    if node in group.members:
                        kinds[body.nodes[-1]] = group.members[node]
                elif node.op is CONSTANT and not value.shape:
                    inner.update(zip(node.outputs, body.copy_node(node, ())))
                else:
                    inner[value] = body.add_placeholder(str(len(operands)), value.aval)
                    operands.append(self.env[value])
            return inner[value]

        with body.located(location):
            for node in members:
                for value in node.outputs:
                    lowered(value)
        shown = [
            v
            for node in members
            for v in node.outputs
            if v in self.outputs or any(self._is_outside(user, group) for user in v.uses)
        ]
        body.outputs = tuple(inner[v] for v in shown)
        attrs = {
            **FUSED.attrs, "bodies": (body,), "feeds": (tuple(range(len(operands))),),
            "domain": group.domain, "reduced": group.reduced,
            "kinds": tuple([kinds.get(node, "") for node in body.nodes]),
        }  # fmt: skip
        key = (group.domain, group.reduced, attrs["kinds"], _form(body))
        bound = self._bounds.get(key)
        if bound is None:
            ins, outs = (tuple([v.aval for v in values]) for values in (operands, shown))
            bound = self._bounds[key] = Bound(FUSED, attrs, ins, outs)
        node = self.new.append(bound, tuple(operands), None, location)
        self.env.update(zip(shown, node.outputs))

    def _leads(self, node: Node, group: Group) -> bool:
        """Whether a node is a view of what the group computes."""
        while node.op.name in SHOWING:
            node = node.inputs[0].node
            if node in group.members:
                return True
        return False

    def _is_outside(self, user: Node, group: Group) -> bool:
        """Whether a reader is not computed within the group."""
        if user in group.members:
            return False
        if user in self.groups.inlined:
            return True
        if self._leads(user, group):
            [value] = user.outputs
            return value in self.outputs or any(self._is_outside(u, group) for u in value.uses)
        return True


def _form(body: Graph) -> Any:
    """What is equal for bodies that compute the same, node by node."""
    return (
        tuple([(_what(node.bound), *map(_place, node.inputs)) for node in body.nodes]),
        tuple(map(_place, body.outputs)),
    )


def _what(bound: Bound) -> Any:
    if bound.op is CONSTANT:
        array = bound.attrs["array"]
        return (array.dtype, array.tobytes())
    return bound.outs if bound.op is PLACEHOLDER else bound


def _place(value: Value) -> tuple[int, int]:
    return value.node.id, value.index


def _order(graph: Graph, groups: Grouping) -> list[Node | Group]:
    """Nodes and groups, each after all that it reads, otherwise in order of creation."""
    begun: set[Any] = set()
    result: list[Node | Group] = []

    def needs(item: Any) -> list[Any]:
        """What an item reads, but for views of what a group computes itself."""
        if not isinstance(item, Group):
            values = [*item.inputs, *([item.when] if item.when is not None else [])]
            return [groups.of.get(v.node, v.node) for v in values]
        members = sorted(item.members, key=lambda n: n.id)
        return [other for n in members for other in sources(n, item)]

    def sources(node: Node, group: Group) -> Iterator[Any]:
        """What a group reads for one of its members, or for what it computes as others do."""
        for value in node.inputs:
            if value.node in groups.inlined:
                yield from sources(value.node, group)
            elif root(value) not in group.members:
                yield groups.of.get(value.node, value.node)

    def place(start: Node) -> None:
        pending: list[tuple[Any, bool]] = [(groups.of.get(start, start), False)]
        while pending:
            item, is_ready = pending.pop()
            if is_ready:
                result.append(item)
            elif item not in begun:
                begun.add(item)
                pending.append((item, True))
                pending += [(other, False) for other in reversed(needs(item)) if other not in begun]

    # Placeholders first: what feeds them goes by their order.
    for node in sorted(graph.nodes, key=lambda n: n.op is not PLACEHOLDER):
        if node in groups.of or node not in groups.inlined:
            place(node)
    return result


def _live(graph: Graph) -> Graph:
    """The graph without nodes that neither outputs nor effects need; placeholders stay."""
    needed = {v.node for v in graph.outputs}
    for node in reversed(graph.nodes):
        if node.op.effect or node in needed or node.op is PLACEHOLDER:
            needed.add(node)
            needed.update(v.node for v in node.inputs)
            if node.when is not None:
                needed.add(node.when.node)
    if len(needed) == len(graph.nodes):
        return graph
    return graph.rebuild(nodes=[node for node in graph.nodes if node in needed])
