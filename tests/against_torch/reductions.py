"""Rows of the reductions and statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import diptych as dt

from .base import Case, Rng, a_shape, numbers


def _axes(rng: Rng, ndim: int) -> tuple[int, ...]:
    """Some of the axes, at least one."""
    count = int(rng.integers(1, ndim + 1))
    return tuple(rng.permutation(ndim)[:count].tolist())


def _over(least: int = 1) -> Any:
    """An array, some of its axes, and whether to keep them; `least` is a size."""

    def draw(rng: Rng) -> tuple[Any, ...]:
        shape = tuple(n + least - 1 for n in a_shape(rng, 1))
        return numbers(rng, shape), _axes(rng, len(shape)), bool(rng.integers(2))

    return draw


def _along(zeros: bool = False) -> Any:
    """An array, some of its elements 0, and an axis."""

    def draw(rng: Rng) -> tuple[Any, ...]:
        shape = a_shape(rng, 1)
        x = numbers(rng, shape)
        kept = rng.random(shape) < 0.7 if zeros else True
        return x * kept, int(rng.integers(-len(shape), len(shape)))

    return draw


def _spread(rng: Rng) -> tuple[Any, ...]:
    return (*_over(3)(rng), float(rng.choice([0.0, 1.0, 0.5])))


def _quantiles(rng: Rng) -> tuple[Any, ...]:
    return (*_along()(rng), rng.random(3).tolist())


def _torch_quantile(x: Any, axis: int, q: Any) -> Any:
    return torch.quantile(x, torch.tensor(q, dtype=x.dtype), dim=axis)


def _torch_median(x: Any, axis: int) -> Any:
    return torch.quantile(x, 0.5, dim=axis)


def _predicate(rng: Rng) -> tuple[Any, ...]:
    x, axes, keepdims = _over()(rng)
    return np.round(x), axes, keepdims


def _recurrence(a: Any, b: Any) -> Any:
    """Step by step along the last axis."""
    found = [b[..., 0]]
    for i in range(1, b.shape[-1]):
        found.append(a[..., i] * found[-1] + b[..., i])
    return torch.stack(found, -1)


def _pair(rng: Rng) -> tuple[Any, ...]:
    shape = a_shape(rng, 1)
    return numbers(rng, shape), numbers(rng, shape)


CASES = {
    "sum": Case(dt.sum, torch.sum, _over()),
    "mean": Case(dt.mean, torch.mean, _over()),
    "max": Case(dt.max, torch.amax, _over()),
    "min": Case(dt.min, torch.amin, _over()),
    "prod": Case(dt.prod, torch.prod, _along(zeros=True)),
    "prod of all": Case(dt.prod, torch.prod, lambda rng: _along(zeros=True)(rng)[:1]),
    "all": Case(dt.all, torch.all, _predicate, gradients=False),
    "any": Case(dt.any, torch.any, _predicate, gradients=False),
    "count_nonzero": Case(
        dt.count_nonzero, torch.count_nonzero, lambda rng: _predicate(rng)[:2], gradients=False
    ),
    "var": Case(
        lambda x, axis, keepdims, c: dt.var(x, axis, c, keepdims),
        lambda x, axis, keepdims, c: torch.var(x, axis, correction=c, keepdim=keepdims),
        _spread,
    ),
    "std": Case(
        lambda x, axis, keepdims, c: dt.std(x, axis, c, keepdims),
        lambda x, axis, keepdims, c: torch.std(x, axis, correction=c, keepdim=keepdims),
        _spread,
    ),
    "logsumexp": Case(dt.logsumexp, torch.logsumexp, _over()),
    "quantile": Case(lambda x, axis, q: dt.quantile(x, q, axis), _torch_quantile, _quantiles),
    "median": Case(dt.median, _torch_median, _along()),
    "cumulative_sum": Case(dt.cumulative_sum, torch.cumsum, _along()),
    "cumulative_prod": Case(dt.cumulative_prod, torch.cumprod, _along(zeros=True)),
    "linear_recurrence": Case(dt.linear_recurrence, _recurrence, _pair),
    "diff": Case(
        lambda x, axis: dt.diff(x, axis=axis, n=2),
        lambda x, axis: torch.diff(x, n=2, dim=axis),
        _along(),
    ),
}
