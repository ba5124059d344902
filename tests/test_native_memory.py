"""Memory of native steps: what is in use at once, and that no more is allocated than planned."""

from __future__ import annotations

import re
import tracemalloc
from typing import Any

import numpy as np
import pytest
from native_races import TURNS, in_turns, standard

import diptych as dt
from diptych.compiler.native import build, timeline
from diptych.compiler.native.buffers import Given, Room
from diptych.compiler.native.lives import Lives
from diptych.compiler.native.lodging import lodge
from diptych.compiler.native.order import order
from diptych.compiler.native.schedule import schedule
from diptych.compiler.native.toolchain import find_compiler
from diptych.compiler.passes import NATIVE_ORDER, NATIVE_PASSES, PASSES
from diptych.graphs.ir import Graph, Node
from diptych.graphs.kernels.shapes.structs import LINE
from diptych.graphs.storage import Storage

needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler")


def planned(program: Any) -> dict[str, int]:
    """What `explain()` says of memory, in bytes."""
    found = re.search(
        r"peak (?P<peak>\d+) bytes: arena (?P<arena>\d+) bytes in \d+ buffers "
        r"\(liveness bound (?P<bound>\d+)\).* (?P<returned>\d+) bytes returned",
        str(program.explain()),
    )
    assert found is not None
    return {name: int(n) for name, n in found.groupdict().items()}


def arrays_in_use() -> int:
    """Bytes that NumPy has allocated since `tracemalloc` was started, but for single numbers, as
    constants are here."""
    only = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
    traces = tracemalloc.take_snapshot().filter_traces([only])
    return sum(trace.size for trace in traces.traces if trace.size > 8)


# -- what is allocated -------------------------------------------------------------------------


@pytest.mark.parametrize("executor", ["planned", pytest.param("native", marks=needs_compiler)])
@pytest.mark.parametrize("train", [False, True])
def test_no_more_is_allocated_than_planned(executor: str, train: bool) -> None:
    weights = [Storage(standard(96, 96, seed=i) / 10) for i in range(4)]
    rows = 256  # so that every value on the way is larger than what Python needs for a run
    with dt.static.Graph() as g:
        x = y = g.placeholder("x", (rows, 96))
        for w in weights:
            y = dt.tanh(y @ g.variable(w))
        fetches = [y]
        if train:
            slopes = g.grad(dt.sum(y), weights)
            fetches += [g.assign(w, g.variable(w) - s) for w, s in zip(weights, slopes)]
    feed = {"x": standard(rows, 96)}
    tracemalloc.start()
    try:
        program = g.compile(fetches, executor=executor)
        program.run(feed)
        first = arrays_in_use()
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        held = program.run(feed)
        _, peak = tracemalloc.get_traced_memory()
        second = arrays_in_use()
    finally:
        tracemalloc.stop()
    plan = planned(program)
    assert plan["peak"] == plan["arena"] + plan["returned"]
    assert plan["bound"] <= plan["arena"]
    assert first == plan["arena"] + LINE  # between runs it is all that is held
    assert second == first + plan["returned"] == plan["peak"] + LINE
    assert sum(r.nbytes for r in held if r is not None) == plan["returned"]
    assert peak - before < plan["returned"] + x.aval.nbytes  # nor is there more during a run


# -- in which order ----------------------------------------------------------------------------


def lowered(g: Any) -> Graph:
    """The graph as it is before it is scheduled."""
    graph = g
    for name in NATIVE_ORDER:
        graph = {**PASSES, **NATIVE_PASSES}[name](graph)
    return graph


def follows_of(graph: Graph) -> dict[Node, set[Node]]:
    return {node: {u for v in node.outputs for u in v.uses} for node in graph.nodes}


def test_what_frees_memory_goes_first() -> None:
    """Large values that are read at once need not wait for each other."""
    with dt.static.Graph() as g:
        x = g.placeholder("x", (64, 64))
        large = [dt.sort(x * i) for i in range(1, 6)]
        g.outputs = tuple(dt.sum(y) for y in large)
    found = order(g.nodes, follows_of(g), set(g.outputs), {})
    names = [node.op.name for node in found if node.op.name in ("multiply", "sort", "sum")]
    assert names == ["multiply", "sort", "sum"] * 5
    assert sorted(found, key=lambda n: n.id) == g.nodes


def test_an_order_stays_where_none_needs_less() -> None:
    with dt.static.Graph() as g:
        x = g.placeholder("x", (8, 8))
        a, b = dt.sort(x), dt.cumulative_sum(x, axis=0)
        g.outputs = (dt.sum(a @ b), dt.sum(x @ x))
    assert order(g.nodes, follows_of(g), set(g.outputs), {}) == g.nodes


def test_weights_are_updated_before_the_next_gradient_and_after_every_check() -> None:
    """The gradient of a table checks again what the table has checked."""
    table, *weights = variables = [Storage(standard(40, 16, seed=1))] + [
        Storage(standard(16, 16, seed=i)) for i in range(3)
    ]
    with dt.static.Graph() as g:
        i, t = g.placeholder("i", (128,), "int64"), g.placeholder("t", (128,), "int64")
        y = dt.embedding(i, g.variable(table))
        for w in weights:
            y = dt.tanh(y @ g.variable(w))
        slopes = g.grad(dt.cross_entropy(y, t), variables)
        for storage, slope in zip(variables, slopes):
            g.assign(storage, g.variable(storage) - 0.1 * slope)
    graph = lowered(g)
    nodes, direct = schedule(graph, set())
    at = {node: position for position, node in enumerate(nodes)}
    [first, second] = [n for n in nodes if n.op.name in ("embedding", "cross_entropy_grad")]
    [last] = [n for n in nodes if n.op.name == "embedding_grad"]
    graph_table = first.inputs[1]
    written = [at[value.node] for value, v in direct.items() if v is not graph_table]
    assert len(written) == 3
    assert at[first] < at[second] < min(written) and max(written) < at[last]


# -- what is written where ---------------------------------------------------------------------


@needs_compiler
def test_what_is_joined_twice_is_written_once() -> None:
    with dt.static.Graph() as g:
        x, w = g.placeholder("x", (16, 8)), g.placeholder("w", (16, 4))
        rows = [dt.concat([dt.tanh(x * i), dt.exp(-x * x * i)], axis=1) for i in range(1, 4)]
        fetches = [dt.concat(rows) @ w, *(dt.sum(row @ w) for row in rows)]
    program = g.compile(fetches, executor="native")
    plain = g.compile(fetches, executor="reference")
    feeds = {"x": standard(16, 8), "w": standard(16, 4)}
    for found, wanted in zip(program.run(feeds), plain.run(feeds), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    assert "copy" not in program.source


@needs_compiler
def test_room_for_packed_rows_has_a_bound() -> None:
    """It does not grow with the rows of a product whose first operand is transposed."""

    def scratch(rows: int) -> int:
        with dt.static.Graph() as g:
            x, y = g.placeholder("x", (600, rows)), g.placeholder("y", (600, 64))
            product = dt.permute_dims(x, (1, 0)) @ y
        program = g.compile(product, executor="native")
        a, b = standard(600, rows), standard(600, 64)
        np.testing.assert_allclose(program.run({"x": a, "y": b}), a.T @ b, rtol=1e-3, atol=1e-3)
        return planned(program)["arena"]

    assert 0 < scratch(8 * 1200) < 2 * scratch(1200)


@needs_compiler
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [13, 37, 250])
def test_packed_rows_are_those_of_the_operand(rows: int, dtype: str) -> None:
    with dt.static.Graph() as g:
        x, y = g.placeholder("x", (256, rows), dtype), g.placeholder("y", (256, 64), dtype)
        z = g.placeholder("z", (rows, 1024), dtype)  # rows of whole pages
        program = g.compile(
            [x.T @ y, z @ g.constant(np.eye(1024, 50, dtype=dtype))], executor="native"
        )
    feeds = {"x": standard(256, rows), "y": standard(256, 64, seed=1), "z": standard(rows, 1024)}
    feeds = {name: array.astype(dtype) for name, array in feeds.items()}
    turned, straight = program.run(feeds)
    np.testing.assert_allclose(turned, feeds["x"].T @ feeds["y"], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(straight, feeds["z"][:, :50], rtol=1e-6)


# -- results as room ---------------------------------------------------------------------------


def room(nbytes: int, start: int, end: int, in_lines: bool = False) -> Room:
    return Room(nbytes, "", 0, start, end, in_lines)


def test_results_hold_what_is_needed_before_them_where_that_saves_room() -> None:
    result, small = Given(1024), Given(64)
    first, second, long, lines, large, little = rooms = [
        room(512, 0, 3), room(512, 2, 4), room(512, 2, 6), room(512, 2, 2, in_lines=True),
        room(2048, 2, 2), room(64, 2, 3),
    ]  # fmt: skip
    left = lodge(rooms, {result: 5, small: 3})
    assert first.host is result and second.host is result and first.offset != second.offset
    assert left == [long, lines, large, little]  # read with the result, in lines, too large
    assert [r.host for r in left] == [None] * 4  # and no room for the last at once


def test_a_result_takes_in_nothing_that_saves_no_room() -> None:
    most, other = room(512, 2, 2, in_lines=True), room(128, 0, 1)
    assert lodge([most, other], {Given(1024): 4}) == [most, other]
    assert lodge([], {Given(1024): 4}) == []


def test_a_result_of_a_loop_is_in_use_from_its_first_round_on() -> None:
    lives, early, late, inside = Lives(), Given(8), Given(8), Room(8)
    lives.touch(early)
    lives.advance()
    lives.enter()
    begin = lives.position
    lives.touch(inside)
    lives.advance()
    lives.enter()
    lives.touch(late)
    lives.leave()
    lives.leave()
    assert lives.begins([early, late, Given(8)]) == {early: 0, late: begin}
    rooms = lives.planned(Room)
    assert lodge(rooms, lives.begins([late])) == rooms == [inside]


@needs_compiler
@pytest.mark.parametrize("order", TURNS)
@pytest.mark.parametrize("threads", [1, 3])
def test_programs_whose_results_hold_other_values_first(
    order: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "WORTH_THREADS", 0.0)
    before = dt.get_num_threads()
    dt.set_num_threads(threads)
    with dt.static.Graph() as g:
        x, w = g.placeholder("x", (48, 32)), g.placeholder("w", (32, 32))
        y = dt.tanh(x @ w)
        z = dt.sort(y @ w + y)  # by NumPy, which reads and writes such memory, too
        fetches = [dt.concat([z @ w, dt.tanh(z) @ w], axis=1) * 2, dt.sum(z)]
    feeds = {"x": standard(48, 32), "w": standard(32, 32, seed=1) / 6}
    try:
        with in_turns(order, 50_000):
            program = g.compile(fetches, executor="native")
            wanted = g.compile(fetches, executor="reference").run(feeds)
            first = program.run(feeds)
            kept = [r.copy() for r in first]
            second = program.run({**feeds, "x": feeds["x"] * 2})
        monkeypatch.setattr(timeline, "lodge", lambda rooms, results: rooms)
        roomy = g.compile([*fetches, fetches[1] + 1], executor="native")
    finally:
        dt.set_num_threads(before)
    assert planned(program)["arena"] < planned(roomy)["arena"]
    for found, as_it_was, other, exact in zip(first, kept, second, wanted, strict=True):
        np.testing.assert_array_equal(found, as_it_was)
        np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-4)
        assert (found != other).any()
