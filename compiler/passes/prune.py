"""prune: drop every node, and every result of a branch or loop, that nothing fetched needs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ...graphs.dims import Dim
from ...graphs.ir import Graph, Node, Value
from ...graphs.ops.core import Bound
from ...graphs.partition import copied
from ...graphs.regions import CHECKPOINT, COND


def prune(graph: Graph) -> Graph:
    """Before: any graph. After: every node is an effect or leads to an output or an effect.

    An effect with a condition (`Node.when`) is one of the needed only where its condition is. In
    regions the same holds of bodies, results, carries and operands.
    """
    needed: set[Value] = set(graph.outputs)
    kept: set[Node] = set()
    narrowed: dict[Node, _Narrowed] = {}
    before = -1
    while len(needed) + len(kept) != before:  # a condition may come alive through another effect
        before = len(needed) + len(kept)
        for node in reversed(graph.nodes):
            if node.op.effect:
                if node.when is not None and needed.isdisjoint(node.when.node.outputs):
                    continue
                needed.update(node.inputs)
            elif needed.isdisjoint(node.outputs):
                continue
            elif node.op.region:
                narrowed[node] = found = _narrow(node, needed)
                needed.update(node.inputs[i] for i in found.operands)
            else:
                needed.update(node.inputs)
            kept.add(node)
        # A condition stays with its effect, though it may be a result that nothing else reads.
        needed.update(n.when for n in kept if n.when is not None)

    def visit(new: Graph, node: Node, inputs: tuple[Value, ...]) -> tuple[Value | None, ...] | None:
        found = narrowed.get(node)
        if found is None:
            return None
        results = new.copy_node(node, tuple(inputs[i] for i in found.operands), found.bound)
        values = dict(zip(found.results, results))
        return tuple(values.get(i) for i in range(len(node.outputs)))

    if len(kept) == len(graph.nodes) and not narrowed:
        return graph
    return graph.rebuild(visit, [node for node in graph.nodes if node in kept])


@dataclass(frozen=True)
class _Narrowed:
    """A region with less in it, and which of its operands and results are left."""

    bound: Bound
    operands: list[int]
    results: list[int]


def _narrow(node: Node, needed: Collection[Value]) -> _Narrowed:
    wanted = {i for i, v in enumerate(node.outputs) if v in needed}
    if node.op in (COND, CHECKPOINT):
        return _narrow_branches(node, wanted)
    return _narrow_loop(node, wanted)


def _narrow_branches(node: Node, wanted: set[int]) -> _Narrowed:
    bound, results = node.bound, sorted(wanted)
    bodies, feeds = bound.attrs["bodies"], bound.attrs["feeds"]
    pairs = [_body(body, feed, results) for body, feed in zip(bodies, feeds)]
    asked = {0} if node.op is COND else set()
    operands = sorted(asked.union(*(feed for _, feed in pairs)))
    return _rebound(bound, pairs, operands, results, {})


def _narrow_loop(node: Node, wanted: set[int]) -> _Narrowed:
    bound, attrs = node.bound, node.attrs
    count = attrs["carries"]
    asks = [_body(b, f, [0]) for b, f in zip(attrs["bodies"][:-1], attrs["feeds"][:-1])]
    wanted = wanted | {i for _, feed in asks for i in feed if i < count}
    while True:  # a carry is needed where a round needs what the round before gave
        results = sorted(wanted)
        goes = _body(attrs["bodies"][-1], attrs["feeds"][-1], results)
        more = {i for i in goes[1] if i < count}
        if more <= wanted:
            break
        wanted = wanted | more
    used = {i for _, feed in (*asks, goes) for i in feed}
    carries = [i for i in results if i < count]
    slices = [i for i in range(count, count + attrs.get("xs", 0)) if i in used]
    length = attrs.get("length")
    if not slices and isinstance(length, Dim) and length.depends_on_data:
        slices = [count]  # it alone tells how many rounds there are
    rest = sorted(i for i in used if i >= count + attrs.get("xs", 0))
    kept = sum(i >= count - attrs["state"] for i in carries)
    changed = {"carries": len(carries), "state": kept}
    if "xs" in attrs:
        changed["xs"] = len(slices)
    return _rebound(bound, [*asks, goes], [*carries, *slices, *rest], results, changed)


def _body(body: Graph, feed: tuple[int, ...], outputs: list[int]) -> tuple[Graph, tuple[int, ...]]:
    """A body with some of its outputs, and the feed of the placeholders that they need."""
    copy, env = copied(body)
    copy.outputs = tuple(env[body.outputs[i]] for i in outputs)
    by_name = dict(zip(body.placeholders, feed))
    pruned = prune(copy)
    return pruned, tuple(by_name[name] for name in pruned.placeholders)


def _rebound(
    bound: Bound,
    pairs: list[tuple[Graph, tuple[int, ...]]],
    operands: list[int],
    results: list[int],
    changed: dict[str, int],
) -> _Narrowed:
    place = {operand: i for i, operand in enumerate(operands)}
    attrs = {
        **bound.attrs,
        **changed,
        "bodies": tuple(body for body, _ in pairs),
        "feeds": tuple(tuple(place[i] for i in feed) for _, feed in pairs),
    }
    ins = tuple(bound.ins[i] for i in operands)
    outs = tuple(bound.outs[i] for i in results)
    return _Narrowed(Bound(bound.op, attrs, ins, outs), operands, results)
