"""The workloads: what they are made of, and that every mode computes the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from diptych.bench import modes
from diptych.bench.data import VOCABULARY, source_lines
from diptych.bench.workloads import WORKLOADS, find
from diptych.graphs.kernels import Recorder, recording

# Each mode writes it in its own way, so their kernels differ.
OWN_WAYS = {"tree"}
LARGE = {"chain", "cnn", "transformer"}
NAMES = [
    pytest.param(name, marks=pytest.mark.full) if name in LARGE else name for name in WORKLOADS
]


def start(name: str, mode: str, executor: str) -> tuple[Any, Any]:
    """A task, and a mode that is ready to take its first step."""
    task = find(name).build()
    passes = () if executor == "reference" else None
    running = modes.find(mode)(task, executor, passes=passes, gradients=True)
    running.prepare(task.batch(0))
    return task, running


def steps(name: str, mode: str, executor: str = "reference") -> tuple[Any, Any]:
    """What two steps compute, gradients among it, and the weights after them."""
    task, running = start(name, mode, executor)
    results = [[np.array(a) for a in running.step(task.batch(number))] for number in range(2)]
    return results, [s.numpy().copy() for s in task.storages]


@pytest.mark.parametrize("name", NAMES)
def test_modes_compute_the_same(name: str) -> None:
    expected, weights = steps(name, "eager")
    for mode in ("static", "hybrid"):
        for executor in ("reference", "planned"):
            found, trained = steps(name, mode, executor)
            for one, other in zip(found, expected, strict=True):
                for f, e in zip(one, other, strict=True):
                    assert f.dtype == e.dtype and f.shape == e.shape
                    scale = np.abs(e).max(initial=1e-6)
                    np.testing.assert_allclose(f / scale, e / scale, atol=2e-5)
            for f, e in zip(trained, weights, strict=True):
                np.testing.assert_allclose(f, e, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_certificates_are_equal_but_where_modes_differ_on_purpose(name: str) -> None:
    certificates = []
    for mode in modes.STANDARD:
        task, running = start(name, mode, "reference")
        found = []
        for number in range(2):
            with recording(Recorder()) as recorder:
                found.append(recorder.certificate(running.step(task.batch(number))))
        certificates.append(found)
    assert (certificates[0] == certificates[1] == certificates[2]) == (name not in OWN_WAYS)


@pytest.mark.parametrize("name", ["tree", "lstm-varlen", "mlp-infer-1"])
def test_dynamic_batching_computes_the_same(name: str) -> None:
    for count in (1, 3):
        task, eager = start(name, "eager", "reference")
        _, batched = start(name, "autobatch", "reference")
        batches = [task.batch(number) for number in range(count)]
        found, expected = batched.steps(batches), eager.steps(batches)
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_workload_is_the_same_each_time_it_is_built(name: str) -> None:
    one, other = find(name).build(), find(name).build()
    for a, b in zip(one.batch(0), other.batch(0), strict=True):
        assert a.tobytes() == b.tobytes()
    for s, t in zip(one.storages, other.storages, strict=True):
        assert s.numpy().tobytes() == t.numpy().tobytes()


def test_lines_are_real_and_of_varying_length() -> None:
    lines = source_lines()
    lengths = {batch.shape[0] for batch in lines.train}
    assert len(lengths) > 10 and len(lines.train) > 100
    for batch in lines.train:
        assert batch.dtype == np.int64 and (batch[0] == 0).all()
        assert batch[1:].min() >= 1 and batch.max() < VOCABULARY
    text = "".join(chr(c + 31) for c in lines.train[0][1:, 0])
    assert text == text.strip()
