"""Steps that are found again: what an entry's name covers, and what comes back from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import diptych as dt
from diptych.compiler import selection
from diptych.compiler.executors import native
from diptych.compiler.native import cache, remembered
from diptych.compiler.native.toolchain import find_compiler

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").mkdir(mode=0o700)
    monkeypatch.setenv("DIPTYCH_CACHE_DIR", str(tmp_path / "cache"))


def _training(constant: float = 3.0, size: int = 4, shift: int = 0) -> tuple[Any, Any]:
    """A graph with a feed, a constant array, a variable with an update and a loop."""
    memory = np.zeros(4 * size + shift, np.uint8)
    w = dt.Storage(memory[shift:].view(np.float32))
    w.array[:] = np.arange(size)
    with dt.static.Graph() as g:
        x = g.placeholder("x", (5, size))
        total, _ = dt.scan(lambda c, row: (c + row * w, None), dt.zeros(size), x)
        y = dt.sum(total * np.full(size, constant, np.float32))
        step = g.assign(w, w + total)
    return g.compile([y, step], executor="native"), w


def _forbidden(*args: Any) -> Any:
    raise AssertionError("built again")


def _run(program: Any) -> float:
    return float(program.run({"x": np.ones((5, 4), np.float32)})[0])


def test_a_step_that_is_known_is_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    first, w = _training()
    value, after = _run(first), w.array.copy()
    monkeypatch.setattr(native, "build", _forbidden)
    second, v = _training()
    assert second.source == first.source
    assert second.executor.explain() == first.executor.explain()
    assert _run(second) == value
    assert v.array.tobytes() == after.tobytes()


def test_stacks_are_known_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def program() -> Any:
        with dt.static.Graph() as g:
            x = g.placeholder("x", (4,))
            y = dt.while_loop(lambda c: dt.sum(c) < 100.0, lambda c: c + dt.exp(dt.sin(c)), x)
            return g.compile([y, *g.grad(dt.sum(y), [x])], executor="native")

    start = np.ones(4, np.float32)
    wanted = program().run({"x": start})
    monkeypatch.setattr(native, "build", _forbidden)
    found = program().run({"x": start})
    assert [a.tobytes() for a in found] == [a.tobytes() for a in wanted]


@pytest.mark.parametrize("opens", [True, False])
def test_open_sizes_and_why_there_are_none_are_known_again(
    monkeypatch: pytest.MonkeyPatch, opens: bool
) -> None:
    def program() -> Any:
        with dt.static.Graph() as g:
            x = g.placeholder("x", ("n", 2, 4))
            rows = x if opens else dt.cumulative_sum(x, axis=0)
            return g.compile(dt.mean(rows, axis=(0, 1)) * dt.sum(rows), executor="native")

    first = program()
    feeds = [{"x": np.random.default_rng(n).random((n, 2, 4), np.float32)} for n in (3, 5)]
    wanted = [first.run(fed) for fed in feeds]
    assert (first.source.count("void step0(") == 1) is opens
    monkeypatch.setattr(native, "build", _forbidden)
    second = program()
    for fed, w in zip(feeds, wanted):
        assert second.run(fed).tobytes() == w.tobytes()
    assert second.executor.explain() == first.executor.explain()


@pytest.mark.parametrize(
    "change",
    [
        lambda: _training(constant=4.0),
        lambda: _training(size=3),
        lambda: (dt.set_num_threads(dt.get_num_threads() + 1), _training()),
    ],
    ids=["constant", "size", "threads"],
)
def test_whatever_a_step_depends_on_is_in_its_name(
    change: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _training()
    monkeypatch.setattr(native, "build", _forbidden)
    with pytest.raises(AssertionError, match="built again"):
        change()


def test_a_step_for_aligned_variables_is_not_for_others() -> None:
    first, _ = _training()
    second, _ = _training(shift=1)
    assert "runs by planned" in second.explain()
    assert _run(second) == _run(first)


def test_a_step_that_is_known_needs_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    first, w = _training()
    value, after = _run(first), w.array.copy()
    monkeypatch.setattr(selection, "run_passes", _forbidden)
    second, v = _training()
    assert _run(second) == value
    assert v.array.tobytes() == after.tobytes()
    with pytest.raises(AssertionError, match="built again"):
        second.graph.verify()
    monkeypatch.undo()
    assert str(second.graph) == str(first.graph)
    assert [r.name for r in second.reports] == [r.name for r in first.reports]


def _picked() -> tuple[dt.static.Graph, Any, Any]:
    """Two placeholders of which the first fetch reads the second alone."""
    with dt.static.Graph() as g:
        a, b = g.placeholder("a", (2,)), g.placeholder("b", (3,))
        return g, dt.exp(b), a + dt.sum(b)


def test_what_is_appended_later_is_none_of_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    g, fetched, _ = _picked()
    nodes = len(g.compile(fetched, executor="native").graph.nodes)
    monkeypatch.setattr(native, "build", _forbidden)
    g, fetched, other = _picked()
    program = g.compile(fetched, executor="native")
    with g:
        dt.tanh(fetched), other
    assert len(program.graph.nodes) == nodes
    with pytest.raises(AssertionError, match="built again"):
        g.compile(fetched, executor="native")


def test_only_what_is_needed_is_fed_to_a_step_that_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    g, fetched, _ = _picked()
    g.compile(fetched, executor="native")
    monkeypatch.setattr(native, "build", _forbidden)
    g, fetched, other = _picked()
    program = g.compile(fetched, executor="native")
    np.testing.assert_array_equal(program.run({"b": np.zeros(3, np.float32)}), np.ones(3))
    with pytest.raises(dt.errors.FeedError):
        program.run({"a": np.zeros(2, np.float32)})
    with pytest.raises(AssertionError, match="built again"):
        g.compile(other, executor="native")


def test_data_that_a_step_that_is_known_refuses_are_told_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def losses() -> Any:
        with dt.static.Graph() as g:
            x, t = g.placeholder("x", (4, 3)), g.placeholder("t", (4,), "int64")
            return g.compile(dt.cross_entropy(x, t), executor="native")

    feeds = {"x": np.zeros((4, 3), np.float32), "t": np.array([0, 1, 7, 2])}
    with pytest.raises(dt.errors.DiptychError) as first:
        losses().run(feeds)
    monkeypatch.setattr(native, "build", _forbidden)
    with pytest.raises(type(first.value)) as second:
        losses().run(feeds)
    assert str(second.value) == str(first.value)


def test_variables_that_share_memory_have_steps_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def swap(a: Any, b: Any) -> Any:
        with dt.static.Graph() as g:
            x, y = g.read(a), g.read(b)
            updates = [g.assign(a, y + 1), g.assign(b, x + 1)]
        return g.compile(updates, executor="native")

    apart = [dt.Storage(np.zeros(4, np.float32)) for _ in range(2)]
    swap(*apart)
    memory = np.zeros(6, np.float32)
    monkeypatch.setattr(native, "build", _forbidden)
    with pytest.raises(AssertionError, match="built again"):
        swap(dt.Storage(memory[:4]), dt.Storage(memory[2:]))


@pytest.mark.parametrize("lies", ["by rows", "by columns", "with gaps"])
@pytest.mark.parametrize("index", ["transposed", "sliced", "repeated"])
def test_constants_that_passes_made_lie_as_they_did(
    index: str, lies: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown() -> Any:
        array = np.arange(24, dtype=np.float32).reshape(4, 6)
        if lies == "by columns":
            array = np.asfortranarray(array)
        elif lies == "with gaps":
            array = np.repeat(array, 2, axis=1)[:, ::2]
        with dt.static.Graph() as g:
            numbers = g.constant(array)
            if index == "transposed":
                return g.compile(numbers.T, executor="native")
            if index == "sliced":
                return g.compile(numbers[::-1, 1::2], executor="native")
            return g.compile(dt.broadcast_to(numbers[:, :1], (4, 6)), executor="native")

    first = shown().run()
    monkeypatch.setattr(native, "build", _forbidden)
    assert shown().run().tobytes() == first.tobytes()


def test_parts_of_large_constants_are_not_written_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "MOST_CONSTANTS", 0)

    def program(last: float) -> Any:
        weight = dt.Parameter(np.linspace(0, last, 48, dtype=np.float32).reshape(8, 6))
        with dt.static.Graph() as g:
            x = g.placeholder("x", (5, 6))
            return g.compile(x @ weight.T, executor="native", freeze=True)

    feeds = {"x": np.linspace(-1, 1, 30, dtype=np.float32).reshape(5, 6)}
    first = program(1.0).run(feeds)
    program(2.0).run(feeds)
    monkeypatch.setattr(native, "build", _forbidden)
    assert program(1.0).run(feeds).tobytes() == first.tobytes()
    assert program(2.0).run(feeds).tobytes() != first.tobytes()


def test_a_damaged_step_is_built_anew(tmp_path: Any) -> None:
    first, _ = _training()
    value = _run(first)
    [entry] = (tmp_path / "cache").glob("*.step")
    data = bytearray(entry.read_bytes())
    for at in range(0, len(data), max(1, len(data) // 20)):
        damaged = data.copy()
        damaged[at] ^= 1
        entry.write_bytes(damaged)
        assert remembered.recall(entry.name, first._selection, {}) is None
    assert _run(_training()[0]) == value


def test_programs_can_be_kept_out(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIPTYCH_PROGRAM_CACHE", "0")
    before = {path.name for path in (tmp_path / "cache").iterdir()}
    _run(_training(constant=5.0)[0])
    assert not list((tmp_path / "cache").glob("*.step"))
    assert not cache.keeps_programs()
    monkeypatch.delenv("DIPTYCH_PROGRAM_CACHE")
    _training(constant=5.0)
    assert len(list((tmp_path / "cache").glob("*.step"))) == 1
    assert before <= {path.name for path in (tmp_path / "cache").iterdir()}
