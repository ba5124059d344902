"""The graph IR and the static builder: text, verification, feeds, fetches, effects, errors."""

import numpy as np
import pytest

import diptych as dt
from diptych.errors import (
    DTypeError,
    FeedError,
    FetchError,
    GraphError,
    ShapeError,
    StaticValueError,
    UnknownNameError,
)
from diptych.graphs.storage import Storage


def small():
    with dt.static.Graph() as g:
        x = g.placeholder("x", ("n", 2))
        y = dt.sum(x * 2.0, axis=0)
    return g, x, y


def test_text_is_stable():
    g, _, y = small()
    g.outputs = (y,)
    assert str(g) == (
        "%0: float32[n, 2] = placeholder(name='x')\n"
        "%1: float32[] = constant(array=2.0)\n"
        "%2: float32[n, 2] = multiply(%0, %1)\n"
        "%3: float32[2] = sum(%2, axis=(0,), keepdims=False, dtype=float32)\n"
        "return %3"
    )


def test_networkx_and_uses():
    g, x, y = small()
    graph = g.to_networkx()
    assert sorted(graph.edges) == [(0, 2), (1, 2), (2, 3)]
    assert graph.nodes[2]["op"] == "multiply"
    assert [node.op.name for node in x.uses] == ["multiply"] and y.uses == []


def test_verify_finds_what_is_broken():
    g, x, y = small()
    g.verify()
    x.uses.append(y.node)
    with pytest.raises(GraphError, match="uses must list every reader"):
        g.verify()
    x.uses.pop()
    g.nodes.reverse()
    with pytest.raises(GraphError, match="verify: nodes must be numbered in order"):
        g.verify()


def test_verify_finds_foreign_outputs():
    g, _, _ = small()
    _, _, other = small()
    g.outputs = (other,)
    with pytest.raises(GraphError, match="outputs must be values of the graph"):
        g.verify()


def test_one_program_serves_every_size_of_a_symbolic_dimension():
    g, _, y = small()
    for executor in ("reference", "planned"):
        program = g.compile(y, executor=executor)
        for n in (0, 1, 5):
            assert program.run({"x": np.ones((n, 2), np.float32)}).tolist() == [2.0 * n] * 2


def test_pruning_drops_what_is_not_fetched_and_its_feeds():
    with dt.static.Graph() as g:
        x, y = g.placeholder("x", (2,)), g.placeholder("y", (3,))
        wanted, other = x + 1, dt.exp(y)
    program = g.compile(wanted)
    assert [n.op.name for n in program.graph.nodes] == ["placeholder", "constant", "add"]
    ones = np.ones(2, np.float32)
    assert program.run({"x": ones}).tolist() == [2.0, 2.0]
    assert program.run({"x": ones, "y": np.ones(3, np.float32)}).tolist() == [2.0, 2.0]
    assert g.compile(other).run({y: [0.0, 0.0, 0.0]}).tolist() == [1.0] * 3


def test_fetches_keep_their_containers():
    g, x, y = small()
    result = g.compile({"a": y, "b": [y, (x,)]}).run({"x": np.ones((1, 2), np.float32)})
    assert result["a"].tolist() == [2.0, 2.0]
    assert isinstance(result["b"], list) and isinstance(result["b"][1], tuple)


@pytest.mark.parametrize("executor", ["reference", "planned"])
def test_results_are_in_memory_of_their_own(executor):
    with dt.static.Graph() as g:
        x, w = g.placeholder("x", (2, 3)), g.variable(np.ones((2, 3), np.float32))
        c = g.constant([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
        fetches = [x, x.T, w, w[0], c, (x + 1).T, x + 1]
    program = g.compile(fetches, executor=executor)
    feed = np.zeros((2, 3), np.float32)
    first = program.run({"x": feed})
    kept = [a.copy() for a in first]
    for i, a in enumerate(first):
        assert a.flags.writeable
        for b in [feed, w.node.attrs["storage"].array, *first[:i]]:
            assert not np.shares_memory(a, b)
    for a in first:
        a += 100
    again = program.run({"x": feed})
    assert all((a == b).all() for a, b in zip(again, kept))


@pytest.mark.parametrize("executor", ["reference", "planned"])
def test_assignments_take_place_at_the_end_of_the_run(executor):
    a, b = Storage([1.0, 2.0], "a"), Storage([3.0, 4.0], "b")
    with dt.static.Graph() as g:
        va, vb = g.variable(a), g.variable(b)
        swap = g.together([g.assign(va, vb), g.assign(vb, va)])
        later = g.read(a) + 0.0
    program = g.compile([swap, va, later], executor=executor)
    nothing, start, after = program.run()
    assert nothing is None
    assert start.tolist() == [1.0, 2.0] and after.tolist() == [3.0, 4.0]
    assert a.array.tolist() == [3.0, 4.0] and b.array.tolist() == [1.0, 2.0]
    assert a.version == 1 and b.version == 1


@pytest.mark.parametrize("executor", ["reference", "planned"])
def test_a_counter_counts_only_when_it_is_fetched(executor):
    with dt.static.Graph() as g:
        count = g.variable([0.0], "count")
        step = g.assign(count, count + 1)
        shown = count * 1
    reading = g.compile(shown, executor=executor)
    counting = g.compile([shown, step], executor=executor)
    assert [counting.run()[0].item() for _ in range(3)] == [0.0, 1.0, 2.0]
    assert reading.run().item() == 3.0 and reading.run().item() == 3.0


@pytest.mark.parametrize("executor", ["reference", "planned"])
def test_eager_code_and_program_share_a_parameter(executor):
    w = dt.nn.Parameter([1.0, 2.0])
    with dt.static.Graph() as g:
        doubled = w * 2
        step = g.assign(w, w + 1)
    program = g.compile([doubled, step], executor=executor)
    assert program.run()[0].tolist() == [2.0, 4.0]
    assert w.tolist() == [2.0, 3.0]
    with dt.no_grad():
        w *= 10
    assert program.run()[0].tolist() == [40.0, 60.0]


# -- bad input -------------------------------------------------------------------------------


def program_of_two():
    with dt.static.Graph() as g:
        x, y = g.placeholder("x", ("n", 2)), g.placeholder("y", ("n",))
        total = dt.sum(x, axis=1) + y
    return g.compile(total)


ONES = np.ones((3, 2), np.float32)


@pytest.mark.parametrize(
    "feeds, error, text",
    [
        ({"x": ONES}, FeedError, "every placeholder must be fed, got none for 'y'"),
        (
            {"x": ONES, "z": ONES},
            FeedError,
            r"keys must be placeholders of the graph \('x', 'y'\), got 'z'",
        ),
        (
            {"x": ONES[:, :1], "y": ONES[:, 0]},
            ShapeError,
            r"feed 'x': must be float32\[n, 2\], got",
        ),
        ({"x": ONES[0], "y": ONES[:, 0]}, ShapeError, r"feed 'x': must be float32\[n, 2\]"),
        ({"x": ONES, "y": ONES[:2, 0]}, ShapeError, "dimension 'n' must be one size, got 2 here"),
        ({"x": ONES.astype("float64"), "y": ONES[:, 0]}, DTypeError, "feed 'x': must be float32"),
        ({"x": "no", "y": ONES[:, 0]}, DTypeError, "feed 'x': data must be numbers"),
        ({3: ONES}, FeedError, "keys must be placeholders"),
        ([ONES, ONES[:, 0]], FeedError, "must map placeholders to arrays, got list"),
    ],
)
def test_bad_feeds_run_nothing(feeds, error, text):
    with pytest.raises(error, match=text):
        program_of_two().run(feeds)


def test_numbers_written_in_python_fit():
    result = program_of_two().run({"x": [[1, 2], [3, 4]], "y": (0, 0.5)})
    assert result.tolist() == [3.0, 7.5]


@pytest.mark.parametrize("size", ["n", 3])
@pytest.mark.parametrize("fetched", ["both", "the second"])
def test_feeds_by_position(size, fetched):
    with dt.static.Graph() as g:
        x, y = g.placeholder("x", (size, 2)), g.placeholder("y", (size,))
        program = g.compile(y * 2 + (dt.sum(x, axis=1) if fetched == "both" else 0))
    for given in ([ONES, ONES[:, 0]], [dt.tensor(ONES), [1.0, 1, 1]], [ONES[::-1], ONES.T[1]]):
        assert program(*given).tolist() == [4.0 if fetched == "both" else 2.0] * 3
    rule = r"program: must be fed each placeholder of \('x', 'y'\), got 1 feeds"
    with pytest.raises(FeedError, match=rule):
        program(ONES)
    with pytest.raises(ShapeError, match="feed 'x': must be"):
        program(ONES[:, 0], ONES[:, 0])


def test_a_graph_keeps_the_array_that_it_read():
    scale = np.array([1.0, 2.0], np.float32)
    with dt.static.Graph() as g:
        program = g.compile(g.placeholder("x", (2,)) * scale)
    scale[:] = 100
    assert program.run({"x": [1.0, 1.0]}).tolist() == [1.0, 2.0]


def test_a_value_of_a_built_graph_can_be_printed():
    _, x, _ = small()
    assert str(x) == "<placeholder %0: float32[n, 2]>" == f"{x}"


def test_bad_fetches():
    g, _, y = small()
    _, _, other = small()
    with pytest.raises(FetchError, match="fetch: must be of the graph that is compiled"):
        g.compile([y, other])
    with pytest.raises(FetchError, match="must be a value or an update"):
        g.compile("loss")
    with pytest.raises(UnknownNameError, match="executor: must be one of native, planned"):
        g.compile(y, executor="magic")
    with pytest.raises(UnknownNameError, match="pass: must be one of"):
        g.compile(y, passes=["magic"])


def test_values_of_two_graphs_do_not_mix():
    _, x, _ = small()
    _, other, _ = small()
    with pytest.raises(GraphError, match="add: operands must be values of one graph"):
        x + other


def test_a_tensor_that_is_no_parameter_does_not_enter_a_graph():
    _, x, _ = small()
    with pytest.raises(GraphError, match=r"multiply: a graph takes values, .* got Tensor \(2,\)"):
        x * dt.tensor([1.0, 2.0])
    with x.graph, pytest.raises(GraphError, match="feed it to a placeholder"):
        x * dt.tensor([1.0, 2.0])
    with pytest.raises(GraphError, match="outside the graph's with block"):
        dt.nn.Linear(2, 2)(x)


@pytest.mark.parametrize(
    "ask",
    [bool, int, float, np.asarray, list, lambda v: v.item(), lambda v: v.numpy(),
     lambda v: v.tolist(), lambda v: v.backward()],
)  # fmt: skip
def test_a_static_value_has_no_number(ask):
    _, x, _ = small()
    with pytest.raises(StaticValueError, match="a static value has no number") as caught:
        ask(x)
    assert any("test_graph.py" in note for note in caught.value.__notes__)


def test_a_static_value_cannot_change_in_place():
    _, x, _ = small()
    with pytest.raises(GraphError, match="setitem: a static value cannot change in place"):
        x[0] = 1


@pytest.mark.parametrize(
    "name, shape, error",
    [("x", (2,), GraphError), ("", (2,), GraphError), ("y", (-1,), ShapeError),
     ("y", (1.5,), ShapeError), ("y", ("not a name",), ShapeError)],
)  # fmt: skip
def test_bad_placeholders(name, shape, error):
    g, _, _ = small()
    with pytest.raises(error, match="placeholder: "):
        g.placeholder(name, shape)


def test_assigning_what_does_not_fit():
    with dt.static.Graph() as g:
        v = g.variable([1.0, 2.0], "v")
        with pytest.raises(ShapeError, match="storage 'v': what is written must keep the shape"):
            g.assign(v, v.sum())
        with pytest.raises(GraphError, match="assign: target must be a variable"):
            g.assign(v + 1, v)


def test_errors_of_kernels_name_the_line_of_the_user():
    with dt.static.Graph() as g:
        x = g.placeholder("x", (2,))
        i = g.placeholder("i", (1,), "int64")
        y = dt.take(x, i)
    for executor in ("reference", "planned"):
        with pytest.raises(dt.errors.RangeError, match="take: indices must be in") as caught:
            g.compile(y, executor=executor).run({"x": [1.0, 2.0], "i": [5]})
        assert any("in take, made at" in n and "test_graph.py" in n for n in caught.value.__notes__)


def test_sizes_of_symbolic_dimensions_have_no_number_either():
    _, x, _ = small()
    with pytest.raises(StaticValueError, match="dimension: n is known only when the graph runs"):
        range(x.shape[0])
    assert x.shape[0] * 2 == dt.Dim.symbol("n") + dt.Dim.symbol("n")


def test_leaving_a_graph_by_an_error_restores_the_style():
    with pytest.raises(ZeroDivisionError), dt.static.Graph():
        raise ZeroDivisionError
    assert isinstance(dt.zeros((1,)), dt.Tensor)


# -- sizes, gradients and failures -----------------------------------------------------------


@pytest.mark.parametrize("executor", ["reference", "planned"])
def test_a_dimension_of_a_pruned_placeholder_is_still_known(executor):
    with dt.static.Graph() as g:
        x = g.placeholder("x", ("n",))
        (d,) = dt.grad(x.sum(), x)
    program = g.compile(d, executor=executor)
    assert program.run({"x": np.ones(3, np.float32)}).tolist() == [1.0] * 3
    with pytest.raises(FeedError, match="every dimension must be known, got none for 'n'"):
        program.run({})


@pytest.mark.parametrize("executor", ["reference", "planned"])
def test_a_slice_that_comes_out_shorter_is_an_error(executor):
    with dt.static.Graph() as g:
        x, y = g.placeholder("x", ("n",)), g.placeholder("y", ("m",))
        z = x[0 : y.shape[0]] + y
    program = g.compile(z, executor=executor)
    assert program.run({"x": [1.0, 2.0, 3.0], "y": [1.0, 1.0]}).tolist() == [2.0, 3.0]
    with pytest.raises(ShapeError, match=r"getitem: result must have shape \(m,\) where m=3, n=1"):
        program.run({"x": [1.0], "y": [1.0, 1.0, 1.0]})


def test_gradients_stop_at_no_grad_and_stop_gradient():
    with dt.static.Graph() as g:
        w = g.placeholder("w", (2,))
        with dt.no_grad():
            h = w * 2
        k = dt.stop_gradient(w * 2)
        loss = (h * h).sum() + (k * k).sum()
        gradients = dt.grad(loss, [w, h, k], allow_unused=True)
    assert [v is None for v in gradients] == [True, False, False]
    with pytest.raises(TypeError, match="alow_unused"):
        dt.grad(loss, w, alow_unused=True)


@pytest.mark.parametrize("executor", ["reference", "planned"])
def test_a_run_that_fails_loses_nothing(executor):
    held = Storage([1.0, 2.0])
    with dt.static.Graph() as g:
        a, i = g.variable(held), g.placeholder("i", (1,), "int64")
        step = g.assign(a, a * 2)
        y = dt.take(dt.ones((3,)) * 1.0, i)
    program = g.compile([step, y], executor=executor)
    with pytest.raises(dt.errors.RangeError):
        program.run({"i": [9]})
    assert held.array.tolist() == [1.0, 2.0]
    program.run({"i": [1]})
    assert held.array.tolist() == [2.0, 4.0]


def test_a_placeholder_of_another_graph_is_no_key():
    g, _, y = small()
    _, other, _ = small()
    with pytest.raises(FeedError, match="keys must be placeholders of the graph"):
        g.compile(y).run({other: np.ones((1, 2), np.float32)})


@pytest.mark.parametrize("executor", ["reference", "planned"])
def test_memory_that_no_array_owns_may_be_shared(executor):
    buffer = np.ones(3, np.float32).tobytes()
    block = bytearray(buffer)
    s, t = (Storage(np.frombuffer(block, np.float32)) for _ in range(2))
    with dt.static.Graph() as g:
        x = g.placeholder("x", (3,))
        step = g.assign(s, g.variable(s) + x)
        fetches = [step, g.variable(t) * 10, x * 10]
    program = g.compile(fetches, executor=executor)
    _, ten, fed = program.run({"x": np.frombuffer(block, np.float32)})
    assert ten.tolist() == fed.tolist() == [10.0] * 3
    assert s.array.tolist() == t.array.tolist() == [2.0] * 3
