"""digits-mlp, digits-cnn: a perceptron and a convolutional network on real handwritten digits."""

from __future__ import annotations

from typing import Any

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

BATCH, SIDE = 64, 8


def build_mlp() -> Task:
    """64-128-64-10, relu, dropout 0.1, mean cross-entropy, SGD lr 0.1 momentum 0.9, batch 64."""
    start, noise = Generator(0), Generator(1)
    model = nn.Sequential(
        nn.Linear(SIDE * SIDE, 128, generator=start),
        nn.ReLU(),
        nn.Dropout(0.1, generator=noise),
        nn.Linear(128, 64, generator=start),
        nn.ReLU(),
        nn.Linear(64, 10, generator=start),
    )
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return _task(model, optimizer, (SIDE * SIDE,), epochs=40)


def build_cnn() -> Task:
    """conv 16, conv 32 with batch norm and pooling, linear; cross-entropy, Adam lr 0.005."""
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
    optimizer = optim.Adam(model.parameters(), lr=0.005)
    return _task(model, optimizer, (1, SIDE, SIDE), epochs=10)


def _task(model: nn.Module, optimizer: Any, shape: tuple[int, ...], epochs: int) -> Task:
    """Train a model that takes images in a shape, and count what it gets right of the others."""
    split = digits()
    images, held_out = (x.reshape(-1, *shape) for x in (split.train_x, split.test_x))
    loader = DataLoader(images, split.train_y, batch_size=BATCH, shuffle=True, drop_last=True)

    def accuracy() -> float:
        model.eval()
        with no_grad():
            found = argmax(model(from_numpy(held_out)), axis=-1).numpy()
        model.train()
        return float(np.mean(found == split.test_y))

    return Task(
        loss=lambda x, y: cross_entropy(model(x), y),
        optimizer=optimizer,
        batches=[batch for _ in range(epochs) for batch in loader],
        evaluate=accuracy,
    )


DIGITS_WORKLOADS = (
    Workload(
        name="digits-mlp",
        title="MLP 64-128-64-10 with dropout on 1,437 handwritten digits, batch 64, SGD with "
        "momentum",
        build=build_mlp,
        steps=400,
    ),
    Workload(
        name="digits-cnn",
        title="convolutional network with batch norm on 1,437 handwritten digits, batch 64, Adam",
        build=build_cnn,
        steps=100,
    ),
)
