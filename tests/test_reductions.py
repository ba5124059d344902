"""What reductions and sorting promise beyond their values: precision, ties, zeros, order."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import diptych as dt
from diptych.graphs.dtypes import BFLOAT16


def _derivatives(function: Any, values: Any) -> tuple[Any, Any]:
    """The gradient of a scalar function, and the matrix of its second derivatives."""
    x = dt.tensor(values, dtype="float64", requires_grad=True)
    (first,) = dt.grad(function(x), x, create_graph=True)
    rows = [dt.grad(g, x, retain_graph=True)[0].tolist() for g in first]
    return first.tolist(), rows


def _gradient(function: Any, values: Any) -> Any:
    x = dt.tensor(values, dtype="float64", requires_grad=True)
    return dt.grad(function(x), x)[0].tolist()


def test_products_with_zeros_have_exact_derivatives() -> None:
    first, second = _derivatives(dt.prod, [0.0, 3.0, 5.0])
    assert first == [15.0, 0.0, 0.0]
    assert second == [[0.0, 5.0, 3.0], [5.0, 0.0, 0.0], [3.0, 0.0, 0.0]]
    first, second = _derivatives(dt.prod, [0.0, 0.0, 5.0])
    assert first == [0.0, 0.0, 0.0]
    assert second == [[0.0, 5.0, 0.0], [5.0, 0.0, 0.0], [0.0, 0.0, 0.0]]


def test_cumulative_products_with_zeros_have_exact_derivatives() -> None:
    def total(x: Any) -> Any:
        return dt.sum(dt.cumulative_prod(x))

    first, second = _derivatives(total, [2.0, 0.0, 3.0])
    assert first == [1.0, 8.0, 0.0]
    assert second == [[0.0, 4.0, 0.0], [4.0, 0.0, 2.0], [0.0, 2.0, 0.0]]


def test_the_deviation_of_equal_numbers_has_gradient_0() -> None:
    assert _derivatives(dt.std, [2.0, 2.0]) == ([0.0, 0.0], [[0.0, 0.0], [0.0, 0.0]])


def test_log_of_no_exponential_has_gradient_0() -> None:
    infinite = [-math.inf, -math.inf]
    assert _derivatives(dt.logsumexp, infinite) == ([0.0, 0.0], [[0.0, 0.0], [0.0, 0.0]])
    assert _gradient(dt.logsumexp, [-math.inf, 1.0]) == [0.0, 1.0]


@pytest.mark.parametrize("extremum", [dt.max, dt.min])
def test_ties_share_the_gradient(extremum: Any) -> None:
    assert _gradient(extremum, [1.0, 1.0]) == [0.5, 0.5]


def test_equal_middle_elements_share_the_gradient() -> None:
    assert _gradient(dt.median, [0.0, 1.0, 1.0, 2.0]) == [0.0, 0.5, 0.5, 0.0]


# -- 16-bit floats -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.dtype("float16"), BFLOAT16])
def test_16_bit_floats_are_added_up_in_32(dtype: np.dtype) -> None:
    ones = np.ones((5000, 2), dtype)
    expected = np.array(5000, dtype)
    assert (dt.sum(ones, axis=0) == expected).all()
    assert (dt.sum_to(ones, (2,)) == expected).all()
    assert (dt.cumulative_sum(ones, axis=0)[-1] == expected).all()
    assert (dt.var(np.concatenate([ones, -ones]), axis=0) == 1).all()
    assert (dt.logsumexp(ones * dtype.type(0), axis=0) == np.array(math.log(5000), dtype)).all()
    assert (dt.prod(np.full((64, 2), 0.75, dtype), axis=0) == np.array(0.75**64, dtype)).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_gradient_of_a_mean_of_many_16_bit_floats(dtype: str) -> None:
    x = dt.zeros((70_001,), dtype=dtype).requires_grad_()
    (gradient,) = dt.grad(dt.mean(x), x)
    assert (gradient.array == np.array(1 / 70_001).astype(gradient.dtype)).all()


# -- order -------------------------------------------------------------------------------------

_ZEROS = [0.0, -0.0, 1.0, -0.0, 0.0, -1.0]


@pytest.mark.parametrize(
    "descending, order", [(False, [5, 0, 1, 3, 4, 2]), (True, [2, 0, 1, 3, 4, 5])]
)
def test_a_stable_sort_keeps_the_order_of_zeros(descending: bool, order: list[int]) -> None:
    x = np.array(_ZEROS)
    assert dt.argsort(x, descending=descending).tolist() == order
    found = dt.sort(x, descending=descending)
    assert np.signbit(found).tolist() == np.signbit(x[order]).tolist()


@pytest.mark.parametrize("descending", [False, True])
def test_nan_is_last_in_any_order(descending: bool) -> None:
    x = dt.tensor([math.nan, 1.0, -math.inf, math.nan, math.inf])
    found = dt.sort(x, descending=descending).tolist()
    expected = sorted([1.0, -math.inf, math.inf], reverse=descending)
    assert found[:3] == expected and all(map(math.isnan, found[3:]))
    assert dt.argsort(x, descending=descending).tolist()[3:] == [0, 3]
    values, indices = dt.topk(x, 4, largest=descending)
    assert values.tolist()[:3] == expected and indices.tolist()[3] in (0, 3)


def test_a_long_sort_is_that_of_numpy() -> None:
    rng = np.random.default_rng(0)
    for x in (rng.standard_normal(5000), rng.integers(0, 50, 5000), rng.integers(0, 2, 5000) > 0):
        np.testing.assert_array_equal(dt.sort(x), np.sort(x))
        np.testing.assert_array_equal(dt.sort(x, descending=True), np.sort(x)[::-1])
        np.testing.assert_array_equal(dt.argsort(x), np.argsort(x, kind="stable"))
        values, indices = dt.topk(x, 100)
        np.testing.assert_array_equal(values, np.sort(x)[::-1][:100])
        np.testing.assert_array_equal(x[indices], values)
        assert len(set(indices.tolist())) == 100


def test_each_nan_is_distinct() -> None:
    values, indices, inverse, counts = dt.unique_all([math.nan, 1.0, math.nan, -0.0, 0.0])
    np.testing.assert_array_equal(values, [0.0, 1.0, math.nan, math.nan])
    assert np.signbit(values[0])
    assert indices.tolist() == [3, 1, 0, 2] and counts.tolist() == [2, 1, 1, 1]
    assert inverse.tolist() == [2, 1, 3, 0, 0]
