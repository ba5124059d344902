"""Control flow and state: parameters, storages, random numbers and gradients within bodies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numbers_compared import draw

import diptych as dt
from diptych.graphs.ops import dispatch

EXECUTORS = ("reference", "planned")


def test_parameters_are_read_within_a_body_and_trained() -> None:
    losses = []
    for style in ("eager", "static", "hybrid"):
        w = dt.nn.Parameter(draw(3, 3).astype("float32"))
        optimizer = dt.optim.SGD([w], lr=0.1)
        xs = draw(4, 3, seed=1).astype("float32")

        def loss(xs: Any, w: Any = w) -> Any:
            h, _ = dt.scan(lambda h, x: (dt.tanh(x @ w + h), None), dt.zeros((3,)), xs)
            return dt.sum(h * h)

        if style == "static":
            with dt.static.Graph() as g:
                value = loss(g.placeholder("xs", xs.shape))
                update = optimizer.minimize(value)
            program = g.compile([value, update])
            losses.append([float(program.run({"xs": xs})[0]) for _ in range(5)])
            continue
        f = dt.compile(loss) if style == "hybrid" else loss
        run = []
        for _ in range(5):
            value = f(dt.asarray(xs))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            run.append(value.item())
        losses.append(run)
    assert losses[0] == losses[1] == losses[2]
    assert losses[0][-1] < losses[0][0]


@pytest.mark.parametrize("executor", EXECUTORS)
def test_random_numbers_differ_from_round_to_round(executor: str) -> None:
    def noisy(generator: dt.Generator) -> Any:
        return dt.scan(
            lambda c, _: (c + 1.0, generator.uniform((2,))), dt.zeros(()), length=3
        )  # fmt: skip

    expected = noisy(dt.Generator(5))[1].numpy()
    generator = dt.Generator(5)
    with dt.static.Graph() as g:
        _, drawn = noisy(generator)
    program = g.compile(drawn, executor=executor)
    assert program.run({}).tobytes() == expected.tobytes()
    assert generator.offset.item() == 3
    again = program.run({})
    assert len(np.unique(again)) == 6 and not np.isin(again, expected).any()


def test_what_one_branch_assigns_the_other_keeps() -> None:
    storage = dt.Storage(np.array(1.0, np.float32), "count")
    with dt.static.Graph() as g:
        x = g.placeholder("x", ())

        def raised() -> Any:
            count = storage + x * 0.0
            dispatch.current().assign(storage, count + 1.0)
            return count

        y = dt.cond(x > 0, raised, lambda: x)
    program = g.compile(y)
    program.run({"x": np.float32(1.0)})
    program.run({"x": np.float32(-1.0)})
    program.run({"x": np.float32(1.0)})
    assert storage.item() == 3.0


def test_state_that_rounds_assign_is_a_leaf_at_each_read() -> None:
    """No gradient flows from round to round through state, as none does in eager code."""
    found = []
    for style in ("eager", "static"):
        state = dt.Storage(np.array(1.0))

        def last(w: Any, xs: Any, state: Any = state) -> Any:
            def step(c: Any, x: Any) -> Any:
                v = state * 1.0
                dispatch.current().assign(state, v + w * x)
                return c + v * x * w, None

            return dt.scan(step, dt.zeros((), dtype="float64"), xs)[0]

        if style == "eager":
            w = dt.tensor(2.0, dtype="float64", requires_grad=True)
            y = last(w, dt.asarray(np.array([1.0, 2.0, 3.0])))
            found.append([y.item(), dt.grad(y, w)[0].item(), state.item()])
            continue
        with dt.static.Graph() as g:
            w, xs = g.placeholder("w", (), "float64"), g.placeholder("xs", (3,), "float64")
            y = last(w, xs)
            (slope,) = dt.grad(y, w)
        value, grad = g.compile([y, slope]).run({"w": np.array(2.0), "xs": np.array([1.0, 2, 3])})
        found.append([float(value), float(grad), state.item()])
    assert found[0] == found[1]


def test_dropout_of_what_a_body_reads_of_the_graph_around_it() -> None:
    with dt.static.Graph() as g:
        q = g.placeholder("q", (50,))
        y, _ = dt.scan(
            lambda c, _: (c + dt.nn.functional.dropout(q, 0.5), None), dt.zeros((50,)), length=3
        )
    result = g.compile(y).run({"q": np.ones(50, np.float32)})
    assert set(np.unique(result)) == {0.0, 2.0, 4.0, 6.0}


def test_a_gradient_that_was_not_asked_to_be_differentiable_is_a_number_to_the_next() -> None:
    def f(x: Any) -> Any:
        (slope,) = dt.grad(x * x * x, x)
        return slope * x

    for wrap in (f, dt.compile(f)):
        x = dt.tensor(2.0, requires_grad=True)
        if wrap is f:
            wrap(x).backward()
            assert x.grad.item() == 12.0
    with dt.static.Graph() as g:
        x = g.placeholder("x", ())
        (slope,) = dt.grad(f(x), x)
    assert g.compile(slope).run({"x": np.float32(2.0)}) == 12.0


def test_what_no_round_uses_has_no_gradient() -> None:
    with dt.static.Graph() as g:
        a, b = g.placeholder("a", ()), g.placeholder("b", ())
        (c, _), _ = dt.scan(lambda s, _: ((s[0] * a, s[1] * b), None), (1.0, 1.0), length=3)
        found = dt.grad(c, [a, b], allow_unused=True)
        assert found[0] is not None and found[1] is None
        y = dt.cond(a > 0, lambda: a * 2.0, lambda: -a)
        assert dt.grad(y + b * 0.0, [b, a])[1] is not None


def test_a_storage_chooses_at_each_run() -> None:
    flag = dt.Storage(np.array(True))
    with dt.static.Graph() as g:
        x = g.placeholder("x", ())
        y = dt.cond(flag, lambda: x, lambda: -x)
    program = g.compile(y)
    assert program.run({"x": np.float32(3.0)}) == 3.0
    flag.write(np.array(False))
    assert program.run({"x": np.float32(3.0)}) == -3.0
