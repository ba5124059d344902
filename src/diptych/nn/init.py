"""Starting values of parameters, drawn from a generator."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..graphs.generator import Generator, default_generator
from ..graphs.ops.plain import plain


def uniform(shape: Any, bound: float, generator: Generator | None = None) -> np.ndarray:
    """float32 numbers uniform in ``[-bound, bound)``."""
    drawn = (generator or default_generator).uniform(shape, style=plain)
    return ((drawn * 2 - 1) * np.float32(bound)).astype(np.float32)


def normal(shape: Any, std: float = 1.0, generator: Generator | None = None) -> np.ndarray:
    """float32 numbers of mean 0 and standard deviation `std`."""
    return (default_generator if generator is None else generator).normal(
        shape, style=plain
    ) * np.float32(std)


def fan_in_uniform(shape: Any, fan_in: int, generator: Generator | None = None) -> np.ndarray:
    """float32 numbers uniform within ``1 / sqrt(fan_in)`` of 0, as `torch.nn.Linear` starts."""
    return uniform(shape, 1 / math.sqrt(max(fan_in, 1)), generator)
