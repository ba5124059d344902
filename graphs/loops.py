"""Gradients of regions: the backward pass of a branch or of a loop is a region again.

What the backward bodies read of the forward ones becomes further outputs of the forward node, in a
loop one stack with an entry a round. The backward pass of a loop is a `scan` over these stacks from
the other end, whose carries are the cotangents of the carries and the sums for what every round
reads. So the second order, and any other, is this module again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .autodiff import sweep, zeros_of
from .avals import Aval
from .batching import Batched, per_example
from .dims import Dim
from .dtypes import is_float
from .errors import GraphError
from .ir import Graph, Node, Value
from .partition import copied, cut, depending, feeding, is_made_again
from .regions import CHECKPOINT, COND, SCAN, append_region, grow, stacked, trips


def pull_region(
    node: Node, needs: list[bool], totals: list[Any], arrived: dict[Value, Any]
) -> list[tuple[int, Any]]:
    """Cotangents of a region's operands, as (position, cotangent), from those of its results.

    Parameters
    ----------
    node : Node
    needs : list of bool
        Which operands' cotangents are wanted.
    totals : list
        Per result its cotangent, or None.
    arrived : dict
        The cotangents that have met at values so far. Those of what a loop reads as a whole are
        taken out: its sums begin with them, as sums on the tape do.
    """
    if any(isinstance(g, Batched) for g in totals):
        return _pull_examples(node, needs, totals)
    if node.op is CHECKPOINT:
        return _pull_checkpoint(node, needs, totals, arrived)
    if node.op is COND:
        return _pull_cond(node, needs, totals, arrived)
    return _Loop(node).pull(needs, totals, arrived)


def _pull_examples(node: Node, needs: list[bool], totals: list[Any]) -> list[tuple[int, Any]]:
    """Pull mapped cotangents, such as the rows of a Jacobian, one by one."""
    positions: list[int] = []

    def pull_one(cotangents: list[Any]) -> list[Any]:
        pulled = pull_region(node, needs, cotangents, {})
        positions[:] = [i for i, _ in pulled]
        return [g for _, g in pulled]

    return list(zip(positions, per_example(pull_one, totals)))


class _Work:
    """A copy of a body to which its backward pass is appended."""

    def __init__(self, body: Graph, feed: Sequence[int]) -> None:
        self.graph, env = copied(body)
        self.outputs = [env[v] for v in body.outputs]
        inside = [env[v] for v in body.placeholders.values()]
        self.placeholders = inside
        self.operand_of = dict(zip(inside, feed))
        self.inside: dict[int, Value] = {}
        for value, operand in zip(inside, feed):
            self.inside.setdefault(operand, value)
        self.forward = list(self.graph.nodes)

    def placeholder(self, aval: Aval) -> Value:
        return self.graph.add_placeholder(f"backward{len(self.graph.nodes)}", aval)

    def gradients(
        self,
        seeds: list[tuple[Value, Value]],
        wanted: Sequence[int],
        begun: dict[int, Value],
    ) -> list[Value | None]:
        """Append the backward pass; per wanted operand its cotangent, None where none flows."""
        operands = [self.inside[i] for i in wanted if i in self.inside]
        sums = {self.inside[i]: v for i, v in begun.items() if i in self.inside}
        with self.graph.building():
            found = sweep(
                self.forward,
                [output for output, _ in seeds],
                [seed for _, seed in seeds],
                depending(self.forward, operands),
                set(operands),
                sums,
            )
            results = []
            for i in wanted:
                value = found.get(self.inside[i]) if i in self.inside else None
                results.append(begun.get(i) if value is None else value)
        return results

    def residuals(self, backward: Sequence[Value]) -> list[Value]:
        """What a backward pass reads of the forward one."""
        count = len(self.forward)

        def stands(value: Value) -> bool:
            node = value.node
            return node.id < count and not is_made_again(node)

        return feeding(list(backward), stands)

    def extended(self, outputs: Sequence[Value]) -> Graph:
        """The forward body with these outputs."""
        return cut(self.graph, self.placeholders, list(outputs))


class _Loop:
    """One `scan` or `while_loop` to be differentiated."""

    def __init__(self, node: Node) -> None:
        self.node, self.attrs = node, node.attrs
        self.work = _Work(self.attrs["bodies"][-1], self.attrs["feeds"][-1])
        self.carries = self.attrs["carries"]
        self.varying = self.carries - self.attrs["state"]
        self.slices = range(self.carries, self.carries + self.attrs.get("xs", 0))

    def pull(
        self, needs: list[bool], totals: list[Any], arrived: dict[Value, Any]
    ) -> list[tuple[int, Any]]:
        node, work = self.node, self.work
        # State is a leaf at each read, so its gradient is a sum, as that of what is captured is.
        fixed = [i for i, need in enumerate(needs) if need and i >= self.varying]
        active = self._active(needs, fixed)
        stacked_seeds = [
            i
            for i, g in enumerate(totals)
            if i >= self.carries and g is not None and is_float(node.outputs[i].dtype)
        ]
        if not stacked_seeds and all(totals[i] is None for i in active):
            return []
        sums = [i for i in fixed if i not in self.slices]
        along = [i for i in fixed if i in self.slices]
        places = {i: work.placeholder(node.bound.ins[i]) for i in (*active, *sums)}
        sliced = [work.placeholder(work.outputs[i].aval) for i in stacked_seeds]
        # A round's own output is read after the loop, so its cotangent is there first.
        outer = [(work.outputs[i], g) for i, g in zip(stacked_seeds, sliced)]
        flowing = {i for i in active if totals[i] is not None}
        while True:  # what flows in one round flows on in the next
            seeds = [*outer, *((work.outputs[i], places[i]) for i in active if i in flowing)]
            wanted = [*active, *sums, *along]
            begun = {i: places[i] for i in sums}
            found = dict(zip(wanted, work.gradients(seeds, wanted, begun)))
            more = flowing | {i for i in active if found[i] is not None}
            if more == flowing:
                break
            flowing = more
        active = [i for i in active if i in flowing]
        sums = [i for i in sums if found[i] is not places[i]]
        along = [i for i in along if found[i] is not None]
        carried = [places[i] for i in (*active, *sums)]
        wanted = [*active, *sums, *along]
        results = self._or_zeros(wanted, [found[i] for i in wanted])
        reads = work.residuals(results)
        is_captured = [work.operand_of.get(v, -1) >= self.carries for v in reads]
        captured = [v for v, is_outside in zip(reads, is_captured) if is_outside]
        kept = [v for v, is_outside in zip(reads, is_captured) if not is_outside]
        if not self.slices and "length" not in self.attrs and not kept:
            kept = [work.outputs[0]]  # a stack tells how many rounds there were
        stacks = self._stacks(kept)
        again = [v for v in captured if work.operand_of[v] in self.slices]
        whole = [v for v in captured if work.operand_of[v] not in self.slices]
        counted = [] if sliced or kept or again else list(self.slices[:1])
        counting = [work.placeholder(_slice_of(node.bound.ins[i])) for i in counted]
        body = cut(work.graph, [*carried, *sliced, *kept, *again, *counting, *whole], results)
        graph = node.graph
        operands = [
            *(self._start(i, totals[i]) for i in active),
            *(self._begin(i, arrived) for i in sums),
            *(totals[i] for i in stacked_seeds),
            *stacks,
            *(node.inputs[work.operand_of[v]] for v in again),
            *(node.inputs[i] for i in counted),
            *(node.inputs[work.operand_of[v]] for v in whole),
        ]
        count = len(active) + len(sums)
        length = self._length()
        outs = [v.aval for v in operands[:count]]
        outs += [stacked(v.aval, length) for v in results[count:]]
        gradients = append_region(
            graph, SCAN, operands, outs,
            bodies=(body,), feeds=(tuple(range(len(operands))),), carries=count,
            xs=len(stacked_seeds) + len(stacks) + len(again) + len(counted), length=length,
            reverse=not self.attrs.get("reverse", False),
        )  # fmt: skip
        pulled = {i: g for i, g in zip(wanted, gradients) if needs[i]}
        return [(i, pulled[i]) for i in sorted(pulled)]

    def _active(self, needs: list[bool], fixed: list[int]) -> list[int]:
        """The carries through which a gradient flows from round to round."""
        work = self.work
        active = {i for i in range(self.varying) if needs[i]}
        while True:
            starts = [work.inside[i] for i in (*active, *fixed) if i in work.inside]
            reached = depending(work.forward, starts)
            more = {i for i in range(self.varying) if work.outputs[i] in reached} | active
            if more == active:
                return sorted(active)
            active = more

    def _begin(self, operand: int, arrived: dict[Value, Any]) -> Value:
        """What the sum for an operand begins with."""
        value = self.node.inputs[operand]
        if isinstance(arrived.get(value), Value):
            return arrived.pop(value)
        return zeros_of(self.node.bound.ins[operand])

    def _start(self, carry: int, total: Any) -> Value:
        return zeros_of(self.node.bound.ins[carry]) if total is None else total

    def _or_zeros(self, wanted: Sequence[int], found: Sequence[Value | None]) -> list[Value]:
        """What a round gives for an operand that it does not use."""
        results = []
        with self.work.graph.building():
            for i, value in zip(wanted, found):
                aval = self.node.bound.ins[i]
                if i in self.slices:
                    aval = _slice_of(aval)
                results.append(zeros_of(aval) if value is None else value)
        return results

    def _length(self) -> Any:
        """The number of rounds; of a `while_loop`, as its stacks say."""
        if "length" in self.attrs:
            return self.attrs["length"]
        return self.node.outputs[self.carries].shape[0]

    def _stacks(self, kept: list[Value]) -> list[Value]:
        """The results that stack these values of every round; the node grows by what is new."""
        node, work = self.node, self.work
        outputs = work.outputs
        places = _places(outputs, self.carries)
        missing = [v for v in kept if v not in places]
        if missing:
            self._refuse_nested(missing)
            if "length" in self.attrs:
                length = self.attrs["length"]
            elif len(outputs) > self.carries:
                length = self._length()
            else:
                length = trips(node.graph)
            body = work.extended([*outputs, *missing])
            bodies = (*self.attrs["bodies"][:-1], body)
            grow(node, bodies, [stacked(v.aval, length) for v in missing])
            places = _places([*outputs, *missing], self.carries)
        return [node.outputs[places[v]] for v in kept]

    def _refuse_nested(self, values: list[Value]) -> None:
        for value in values:
            if any(isinstance(d, Dim) and d.depends_on_data for d in value.shape):
                raise GraphError(
                    "while_loop: the gradient of a loop inside a loop needs a bound on its rounds, "
                    "got none; pass max_iterations, or write a for over a range that breaks"
                )


def _pull_cond(
    node: Node, needs: list[bool], totals: list[Any], arrived: dict[Value, Any]
) -> list[tuple[int, Any]]:
    works = [_Work(b, f) for b, f in zip(node.attrs["bodies"], node.attrs["feeds"])]
    present = [i for i, g in enumerate(totals) if g is not None and is_float(node.outputs[i].dtype)]
    wanted = [i for i, need in enumerate(needs) if need]
    pulled = [_pull_body(work, node, present, wanted, arrived) for work in works]
    wanted = [i for i in wanted if any(flows[i] is not None for _, _, flows in pulled)]
    if not wanted:
        return []
    sums = [i for i in wanted if i in pulled[0][1]]
    parts = []
    for work, (seeds, begun, flows) in zip(works, pulled):
        with work.graph.building():
            results = [_flow(i, flows, begun, node.bound.ins[i]) for i in wanted]
        seeds = [*seeds, *(begun[i] for i in sums)]
        parts.append((work, seeds, results, work.residuals(results)))
    kept = [[v for v in reads if v not in work.operand_of] for work, _, _, reads in parts]
    values = _kept_of_branches(node, works, kept)
    operands: list[Value] = [node.inputs[0], *(totals[i] for i in present)]
    operands += [arrived.pop(node.inputs[i]) for i in sums]
    shared = len(operands)
    bodies, feeds = [], []
    for (work, seeds, results, reads), own, outside in zip(parts, kept, values):
        captured = [v for v in reads if v in work.operand_of]
        first = len(operands)
        operands += [*outside, *(node.inputs[work.operand_of[v]] for v in captured)]
        bodies.append(cut(work.graph, [*seeds, *own, *captured], results))
        feeds.append((*range(1, shared), *range(first, len(operands))))
    outs = [node.bound.ins[i] for i in wanted]
    found_values = append_region(
        node.graph, COND, operands, outs, bodies=tuple(bodies), feeds=tuple(feeds)
    )
    return list(zip(wanted, found_values))


def _pull_body(
    work: _Work,
    node: Node,
    present: list[int],
    wanted: list[int],
    arrived: dict[Value, Any],
) -> tuple[list[Value], dict[int, Value], dict[int, Value | None]]:
    """The backward pass of a body that runs at most once.

    Its seeds, the placeholders of the sums that have begun outside, and per wanted operand its
    cotangent, None where none flows.
    """
    seeds = [work.placeholder(node.outputs[i].aval) for i in present]
    begun = {
        i: work.placeholder(node.bound.ins[i])
        for i in wanted
        if isinstance(arrived.get(node.inputs[i]), Value)
    }
    pairs = [(work.outputs[i], g) for i, g in zip(present, seeds)]
    found = dict(zip(wanted, work.gradients(pairs, wanted, begun)))
    return seeds, begun, {i: None if g is begun.get(i) else g for i, g in found.items()}


def _pull_checkpoint(
    node: Node, needs: list[bool], totals: list[Any], arrived: dict[Value, Any]
) -> list[tuple[int, Any]]:
    """The backward body holds the forward one, from the operands on."""
    [body], [feed] = node.attrs["bodies"], node.attrs["feeds"]
    work = _Work(body, feed)
    present = [i for i, g in enumerate(totals) if g is not None]
    wanted = [i for i, need in enumerate(needs) if need]
    seeds, begun, flows = _pull_body(work, node, present, wanted, arrived)
    pairs = [(i, g) for i, g in flows.items() if g is not None]
    if not pairs:
        return []
    sums = [i for i, _ in pairs if i in begun]
    inputs = [*seeds, *(begun[i] for i in sums), *work.placeholders]
    backward = cut(work.graph, inputs, [g for _, g in pairs])
    operands = [
        *(totals[i] for i in present),
        *(arrived.pop(node.inputs[i]) for i in sums),
        *(node.inputs[i] for i in feed),
    ]
    gradients = append_region(
        node.graph, CHECKPOINT, operands, [g.aval for _, g in pairs],
        bodies=(backward,), feeds=(tuple(range(len(operands))),),
    )  # fmt: skip
    return [(i, g) for (i, _), g in zip(pairs, gradients)]


def _flow(i: int, flows: dict[int, Any], begun: dict[int, Value], aval: Aval) -> Value:
    """The cotangent that one branch gives for an operand which another branch has one for."""
    if flows[i] is not None or i in begun:
        return begun[i] if flows[i] is None else flows[i]
    if any(isinstance(d, Dim) and d.depends_on_data for d in aval.shape):
        raise GraphError(
            "cond: where the size of what a gradient flows to depends on data, it must flow in "
            f"both branches, got {aval}"
        )
    return zeros_of(aval)


def _kept_of_branches(node: Node, works: list[_Work], kept: list[list[Value]]) -> list[list[Value]]:
    """The results that hold what each branch computed; of the branch not taken, zeros."""
    places = [_places(work.outputs) for work in works]
    missing = [[v for v in values if v not in known] for known, values in zip(places, kept)]
    if any(missing):
        avals = [v.aval for values in missing for v in values]
        bodies = []
        for branch, work in enumerate(works):
            with work.graph.building():
                mine = [
                    [v if own == branch else _nothing(v.aval) for v in values]
                    for own, values in enumerate(missing)
                ]
            bodies.append(work.extended([*work.outputs, *mine[0], *mine[1]]))
        first = len(node.outputs)
        grow(node, tuple(bodies), avals)
        for known, values in zip(places, missing):
            known.update((v, first + i) for i, v in enumerate(values))
            first += len(values)
    return [[node.outputs[known[v]] for v in values] for known, values in zip(places, kept)]


def _places(outputs: Sequence[Value], start: int = 0) -> dict[Value, int]:
    """Where each value stands among the outputs, from `start` on."""
    return {v: i for i, v in enumerate(outputs) if i >= start}


def _slice_of(aval: Aval) -> Aval:
    """What a round sees of an operand that a loop goes along."""
    return Aval(aval.shape[1:], aval.dtype, aval.device)


def _nothing(aval: Aval) -> Value:
    """Zeros of a shape; a size that depends on data is 0."""
    shape = tuple(0 if isinstance(d, Dim) and d.depends_on_data else d for d in aval.shape)
    return zeros_of(Aval(shape, aval.dtype, aval.device))
