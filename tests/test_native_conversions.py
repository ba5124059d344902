"""Conversions between dtypes, and arithmetic of integers, in native code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from native_results import run, run_graph

import diptych as dt
from diptych.compiler.native.toolchain import find_compiler
from diptych.graphs.dtypes import BFLOAT16, FLOAT16

pytestmark = [
    pytest.mark.usefixtures("unaided", "special_values"),
    pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler"),
]

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def assert_same_bits(found: np.ndarray, wanted: np.ndarray) -> None:
    """Of NaN, that it is one."""
    assert found.dtype == wanted.dtype
    numbers = ~np.isnan(wanted.astype("float64"))
    np.testing.assert_array_equal(np.isnan(found.astype("float64")), ~numbers)
    bits = f"u{found.dtype.itemsize}"
    np.testing.assert_array_equal(found.view(bits)[numbers], wanted.view(bits)[numbers])


@pytest.mark.parametrize("dtype", [FLOAT16, BFLOAT16], ids=str)
def test_floats_of_16_bits_from_and_to_all_others(dtype: np.dtype) -> None:
    short = np.arange(1 << 16, dtype=np.uint16).view(dtype)
    exact = short.astype(np.float64)
    with np.errstate(all="ignore"):
        between = [exact, (exact[1:] + exact[:-1]) / 2]  # what is rounded to even
    near = np.concatenate([np.nextafter(b, to) for b in between for to in (-np.inf, np.inf)])
    rng = np.random.default_rng(0)
    wide = np.concatenate(
        [*between, near, rng.standard_normal(50_000) * 10.0 ** rng.integers(-12, 12, 50_000)]
    )
    single = np.concatenate(
        [wide.astype(np.float32), np.nextafter(wide.astype(np.float32), np.float32(0))]
    )
    whole = rng.integers(-(1 << 20), 1 << 20, 20_000)

    def build(h: Any, x: Any, y: Any, n: Any) -> Any:
        up = [dt.astype(h, k) for k in ("float32", "float64", "bool", FLOAT16, BFLOAT16)]
        return [*up, *(dt.astype(v, dtype) for v in (x, y, n))]

    for found, wanted in zip(*run(build, short, single, wide, whole), strict=True):
        assert_same_bits(found, wanted)


@pytest.mark.parametrize("source", ["float16", "float32", "float64"])
def test_floats_become_integers(source: str) -> None:
    """Those that fit are cut off; of others, processors decide, and ours and NumPy's loops agree
    on all but the unsigned ones of 32 bits."""
    rng = np.random.default_rng(0)
    x = np.concatenate([
        rng.uniform(-140, 270, 5000), rng.standard_normal(5000) * 10.0 ** rng.integers(0, 22, 5000),
        [0.0, -0.0, 0.99, -0.99, 127.9, -128.9, 2.0**31 - 1, -(2.0**31), 2.0**63, -(2.0**63)],
    ]).astype(source)  # fmt: skip
    found, wanted = run(lambda v: [dt.astype(v, name) for name in INTEGERS], x)
    for name, f, w in zip(INTEGERS, found, wanted, strict=True):
        info = np.iinfo(name)
        wide = np.trunc(x.astype(np.float64))
        fits = (wide >= info.min) & (wide <= info.max) & (wide < 2.0**64)
        assert fits.any() and f.dtype == w.dtype
        np.testing.assert_array_equal(f[fits], w[fits])


@pytest.mark.parametrize("dtype", INTEGERS)
def test_arithmetic_of_integers(dtype: str) -> None:
    info = np.iinfo(dtype)
    some = [info.min, info.min + 1, 0, 1, 2, 3, 7, 8, 31, 32, 63, 64, info.max - 1, info.max]
    some += [-1, -2, -7, -64] if info.min else []
    x, y = (a.ravel().copy() for a in np.meshgrid(np.array(some, dtype), np.array(some, dtype)))

    def build(a: Any, b: Any) -> Any:
        return [
            dt.floor_divide(a, b), dt.remainder(a, b), dt.abs(a), dt.sign(a), dt.bitwise_invert(a),
            dt.bitwise_left_shift(a, b), dt.bitwise_right_shift(a, b), a + b, a - b, a * b, -a,
            dt.maximum(a, b), dt.floor(a), dt.round(a), dt.isnan(a), dt.isfinite(a), dt.isinf(a),
            dt.sum(a), dt.prod(a), dt.max(a), dt.min(a), dt.any(a), dt.all(a), dt.argmax(a),
            dt.cumulative_sum(a, dtype=dtype),
        ]  # fmt: skip

    for found, wanted in zip(*run(build, x, y), strict=True):
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        np.testing.assert_array_equal(found, wanted)


def test_a_network_of_floats_of_16_bits_trains_natively() -> None:
    """Products, convolutions, normalisations and their gradients: float32 within, rounded once."""
    rng = np.random.default_rng(0)
    w, v = (
        dt.Parameter((rng.standard_normal(shape) * 0.3).astype(BFLOAT16))
        for shape in ((4, 3, 3, 3), (4, 5))
    )
    with dt.static.Graph() as g:
        x = g.placeholder("x", (2, 3, 6, 6), "bfloat16")
        h = dt.max_pool2d(dt.relu(dt.conv2d(x, w, padding=1)), 2)
        y = dt.softmax(dt.layer_norm(dt.mean(h, axis=(2, 3)), 1.0, 0.0, (4,)) @ v)
        loss = dt.sum(y * y)
        fetches = [loss, *g.grad(loss, [w, v])]
    feeds = {"x": rng.standard_normal((2, 3, 6, 6)).astype(BFLOAT16)}
    for found, expected in zip(*run_graph(g, fetches, feeds), strict=True):
        assert found.dtype == BFLOAT16
        np.testing.assert_allclose(
            found.astype(np.float32), expected.astype(np.float32), rtol=0.05, atol=0.02
        )


def test_a_users_operator_sees_floats_of_16_bits() -> None:
    """What is computed in float32 elsewhere is left to it."""
    seen = []

    def forward(x: np.ndarray) -> np.ndarray:
        seen.append(x.dtype)
        return x + x

    twice = dt.custom_op("twice_in_16_bits", "x -> y", forward, infer=lambda x: x)
    with dt.static.Graph() as g:
        y = -twice(-g.placeholder("x", (3,), "float16"))
    [found] = g.compile([y], executor="native").run({"x": np.ones(3, FLOAT16)})
    assert found.tolist() == [2.0, 2.0, 2.0] and set(seen) == {FLOAT16}


def test_bools_are_read_and_written_as_bytes_whatever_their_bits() -> None:
    with dt.static.Graph() as graph:
        mask, x = graph.placeholder("mask", (80,), "bool"), graph.placeholder("x", (80,))
        program = graph.compile([dt.where(mask, x, -x), (x > 10) & mask], executor="native")
    bits = (np.arange(80) % 5 * 50).astype(np.uint8)
    numbers = np.arange(80, dtype=np.float32)
    chosen, both = program.run({"mask": bits.view(bool), "x": numbers})
    np.testing.assert_array_equal(chosen, np.where(bits > 0, numbers, -numbers))
    np.testing.assert_array_equal(both.view(np.uint8), ((numbers > 10) & (bits > 0)).view(np.uint8))
