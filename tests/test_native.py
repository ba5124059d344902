"""The native executor against the reference executor."""

from __future__ import annotations

from typing import Any

import pytest
from registry import KERNELS, assert_close, call, fill, is_array, results_of
from samples import SAMPLES

import diptych as dt
from diptych.compiler.native import build
from diptych.compiler.native.toolchain import find_compiler
from diptych.graphs.ops import Op

pytestmark = [
    pytest.mark.usefixtures("special_values"),
    pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler"),
]


@pytest.fixture(params=[1, 3], ids="{} threads".format)
def threads(request: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """How many threads share even the smallest step."""
    monkeypatch.setattr(build, "WORTH_THREADS", 0.0)
    before = dt.get_num_threads()
    dt.set_num_threads(request.param)
    yield request.param
    dt.set_num_threads(before)


@pytest.mark.usefixtures("threads")
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
