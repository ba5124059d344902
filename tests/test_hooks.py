"""Eager: hooks on gradients: what they see, what they keep, what they give."""

from typing import Any

import numpy as np
import pytest

import diptych as dt
from diptych.errors import TapeError


def leaf(*numbers: float) -> Any:
    return dt.tensor(numbers, requires_grad=True)


def test_hooks_see_and_replace_gradients() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    seen = []
    y.register_hook(lambda g: seen.append(g.tolist()))
    y.register_hook(lambda g: g * 10)
    handle = x.register_hook(lambda g: g + 1)
    y.sum().backward()
    assert seen == [[1.0, 1.0]] and x.grad.tolist() == [21.0, 21.0]
    handle.remove()
    handle.remove()
    x.grad = None
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_a_hook_may_remove_itself() -> None:
    x = leaf(1.0)
    seen = []
    handle = x.register_hook(lambda g: (seen.append("first"), handle.remove())[1])
    x.register_hook(lambda g: seen.append("second"))
    (x * 2).sum().backward()
    assert seen == ["first", "second"]


@pytest.mark.parametrize("on_leaf", [True, False])
def test_what_a_hook_keeps_is_no_gradient(on_leaf: bool) -> None:
    x, w, kept = leaf(3.0, 1.0), leaf(1.0, 1.0), []
    y = x + w
    (x if on_leaf else y).register_hook(kept.append)
    (y * 2).sum().backward()
    x.grad *= 10
    w.grad *= 100
    assert kept[0].tolist() == [2.0, 2.0]


@pytest.mark.parametrize("on_leaf", [True, False])
def test_what_a_hook_gives_is_no_gradient(on_leaf: bool) -> None:
    x, given = leaf(3.0, 1.0), dt.tensor([5.0, 5.0])
    y = x + 1
    (x if on_leaf else y).register_hook(lambda g: given)
    (y * 2).sum().backward()
    x.grad *= 10
    assert given.tolist() == [5.0, 5.0] and x.grad.tolist() == [50.0, 50.0]


WRONG = [
    (2.0, "must give a tensor or None, got 2.0"),
    (np.ones(2), "must give a tensor or None, got array"),
    (dt.tensor(1.0), r"must keep the shape and dtype of the gradient, got float32\[\] for"),
    (dt.ones((2,), dtype="float64"), r"got float64\[2\] for float32\[2\]"),
]


@pytest.mark.parametrize("wrong, match", WRONG)
def test_what_a_hook_gives_must_fit(wrong: Any, match: str) -> None:
    x = leaf(3.0, 1.0)
    y = x * 2
    for tensor in (x, y):
        handle = tensor.register_hook(lambda g: wrong)
        with pytest.raises(TapeError, match=f"hook: .*{match}"):
            y.sum().backward(retain_graph=True)
        handle.remove()
    assert x.grad is None
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_what_a_hook_gives_for_a_row_of_a_batch_must_fit() -> None:
    w = leaf(1.0, 2.0)
    with dt.autobatch():
        rows = [dt.tanh(w * x) for x in (dt.ones((2,)), dt.zeros((2,)))]
        loss = dt.sum(rows[0] + rows[1])
    rows[0].register_hook(lambda g: dt.tensor(1.0))
    with pytest.raises(TapeError, match="hook: must keep the shape"):
        loss.backward()
