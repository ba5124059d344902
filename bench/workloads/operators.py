"""op-nograd, op-grad, chain: single operators, where the mode itself is all that costs."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ...graphs.ops import exp, tanh
from ..task import Task
from . import numbers
from .workload import Workload

OPERATORS = 200
CHAIN, ROUNDS = 10_000_000, 5


def small(x: Any, a: Any, b: Any) -> Any:
    """200 operators, in turn x + a, x * b and tanh(x)."""
    for number in range(OPERATORS):
        turn = number % 3
        x = x + a if turn == 0 else x * b if turn == 1 else tanh(x)
    return x


def chain(x: Any) -> Any:
    """Five times x * 0.9, tanh, + 0.1, exp."""
    for _ in range(ROUNDS):
        x = exp(tanh(x * 0.9) + 0.1)
    return x


def build(shape: tuple[int, ...], gradient: bool) -> Task:
    rng = np.random.default_rng(0)
    batch = tuple(numbers.normal(rng, *shape) for _ in range(3))
    return Task(loss=small, batches=[batch], inputs=(0,) if gradient else ())


def build_chain() -> Task:
    rng = np.random.default_rng(0)
    return Task(loss=chain, batches=[(numbers.normal(rng, CHAIN),)])


def _workload(name: str, shape: tuple[int, ...], gradient: bool) -> Workload:
    size = " x ".join(map(str, shape))
    backward = ", forward and backward" if gradient else ", no gradient"
    return Workload(
        name=f"{name}-{shape[0]}",
        title=f"{OPERATORS} operators (add, multiply, tanh in turn) on {size} numbers{backward}",
        build=partial(build, shape, gradient),
        steps=200,
    )


OPERATOR_WORKLOADS = tuple(
    _workload(name, shape, gradient)
    for name, gradient in (("op-nograd", False), ("op-grad", True))
    for shape in ((1,), (16, 16))
)
CHAIN_WORKLOAD = Workload(
    name="chain",
    title="element-wise chain of 20 operators on 10,000,000 numbers, no gradient",
    build=build_chain,
    steps=20,
)
