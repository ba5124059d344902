"""What leaves a loop: `hoist` before it, `sink` after it, by what they print and what they give."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numbers_compared import draw

import diptych as dt
from diptych.compiler.executors.reference import Reference
from diptych.compiler.passes import cse, prune, simplify
from diptych.compiler.passes.hoist import hoist
from diptych.compiler.passes.sink import sink
from diptych.graphs.ops import dispatch
from diptych.graphs.regions import SCAN, WHILE


def build(outputs_of, *feeds):
    """A graph of placeholders ``x0, x1, ...`` of these shapes, in float64 or as a dtype says."""
    with dt.static.Graph() as g:
        given = [
            g.placeholder(f"x{i}", *(feed if feed[1:] == ("int64",) else (feed, "float64")))
            for i, feed in enumerate(feeds)
        ]
        outputs = outputs_of(*given)
        g.outputs = tuple(outputs) if isinstance(outputs, tuple | list) else (outputs,)
    return simplify(g.verify())


def after(change, graph):
    """The graph after a pass, and after what cleans up behind it."""
    return prune(cse(simplify(change(prune(graph)).verify()))).verify()


def both(graph):
    return sink(hoist(graph).verify())


def run(graph, arrays, **binding):
    """The outputs for arrays of ``x0, x1, ...``, of which pruning may have left fewer."""
    return Reference(graph).run([arrays[int(name[1:])] for name in graph.placeholders], binding)


def loops(graph):
    return [node for node in graph.nodes if node.op in (SCAN, WHILE)]


def names(graph):
    return [node.op.name for node in graph.nodes]


def body_of(node):
    return node.attrs["bodies"][-1]


def same(found, wanted):
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted):
        assert a.shape == b.shape and a.dtype == b.dtype
        if a.dtype.kind == "f":
            scale = np.abs(b).max(initial=0) if np.isfinite(b).all() else 0
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11 * max(scale, 1))
        else:
            np.testing.assert_array_equal(a, b)


def check(graph, arrays, change=both, **binding):
    """The graph after a pass, which must give what it gave before."""
    changed = after(change, graph)
    same(run(changed, arrays, **binding), run(prune(graph), arrays, **binding))
    return changed


# -- hoist -----------------------------------------------------------------------------------


def test_products_of_slices_and_their_sums_are_one_product_before_the_loop():
    def rnn(xs, w, u, b, h):
        return dt.scan(lambda h, x: (dt.tanh(x @ w + h @ u + b), None), h, xs)[0]

    graph = build(rnn, (5, 2, 3), (3, 4), (4, 4), (4,), (2, 4))
    assert str(after(hoist, graph)).splitlines() == [
        "%0: float64[5, 2, 3] = placeholder(name='x0')",
        "%1: float64[3, 4] = placeholder(name='x1')",
        "%2: float64[4, 4] = placeholder(name='x2')",
        "%3: float64[4] = placeholder(name='x3')",
        "%4: float64[2, 4] = placeholder(name='x4')",
        "%5: float64[10, 3] = reshape(%0, shape=(10, 3))",
        "%6: float64[10, 4] = matmul(%5, %1)",
        "%7: float64[5, 2, 4] = reshape(%6, shape=(5, 2, 4))",
        "%8: float64[5, 2, 4] = add(%7, %3)",
        "%9: float64[2, 4] = scan(%4, %8, %2, feeds=((0, 1, 2),), carries=1, state=0, xs=1, "
        "length=5, reverse=False)",
        "    %0: float64[2, 4] = placeholder(name='0')",
        "    %1: float64[2, 4] = placeholder(name='1')",
        "    %2: float64[4, 4] = placeholder(name='2')",
        "    %3: float64[2, 4] = matmul(%0, %2)",
        "    %4: float64[2, 4] = add(%1, %3)",
        "    %5: float64[2, 4] = tanh(%4)",
        "    return %5",
        "return %9",
    ]
    check(graph, [draw(5, 2, 3), draw(3, 4), draw(4, 4), draw(4), draw(2, 4)], hoist)


def test_what_is_the_same_in_every_round_is_computed_once():
    def f(xs, w, h):
        return dt.scan(lambda h, x: (dt.sin(h * dt.exp(w)) @ w.T + x, None), h, xs)[0]

    changed = check(build(f, (4, 3), (3, 3), (3, 3)), [draw(4, 3), draw(3, 3), draw(3, 3)], hoist)
    assert names(changed) == ["placeholder"] * 3 + ["exp", "permute_dims", "scan"]
    assert names(body_of(loops(changed)[0]))[4:] == ["multiply", "sin", "matmul", "add"]


def test_both_bodies_of_an_unbounded_loop_give_up_what_is_the_same():
    def f(x, w):
        return dt.while_loop(lambda c: dt.sum(c) < dt.exp(w), lambda c: c + dt.square(w), x)

    graph = build(f, (3,), ())
    changed = check(graph, [draw(3), draw() + 2], hoist)
    assert names(changed) == ["placeholder", "placeholder", "exp", "square", "while_loop"]
    check(graph, [draw(3) + 100, draw()], hoist)  # no round at all


def test_what_may_raise_stays_in_a_loop_that_may_not_run():
    def f(table, index, x):
        return dt.scan(lambda c, _: (c + dt.take(table, index, axis=0), None), x, length=0)[0]

    arrays = [draw(3, 2), np.array([5]), draw(1, 2)]
    graph = build(f, (3, 2), ((1,), "int64"), (1, 2))
    assert check(graph, arrays, hoist)


def test_rows_of_a_table_are_looked_up_before_the_loop():
    """Each round runs, so what any of them refuses is refused."""

    def f(tokens, table, w, h):
        return dt.scan(lambda h, t: (dt.tanh(dt.take(table, t, axis=0) @ w + h), None), h, tokens)[
            0
        ]

    graph = build(f, ((6, 2), "int64"), (5, 3), (3, 4), (2, 4))
    tokens = np.random.default_rng(0).integers(0, 5, (6, 2))
    changed = check(graph, [tokens, draw(5, 3), draw(3, 4), draw(2, 4)], hoist)
    assert "take" in names(changed) and "take" not in names(body_of(loops(changed)[0]))
    with pytest.raises(dt.errors.RangeError, match="take: "):
        run(changed, [tokens + 1, draw(5, 3), draw(3, 4), draw(2, 4)])


def test_element_wise_operators_stay_where_they_would_only_move_memory():
    graph = build(lambda xs, h: dt.scan(lambda h, x: (h * dt.exp(x), None), h, xs)[0], (4, 3), (3,))
    assert str(after(hoist, graph)).count("exp(%1)") == 1
    assert names(after(hoist, graph)) == ["placeholder", "placeholder", "scan"]


def test_a_sum_that_would_grow_keeps_its_order():
    """A round adds three numbers to a row; a column of a hundred joins later."""

    def f(xs, w, column, h):
        return dt.scan(lambda h, x: (h + x @ w + column, None), h, xs)[0]

    graph = build(f, (4, 1, 3), (3, 3), (100, 1), (100, 3))
    changed = check(graph, [draw(4, 1, 3), draw(3, 3), draw(100, 1), draw(100, 3)], hoist)
    assert all(v.shape[-2] == 1 for n in changed.nodes for v in n.outputs if v.aval.ndim == 3)


def test_results_that_need_no_carry_leave_the_loop():
    def f(xs, h):
        h, ys = dt.scan(lambda h, x: (dt.sin(h) * x, (x, dt.exp(x) * 2.0)), h, xs)
        return (h, *ys)

    changed = check(build(f, (4, 3), (3,)), [draw(4, 3), draw(3)], hoist)
    assert len(loops(changed)[0].outputs) == 1 and changed.outputs[1] is changed.nodes[0].outputs[0]


def test_a_loop_of_which_nothing_is_left_is_gone():
    graph = build(lambda xs: dt.scan(lambda c, x: (c, dt.exp(x)), 0.0, xs)[1], (4, 3))
    assert names(check(graph, [draw(4, 3)])) == ["placeholder", "exp"]


def test_a_carry_that_no_round_changes_is_read_as_a_whole():
    def f(xs, w, h):
        return dt.scan(lambda c, x: ((dt.tanh(x @ c[1] + c[0]), c[1]), None), (h, w), xs)[0]

    changed = check(build(f, (4, 3), (3, 3), (3,)), [draw(4, 3), draw(3, 3), draw(3)], hoist)
    [loop] = loops(changed)
    assert loop.attrs["carries"] == 1 and "matmul" not in names(body_of(loop))


# -- sink ------------------------------------------------------------------------------------


def test_sums_of_products_are_one_product_after_the_loop():
    def f(xs, h, total, wide):
        def step(carry, x):
            h, total, wide = carry
            h = dt.sin(h) * x
            return (h, total + x.T @ h, dt.accumulate([wide, dt.sum_to(h, (4,))])), None

        return dt.scan(step, (h, total, wide), xs)[0]

    graph = build(f, (5, 2, 4), (2, 4), (4, 4), (4,))
    arrays = [draw(5, 2, 4), draw(2, 4), draw(4, 4), draw(4)]
    changed = check(graph, arrays, sink)
    assert str(changed).splitlines()[4:] == [
        "%4.0: float64[2, 4], %4.1: float64[5, 2, 4] = scan(%1, %0, feeds=((0, 1),), carries=1, "
        "state=0, xs=1, length=5, reverse=False)",
        "    %0: float64[2, 4] = placeholder(name='0')",
        "    %1: float64[2, 4] = placeholder(name='1')",
        "    %2: float64[2, 4] = sin(%0)",
        "    %3: float64[2, 4] = multiply(%2, %1)",
        "    return %3, %3",
        "%5: float64[10, 4] = reshape(%0, shape=(10, 4))",
        "%6: float64[10, 4] = reshape(%4.1, shape=(10, 4))",
        "%7: float64[4, 10] = permute_dims(%5, axes=(1, 0))",
        "%8: float64[4, 4] = matmul(%7, %6)",
        "%9: float64[4, 4] = accumulate(%2, %8)",
        "%10: float64[4] = sum_to(%4.1, shape=(4,))",
        "%11: float64[4] = accumulate(%3, %10)",
        "return %4.0, %9, %11",
    ]


def swap(x):
    return dt.permute_dims(x, (0, 2, 1))


TERMS = {
    "transposed": lambda x, h, t: (dt.zeros((4, 4), dtype="float64"), (x.T @ h).T),
    "columns": lambda x, h, t: (dt.zeros((2, 2), dtype="float64"), x @ h.T),
    "outer": lambda x, h, t: (dt.ones((8, 1), dtype="float64"), x.reshape(8, 1) @ h[:1, :1]),
    "row": lambda x, h, t: (
        dt.zeros((4, 8), dtype="float64"), x[:1].reshape(1, 4).T @ h.reshape(1, 8)
    ),
    "products": lambda x, h, t: (dt.zeros((4, 4), dtype="float64"), (x.T @ h) * (x.T @ h)),
    "stack": lambda x, h, t: (
        dt.zeros((2, 2), dtype="float64"),
        dt.sum_to(swap(x.reshape(2, 2, 2)) @ h.reshape(2, 2, 2), (2, 2)),
    ),
    "slice": lambda x, h, t: (
        dt.zeros((4, 9), dtype="float64"),
        dt.scatter_slice(x.T @ h, ((None, None, None), (2, 6, 1)), (4, 9)),
    ),
    "table": lambda x, h, t: (dt.zeros((5, 4), dtype="float64"), dt.scatter_add(h, t, 0, (5, 4))),
    "embedding": lambda x, h, t: (
        dt.zeros((5, 4), dtype="float64"), dt.embedding_grad(h, t, 5, 1)
    ),
    "two": lambda x, h, t: (
        dt.zeros((4, 4), dtype="float64"), dt.accumulate([x.T @ h, h.T @ h])
    ),
    "loss": lambda x, h, t: (dt.zeros((), dtype="float64"), dt.cross_entropy(h, t % 4)),
}  # fmt: skip
STAY = {"products"}  # what is no sum of products: its stack would be as large as the carry


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [0, 1, 6, "n"])
@pytest.mark.parametrize("name", TERMS)
def test_terms_that_a_loop_only_adds(name, length, reverse):
    def f(xs, tokens, h):
        def step(carry, slices):
            (h, total), (x, t) = carry, slices
            h = dt.tanh(h + x)
            return (h, total + TERMS[name](x, h, t)[1]), None

        start = TERMS[name](xs[0] if length else h, h, dt.zeros((2,), dtype="int64"))[0]
        return dt.scan(step, (h, start), (xs, tokens), reverse=reverse)[0]

    rounds = 6 if length == "n" else length
    tokens = np.random.default_rng(1).integers(0, 4, (rounds, 2))
    graph = build(f, (length, 2, 4), ((length, 2), "int64"), (2, 4))
    arrays = [draw(rounds, 2, 4), tokens, draw(2, 4)]
    changed = check(graph, arrays, sink, **({"n": rounds} if length == "n" else {}))
    assert loops(changed)[0].attrs["carries"] == (2 if name in STAY else 1)


@pytest.mark.parametrize(
    ("body", "loops_left"),
    [
        (lambda c, x: (c + x.T @ x, x), 0),
        (lambda c, x: (c + x.T @ x, c), 1),
        (lambda c, x: (c + x.T @ x + c, x), 1),
        (lambda c, x: (c * 0.5 + x.T @ x, x), 1),
        (lambda c, x: (c + x.T @ (x @ c), x), 1),
    ],
)
def test_a_carry_that_is_read_elsewhere_stays(body, loops_left):
    graph = build(lambda xs, c: dt.scan(body, c, xs), (5, 2, 4), (4, 4))
    changed = check(graph, [draw(5, 2, 4), draw(4, 4)])
    assert len(loops(changed)) == loops_left


def test_what_is_only_stacked_is_multiplied_after_the_loop():
    def f(xs, tokens, w, b, h):
        def step(carry, slices):
            (h, loss), (x, t) = carry, slices
            h = dt.sin(h) + x
            return (h, loss + dt.cross_entropy(h @ w + b, t)), dt.relu(h @ w)

        (h, loss), ys = dt.scan(step, (h, dt.zeros((), dtype="float64")), (xs, tokens))
        return h, loss, ys

    graph = build(f, (5, 2, 4), ((5, 2), "int64"), (4, 3), (3,), (2, 4))
    tokens = np.random.default_rng(1).integers(0, 3, (5, 2))
    changed = check(graph, [draw(5, 2, 4), tokens, draw(4, 3), draw(3), draw(2, 4)], sink)
    [loop] = loops(changed)
    assert names(body_of(loop)) == ["placeholder"] * 2 + ["sin", "add"]
    assert names(changed).count("matmul") == 1 and loop.attrs["carries"] == 1


def test_a_thin_result_of_a_wide_carry_is_computed_in_the_loop():
    """Stacking a thousand numbers to save one product with a vector moves more memory."""

    def f(xs, w, h):
        with_y = dt.scan(lambda h, x: (dt.sin(h) + x, (h * h) @ w), h, xs)
        return with_y[0], with_y[1]

    graph = build(f, (3, 50, 20), (20, 1), (50, 20))
    changed = check(graph, [draw(3, 50, 20), draw(20, 1), draw(50, 20)], sink)
    assert "matmul" in names(body_of(loops(changed)[0]))
    assert "matmul" not in names(changed)


# -- whole programs --------------------------------------------------------------------------


def rnn(x, state, w, u, b):
    return (dt.tanh(x @ w + state[0] @ u + b),)


def lstm(x, state, w, u, b):
    c, z = state[1], x @ w + state[0] @ u + b
    i, f, g, o = (z[:, k * 3 : k * 3 + 3] for k in range(4))
    c = dt.sigmoid(f) * c + dt.sigmoid(i) * dt.tanh(g)
    return dt.sigmoid(o) * dt.tanh(c), c


def gru(x, state, w, u, b):
    [h], p, q = state, x @ w + b, state[0] @ u
    r, z = (dt.sigmoid(p[:, k : k + 3] + q[:, k : k + 3]) for k in (0, 3))
    n = dt.tanh(p[:, 6:] + r * q[:, 6:])
    return (n + z * (h - n),)


CELLS = {"rnn": (rnn, 1, 1), "lstm": (lstm, 4, 2), "gru": (gru, 3, 1)}


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [0, 1, 4, "time"])
@pytest.mark.parametrize("name", CELLS)
def test_gradients_of_cells(name, length, reverse, order):
    cell, gates, parts = CELLS[name]

    def loss_and_gradients(xs, w, u, b, *state):
        def step(state, x):
            state = cell(x, state, w, u, b)
            return state, state[0]

        last, ys = dt.scan(step, state, xs, reverse=reverse)
        loss = dt.accumulate([dt.sum(v * v) for v in (*last, ys)])
        wanted = [w, u, b, xs, *state]
        first = dt.grad(loss, wanted, create_graph=order > 1)
        if order == 1:
            return (loss, *first)
        squares = dt.accumulate([dt.sum(g * g) for g in first])
        return (loss, *first, *dt.grad(squares, wanted))

    shapes = [(2, 3 * gates), (3, 3 * gates), (3 * gates,)] + [(2, 3)] * parts
    graph = build(loss_and_gradients, (length, 2, 2), *shapes)
    rounds = 4 if length == "time" else length
    arrays = [draw(rounds, 2, 2), *(draw(*s, seed=i) for i, s in enumerate(shapes))]
    changed = check(graph, arrays, **({"time": rounds} if length == "time" else {}))
    if order == 1:
        forward, backward = loops(changed)
        assert names(body_of(forward)).count("matmul") == 1
        assert names(body_of(backward)).count("matmul") == 1
        assert backward.attrs["carries"] == parts


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_layers_of_every_kind(kind):
    module = getattr(dt.nn, kind)(3, 4, num_layers=2, bidirectional=True)
    with dt.static.Graph() as g:
        x = g.placeholder("x0", ("time", 2, 3), "float32")
        y, _ = module(x)
        loss = dt.sum(y * y)
        g.outputs = (loss, *dt.grad(loss, [x, *module.parameters()]))
    arrays = [draw(5, 2, 3).astype("float32")]
    changed = after(both, g)
    for found, wanted in zip(run(changed, arrays, time=5), run(g, arrays, time=5), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert all(names(body_of(loop)).count("matmul") == 1 for loop in loops(changed))


def test_loops_in_loops():
    def f(xs, w, u):
        def outer(total, row):
            def inner(c, x):
                h, total = c
                h = dt.tanh(x @ w + h @ u)
                return (h, total + x.T @ h), None

            (h, more), _ = dt.scan(inner, (dt.zeros((2, 3), dtype="float64"), total), row)
            return more, h

        total, hs = dt.scan(outer, dt.zeros((4, 3), dtype="float64"), xs)
        loss = dt.sum(total * total) + dt.sum(hs)
        return (loss, *dt.grad(loss, [xs, w, u]))

    graph = build(f, (3, 5, 2, 4), (4, 3), (3, 3))
    changed = check(graph, [draw(3, 5, 2, 4), draw(4, 3), draw(3, 3)])
    [inner] = loops(body_of(loops(changed)[0]))
    assert names(body_of(inner)).count("matmul") == 1


def test_the_gradient_of_a_loop_of_unknown_length():
    def f(x, w):
        last = dt.while_loop(lambda c: dt.sum(c * c) > 0.1, lambda c: dt.tanh(c @ w) * 0.3, x)
        return (last, *dt.grad(dt.sum(last), [x, w]))

    check(build(f, (2, 3), (3, 3)), [draw(2, 3), draw(3, 3)])


def test_state_is_written_as_before():
    """What an update hung on may be computed elsewhere: it takes place all the same."""
    found = []
    for change in (lambda graph: graph, both):
        count, generator = dt.Storage(np.zeros(())), dt.Generator(3)
        with dt.static.Graph() as g:
            xs, w = (
                g.placeholder("x0", (4, 2, 3), "float64"),
                g.placeholder("x1", (3, 3), "float64"),
            )

            def step(carry, x, w=w, count=count, generator=generator):
                dispatch.current().assign(count, dispatch.current().read(count) + 2.0)
                noise = generator.uniform((2, 3), dtype="float64")
                return (carry[0], carry[1] + x.T @ (x * noise)), x @ w

            start = (dt.zeros((3,), dtype="float64"), dt.zeros((3, 3), dtype="float64"))
            (_, total), ys = dt.scan(step, start, xs)
            program = g.compile([total, ys], passes="prune")
        changed = after(change, program.graph)
        results = [run(changed, [draw(4, 2, 3), draw(3, 3)]) for _ in range(2)]
        found.append([*results[0], *results[1], count.array, generator.offset.array])
    assert found[0][4] == 16.0
    same(found[1], found[0])


def test_a_pass_changes_no_loop_without_need():
    def f(xs, h):
        return dt.scan(lambda h, x: (dt.tanh(h * x), h), h, xs)

    graph = build(f, (4, 3), (3,))
    text = str(prune(graph))
    assert str(both(prune(graph))) == text


# -- random programs -------------------------------------------------------------------------

SHAPES = [(2, 3), (3, 3), (3,), ()]
number = st.integers(0, 1000)
instructions = st.lists(st.tuples(number, number, number), min_size=2, max_size=9)


def broadcast(x, y):
    sizes = zip(reversed(x.shape), reversed(y.shape))
    return x.dtype == y.dtype and all(m == n or 1 in (m, n) for m, n in sizes)


def compute(kind, x, y):
    """One instruction; of floats, what stays small whatever the number of rounds."""
    is_float = x.dtype == np.float64
    if kind == 0 and x.ndim == y.ndim == 2 and x.shape[1] == y.shape[0] and x.dtype == y.dtype:
        return x @ y
    if kind == 1 and x.ndim == y.ndim == 2 and x.shape[0] == y.shape[0] and x.dtype == y.dtype:
        return x.T @ y
    if kind in (2, 3) and broadcast(x, y):
        return x + y
    if kind == 4 and broadcast(x, y):
        return x * (dt.tanh(y) if is_float else y)
    if kind == 5 and x.ndim == 2:
        return dt.sum_to(x, x.shape[1:])
    if kind == 6 and x.ndim == 2:
        return x.T
    if kind == 7 and x.ndim:
        return dt.concat([x, x[..., :1]], -1)[..., 1:]
    return dt.sin(x) if is_float else x - 1


def as_shape(x, shape):
    """A value brought to a shape."""
    if x.shape == shape:
        return x
    small = dt.sum(x)
    small = dt.astype(small, x.dtype) if small.dtype != x.dtype else small
    return dt.broadcast_to(small, shape) + dt.zeros(shape, dtype=x.dtype)


@st.composite
def scans(draw):
    """Instructions of a body, which values become carries and results, and how it runs."""
    return (
        draw(instructions),
        draw(st.lists(st.tuples(number, st.booleans()), min_size=1, max_size=3)),
        draw(st.lists(number, max_size=2)),
        draw(st.booleans()),
        draw(st.sampled_from([0, 1, 3, "n"])),
        draw(st.sampled_from(["float64", "int64"])),
        draw(st.booleans()),
    )


def scan_of(program, xs, ys, w, b, starts):
    steps, ends, results, reverse, _, _, _ = program

    def body(carries, slices):
        pool = [*slices, w, b, *carries]
        for kind, i, j in steps:
            pool.append(compute(kind % 9, pool[i % len(pool)], pool[j % len(pool)]))
        after_round = []
        for c, (which, adds) in zip(carries, ends):
            term = as_shape(pool[which % len(pool)], c.shape)
            if adds:
                after_round.append(c + term)
            else:
                after_round.append(dt.tanh(term) if term.dtype == np.float64 else term)
        return after_round, [pool[i % len(pool)] for i in results]

    last, stacks = dt.scan(body, starts, (xs, ys), reverse=reverse)
    return [*last, *(stacks or [])]


@given(scans())
def test_random_scans_give_what_they_gave(program):
    _, ends, _, _, length, dtype, wants_gradients = program
    shapes = [SHAPES[which % len(SHAPES)] for which, _ in ends]
    with dt.static.Graph() as g:
        feeds = [(length, 2, 3), (length, 3, 3), (3, 3), (3,), *shapes]
        given_values = [g.placeholder(f"x{i}", s, dtype) for i, s in enumerate(feeds)]
        outputs = scan_of(program, *given_values[:4], given_values[4:])
        if wants_gradients and dtype == "float64":
            loss = dt.accumulate([dt.sum(dt.sin(v)) for v in outputs])
            slopes = dt.grad(loss, given_values, allow_unused=True)
            outputs += [v for v in slopes if v is not None]
        g.outputs = tuple(outputs)
    rounds = 4 if length == "n" else length
    arrays = [draw(*(rounds if n == "n" else n for n in s), seed=i) for i, s in enumerate(feeds)]
    arrays = [(a * 5 if dtype == "int64" else a).astype(dtype) for a in arrays]
    check(simplify(g), arrays, **({"n": rounds} if length == "n" else {}))
