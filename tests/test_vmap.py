"""vmap and the derivatives beside containers, closures, compiled functions and each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numbers_compared import draw

import diptych as dt

STYLES = ("eager", "static", "hybrid")


def run(style: str, function: Callable[..., Any], *arrays: np.ndarray) -> list[np.ndarray]:
    """The results, in a list, of a function of arrays in a style."""
    if style == "static":
        with dt.static.Graph() as g:
            fed = [g.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
            results = function(*fed)
        return g.compile(list(results)).run(dict(zip(fed, arrays)))
    f = dt.compile(function) if style == "hybrid" else function
    return [r.detach().numpy() for r in f(*map(dt.asarray, arrays))]


X, W = draw(4, 3), draw(3, seed=1)


# -- containers are taken by key -----------------------------------------------------------------


def test_axes_are_taken_by_key() -> None:
    mapped = dt.vmap(
        lambda t: {"p": dt.sum(t["a"]) + t["b"], "q": t["b"] * 1.0},
        in_axes=({"b": None, "a": 0},), out_axes={"q": 1, "p": 0},
    )  # fmt: skip
    found = mapped({"a": dt.asarray(X), "b": dt.asarray(W)})
    np.testing.assert_allclose(found["p"].numpy(), X.sum(1)[:, None] + W)
    np.testing.assert_array_equal(found["q"].numpy(), np.stack([W] * 4, 1))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("shared", [False, True])
def test_mapped_branches_are_taken_by_key(style: str, shared: bool) -> None:
    def both(x: Any, flag: Any) -> Any:
        pred = flag > 0 if shared else dt.sum(x) > 0
        found = dt.cond(pred, lambda: {"a": x, "b": x * 2.0}, lambda: {"b": x * 3.0, "a": x * 4.0})
        return found["a"], found["b"]

    for flag in (1.0, -1.0):
        given = (X, np.array(flag))
        a, b = run(style, lambda x, f: dt.vmap(both, in_axes=(0, None))(x, f), *given)
        chosen = np.full((4, 1), flag > 0) if shared else X.sum(1, keepdims=True) > 0
        np.testing.assert_allclose(a, np.where(chosen, X, X * 4))
        np.testing.assert_allclose(b, np.where(chosen, X * 2, X * 3))


@pytest.mark.parametrize("style", STYLES)
def test_mapped_carries_are_taken_by_key(style: str) -> None:
    def loops(x: Any) -> Any:
        def turn(c: Any) -> Any:
            return {"b": c["b"] + 1.0, "a": c["a"] * 0.5}

        start = {"a": dt.sum(x * x), "b": dt.sum(x) * 0.0}
        most = dt.while_loop(lambda c: c["a"] > 0.1, turn, start)
        last, _ = dt.scan(lambda c, v: (turn(c), None), start, x)
        return most["b"], last["a"], last["b"]

    rounds, halved, steps = run(style, lambda x: dt.vmap(loops)(x), X)
    squares = (X * X).sum(1)
    np.testing.assert_array_equal(rounds, np.maximum(0, np.ceil(np.log2(squares / 0.1))))
    np.testing.assert_allclose(halved, squares / 8)
    np.testing.assert_array_equal(steps, np.full(4, 3.0))


def test_cotangents_and_tangents_are_taken_by_key() -> None:
    x, y = dt.asarray(W), dt.asarray(W * 2)
    _, pullback = dt.vjp(lambda t: {"p": t["x"] * 2.0, "q": t["y"] * 3.0}, {"x": x, "y": y})
    [found] = pullback({"q": x, "p": y})
    np.testing.assert_allclose(found["x"].numpy(), W * 4)
    np.testing.assert_allclose(found["y"].numpy(), W * 3)
    _, tangent = dt.jvp(lambda t: t["x"] * 2.0 + t["y"], ({"x": x, "y": y},), ({"y": x, "x": y},))
    np.testing.assert_allclose(tangent.numpy(), W * 5)


Errors = dt.errors


@pytest.mark.parametrize(
    "call, error, match",
    [
        (lambda x: dt.vmap(lambda t: t["a"], in_axes=({"b": 0},))({"a": x}), Errors.ArgumentError,
         "vmap: axes must match their containers, got a dict of 'b' in place of a dict of 'a'"),
        (lambda x: dt.vmap(lambda x: x, in_axes="0")(x), Errors.ArgumentError,
         "vmap: an axis must be a whole number or None, got '0'"),
        (lambda x: dt.vmap(lambda x: x, in_axes=3)(x), Errors.ShapeError,
         r"^vmap: axis must be in -2..1, got 3"),
        (lambda x: dt.vmap(lambda x: x, out_axes=3)(x), Errors.ShapeError,
         r"^vmap: axis must be in -2..1, got 3"),
        (lambda x: dt.vmap(lambda t: t[0])([1.0, 2.0]), Errors.ShapeError,
         "^vmap: a 0-d operand has no axis, got 0"),
        (lambda x: dt.vmap(lambda x: x, out_axes=None)(x), Errors.ArgumentError,
         r"out_axes may be None only for a result that all examples share, got a mapped one of "
         r"shape \(3,\)"),
        (lambda x: dt.vmap(lambda x: dt.cond(dt.sum(x) > 0, lambda: (x, x), lambda: x))(x),
         Errors.GraphError, "cond: both functions must give the same structure, got a leaf in "
         "place of a sequence of 2"),
        (lambda x: dt.vmap(lambda x: dt.cond(dt.sum(x) > 0, lambda: x, lambda: dt.sum(x)))(x),
         Errors.GraphError, r"cond: both functions must give the same shapes and dtypes, got "
         r"float64\[3\] and float64\[\] as result 0"),
        (lambda x: dt.vmap(lambda x: dt.while_loop(lambda c: c[0][0] > 0, lambda c: c[:1],
                                                   (x, x)))(x),
         Errors.GraphError, "while_loop: the carry must keep its structure, got a sequence of 1"),
        (lambda x: dt.vmap(lambda x: dt.scan(lambda c, v: (c > 0, None), x, x))(x),
         Errors.GraphError, r"scan: the carry must keep its shapes and dtypes, got bool\[3\] for "
         r"float64\[3\] as leaf 0"),
        (lambda x: dt.vjp(lambda x: {"a": x}, x)[1]({"b": x}), Errors.ArgumentError,
         "vjp: cotangents must be in the containers of the value, got a dict of 'b' in place of"),
        (lambda x: dt.jvp(lambda t: t["a"], ({"a": x},), (x,)), Errors.ArgumentError,
         "jvp: tangents must be in the containers of their primals, got a leaf in place of"),
    ],
)  # fmt: skip
def test_what_does_not_match_is_refused(call: Any, error: Any, match: str) -> None:
    with pytest.raises(error, match=match):
        call(dt.asarray(X))


def test_a_shared_result_may_leave_without_an_axis() -> None:
    w = dt.asarray(W)
    a, b = dt.vmap(lambda x: (x * 1.0, dt.sin(w)), out_axes=(0, None))(dt.asarray(X))
    assert (a.shape, b.shape) == ((4, 3), (3,))


# -- derivatives within maps ---------------------------------------------------------------------


@pytest.mark.parametrize("style", STYLES)
def test_derivatives_by_anything_within_a_map(style: str) -> None:
    def all_of(x: Any, w: Any) -> Any:
        def one(a: Any) -> Any:
            def f(w: Any) -> Any:
                return dt.sum(a * w * w * w)

            return (
                dt.jvp(lambda t: t * t, (a,), (a,))[1],
                dt.jvp(f, (w,), (a,))[1],
                dt.vjp(lambda w: a * w * w, w)[1](w)[0],
                dt.jacobian(lambda w: a * w * w, w),
                dt.hessian(f, w),
                dt.vjp(lambda w: w * w, w)[1](a)[0],
            )

        return dt.vmap(one)(x)

    found = run(style, all_of, X, W)
    eye = np.eye(3)
    expected = [
        2 * X * X, (3 * X * X * W * W).sum(1), 2 * X * W * W, (2 * X * W)[..., None] * eye,
        (6 * X * W)[..., None] * eye, 2 * W * X,
    ]  # fmt: skip
    for f, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(f, e, rtol=1e-12)


@pytest.mark.parametrize("style", STYLES)
def test_derivatives_within_two_maps(style: str) -> None:
    def table(x: Any, y: Any, w: Any) -> Any:
        def entry(a: Any, b: Any) -> Any:
            by_a = dt.vjp(lambda a: a * a * b, a)[1](w)[0]
            by_w = dt.jvp(lambda w: a * w * w * b, (w,), (b,))[1]
            return by_a, by_w, dt.vjp(lambda b: b * b, b)[1](a)[0]

        return dt.vmap(lambda a: dt.vmap(lambda b: entry(a, b))(y))(x)

    y = draw(2, 3, seed=2)
    found = run(style, table, X, y, W)
    a, b = X[:, None], y[None]
    for f, e in zip(found, (2 * a * b * W, 2 * a * W * b * b, 2 * b * a), strict=True):
        np.testing.assert_allclose(f, e, rtol=1e-12)


def test_compiled_functions_are_mapped() -> None:
    f = dt.compile(lambda x: dt.sin(x) * dt.sum(x))
    np.testing.assert_allclose(
        dt.vmap(f)(dt.asarray(X)).numpy(), np.sin(X) * X.sum(1, keepdims=True)
    )


@pytest.mark.parametrize("style", STYLES)
def test_examples_share_a_draw(style: str) -> None:
    dt.manual_seed(3)
    mapped = run(style, lambda x: (dt.vmap(dt.nn.functional.dropout)(x),), X)[0]
    after = dt.rand(2).numpy()
    dt.manual_seed(3)
    kept = dt.nn.functional.dropout(dt.ones((3,), dtype="float64")).numpy()
    np.testing.assert_allclose(mapped, X * kept)
    np.testing.assert_array_equal(after, dt.rand(2).numpy())


# -- derivatives of derivatives, through closures ------------------------------------------------


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    "transform, slope",
    [
        (lambda f, x: dt.jacobian(f, x), lambda x, w: np.diag(w * np.cos(w * x))),
        (lambda f, x: dt.hessian(lambda x: dt.sum(f(x)), x),
         lambda x, w: np.diag(-w * w * np.sin(w * x))),
        (lambda f, x: dt.vjp(f, x)[0], lambda x, w: np.sin(w * x)),
        (lambda f, x: dt.vjp(f, x)[1](x)[0], lambda x, w: x * w * np.cos(w * x)),
        (lambda f, x: dt.jvp(f, (x,), (x,))[0], lambda x, w: np.sin(w * x)),
        (lambda f, x: dt.jvp(f, (x,), (x,))[1], lambda x, w: x * w * np.cos(w * x)),
    ],
)  # fmt: skip
def test_derivatives_record_what_a_closure_does(transform: Any, slope: Any, compiled: bool) -> None:
    x, w = dt.asarray(draw(3, seed=4)), dt.tensor(W, requires_grad=True)

    def value(w: Any, x: Any) -> Any:
        return transform(lambda x: dt.sin(w * x), x)

    result = (dt.compile(value) if compiled else value)(w, x)
    np.testing.assert_allclose(result.detach().numpy(), slope(x.numpy(), W), rtol=1e-10)
    (found,) = dt.grad(dt.sum(result * result), w)
    for i in range(3):
        step = np.eye(3)[i] * 1e-6
        up, down = ((slope(x.numpy(), W + s) ** 2).sum() for s in (step, -step))
        np.testing.assert_allclose(found.numpy()[i], (up - down) / 2e-6, rtol=1e-6, atol=1e-9)


def test_derivatives_record_tangents_and_cotangents() -> None:
    x = dt.asarray(W)
    t = dt.tensor(W * 2, requires_grad=True)
    for found in (dt.jvp(dt.sin, (x,), (t,))[1], dt.vjp(dt.sin, x)[1](t)[0]):
        np.testing.assert_allclose(dt.grad(dt.sum(found), t)[0].numpy(), np.cos(W))


def test_derivatives_stay_apart_where_nothing_else_records() -> None:
    x, w = dt.asarray(W), dt.tensor(W, requires_grad=True)
    value, pullback = dt.vjp(dt.sin, x)
    assert not value.requires_grad and not pullback(x)[0].requires_grad
    with dt.no_grad():
        value, tangent = dt.jvp(lambda x: w * x, (x,), (x,))
    assert not value.requires_grad and not tangent.requires_grad


def test_constant_slopes_and_results_are_no_errors() -> None:
    constant = dt.jvp(lambda x: (dt.sign(x), x * 2.0), (dt.asarray(W),), (dt.asarray(W),))[1]
    np.testing.assert_array_equal(constant[0].numpy(), np.zeros(3))
    alone = dt.jvp(dt.floor, (dt.asarray(W),), (dt.asarray(W),))[1]
    np.testing.assert_array_equal(alone.numpy(), np.zeros(3))
    assert dt.gradcheck(lambda x: (x * x, dt.ones((2,), dtype="float64")), W, order=2)
    assert dt.gradcheck(lambda x: dt.ones((2,), dtype="float64"), W, order=2)
