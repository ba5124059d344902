"""Native random numbers: those of the kernels."""

from __future__ import annotations

import numpy as np
import pytest

import diptych as dt
from diptych.compiler import Program
from diptych.compiler.native.toolchain import find_compiler
from diptych.graphs.ops.random import random_normal, random_uniform

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler")

SHAPES = [(), (1,), (7,), (33, 5), (1000,), (64, 128), (0, 3)]


def _drawing(executor: str) -> Program:
    with dt.static.Graph() as g:
        key, offset = g.placeholder("key", (2,), "uint64"), g.placeholder("offset", (), "int64")
        draws = [
            draw(key, offset, shape, dtype)
            for draw in (random_uniform, random_normal)
            for shape in SHAPES
            for dtype in ("float32", "float64")
        ]
    return g.compile(draws, executor=executor)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("threads", [1, 2, 3], indirect=True)
def test_draws_are_those_of_the_kernels() -> None:
    program = _drawing("native")
    assert " 0 operators without native code" in program.explain()
    for key, offset in (([0, 0], 0), ([2**64 - 1, 12345], 2**40)):
        feeds = {"key": np.array(key, np.uint64), "offset": np.array(offset)}
        expected = _drawing("reference").run(feeds)
        found = program.run(feeds)
        half = len(found) // 2
        for f, e in zip(found[:half], expected[:half]):
            assert f.tobytes() == e.tobytes()
        for f, e in zip(found[half:], expected[half:]):
            np.testing.assert_allclose(f, e, rtol=0, atol=32 * np.finfo(e.dtype).eps)


def test_a_negative_offset_is_refused() -> None:
    with pytest.raises(dt.errors.RangeError, match="offset must be at least 0, got -1"):
        _drawing("native").run({"key": np.zeros(2, np.uint64), "offset": np.array(-1)})
