"""Freezing: what a program only reads is a constant of it, and native code packs it once."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import diptych as dt
from diptych.compiler.executors import instance, native
from diptych.compiler.native.toolchain import find_compiler

EXECUTORS = ["reference", "planned", "native"]
needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler")


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def compiled(
    function: Callable[..., Any], *shapes: Any, executor: str = "native", freeze: bool = True
) -> Any:
    """A program of a function of placeholders x0, x1, ..."""
    with dt.static.Graph() as g:
        fetches = function(*(g.placeholder(f"x{i}", shape) for i, shape in enumerate(shapes)))
    return g.compile(fetches, executor=executor, freeze=freeze)


def fed(*arrays: np.ndarray) -> dict[str, np.ndarray]:
    return {f"x{i}": array for i, array in enumerate(arrays)}


def function_of(source: str, name: str) -> str:
    """The text of one native function of a step."""
    found = re.search(rf"^void {name}\(.*?^\}}", source, re.DOTALL | re.MULTILINE)
    return "" if found is None else found.group()


# -- what is frozen ----------------------------------------------------------------------------


@pytest.mark.parametrize("executor", EXECUTORS)
def test_only_live_programs_see_later_writes(executor: str) -> None:
    weight = dt.Storage(normal(40, 33))
    x = normal(16, 40, seed=1)

    def product(x: Any) -> Any:
        return dt.matmul(x, weight)

    live, frozen = (
        compiled(product, x.shape, executor=executor, freeze=freeze) for freeze in (False, True)
    )
    before = x @ weight.array
    weight.array[...] = normal(40, 33, seed=2)  # as eager code does, past `Storage.write`
    np.testing.assert_allclose(frozen.run(fed(x)), before, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(live.run(fed(x)), x @ weight.array, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_what_the_program_assigns_stays_a_variable(executor: str) -> None:
    count, step = dt.Storage(np.float32(0)), dt.Storage(np.float32(1))
    with dt.static.Graph() as g:
        n = g.read(count)
        update = g.assign(count, n + step)
    program = g.compile([n, update], executor=executor, freeze=True)
    step.write(5)
    assert [float(program.run()[0]) for _ in range(3)] == [0, 1, 2]
    count.write(7)
    assert float(program.run()[0]) == 7
    assert count.item() == 8


@pytest.mark.parametrize("executor", EXECUTORS)
def test_what_lies_in_assigned_memory_stays_a_variable(executor: str) -> None:
    memory = np.zeros(4, np.float32)
    whole, part = dt.Storage(memory), dt.Storage(memory[1:3])
    with dt.static.Graph() as g:
        seen = g.read(part) * 1
        update = g.assign(whole, g.read(whole) + 1)
    program = g.compile([seen, update], executor=executor, freeze=True)
    assert [program.run()[0].tolist() for _ in range(3)] == [[0, 0], [1, 1], [2, 2]]


@pytest.mark.parametrize("executor", EXECUTORS)
def test_random_draws_go_on(executor: str) -> None:
    program = compiled(lambda: dt.randn((4,)), executor=executor)
    assert program.run().tobytes() != program.run().tobytes()


@pytest.mark.parametrize("executor", ["reference", "planned"])
def test_kernels_give_the_same_bits(executor: str) -> None:
    model = dt.nn.Sequential(dt.nn.Conv2d(3, 8, 3), dt.nn.BatchNorm2d(8), dt.nn.ReLU()).eval()
    x = normal(2, 3, 9, 9)
    live, frozen = (
        compiled(model, x.shape, executor=executor, freeze=freeze) for freeze in (False, True)
    )
    assert live.run(fed(x)).tobytes() == frozen.run(fed(x)).tobytes()


def test_explain_says_how_much_is_frozen() -> None:
    weight = dt.Storage(normal(40, 33))
    program = compiled(lambda x: x @ weight, (16, 40), executor="planned")
    [line] = [line for line in program.explain().splitlines() if line.startswith("freeze")]
    assert f"of constants 0 -> {weight.array.nbytes}" in line


def test_what_follows_from_frozen_numbers_is_folded() -> None:
    table, index = dt.Storage(normal(6, 3)), dt.Storage(np.array([5, 1]))
    with dt.static.Graph() as g:
        rows = dt.embedding(index, table) * 2
    program = g.compile(rows, freeze=True)
    assert {node.op.name for node in program.graph.nodes} == {"constant"}
    assert program.run().tobytes() == (table.array[[5, 1]] * 2).tobytes()


def test_what_kernels_refuse_is_left_to_the_run() -> None:
    table, index = dt.Storage(normal(6, 3)), dt.Storage(np.array([6]))
    with dt.static.Graph() as g:
        rows = dt.embedding(index, table)
    program = g.compile(rows, freeze=True)
    with pytest.raises(dt.errors.RangeError):
        program.run()


# -- once ----------------------------------------------------------------------------------------


@needs_compiler
def test_weights_are_packed_once() -> None:
    matrix, filters = dt.Storage(normal(40, 33)), dt.Storage(normal(8, 3, 3, 3))

    def both(x: Any, image: Any) -> Any:
        return x @ matrix, dt.conv2d(image, filters)

    live, frozen = (
        compiled(both, (64, 40), (1, 3, 9, 9), freeze=freeze).source for freeze in (False, True)
    )
    assert function_of(frozen, "once").count(" pack_") == 2
    assert " pack_" not in function_of(frozen, "step0")
    assert " pack_" in function_of(live, "step0")
    assert not function_of(live, "once")


@needs_compiler
def test_what_follows_from_large_constants_is_computed_once() -> None:
    weight, scale = dt.Storage(normal(600, 700)), dt.Storage(normal(700, seed=1))
    x = normal(16, 600, seed=2)
    program = compiled(lambda x: dt.matmul(x, dt.tanh(weight) * scale), x.shape)
    assert "tanh" in function_of(program.source, "once")
    assert "tanh" not in function_of(program.source, "step0")
    wanted = x @ (np.tanh(weight.array) * scale.array)
    for _ in range(2):
        np.testing.assert_allclose(program.run(fed(x)), wanted, rtol=1e-4, atol=1e-3)


@needs_compiler
def test_what_grows_from_few_numbers_is_not_kept() -> None:
    row = dt.Storage(normal(1100))
    program = compiled(lambda x: x + dt.tanh(row[:, None] * row[None, :]), (1100, 1100))
    assert not function_of(program.source, "once")


@needs_compiler
def test_known_results_and_updates() -> None:
    """Fetched from one run after the other, and written by each."""
    weight, target = dt.Storage(normal(600, 700)), dt.Storage(np.zeros((600, 700), np.float32))
    with dt.static.Graph() as g:
        found = dt.tanh(g.read(weight))
        update = g.assign(target, dt.exp(found))
    program = g.compile([found, update], executor="native", freeze=True)
    assert "tanh" in function_of(program.source, "once")
    for _ in range(2):
        result, _ = program.run()
        np.testing.assert_allclose(result, np.tanh(weight.array), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(target.array, np.exp(result), rtol=1e-5)
        result[...] = 0
        target.write(np.zeros((600, 700), np.float32))


@needs_compiler
def test_operators_without_native_code_read_what_is_kept() -> None:
    matrix = dt.Storage(normal(600, 600) + 600 * np.eye(600, dtype=np.float32))
    program = compiled(lambda: dt.linalg.inv(matrix * 2 + dt.tanh(matrix)))
    assert "tanh" in function_of(program.source, "once")
    wanted = np.linalg.inv(matrix.array * 2 + np.tanh(matrix.array))
    np.testing.assert_allclose(program.run(), wanted, rtol=1e-4, atol=1e-5)


@needs_compiler
def test_without_threads_planned_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = dt.Storage(normal(40, 33))
    monkeypatch.setattr(instance, "_enter", lambda: lambda *given: 1)
    with pytest.warns(UserWarning, match="threads"):
        program = compiled(lambda x: x @ weight, (64, 40))
    x = normal(64, 40, seed=1)
    np.testing.assert_allclose(program.run(fed(x)), x @ weight.array, rtol=1e-4, atol=1e-4)


@needs_compiler
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_loops_read_packed_weights(threads: int) -> None:
    dt.set_num_threads(threads)
    inner, outer = dt.Storage(normal(24, 24) / 5), dt.Storage(normal(6, 6, 3, 3) / 7)
    xs, image = normal(5, 8, 24), normal(2, 6, 7, 7, seed=3)

    def loops(xs: Any, image: Any) -> Any:
        h, _ = dt.scan(lambda h, x: (dt.tanh(x + h @ inner), None), dt.zeros((8, 24)), xs)
        y, _ = dt.scan(
            lambda y, i: (dt.tanh(dt.conv2d(y, outer, padding=1)), None), image, length=3
        )
        return h, y

    live, frozen = (compiled(loops, xs.shape, image.shape, freeze=f) for f in (False, True))
    assert function_of(frozen.source, "once").count(" pack_") == 2
    feeds = fed(xs, image)
    for one, other in zip(live.run(feeds), frozen.run(feeds)):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@needs_compiler
def test_sizes_share_what_is_kept() -> None:
    """All that read it alike, for as long as one of them lasts."""
    matrices = [dt.Storage(normal(40, n, seed=n)) for n in (33, 8)]
    program = compiled(lambda x: dt.tanh(x @ matrices[0]) @ matrices[0].T @ matrices[1], ("n", 40))
    wanted = [storage.array.copy() for storage in matrices]
    for storage in matrices:
        storage.write(np.zeros(storage.shape, np.float32))
    for n in (5, 64, 1, 5):
        x = normal(n, 40, seed=n)
        expected = np.tanh(x @ wanted[0]) @ wanted[0].T @ wanted[1]
        np.testing.assert_allclose(program.run(fed(x)), expected, rtol=1e-4, atol=1e-3)
    plans = program.executor._plans.values()
    assert len({id(plan.kept) for plan in plans}) == 1 < len(plans)


@needs_compiler
def test_concurrent_runs_share_what_is_kept() -> None:
    weight = dt.Storage(normal(40, 33))
    program = compiled(lambda x: dt.tanh(x @ weight), (64, 40))
    inputs = [normal(64, 40, seed=seed) for seed in range(4)]
    wanted = [program.run(fed(x)).tobytes() for x in inputs]
    found: list[Any] = [None] * len(inputs)

    def work(i: int) -> None:
        found[i] = {program.run(fed(inputs[i])).tobytes() for _ in range(50)}

    workers = [threading.Thread(target=work, args=(i,)) for i in range(len(inputs))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == [{bits} for bits in wanted]


@needs_compiler
def test_a_step_from_the_cache_packs_anew(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").mkdir(mode=0o700)
    monkeypatch.setenv("DIPTYCH_CACHE_DIR", str(tmp_path / "cache"))
    x = normal(64, 40, seed=9)

    def program(seed: int) -> Any:
        weight = dt.Storage(normal(40, 33, seed=seed))
        return compiled(lambda x: x @ (weight * 2), x.shape)

    first = program(0)
    bits = first.run(fed(x)).tobytes()
    other = program(1).run(fed(x))
    np.testing.assert_allclose(other, x @ (normal(40, 33, seed=1) * 2), rtol=1e-4, atol=1e-4)

    def forbidden(*args: Any) -> Any:
        raise AssertionError("built again")

    monkeypatch.setattr(native, "build", forbidden)
    again = program(0)
    assert again.explain().splitlines()[-1] == first.explain().splitlines()[-1]
    assert again.run(fed(x)).tobytes() == bits
