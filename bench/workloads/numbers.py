"""Starting numbers that every mode, and every other framework, begins from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import nn
from ...graphs.parameter import Parameter


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Normal float32 numbers of mean 0 and variance 1."""
    return rng.standard_normal(shape).astype(np.float32)


def weight(rng: np.random.Generator, fan_in: int, *shape: int) -> Any:
    """A parameter of normal numbers over the root of the fan-in."""
    return Parameter(normal(rng, *shape) / np.float32(math.sqrt(fan_in)))


def zeros(*shape: int) -> Any:
    """A parameter of zeros, such as a bias."""
    return Parameter(np.zeros(shape, np.float32))


def start(model: nn.Module, rng: np.random.Generator) -> nn.Module:
    """Give a model its starting numbers: weights normal over the root of the fan-in, biases zero.

    Parameters of one axis keep what their layer starts with, but for biases.
    """
    for name, parameter in model.named_parameters():
        shape = parameter.shape
        if len(shape) > 1:
            fan_in = math.prod(shape[1:])
            parameter.storage.write(normal(rng, *shape) / np.float32(math.sqrt(fan_in)))
        elif name.endswith("bias"):
            parameter.storage.write(np.zeros(shape, np.float32))
    return model
