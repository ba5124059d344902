"""cnn, cnn-infer-1: a small residual network on random images."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ... import nn, optim
from ...graphs.ops import cross_entropy, mean, relu
from ..task import Task
from . import numbers
from .workload import Workload

CHANNELS = ((16, 16, 1), (16, 32, 2), (32, 64, 2))
CLASSES = 10


class Block(nn.Module):
    """conv3x3, batch norm, relu, conv3x3, batch norm, plus the shortcut, relu."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        changes = stride != 1 or inside != outside
        self.shortcut = (
            nn.Conv2d(inside, outside, 1, stride, bias=False) if changes else nn.Identity()
        )

    def forward(self, x: Any) -> Any:
        y = relu(self.bn1(self.conv1(x)))
        return relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """A convolution, three blocks, the mean over space, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        first = CHANNELS[0][0]
        self.conv = nn.Conv2d(3, first, 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(first)
        self.blocks = nn.Sequential(*(Block(*sizes) for sizes in CHANNELS))
        self.head = nn.Linear(CHANNELS[-1][1], CLASSES)

    def forward(self, x: Any) -> Any:
        x = self.blocks(relu(self.bn(self.conv(x))))
        return self.head(mean(x, axis=(2, 3)))


def build(batch: int, training: bool) -> Task:
    """Images of 3 x 32 x 32; to train, cross-entropy and SGD lr 0.01 momentum 0.9."""
    rng = np.random.default_rng(0)
    x = numbers.normal(rng, batch, 3, 32, 32)
    y = rng.integers(0, CLASSES, batch)
    model = numbers.start(ResNet(), rng)
    if not training:
        model.eval()
        return Task(loss=model, batches=[(x,)])
    return Task(
        loss=lambda x, y: cross_entropy(model(x), y),
        optimizer=optim.SGD(model.parameters(), lr=0.01, momentum=0.9),
        batches=[(x, y)],
    )


CNN_WORKLOADS = (
    Workload(
        name="cnn",
        title="residual network of 3 blocks on 32 images of 3 x 32 x 32, batch norm, SGD",
        build=partial(build, 32, True),
        steps=20,
    ),
    Workload(
        name="cnn-infer-1",
        title="the same network, one image, running statistics, logits alone",
        build=partial(build, 1, False),
        steps=200,
    ),
)
