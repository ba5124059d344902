"""Checkpoints in eager code: what changed in between is refused, and each level runs once more."""

from typing import Any

import numpy as np
import pytest

import diptych as dt
from diptych.errors import TapeError


def leaf(*numbers: float) -> Any:
    return dt.tensor(numbers, requires_grad=True)


def plus(c: Any) -> Any:
    return lambda x: dt.sin(dt.sin(x + c))


@pytest.mark.parametrize(
    "read",
    [
        lambda x, c: dt.sin(dt.sin(x + c)),
        lambda x, c: dt.sin(dt.sin(x + c[0])),
        lambda x, c: dt.sin(dt.sin(x + c.astype("float32") * 1.0)),
        lambda x, c: dt.sin(dt.sin(dt.concat([x, c]))),
        lambda x, c: dt.checkpoint(lambda x: dt.sin(dt.sin(x + c)), x),
    ],
    ids=["operand", "view", "cast", "variadic", "nested"],
)
def test_an_operand_that_no_rule_saves_must_not_change_either(read: Any) -> None:
    x, c = leaf(1.0), dt.tensor([1.0], dtype="float64")
    y = dt.checkpoint(lambda x: read(x, c), x)
    c += 1.0
    with pytest.raises(
        TapeError, match=r"what the function read must not .* at version 1 in place"
    ):
        dt.sum(y).backward()


def test_an_argument_changed_by_the_function_is_refused() -> None:
    x = leaf(1.0)

    def f(c: Any) -> Any:
        y = dt.sin(dt.sin(x + c))
        c += 1.0
        return y

    y = dt.checkpoint(f, dt.tensor([1.0]))
    with pytest.raises(TapeError, match="an operand of add at version 1 in place of 0"):
        dt.sum(y).backward()


@pytest.mark.parametrize("make", [lambda: dt.zeros((1,)), lambda: dt.tensor([0.0])])
def test_a_function_may_change_what_it_made(make: Any) -> None:
    made = []

    def f(x: Any) -> Any:
        made.append(make())
        made[-1] += dt.sin(x)
        made[-1] += x
        return made[-1]

    x = leaf(1.0)
    dt.sum(dt.checkpoint(f, x)).backward()
    np.testing.assert_allclose(x.grad.numpy(), [np.cos(1.0) + 1.0], rtol=1e-6)


def test_a_storage_that_the_function_writes_is_set_back() -> None:
    count = dt.Storage(np.ones(1, "f4"))

    def f(x: Any) -> Any:
        y = dt.sin(dt.sin(x + count))
        dt.nn.functional.dropout(x, 0.5)  # moves the random offset, too
        return y

    x = leaf(1.0)
    y = dt.checkpoint(f, x)
    dt.randn((2,))
    (found,) = dt.grad(dt.sum(y), x)
    np.testing.assert_allclose(found.numpy(), [np.cos(np.sin(2.0)) * np.cos(2.0)], rtol=1e-5)
    y = dt.checkpoint(f, x)
    count.write([2.0])
    with pytest.raises(TapeError, match="what the function read must not"):
        dt.grad(dt.sum(y), x)


@pytest.mark.parametrize("depth", [1, 4, 7])
def test_a_checkpoint_within_others_runs_once_more_for_each(depth: int) -> None:
    calls = []

    def innermost(x: Any) -> Any:
        calls.append(x)
        return dt.sin(dt.sin(x))

    def nested(x: Any, depth: int) -> Any:
        if not depth:
            return innermost(x)
        return dt.checkpoint(lambda x: nested(x, depth - 1), x)

    x = leaf(0.5)
    y = nested(x, depth)
    assert len(calls) == 1
    (found,) = dt.grad(dt.sum(y), x)
    assert len(calls) == 1 + depth
    assert found.tolist() == dt.grad(dt.sum(innermost(x)), x)[0].tolist()


def test_a_checkpoint_within_another_draws_the_same_random_numbers() -> None:
    def drop(x: Any) -> Any:
        return dt.sin(dt.nn.functional.dropout(x, 0.5))

    def kept(x: Any) -> Any:
        return dt.checkpoint(lambda x: drop(dt.checkpoint(drop, drop(x))), x)

    found = []
    for f in (kept, lambda x: drop(drop(drop(x)))):
        dt.manual_seed(5)
        x = leaf(*np.linspace(0.1, 2.0, 50))
        y = f(x)
        dt.randn((2,))
        dt.sum(y).backward()
        found.append(
            [a.tobytes() for a in (y.detach().numpy(), x.grad.numpy(), dt.rand(3).numpy())]
        )
    assert found[0] == found[1]


def test_a_checkpoint_has_gradients_of_gradients() -> None:
    assert dt.gradcheck(lambda x: dt.checkpoint(plus(0.3), x), np.array([0.2, 0.7]), order=2)


@pytest.mark.parametrize("compiled", [False, True], ids=["written", "compiled"])
def test_reads_by_writing_and_by_compiled_functions_are_noticed(compiled: bool) -> None:
    c = dt.tensor([1.0])
    added = dt.compile(lambda x, c: x + c)

    def f(x: Any) -> Any:
        if compiled:
            return dt.sin(dt.sin(added(x, c)))
        held = dt.zeros((1,))
        held[:] = c
        return dt.sin(dt.sin(x + held))

    x = dt.tensor([1.0], requires_grad=True)
    y = dt.sum(dt.checkpoint(f, x))
    c += 1.0
    with pytest.raises(dt.errors.TapeError, match="must not change before its gradient"):
        dt.grad(y, x)
