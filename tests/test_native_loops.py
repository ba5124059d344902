"""Loops on several threads: the bits of every run are those of the first."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from native_races import check, standard

import diptych as dt
from diptych import nn
from diptych.compiler.native.toolchain import find_compiler
from diptych.graphs.storage import Storage

pytestmark = [
    pytest.mark.usefixtures("threads"),
    pytest.mark.parametrize("threads", [2, 3], indirect=True, ids="{} threads".format),
    pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler"),
]


@pytest.mark.parametrize(("length", "rows"), [(1, 5), (6, 5), (7, 1)])
@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_recurrent_layers_and_their_gradients(kind: Any, length: int, rows: int) -> None:
    dt.manual_seed(1)
    layer = kind(6, 10, bidirectional=rows > 1)
    with dt.static.Graph() as g:
        x = g.placeholder("x", (length, rows, 6))
        y, _ = layer(x)
        loss = dt.sum(dt.square(y) * standard(*y.shape))
        slopes = g.grad(loss, [x, *layer.parameters()])
        update = dt.optim.SGD(layer.parameters(), lr=0.01).minimize(loss)
    state = tuple(p.storage for p in layer.parameters())
    check(g, [y, loss, *slopes, update], {"x": standard(length, rows, 6, seed=1)}, state)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [0, 1, 4, 5])
def test_carries_that_swap(length: int, reverse: bool) -> None:
    """What a round wrote is read by the next, in rows that other threads have written."""
    with dt.static.Graph() as g:
        x, a = g.placeholder("x", (length, 9, 9)), g.placeholder("a", (9, 9))

        def step(carry: Any, row: Any) -> Any:
            one, other, third = carry
            return (other, dt.tanh(one.T + row), one[::-1]), (one, dt.sum(third, axis=0))

        last, stacked = dt.scan(step, (a, a * 2, a.T), x, reverse=reverse)
        fetches = [*last, *stacked]
        if length:
            fetches += g.grad(dt.sum(stacked[1]) + dt.sum(last[0] * last[1]), [x, a])
    check(g, fetches, {"x": standard(length, 9, 9), "a": standard(9, 9, seed=1)})


@pytest.mark.parametrize("count", [0, 1, 6])
def test_rounds_until_data_say_so(count: int) -> None:
    """All threads read the condition before the next round, or what follows, overwrites it."""
    with dt.static.Graph() as g:
        x = g.placeholder("x", (8, 8))
        small = lambda c: c[0] < count
        _, y = dt.while_loop(small, lambda c: (c[0] + 1, dt.tanh(c[1] @ c[1].T) + c[1]), (0, x))
        z = dt.cond(dt.sum(y) > 0.5, lambda v: dt.cos(v.T) @ v, lambda v: v - dt.sum(v, axis=0), y)
        w = dt.cond(dt.sum(z) > 1e4, lambda v: v * 2, lambda v: v.T, z)
    check(g, [y, z, w, dt.sum(w, axis=1)], {"x": standard(8, 8) * 0.3})


def test_loops_in_loops() -> None:
    with dt.static.Graph() as g:
        x, w = g.placeholder("x", (4, 3, 6, 6)), g.placeholder("w", (6, 6))

        def inner(carry: Any, row: Any) -> Any:
            new = dt.tanh(carry @ w + row)
            chosen = dt.cond(dt.sum(new) > 0.1, lambda v: v * 0.5, lambda v: v.T, new)
            return chosen, dt.softmax(new.T, axis=1)

        def outer(carry: Any, rows: Any) -> Any:
            last, made = dt.scan(inner, carry.T, rows, reverse=True)
            return last + made[1], made

        last, made = dt.scan(outer, dt.zeros((6, 6)), x)
        slopes = g.grad(dt.sum(last * last) + dt.sum(made * made), [x, w])
    feeds = {"x": standard(4, 3, 6, 6), "w": standard(6, 6, seed=1) * 0.3}
    check(g, [last, made, *slopes], feeds)


def test_variables_that_are_updated_where_they_are_read() -> None:
    """Sums of columns go into a variable that other threads still read."""
    v, w = Storage(standard(64)), Storage(standard(64, 64, seed=1))
    with dt.static.Graph() as g:
        x = g.placeholder("x", (50, 64))
        new = g.variable(v) * 0.9 + dt.sum(x, axis=0)
        y = x * new
        step = [g.assign(v, new), g.assign(w, g.variable(w) - (x.T @ y) * 1e-3)]
    check(g, [y, dt.sum(y @ g.variable(w)), *step], {"x": standard(50, 64, seed=2)}, (v, w))


def test_products_by_one_matrix_read_it_packed() -> None:
    """The matrix is read as it lies as well, and is on both sides of a product."""
    with dt.static.Graph() as g:
        x, y = g.placeholder("x", (40, 40)), g.placeholder("y", (40, 5))
        a = dt.tanh(x @ x) + x
        b = dt.tanh(a @ x) + x.T
        c = dt.tanh(b @ x)
        d = [c @ y, dt.tanh(b @ y) + y, a @ y, x @ y]
    check(g, [a, b, c, *d], {"x": standard(40, 40) * 0.1, "y": standard(40, 5, seed=1)})


def test_a_loop_reads_matrices_that_were_computed_before_it() -> None:
    """They are packed before it: until then nothing else may lie in their memory."""
    with dt.static.Graph() as g:
        x, w = g.placeholder("x", (5, 6, 8)), g.placeholder("w", (8, 8))
        early = dt.tanh(w @ w)
        late = dt.cos(w @ w.T) @ w
        step = lambda c, row: (dt.tanh(c @ early + row), c)
        last, stacked = dt.scan(step, x[0] + dt.sum(late), x)
    check(g, [last, stacked, late], {"x": standard(5, 6, 8), "w": standard(8, 8, seed=1)})


@pytest.mark.parametrize("passes", [None, ("fuse",)])
def test_bodies_leave_alone_what_they_only_show(passes: Any) -> None:
    """Within a body nobody knows who else reads an array of the graph around it."""
    with dt.static.Graph() as g:
        x, w = g.placeholder("x", (5, 4, 4)), g.placeholder("w", (4, 4))
        shown = dt.cos(dt.tanh(w) @ w)

        def once(a: Any, b: Any) -> Any:
            turned = a.T
            return dt.tanh(b @ (dt.cos(turned) + 1)) + (turned * 2) @ b

        def step(carry: Any, row: Any) -> Any:
            turned = shown.T
            return dt.tanh(carry @ (turned * row)) + carry @ (turned + row), dt.sum(carry)

        last, sums = dt.scan(step, w * 0.1, x)
        kept = dt.checkpoint(once, shown, w)
        chosen = dt.cond(dt.sum(last) > 0.1, once, lambda a, b: once(a, b) * 2, shown, w)
    feeds = {"x": standard(5, 4, 4) * 0.1, "w": standard(4, 4, seed=1)}
    check(g, [last, sums, kept, chosen, shown * 2], feeds, passes=passes)


def test_long_rows_of_parts_of_arrays() -> None:
    """Threads share the rows of a sum differently from those of what they add up."""
    with dt.static.Graph() as g:
        x = g.placeholder("x", (200, 120))
        y = dt.tanh(x) @ dt.cos(x[:120, :])
        part = y[::-1, 10:110]
    fetches = [dt.sum(part), dt.sum(part * part) + dt.max(part), y[:, 3:5] * 2]
    check(g, fetches, {"x": standard(200, 120) * 0.2})


@pytest.mark.parametrize("length", [0, 1, 4])
def test_carries_that_are_overwritten(length: int) -> None:
    """What else reads a carry reads it before; where that cannot be, it has two places."""
    with dt.static.Graph() as g:
        x, a = g.placeholder("x", (length, 6, 9)), g.placeholder("a", (6, 9))

        def step(carry: Any, row: Any) -> Any:
            total, most, crossed, other, turned, kept, scale = carry
            read_late = dt.tanh(total @ row.T)
            new = total + dt.square(row)
            shown = total[::-1] * dt.sum(new)
            ys = (read_late, shown, most[0], kept)
            crossed, other = crossed + other * 0.5, other + crossed * 0.5
            turned = turned + turned[::-1, ::-1]
            return (new, dt.maximum(most, row), crossed, other, turned, kept * 0.9, scale * 1), ys

        last, stacked = dt.scan(step, (a, a, a * 2, a + 1, a, a, dt.sum(a)), x)
    check(g, [*last, *stacked], {"x": standard(length, 6, 9), "a": standard(6, 9, seed=1)})


def test_carries_that_branches_and_loops_overwrite() -> None:
    with dt.static.Graph() as g:
        x, a = g.placeholder("x", (5, 6, 9)), g.placeholder("a", (6, 9))

        def either(one: Any, other: Any, row: Any) -> Any:
            swapped = lambda u, v: (v + row, u * row)
            crossed = lambda u, v: (u + v, v + u * 0.5)
            alone = lambda u, v: (u, v * row)
            one, other = dt.cond(dt.sum(row) > 0, alone, crossed, one, other)
            return dt.cond(row[0, 0] > 0.5, swapped, lambda u, v: (u * 2, v), one, other)

        def step(carry: Any, row: Any) -> Any:
            one, other, total = carry
            add = lambda c, r: (c + dt.outer(r, row[0])[:6] + total[0], None)
            total, _ = dt.scan(add, total, row)
            below = lambda c: dt.sum(c) < 3.0
            total = dt.while_loop(below, lambda c: dt.abs(c) + 0.5, total)
            return (*either(one, other, row), dt.checkpoint(lambda c: c + one, total)), None

        last, _ = dt.scan(step, (a, a.T.reshape(6, 9), a * 0.5), x)
        slopes = g.grad(dt.sum(last[0] * last[1]), [x, a])
    check(g, [*last, *slopes], {"x": standard(5, 6, 9), "a": standard(6, 9, seed=1) * 0.1})


def test_what_rounds_add_to_takes_no_second_place() -> None:
    """It is added up in the memory of the result, branches that leave it alone included."""
    with dt.static.Graph() as g:
        x, n = g.placeholder("x", (64,)), g.placeholder("n", (), "int64")
        add = lambda c, v: c + dt.outer(v, dt.cos(v))

        def turn(carry: Any) -> Any:
            at, v, total = carry
            total = dt.cond(v[0] > 0, add, lambda c, v: c, total, v)
            return at + 1, dt.sin(v * 2), total

        start = (dt.zeros((), dtype="int64"), x, dt.zeros((64, 64)))
        total = dt.while_loop(lambda c: c[0] < n, turn, start)[2]
        program = g.compile(total, executor="native")
    [arena] = re.findall(r"arena (\d+) bytes", program.explain().rpartition("lower:")[2])
    assert int(arena) < 64 * 64 * 4
    check(g, [total], [{"x": standard(64), "n": np.array(n)} for n in (4, 0, 7)])
