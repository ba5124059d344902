"""What goes along one axis in native code: order, running sums and recurrences of many lines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from native_results import run
from registry import widened

import diptych as dt
from diptych.compiler.native.toolchain import find_compiler

pytestmark = [
    pytest.mark.usefixtures("threads", "unaided", "special_values"),
    pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler"),
]

DTYPES = ("float32", "float64", "bfloat16", "int8", "uint16", "int32", "int64", "uint64", "bool")


def numbers(*shape: int, dtype: str = "float32", seed: int = 0) -> np.ndarray:
    """Some of them equal, some special, some as large as they come."""
    rng = np.random.default_rng(seed)
    kind = dt.zeros(1, dtype=dtype).dtype
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if kind.kind in "iu":
        least, most = np.iinfo(kind).min, np.iinfo(kind).max
        array = rng.integers(least, most, shape, kind, endpoint=True)
        return np.where(rng.random(shape) < 0.5, array, rng.integers(0, 4, shape).astype(kind))
    array = (rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 4, shape)).astype(kind)
    for special in (np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0):
        array[rng.random(shape) < 0.05] = special
    return array


@pytest.mark.parametrize("dtype", DTYPES)
def test_order_of_short_and_long_lines(dtype: str) -> None:
    def build(*xs: Any) -> Any:
        return [
            f(x, axis=axis, descending=down, stable=True)
            for x in xs
            for axis in range(len(x.shape))
            for down in (False, True)
            for f in (dt.sort, dt.argsort)
        ]

    arrays = [numbers(*shape, dtype=dtype) for shape in ((5, 30, 3), (2, 700), (300,), (1, 1))]
    for found, wanted in zip(*run(build, *arrays), strict=True):
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(widened(found), widened(wanted))
        if found.dtype.kind == "f":
            np.testing.assert_array_equal(np.signbit(found), np.signbit(wanted))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_first_few_in_order(dtype: str) -> None:
    """Of equal numbers the ones that come first, which the kernel leaves open."""
    x = numbers(3, 200, dtype=dtype)
    counts = (1, 5, 40, 150, 200)
    found, _ = run(lambda v: [dt.topk(v, k, largest=g)[i] for k in counts for g in (True, False)
                              for i in (0, 1)], x)  # fmt: skip
    orders = {g: dt.argsort(x, axis=1, descending=g, stable=True) for g in (True, False)}
    results = iter(found)
    for k in counts:
        for largest in (True, False):
            values, indices = next(results), next(results)
            np.testing.assert_array_equal(indices, orders[largest][:, :k])
            chosen = np.take_along_axis(x, indices, 1)
            np.testing.assert_array_equal(widened(values), widened(chosen))


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int8", "int64", "uint64"])
def test_running_sums_and_products(dtype: str) -> None:
    def build(x: Any) -> Any:
        return [
            f(v, axis=axis, include_initial=initial)
            for v in (x, dt.permute_dims(x, (2, 0, 1)))
            for axis in range(3)
            for initial in (False, True)
            for f in (dt.cumulative_sum, dt.cumulative_prod)
        ]

    x = np.random.default_rng(0).integers(-2, 3, (7, 21, 300)).astype(dt.ones(1, dtype=dtype).dtype)
    for found, wanted in zip(*run(build, x), strict=True):
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)


def test_recurrences() -> None:
    """There is nothing before a line's first number: what it would be multiplied with is none."""

    def build(b: Any, *factors: Any) -> Any:
        turned = dt.permute_dims(dt.permute_dims(b, (2, 1, 0)) * 1.5, (2, 1, 0))
        return [dt.linear_recurrence(a, v, i) for i, a in enumerate(factors) for v in (b, turned)]

    rng = np.random.default_rng(0)
    b, *factors = (rng.uniform(-1, 1, (6, 13, 270)) for _ in range(4))
    for axis, a in enumerate(factors):
        a[(*[slice(None)] * axis, 0)] = (np.nan, np.inf, -np.inf)[axis]
    for found, wanted in zip(*run(build, b, *factors), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)
