"""digits-mlp: a multilayer perceptron on real handwritten digits."""

from __future__ import annotations

import numpy as np

from ... import nn, optim
from ...data import DataLoader
from ...eager import from_numpy
from ...graphs.generator import Generator
from ...graphs.modes import no_grad
from ...graphs.ops import argmax, cross_entropy
from ..data import digits
from ..task import Task
from .workload import Workload

BATCH = 64
EPOCHS = 40


def build() -> Task:
    """64-128-64-10, relu, dropout 0.1, mean cross-entropy, SGD lr 0.1 momentum 0.9, batch 64."""
    split = digits()
    start, noise = Generator(0), Generator(1)
    model = nn.Sequential(
        nn.Linear(64, 128, generator=start),
        nn.ReLU(),
        nn.Dropout(0.1, generator=noise),
        nn.Linear(128, 64, generator=start),
        nn.ReLU(),
        nn.Linear(64, 10, generator=start),
    )
    loader = DataLoader(
        split.train_x, split.train_y, batch_size=BATCH, shuffle=True, drop_last=True
    )
    batches = [batch for _ in range(EPOCHS) for batch in loader]

    def accuracy() -> float:
        model.eval()
        with no_grad():
            found = argmax(model(from_numpy(split.test_x)), axis=-1).numpy()
        model.train()
        return float(np.mean(found == split.test_y))

    return Task(
        loss=lambda x, y: cross_entropy(model(x), y),
        optimizer=optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
        batches=batches,
        evaluate=accuracy,
    )


DIGITS_MLP = Workload(
    name="digits-mlp",
    title="MLP 64-128-64-10 with dropout on 1,437 handwritten digits, batch 64, SGD with momentum",
    build=build,
    steps=400,
)
