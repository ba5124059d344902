"""Starting values: bounds, moments, determinism and refusals."""

import numpy as np
import pytest

import diptych as dt
from diptych import nn
from diptych.errors import ArgumentError, DTypeError, ShapeError, UnknownNameError
from diptych.graphs.storage import Storage

init = nn.init


def filled(function, *args, shape=(200, 300), dtype=np.float32, **options):
    x = nn.Parameter(np.zeros(shape, dtype))
    assert function(x, *args, generator=dt.Generator(1), **options) is x
    return x.detach().numpy()


def test_constants():
    x = nn.Parameter(np.ones((2, 3), np.float32))
    assert init.zeros_(x).tolist() == [[0.0] * 3] * 2
    assert init.constant_(x, 0.5).tolist() == [[0.5] * 3] * 2
    assert init.eye_(x).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    counts = Storage(np.zeros(2, np.int64))
    assert init.ones_(counts).array.tolist() == [1, 1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "function, args, options, mean, std, bound",
    [
        (init.uniform_, (1.0, 3.0), {}, 2, 2 / 12**0.5, 3),
        (init.normal_, (1.0, 0.5), {}, 1, 0.5, np.inf),
        (init.fan_in_uniform_, (300,), {}, 0, 1 / 30, 1 / 300**0.5),
        (init.xavier_uniform_, (2.0,), {}, 0, 2 * 0.004**0.5, 2 * 0.012**0.5),
        (init.xavier_normal_, (), {}, 0, 0.004**0.5, np.inf),
        (init.kaiming_uniform_, (), {"a": 5**0.5}, 0, 1 / 30, 1 / 300**0.5),
        (init.kaiming_normal_, (), {"mode": "fan_out", "nonlinearity": "relu"}, 0, 0.1, np.inf),
        (init.trunc_normal_, (), {}, 0, 0.8796, 2),
        (init.trunc_normal_, (1.0, 2.0), {"a": 5.0, "b": 100.0}, 1 + 2 * 2.3732, 0.675, 100),
        (init.trunc_normal_, (), {"a": -0.01, "b": 0.01}, 0, 0.02 / 12**0.5, 0.01),
        (init.trunc_normal_, (), {"a": 20.0, "b": 30.0}, 20.0498, 0.0497, 30),
    ],
)
def test_draws_have_their_moments(function, args, options, mean, std, bound, dtype):
    x = filled(function, *args, dtype=dtype, **options)
    assert x.dtype == dtype and np.abs(x).max() <= bound
    assert x.mean() == pytest.approx(mean, abs=0.02 * std)
    assert x.std() == pytest.approx(std, rel=0.02)
    assert np.array_equal(x, filled(function, *args, dtype=dtype, **options))


def test_fans_count_the_field_of_a_convolution():
    x = filled(init.xavier_uniform_, shape=(8, 4, 5, 5))
    assert np.abs(x).max() == pytest.approx((6 / (12 * 25)) ** 0.5, rel=0.01)
    x = filled(init.kaiming_uniform_, shape=(8, 4, 5, 5), mode="fan_out", nonlinearity="linear")
    assert np.abs(x).max() == pytest.approx((3 / (8 * 25)) ** 0.5, rel=0.01)


@pytest.mark.parametrize("shape", [(4, 6), (6, 4), (3, 2, 2), (5, 5)])
def test_orthogonal_rows_or_columns(shape):
    x = filled(init.orthogonal_, 2.0, shape=shape, dtype=np.float64).reshape(shape[0], -1)
    gram = x @ x.T if x.shape[0] <= x.shape[1] else x.T @ x
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-12)


def test_gains():
    known = {"linear": 1, "sigmoid": 1, "tanh": 5 / 3, "relu": 2**0.5, "selu": 0.75}
    assert {k: init.calculate_gain(k) for k in known} == known
    assert init.calculate_gain("leaky_relu", 1.0) == 1
    assert init.calculate_gain("leaky_relu") == pytest.approx((2 / 1.0001) ** 0.5)


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda x: init.uniform_(x, 1.0, 0.0), ArgumentError, "a must be at most b, got a=1.0"),
        (lambda x: init.normal_(x, std=-1.0), ArgumentError, "std must be at least 0, got std=-1"),
        (lambda x: init.trunc_normal_(x, std=0.0), ArgumentError, "std must be above 0"),
        (lambda x: init.trunc_normal_(x, a=2.0, b=2.0), ArgumentError, "a must be below b"),
        (init.eye_, ShapeError, r"eye_: must have two axes, got \(3,\)"),
        (init.xavier_normal_, ShapeError, r"xavier_normal_: must have at least two axes, got"),
        (init.orthogonal_, ShapeError, "orthogonal_: must have at least two axes"),
        (lambda x: init.kaiming_normal_(nn.Linear(2, 2).weight, mode="fan"), UnknownNameError,
         "mode: must be one of fan_in, fan_out, got 'fan'"),
        (lambda x: init.calculate_gain("sine"), UnknownNameError, "nonlinearity: must be one of"),
        (lambda x: init.zeros_(x.detach().numpy()), DTypeError, "takes a parameter or a storage"),
        (lambda x: init.normal_(Storage(np.zeros(3, np.int64))), DTypeError, "normal_: storage"),
    ],
)  # fmt: skip
def test_what_initialisers_refuse(call, error, text):
    with pytest.raises(error, match=text):
        call(nn.Parameter([1.0, 2.0, 3.0]))
