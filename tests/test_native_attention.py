"""Native attention and its gradients against the NumPy kernels."""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from native_steps import TYPES, Result, each_type, layout, run

from diptych.compiler.native.library import load
from diptych.compiler.native.toolchain import find_compiler
from diptych.graphs.kernels import attention as kernels
from diptych.graphs.kernels.shapes.attention import Attention, described

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler")

SHAPES = """
#include "operators.h"
static const dt_attention shapes[] = {%s};
"""
STEPS = """
void attention_TYPE(dt_team *team, int thread, char *const *p) {
    dt_attention_TYPE(team, thread, &shapes[*(const dt_int *)p[0]], (const TYPE *)p[1],
                      (const TYPE *)p[2], (const TYPE *)p[3], p[4], (TYPE *)p[5], p[6]);
}
void attention_grad_TYPE(dt_team *team, int thread, char *const *p) {
    dt_attention_grad_TYPE(team, thread, &shapes[*(const dt_int *)p[0]], (const TYPE *)p[1],
                           (const TYPE *)p[2], (const TYPE *)p[3], p[4], (const TYPE *)p[5],
                           (TYPE *)p[6], (TYPE *)p[7], (TYPE *)p[8], p[9]);
}
"""
# Axes of memory from the slowest to the fastest, for batches, heads, rows, columns.
ORDERS = {"dense": (0, 1, 2, 3), "rows first": (0, 2, 1, 3), "turned": (0, 1, 3, 2)}


@dataclass(frozen=True)
class Case:
    """One attention: its sizes, how its tensors lie, and what is odd about its numbers."""

    lead: tuple[int, int] = (2, 3)
    queries: int = 7
    keys: int = 7
    width: int = 8
    channels: int = 8
    mask: tuple[str, tuple[int, ...]] | None = None  # kind, and which axes it has
    causal: bool = False
    scale: float = 0.5
    dtype: str = "float32"
    order: str = "dense"
    threads: int = 1
    odd: tuple[str, float] | None = None  # an operand, and a number that it holds once
    seed: int = 0

    @functools.cached_property
    def operands(self) -> list[np.ndarray]:
        """Query, key, value, mask and cotangent."""
        rng = np.random.default_rng(self.seed)
        sizes = {"q": (self.queries, self.width), "k": (self.keys, self.width)}
        sizes |= {"v": (self.keys, self.channels), "g": (self.queries, self.channels)}
        drawn = {}
        for name, size in sizes.items():
            shape = (*self.lead, *size)
            drawn[name] = Result(shape, self.dtype, ORDERS[self.order], gap=3).view
            drawn[name][...] = rng.standard_normal(shape)
        mask = np.array(True)
        if self.mask is not None:
            whole = (*self.lead, self.queries, self.keys)
            shape = tuple(n if kept else 1 for n, kept in zip(whole, self.mask[1]))
            mask = rng.standard_normal(shape).astype(self.dtype)
            mask = mask > 0.5 if self.mask[0] == "bool" else mask
        if self.odd is not None:
            name, number = self.odd
            place = np.s_[:1, -1:, :1, :1] if name == "m" else np.s_[:1, -1:, -1:, :1]
            (drawn | {"m": mask})[name][place] = number
        return [drawn["q"], drawn["k"], drawn["v"], mask, drawn["g"]]

    @functools.cached_property
    def results(self) -> list[Result]:
        """Memory for the result, and for the gradients of query, key and value."""
        q, k, v, _, g = (each.shape for each in self.operands)
        return [Result(shape, self.dtype, ORDERS[self.order]) for shape in (g, q, k, v)]

    def described(self, gradients: bool) -> tuple[Attention, int]:
        q, k, v, mask, g = map(layout, self.operands)
        y, *to = (layout(result.view) for result in self.results)
        found = described(
            q, k, v, mask if mask.shape else None, g if gradients else y, to if gradients else (),
            is_causal=self.causal, scale=self.scale, threads=self.threads,
        )  # fmt: skip
        assert found is not None
        return found

    def run(self, position: int, steps: Any, gradients: bool, fill: int = 255) -> list[np.ndarray]:
        q, k, v, mask, g = self.operands
        results = self.results[1:] if gradients else self.results[:1]
        name = "attention_grad" if gradients else "attention"
        arrays = [np.array(position), q, k, v, mask, *([g] if gradients else [])]
        arrays += [result.view for result in results]
        step = getattr(steps, f"{name}_{TYPES[self.dtype]}")
        assert run(step, arrays, self.described(gradients)[1], self.threads, fill) == 0
        return [result.checked() for result in results]

    def expected(self, gradients: bool) -> list[np.ndarray]:
        q, k, v, mask, g = self.operands
        attrs = {"is_causal": self.causal, "scale": self.scale}
        with np.errstate(all="ignore"):
            if gradients:
                return list(kernels.attention_grad(np, q, k, v, mask, g, **attrs))
            return [kernels.attention(np, q, k, v, mask, **attrs)]


MASKS = [None, ("bool", (1, 1, 1, 1)), ("float", (1, 1, 1, 1)), ("bool", (1, 0, 0, 1)),
         ("float", (0, 1, 1, 0)), ("bool", (0, 0, 1, 1)), ("bool", (0, 0, 0, 0))]  # fmt: skip


def drawn(seed: int) -> Case:
    random.seed(seed)
    choice = random.choice
    queries = choice([0, 1, 2, 7, 12, 16, 17, 31, 32, 33, 64, 70, 100])
    return Case(
        lead=choice([(1, 1), (1, 3), (2, 2), (3, 1), (2, 3), (0, 2)]),
        queries=queries,
        keys=choice([1, 2, 7, 13, 32, 50, 64, 65, queries or 5, queries or 3]),
        width=choice([1, 3, 8, 16, 17, 32, 40, 63, 64]),
        channels=choice([1, 5, 8, 16, 24, 32, 33, 63, 64]),
        mask=choice([*MASKS, None, None]),
        causal=choice([True, False]),
        scale=choice([0.5, 0.125, 0.3, -0.4]),
        dtype=choice(list(TYPES)),
        order=choice(list(ORDERS)),
        threads=choice([1, 2, 3]),
        odd=choice([None, None, None, ("q", np.nan), ("k", np.inf), ("v", np.nan), ("g", -np.inf)]),
        seed=seed,
    )


CASES = [
    Case(queries=128, keys=128, width=64, channels=64, causal=True, order="rows first"),
    Case(lead=(1, 1), queries=128, keys=128, width=64, channels=64, causal=True, threads=2),
    Case(lead=(1, 1), queries=300, keys=300, width=128, channels=128, causal=True, threads=3),
    Case(lead=(1, 2), queries=300, keys=7, width=63, channels=64, causal=True, threads=3),
    Case(lead=(1, 2), queries=7, keys=300, width=64, channels=63, causal=True, threads=3),
    Case(lead=(1, 1), queries=300, keys=300, dtype="float64", causal=True, threads=2),
    Case(lead=(1, 1), queries=33, keys=2000, threads=2),
    *(
        Case(queries=1, keys=90, width=40, mask=mask, causal=causal, order=order)
        for mask in MASKS
        for causal in (True, False)
        for order in ORDERS
    ),
    Case(width=0, channels=3),
    Case(width=3, channels=0),
    *(Case(mask=mask, causal=True, queries=50, keys=40) for mask in MASKS),
    *(
        Case(queries=70, keys=keys, causal=causal, odd=(name, number), mask=mask)
        for keys in (70, 90)
        for causal in (True, False)
        for name in "qkvgm"
        for number in (np.nan, np.inf, -np.inf)
        if (mask := ("float", (1, 1, 1, 1)) if name == "m" else None) or name != "m"
    ),
    *map(drawn, range(100)),
]


@pytest.fixture(scope="module")
def steps() -> Any:
    return load(source(CASES))


def source(cases: list[Case]) -> str:
    texts = (case.described(grad)[0].text() for case in cases for grad in (False, True))
    return SHAPES % ", ".join(texts) + each_type(STEPS)


def check(case: Case, position: int, steps: Any) -> None:
    precise = {"float32": 3e-5, "float64": 1e-12}[case.dtype]
    for gradients in (False, True):
        found = case.run(position + gradients, steps, gradients)
        for result, expected in zip(found, case.expected(gradients), strict=True):
            limit = precise * max(1, np.abs(expected[np.isfinite(expected)]).max(initial=0))
            np.testing.assert_allclose(result, expected, precise, limit)


@pytest.mark.parametrize("position", range(len(CASES)))
def test_attention(position: int, steps: Any) -> None:
    check(CASES[position], 2 * position, steps)


@pytest.mark.full
def test_more_attention() -> None:
    cases = [drawn(seed) for seed in range(1000, 4000)]
    steps = load(source(cases))
    for position, case in enumerate(cases):
        check(case, 2 * position, steps)


@pytest.mark.parametrize("position", range(7))
@pytest.mark.parametrize("gradients", [False, True])
def test_repeats_bit_for_bit(position: int, gradients: bool, steps: Any) -> None:
    case, number = CASES[position], 2 * position + gradients
    first = [result.copy() for result in case.run(number, steps, gradients)]
    for fill in (0, 255):
        again = case.run(number, steps, gradients, fill)
        assert all((a == b).all() for a, b in zip(first, again))


def test_three_leading_axes() -> None:
    """They are as good as two where they follow each other in memory."""
    dense = layout(np.zeros((2, 3, 4, 5, 6), np.float32))
    apart = layout(np.zeros((2, 6, 8, 5, 6), np.float32)[:, :3, :4])
    attrs: dict[str, Any] = {"is_causal": False, "scale": 1.0, "threads": 1}
    found = described(dense, dense, dense, None, dense, **attrs)
    assert found is not None
    assert (found[0].batches, found[0].heads, found[0].query) == (1, 24, (0, 30, 6, 1))
    assert described(apart, apart, apart, None, apart, **attrs) is None
