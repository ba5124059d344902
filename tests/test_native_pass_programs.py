"""Random programs and training steps, changed by the passes that change the order of sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from native_passes import TOGETHER, arrays_for, changed, run

import diptych as dt
from diptych.bench import modes
from diptych.bench.workloads import find
from diptych.compiler.passes.assemble import assemble
from diptych.compiler.passes.combine import combine
from diptych.compiler.passes.contract import contract
from diptych.compiler.passes.decompose import decompose

UNARY = [dt.tanh, dt.softmax, dt.log_softmax, dt.mean, dt.std, dt.logsumexp, dt.negative]
ORDERS = [(0, 2, 1), (1, 0, 2), (2, 0, 1), (2, 1, 0)]
KINDS = ["matmul", "rows", "sum", "turn", "flat", "apart", "steps", "unary", "add", "norm"]
N = 3  # the size of every axis, so that everything fits


@st.composite
def programs(draw):
    ranks = draw(st.lists(st.integers(2, 3), min_size=2, max_size=4))
    step = st.tuples(st.sampled_from(KINDS), *[st.integers(0, 20)] * 3)
    return ranks, draw(st.lists(step, min_size=1, max_size=8))


def applied(steps, made):
    """Apply a program to values whose axes all have size `N`."""
    for kind, which, i, j in steps:
        x, y = made[i % len(made)], made[j % len(made)]
        made.append(dt.tanh(_apply(kind, which, x, y)))
    return made


def _apply(kind, which, x, y):
    matrix = y if y.aval.ndim == 2 else y[which % N]
    if kind == "matmul":
        return x @ y
    if kind == "rows":
        return dt.reshape(dt.reshape(x, (-1, N)) @ matrix, x.shape)
    if kind == "sum":
        return dt.sum_to(x, (N, N))
    if kind == "turn":
        return x.T if x.aval.ndim == 2 else dt.permute_dims(x, ORDERS[which % 4])
    if kind == "flat":
        turned = dt.permute_dims(x, tuple(reversed(range(x.aval.ndim))))
        return dt.reshape(dt.reshape(turned, -1), x.shape)
    if kind == "apart":
        axis = which % x.aval.ndim
        parts = [dt.tanh(part) if which % 5 else part for part in dt.unstack(x, axis)]
        return dt.stack(parts[:: -1 if which % 7 == 0 else 1], which % 2)
    if kind == "steps":
        h = matrix
        for part in x:
            h = dt.tanh((part @ matrix if x.aval.ndim == 3 else matrix * part) + h @ matrix)
        return h
    if kind == "norm":
        return dt.layer_norm(x, y[0], 0.0, N) if y.aval.ndim == 2 else dt.rms_norm(x, y[0], (N, N))
    return UNARY[which % len(UNARY)](x) + x if kind == "unary" else x + y


@given(programs())
def test_random_programs_agree_with_reference(program):
    ranks, steps = program
    with dt.static.Graph() as g:
        feeds = [g.placeholder(f"x{i}", (N,) * rank, "float64") for i, rank in enumerate(ranks)]
        made = applied(steps, list(feeds))
        loss = dt.accumulate([dt.sum(v) for v in made[-3:]])
        slopes = g.grad(loss, feeds, allow_unused=True)
        g.outputs = (*made[-3:], *(v for v in slopes if v is not None))
    arrays = arrays_for(g)
    wanted = run(g, arrays)
    for passes in (*((one,) for one in TOGETHER), TOGETHER):
        found = run(changed(g, *passes), arrays)
        for f, e in zip(found, wanted, strict=True):
            np.testing.assert_allclose(f, e, rtol=1e-7, atol=1e-9 * np.abs(e).max(initial=1))


# -- workloads -------------------------------------------------------------------------------


def one_step(graph: Any, batch: Any, start: dict[Any, Any]) -> tuple[list[Any], list[Any]]:
    """What a run gives, and what it leaves in the storages, from a given start."""
    for storage, array in start.items():
        storage.write(array.copy())
    found = [np.array(a) for a in run(graph, batch)]
    return found, [storage.array.copy() for storage in start]


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize(
    "name",
    ["mlp", "lstm", *(pytest.param(n, marks=pytest.mark.full) for n in ("cnn", "transformer"))],
)
def test_a_training_step_agrees_with_reference(name, gradients):
    task = find(name).build()
    mode = modes.Static(task, "reference", passes=(), gradients=gradients)
    batch = task.batch(0)
    mode.prepare(batch)
    graph = mode.program.graph
    batch = dict(zip(graph.placeholders, batch))
    start = {storage: storage.array.copy() for storage, _ in graph.variables}
    wanted, ends = one_step(graph, batch, start)
    for passes in (*((one,) for one in (assemble, combine, contract, decompose)), TOGETHER):
        found, trained = one_step(changed(graph, *passes), batch, start)
        for f, e in zip(found, wanted, strict=True):
            np.testing.assert_allclose(f, e, rtol=1e-5, atol=1e-5 * np.abs(e).max(initial=1e-4))
        for f, e in zip(trained, ends, strict=True):
            # Adam scales a gradient that is rounding alone to a step of the learning rate.
            np.testing.assert_allclose(
                f, e, rtol=1e-5, atol=1e-5 if name != "transformer" else 1e-3
            )
