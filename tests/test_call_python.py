"""`hybrid.call_python`: an eager function as a node of a graph."""

from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import diptych as dt
from diptych.compiler.native.toolchain import find_compiler
from diptych.errors import ArgumentError, DTypeError, GraphError, ShapeError
from diptych.graphs.dims import Dim
from diptych.graphs.kernels import Recorder, recording
from diptych.hybrid import Aval, call_python

EXECUTORS = [
    "reference",
    "planned",
    pytest.param(
        "native", marks=pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler")
    ),
]
X = np.linspace(-1.0, 1.5, 12).reshape(4, 3)
OUTSIDE = dt.tensor([1.0])
every_executor = pytest.mark.parametrize("executor", EXECUTORS)


def pair(x: Any, y: Any) -> Any:
    return dt.tanh(x) * y, (x * y).sum()


def mixed(x: Any, y: Any) -> Any:
    a, b = call_python(pair, x * 2, y + 1, like=(x, Aval((), x.dtype)))
    return (dt.exp(a) * b).sum()


def orders(function: Callable[..., Any]) -> list[np.ndarray]:
    """A result, its gradients, and those of a function of these."""
    x, y = (dt.tensor(a, requires_grad=True) for a in (X, X[::-1].copy()))
    z = function(x, y)
    gx, gy = dt.grad(z, [x, y], create_graph=True)
    second = dt.grad((gx * gx).sum() + (gy * x).sum(), [x, y])
    return [t.detach().numpy() for t in (z, gx, gy, *second)]


@every_executor
def test_gradients_of_every_order_are_those_of_the_tape(executor: str) -> None:
    for a, b in zip(orders(mixed), orders(dt.compile(mixed, executor=executor)), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-10)
    assert dt.gradcheck(dt.compile(mixed, executor=executor), [X, X[::-1].copy()])


@every_executor
def test_it_is_called_in_each_run_and_never_before(executor: str) -> None:
    calls: list[list[float]] = []

    def seen(x: Any) -> Any:
        calls.append(x.tolist())
        return x * 2

    with dt.static.Graph() as g:
        fed = call_python(seen, g.placeholder("x", (2,)), like=Aval((2,), np.dtype("float32")))
        fixed = call_python(seen, g.constant([1.0, 1.0]), like=np.ones(2, np.float32))
        lone = call_python(lambda: seen(dt.zeros((2,))), like=fed)
    program = g.compile(fed + fixed + lone, executor=executor, freeze=True)
    assert not calls
    for number in (1.0, 2.0):
        assert program.run({"x": [number, 0.0]}).tolist() == [2 * number + 2, 2.0]
        assert sorted(calls) == sorted([[0.0, 0.0], [1.0, 1.0], [number, 0.0]])
        calls.clear()


@every_executor
def test_symbolic_sizes(executor: str) -> None:
    with dt.static.Graph() as g:
        x = g.placeholder("x", ("n", 3), "float64")
        rows = call_python(lambda x: dt.softmax(x, -1), x, like=x)
        twice = call_python(
            lambda x: dt.concat([x, x]), rows, like=Aval((2 * Dim.symbol("n"), 3), x.dtype)
        )
        (slope,) = g.grad((twice * twice).sum(), [x])
    program = g.compile([twice, slope], executor=executor)
    for n in (2, 4, 3):
        z = dt.tensor(X[:n], requires_grad=True)
        y = dt.softmax(z, -1)
        (expected,) = dt.grad((y * y).sum() * 2, z)
        got = program.run({"x": X[:n]})
        np.testing.assert_allclose(got[0], np.vstack([y.detach().numpy()] * 2), rtol=1e-12)
        np.testing.assert_allclose(got[1], expected.numpy(), rtol=1e-10, atol=1e-14)


def test_sizes_that_vary_in_a_compiled_function() -> None:
    def f(x: Any) -> Any:
        return (call_python(lambda x: dt.softmax(x, -1), x, like=x) * x).sum()

    compiled = dt.compile(f)
    for rows in (4, 2, 3, 1):
        found = []
        for function in (f, compiled):
            x = dt.tensor(X[:rows], requires_grad=True)
            found.append(dt.grad(function(x), x)[0].numpy())
        np.testing.assert_array_equal(*found)


def looped(xs: Any) -> Any:
    def body(c: Any, x: Any) -> Any:
        y = call_python(lambda c, x: c * dt.sin(x), c, x, like=c)
        return c + y, y

    last, ys = dt.scan(body, dt.ones((3,), dtype="float64"), xs)
    return (
        dt.cond(
            dt.sum(last) > 0,
            lambda c: call_python(lambda c: c * c, c, like=c),
            lambda c: -c,
            last,
        ).sum()
        + (ys * xs).sum()
    )


def rolled_by_hand(xs: Any) -> Any:
    c, ys = dt.ones((3,), dtype="float64"), []
    for x in xs:
        ys.append(c * dt.sin(x))
        c = c + ys[-1]
    return (c * c).sum() + (dt.stack(ys) * xs).sum()


@every_executor
def test_bodies_of_loops_and_branches(executor: str) -> None:
    f = dt.compile(looped, executor=executor)
    found = []
    for function in (rolled_by_hand, f):
        x = dt.tensor(X, requires_grad=True)
        y = function(x)
        found.append((y.item(), dt.grad(y, x)[0].numpy()))
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-12)
    np.testing.assert_allclose(found[1][1], found[0][1], rtol=1e-10)


@every_executor
def test_effects_come_in_their_order(executor: str) -> None:
    log: list[Any] = []

    def note(name: str, x: Any) -> None:
        log.append((name, round(x.item(), 3)))

    def f(x: Any) -> Any:
        call_python(note, "first", x.sum(), like=None, effect=True)
        y = x * 2

        def body(c: Any, r: Any) -> Any:
            call_python(note, "round", r, like=None, effect=True)
            return c + r, c

        s, _ = dt.scan(body, dt.zeros((), dtype="float64"), y)
        call_python(note, "last", s, like=None, effect=True)
        call_python(note, "dead", x.sum() * 0, like=None, effect=True)
        return (y * s).sum()

    compiled = dt.compile(f, executor=executor)
    x = dt.tensor([1.0, 2.0], dtype="float64", requires_grad=True)
    expected = [("first", 3.0), ("round", 2.0), ("round", 4.0), ("last", 6.0), ("dead", 0.0)]
    for function in (f, compiled, compiled):
        log.clear()
        y = function(x)
        assert log == expected
        assert dt.grad(y, x)[0].tolist() == [24.0, 24.0]
        assert log == expected


@every_executor
def test_without_an_effect_only_what_is_read_is_called(executor: str) -> None:
    calls: list[str] = []

    def f(x: Any) -> Any:
        call_python(lambda x: calls.append("unread") or x, x, like=x)
        with_effect = call_python(lambda x: calls.append("effect") or x, x, like=x, effect=True)
        return with_effect * 2

    with dt.static.Graph() as g:
        y = f(g.placeholder("x", (1,)))
        z = g.placeholder("z", (1,)) * 1
    assert g.compile(y, executor=executor).run({"x": [3.0]}).tolist() == [6.0]
    assert calls == ["effect"]
    g.compile(z, executor=executor).run({"z": [3.0]})
    assert calls == ["effect"]


def test_eager_code_and_the_switch_just_call() -> None:
    calls: list[Any] = []

    def seen(x: Any, scale: Any) -> Any:
        calls.append(x)
        return x * scale

    x = dt.tensor([1.0], requires_grad=True)
    y = call_python(seen, x, 3.0, like=None)  # not even looked at
    assert y.grad_fn is not None and calls == [x]
    f = dt.compile(lambda x: call_python(seen, x, 3.0, like=x))
    with dt.hybrid.disabled():
        f(x)
    assert calls[1] is x
    assert f(x).tolist() == [3.0] and calls[2] is not x


def test_containers_numbers_and_parameters() -> None:
    Pair = namedtuple("Pair", "low high")
    weight = dt.nn.Parameter([2.0, 3.0])

    def parts(options: dict[str, Any], w: Any, name: Any) -> Any:
        assert isinstance(w, dt.Tensor) and name == "name"
        low, high = options["x"] * options["scale"], w * options["x"]
        return {"parts": [Pair(low, high), None], "count": 2}

    @dt.compile
    def f(x: Any) -> Any:
        like = {"parts": [Pair(x, x), None], "count": np.zeros((), np.int64)}
        found = call_python(parts, {"x": x, "scale": 10}, weight, "name", like=like)
        assert found["parts"][1] is None
        return found["parts"][0].low + found["parts"][0].high * found["count"]

    x = dt.tensor([1.0, 1.0], requires_grad=True)
    y = f(x)
    assert y.tolist() == [14.0, 16.0]
    y.sum().backward()
    assert x.grad.tolist() == [14.0, 16.0] and weight.grad.tolist() == [2.0, 2.0]


@every_executor
def test_tensors_are_the_functions_own(executor: str) -> None:
    held: list[Any] = []

    def keep(x: Any) -> Any:
        held.append(x)
        result = x * 2
        held.append(result)
        x += 100
        return result

    def f(x: Any) -> Any:
        y = x + 1
        return dt.exp(call_python(keep, y, like=y)) * 0 + y

    compiled = dt.compile(f, executor=executor)
    for number in (1.0, 5.0):
        assert compiled(dt.tensor([number])).tolist() == [number + 1]
    assert [t.tolist() for t in held] == [[102.0], [4.0], [106.0], [12.0]]


def test_vmap_in_a_graph_calls_it_for_each_example() -> None:
    shapes: list[Any] = []

    def row(x: Any) -> Any:
        shapes.append(x.shape)
        return x * x

    f = dt.compile(lambda x: dt.vmap(lambda r: call_python(row, r, like=r))(x))
    np.testing.assert_array_equal(f(dt.asarray(X)).numpy(), X * X)
    assert shapes == [(3,)] * 4


@pytest.mark.parametrize("order", [1, 2])
def test_what_does_not_depend_on_an_operand_has_a_gradient_of_zeros(order: int) -> None:
    def sorted_by_numpy(x: Any, y: Any) -> Any:
        return dt.tensor(np.sort(x.detach().numpy())) * y

    f = dt.compile(lambda x, y: call_python(sorted_by_numpy, x, y, like=x).sum())
    x, y = (dt.tensor([3.0, 1.0], requires_grad=True) for _ in range(2))
    z = f(x, y)
    gx, gy = dt.grad(z, [x, y], create_graph=order > 1)
    assert gx.tolist() == [0.0, 0.0] and gy.tolist() == [1.0, 3.0]


def test_whole_numbers_have_no_gradient() -> None:
    def chosen(x: Any, i: Any) -> Any:
        return dt.take(x, i), i + 1

    @dt.compile
    def f(x: Any, i: Any) -> Any:
        y, j = call_python(chosen, x, i, like=(Aval((2,), x.dtype), i))
        return (y * j).sum()

    x = dt.tensor([1.0, 2.0, 3.0], requires_grad=True)
    f(x, dt.tensor([2, 0])).backward()
    assert x.grad.tolist() == [1.0, 0.0, 3.0]


def test_certificates_hold_what_the_function_computes() -> None:
    def certificate(function: Any) -> str:
        with recording(Recorder()) as recorder:
            return recorder.certificate([function(dt.tensor(X), dt.tensor(X[::-1].copy())).array])

    compiled = dt.compile(mixed, executor="reference", passes=())
    assert certificate(mixed) == certificate(compiled)


# -- errors ----------------------------------------------------------------------------------


def run(executor: str, function: Callable[..., Any], **options: Any) -> Any:
    return dt.compile(lambda x: call_python(function, x, **options), executor=executor)(
        dt.tensor([1.0, 2.0])
    )


@every_executor
def test_an_error_names_the_function_and_its_line(executor: str) -> None:
    def fails(x: Any) -> Any:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine") as caught:
        run(executor, fails, like=np.ones(2, np.float32))
    [note] = [n for n in caught.value.__notes__ if "fails" in n]
    line = fails.__code__.co_firstlineno
    assert f"test_call_python.py:{line}), called by call_python at" in note

    def refused(x: Any) -> Any:
        return x @ dt.zeros((3, 3))

    with pytest.raises(ShapeError, match="matmul") as refusal:
        run(executor, refused, like=np.ones(2, np.float32))
    assert any("refused" in n for n in refusal.value.__notes__)


@every_executor
def test_results_must_be_as_declared(executor: str) -> None:
    def double(x: Any) -> Any:
        return x * 2

    match = r"call_python: .*double \(.*test_call_python.py:\d+\) must give"
    with pytest.raises(ShapeError, match=rf"{match} result 0 with the declared shape \(3,\), got"):
        run(executor, double, like=np.ones(3, np.float32))
    with pytest.raises(DTypeError, match=f"{match} result 0 with the declared dtype int64, got fl"):
        run(executor, double, like=np.ones(2, np.int64))
    with pytest.raises(ArgumentError, match=f"{match} the containers of like, got Tensor"):
        run(executor, double, like=[np.ones(2, np.float32)])
    with pytest.raises(ArgumentError, match=r"call_python: print must give the containers of like"):
        run(executor, print, like=np.ones(2, np.float32))


def test_a_failed_call_writes_nothing() -> None:
    w = dt.nn.Parameter([1.0])
    optimizer = dt.optim.SGD([w], lr=0.1)

    @dt.compile
    def step(x: Any, fail: Any) -> Any:
        optimizer.minimize((w * x).sum())
        return call_python(check, fail, like=fail)

    def check(fail: Any) -> Any:
        if fail.item():
            raise ValueError("stop")
        return fail

    with pytest.raises(ValueError, match="stop"):
        step(dt.tensor([1.0]), dt.tensor(1.0))
    assert w.tolist() == [1.0]
    step(dt.tensor([1.0]), dt.tensor(0.0))
    assert w.tolist() == pytest.approx([0.9])


def test_what_cannot_be_declared() -> None:
    with dt.static.Graph() as g:
        x = g.placeholder("x", (2,))
        with pytest.raises(ArgumentError, match="call_python: must have results or an effect"):
            call_python(print, x, like=None)
        with pytest.raises(ArgumentError, match=r"call_python: like must be of avals, .* got int"):
            call_python(print, x, like=[3])
        with pytest.raises(ArgumentError, match="call_python: function must be callable, got int"):
            call_python(3, x, like=x)  # type: ignore[arg-type]
        with pytest.raises(GraphError, match="call_python: a graph takes"):
            call_python(print, OUTSIDE, like=x)
        y = call_python(lambda x: x, x, like=x)
    with pytest.raises(GraphError, match="save: operators must be in the table, got 'call_python'"):
        g.save("never.safetensors", y)
