"""mlp, tiny-mlp and their inference: a multilayer perceptron on random numbers."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from ... import optim
from ...graphs.ops import cross_entropy, relu
from ..task import Task
from . import numbers
from .workload import Workload

SIZES = (784, 256, 256, 10)
TINY = (32, 32, 32, 32, 10)


def build(sizes: tuple[int, ...], batch: int, training: bool) -> Task:
    """relu between layers; to train, mean softmax cross-entropy and SGD lr 0.01 momentum 0.9."""
    rng = np.random.default_rng(0)
    x = numbers.normal(rng, batch, sizes[0])
    y = rng.integers(0, sizes[-1], batch)
    layers = [(numbers.weight(rng, a, a, b), numbers.zeros(b)) for a, b in pairwise(sizes)]
    parameters = [p for layer in layers for p in layer]

    def logits(x: Any) -> Any:
        for position, (w, b) in enumerate(layers):
            x = x @ w + b
            x = x if position == len(layers) - 1 else relu(x)
        return x

    if not training:
        return Task(loss=logits, batches=[(x,)])
    return Task(
        loss=lambda x, y: cross_entropy(logits(x), y),
        optimizer=optim.SGD(parameters, lr=0.01, momentum=0.9),
        batches=[(x, y)],
    )


def _workload(
    name: str, sizes: tuple[int, ...], batch: int, training: bool, steps: int
) -> Workload:
    what = "SGD with momentum" if training else "logits alone"
    return Workload(
        name=name,
        title=f"MLP {'-'.join(map(str, sizes))}, batch {batch}, {what}",
        build=partial(build, sizes, batch, training),
        steps=steps,
    )


MLP_WORKLOADS = (
    _workload("mlp", SIZES, 64, True, 200),
    _workload("tiny-mlp", TINY, 16, True, 400),
    _workload("mlp-infer-1", SIZES, 1, False, 400),
    _workload("mlp-infer-64", SIZES, 64, False, 200),
)
