"""Native convolutions against the NumPy kernels. Small whole numbers make every sum exact."""

from __future__ import annotations

import ctypes
import functools
import random
import re
from typing import Any

import numpy as np
import pytest

from diptych.compiler.native.library import library, load
from diptych.compiler.native.toolchain import find_compiler
from diptych.graphs.kernels import convolution as kernels
from diptych.graphs.kernels.shapes.convolution import (
    Convolution,
    Kind,
    Rows,
    panel_elements,
    scratch_bytes,
    shared_rows,
)

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler")

STEP = """
void step{name}_{type}(dt_team *team, int thread, char *const *p) {{
    const dt_conv *shape = (const dt_conv *)p[0];
    dt_conv2d{name}_{type}(team, thread, shape, (const {type} *)p[1], (const {type} *)p[2],
                           ({type} *)p[3], p[4]);
}}
"""
PACKED_STEP = """
void step{name}_{type}(dt_team *team, int thread, char *const *p) {{
    const dt_conv *shape = (const dt_conv *)p[0];
    const int64_t lone = *(const int64_t *)p[6];
    dt_conv2d{name}_pack_{type}(team, thread, shape, (const {type} *)p[2], ({type} *)p[5]);
    dt_barrier(team);
    if (lone < 0 || lone == thread)
        dt_conv2d{name}_{type}(team, thread, shape, (const {type} *)p[1], (const {type} *)p[5],
                               ({type} *)p[3], p[4]);
}}
"""
SUFFIXES: dict[Kind, str] = {"forward": "", "transpose": "_transpose", "weight": "_weight"}
TYPES = {"float32": "float", "float64": "double"}
# The names stand in full, for what a program calls is loaded before it.
STEPS = '#include "convolution.h"' + "".join(
    (STEP if kind == "weight" else PACKED_STEP).format(name=name, type=type)
    for kind, name in SUFFIXES.items()
    for type in TYPES.values()
)
ORDERS = {"nchw": (0, 1, 2, 3), "nhwc": (0, 2, 3, 1)}
GUARD = 4096
UNUSED = -54321
CASE: dict[str, Any] = {
    "images": 2, "groups": 1, "channels": 3, "filters": 16, "size": (6, 7), "kernel": (3, 3),
    "stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "orders": ("nchw", "nhwc"),
}  # fmt: skip


def in_order(x: np.ndarray, order: str, spare: int = 0) -> np.ndarray:
    """The same values, elsewhere in memory; with `spare` numbers after each row of it."""
    axes = ORDERS[order]
    wide = np.zeros((*(x.shape[i] for i in axes[:3]), x.shape[axes[3]] + spare), x.dtype)
    view = wide[..., : x.shape[axes[3]]].transpose(np.argsort(axes))
    view[...] = x
    return view


def strides(x: np.ndarray) -> Any:
    return tuple(step // x.itemsize for step in x.strides)


class Case:
    """Operands of a convolution, and the results of the NumPy kernels."""

    def __init__(self, dtype: str = "float32", spare: int = 0, seed: int = 0, **case: Any) -> None:
        c = self.case = CASE | case
        windows = tuple(
            (n + sum(pads) - (k - 1) * d - 1) // s + 1
            for n, pads, k, d, s in zip(
                c["size"], c["padding"], c["kernel"], c["dilation"], c["stride"]
            )
        )
        if min(windows) < 1:
            raise ValueError("no window fits")
        rng = np.random.default_rng(seed)

        def draw(order: str, *shape: int) -> np.ndarray:
            return in_order(rng.integers(-3, 4, shape).astype(dtype), order, spare)

        first, second = c["orders"]
        self.x = draw(first, c["images"], c["channels"], *c["size"])
        self.y = draw(second, c["images"], c["filters"], *windows)
        filters = (c["filters"], c["channels"] // c["groups"], *c["kernel"])
        self.w = draw("nchw", *filters)
        self.shape = Convolution(
            c["images"], c["groups"], c["channels"], c["filters"], c["size"], windows,
            c["kernel"], c["stride"], tuple(before for before, _ in c["padding"]), c["dilation"],
            strides(self.x), strides(self.w), strides(self.y),
        )  # fmt: skip

    @functools.cache  # noqa: B019 - a case does not outlive its test
    def expected(self, kind: Kind) -> np.ndarray:
        c = self.case
        same = {key: c[key] for key in ("stride", "dilation", "groups")}
        if kind == "forward":
            return kernels.convolution(np, self.x, self.w, padding=c["padding"], **same)
        if kind == "weight":
            return kernels.convolution_weight_grad(
                np, self.x, self.y, size=c["kernel"], padding=c["padding"], **same
            )
        exact = tuple(
            (before, s * (m - 1) + (k - 1) * d + 1 - n - before)
            for (before, _), s, m, k, d, n in zip(
                c["padding"], c["stride"], self.shape.windows, c["kernel"], c["dilation"], c["size"]
            )
        )
        return kernels.transposed_convolution(
            np, self.y, self.w, padding=exact, output_padding=(0, 0), **same
        )

    def run(self, kind: Kind, threads: int = 1, lone: int = -1) -> np.ndarray:
        """The result; of one thread alone, where it has packed weights and is asked for."""
        roles = {"forward": "xwy", "transpose": "ywx", "weight": "xyw"}[kind]
        a, b, like = (getattr(self, role) for role in roles)
        memory, out = empty_like(like)
        nbytes = scratch_bytes(kind, self.shape, threads, a.itemsize)
        scratch = guarded(nbytes)
        packed = 0 if kind == "weight" else panel_elements(kind, self.shape, a.itemsize)
        panels = guarded(packed * a.itemsize)
        numbers = np.array([int(n) for n in re.findall(r"-?\d+", self.shape.text())], np.int64)
        arrays = (numbers, a, b, out, scratch, panels, np.array(lone, np.int64))
        pointers = (ctypes.c_void_p * len(arrays))(*(n.ctypes.data for n in arrays))
        step = getattr(load(STEPS), f"step{SUFFIXES[kind]}_{TYPES[str(a.dtype)]}")
        assert library().dt_run(step, pointers, threads) == 0
        assert (scratch[nbytes:] == 0xFF).all(), "wrote behind its scratch memory"
        assert (panels[packed * a.itemsize :] == 0xFF).all(), "wrote behind its panels"
        if lone < 0:
            assert (memory == UNUSED).sum() == memory.size - out.size, "wrote beside its result"
        return out

    def check(self, threads: int = 1) -> None:
        for kind in SUFFIXES:
            y = self.run(kind, threads)
            np.testing.assert_array_equal(y, self.expected(kind), err_msg=f"{kind}: {self.shape}")


def guarded(nbytes: int) -> np.ndarray:
    """Aligned memory with some behind it; these bytes are NaN."""
    room = np.full(nbytes + 64 + GUARD, 0xFF, np.uint8)
    return room[-room.ctypes.data % 64 :]


def empty_like(like: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Memory full of one number, and an array in it that lies as the given one does."""
    whole: Any = like
    while whole.base is not None:
        whole = whole.base
    memory = np.full(whole.shape, UNUSED, like.dtype)
    return memory, np.ndarray(like.shape, like.dtype, memory, strides=like.strides)


def pair(choices: Any) -> Any:
    return random.choice(choices), random.choice(choices)


def drawn(seed: int) -> Case:
    """Any convolution that fits."""
    random.seed(seed)
    while True:
        groups = random.choice([1, 1, 1, 2, 3])
        channels = groups * random.choice([1, 2, 3, 8, 16, 17, 32, 48])
        filters = groups * random.choice([1, 3, 5, 16, 17, 32, 33, 50, 64])
        if random.random() < 0.1:
            channels = groups = random.choice([4, 16])
            filters = groups * random.choice([1, 2])
        kernel, stride, dilation = pair([1, 1, 2, 3, 5]), pair([1, 1, 2, 3]), pair([1, 1, 1, 2, 3])
        size = pair([1, 2, 4, 5, 8, 13, 26])
        # Padding that leaves no number of an operand is more than the NumPy kernels take.
        padding = tuple(
            pair([p for p in (-2, -1, 0, 0, 0, 1, 1, 2, 4) if -n < p <= (k - 1) * d])
            for n, k, d in zip(size, kernel, dilation)
        )
        try:
            return Case(
                random.choice(list(TYPES)), random.choice([0, 0, 0, 3]), seed,
                images=random.choice([0, 1, 1, 2, 3, 5]), groups=groups, channels=channels,
                filters=filters, size=size, kernel=kernel, stride=stride,
                padding=padding, dilation=dilation, orders=pair(list(ORDERS)),
            )  # fmt: skip
        except ValueError:
            continue


@pytest.mark.parametrize("seed", range(150))
def test_any_convolution(seed: int) -> None:
    drawn(seed).check(1 + seed % 3)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(1000, 5000))
def test_more_convolutions(seed: int) -> None:
    drawn(seed).check(1 + seed % 3)


@pytest.mark.parametrize("orders", [("nchw", "nchw"), ("nhwc", "nhwc"), ("nchw", "nhwc")])
@pytest.mark.parametrize(
    "case",
    [
        {"size": (28, 28), "channels": 1},
        {"size": (28, 28), "channels": 64, "filters": 64},  # several bands an image
        {"size": (9, 9), "channels": 64, "stride": (2, 2)},
        {"size": (8, 8), "kernel": (1, 1), "padding": ((0, 0), (0, 0)), "channels": 32},
        {"size": (8, 8), "kernel": (1, 1), "padding": ((0, 0), (0, 0)), "stride": (2, 3)},
        {"size": (9, 12), "kernel": (2, 2), "stride": (3, 3), "padding": ((0, 0), (-1, 2))},
        {"size": (9, 12), "kernel": (3, 3), "stride": (4, 2), "dilation": (2, 4)},
        {"size": (1, 40), "kernel": (1, 5), "padding": ((0, 0), (2, 2)), "channels": 17},
        {"channels": 24, "filters": 24, "groups": 24},
        {"channels": 32, "filters": 32, "groups": 32, "stride": (2, 1), "size": (9, 9)},
        {"channels": 12, "filters": 96, "groups": 3},
        # Weights of which threads take parts, not images.
        {"images": 5, "channels": 165, "filters": 190, "size": (5, 6)},
        {"images": 2, "channels": 160, "filters": 192, "size": (9, 40), "dilation": (1, 2)},
        {"images": 3, "channels": 400, "filters": 360, "size": (6, 6), "groups": 2},
        {"images": 0, "channels": 400, "filters": 400},
        {"images": 0},
        {"size": (8, 8), "kernel": (1, 1), "padding": ((2, 1), (1, 2)), "stride": (2, 2)},
        {"size": (0, 3), "padding": ((2, 1), (1, 1))},
    ],
    ids=str,
)
def test_shapes(case: dict[str, Any], orders: tuple[str, str]) -> None:
    drawn = Case(**case, orders=orders)
    for threads in (1, 2, 3):
        drawn.check(threads)


def test_more_threads_than_rows() -> None:
    Case(images=1, size=(2, 9)).check(threads=5)


def rows_in(array: np.ndarray, rows: Rows) -> np.ndarray:
    """Which numbers of some images the rows hold."""
    height = array.shape[2]
    first, begin, last, end = rows
    mask = np.zeros((array.shape[0], height), bool)
    low, high = min(max(begin, 0), height - 1), min(max(end, 1), height)
    mask.reshape(-1)[first * height + low : last * height + high] = True
    return np.broadcast_to(mask[:, None, :, None], array.shape)


@pytest.mark.parametrize("kind", ["forward", "transpose"])
@pytest.mark.parametrize(
    "case",
    [
        {},
        {"size": (16, 5), "stride": (2, 1), "images": 1},
        {"size": (11, 4), "stride": (3, 2), "kernel": (5, 1), "padding": ((2, 2), (0, 0))},
        {"size": (9, 4), "kernel": (2, 2), "stride": (4, 1), "padding": ((-1, 3), (0, 0))},
        {"images": 3, "channels": 16, "filters": 16, "groups": 16},
    ],
    ids=str,
)
@pytest.mark.parametrize("threads", [2, 3, 5])
def test_threads_keep_to_their_rows(kind: Kind, case: dict[str, Any], threads: int) -> None:
    """They read no others and write no others: barriers are placed by that."""
    whole = Case(**case)
    shares = shared_rows(kind, whole.shape, threads)
    for thread, share in enumerate(shares):
        drawn = Case(**case)
        source, result = (drawn.x, drawn.y) if kind == "forward" else (drawn.y, drawn.x)
        reads, writes = np.zeros(source.shape, bool), np.zeros(result.shape, bool)
        if share is not None:
            reads, writes = rows_in(source, share[0]), rows_in(result, share[1])
        source[~reads] = np.nan
        expected = np.where(writes, whole.expected(kind), UNUSED)
        np.testing.assert_array_equal(drawn.run(kind, threads, thread), expected)


@pytest.mark.parametrize("kind", SUFFIXES)
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("channels", [16, 200])
def test_bits_repeat(kind: Kind, threads: int, channels: int) -> None:
    case = Case(images=7, channels=channels, filters=channels, size=(11, 11))
    rng = np.random.default_rng(1)
    for each in (case.x, case.w, case.y):
        each[...] = rng.standard_normal(each.shape)
    first = case.run(kind, threads)
    assert all(np.array_equal(case.run(kind, threads), first) for _ in range(3))
    expected = case.expected(kind)
    np.testing.assert_allclose(first, expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_reaches_its_windows_alone(value: float) -> None:
    case = Case(images=2, channels=17, filters=17, size=(9, 9))
    case.w[case.w == 0] = 1
    case.x[1, 2, 4, 4] = case.y[0, 3, 2, 5] = value
    for kind in SUFFIXES:
        if kind != "weight":
            np.testing.assert_array_equal(case.run(kind, 2), case.expected(kind))
    case.y[case.y == 0] = 1
    with np.errstate(invalid="ignore"):
        y, expected = case.run("weight", 2), case.expected("weight")
    np.testing.assert_array_equal(np.isfinite(y), np.isfinite(expected))
