"""vmap, vjp, jvp, jacobian and hessian; gradcheck; anomalies; operators of a user's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numbers_compared import draw

import diptych as dt

STYLES = ("eager", "static", "hybrid")


def run(style: str, function: Callable[..., Any], *arrays: np.ndarray) -> list[np.ndarray]:
    """The flat results of a function of arrays in a style."""
    if style == "static":
        with dt.static.Graph() as g:
            fed = [g.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
            results = function(*fed)
        results = results if isinstance(results, tuple) else (results,)
        return g.compile(list(results)).run(dict(zip(fed, arrays)))
    f = dt.compile(function) if style == "hybrid" else function
    results = f(*map(dt.asarray, arrays))
    results = results if isinstance(results, tuple) else (results,)
    return [r.detach().numpy() for r in results]


def assert_close(found: Any, expected: Any) -> None:
    for f, e in zip(found, expected, strict=True):
        assert np.shape(f) == np.shape(e)
        np.testing.assert_allclose(f, e, rtol=1e-12, atol=1e-13)


X, W = draw(4, 3), draw(3, 2, seed=1)


# -- vmap ------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", STYLES)
def test_vmap_is_a_loop_over_examples(style: str) -> None:
    def one(x: Any, w: Any) -> Any:
        h = dt.tanh(x @ w) + dt.sum(x)
        return h, dt.softmax(h) * 2.0

    found = run(style, lambda x, w: dt.vmap(one, in_axes=(0, None))(x, w), X, W)
    rows = [run("eager", one, x, W) for x in X]
    assert_close(found, [np.stack(column) for column in zip(*rows)])


@pytest.mark.parametrize("style", STYLES)
def test_axes_may_be_anywhere_and_maps_may_nest(style: str) -> None:
    x, y = draw(3, 4, 2), draw(2, 5, seed=1)

    def table(x: Any, y: Any) -> Any:
        rows = dt.vmap(lambda a, b: dt.sum(a) * b, in_axes=(None, 1), out_axes=1)
        return dt.vmap(rows, in_axes=(1, None), out_axes=2)(x, y)

    [found] = run(style, table, x, y)
    np.testing.assert_allclose(found, np.einsum("ija,bk->bkj", x, y), rtol=1e-12)


def test_gradients_flow_through_a_map() -> None:
    x, w = (dt.tensor(a, requires_grad=True) for a in (X, W))
    mapped = dt.vmap(lambda x, w: dt.sum(dt.sin(x @ w)), in_axes=(0, None))(x, w)
    found = dt.grad(dt.sum(mapped * mapped), [x, w])
    looped = [dt.sum(dt.sin(x[i] @ w)) for i in range(4)]
    expected = dt.grad(dt.accumulate([y * y for y in looped]), [x, w])
    assert_close([g.numpy() for g in found], [g.numpy() for g in expected])


@pytest.mark.parametrize("style", STYLES)
def test_each_example_has_a_gradient_of_its_own(style: str) -> None:
    def per_example(w: Any, x: Any) -> Any:
        def pulled(w: Any, x: Any) -> Any:
            _, pullback = dt.vjp(lambda w: dt.sum(dt.tanh(x @ w)), w)
            return pullback(dt.ones((), dtype="float64"))[0]

        return dt.vmap(pulled, in_axes=(None, 0))(w, x)

    [found] = run(style, per_example, W, X)
    expected = [np.outer(x, 1 - np.tanh(x @ W) ** 2) for x in X]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("style", STYLES)
def test_examples_take_their_own_ways(style: str) -> None:
    def walk(x: Any) -> Any:
        x = dt.cond(dt.sum(x) > 0, lambda x: x * 3.0, lambda x: dt.sin(x), x)
        x = dt.while_loop(lambda x: dt.sum(x * x) > 0.5, lambda x: x * 0.7, x)
        return dt.scan(lambda c, v: (c * v + x, c), x, dt.expand_dims(x, 1))

    found = run(style, lambda x: dt.vmap(walk)(x), X)
    rows = [run("eager", walk, x) for x in X]
    assert_close(found, [np.stack(column) for column in zip(*rows)])


def test_containers_are_mapped_leaf_by_leaf() -> None:
    tree = {"a": dt.asarray(X), "b": [dt.asarray(W[0]), dt.asarray(X)]}
    axes = ({"a": 0, "b": [None, 0]},)
    found = dt.vmap(lambda t: {"s": dt.sum(t["a"]) + t["b"][0], "x": t["b"][1]}, axes)(tree)
    np.testing.assert_allclose(found["s"].numpy(), X.sum(1)[:, None] + W[0])
    np.testing.assert_array_equal(found["x"].numpy(), X)


@pytest.mark.parametrize(
    "call, error, match",
    [
        (lambda x: dt.vmap(lambda x, y: x, in_axes=(0,))(x, x), dt.errors.ArgumentError,
         "in_axes must have an entry per argument, got 1 for 2"),
        (lambda x: dt.vmap(lambda x: x, in_axes=None)(x), dt.errors.ArgumentError,
         "some argument must be mapped, got in_axes None"),
        (lambda x: dt.vmap(lambda x, y: x)(x, x[:2]), dt.errors.ShapeError,
         "batches must be of one size, got 4, 2"),
        (lambda x: dt.vmap(lambda x: x, in_axes=5)(x), dt.errors.ShapeError, "axis must be in"),
        (lambda x: dt.vmap(lambda x: float(dt.sum(x)))(x), dt.errors.StaticValueError,
         "a mapped value stands for every example at once"),
        (lambda x: dt.vmap(lambda x: x if dt.sum(x) > 0 else -x)(x), dt.errors.StaticValueError,
         "write the choice with dt.where or dt.cond"),
        (lambda x: dt.vmap(dt.nonzero)(x), dt.errors.StaticValueError, "cannot be mapped"),
        (lambda x: dt.vmap(lambda x: dt.matmul(x, x[:2]))(x), dt.errors.ShapeError,
         r"matmul: inner dimensions must match, got \(3,\) @ \(2,\)"),
    ],
)  # fmt: skip
def test_what_cannot_be_mapped_is_refused(call: Any, error: Any, match: str) -> None:
    with pytest.raises(error, match=match):
        call(dt.asarray(X))


# -- derivatives -----------------------------------------------------------------------------


def rosenbrock(x: Any) -> Any:
    a, b = x[1:] - x[:-1] * x[:-1], 1.0 - x[:-1]
    return dt.sum(100.0 * a * a + b * b)


@pytest.mark.parametrize("style", STYLES)
def test_jvp_vjp_and_jacobian_agree(style: str) -> None:
    def g(x: Any, w: Any) -> Any:
        return dt.sin(x @ w) * dt.sum(x)

    def all_of(x: Any, w: Any, t: Any, c: Any) -> Any:
        def f(x: Any) -> Any:
            return g(x, w)

        value, tangent = dt.jvp(f, (x,), (t,))
        again, pullback = dt.vjp(f, x)
        return value, again, tangent, pullback(c)[0], dt.jacobian(f, x)

    x, t, c = draw(3), draw(3, seed=5), draw(2, seed=6)
    value, again, tangent, cotangent, jacobian = run(style, all_of, x, W, t, c)
    expected = np.sin(x @ W) * x.sum()
    exact = np.cos(x @ W)[:, None] * W.T * x.sum() + np.sin(x @ W)[:, None]
    assert_close(
        [value, again, tangent, cotangent, jacobian],
        [expected, expected, exact @ t, c @ exact, exact],
    )


@pytest.mark.parametrize("style", STYLES)
def test_hessian_of_rosenbrock(style: str) -> None:
    x = draw(4)
    [found] = run(style, lambda x: dt.hessian(rosenbrock, x), x)
    exact = np.zeros((4, 4))
    for i in range(3):
        exact[i, i] += 1200 * x[i] ** 2 - 400 * x[i + 1] + 2
        exact[i + 1, i + 1] += 200
        exact[i, i + 1] = exact[i + 1, i] = -400 * x[i]
    np.testing.assert_allclose(found, exact, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("style", STYLES)
def test_derivatives_pass_through_loops_and_maps(style: str) -> None:
    def last(w: Any, xs: Any) -> Any:
        return dt.sum(dt.scan(lambda h, x: (dt.tanh(h * w + x), None), xs[0], xs)[0])

    def hessians(ws: Any, xs: Any) -> Any:
        return dt.vmap(lambda w: dt.hessian(lambda w: last(w, xs), w))(ws)

    ws, xs = draw(2, 3), draw(4, 3, seed=1)
    [found] = run(style, hessians, ws, xs)
    for w, block in zip(ws, found):
        rows = []
        for d in np.eye(3) * 1e-6:
            sides = []
            for side in (w + d, w - d):
                t = dt.tensor(side, requires_grad=True)
                sides.append(dt.grad(last(t, dt.asarray(xs)), t)[0].numpy())
            rows.append((sides[0] - sides[1]) / 2e-6)
        np.testing.assert_allclose(block, rows, rtol=1e-6, atol=1e-8)


def test_several_inputs_give_blocks() -> None:
    x, y = dt.asarray(draw(2)), dt.asarray(draw(3, seed=1))
    (dx, dy), (ex, ey) = dt.jacobian(lambda x, y: (dt.sum(x) * y, x * dt.sum(y)), (x, y))
    assert [b.shape for b in (dx, dy, ex, ey)] == [(3, 2), (3, 3), (2, 2), (2, 3)]
    (xx, xy), (yx, yy) = dt.hessian(lambda x, y: dt.sum(x) * dt.sum(y * y), (x, y))
    np.testing.assert_allclose(xy.numpy(), yx.numpy().T)
    np.testing.assert_allclose(yy.numpy(), 2 * x.numpy().sum() * np.eye(3))
    assert not xx.numpy().any()


def test_transforms_are_differentiable() -> None:
    x = dt.tensor(draw(3), requires_grad=True)
    _, tangent = dt.jvp(lambda x: dt.sin(x) * x, (x,), (dt.ones((3,), dtype="float64"),))
    (found,) = dt.grad(dt.sum(tangent), x)
    a = x.detach().numpy()
    np.testing.assert_allclose(found.numpy(), 2 * np.cos(a) - a * np.sin(a), rtol=1e-12)


@pytest.mark.parametrize(
    "call, error, match",
    [
        (lambda x: dt.jvp(dt.sin, (x,), (x[:2],)), dt.errors.ShapeError,
         r"jvp: tangents must have the shapes of their primals, got \(2,\) for \(3,\)"),
        (lambda x: dt.vjp(dt.sin, x)[1]((x, x)), dt.errors.ShapeError,
         "vjp: one cotangent per result is needed, got 2 for 1"),
        (lambda x: dt.vjp(dt.sin, dt.tensor([1])), dt.errors.DTypeError,
         "vjp: some primal must be a float, got int64"),
        (lambda x: dt.jacobian(lambda x: x > 0, x), dt.errors.DTypeError,
         "jacobian: some result must be a float, got bool"),
        (lambda x: dt.hessian(dt.sin, x), dt.errors.ShapeError,
         r"hessian: the function must give shape \(\), got \(3,\)"),
    ],
)  # fmt: skip
def test_wrong_transforms_are_refused(call: Any, error: Any, match: str) -> None:
    with pytest.raises(error, match=match):
        call(dt.asarray(draw(3)))


# -- gradcheck -------------------------------------------------------------------------------


def test_gradcheck_takes_right_gradients_and_refuses_wrong_ones() -> None:
    assert dt.gradcheck(lambda x, w: (dt.tanh(x @ w), dt.sum(x)), (X, W), order=2)
    assert dt.gradcheck(dt.compile(lambda x: dt.sin(x) * x), draw(3), order=2)
    wrong = dt.custom_op("wrong", "x -> y", np.sin, backward=lambda ctx, g: (g,))
    with pytest.raises(dt.errors.GradientError, match=r"must be the slope, got .* element \(0,\)"):
        dt.gradcheck(wrong, draw(3))
    once = dt.custom_op(
        "right_once", "x -> y", np.sin,
        vjp=(lambda c, g: g * dt.stop_gradient(dt.cos(c.x)),),
    )  # fmt: skip
    assert dt.gradcheck(once, draw(3))
    with pytest.raises(dt.errors.GradientError, match="the second gradient must be the slope"):
        dt.gradcheck(once, draw(3), order=2)
    with pytest.raises(dt.errors.DTypeError, match="some input must be float64, got float32"):
        dt.gradcheck(dt.sin, draw(3).astype("f4"))
    with pytest.raises(dt.errors.ArgumentError, match="order must be 1 or 2, got 3"):
        dt.gradcheck(dt.sin, draw(3), order=3)


# -- anomalies -------------------------------------------------------------------------------


def notes(caught: Any) -> str:
    return "\n".join(caught.value.__notes__)


def line_of(text: str) -> str:
    lines = Path(__file__).read_text().splitlines()
    [number] = [i for i, line in enumerate(lines, 1) if line.rstrip().endswith(text)]
    return f"{__file__}:{number}"


@pytest.mark.parametrize("style", STYLES)
def test_an_anomaly_names_the_operator_and_the_line(style: str) -> None:
    def f(x: Any) -> Any:
        y = x * 2.0
        z = dt.log(y)  # NaN begins here
        return dt.sum(z) + 1.0

    with np.errstate(all="ignore"), dt.detect_anomaly():
        assert np.isfinite(run(style, f, draw(3) + 2.0)[0])
        with pytest.raises(dt.errors.AnomalyError, match=r"^log: .* got 1 of 2 elements") as caught:
            run(style, f, np.array([1.0, -1.0]))
    assert line_of("# NaN begins here") in notes(caught)


@pytest.mark.parametrize("style", STYLES)
def test_an_anomaly_of_a_gradient_names_the_line_of_its_operator(style: str) -> None:
    def f(x: Any) -> Any:
        y = dt.sqrt(x)  # its slope at 0 is infinite
        return dt.sum(y * 0.0)

    def slope(x: Any) -> Any:
        if style != "static":
            x.requires_grad_()
        return dt.grad((dt.compile(f) if style == "hybrid" else f)(x), x)[0]

    with (
        np.errstate(all="ignore"),
        dt.detect_anomaly(),
        pytest.raises(dt.errors.AnomalyError) as caught,
    ):
        run("static" if style == "static" else "eager", slope, np.zeros(2))
    assert line_of("# its slope at 0 is infinite") in notes(caught)


def test_nothing_is_watched_outside_the_block() -> None:
    with np.errstate(all="ignore"):
        with dt.detect_anomaly():
            pass
        assert np.isnan(dt.log(dt.tensor([-1.0])).numpy()).all()


# -- operators of a user's own ---------------------------------------------------------------


def soft_threshold(x: np.ndarray, at: np.ndarray, sharp: float) -> np.ndarray:
    return 1 / (1 + np.exp(-sharp * (x - at)))


THRESHOLD = dt.custom_op(
    "soft_threshold", "x, at -> y", soft_threshold, attrs={"sharp": 2.0},
    backward=lambda c, g: (
        g * c.sharp * c.y * (1 - c.y), np.asarray(-(g * c.sharp * c.y * (1 - c.y)).sum())
    ),
)  # fmt: skip
SPLIT = dt.custom_op(
    "split_sign", "x -> p, n", lambda x: (np.maximum(x, 0), np.minimum(x, 0)),
    infer=lambda x: (x, x),
    vjp=(lambda c, p, n: dt.where(c.x > 0, p, n),), saves=("x",),
)  # fmt: skip


@pytest.mark.parametrize("style", STYLES)
def test_own_operators_run_in_every_style(style: str) -> None:
    def f(x: Any, at: Any) -> Any:
        if style != "static":
            x.requires_grad_(), at.requires_grad_()
        y = dt.sum(THRESHOLD(x, at, sharp=3.0) * x)
        return (y, *dt.grad(y, [x, at]))

    x, at = draw(4), np.array(0.1)
    found = run("static" if style == "static" else "eager", f, x, at)
    s = soft_threshold(x, at, 3.0)
    slope = x * 3.0 * s * (1 - s)
    assert_close(found, [(s * x).sum(), s + slope, -slope.sum()])
    if style == "hybrid":
        compiled = dt.compile(lambda x, at: dt.sum(THRESHOLD(x, at, sharp=3.0) * x))
        assert dt.gradcheck(compiled, (x, at))


def test_own_operators_of_several_results_are_differentiable_twice() -> None:
    def f(x: Any) -> Any:
        p, n = SPLIT(x)
        return dt.sin(p) * n + p * p * p

    assert dt.gradcheck(f, draw(5) + 0.01, order=2)
    mapped = dt.vmap(lambda x: SPLIT(x)[0])(dt.asarray(X))
    np.testing.assert_array_equal(mapped.numpy(), np.maximum(X, 0))


def test_an_own_operator_must_give_what_was_inferred() -> None:
    shorter = dt.custom_op("shorter", "x -> y", lambda x: x[:1])
    wider = dt.custom_op("wider", "x -> y", lambda x: x.astype("float64"))
    same = dt.custom_op("the_same", "x -> y", lambda x: x)
    x = dt.tensor([1.0, 2.0])
    with pytest.raises(dt.errors.ShapeError, match=r"shorter: .* got \(1,\) for \(2,\)"):
        shorter(x)
    with pytest.raises(dt.errors.DTypeError, match=r"wider: .* got float64 for float32"):
        wider(x)
    y = same(x)
    y += 1.0
    assert x.tolist() == [1.0, 2.0]


def test_a_gradient_in_array_code_is_not_differentiated_in_silence() -> None:
    x = dt.tensor(draw(2), requires_grad=True)
    (g,) = dt.grad(dt.sum(THRESHOLD(x, 0.0) * x * x), x, create_graph=True)
    with pytest.raises(dt.errors.TapeError, match="soft_threshold: a gradient in array code has"):
        dt.grad(dt.sum(g), x)


@pytest.mark.parametrize(
    "args, match",
    [
        (("sin", "x -> y", np.sin), "name must be an identifier that is free, got 'sin'"),
        (("a b", "x -> y", np.sin), "name must be an identifier that is free, got 'a b'"),
        (("fresh", "x y", np.sin), "signature must read 'x, y -> z', got 'x y'"),
    ],
)
def test_own_operators_are_checked_when_made(args: Any, match: str) -> None:
    with pytest.raises(dt.errors.ArgumentError, match=match):
        dt.custom_op(*args)
