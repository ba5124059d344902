"""Dynamic batching: gradients of launches are those of the calls in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numbers_compared import close, normal

import diptych as dt
from diptych.eager.batching.deferred import Deferred
from diptych.errors import TapeError


def test_gradients_of_any_order() -> None:
    w = normal(3, 3, requires_grad=True)
    xs = [normal(3) for _ in range(4)]

    def loss() -> Any:
        return sum(dt.sum(dt.tanh(dt.tanh(x @ w)[1:] * 2.0)) for x in xs)

    def second(value: Any) -> Any:
        (slope,) = dt.grad(value, w, create_graph=True)
        return dt.grad(dt.sum(slope * slope), w)[0]

    expected = second(loss())
    with dt.autobatch():
        found = second(loss())
        value = loss()
    close(found, expected)
    close(second(value), expected)


def test_a_gradient_by_a_deferred_result() -> None:
    w = normal(3, requires_grad=True)
    xs = [normal(3) for _ in range(4)]

    def run() -> Any:
        hs = [dt.tanh(x * w) for x in xs]
        loss = sum(dt.sum(h * h * (i + 1)) for i, h in enumerate(hs))
        return dt.grad(loss, [hs[2], w, hs[0]])

    expected = run()
    with dt.autobatch():
        found = run()
    for a, b in zip(found, expected):
        close(a, b)


def test_hooks_and_retained_gradients_see_one_row() -> None:
    w = normal(3, requires_grad=True)
    xs = [normal(3) for _ in range(4)]

    def run() -> Any:
        seen: list[Any] = []

        def double(g: Any) -> Any:
            seen.append(g)
            return g * 2.0

        hs = [dt.tanh(x * w) for x in xs]
        before = dt.sum(hs[1] * 3.0)
        hs[1].register_hook(double)
        hs[2].retain_grad()
        loss = before + sum(dt.sum(h * h) for h in hs)
        w.grad = None
        loss.backward()
        return [*seen, hs[2].grad, w.grad]

    expected = run()
    with dt.autobatch():
        found = run()
    assert len(found) == len(expected) == 3
    for a, b in zip(found, expected):
        close(a, b)


def test_gradients_reach_examples_and_several_uses_of_one_row() -> None:
    def run() -> Any:
        xs = [dt.tensor([1.0, 2.0 + i], requires_grad=True) for i in range(4)]
        hs = [dt.exp(x) for x in xs]
        pairs = [hs[0] * hs[0], hs[0] * hs[1], hs[1] * hs[0], hs[3] * hs[2], hs[2] * hs[2]]
        return dt.grad(sum(map(dt.sum, pairs)), xs)

    expected = run()
    with dt.autobatch():
        found = run()
    for a, b in zip(found, expected):
        close(a, b)


def test_backward_within_the_scope_adds_to_leaves() -> None:
    w = normal(3, requires_grad=True)
    with dt.autobatch():
        losses = [dt.sum(dt.tanh(w * i)) for i in range(3)]
        for loss in losses:
            loss.backward(retain_graph=True)
        assert not isinstance(w.grad, Deferred)
    found, w.grad = w.grad, None
    for i in range(3):
        dt.sum(dt.tanh(w * i)).backward()
    close(found, w.grad)


def test_no_grad_holds_for_the_calls_within() -> None:
    w = normal(3, requires_grad=True)
    with dt.autobatch():
        with dt.no_grad():
            kept = [w * 2.0, w * 3.0]
        recorded = [w * 2.0, w * 3.0]
        assert [x.requires_grad for x in (*kept, *recorded)] == [False, False, True, True]
    assert [x.requires_grad for x in (*kept, *recorded)] == [False, False, True, True]
    assert kept[0].is_leaf and not recorded[0].is_leaf
    with dt.autobatch():
        y = dt.tanh(w)
        with dt.no_grad():
            repr(y)
    close(dt.grad(dt.sum(y), w)[0], 1 - dt.tanh(w) ** 2)


def test_detached_results_pass_no_gradient() -> None:
    w = normal(3, requires_grad=True)
    with dt.autobatch():
        losses = [dt.sum((w * i).detach() * w) for i in range(3)]
        total = sum(losses)
    close(dt.grad(total, w)[0], 3.0 * w)


def test_a_recorded_change_of_a_view() -> None:
    def run() -> Any:
        w = dt.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
        found = []
        for i in range(2):
            y = dt.exp(w) * float(i + 1)
            y[1:3] *= 5.0
            found.append(dt.sum(y * y))
        return dt.grad(sum(found), w)[0]

    expected = run()
    with dt.autobatch():
        found = run()
    close(found, expected)


def test_a_change_of_one_row_reaches_no_other() -> None:
    x = normal(3, requires_grad=True)
    with dt.autobatch():
        ys = [dt.exp(x * i) for i in range(3)]
        total = sum(map(dt.sum, ys))
    with dt.no_grad():
        ys[1][0] = 100.0
    close(dt.grad(total, x)[0], sum(i * dt.exp(x * i) for i in range(3)))


def test_of_several_results_floats_record() -> None:
    xs = [normal(5, requires_grad=True) for _ in range(3)]

    def run() -> Any:
        found = [dt.topk(x, 2) for x in xs]
        return dt.grad(sum(dt.sum(values * values) for values, _ in found), xs)

    expected = run()
    with dt.autobatch():
        assert not dt.topk(xs[0], 2)[1].requires_grad
        found = run()
    for a, b in zip(found, expected):
        close(a, b)


def test_a_view_whose_base_got_a_history_since_is_stale() -> None:
    def before(x: Any, w: Any) -> Any:
        view = dt.reshape(x, (2, 1))
        with dt.autobatch():
            x[:] = w * 2.0
            return view * 3.0

    def within(x: Any, w: Any) -> Any:
        with dt.autobatch():
            view = dt.reshape(x, (2, 1))
            x[:] = w * 2.0
            return view * 3.0

    def of_a_result(x: Any, w: Any) -> Any:
        with dt.autobatch():
            base = x * 1.0
            view = dt.reshape(base, (2, 1))
            base *= w
            return view * 3.0

    for run in (before, within, of_a_result):
        with pytest.raises(TapeError, match="view: its base must not change"):
            run(dt.ones((2,)), normal(2, requires_grad=True))


def test_a_view_taken_without_recording_stays_without_history() -> None:
    w = normal(2, requires_grad=True)
    base = dt.zeros((2,))
    base[:] = w * 2.0
    with dt.autobatch():
        with dt.no_grad():
            view = dt.reshape(dt.reshape(base, (2, 1)), (1, 2))
        found = view * 3.0
    assert not found.requires_grad
    close(found, dt.reshape(w.detach() * 6.0, (1, 2)))


def test_a_shape_that_takes_a_copy_keeps_the_numbers_of_its_call() -> None:
    turned = dt.tensor([[1.0, 2.0], [3.0, 4.0]]).T
    with dt.autobatch():
        flat = dt.reshape(turned, (4,))
        turned += 10.0
    assert flat.tolist() == [1.0, 3.0, 2.0, 4.0]


def test_views_of_storages_are_views() -> None:
    storage = dt.Parameter(np.ones((2, 2), np.float32)).storage
    with dt.autobatch():
        view = dt.reshape(storage, (4,))
        assert dt.sum(view * 2.0).item() == 8.0
    storage.write(np.zeros((2, 2), np.float32))
    assert view.tolist() == [0.0] * 4
