"""Steps that are found again: what an entry's name covers, and what comes back from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import diptych as dt
from diptych.compiler.executors import native
from diptych.compiler.native import cache, remembered
from diptych.compiler.native.toolchain import find_compiler

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").mkdir(mode=0o700)
    monkeypatch.setenv("DIPTYCH_CACHE_DIR", str(tmp_path / "cache"))


def _training(constant: float = 3.0, size: int = 4) -> tuple[Any, Any]:
    """A graph with a feed, a constant array, a variable with an update and a loop."""
    w = dt.Storage(np.arange(size, dtype=np.float32))
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
    before = dt.get_num_threads()
    _training()
    monkeypatch.setattr(native, "build", _forbidden)
    try:
        with pytest.raises(AssertionError, match="built again"):
            change()
    finally:
        dt.set_num_threads(before)


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


def test_a_damaged_step_is_built_anew(tmp_path: Any) -> None:
    first, _ = _training()
    value = _run(first)
    [entry] = (tmp_path / "cache").glob("*.step")
    data = bytearray(entry.read_bytes())
    for at in range(0, len(data), max(1, len(data) // 20)):
        damaged = data.copy()
        damaged[at] ^= 1
        entry.write_bytes(damaged)
        assert remembered.recall(entry.name, first.graph, {}) is None
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
