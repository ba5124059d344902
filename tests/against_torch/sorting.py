"""Rows of sorting, searching and counting."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import diptych as dt

from .base import Case, Rng, a_shape, integers, numbers


def _along(rng: Rng) -> tuple[Any, ...]:
    """An array, an axis, and a direction."""
    shape = a_shape(rng, 1, largest=8)
    return numbers(rng, shape), int(rng.integers(-len(shape), len(shape))), bool(rng.integers(2))


def _some(rng: Rng) -> tuple[Any, ...]:
    x, axis, largest = _along(rng)
    return x, int(rng.integers(1, x.shape[axis] + 1)), axis, largest


def _search(rng: Rng) -> tuple[Any, ...]:
    x = np.sort(np.round(numbers(rng, (int(rng.integers(1, 9)),))))
    return x, np.round(numbers(rng, a_shape(rng))), str(rng.choice(["left", "right"]))


def _counted(rng: Rng) -> tuple[Any, ...]:
    size = int(rng.integers(1, 20))
    return integers(rng, (size,), 0, 7), numbers(rng, (size,))


def _whole(rng: Rng) -> tuple[Any, ...]:
    return (np.round(numbers(rng, a_shape(rng, 1))),)


CASES = {
    "sort": Case(
        lambda x, axis, descending: dt.sort(x, axis, descending),
        lambda x, axis, descending: torch.sort(x, axis, descending).values,
        _along,
    ),
    "argsort": Case(dt.argsort, torch.argsort, _along, gradients=False),
    "topk": Case(dt.topk, torch.topk, _some),
    "argmax": Case(dt.argmax, torch.argmax, lambda rng: _along(rng)[:2], gradients=False),
    "argmin": Case(dt.argmin, torch.argmin, lambda rng: _along(rng)[:2], gradients=False),
    "searchsorted": Case(
        lambda x1, x2, side: dt.searchsorted(x1, x2, side=side),
        lambda x1, x2, side: torch.searchsorted(x1, x2, side=side),
        _search,
        gradients=False,
    ),
    "nonzero": Case(dt.nonzero, lambda x: torch.nonzero(x, as_tuple=True), _whole, gradients=False),
    "unique_values": Case(dt.unique_values, torch.unique, _whole, gradients=False),
    "unique_inverse": Case(
        dt.unique_inverse,
        lambda x: torch.unique(x, return_inverse=True),
        _whole,
        gradients=False,
    ),
    "unique_counts": Case(
        dt.unique_counts, lambda x: torch.unique(x, return_counts=True), _whole, gradients=False
    ),
    "isin": Case(dt.isin, torch.isin, lambda rng: (*_whole(rng), *_whole(rng)), gradients=False),
    "bincount": Case(
        lambda x, weights: dt.bincount(x, weights, length=9),
        lambda x, weights: torch.zeros(9, dtype=weights.dtype).index_add(0, x, weights),
        _counted,
    ),
}
