"""Pooling by the library of native kernels: every geometry, and images in any order in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from native_results import run_graph

import diptych as dt
from diptych.compiler.native import build
from diptych.compiler.native.toolchain import find_compiler

pytestmark = [
    pytest.mark.usefixtures("special_values"),
    pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler"),
]

# Sizes of images with 1 and with 2 spatial axes, and the windows that slide over them.
GEOMETRIES: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((3, 2, 9), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ((2, 70, 7), {"kernel_size": 2, "ceil_mode": True}),
    ((5, 3, 8, 8), {"kernel_size": 2}),
    ((1, 130, 6, 5), {"kernel_size": 2, "stride": 1}),
    ((2, 17, 9, 7), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    ((2, 4, 11, 40), {"kernel_size": (1, 5), "stride": (2, 3), "padding": (0, 2)}),
    ((1, 1, 40, 3), {"kernel_size": (4, 3), "stride": (3, 1)}),
    ((2, 3, 5, 5), {"kernel_size": 2, "stride": 3, "ceil_mode": True}),
]
ORDERS = ((0, 1, 2), (0, 2, 1), (2, 1, 0))  # batches, channels and all of space, slow to fast


def axes_of(order: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """The axes of images in an order of batches, channels and space."""
    space = {0: (0,), 1: (1,), 2: tuple(range(2, rank))}
    return tuple(axis for group in order for axis in space[group])


def numbers(shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray:
    """Few different ones, so that some windows have several maxima; and some that are special."""
    rng = np.random.default_rng(seed)
    array = rng.integers(-4, 5, shape).astype(dtype)
    array[rng.random(shape) < 0.02] = np.nan
    array[rng.random(shape) < 0.02] = np.inf
    return np.where(rng.random(shape) < 0.02, -array, array)


def pooled(x: Any, t: Any, window: dict[str, Any]) -> list[Any]:
    """All operators of pooling, of images and a tangent of them."""
    rank = len(x.shape) - 2
    largest = (dt.max_pool1d, dt.max_pool2d)[rank - 1](x, **window)
    means = [
        (dt.avg_pool1d, dt.avg_pool2d)[rank - 1](x, **window, count_include_pad=c)
        for c in (True, False)
    ]
    of_maxima = {k: v for k, v in window.items() if k != "ceil_mode"}
    return [
        largest,
        *means,
        dt.max_pool_grad(x, largest, means[0], **of_maxima),
        dt.max_pool_tangent(x, largest, t, **of_maxima),
        dt.avg_pool_grad(largest, x.shape[2:], **window),
        dt.avg_pool_grad(means[0], x.shape[2:], **window, count_include_pad=False),
    ]


@pytest.mark.usefixtures("threads", "unaided")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_pooling_of_images_in_any_order(order: tuple[int, ...], dtype: str) -> None:
    feeds: dict[str, Any] = {}
    fetches = []
    with dt.static.Graph() as g:
        for number, (shape, window) in enumerate(GEOMETRIES):
            axes = axes_of(order, len(shape))
            given = []
            for name, seed in (("x", number), ("t", number + 50)):
                array = numbers(shape, dtype, seed).transpose(axes).copy()
                feeds[f"{name}{number}"] = array
                fed = g.placeholder(f"{name}{number}", array.shape, dtype)
                given.append(dt.permute_dims(fed, tuple(np.argsort(axes))))
            results = pooled(*given, window)
            # What is fetched lies as NumPy has it, what is read again lies as its operand does.
            fetches.append(results if number % 2 else list(map(dt.negative, results)))
    for ours, theirs in zip(*run_graph(g, fetches, feeds), strict=True):
        for f, w in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(f, w, rtol=1e-5, atol=1e-5)


def test_pooling_gives_the_same_bits_with_any_number_of_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is added up across threads."""
    monkeypatch.setattr(build, "WORTH_THREADS", 0.0)
    shape, window = GEOMETRIES[4]
    with dt.static.Graph() as g:
        x, t = (g.placeholder(name, shape) for name in "xt")
        fetches = pooled(x, t, window)
    feeds = {"x": numbers(shape, "float32", 0), "t": numbers(shape, "float32", 1)}
    found = []
    for count in (1, 2, 3, 7):
        dt.set_num_threads(count)
        found.append([a.tobytes() for a in g.compile(fetches, executor="native").run(feeds)])
    assert all(one == found[0] for one in found)
