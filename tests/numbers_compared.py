"""Random tensors and arrays, and a comparison of results that may differ by rounding."""

from __future__ import annotations

from typing import Any

import numpy as np

import diptych as dt

RNG = np.random.default_rng(0)


def normal(*shape: int, requires_grad: bool = False) -> dt.Tensor:
    return dt.tensor(RNG.standard_normal(shape).astype(np.float32), requires_grad=requires_grad)


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).uniform(-1, 1, shape)


def close(found: Any, expected: Any) -> None:
    """Equal to rounding, of the largest number."""
    array = expected.detach().numpy()
    scale = np.abs(array).max(initial=1.0)
    np.testing.assert_allclose(found.detach().numpy(), array, rtol=1e-5, atol=1e-6 * scale)
