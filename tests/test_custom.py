"""Operators of a user's own: what is refused, and where they run."""

from typing import Any

import numpy as np
import pytest

import diptych as dt
from diptych.errors import ArgumentError
from diptych.graphs.ops.core import REGISTRY

CUBE = dt.custom_op("own_cube", "x -> y", lambda x: x**3, backward=lambda c, g: (3 * c.x**2 * g,))
X = np.linspace(-1.0, 1.0, 6).reshape(3, 2)


def doubling(x: np.ndarray) -> np.ndarray:
    x *= 2
    return x + 0


def doubling_backward(c: Any, g: np.ndarray) -> Any:
    g *= 2
    return (g,)


WRITES = dt.custom_op("own_writes", "x -> y", doubling)
WRITES_BACK = dt.custom_op("own_writes_back", "x -> y", lambda x: x * 2, backward=doubling_backward)


def test_an_own_operator_cannot_write_to_its_operands() -> None:
    x = dt.tensor([1.0, 2.0], requires_grad=True)
    match = "must not write to operands, got: .*read-only"
    with pytest.raises(ArgumentError, match=f"own_writes: the code {match}"):
        WRITES(x)
    with pytest.raises(ArgumentError, match=f"own_writes_back_backward: the code {match}"):
        WRITES_BACK(x).backward(dt.ones((2,)))
    with pytest.raises(ArgumentError, match=match):
        dt.compile(lambda x: WRITES(x))(x)
    assert x.tolist() == [1.0, 2.0]
    x.array[0] = 3.0  # the view was read-only, not the operand


def test_an_error_of_the_code_itself_stays_as_it_is() -> None:
    def fail(x: np.ndarray) -> np.ndarray:
        raise ValueError("no such x")

    with pytest.raises(ValueError, match=r"^no such x$"):
        dt.custom_op("own_fail", "x -> y", fail)(dt.tensor([1.0]))


def back(c: Any, g: Any) -> Any:
    return (g,)


@pytest.mark.parametrize(
    "name, signature, options, match",
    [
        ("class", "x -> y", {}, "name must be an identifier that is free, got 'class'"),
        ("own_cube", "x -> y", {}, "name must be an identifier that is free, got 'own_cube'"),
        ("fresh", "x, x -> y", {}, "names in signature must differ, got 'x, x -> y'"),
        ("fresh", "x -> x", {}, "names in signature must differ, got 'x -> x'"),
        ("fresh", "x, if -> y", {}, "signature must read 'x, y -> z', got 'x, if -> y'"),
        ("fresh", "x, w -> y", {"vjp": (back,)}, "fresh needs a rule per operand in vjp"),
        ("fresh", "x -> y", {"vjp": (back, back)}, "fresh needs a rule per operand in vjp"),
        ("fresh", "x -> y", {"vjp": (None,)}, "fresh needs a rule per operand in vjp"),
        ("fresh", "x -> y", {"vjp": (back,), "saves": ()}, "fresh needs names per operand in save"),
        ("fresh", "x -> y", {"vjp": (back,), "saves": ("z",)}, r"operands and results, got \['z'"),
        ("fresh", "x -> y", {"backward": back, "saves": ("x",)}, "in saves, and vjp, got saves="),
        ("fresh", "x -> y", {"backward": back, "vjp": (back,)}, "needs backward or vjp, got both"),
        ("fresh", "x -> y", {"attrs": {"x": 1}}, r"attrs must have identifiers .* got \['x'\]"),
        ("fresh", "x -> y", {"attrs": {"a b": 1}}, r"attrs must have identifiers .* got \['a b'"),
        (
            "fresh", "x -> y", {"backward": back, "attrs": {"k": [1]}},
            r"attributes must be hashable, got k=\[1\]",
        ),
    ],
)  # fmt: skip
def test_what_is_refused_leaves_nothing_registered(
    name: str, signature: str, options: dict[str, Any], match: str
) -> None:
    before = dict(REGISTRY)
    with pytest.raises(ArgumentError, match=f"custom_op: .*{match}"):
        dt.custom_op(name, signature, np.sin, **options)
    assert before == REGISTRY


def test_the_name_of_the_gradient_must_be_free_too() -> None:
    dt.custom_op("own_taken_backward", "x -> y", np.sin)
    with pytest.raises(ArgumentError, match="is free, got 'own_taken_backward'"):
        dt.custom_op("own_taken", "x -> y", np.sin, backward=back)
    assert "own_taken" not in REGISTRY


def test_attributes_are_hashable_and_of_any_name() -> None:
    scaled = dt.custom_op(
        "own_scaled", "x -> y", lambda x, name, forward: x * name + forward,
        backward=lambda c, g: (g * c.name,), attrs={"name": 1.0, "forward": 0.0},
    )  # fmt: skip
    x = dt.tensor([1.0, 2.0], requires_grad=True)
    y = scaled(x, name=3.0, forward=1.0)
    assert y.tolist() == [4.0, 7.0]
    assert dt.grad(dt.sum(y), x)[0].tolist() == [3.0, 3.0]
    for given in ([3.0], np.ones(1)):
        with pytest.raises(
            ArgumentError, match=r"^own_scaled: attributes must be hashable, got na"
        ):
            scaled(x, name=given)


def test_an_own_operator_runs_in_the_body_of_a_scan() -> None:
    def f(x: Any) -> Any:
        last, each = dt.scan(
            lambda c, row: (c + CUBE(row), CUBE(c)), dt.zeros((2,), dtype="float64"), x
        )
        return dt.sum(last) + dt.sum(each * x)

    sums = np.cumsum(np.vstack([np.zeros(2), X**3]), axis=0)
    expected = sums[-1].sum() + (sums[:-1] ** 3 * X).sum()
    for called in (f, dt.compile(f)):
        np.testing.assert_allclose(called(dt.asarray(X)).item(), expected, rtol=1e-12)
        assert dt.gradcheck(called, X)


def test_an_own_operator_runs_in_vmap() -> None:
    mapped = dt.vmap(lambda row: CUBE(row) * 2)
    for called in (mapped, dt.compile(mapped)):
        np.testing.assert_array_equal(called(dt.asarray(X)).numpy(), X**3 * 2)
        assert dt.gradcheck(called, X)


def test_what_a_rule_notes_in_its_context_is_of_one_call() -> None:
    def both(c: Any, g: Any) -> Any:
        if "both" not in c.__dict__:
            c.both = g * 2
        return c.both

    twice = dt.custom_op(
        "own_twice", "x, y -> z", lambda x, y: 2 * (x + y), vjp=(both, both), saves=("", "")
    )
    x, y = (dt.tensor([1.0], requires_grad=True) for _ in range(2))
    for seed in (1.0, 10.0):
        found = dt.grad(twice(x, y), [x, y], dt.tensor([seed]))
        assert [g.tolist() for g in found] == [[2 * seed]] * 2


def test_what_a_rule_overwrites_in_its_context_is_of_one_call() -> None:
    def scaled(c: Any, g: Any) -> Any:
        c.factor = c.factor * 2
        return g * c.factor

    scale = dt.custom_op(
        "own_scale", "x -> y", lambda x, *, factor: x * factor, vjp=(scaled,), saves=("",),
        attrs={"factor": 1.0},
    )  # fmt: skip
    x = dt.tensor([1.0], requires_grad=True)
    for _ in range(2):
        [found] = dt.grad(scale(x, factor=3.0), x, dt.tensor([1.0]))
        assert found.tolist() == [6.0]


@pytest.mark.parametrize(
    ("rule", "error", "match"),
    [
        (
            lambda c, g: dt.ones((3,)),
            dt.errors.ShapeError,
            r"shape, got \(3,\) for \(2,\)",
        ),
        (lambda c, g: g.astype("float64"), dt.errors.DTypeError, "dtype, got float64 for float32"),
        (lambda c, g: g.numpy(), dt.errors.ArgumentError, "must give tensors, got ndarray"),
    ],
    ids=["shape", "dtype", "array"],
)
def test_a_rule_must_give_a_cotangent_of_its_operand(
    rule: Any, error: type[Exception], match: str
) -> None:
    name = f"own_wrong_{error.__name__}"
    wrong = dt.custom_op(name, "x -> y", lambda x: x * 2, vjp=(rule,), saves=("",))
    x = dt.tensor([1.0, 2.0], requires_grad=True)
    for _ in range(5):
        with pytest.raises(error, match=f"{name}: .*{match}"):
            dt.grad(dt.sum(wrong(dt.tanh(x))), x)
