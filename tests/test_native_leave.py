"""What fused nodes keep in memory for each other: as little as the rest can be computed from."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from native_passes import arrays_for, built, run

import diptych as dt
from diptych.compiler.passes.fuse import fuse
from diptych.compiler.passes.leave import MOST_AGAIN
from diptych.graphs.ir import Graph, Node
from diptych.graphs.regions import FUSED


def groups(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if node.op is FUSED]


def body_ops(node: Node) -> Counter[str]:
    [body] = node.attrs["bodies"]
    return Counter(n.op.name for n in body.nodes)


def fused(build: Any, *shapes: Any) -> list[Node]:
    """The groups of a graph that gives what it gave before."""
    graph = built(build, *shapes)
    after, feeds = fuse(graph).verify(), arrays_for(graph)
    for f, e in zip(run(after, feeds), run(graph, feeds), strict=True):
        np.testing.assert_allclose(f, e, rtol=1e-5, atol=1e-5)
    return groups(after)


def test_what_a_few_values_give_is_computed_by_the_reader() -> None:
    def build(x: Any, g: Any, w: Any) -> Any:
        a, b = dt.tanh(x), dt.sigmoid(x)
        slopes = (1 - a * a, b * (1 - b), a * b, a * b * (1 - b))
        y = dt.sort((a * b) @ w)  # what comes before and after can be no group
        return tuple(y * s for s in slopes)

    first, *_, last = fused(build, (8, 8), (8, 8), (8, 8))
    assert len(first.outputs) == 3  # the product's operand, and the two that are dear
    assert body_ops(first)["tanh"] == body_ops(first)["sigmoid"] == 1
    assert body_ops(last)["tanh"] == body_ops(last)["sigmoid"] == 0
    assert body_ops(last)["subtract"] > 0


def test_one_number_is_kept_rather_than_the_two_it_comes_of() -> None:
    def build(x: Any, w: Any) -> Any:
        a, b = dt.tanh(x), dt.sigmoid(x)
        return dt.sort((a - b) @ w) * (a * b)

    first, _, last = fused(build, (8, 8), (8, 8))
    assert len(first.outputs) == 2
    assert body_ops(last) == Counter(placeholder=2, multiply=1)


def test_a_narrow_value_is_kept_rather_than_a_wide_one() -> None:
    def build(x: Any, w: Any) -> Any:
        y = dt.tanh(x)
        return dt.where(y > 0, dt.sort((y + 1) @ w), 0.0)

    first, *_, last = fused(build, (8, 8), (8, 8))
    assert {v.dtype.name for v in first.outputs} == {"bool", "float32"}
    assert body_ops(last)["greater"] == 0


def test_what_is_kept_anyway_costs_nothing() -> None:
    def build(x: Any, w: Any) -> Any:
        y = dt.tanh(x)
        return dt.where(y > 0, dt.sort(y @ w), 0.0)

    first, *_, last = fused(build, (8, 8), (8, 8))
    assert [v.dtype for v in first.outputs] == ["float32"]
    assert body_ops(last)["greater"] == 1


def test_a_chain_of_steps_is_not_computed_again_from_its_beginning() -> None:
    def build(rounds: int) -> Any:
        def graph(x: Any, w: Any) -> Any:
            kept, state, total = [], dt.tanh(x), x
            for _ in range(rounds):
                gate = dt.sigmoid(total @ w)
                state = gate * state + (1 - gate)
                total = dt.tanh(state)
                kept.append((gate, state, total))
            slope = total
            for gate, state, total in reversed(kept):
                slope = dt.sort(slope @ w) * (1 - total * total) * gate * (1 - gate) + state
            return slope

        return graph

    def largest(rounds: int) -> int:
        return max(sum(body_ops(node).values()) for node in fused(build(rounds), (8, 8), (8, 8)))

    assert largest(6) == largest(12)


def test_a_long_chain_is_kept() -> None:
    def chain(v: Any, count: int) -> Any:
        for _ in range(count):
            v = v * v - v
        return v

    def build(count: int) -> Any:
        def graph(x: Any, w: Any) -> Any:
            a = dt.tanh(x)
            return dt.sort(a @ w) * chain(a, count)

        return graph

    first, *_, last = fused(build(1), (8, 8), (8, 8))
    assert len(first.outputs) == 1 and body_ops(last)["subtract"] == 1
    first, *_, last = fused(build(MOST_AGAIN), (8, 8), (8, 8))
    assert len(first.outputs) == 2 and body_ops(last)["subtract"] == 0
