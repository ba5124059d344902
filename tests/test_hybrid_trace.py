"""`dt.hybrid.trace`: one recorded run, checked against a second."""

import random
import time

import numpy as np
import pytest

import diptych as dt
from diptych.errors import ArgumentError, GraphError, StaticValueError


def x(*numbers):
    return dt.tensor(list(numbers))


@pytest.mark.parametrize("executor", ["reference", "planned", "native"])
def test_what_was_recorded_is_computed(executor):
    w = dt.nn.Parameter([[1.0, 2.0], [3.0, 4.0]])
    f = dt.hybrid.trace(
        lambda d, k: {"y": dt.tanh(d["x"] @ w) * k, "k": k}, {"x": dt.ones((3, 2))}, 2.0,
        executor=executor,
    )  # fmt: skip
    given = dt.asarray(np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2)).requires_grad_()
    found = f({"x": given}, 2.0)
    wanted = dt.tanh(given @ w) * 2.0
    assert np.allclose(found["y"].detach().numpy(), wanted.detach().numpy(), rtol=1e-6)
    assert found["k"] == 2.0
    gradients = [dt.grad(y.sum(), [w])[0].numpy() for y in (found["y"], wanted)]
    assert np.allclose(*gradients, rtol=1e-5)
    with dt.no_grad():
        assert not f({"x": given}, 2.0)["y"].requires_grad
    assert f.traces == 1


def test_other_calls_are_refused():
    scale = 2.0
    f = dt.hybrid.trace(lambda x, k: x * k * scale, x(1.0, 2.0), 3)
    with pytest.raises(GraphError, match=r"argument 0 must be as recorded, got float32\[1\] for"):
        f(x(1.0), 3)
    with pytest.raises(GraphError, match=r"argument 1 must be as recorded"):
        f(x(1.0, 2.0), 4)
    with pytest.raises(GraphError, match=r"in containers as recorded"):
        f([x(1.0, 2.0)], 3)
    scale = 3.0
    with pytest.raises(GraphError, match=r"as it was, got another value: scale was 2\.0 and is"):
        f(x(1.0, 2.0), 3)


def test_what_a_trace_does_not_see_is_found_by_the_second_run():
    with pytest.raises(GraphError, match="two runs must agree, got another result 0"):
        dt.hybrid.trace(lambda x: x * random.random(), x(1.0, 2.0))
    with pytest.raises(GraphError, match="two runs must agree"):
        dt.hybrid.trace(lambda x: (x, time.perf_counter_ns()), x(1.0))
    dt.hybrid.trace(lambda x: x * random.random(), x(1.0, 2.0), check=False)


def test_a_choice_by_the_data_is_an_error():
    with pytest.raises(StaticValueError):
        dt.hybrid.trace(lambda x: x if x.sum() > 0 else -x, x(1.0))
    with pytest.raises(ArgumentError, match="examples must hold a tensor"):
        dt.hybrid.trace(lambda k: k, 3)


def test_state_is_as_before():
    norm, drop = dt.nn.BatchNorm1d(2), dt.nn.Dropout(0.5)
    dt.manual_seed(3)
    before = norm.running_mean.array.copy()
    f = dt.hybrid.trace(lambda x: drop(norm(x)), dt.ones((4, 2)))
    assert np.array_equal(norm.running_mean.array, before)
    given = dt.asarray(np.arange(8, dtype=np.float32).reshape(4, 2))
    first = f(given).detach().numpy()
    assert not np.array_equal(norm.running_mean.array, before)
    dt.manual_seed(3)
    norm.running_mean.array[...] = before
    assert np.allclose(drop(norm(given)).detach().numpy(), first, rtol=1e-5)


def test_off_it_is_the_function():
    f = dt.hybrid.trace(lambda x: x * 2, x(1.0))
    with dt.hybrid.disabled():
        assert f(x(1.0, 2.0)).tolist() == [2.0, 4.0]
