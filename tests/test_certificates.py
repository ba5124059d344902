"""What certificates hold equal, and what they tell apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import diptych as dt
from diptych.graphs.kernels import Recorder, recording

X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
H = np.linspace(0.1, 0.6, 3, dtype=np.float32)


def eagerly(function: Callable[..., Any], *arrays: np.ndarray, gradients: bool = False) -> str:
    """The certificate of a function, and of its gradients, on tensors."""
    with recording(Recorder()) as recorder:
        operands = [dt.from_numpy(a) for a in arrays]
        if gradients:
            operands = [o.requires_grad_() for o in operands]
        found = [function(*operands)]
        if gradients:
            found += dt.grad(found[0], operands)
        return recorder.certificate([r.array for r in found])


def statically(function: Callable[..., Any], *arrays: np.ndarray, gradients: bool = False) -> str:
    """The same of a graph."""
    with dt.static.Graph() as graph:
        operands = [graph.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
        found = [function(*operands)]
        if gradients:
            found += graph.grad(found[0], operands)
        program = graph.compile(found, executor="reference", passes=())
    feeds = {f"x{i}": a for i, a in enumerate(arrays)}
    with recording(Recorder()) as recorder:
        return recorder.certificate(program.run(feeds))


def unchanged(xs: Any, h: Any) -> Any:
    return dt.exp(dt.while_loop(lambda h: dt.sum(h) > 100, lambda h: h * 2, h)) * h


def stacked(xs: Any, h: Any) -> Any:
    last, ys = dt.scan(lambda h, x: (dt.tanh(h + x), h * x), h, xs)
    return dt.sum(dt.sin(ys)) + dt.sum(last)


def twice(xs: Any, h: Any) -> Any:
    middle, ys = dt.scan(lambda h, x: (dt.tanh(h + x), h * x), h, xs)
    last, _ = dt.scan(lambda h, y: (h * dt.sin(y), h), middle, ys)
    return dt.sum(last)


def nested(xs: Any, h: Any) -> Any:
    def outer(h: Any, x: Any) -> Any:
        h, inner = dt.scan(lambda h, y: (h * dt.cos(y), h), h, dt.stack([x, x * 2]))
        return h, inner

    last, ys = dt.scan(outer, h, xs)
    last, _ = dt.scan(lambda h, y: (h + y[0] * dt.exp(y[1]), h), last, ys)
    return dt.sum(dt.sin(last))  # a broadcast cotangent would become dense in a stack


def handed_on(xs: Any, h: Any) -> Any:
    last, ys = dt.scan(lambda h, x: ((h := dt.tanh(h + x)), h), h, xs)
    return dt.sum(last) + dt.sum(ys * xs)


def branching(xs: Any, h: Any) -> Any:
    def step(h: Any, x: Any) -> Any:
        h = dt.cond(dt.sum(x) > 0, lambda h: dt.sin(h) * x, lambda h: dt.cos(h) + x, h)
        return h, h

    last, _ = dt.scan(step, h, xs)
    return dt.sum(last)


def checkpointed(xs: Any, h: Any) -> Any:
    def step(h: Any, x: Any) -> Any:
        h = dt.checkpoint(lambda h, x: dt.sin(dt.tanh(h * x) + h), h, x)
        return h, h

    last, _ = dt.scan(step, h, xs)
    return dt.sum(last)


LOOPS = [unchanged, stacked, twice, nested, handed_on, branching, checkpointed]


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("function", LOOPS)
def test_a_loop_in_python_and_one_in_a_graph_agree(function: Any, gradients: bool) -> None:
    if function is unchanged and gradients:
        pytest.skip("xs reaches nothing")
    expected = eagerly(function, X, H, gradients=gradients)
    assert statically(function, X, H, gradients=gradients) == expected


def test_rows_of_a_stack_count_as_what_was_stacked() -> None:
    def by_rows(x: Any, y: Any) -> Any:
        rows = list(dt.stack([dt.stack([x, dt.exp(x)]), dt.stack([y, dt.exp(y)])]))
        return rows[1][1] * rows[0][0]

    assert eagerly(by_rows, H, H * 2) == eagerly(lambda x, y: dt.exp(y) * x, H, H * 2)
    assert eagerly(by_rows, H, H * 2) != eagerly(lambda x, y: dt.exp(x) * x, H, H * 2)


def test_a_copy_of_what_none_made_stands_for_it() -> None:
    x, y = dt.from_numpy(H), dt.from_numpy(H * 2)
    found = []
    for copies in (False, True):
        with recording(Recorder()) as recorder:
            z = y.array
            if copies:
                z = z.copy()
                recorder.note_copy(y.array, z)
            found.append(recorder.certificate([(dt.from_numpy(z) * x * y).array]))
    assert found[0] == found[1]


@pytest.mark.parametrize("swapped", [False, True])
def test_a_sum_of_two_has_no_order(swapped: bool) -> None:
    def total(x: Any, y: Any) -> Any:
        parts = [dt.sin(x), dt.cos(y)]
        return dt.accumulate(parts[::-1] if swapped else parts)

    found = eagerly(total, H, H * 2)
    assert found == eagerly(lambda x, y: dt.accumulate([dt.sin(x), dt.cos(y)]), H, H * 2)
    assert found != eagerly(lambda x, y: dt.accumulate([dt.sin(x), dt.cos(x)]), H, H * 2)
    assert found != eagerly(lambda x, y: dt.sin(x) + dt.cos(y), H, H * 2)


def test_the_order_of_independent_kernels_does_not_count_but_their_number_does() -> None:
    def late(x: Any) -> Any:
        right = dt.cos(x)
        return dt.sin(x) * right

    assert eagerly(late, H) == eagerly(lambda x: dt.sin(x) * dt.cos(x), H)

    def shared(x: Any) -> Any:
        y = dt.sin(x)
        return y * y

    assert eagerly(shared, H) != eagerly(lambda x: dt.sin(x) * dt.sin(x), H)


PAIRS = {
    "rows": (lambda x, h: x[0] * 2, lambda x, h: x[1] * 2),
    "rows of one": (lambda x, h: x[0] - x[1], lambda x, h: x[1] - x[0]),
    "rows of a result": (lambda x, h: dt.exp(x)[0] * 2, lambda x, h: dt.exp(x)[1] * 2),
    "turned": (lambda x, h: dt.exp(x) * 2, lambda x, h: dt.flip(dt.exp(x), axis=0) * 2),
    "fetched": (lambda x, h: dt.exp(x)[0], lambda x, h: dt.exp(x)[1]),
    "directions": (
        lambda x, h: dt.scan(lambda h, x: (dt.sin(h) * x, h), h, x)[0],
        lambda x, h: dt.scan(lambda h, x: (dt.sin(h) * x, h), h, x, reverse=True)[0],
    ),
}


@pytest.mark.parametrize("certify", [eagerly, statically])
@pytest.mark.parametrize("name", PAIRS)
def test_what_a_view_shows_counts(name: str, certify: Any) -> None:
    one, other = PAIRS[name]
    assert certify(one, X, H) != certify(other, X, H)
    assert certify(one, X, H) == eagerly(one, X, H)


def test_views_that_show_the_same_count_alike() -> None:
    def roundabout(x: Any) -> Any:
        return dt.exp(x)[1:][0][None][0].reshape(3) * 2

    assert eagerly(roundabout, X) == eagerly(lambda x: dt.exp(x)[1] * 2, X)


def test_a_sum_that_begins_with_zeros_is_the_sum_of_the_others() -> None:
    def padded(x: Any) -> Any:
        return dt.accumulate([dt.zeros(3), dt.sin(x), dt.cos(x)])

    assert eagerly(padded, H) == eagerly(lambda x: dt.accumulate([dt.sin(x), dt.cos(x)]), H)


def test_a_long_chain_has_a_certificate() -> None:
    def chain(x: Any) -> Any:
        for _ in range(5000):
            x = -x
        return x

    assert eagerly(chain, H) == eagerly(chain, H * 2)


def test_a_reshape_that_copies_is_kept_for_a_compiled_backward_pass() -> None:
    """Were it computed again, the compiled function would launch one kernel more."""

    def f(x: Any) -> Any:
        y = dt.sin(x)
        return dt.sum(dt.sin(dt.reshape(dt.permute_dims(y, (0, 2, 1)), (2, 12))))

    found = []
    for run in (f, dt.compile(f, executor="reference", passes=())):
        x = dt.tensor(np.arange(24.0).reshape(2, 3, 4), requires_grad=True)
        with recording(Recorder()) as recorder:
            (slope,) = dt.grad(run(x), x)
            found.append(recorder.certificate([slope.array]))
    assert found[0] == found[1]
