"""The native executor against the reference executor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from native_results import run_graph
from registry import KERNELS, assert_close, call, fill, is_array, results_of
from samples import SAMPLES

import diptych as dt
from diptych.compiler.native.toolchain import find_compiler
from diptych.graphs.ops import Op

pytestmark = [
    pytest.mark.usefixtures("special_values"),
    pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler"),
]


@pytest.mark.usefixtures("threads", "unaided")
@pytest.mark.parametrize("op", [op for op in KERNELS.values() if not op.dynamic], ids=str)
def test_operators_give_what_their_kernels_give(op: Op) -> None:
    """All samples of an operator in one graph, which is one unit to compile."""
    feeds: dict[Any, Any] = {}
    results: list[list[Any]] = []
    with dt.static.Graph() as g:
        for sample in SAMPLES[op.name].samples:
            arrays = list(filter(is_array, sample.args))
            fed = [
                g.placeholder(f"x{len(feeds) + i}", a.shape, a.dtype) for i, a in enumerate(arrays)
            ]
            feeds.update(zip(fed, arrays))
            results.append(results_of(call(op, fill(sample.args, fed), sample.attrs)))
    expected = g.compile(results, executor="reference").run(feeds)
    found = g.compile(results, executor="native").run(feeds)
    ulp = max(SAMPLES[op.name].ulp, 8)
    for sample, ours, theirs in zip(SAMPLES[op.name].samples, found, expected, strict=True):
        for f, e in zip(ours, theirs, strict=True):
            assert (f.dtype, f.shape) == (e.dtype, e.shape), str(sample)
            try:
                assert_close(f, e, e.dtype, ulp)
            except AssertionError as error:
                error.add_note(str(sample))
                raise


def test_a_gated_unit_with_layer_norm_has_no_python_inside() -> None:
    """Pieces of gradients that two sums share are still put together."""
    rng = np.random.default_rng(0)
    norms = [dt.nn.LayerNorm(12) for _ in range(2)]
    wx, wh = (dt.Parameter(rng.normal(size=(n, 12)).astype(np.float32)) for n in (3, 4))

    def cell(h: Any, x: Any) -> Any:
        p, q = norms[0](x @ wx), norms[1](h @ wh)
        r, z = (dt.sigmoid(p[:, k : k + 4] + q[:, k : k + 4]) for k in (0, 4))
        n = dt.tanh(p[:, 8:] + r * q[:, 8:])
        return n + z * (h - n), None

    with dt.static.Graph() as g:
        xs = g.placeholder("xs", (5, 2, 3))
        h, _ = dt.scan(cell, dt.zeros((2, 4)), xs)
        loss = dt.sum(h * h)
        found = [loss, dt.grad(loss, [wx, wh, norms[0].weight, norms[1].bias])]
    feeds = {"xs": rng.normal(size=(5, 2, 3)).astype(np.float32)}
    ours, expected = run_graph(g, found, feeds)
    for f, e in zip(ours[1], expected[1], strict=True):
        np.testing.assert_allclose(f, e, rtol=1e-4, atol=1e-5)
