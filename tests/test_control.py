"""Control flow: `cond`, `while_loop` and `scan`, in every style, to second order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numbers_compared import draw

import diptych as dt
from diptych.graphs.ir import Graph

EXECUTORS = ("reference", "planned")


def sum_of_squares(tree: Any) -> Any:
    leaves = tree if isinstance(tree, tuple | list) else [tree]
    terms = [dt.sum(leaf * leaf) for leaf in leaves if leaf is not None]
    return dt.accumulate(terms)


# -- models: a name, the function, and its float64 operands ----------------------------------


def rnn(xs: Any, w: Any, h: Any) -> Any:
    def step(h: Any, x: Any) -> Any:
        h = dt.tanh(x @ w + h)
        return h, h * h

    return dt.scan(step, h, xs)


def backwards(xs: Any, w: Any, h: Any) -> Any:
    return dt.scan(lambda h, x: (dt.sin(h * w) + x, x * h), h, xs, reverse=True)


def counted(x: Any, w: Any) -> Any:
    return dt.scan(lambda c, _: (c * w + x, None), x, length=4)


def two_carries(xs: Any, ys: Any, a: Any, b: Any) -> Any:
    """One carry that no gradient needs, one that only the other reads."""

    def step(carry: Any, slices: Any) -> Any:
        (a, count), (x, y) = carry, slices
        return (a * b + x * count, count + 1), {"y": y * a, "x": x}

    (a, _), outputs = dt.scan(step, (a, 1.0), (xs, ys))
    return a, outputs["y"], outputs["x"]


def nested(xs: Any, w: Any) -> Any:
    def outer(c: Any, row: Any) -> Any:
        inner, ys = dt.scan(lambda d, x: (dt.sin(d * w + x), d * x), c, row)
        return inner, dt.sum(ys)

    return dt.scan(outer, w * 0.5, xs)


def halving(x: Any, w: Any) -> Any:
    """The number of rounds depends on the numbers."""
    return dt.while_loop(
        lambda s: dt.sum(s[0] * s[0]) > 0.05, lambda s: (dt.sin(s[0]) * w, s[1] + x), (x, w)
    )


def linear(x: Any, w: Any) -> Any:
    """Rounds of which a gradient reads nothing but their number."""
    return dt.while_loop(lambda c: dt.sum(c) < 20.0, lambda c: c * 1.5 + 1.0, x) * w


def bounded(x: Any, w: Any) -> Any:
    return dt.while_loop(
        lambda c: dt.sum(c * c) > 0.05, lambda c: dt.sin(c) * w, x, max_iterations=6
    )


def halving_in_scan(xs: Any, w: Any) -> Any:
    return dt.scan(lambda c, x: (bounded(x, w) + c, None), w * 0.1, xs)


def either(x: Any, y: Any) -> Any:
    return dt.cond(dt.sum(x) > 0, lambda x: dt.sin(x) * y, lambda x: x * x * 3.0, x)


def either_other(x: Any, y: Any) -> Any:
    return dt.cond(dt.sum(x) < 0, lambda: (dt.exp(x), y), lambda: (dt.cos(x) * y, x * x))


def cond_in_scan(xs: Any, w: Any) -> Any:
    def step(c: Any, x: Any) -> Any:
        c = dt.cond(dt.sum(x) > 0, lambda c: dt.sin(c * w) + x, lambda c: c * x, c)
        return c, c

    return dt.scan(step, w * w, xs)


def scan_in_cond(xs: Any, w: Any) -> Any:
    return dt.cond(
        dt.sum(w) > -100.0,
        lambda: dt.scan(lambda c, x: (c * w + x, None), w, xs)[0],
        lambda: w,
    )


def gradient_inside(xs: Any, w: Any) -> Any:
    """Descent on a small loss: a gradient within the body."""

    def step(v: Any, x: Any) -> Any:
        (g,) = dt.grad(dt.sum(dt.sin(v * x)), v, create_graph=True)
        return v - 0.1 * g, None

    return dt.scan(step, w, xs)[0]


MODELS: dict[str, tuple[Callable[..., Any], list[np.ndarray]]] = {
    f.__name__: (f, operands)
    for f, operands in (
        (rnn, [draw(5, 3), draw(3, 3, seed=1), draw(3, seed=2)]),
        (backwards, [draw(4, 2), draw(2, seed=1), draw(2, seed=2)]),
        (counted, [draw(3), draw(3, seed=1)]),
        (two_carries, [draw(3, 2), draw(3, 2, seed=1), draw(2, seed=2), draw(2, seed=3)]),
        (nested, [draw(3, 2), draw(seed=1)]),
        (halving, [draw(2) + 1.5, draw(2, seed=1) * 0.2 + 0.7]),
        (linear, [draw(2) + 1.5, draw(2, seed=1)]),
        (bounded, [draw(2) + 1.5, draw(2, seed=1) * 0.2 + 0.7]),
        (halving_in_scan, [draw(3, 2) + 1.5, draw(2, seed=1) * 0.2 + 0.7]),
        (either, [draw(3) + 1.0, draw(3, seed=1)]),
        (either_other, [draw(3) + 1.0, draw(3, seed=1)]),
        (cond_in_scan, [draw(5, 2), draw(2, seed=1)]),
        (scan_in_cond, [draw(3, 2), draw(2, seed=1)]),
        (gradient_inside, [draw(3, 2), draw(2, seed=1)]),
    )
}


def derivatives(model: Callable[..., Any], operands: list[Any]) -> list[Any]:
    """Results, gradients, and the gradient of the gradients' squares."""
    results = model(*operands)
    flat = [r for r in (results if isinstance(results, tuple) else (results,)) if r is not None]
    first = dt.grad(sum_of_squares(flat), operands, create_graph=True)
    second = dt.grad(sum_of_squares(list(first)), operands)
    return [*flat, *first, *second]


def eagerly(model: Callable[..., Any], arrays: list[np.ndarray]) -> list[np.ndarray]:
    tensors = [dt.tensor(a, requires_grad=True) for a in arrays]
    return [t.detach().numpy() for t in derivatives(model, tensors)]


def graph_of(model: Callable[..., Any], arrays: list[np.ndarray]) -> Any:
    with dt.static.Graph() as g:
        fed = [g.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
        found = derivatives(model, fed)
    g.verify()
    return g, fed, found


def assert_close(found: Any, expected: Any) -> None:
    for f, e in zip(found, expected, strict=True):
        assert f.shape == e.shape and f.dtype == e.dtype
        np.testing.assert_allclose(f, e, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("passes", [(), None], ids=["no passes", "all passes"])
@pytest.mark.parametrize("name", MODELS)
def test_graphs_compute_what_eager_code_computes(name: str, passes: Any, executor: str) -> None:
    model, arrays = MODELS[name]
    g, fed, found = graph_of(model, arrays)
    program = g.compile(found, executor=executor, passes=passes)
    results = program.run(dict(zip(fed, arrays)))
    assert_close(results, eagerly(model, arrays))


@pytest.mark.parametrize("name", MODELS)
def test_results_and_first_gradients_are_eager_code_s_bit_for_bit(name: str) -> None:
    """The order of sums differs in the second order alone."""
    model, arrays = MODELS[name]
    g, fed, found = graph_of(model, arrays)
    results = g.compile(found, executor="reference", passes=()).run(dict(zip(fed, arrays)))
    expected = eagerly(model, arrays)
    for f, e in list(zip(results, expected, strict=True))[: -len(arrays)]:
        assert f.tobytes() == e.tobytes()


@pytest.mark.parametrize("name", MODELS)
def test_passes_and_executors_keep_every_bit(name: str) -> None:
    model, arrays = MODELS[name]
    g, fed, found = graph_of(model, arrays)
    plain = g.compile(found, executor="reference", passes=()).run(dict(zip(fed, arrays)))
    for executor in EXECUTORS:
        for passes in ("prune", "fold", "simplify", "cse", None):
            program = g.compile(found, executor=executor, passes=passes)
            for f, e in zip(program.run(dict(zip(fed, arrays))), plain, strict=True):
                assert f.tobytes() == e.tobytes(), (executor, passes)


@pytest.mark.parametrize("name", MODELS)
def test_compiled_functions_differentiate_through_control_flow(name: str) -> None:
    model, arrays = MODELS[name]

    def loss(*operands: Any) -> Any:
        results = model(*operands)
        flat = results if isinstance(results, tuple) else (results,)
        return sum_of_squares([r for r in flat if r is not None])

    found = []
    for f in (loss, dt.compile(loss)):
        tensors = [dt.tensor(a, requires_grad=True) for a in arrays]
        y = f(*tensors)
        y.backward()
        found.append([y.detach().numpy(), *(t.grad.numpy() for t in tensors)])
    assert_close(found[1], found[0])


@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_finite_differences(name: str) -> None:
    model, arrays = MODELS[name]

    def value(*points: np.ndarray) -> float:
        results = model(*(dt.tensor(p, requires_grad=True) for p in points))
        flat = results if isinstance(results, tuple) else (results,)
        return float(sum_of_squares([r for r in flat if r is not None]))

    tensors = [dt.tensor(a, requires_grad=True) for a in arrays]
    results = model(*tensors)
    flat = [r for r in (results if isinstance(results, tuple) else (results,)) if r is not None]
    gradients = dt.grad(sum_of_squares(flat), tensors)
    rng = np.random.default_rng(0)
    directions = [rng.uniform(-1, 1, a.shape) for a in arrays]
    step = 1e-6
    ahead = value(*(a + step * d for a, d in zip(arrays, directions)))
    behind = value(*(a - step * d for a, d in zip(arrays, directions)))
    slope = sum(float((g.numpy() * d).sum()) for g, d in zip(gradients, directions))
    np.testing.assert_allclose(slope, (ahead - behind) / (2 * step), rtol=1e-6)


# -- shape -----------------------------------------------------------------------------------


def test_a_scan_is_one_node_whatever_its_length() -> None:
    sizes = []
    for length in (2, 200):
        g, _, _ = graph_of(rnn, [draw(length, 3), draw(3, 3), draw(3)])
        sizes.append(len(g.nodes))
    assert sizes[0] == sizes[1]


def test_one_program_scans_sequences_of_every_length() -> None:
    with dt.static.Graph() as g:
        xs = g.placeholder("xs", ("time", 3), "float64")
        w = g.placeholder("w", (3, 3), "float64")
        h, ys = rnn(xs, w, dt.zeros((3,), dtype="float64"))
        (slope,) = dt.grad(sum_of_squares([h, ys]), w)
    for executor in EXECUTORS:
        program = g.compile([h, ys, slope], executor=executor)
        for length in (1, 5, 2, 9):
            arrays = [draw(length, 3), draw(3, 3, seed=1)]
            tensors = [dt.tensor(a, requires_grad=True) for a in arrays]
            expected = rnn(*tensors, dt.zeros((3,), dtype="float64"))
            (e,) = dt.grad(sum_of_squares(list(expected)), tensors[1])
            found = program.run({"xs": arrays[0], "w": arrays[1]})
            assert_close(found, [t.detach().numpy() for t in (*expected, e)])


def test_a_scan_of_no_steps_gives_back_its_carry() -> None:
    with dt.static.Graph() as g:
        xs = g.placeholder("xs", ("time", 3))
        c, ys = dt.scan(lambda c, x: (c + x, x), dt.ones((3,)), xs)
    for executor in EXECUTORS:
        last, stack = g.compile([c, ys], executor=executor).run({"xs": np.ones((0, 3), "float32")})
        assert last.tolist() == [1, 1, 1] and stack.shape == (0, 3)
    carry, nothing = dt.scan(lambda c, x: (c + x, None), dt.ones((3,)), dt.zeros((0, 3)))
    assert carry.tolist() == [1, 1, 1] and nothing is None


def test_a_loop_that_does_not_run_gives_back_its_carry() -> None:
    with dt.static.Graph() as g:
        x = g.placeholder("x", (2,))
        y = dt.while_loop(lambda c: dt.sum(c) > 10.0, lambda c: c * 0.5, x)
        (slope,) = dt.grad(dt.sum(y), x)
    for executor in EXECUTORS:
        program = g.compile([y, slope], executor=executor)
        fed = np.ones(2, np.float32)
        found, one = program.run({"x": fed})
        assert found.tolist() == [1, 1] and one.tolist() == [1, 1]
        assert found is not fed and not np.shares_memory(found, fed)
        assert program.run({"x": np.full(2, 8, np.float32)})[1].tolist() == [0.5, 0.5]


def test_only_the_branch_that_is_taken_runs() -> None:
    with dt.static.Graph() as g:
        x, at = g.placeholder("x", (3,)), g.placeholder("at", (1,), "int64")
        y = dt.cond(dt.sum(x) > 0, lambda: dt.take(x, at), lambda: dt.zeros((1,)))
    for executor in EXECUTORS:
        program = g.compile(y, executor=executor)
        below = program.run({"x": -np.ones(3, np.float32), "at": np.array([7])})
        assert below.tolist() == [0]
        with pytest.raises(dt.errors.RangeError, match="got 7"):
            program.run({"x": np.ones(3, np.float32), "at": np.array([7])})


def test_python_decides_where_the_condition_is_known() -> None:
    with dt.static.Graph() as g:
        x = g.placeholder("x", (3,))
        y = dt.cond(True, lambda x: x * 2.0, lambda x: x, x)
    assert [n.op.name for n in g.nodes if n.inputs] == ["multiply"]
    assert y.shape == (3,)


# -- passes ----------------------------------------------------------------------------------


def bodies(graph: Graph) -> list[Graph]:
    return [body for node in graph.nodes if node.op.region for body in node.attrs["bodies"]]


def compiled(g: Any, fetches: Any, *passes: str) -> Graph:
    return g.compile(fetches, passes=passes).graph


def test_pruning_drops_carries_outputs_and_operands_of_a_loop() -> None:
    with dt.static.Graph() as g:
        xs, w = g.placeholder("xs", (4,)), g.placeholder("w", ())

        def step(carry: Any, x: Any) -> Any:
            a, b = carry
            return (a + x, b * w), (x * 2.0, dt.sin(b))

        (a, _), _ = dt.scan(step, (0.0, 1.0), xs)
    graph = compiled(g, a, "prune")
    assert str(graph).replace("scan0", "a").replace("scan2", "x") == (
        "%0: float32[4] = placeholder(name='xs')\n"
        "%1: float32[] = constant(array=0.0)\n"
        "%2: float32[] = scan(%1, %0, feeds=((0, 1),), carries=1, state=0, xs=1, length=4, "
        "reverse=False)\n"
        "    %0: float32[] = placeholder(name='a')\n"
        "    %1: float32[] = placeholder(name='x')\n"
        "    %2: float32[] = add(%0, %1)\n"
        "    return %2\n"
        "return %2"
    )


def test_folding_brings_constants_into_bodies() -> None:
    with dt.static.Graph() as g:
        x = g.placeholder("x", ())
        two = g.constant(np.float32(2.0))
        y, _ = dt.scan(lambda c, _: (c + two * 3.0, None), x, length=4)
    [body] = bodies(compiled(g, y, "fold"))
    assert [n.op.name for n in body.nodes if n.inputs] == ["add"]
    assert any(n.attrs.get("array") == 6.0 for n in body.nodes)


def test_common_subexpressions_of_a_body_are_computed_once() -> None:
    with dt.static.Graph() as g:
        x = g.placeholder("x", ())
        y, _ = dt.scan(lambda c, _: (dt.sin(c) * dt.sin(c), None), x, length=4)
    [body] = bodies(compiled(g, y, "cse"))
    assert [n.op.name for n in body.nodes if n.inputs] == ["sin", "multiply"]


def test_algebra_is_simplified_in_both_branches() -> None:
    with dt.static.Graph() as g:
        x = g.placeholder("x", (2,))
        y = dt.cond(dt.sum(x) > 0, lambda: x * 1.0, lambda: -(-x))
    graph = compiled(g, y, "fold", "simplify", "prune")
    assert [[n.op.name for n in b.nodes if n.inputs] for b in bodies(graph)] == [[], []]


# -- errors ----------------------------------------------------------------------------------

WRONG: list[tuple[str, Callable[[Any], Any], type[Exception], str]] = [
    ("carry shape", lambda x: dt.scan(lambda c, _: (dt.sum(c), None), x, length=2),
     dt.errors.GraphError, r"the carry must keep its shapes .* got float32\[\] for float32\[3\]"),
    ("carry structure", lambda x: dt.scan(lambda c, _: ((c, c), None), x, length=2),
     dt.errors.GraphError, "scan: the carry must keep its structure, got 2 leaves for 1"),
    ("no pair", lambda x: dt.scan(lambda c, _: c, x, length=2),
     dt.errors.GraphError, r"scan: the function must give \(carry, y\), got Value"),
    ("no length", lambda x: dt.scan(lambda c, _: (c, None), x),
     dt.errors.ShapeError, "scan: the number of steps must be known, got neither"),
    ("two lengths", lambda x: dt.scan(lambda c, _: (c, None), x, x, length=2),
     dt.errors.ShapeError, "scan: first axes must be of one length, got 3, 2"),
    ("no axis", lambda x: dt.scan(lambda c, _: (c, None), x, dt.sum(x)),
     dt.errors.ShapeError, r"scan: xs must have a first axis, got shape \(\)"),
    ("while float", lambda x: dt.while_loop(lambda c: dt.sum(c), lambda c: c, x),
     dt.errors.DTypeError, "while_loop: the condition must be bool, got float32"),
    ("while vector", lambda x: dt.while_loop(lambda c: c > 0, lambda c: c, x),
     dt.errors.ShapeError, r"while_loop: the condition must have shape \(\), got \(3,\)"),
    ("while most", lambda x: dt.while_loop(lambda c: True, lambda c: c, x, max_iterations=-1),
     dt.errors.ArgumentError, "max_iterations must be a whole number of at least 0, got -1"),
    ("cond dtype", lambda x: dt.cond(x, lambda: x, lambda: x),
     dt.errors.DTypeError, "cond: the condition must be bool, got float32"),
    ("cond shapes", lambda x: dt.cond(dt.sum(x) > 0, lambda: x, lambda: dt.sum(x)),
     dt.errors.GraphError, r"must give the same shapes .* got float32\[3\] and float32\[\]"),
    ("cond structure", lambda x: dt.cond(dt.sum(x) > 0, lambda: x, lambda: (x, x)),
     dt.errors.GraphError, "must give the same structure, got 1 and 2 results"),
]  # fmt: skip


@pytest.mark.parametrize("build, error, match", [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_wrong_control_flow_is_refused_when_built(build: Any, error: Any, match: str) -> None:
    with dt.static.Graph() as g:
        x = g.placeholder("x", (3,))
        with pytest.raises(error, match=match):
            build(x)


def test_a_value_of_a_body_cannot_leave_it() -> None:
    leaked = []
    with dt.static.Graph() as g:
        x = g.placeholder("x", (3,))
        dt.scan(lambda c, _: (leaked.append(c) or c, None), x, length=2)
        with pytest.raises(dt.errors.GraphError, match="what a body of scan computes stays within"):
            leaked[0] + x


def test_the_gradient_of_an_unbounded_loop_in_a_loop_is_refused() -> None:
    with dt.static.Graph() as g:
        x = g.placeholder("x", (3,))

        def step(c: Any, _: Any) -> Any:
            return dt.while_loop(lambda c: dt.sum(c) > 1.0, lambda c: dt.sin(c), c), None

        y, _ = dt.scan(step, x, length=2)
        with pytest.raises(dt.errors.GraphError, match="pass max_iterations"):
            dt.grad(dt.sum(y), x)


def test_an_error_in_a_body_names_the_line_that_made_the_node() -> None:
    with dt.static.Graph() as g:
        x, at = g.placeholder("x", (3,)), g.placeholder("at", (2,), "int64")
        y, _ = dt.scan(lambda c, i: (c + dt.take(x, i), None), 0.0, at)
    for executor in EXECUTORS:
        with pytest.raises(dt.errors.RangeError) as caught:
            g.compile(y, executor=executor).run({"x": np.ones(3, "f4"), "at": np.array([0, 5])})
        assert any("test_control.py" in note for note in caught.value.__notes__)


# -- checkpoint ------------------------------------------------------------------------------


def deep(x: Any, w: Any) -> Any:
    for _ in range(3):
        x = dt.sin(x * w) + x
    return x


def kept(x: Any, w: Any) -> Any:
    return dt.checkpoint(lambda x: dt.checkpoint(deep, x, w) * w, x)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_checkpoint_changes_no_bit(executor: str) -> None:
    arrays = [draw(4), draw(4, seed=1)]
    expected = eagerly(lambda x, w: deep(x, w) * w, arrays)
    assert_close(eagerly(kept, arrays), expected)
    g, fed, found = graph_of(kept, arrays)
    assert_close(g.compile(found, executor=executor).run(dict(zip(fed, arrays))), expected)


def test_a_checkpoint_keeps_no_intermediate_result() -> None:
    from diptych.graphs.kernels import Recorder, recording

    live = {}
    for name, f in (("plain", deep), ("checkpoint", lambda x, w: dt.checkpoint(deep, x, w))):
        x, w = (dt.tensor(draw(100, seed=i), requires_grad=True) for i in range(2))
        with recording(Recorder()) as recorder:
            y = f(x, w)
            live[name] = recorder.live_bytes
        assert y.requires_grad
    assert live["checkpoint"] == 800 < live["plain"]


def test_a_checkpoint_draws_the_same_random_numbers_again() -> None:
    gradients = []
    for wrap in (False, True):
        dt.manual_seed(3)
        x = dt.tensor(draw(20), requires_grad=True)

        def f(x: Any) -> Any:
            return dt.sum(dt.sin(dt.nn.functional.dropout(x, 0.5)))

        y = dt.checkpoint(f, x) if wrap else f(x)
        dt.randn((2,))  # what is drawn in between must not matter
        y.backward()
        gradients.append((x.grad.numpy(), dt.rand((2,)).numpy()))
    for one, other in zip(*gradients):
        assert one.tobytes() == other.tobytes()


def test_a_checkpoint_refuses_what_changed_in_between() -> None:
    x = dt.tensor(draw(3), requires_grad=True)
    w = dt.tensor(draw(3, seed=1))
    y = dt.sum(dt.checkpoint(lambda x: dt.sin(x * w), x))
    w += 1.0
    with pytest.raises(dt.errors.TapeError, match="checkpoint: what the function read must not"):
        y.backward()
    calls = []

    def other(x: Any) -> Any:
        calls.append(x)
        return dt.sum(dt.sin(x) if len(calls) == 1 else dt.exp(dt.sin(x)))

    with pytest.raises(dt.errors.TapeError, match="must compute the same again, got 3 operators"):
        dt.checkpoint(other, x).backward()
