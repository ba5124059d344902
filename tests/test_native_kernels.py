"""Kernels are written once for all nodes that compute the same, and compile in parts at once."""

from __future__ import annotations

import re
from typing import Any
from unittest import mock

import numpy as np
import pytest

import diptych as dt
from diptych.compiler.native import build, kernels
from diptych.compiler.passes import NATIVE_PASSES
from diptych.graphs.regions import FUSED

ROUNDS = 20


def unrolled(rounds: int) -> tuple[Any, Any]:
    with dt.static.Graph() as g:
        x, w = g.placeholder("x", (4, 8)), g.placeholder("w", (8, 8))
        for _ in range(rounds):
            x = dt.tanh(x @ w) + 0.5 * x
    return g, x


def written(rounds: int) -> int:
    """How many kernels are written for so many rounds."""
    g, x = unrolled(rounds)
    with (
        mock.patch.object(kernels, "nest", wraps=kernels.nest) as nests,
        mock.patch.object(kernels, "Product", wraps=kernels.Product) as products,
        mock.patch.dict("os.environ", DIPTYCH_PROGRAM_CACHE="0"),
    ):
        program = g.compile(x, executor="native")
    feeds = {"x": np.ones((4, 8), np.float32), "w": np.full((8, 8), 0.1, np.float32)}
    expected = g.compile(x, executor="reference").run(feeds)
    np.testing.assert_allclose(program.run(feeds), expected, rtol=1e-5)
    return nests.call_count + products.call_count


def test_kernels_do_not_grow_with_the_rounds_of_an_unrolled_loop() -> None:
    assert written(ROUNDS) == written(2 * ROUNDS) < ROUNDS


def test_groups_that_compute_the_same_share_what_they_are_bound_to() -> None:
    g, x = unrolled(ROUNDS)
    g.outputs = (x,)
    fused = [node for node in NATIVE_PASSES["fuse"](g).nodes if node.op is FUSED]
    assert len(fused) >= ROUNDS
    assert len({id(node.bound) for node in fused}) < ROUNDS


def units(cores: int) -> list[str]:
    with dt.static.Graph() as g:
        x = g.placeholder("x", (64, 32))
        for width in (40, 48, 56, 72):
            w = g.placeholder(f"w{width}", (x.shape[1], width))
            x = dt.softmax(dt.tanh(x @ w) / dt.exp(x @ w))
        g.outputs = (x,)
    passes = [(name, NATIVE_PASSES[name]) for name in ("decompose", "fuse")]
    with mock.patch.object(build, "threads_at_hand", lambda: cores):
        return build.build(g, {}, 2, passes).units


def defined(unit: str) -> set[str]:
    """The functions that a text defines."""
    return set(re.findall(r"void (\w+)\([^;{]*\{$", unit, re.MULTILINE))


@pytest.mark.parametrize("cores", [2, 5])
def test_each_function_is_in_one_of_the_units_that_compile_at_once(cores: int) -> None:
    [whole] = units(1)
    steps, *kernels = map(defined, units(cores))
    assert steps == {"step0"} and len(kernels) == cores
    assert sum(map(len, kernels)) + 1 == len(defined(whole))
    assert steps.union(*kernels) == defined(whole)
