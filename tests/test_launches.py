"""Kernels that a gradient rule was seen to launch, against the rule itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from registry import KERNELS, assert_same_bits, bind, call, fill, is_array, is_float, results_of
from samples import SAMPLES, Sample

import diptych as dt
from diptych.eager.launches import Launches
from diptych.graphs import dtypes
from diptych.graphs.ops import REGISTRY, Op

pytestmark = pytest.mark.usefixtures("special_values")

RUNS = 6  # more than a rule runs before it is noted


def _gradients(op: Op, sample: Sample) -> list[Any]:
    tensors = [
        dt.tensor(a, dtype=a.dtype, requires_grad=is_float(a))
        for a in filter(is_array, sample.args)
    ]
    outs = results_of(call(op, fill(sample.args, tensors), sample.attrs))
    outs = [out for out in outs if dtypes.is_float(out.dtype)]
    rng = np.random.default_rng(5)
    seeds = [dt.asarray(rng.uniform(-1, 1, out.shape).astype(out.dtype)) for out in outs]
    leaves = [x for x in tensors if x.requires_grad]
    found = dt.grad(outs, leaves, seeds, allow_unused=True)
    return [None if g is None else g.numpy() for g in found]


@pytest.mark.parametrize("op", [op for op in KERNELS.values() if op.vjp], ids=lambda op: op.name)
def test_gradients_stay_the_same_to_the_last_bit(op):
    for sample in SAMPLES[op.name].samples:
        if not any(map(is_float, sample.args)):
            continue
        if not bind(op, sample.args, sample.attrs)[0].differentiable:
            continue
        first, *others = [_gradients(op, sample) for _ in range(RUNS)]
        for found in others:
            for a, b in zip(first, found, strict=True):
                assert (a is None) == (b is None), sample
                if a is not None:
                    assert_same_bits(a, b, str(sample))


def test_rules_of_common_operators_are_noted():
    x = dt.tensor(np.full((3, 5), 0.5, np.float32), requires_grad=True)
    for _ in range(RUNS):
        dt.sum(dt.tanh(x * x) / (x + 2.0)).backward()
    noted = {
        name
        for name in ("add", "divide", "multiply", "sum", "tanh")
        for bound in REGISTRY[name].bounds.values()
        for found in bound.launches.values()
        if isinstance(found, Launches)
    }
    assert noted == {"add", "divide", "multiply", "sum", "tanh"}
