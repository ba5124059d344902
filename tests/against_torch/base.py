"""What a comparison with torch is made of: two functions, and a generator of their arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Rng = np.random.Generator


@dataclass(frozen=True, eq=False)
class Case:
    """One function that Diptych and torch both have.

    Attributes
    ----------
    ours, theirs : callable
        Of the same positional arguments: tensors of either framework where `draw` gave arrays,
        anything else as it was drawn. Both give an array or a tuple of them.
    draw : callable
        ``draw(rng)``: a tuple of arguments. Floats are drawn as float64 and complex numbers as
        complex128; the test narrows them.
    gradients : bool
        Whether gradients are compared, too: of every float result with respect to every float
        operand.
    """

    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    draw: Callable[[Rng], tuple[Any, ...]]
    gradients: bool = True


def a_shape(rng: Rng, least: int = 0, most: int = 3, largest: int = 5) -> tuple[int, ...]:
    """A random shape of `least` to `most` axes, of sizes 1 to `largest`."""
    return tuple(rng.integers(1, largest + 1, rng.integers(least, most + 1)).tolist())


def broadcasting(rng: Rng, count: int) -> list[tuple[int, ...]]:
    """Random shapes that broadcast against each other."""
    whole = a_shape(rng)
    shapes = []
    for _ in range(count):
        kept = whole[rng.integers(0, len(whole) + 1) :]
        shapes.append(tuple(1 if rng.random() < 0.3 else size for size in kept))
    return shapes


def numbers(rng: Rng, shape: tuple[int, ...], low: float = -2.0, high: float = 2.0) -> np.ndarray:
    """Floats between two bounds."""
    return np.asarray(rng.uniform(low, high, shape))


def integers(rng: Rng, shape: tuple[int, ...], low: int, stop: int) -> np.ndarray:
    """int64 numbers from `low` up to but without `stop`."""
    return np.asarray(rng.integers(low, stop, shape))
