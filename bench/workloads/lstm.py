"""lstm, lstm-varlen: a recurrent cell written by hand, over sequences of one or many lengths."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import optim
from ...graphs.control import scan
from ...graphs.ops import mean, sigmoid, tanh, zeros
from ..task import Task
from . import numbers
from .workload import Workload

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


def build() -> Task:
    """Sequence 50, batch 16, input 64, hidden 128, mean square of the last output, SGD lr 0.01."""
    rng = np.random.default_rng(0)
    batch = (numbers.normal(rng, STEPS, BATCH, INPUT),)
    return _task(rng, [batch], BATCH)


def build_varlen() -> Task:
    """The same cell, batch 1; an epoch of 64 sequences of 5 to 100 steps is one step."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(SHORTEST, LONGEST + 1, SEQUENCES)
    batches = [(numbers.normal(rng, int(n), 1, INPUT),) for n in lengths]
    return _task(rng, batches, 1, shapes=[("time", 1, INPUT)], batches_a_step=SEQUENCES)


def _task(rng: np.random.Generator, batches: list[Any], batch: int, **options: Any) -> Task:
    wx = numbers.weight(rng, INPUT, INPUT, 4 * HIDDEN)
    wh = numbers.weight(rng, HIDDEN, HIDDEN, 4 * HIDDEN)
    b = numbers.zeros(4 * HIDDEN)

    def loss(xs: Any) -> Any:
        start = (zeros((batch, HIDDEN)), zeros((batch, HIDDEN)))
        (h, _), _ = scan(lambda carry, x: (cell(carry, x, wx, wh, b), None), start, xs)
        return mean(h * h)

    return Task(
        loss=loss, optimizer=optim.SGD([wx, wh, b], lr=0.01), batches=batches, **options
    )  # fmt: skip


LSTM = Workload(
    name="lstm",
    title="LSTM cell written by hand, sequence 50, batch 16, input 64, hidden 128, SGD",
    build=build,
    steps=100,
)
LSTM_VARLEN = Workload(
    name="lstm-varlen",
    title="the same cell over 64 sequences of 5 to 100 steps, batch 1; a step is an epoch",
    build=build_varlen,
    steps=12,
)
