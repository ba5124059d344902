"""Results that lie where operands lay: only where nothing else is still to be read."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from native_races import TURNS, in_turns, standard

import diptych as dt
from diptych.compiler.native.buffers import Room
from diptych.compiler.native.layout import Layout, are_apart
from diptych.compiler.native.toolchain import find_compiler
from diptych.graphs.storage import Storage

needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler")
ROOM = Room(4096)


def arena(program: Any) -> int:
    found = re.search(r"arena (\d+) bytes", program.explain())
    assert found is not None
    return int(found.group(1))


def compared(g: Any, fetches: Any, feeds: dict[str, Any]) -> Any:
    """A native program that gives what `reference` gives."""
    program = g.compile(fetches, executor="native")
    plain = g.compile(fetches, executor="reference")
    for found, wanted in zip(program.run(feeds), plain.run(feeds), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    return program


# -- layouts -----------------------------------------------------------------------------------


def bytes_of(layout: Layout) -> set[int]:
    size = layout.dtype.itemsize
    places = [
        size * (layout.offset + sum(i * s for i, s in zip(index, layout.strides)))
        for index in np.ndindex(*layout.shape)
    ]
    return {place + i for place in places for i in range(size)}


@st.composite
def layouts(draw: Any) -> Layout:
    shape = draw(st.lists(st.integers(0, 4), min_size=1, max_size=3))
    strides = draw(
        st.lists(st.sampled_from([1, 2, 4, 6, 8, 12, 16, 32, -1, -8, 0]), min_size=3, max_size=3)
    )
    dtype = np.dtype(draw(st.sampled_from(["float32", "float64"])))
    return Layout(ROOM, dtype, tuple(shape), tuple(strides[: len(shape)]), draw(st.integers(0, 64)))


@given(layouts(), layouts())
def test_layouts_that_are_apart_share_no_byte(a: Layout, b: Layout) -> None:
    assert not are_apart(a, b) or not bytes_of(a) & bytes_of(b)


def test_columns_of_a_matrix_are_apart() -> None:
    columns = [Layout(ROOM, np.dtype("float32"), (5, 4), (12, 1), at) for at in (0, 4, 8, 12)]
    for i, a in enumerate(columns[:3]):
        for j, b in enumerate(columns[:3]):
            assert are_apart(a, b) == (i != j)
    assert not are_apart(columns[0], columns[3])  # one row further down
    rows = Layout(ROOM, np.dtype("float32"), (2, 12), (12, 1), 60)
    assert are_apart(columns[1], rows) and not are_apart(columns[3], rows)


# -- programs ----------------------------------------------------------------------------------

ROWS, WIDTH, STEPS = 24, 32, 5


def cell(gates: Any, state: Any) -> tuple[Any, Any]:
    i, f, g, o = (gates[:, k * WIDTH : (k + 1) * WIDTH] for k in range(4))
    state = dt.sigmoid(f) * state + dt.sigmoid(i) * dt.tanh(g)
    return state, dt.sigmoid(o) * dt.tanh(state)


def unrolled(train: bool) -> tuple[Any, list[Any], dict[str, Any]]:
    """A recurrent net, each round written out; its loss, and gradients if it is to be trained."""
    with dt.static.Graph() as g:
        xs = g.placeholder("xs", (STEPS, ROWS, 8))
        w, u = g.placeholder("w", (8, 4 * WIDTH)), g.placeholder("u", (WIDTH, 4 * WIDTH))
        state, h = dt.zeros((ROWS, WIDTH)), dt.zeros((ROWS, WIDTH))
        for t in range(STEPS):
            state, h = cell(xs[t] @ w + h @ u, state)
        loss = dt.sum(h * h)
        fetches = [loss, *(g.grad(loss, [w, u]) if train else [])]
    feeds = {"xs": standard(STEPS, ROWS, 8), "w": standard(8, 4 * WIDTH, seed=1)}
    return g, fetches, feeds | {"u": standard(WIDTH, 4 * WIDTH, seed=2) / 8}


@needs_compiler
@pytest.mark.parametrize("train", [False, True])
@pytest.mark.usefixtures("threads")
def test_gates_lie_where_they_are_computed_from(train: bool) -> None:
    """All gates of all rounds lie in one value, and so do their gradients."""
    g, fetches, feeds = unrolled(train)
    program = compared(g, fetches, feeds)
    gates, states = STEPS * ROWS * WIDTH * 4 * 4, STEPS * ROWS * WIDTH * 4
    assert arena(program) < 2 * gates + (2 * states if train else 0)


@needs_compiler
@pytest.mark.parametrize("order", TURNS)
@pytest.mark.usefixtures("threads")
def test_threads_do_not_overwrite_what_others_read(order: str) -> None:
    g, fetches, feeds = unrolled(train=True)
    with in_turns(order, 50_000):
        compared(g, fetches, feeds)


@needs_compiler
@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("late", [False, True])
def test_a_part_that_is_read_later_stays(late: bool) -> None:
    with dt.static.Graph() as g:
        x, w = g.placeholder("x", (16, 8)), g.placeholder("w", (8, 64))
        y = dt.tanh(x @ w)
        left, right = y[:, :32], y[:, 32:]
        a = dt.exp(left)
        b = dt.sort(a) * right
        fetches = [dt.sum(b), dt.sum(dt.sort(a * b) * (left if late else a))]
    compared(g, fetches, {"x": standard(16, 8), "w": standard(8, 64, seed=1)})


@needs_compiler
@pytest.mark.usefixtures("threads")
def test_what_a_product_reads_by_rows_is_not_overwritten_by_it() -> None:
    with dt.static.Graph() as g:
        x = g.placeholder("x", (32, 32))
        y = dt.sort(x)
        z = dt.sort(y @ y.T + y)
        again = z @ dt.reshape(z, (32, 32)) + z
        fetches = [dt.sum(again, axis=0), dt.sum(dt.sort(z[:, :16]) @ z[:16, :] - z)]
    compared(g, fetches, {"x": standard(32, 32) / 4})


@needs_compiler
@pytest.mark.usefixtures("threads")
def test_a_joined_value_waits_for_what_is_read_after_its_parts() -> None:
    """Its parts would lie well where others lie, but one of these is still to be read."""
    with dt.static.Graph() as g:
        x = g.placeholder("x", (4, 16, 16))
        source = dt.sort(x)
        rows = [source[i] for i in range(4)]
        made = []
        total = dt.sort(rows[0])
        for row in rows:
            made.append(dt.sin(row) * total)
            total = dt.sort(total)
        joined = dt.concat(made)
        fetches = [dt.sum(joined @ joined.T), dt.sum(dt.sort(total) * rows[1])]
    compared(g, fetches, {"x": standard(4, 16, 16)})


@needs_compiler
@pytest.mark.usefixtures("threads")
def test_parts_of_memory_around_a_branch_are_not_taken() -> None:
    """Who still reads it is known around the branch alone."""
    with dt.static.Graph() as g:
        x, c = g.placeholder("x", (16, 32)), g.placeholder("c", (), "bool")
        y = dt.sort(x)
        left, right = y[:, :16], y[:, 16:]
        yes = lambda: dt.exp(dt.sort(dt.tanh(left) + 1) * left)
        no = lambda: dt.sort(right) * left
        z = dt.cond(c, yes, no)
        fetches = [dt.concat([z, left], axis=1), dt.sum(left * right)]
    for value in (True, False):
        compared(g, fetches, {"x": standard(16, 32), "c": np.array(value)})


@needs_compiler
@pytest.mark.usefixtures("threads")
def test_updates_beside_values_in_place() -> None:
    w = Storage(standard(16, 64))
    before = w.array.copy()
    with dt.static.Graph() as g:
        x = g.placeholder("x", (16, 16))
        y = x @ g.variable(w)
        kept = dt.tanh(y[:, :32]) * y[:, 32:]
        fetches = [dt.sum(kept), g.assign(w, g.variable(w) * 2 + math.pi)]
    program, plain = (g.compile(fetches, executor=e) for e in ("native", "reference"))
    feeds = {"x": standard(16, 16, seed=1)}
    found = program.run(feeds)[0]
    np.testing.assert_allclose(w.array, before * 2 + np.float32(math.pi), rtol=1e-6)
    w.write(before)
    np.testing.assert_allclose(found, plain.run(feeds)[0], rtol=1e-4)


# -- calls of the library ----------------------------------------------------------------------


@needs_compiler
@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("again", [False, True])
def test_attention_lies_over_its_queries_if_nothing_else_reads_them(again: bool) -> None:
    rows, heads, width = 64, 2, 32
    with dt.static.Graph() as g:
        x, w = g.placeholder("x", (rows, 16)), g.placeholder("w", (16, 3 * heads * width))
        parts = dt.reshape(x @ w, (rows, 3, heads, width))
        q, k, v = (dt.permute_dims(parts[:, i], (1, 0, 2)) for i in range(3))
        y = dt.scaled_dot_product_attention(q, k, v, True, is_causal=True)
        fetches = [dt.sum(dt.sort(y)), *([dt.sum(q * y)] if again else [])]
    feeds = {"x": standard(rows, 16), "w": standard(16, 3 * heads * width, seed=1) / 4}
    program = compared(g, fetches, feeds)
    room = scratch(program, "scaled_dot_product_attention")
    assert again or arena(program) < 4 * rows * heads * width * 4 + room


def scratch(program: Any, what: str) -> int:
    """Bytes of scratch memory of the calls whose name begins so."""
    found = re.findall(rf"scratch of {what}\w*, (\d+) bytes", program.source)
    return max(map(int, found), default=0)


@needs_compiler
@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("again", [False, True])
def test_the_gradient_of_a_loss_lies_over_its_logits(again: bool) -> None:
    rows, classes = 40, 300
    with dt.static.Graph() as g:
        x, w = g.placeholder("x", (rows, 8)), g.placeholder("w", (8, classes))
        t = g.placeholder("t", (rows,), "int64")
        logits = x @ w
        loss = dt.cross_entropy(logits, t, label_smoothing=0.1)
        fetches = [loss, *g.grad(loss, [w])]
        fetches += [dt.sum(dt.sort(logits))] if again else []
    feeds = {"x": standard(rows, 8), "w": standard(8, classes), "t": np.arange(rows) % classes}
    program = compared(g, fetches, feeds)
    assert again or arena(program) < 2 * rows * classes * 4


# -- gaps --------------------------------------------------------------------------------------


@needs_compiler
@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("reader", ["product", "more", "flat"])
def test_rows_of_whole_pages_are_not_packed(reader: str) -> None:
    """They lie apart, unless something needs them side by side."""
    rows, width = 48, 1024
    w1, w2 = standard(16, width) / 4, standard(width, 40, seed=1) / 32
    with dt.static.Graph() as g:
        x = g.placeholder("x", (4, rows // 4, 16))
        y = dt.tanh(dt.matmul(x, w1))
        fetches = [dt.matmul(y, w2)]
        if reader == "more":
            fetches += [dt.sum(y[:, ::2, 3:] * 2), dt.sum(dt.permute_dims(y, (2, 0, 1)), axis=1)]
        elif reader == "flat":
            fetches += [dt.sum(dt.reshape(y, (-1,)) * dt.arange(rows * width, dtype="float32"))]
    program = g.compile(fetches, executor="native")
    plain = g.compile(fetches, executor="reference")
    feeds = {"x": standard(4, rows // 4, 16)}
    for found, wanted in zip(program.run(feeds), plain.run(feeds), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3)
    assert (scratch(program, "matmul") == 0) == (reader != "flat")
