"""lstm, lstm-unrolled, lstm-varlen: a recurrent cell written by hand, over one or many lengths."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ... import optim
from ...graphs.control import scan
from ...graphs.ops import mean, sigmoid, tanh, zeros
from ..task import Task
from . import numbers
from .workload import Rung, Workload

INPUT, HIDDEN = 64, 128
STEPS, BATCH = 50, 16
SEQUENCES, SHORTEST, LONGEST = 64, 5, 100


def cell(carry: Any, x: Any, wx: Any, wh: Any, b: Any) -> tuple[Any, Any]:
    """One step of a long short-term memory; the quarters of z are i, f, g, o."""
    h, c = carry
    n = h.shape[-1]
    z = x @ wx + h @ wh + b
    i, f, g, o = (z[:, k * n : (k + 1) * n] for k in range(4))
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def scanned(xs: Any, start: Any, *weights: Any) -> Any:
    """The last output, by a `scan`."""
    (h, _), _ = scan(lambda carry, x: (cell(carry, x, *weights), None), start, xs)
    return h


def unrolled(xs: Any, start: Any, *weights: Any, cell: Callable[..., Any] = cell) -> Any:
    """The last output, by a loop of Python, which leaves every step in the graph."""
    carry = start
    for t in range(xs.shape[0]):
        carry = cell(carry, xs[t], *weights)
    return carry[0]


def build(run: Callable[..., Any] = scanned, in_cells: bool = False) -> Task:
    """Sequence 50, batch 16, input 64, hidden 128, mean square of the last output, SGD lr 0.01."""
    rng = np.random.default_rng(0)
    batch = (numbers.normal(rng, STEPS, BATCH, INPUT),)
    return _task(rng, [batch], BATCH, run, in_cells)


def build_varlen(run: Callable[..., Any] = scanned, in_cells: bool = False) -> Task:
    """The same cell, batch 1; an epoch of 64 sequences of 5 to 100 steps is one step."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(SHORTEST, LONGEST + 1, SEQUENCES)
    batches = [(numbers.normal(rng, int(n), 1, INPUT),) for n in lengths]
    options = {"shapes": [("time", 1, INPUT)], "batches_a_step": SEQUENCES}
    return _task(rng, batches, 1, run, in_cells, **options)


def _task(
    rng: np.random.Generator, batches: list[Any], batch: int, run: Any, in_cells: bool,
    **options: Any,
) -> Task:  # fmt: skip
    wx = numbers.weight(rng, INPUT, INPUT, 4 * HIDDEN)
    wh = numbers.weight(rng, HIDDEN, HIDDEN, 4 * HIDDEN)
    b = numbers.zeros(4 * HIDDEN)

    def loss(xs: Any, run: Callable[..., Any] = run) -> Any:
        h = run(xs, (zeros((batch, HIDDEN)), zeros((batch, HIDDEN))), wx, wh, b)
        return mean(h * h)

    def by_cells(compile: Callable[..., Any]) -> Callable[..., Any]:
        return partial(loss, run=partial(unrolled, cell=compile(cell)))

    return Task(
        loss=loss,
        optimizer=optim.SGD([wx, wh, b], lr=0.01),
        batches=batches,
        in_pieces=by_cells if in_cells else None,
        **options,
    )


def _rungs(build: Callable[..., Task]) -> tuple[Rung, ...]:
    return (
        Rung("eager", "a loop of Python over the hand-written cell", "eager",
             partial(build, unrolled)),
        Rung("cell", "the cell is compiled", "hybrid", partial(build, unrolled, in_cells=True)),
        Rung("loop", "the loop is compiled, too, and rolled into a scan", "hybrid",
             partial(build, unrolled), without=("hoist",)),
        Rung("hoisted", "one product of all inputs comes before the loop", "hybrid",
             partial(build, unrolled)),
        Rung("step", "gradients and update are compiled, too", "hybrid-step",
             partial(build, unrolled)),
        Rung("static", "the same, built as a graph in place of traced", "static",
             partial(build, scanned)),
    )  # fmt: skip


LSTM = Workload(
    name="lstm",
    title="LSTM cell written by hand, sequence 50, batch 16, input 64, hidden 128, SGD",
    build=build,
    steps=100,
    rungs=_rungs(build),
)
LSTM_UNROLLED = Workload(
    name="lstm-unrolled",
    title="the same cell and numbers, its 50 steps written out by a loop of Python",
    build=partial(build, unrolled),
    steps=100,
)
LSTM_VARLEN = Workload(
    name="lstm-varlen",
    title="the same cell over 64 sequences of 5 to 100 steps, batch 1; a step is an epoch",
    build=build_varlen,
    steps=12,
    rungs=_rungs(build_varlen),
)
