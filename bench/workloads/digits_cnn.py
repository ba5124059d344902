"""digits-cnn: a convolutional network with batch norm on real handwritten digits."""

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

BATCH, EPOCHS, SIDE = 64, 10, 8


def build() -> Task:
    """conv 16, conv 32 with batch norm and pooling, linear; cross-entropy, Adam lr 0.005."""
    split = digits()
    start = Generator(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False, generator=start),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1, bias=False, generator=start),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * (SIDE // 4) ** 2, 10, generator=start),
    )
    images, held_out = (
        x.reshape(-1, 1, SIDE, SIDE) for x in (split.train_x, split.test_x)
    )  # fmt: skip
    loader = DataLoader(images, split.train_y, batch_size=BATCH, shuffle=True, drop_last=True)

    def accuracy() -> float:
        model.eval()
        with no_grad():
            found = argmax(model(from_numpy(held_out)), axis=-1).numpy()
        model.train()
        return float(np.mean(found == split.test_y))

    return Task(
        loss=lambda x, y: cross_entropy(model(x), y),
        optimizer=optim.Adam(model.parameters(), lr=0.005),
        batches=[batch for _ in range(EPOCHS) for batch in loader],
        evaluate=accuracy,
    )


DIGITS_CNN = Workload(
    name="digits-cnn",
    title="convolutional network with batch norm on 1,437 handwritten digits, batch 64, Adam",
    build=build,
    steps=100,
)
