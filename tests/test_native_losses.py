"""Native losses on labels against the NumPy kernels."""

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
from diptych.graphs.errors import RangeError
from diptych.graphs.kernels import losses
from diptych.graphs.kernels.shapes import labels as native

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler")

SHAPES = """
#include "operators.h"
static const dt_loss losses[] = {%s};
"""
STEPS = """
void cross_entropy_TYPE(dt_team *team, int thread, char *const *p) {
    dt_cross_entropy_TYPE(team, thread, &losses[*(const dt_int *)p[0]], (const TYPE *)p[1], p[2],
                          (const TYPE *)p[3], (TYPE *)p[4], (TYPE *)p[5], p[6]);
}
void nll_loss_TYPE(dt_team *team, int thread, char *const *p) {
    dt_nll_loss_TYPE(team, thread, &losses[*(const dt_int *)p[0]], (const TYPE *)p[1], p[2],
                     (const TYPE *)p[3], (TYPE *)p[4], (TYPE *)p[5], p[6]);
}
"""


def spread(array: np.ndarray) -> np.ndarray:
    """The same numbers with another between each two of them."""
    wide = np.full((*array.shape, 2), 99, array.dtype)
    wide[..., 0] = array
    return wide[..., 0]


@dataclass(frozen=True)
class Loss:
    """A loss, and the gradient of one."""

    lead: tuple[int, ...] = (6,)
    classes: int = 10
    reduction: str = "mean"
    ignore_index: int | None = None
    smoothing: float = 0.0
    dtype: str = "float32"
    integer: str = "int64"
    sliced: bool = False
    threads: int = 1
    bad: int | None = None  # a label that is out of range
    odd: float | None = None  # a logit
    per_row: bool = True  # whether the cotangent has a number for each row, where it may

    @functools.cached_property
    def operands(self) -> list[np.ndarray]:
        """Rows, labels and cotangent."""
        rng = np.random.default_rng(len(self.lead) + self.classes)
        rows = Result((*self.lead, self.classes), self.dtype, (*range(len(self.lead) + 1),), 2).view
        rows[...] = rng.standard_normal(rows.shape) * 3
        labels = np.asarray(rng.integers(0, self.classes, self.lead), self.integer)
        if self.ignore_index is not None:
            ignored = rng.random(self.lead) < 0.4
            labels = np.where(ignored, self.ignore_index, labels).astype(self.integer)
        if self.bad is not None:
            labels[..., -1] = self.bad
        if self.odd is not None:
            rows[(*[-1] * len(self.lead), 0)] = self.odd
        each = self.lead if self.reduction == "none" and self.per_row else ()
        g = np.asarray(rng.standard_normal(each), self.dtype)
        return [rows, *((spread(labels), spread(g)) if self.sliced else (labels, g))]

    @functools.cached_property
    def results(self) -> list[Result]:
        rows = (*self.lead, self.classes)
        each = self.lead if self.reduction == "none" else ()
        return [
            Result((*each, 1), self.dtype, (*range(len(each) + 1),), gap=int(self.sliced)),
            Result(rows, self.dtype, (*range(len(rows)),)),
        ]

    def text(self) -> str:
        rows, labels, g = self.operands
        each, gradient = (result.view for result in self.results)
        found = native.loss(
            layout(labels), self.classes, layout(rows), layout(each[..., 0]), layout(gradient),
            layout(g), ignore_index=self.ignore_index, reduction=self.reduction,
            label_smoothing=self.smoothing,
        )  # fmt: skip
        assert found is not None
        return found.text()

    def expected(self, name: str) -> list[np.ndarray]:
        rows, labels, g = self.operands
        attrs: dict[str, Any] = {"reduction": self.reduction, "ignore_index": self.ignore_index}
        if name == "cross_entropy":
            attrs["label_smoothing"] = self.smoothing
            gradient = losses.cross_entropy_grad(np, rows, labels, g, **attrs)
        else:
            gradient = losses.nll_loss_grad(np, labels, g, classes=self.classes, **attrs)
        return [getattr(losses, name)(np, rows, labels, **attrs), gradient]

    def run(
        self, name: str, position: int, steps: Any, wanted: tuple[bool, bool] = (True, True)
    ) -> list[np.ndarray] | None:
        """The loss and the gradient, those that are wanted; None where labels are refused."""
        step = getattr(steps, f"{name}_{TYPES[self.dtype]}")
        results = [result.view if want else None for result, want in zip(self.results, wanted)]
        operands = [np.array(position), *self.operands, *results]
        scratch = native.loss_scratch_bytes(self.threads)
        if run(step, operands, scratch, self.threads):
            return None
        each, gradient = (result.checked() for result in self.results)
        return [each[..., 0], gradient]


def drawn_loss(seed: int) -> Loss:
    random.seed(seed)
    choice = random.choice
    return Loss(
        lead=choice([(1,), (6,), (33,), (4, 5), (2, 3, 4), ()]),
        classes=choice([1, 2, 10, 15, 16, 17, 63, 64, 65, 100, 1000]),
        reduction=choice(["none", "mean", "sum"]),
        ignore_index=choice([None, None, -100, 0]),
        smoothing=choice([0.0, 0.0, 0.1, 1.0]),
        dtype=choice(list(TYPES)),
        integer=choice(["int64", "int32", "int16"]),
        sliced=choice([False, True]),
        threads=choice([1, 2, 3]),
        odd=choice([None, None, None, np.nan, np.inf, -np.inf]),
        per_row=choice([True, False]),
    )


LOSSES = [
    Loss(reduction="mean", ignore_index=3, lead=(1,), classes=1),
    Loss(ignore_index=-100, lead=(2,), integer="int8"),  # no row counts with this seed
    Loss(bad=10), Loss(bad=-1, threads=2), Loss(bad=-100, ignore_index=-100),
    Loss(bad=10, lead=(9,), threads=3), Loss(bad=-1, reduction="none"),
    Loss(classes=50, odd=-np.inf, lead=(3, 4), sliced=True),
    *map(drawn_loss, range(150)),
]  # fmt: skip


def source(losses: list[Loss]) -> str:
    return SHAPES % ", ".join(loss.text() for loss in losses) + each_type(STEPS)


@pytest.fixture(scope="module")
def steps() -> Any:
    return load(source(LOSSES))


def check_loss(loss: Loss, position: int, steps: Any) -> None:
    precise = {"float32": 2e-6, "float64": 1e-14}[loss.dtype]
    for name in ("cross_entropy", "nll_loss"):
        found = loss.run(name, position, steps)
        try:
            with np.errstate(all="ignore"):
                expected = loss.expected(name)
        except RangeError:
            assert found is None
            continue
        assert found is not None
        for result, right in zip(found, expected, strict=True):
            limit = precise * max(1, np.abs(right[np.isfinite(right)]).max(initial=0))
            np.testing.assert_allclose(result, right, 10 * precise, limit)


@pytest.mark.parametrize("position", range(len(LOSSES)))
def test_loss(position: int, steps: Any) -> None:
    check_loss(LOSSES[position], position, steps)


@pytest.mark.full
def test_more() -> None:
    many = list(map(drawn_loss, range(1000, 4000)))
    steps = load(source(many))
    for position in range(len(many)):
        check_loss(many[position], position, steps)


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_one_result_alone(name: str, steps: Any) -> None:
    for position in range(8, 40):
        loss = LOSSES[position]
        both = loss.run(name, position, steps)
        assert both is not None
        copies = [result.copy() for result in both]
        for wanted in ((True, False), (False, True)):
            for result in loss.results:
                result.view[...] = 5
            found = loss.run(name, position, steps, wanted)
            assert found is not None
            for result, copy, want in zip(found, copies, wanted):
                np.testing.assert_array_equal(result, copy if want else np.full_like(copy, 5))


def test_ignored_label_that_no_integer_holds() -> None:
    case = Loss()
    rows, labels, g = map(layout, case.operands)
    texts = [
        native.loss(labels, 10, rows, None, None, g, ignore_index=ignored, reduction="mean")
        for ignored in (None, 2**63, -(2**70), 7)
    ]
    assert texts[0] == texts[1] == texts[2] != texts[3]
