"""Variables of native programs: memory of every kind, and runs that end before they are through."""

from __future__ import annotations

import signal
from typing import Any

import numpy as np
import pytest

import diptych as dt
from diptych.compiler.native.toolchain import find_compiler
from diptych.graphs.storage import Storage

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler")

EXECUTORS = ["reference", "planned", "native"]


def packed(dtype: str, gap: str) -> np.ndarray:
    """Numbers that other ones stand between, as in files."""
    return np.zeros(6, np.dtype([("gap", gap), ("number", dtype)]))["number"]


def shifted(dtype: str) -> np.ndarray:
    return np.zeros(6 * np.dtype(dtype).itemsize + 1, np.uint8)[1:].view(dtype)


@pytest.mark.parametrize(
    "array", [packed("float32", "i1"), packed("complex128", "f8"), shifted("float64")]
)
def test_variables_whose_elements_c_cannot_read_one_by_one(array: np.ndarray) -> None:
    array[:] = np.arange(6)
    w = Storage(array)
    assert w.array is array
    with dt.static.Graph() as g:
        step = g.assign(w, g.variable(w) * 2 + 1)
        program = g.compile([g.variable(w) + 1, step], executor="native")
    for _ in range(2):
        before = array.copy()
        shown, _ = program.run()
        np.testing.assert_array_equal(shown, before + 1)
        np.testing.assert_array_equal(array, before * 2 + 1)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_the_last_assignment_wins_where_variables_overlap(executor: str) -> None:
    base = np.zeros(8, np.float32)
    a, b = Storage(base[:6]), Storage(base[2:])
    with dt.static.Graph() as g:
        x = g.placeholder("x", (6,))
        steps = [g.assign(a, x), g.assign(b, x * 2), g.assign(a, x * 3)]
        g.compile(steps, executor=executor).run({"x": np.arange(6, dtype=np.float32)})
    np.testing.assert_array_equal(base, [0, 3, 6, 9, 12, 15, 8, 10])


def test_a_kernel_that_raises_between_native_parts_changes_nothing() -> None:
    w = Storage(np.ones(3, np.float32))
    with dt.static.Graph() as g:
        x = g.placeholder("x", (3,))
        step = g.assign(w, g.variable(w) * 2)  # could be computed before the kernel runs
        program = g.compile([dt.fft.fft(x), step], executor="native")
    assert " 0 operators without native code" not in program.explain()
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        program.run({"x": np.full(3, np.inf, np.float32)})
    np.testing.assert_array_equal(w.array, [1, 1, 1])


class _TooLongError(Exception):
    pass


@pytest.mark.usefixtures("threads")
def test_a_loop_that_a_handler_of_signals_ends_changes_nothing() -> None:
    """What it raises is raised; before, it may run programs of its own, even this one."""
    w = Storage(np.ones(3, np.float32))
    with dt.static.Graph() as g:
        x = g.placeholder("x", (3,))
        step = g.assign(w, g.variable(w) * 2)
        last = dt.while_loop(lambda c: c[0] > 0, lambda c: c + 0, x)
        program = g.compile([last, step], executor="native")
        alone = g.compile(last, executor="native")
    seen = []

    def handle(number: int, frame: Any) -> None:
        seen.append(alone.run({"x": np.zeros(3, np.float32)}))
        raise _TooLongError("of course")

    former = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(_TooLongError, match="of course") as told:
            program.run({"x": np.ones(3, np.float32)})
    finally:
        signal.signal(signal.SIGALRM, former)
    assert told.traceback[-1].name == "handle"
    np.testing.assert_array_equal(seen, np.zeros((1, 3)))
    np.testing.assert_array_equal(w.array, [1, 1, 1])


def test_values_that_are_read_twice_over_and_over_are_looked_at_once() -> None:
    """Else a plan would follow two to the power of their number of ways."""
    with dt.static.Graph() as g:
        y: Any = g.placeholder("x", (4, 5))
        for _ in range(20):
            y = y * y - y * 0.5
        z = dt.sum(y - dt.sum(y, axis=1, keepdims=True), axis=1, keepdims=True) + y
    found = g.compile(z, executor="native").run({"x": np.ones((4, 5), np.float32)})
    assert np.isfinite(found).all()


def test_a_variable_is_seen_through_any_number_of_views() -> None:
    w = Storage(np.arange(12, dtype=np.float32).reshape(4, 3))
    old = w.array.copy()
    with dt.static.Graph() as g:
        shown = g.variable(w)
        for _ in range(999):
            shown = shown.T[::-1]
        program = g.compile([shown, g.assign(w, g.variable(w) * 2)], executor="native")
    np.testing.assert_array_equal(program.run()[0], np.rot90(old, 999))
    np.testing.assert_array_equal(w.array, old * 2)
