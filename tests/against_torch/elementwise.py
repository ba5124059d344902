"""Rows of the element-wise operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import diptych as dt

from .base import Case, Rng, a_shape, broadcasting, integers, numbers

Draw = Callable[[Rng], tuple[Any, ...]]


def _one(low: float = -2.0, high: float = 2.0) -> Draw:
    return lambda rng: (numbers(rng, a_shape(rng), low, high),)


def _two(one: tuple[float, float] = (-2.0, 2.0), other: tuple[float, float] = (-2.0, 2.0)) -> Draw:
    def draw(rng: Rng) -> tuple[Any, ...]:
        x, y = broadcasting(rng, 2)
        return numbers(rng, x, *one), numbers(rng, y, *other)

    return draw


def _bits(low: int, stop: int) -> Draw:
    def draw(rng: Rng) -> tuple[Any, ...]:
        x, y = broadcasting(rng, 2)
        return integers(rng, x, -100, 100), integers(rng, y, low, stop)

    return draw


def _chosen(rng: Rng) -> tuple[Any, ...]:
    condition, x, y = broadcasting(rng, 3)
    return np.asarray(rng.random(condition) < 0.5), numbers(rng, x), numbers(rng, y)


def _bounded(rng: Rng) -> tuple[Any, ...]:
    x, low, high = broadcasting(rng, 3)
    return numbers(rng, x), numbers(rng, low, -1.5, 0), numbers(rng, high, 0, 1.5)


def _complex(count: int) -> Draw:
    def draw(rng: Rng) -> tuple[Any, ...]:
        shapes = broadcasting(rng, count)
        return tuple(
            np.asarray(numbers(rng, s, 0.25, 2) + 1j * numbers(rng, s, 0.25, 2)) for s in shapes
        )

    return draw


def _odd(rng: Rng) -> tuple[Any, ...]:
    special = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0]
    return (np.asarray(rng.choice(special, a_shape(rng))),)


_POSITIVE, _INSIDE, _OUTSIDE, _APART = (0.25, 3.0), (-0.9, 0.9), (1.1, 4.0), (0.5, 2.0)
_SMOOTH: dict[str, tuple[float, float]] = {
    "acos": _INSIDE, "acosh": _OUTSIDE, "asin": _INSIDE, "asinh": (-9.0, 9.0), "atan": (-9.0, 9.0),
    "atanh": _INSIDE, "cos": (-9.0, 9.0), "cosh": (-3.0, 3.0), "erf": (-3.0, 3.0),
    "erfc": (-3.0, 3.0), "exp": (-3.0, 3.0), "expm1": (-3.0, 3.0), "log": _POSITIVE,
    "log10": _POSITIVE, "log1p": (-0.75, 3.0), "log2": _POSITIVE, "reciprocal": _POSITIVE,
    "rsqrt": _POSITIVE, "sigmoid": (-9.0, 9.0), "sin": (-9.0, 9.0), "sinh": (-3.0, 3.0),
    "sqrt": _POSITIVE, "square": (-3.0, 3.0), "tan": (-1.25, 1.25), "tanh": (-3.0, 3.0),
    "abs": (-2.0, 2.0), "ceil": (-3.0, 3.0), "floor": (-3.0, 3.0), "negative": (-2.0, 2.0),
    "positive": (-2.0, 2.0), "relu": (-2.0, 2.0), "round": (-3.0, 3.0), "sign": (-2.0, 2.0),
    "trunc": (-3.0, 3.0),
}  # fmt: skip
_OF_TWO: dict[str, Draw] = {
    "add": _two(), "atan2": _two(), "copysign": _two(), "divide": _two(other=_POSITIVE),
    "hypot": _two(), "logaddexp": _two((-9.0, 9.0), (-9.0, 9.0)), "maximum": _two(),
    "minimum": _two(), "multiply": _two(), "pow": _two(_POSITIVE), "remainder": _two(other=_APART),
    "subtract": _two(),
}  # fmt: skip
_PREDICATES = ("isfinite", "isinf", "isnan", "signbit")
_COMPARISONS = ("equal", "greater", "greater_equal", "less", "less_equal", "not_equal")
_COMPLEX = (
    "abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "conj", "cos", "cosh", "exp", "expm1",
    "imag", "log", "log10", "log1p", "log2", "negative", "real", "reciprocal", "sin", "sinh",
    "sqrt", "square", "tan", "tanh",
)  # fmt: skip
_COMPLEX_OF_TWO = ("add", "divide", "multiply", "pow", "subtract")

CASES = {
    **{name: Case(getattr(dt, name), getattr(torch, name), _one(*range_))
       for name, range_ in _SMOOTH.items()},
    **{name: Case(getattr(dt, name), getattr(torch, name), draw)
       for name, draw in _OF_TWO.items()},
    **{name: Case(getattr(dt, name), getattr(torch, name), _odd, gradients=False)
       for name in _PREDICATES},
    **{name: Case(getattr(dt, name), getattr(torch, {"equal": "eq"}.get(name, name)),
                  _bits(-100, 100), gradients=False) for name in _COMPARISONS},
    **{f"complex {name}": Case(getattr(dt, name), getattr(torch, name), _complex(1),
                               gradients=False) for name in _COMPLEX},
    **{f"complex {name}": Case(getattr(dt, name), getattr(torch, name), _complex(2),
                               gradients=False) for name in _COMPLEX_OF_TWO},
    "bitwise_and": Case(dt.bitwise_and, torch.bitwise_and, _bits(-100, 100), gradients=False),
    "bitwise_or": Case(dt.bitwise_or, torch.bitwise_or, _bits(-100, 100), gradients=False),
    "bitwise_xor": Case(dt.bitwise_xor, torch.bitwise_xor, _bits(-100, 100), gradients=False),
    "bitwise_left_shift": Case(
        dt.bitwise_left_shift, torch.bitwise_left_shift, _bits(0, 50), gradients=False
    ),
    "bitwise_right_shift": Case(
        dt.bitwise_right_shift, torch.bitwise_right_shift, _bits(0, 50), gradients=False
    ),
    # torch.clamp does not differentiate bounds that broadcast the operand.
    "clip": Case(
        dt.clip, lambda x, low, high: torch.minimum(torch.maximum(x, low), high), _bounded
    ),
    "clip to numbers": Case(
        lambda x: dt.clip(x, -0.5, 0.5), lambda x: torch.clamp(x, -0.5, 0.5), _one()
    ),
    "floor_divide": Case(
        dt.floor_divide, torch.floor_divide, _two((-9.0, 9.0), _APART), gradients=False
    ),
    "floor_divide integers": Case(
        dt.floor_divide, torch.floor_divide, _bits(1, 9), gradients=False
    ),
    "remainder of integers": Case(dt.remainder, torch.remainder, _bits(-9, -1), gradients=False),
    "nan_to_num": Case(dt.nan_to_num, torch.nan_to_num, _odd),
    "nextafter": Case(dt.nextafter, torch.nextafter, _two(), gradients=False),
    "softplus": Case(dt.softplus, torch.nn.functional.softplus, _one(-9.0, 9.0)),
    "where": Case(dt.where, torch.where, _chosen),
}  # fmt: skip
