"""text-lstm: predicting the next character of Python source, on lines of varying length."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from ... import optim
from ...graphs.control import scan
from ...graphs.modes import no_grad
from ...graphs.ops import argmax, cross_entropy, take, zeros
from ..data import VOCABULARY, source_lines
from ..task import Task
from . import numbers
from .lstm import cell
from .workload import Workload

EMBEDDING, HIDDEN, BATCH = 32, 64, 16


def build() -> Task:
    """Characters embedded in 32, LSTM cell of 64, mean cross-entropy, Adam lr 0.005, batch 16."""
    lines = source_lines(BATCH)
    rng = np.random.default_rng(0)
    embedding = numbers.weight(rng, 1, VOCABULARY, EMBEDDING)
    wx = numbers.weight(rng, EMBEDDING, EMBEDDING, 4 * HIDDEN)
    wh = numbers.weight(rng, HIDDEN, HIDDEN, 4 * HIDDEN)
    b = numbers.zeros(4 * HIDDEN)
    wo = numbers.weight(rng, HIDDEN, HIDDEN, VOCABULARY)
    bo = numbers.zeros(VOCABULARY)
    parameters = [embedding, wx, wh, b, wo, bo]

    def step(carry: Any, tokens: Any) -> tuple[Any, Any]:
        h, c, total = carry
        seen, following = tokens
        h, c = cell((h, c), take(embedding, seen, axis=0), wx, wh, b)
        return (h, c, total + cross_entropy(h @ wo + bo, following)), None

    def loss(seen: Any, following: Any) -> Any:
        start = (zeros((BATCH, HIDDEN)), zeros((BATCH, HIDDEN)), zeros(()))
        (_, _, total), _ = scan(step, start, (seen, following))
        return total / seen.shape[0]

    def accuracy() -> float:
        hits = count = 0
        with no_grad():
            for batch in lines.test:
                carry: Any = (zeros((BATCH, HIDDEN)), zeros((BATCH, HIDDEN)))
                for seen, following in pairwise(batch):
                    carry = cell(carry, take(embedding, seen, axis=0), wx, wh, b)
                    found = argmax(carry[0] @ wo + bo, axis=-1).numpy()
                    hits += int((found == following).sum())
                    count += following.size
        return hits / count

    return Task(
        loss=loss,
        optimizer=optim.Adam(parameters, lr=0.005),
        batches=[(batch[:-1], batch[1:]) for batch in lines.train],
        evaluate=accuracy,
        shapes=[("time", BATCH), ("time", BATCH)],
    )


TEXT_LSTM = Workload(
    name="text-lstm",
    title="LSTM on characters of Python source, lines of 20 to 60, batch 16, Adam",
    build=build,
    steps=150,
)
