"""Reductions and choices over many numbers: all threads of the pool, and NumPy's own bits."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

import diptych as dt
from diptych.graphs.compiled import reduces
from diptych.graphs.kernels import elementwise, reductions
from diptych.graphs.kernels.library import library

pytestmark = pytest.mark.skipif(
    not dt.is_compiled() or library() is None, reason="the package was built without a compiler"
)

SHAPES = [
    (300_017,), (1000, 301), (2, 200_001), (200_001, 2), (3, 131_072), (64, 33, 150), (7, 40, 1500),
    (8, 16, 50, 50), (3, 1, 100_000), (5, 60_000, 1), (400, 31, 25),
]  # fmt: skip


def numbers(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 4, shape)
    x.reshape(-1)[::1009], x.reshape(-1)[3::1009] = -0.0, 0.0
    return x.astype(dtype)


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "mean"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_bits_are_those_of_numpy_on_any_number_of_threads(
    shape: tuple[int, ...], name: str
) -> None:
    every = [axis for n in range(1, len(shape) + 1) for axis in combinations(range(len(shape)), n)]
    for dtype in ("float32", "float64", "int64"):
        if name == "mean" and dtype == "int64":
            continue
        x = numbers(shape, dtype)
        x.reshape(-1)[5 :: x.size // 2] = np.nan if dtype[0] == "f" and name != "sum" else 1
        named = {"dtype": x.dtype} if name in ("sum", "prod") else {}
        for axis in every:
            with np.errstate(all="ignore"):
                expected = np.asarray(getattr(np, name)(x, axis=axis, **named))
                for threads in (2, 3):
                    dt.set_num_threads(threads)
                    kernel = getattr(reductions, name)
                    found = kernel(np, x, axis=axis, keepdims=len(axis) == 1, **named)
                    assert found.dtype == expected.dtype
                    assert found.tobytes() == expected.tobytes()


def test_threads_reduce_large_arrays_and_no_small_ones() -> None:
    dt.set_num_threads(2)
    x = np.ones((600, 1000), np.float32)
    assert reduces(np.add, x, np.empty(600, np.float32), (1, 1, 600, 1000))
    assert reduces(np.add, x, np.empty((), np.float32), (1, 1, 1, 600_000))
    assert reduces(np.maximum, x, np.empty(600, np.float32), (1, 1, 600, 1000))
    assert reduces(np.add, x, np.empty((300, 1000), np.float32), (300, 2, 1000, 1))
    few = x[:10]
    assert not reduces(np.add, few, np.empty(10, np.float32), (1, 1, 10, 1000))
    assert not reduces(np.add, x, np.empty(600, np.float64), (1, 1, 600, 1000))  # another dtype
    assert not reduces(np.add, x.T, np.empty(1000, np.float32), (1, 1, 1000, 600))  # not dense
    assert not reduces(np.add, x, np.empty(600, np.float32), (1, 1, 600, 999))  # another size
    dt.set_num_threads(1)
    assert not reduces(np.add, x, np.empty(600, np.float32), (1, 1, 600, 1000))


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int16", "float16", "float32", "int64", "complex64"]
)
def test_a_choice_keeps_every_bit(dtype: str) -> None:
    rng = np.random.default_rng(0)
    size = 300_017
    condition = rng.random(size) < 0.5
    x, y = (rng.integers(0, 255, size * 16, np.uint8).view(dtype)[:size] for _ in range(2))
    if dtype == "bool":
        x, y = x != 0, y != 0
    for c, a, b in [
        (condition, x, y), (condition, x[3], y), (condition, x, y[3]), (condition[0], x, y),
        (condition[::-1], x[::-1], y), (condition[:3000].reshape(3000, 1), x[:100], y[:100]),
    ]:  # fmt: skip
        a, b = np.asarray(a), np.asarray(b)
        expected = np.where(c, a, b)
        for threads in (1, 2, 3):
            dt.set_num_threads(threads)
            found = elementwise.where(np, np.asarray(c), a, b)
            assert found.dtype == expected.dtype and found.tobytes() == expected.tobytes()
    out = x.copy()
    elementwise.where(np, condition, out, y, out=out)
    assert out.tobytes() == np.where(condition, x, y).tobytes()
