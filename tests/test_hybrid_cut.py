"""What a compiled function keeps for its backward pass, and what it computes again."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import diptych as dt
from diptych.compiler import least_kept
from diptych.compiler.native.toolchain import find_compiler
from diptych.errors import UnknownNameError
from diptych.graphs.dims import Dim
from diptych.graphs.kernels import Recorder, recording
from diptych.graphs.storage import Storage

# Large enough for the choice to be made.
X = np.random.default_rng(0).uniform(-1, 1, (96, 64))
W = np.random.default_rng(1).uniform(-0.3, 0.3, (64, 64))


def normalised(x: Any) -> Any:
    d = x - dt.mean(x, -1, keepdims=True)
    return d * dt.rsqrt(dt.mean(d * d, -1, keepdims=True) + 1e-5)


def gated(x: Any, w: Any) -> Any:
    y = normalised(x * 2 + 1) @ w
    return (dt.tanh(y) * (y + 1) * (y - 2)).sum()


def dropped(x: Any, w: Any) -> Any:
    y = dt.nn.functional.dropout(x * 3 - 1, 0.5) @ w
    return ((y + 1) * (y - 1) * dt.where(y > 0, y * 2, -y)).sum()


def shuffled(x: Any, w: Any) -> Any:
    y = dt.permute_dims(x @ w, (1, 0))
    return ((dt.reshape(y, (128, 48)) + 1) * (dt.reshape(y, (128, 48)) - 2)).sum()


def rounded(x: Any, w: Any) -> Any:
    y = (x @ w).astype("float32")
    return ((y + 1) * (y - 1) * (y * 0.5)).astype("float64").sum()


def largest(x: Any, w: Any) -> Any:
    y = (x @ w) * 1.7 + 0.3
    return (dt.max(y, -1) * dt.max(y * y, 0).sum()).sum()


def layered(x: Any, w: Any) -> Any:
    y = x @ w
    z = dt.layer_norm(y, 2.0, 0.5, 64)
    return (z * y * (z + 1)).sum()


def convolved(x: Any, w: Any) -> Any:
    y = dt.conv2d(x.reshape(1, 1, 96, 64), w.reshape(1, 1, 64, 64)[:, :, :3, :3])
    return ((y + 1) * (y - 1)).sum()


needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler")
PROGRAMS = [gated, dropped, shuffled, rounded, largest, layered, convolved]


def compiled(function: Callable[..., Any], executor: str, recompute: bool) -> Any:
    return dt.compile(function, executor=executor, passes=["recompute"] if recompute else [])


def step(function: Callable[..., Any], *arrays: np.ndarray) -> list[np.ndarray]:
    """A result and its gradients."""
    dt.manual_seed(3)
    operands = [dt.tensor(a, requires_grad=True) for a in arrays]
    y = function(*operands)
    return [y.detach().numpy(), *(g.numpy() for g in dt.grad(y, operands))]


def kept(function: Any) -> tuple[int, int]:
    """From `explain`: the bytes that are kept, and those that would be."""
    [(now, before)] = re.findall(
        r"(\d+) bytes kept for the backward pass(?:, (\d+) without recomputing)?",
        function.explain(),
    )
    return int(now), int(before or now)


def backward_of(function: Any) -> str:
    """The code of the backward pass of a planned function."""
    return function.source.split("# backward 0\n")[1]


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("executor", ["reference", "planned"])
def test_what_is_computed_again_has_the_same_bits(program: Any, executor: str) -> None:
    plain = step(compiled(program, executor, False), X, W)
    again = step(compiled(program, executor, True), X, W)
    for a, b in zip(plain, again, strict=True):
        assert a.tobytes() == b.tobytes()


@needs_compiler
@pytest.mark.parametrize("program", PROGRAMS)
def test_native_agrees(program: Any) -> None:
    plain = step(program, X, W)
    for passes in (None, ["recompute"], []):
        function = dt.compile(program, executor="native", passes=passes)
        for a, b in zip(plain, step(function, X, W), strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("program", [gated, dropped, rounded, layered, convolved])
def test_less_is_kept_and_explain_says_how_much(program: Any) -> None:
    function = compiled(program, "reference", True)
    step(function, X, W)
    now, before = kept(function)
    assert now < before
    plain = compiled(program, "reference", False)
    step(plain, X, W)
    assert kept(plain) == (before, before)


@needs_compiler
def test_native_recomputes_by_itself() -> None:
    chosen, native = compiled(gated, "planned", True), dt.compile(gated, executor="native")
    for function in (chosen, native):
        step(function, X, W)
    assert kept(native) == kept(chosen)


@pytest.mark.parametrize("executor", ["reference", "planned"])
def test_where_a_kernel_is_launched_for_each_operator_all_is_kept(executor: str) -> None:
    function = dt.compile(gated, executor=executor)
    step(function, X, W)
    now, before = kept(function)
    assert now == before


@pytest.mark.parametrize("program", PROGRAMS)
def test_certificates_are_those_of_eager_code(program: Any) -> None:
    def certificate(function: Any) -> str:
        dt.manual_seed(3)
        with recording(Recorder()) as recorder:
            operands = [dt.tensor(a, requires_grad=True) for a in (X, W)]
            y = function(*operands)
            return recorder.certificate([t.array for t in (y, *dt.grad(y, operands))])

    assert certificate(program) == certificate(compiled(program, "reference", False))


@pytest.mark.parametrize("program", [gated, dropped, convolved])
def test_products_and_random_draws_never_run_again(program: Any) -> None:
    codes = []
    for recompute in (False, True):
        function = compiled(program, "planned", recompute)
        step(function, X, W)
        codes.append(backward_of(function))
    plain, again = codes
    assert again.count("\n") > plain.count("\n")
    for name in ("matmul", "conv2d", "random_uniform"):
        assert again.count(f"# {name} ") == plain.count(f"# {name} ")


def test_what_is_compared_with_its_maximum_is_kept() -> None:
    def f(x: Any) -> Any:
        y = (x * x) * 1.7 + x * 0.3
        return dt.max(y, -1).sum() + (y * x * (y + 1)).sum()

    function = compiled(f, "planned", True)
    x = dt.tensor(X, requires_grad=True)
    function(x).backward()
    code = backward_of(function)
    assert "# equal " in code
    [entry] = function._all()
    [recorded] = entry.function.forwards.values()
    compared = {
        v.node
        for n in entry.function.graph.nodes
        if n.op.name in ("equal", "max")
        for v in n.inputs
    }
    sums = [v for v in recorded.kept if v.node.op.name == "add" and v.node in compared]
    assert len(sums) == 1  # y, which would else be computed from x


def test_what_may_change_between_the_passes_is_the_same() -> None:
    shift = Storage(np.ones(64), "shift")

    def f(x: Any) -> Any:
        y = x + shift
        return (y * y).sum()

    for recompute in (False, True):
        x = dt.tensor(X, requires_grad=True)
        shift.write(np.ones(64))
        y = compiled(f, "reference", recompute)(x)
        shift.write(np.zeros(64))
        with dt.no_grad():
            x += 1  # which eager code does not save either
        y.backward()
        np.testing.assert_array_equal(x.grad.numpy(), 2 * (X + 1))


def test_parts_of_a_backward_pass() -> None:
    def f(x: Any, w: Any) -> Any:
        y = x @ w
        return (y + 1) * (y - 1), dt.tanh(y) * (y * 2)

    for pick in (0, 1):
        for wanted in ([0], [1], [0, 1]):
            found = []
            for function in (f, compiled(f, "reference", True)):
                operands = [dt.tensor(a, requires_grad=True) for a in (X, W)]
                y = function(*operands)[pick]
                grads = dt.grad(y.sum(), [operands[i] for i in wanted])
                found.append([g.numpy() for g in grads])
            for a, b in zip(*found, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-12)


def test_second_order_and_a_second_backward() -> None:
    def penalty(function: Any) -> list[np.ndarray]:
        x, w = (dt.tensor(a, requires_grad=True) for a in (X, W))
        y = function(x, w)
        (g,) = dt.grad(y, x, create_graph=True)
        ((g * g).sum() + y).backward(retain_graph=True)
        first = x.grad.numpy().copy()
        y.backward()
        return [first, x.grad.numpy(), w.grad.numpy()]

    for a, b in zip(penalty(gated), penalty(compiled(gated, "planned", True)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)


def test_symbolic_sizes_are_weighed_by_a_size_that_is_assumed() -> None:
    with dt.static.Graph() as graph:
        x = graph.placeholder("x", (Dim.symbol("n"), 8), "float32")
        w = graph.placeholder("w", (8, 8), "float32")
        y = x @ w
        out = ((y + 1) * (y - 1)).sum()
        first = len(graph.nodes)
        graph.grad(out, [x, w])
    low, high = (n.outputs[0] for n in graph.nodes if n.op.name in ("add", "subtract"))
    assert least_kept(graph, first, [x, w, low, high]) == [y]


def test_sizes_that_vary() -> None:
    function = compiled(gated, "reference", True)
    for rows in (4, 3, 7, 5):
        plain, found = step(gated, X[:rows], W), step(function, X[:rows], W)
        for a, b in zip(plain, found, strict=True):
            assert a.tobytes() == b.tobytes()
    assert "2 traces" in repr(function)
    assert re.search(r"(\d+)\*n0 .*bytes kept .*, (\d+)\*n0 .*without rec", function.explain())


def test_little_is_kept_as_it_is() -> None:
    function = compiled(gated, "reference", True)
    step(function, X[:4], W)
    now, before = kept(function)
    assert now == before


def test_the_name_of_the_choice_is_checked() -> None:
    with pytest.raises(UnknownNameError, match=r"pass: .* recompute, .* got 'recomputes'"):
        dt.compile(gated, passes=["recomputes"])
