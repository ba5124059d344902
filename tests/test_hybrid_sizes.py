"""Sizes that vary become symbols; what is compiled, and why, is said."""

import logging

import numpy as np
import pytest

import diptych as dt
from diptych.errors import ArgumentError
from diptych.hybrid import compiled

RNG = np.random.default_rng(0)


def array(*shape):
    return dt.tensor(RNG.standard_normal(shape).astype(np.float32))


@pytest.mark.parametrize("executor", ["reference", "planned", "native"])
def test_the_second_size_makes_it_a_symbol(executor):
    w = array(3, 2)
    f = dt.compile(lambda x: dt.tanh(x @ w).sum(0), executor=executor)
    for n in (5, 6, 7, 8):
        x = array(n, 3).requires_grad_()
        f(x).sum().backward()
        found, x.grad = x.grad.numpy(), None
        dt.tanh(x @ w).sum(0).sum().backward()
        assert np.allclose(found, x.grad.numpy(), rtol=1e-5, atol=1e-6)
        assert f.traces == min(2, n - 4)
    assert "another size: (6, 3) was (5, 3)" in f.explain()


def test_what_a_loop_goes_along_is_a_symbol_at_once():
    @dt.compile
    def f(xs):
        h = dt.zeros((3,))
        for x in xs * 2:
            h = dt.tanh(h + x)
        return h

    for n in (5, 6, 9):
        xs = array(n, 3)
        h = dt.zeros((3,))
        for x in xs * 2:
            h = dt.tanh(h + x)
        assert np.allclose(f(xs).numpy(), h.numpy(), rtol=1e-5)
    assert f.traces == 1
    f(array(1, 3))  # 1 and 0 broadcast, so they stay what they are
    assert f.traces == 2


def test_a_size_that_tensors_are_compared_with_is_a_symbol():
    @dt.compile
    def f(x):
        count = x.shape[0]
        at, total = dt.while_loop(
            lambda carry: carry[0] < count,
            lambda carry: (carry[0] + 1, carry[1] + dt.take(x, carry[0])),
            (dt.zeros((), dtype="int64"), dt.zeros(())),
        )
        return total, at == count

    for size in (3, 5, 4, 7):
        total, ended = f(dt.arange(size, dtype="float32"))
        assert total.item() == sum(range(size)) and ended.item()
    assert f.traces == 2


def test_sizes_that_are_equal_share_a_symbol():
    f = dt.compile(lambda x, y: x * y)
    for n in (3, 4, 5):
        assert f(array(n, 2), array(n, 2)).shape == (n, 2)
    assert f.traces == 2
    assert f(array(6, 2), array(1, 2)).shape == (6, 2)
    assert f.traces == 3


def test_where_a_size_must_be_a_number_each_has_its_trace():
    f = dt.compile(lambda x: x * (2.0 if x.shape[0] > 4 else 3.0))
    for n in (3, 4, 5, 6):
        assert np.allclose(f(dt.ones((n,))).numpy(), 2.0 if n > 4 else 3.0)
    assert f.traces == 4
    assert "sizes are no symbols: " in f.explain()


def test_too_many_traces_are_said_and_run_eagerly():
    f = dt.compile(lambda x, k: x * k, limit=2)
    x = array(3)
    f(x, 1)
    f(x, 2)
    with pytest.warns(RuntimeWarning, match=r"at most 2 traces are made, got more of lambda"):
        assert np.array_equal(f(x, 3).numpy(), (x * 3).numpy())
    assert np.array_equal(f(x, 4).numpy(), (x * 4).numpy())
    assert f.traces == 2
    with pytest.raises(ArgumentError, match="compile: limit must be a whole number"):
        dt.compile(lambda x: x, limit=0)


def test_each_trace_is_logged_with_its_reason(caplog):
    scale = 2.0
    f = dt.compile(lambda x: x * scale)
    with caplog.at_level(logging.INFO, "diptych.hybrid"):
        f(array(3))
        scale = 3.0
        f(array(3))
        f(array(4))
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "traced lambda(float32[3]): the first call",
        "traced lambda(float32[3]): scale was 2.0 and is 3.0",
        "traced lambda(float32[n0]): another size: (4,) was (3,)",
    ]


def test_compiled_functions_that_call_each_other_share_what_they_read():
    scale = 2.0
    inner = dt.compile(lambda x: x * scale)
    outer = dt.compile(lambda x: inner(x) + 1)
    assert outer(dt.tensor([1.0])).tolist() == [3.0]
    scale = 3.0
    assert outer(dt.tensor([1.0])).tolist() == [4.0]


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x * 2 if x.shape == (5, 3) else x,
        lambda x: x * 2 if x.shape != (5, 3) else x,
        lambda x: x * 2 if x.shape[:1] == (5,) else x,
        lambda x: x * 2 if 5 in x.shape else x,
        lambda x: x * 2 if x.shape[0] in (5, 9) else x,
        lambda x: x * 2 if x.shape[0] in {5, 9} else x,
        lambda x: x * {5: 3.0}.get(x.shape[0], 1.0),
        lambda x: x * float(f"{x.shape[0]:03d}"),
        lambda x: x[:3],
        lambda x: x[-x.shape[0] :],
        lambda x: x[1:-1] + x[2:],
        lambda x: x[3] if x.shape[0] > 3 else x[0],
        lambda x: x * sum(range(x.shape[0])),
        lambda x: x * max(x.shape),
    ],
)
def test_sizes_that_python_asks_for(f):
    compiled = dt.compile(f)
    for n in (3, 4, 5, 6, 3):
        x = array(n, 3)
        assert np.array_equal(compiled(x).numpy(), f(x).numpy())


def test_of_many_keys_those_of_families_go(monkeypatch):
    monkeypatch.setattr(compiled, "_MOST_KEYS", 3)
    f = dt.compile(lambda x: x * 2)
    for n in range(2, 9):
        f(array(n))
    f(dt.tensor([1, 2]))
    traces = f.traces
    f(array(2))
    f(array(8))
    f(dt.tensor([1, 2]))
    assert f.traces == traces == 3
    assert "lambda(float32[2])" in f.explain()
