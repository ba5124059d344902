"""The workloads: training by native programs loses as `reference` does."""

from __future__ import annotations

import numpy as np
import pytest

from diptych.bench import modes
from diptych.bench.workloads import find
from diptych.compiler.native.toolchain import find_compiler

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler")

STEPS, FIRST = 50, 8
# How far losses may be off at last, relative to the loss. At first, before errors have grown, it
# is 2e-5 for all. Batch norm, pooling and Adam make errors grow fast.
AT_LAST = {
    "mlp": 1e-4, "tiny-mlp": 1e-4, "digits-mlp": 1e-4, "text-lstm": 1e-4, "lstm": 1e-4,
    "lstm-unrolled": 1e-4, "digits-cnn": 5e-2, "cnn": 5e-2, "transformer": 1e-3,
}  # fmt: skip
LARGE = {"cnn", "transformer", "lstm-unrolled"}
LENGTHS = 4  # batches of a workload whose batches vary in size: each size is compiled


def losses(name: str, mode: str, executor: str, steps: int) -> np.ndarray:
    task = find(name).build()
    running = modes.find(mode)(task, executor)
    running.prepare(task.batch(0))
    batches = [task.batch(number % (LENGTHS if task.shapes else steps)) for number in range(steps)]
    return np.array([float(np.asarray(running.step(batch)[0])) for batch in batches])


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.full) if n in LARGE else n for n in AT_LAST]
)
def test_losses_over_many_steps(name: str) -> None:
    steps = 20 if name in LARGE else STEPS
    wanted = losses(name, "static", "reference", steps)
    found = losses(name, "static", "native", steps)
    off = np.abs(found - wanted) / np.abs(wanted)
    assert off[:FIRST].max() < 2e-5
    assert off.max() < AT_LAST[name]
    assert np.isfinite(wanted).all()


@pytest.mark.parametrize("name", ["tiny-mlp", "digits-cnn"])
def test_compiled_functions_may_be_native(name: str) -> None:
    wanted = losses(name, "hybrid", "reference", FIRST)
    found = losses(name, "hybrid", "native", FIRST)
    np.testing.assert_allclose(found, wanted, rtol=2e-5)
