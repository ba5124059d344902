"""Kernels of fused nodes are written once for all nodes that compute the same."""

from __future__ import annotations

from unittest import mock

import numpy as np

import diptych as dt
from diptych.compiler.native import kernels
from diptych.graphs.regions import FUSED

ROUNDS = 20


def unrolled(rounds: int) -> tuple[dt.static.Graph, dt.static.Value]:
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
    fused = [node for node in dt.compiler.passes.NATIVE_PASSES["fuse"](g).nodes if node.op is FUSED]
    assert len(fused) >= ROUNDS
    assert len({id(node.bound) for node in fused}) < ROUNDS
