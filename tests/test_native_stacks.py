"""Loops whose rounds data count: what they keep of each for a gradient lies on stacks that grow."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from native_races import check, standard

import diptych as dt
from diptych.compiler.executors import native
from diptych.compiler.native.library import library
from diptych.compiler.native.toolchain import find_compiler
from diptych.graphs.kernels import Recorder, recording
from diptych.graphs.storage import Storage

pytestmark = [
    pytest.mark.usefixtures("threads"),
    pytest.mark.parametrize("threads", [1, 2], indirect=True, ids="{} threads".format),
    pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler"),
]


def counted(rounds: Any, turn: Callable[[Any], Any], x: Any) -> Any:
    """So many rounds, a number in memory."""
    body = lambda c: (c[0] + 1, turn(c[1]))
    return dt.while_loop(lambda c: c[0] < rounds, body, (dt.zeros((), dtype="int64"), x))[1]


def turned(w: Any) -> Callable[[Any], Any]:
    return lambda x: dt.tanh(x @ w) + x * 0.5


def training(turn: Callable[[Any], Any] = turned, order: int = 1) -> tuple[Any, list[Any]]:
    """A loop over `rounds` rounds, its result and gradients up to an order."""
    with dt.static.Graph() as g:
        x, w = g.placeholder("x", (3, 8)), g.placeholder("w", (8, 8))
        y = counted(g.placeholder("rounds", (), "int64"), turn(w), x)
        fetches, total = [y], dt.sum(dt.square(y) * standard(3, 8, seed=5))
        for _ in range(order):
            slopes = g.grad(total, [x, w], create_graph=True)
            fetches += slopes
            total = dt.sum(dt.square(slopes[0])) + dt.sum(dt.sin(slopes[1]))
    return g, fetches


def feeds(rounds: int) -> dict[str, Any]:
    x, w = standard(3, 8), standard(8, 8, seed=1) * 0.15
    return {"x": x, "w": w, "rounds": np.array(rounds)}


def assert_native(program: Any) -> None:
    """Every run is one call of native code."""
    assert "runs by planned" not in program.explain()
    assert " 0 operators without native code" in program.explain()


def assert_close(found: Any, wanted: Any) -> None:
    for f, w in zip(found, wanted, strict=True):
        np.testing.assert_allclose(f, w, rtol=1e-4, atol=1e-5 * max(np.abs(w).max(initial=0), 1))


# -- any number of rounds --------------------------------------------------------------------


def test_gradients_of_any_number_of_rounds() -> None:
    g, fetches = training()
    check(g, fetches, [feeds(rounds) for rounds in (2, 0, 21, 1)])
    assert_native(g.compile(fetches, executor="native"))


@pytest.mark.parametrize("order", [2, 3])
def test_gradients_of_gradients(order: int) -> None:
    """From the third order on, several loops read one stack, whose cotangents are added up."""
    g, fetches = training(order=order)
    check(g, fetches, [feeds(rounds) for rounds in (1, 0, 9)], repeats=10)
    if order == 2:
        assert_native(g.compile(fetches, executor="native"))


def test_one_program_serves_every_number_of_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is compiled once, and its code does not grow with the rounds."""
    g, fetches = training()
    program, reference = (g.compile(fetches, executor=e) for e in ("native", "reference"))
    source = program.source
    monkeypatch.setattr(native, "build", None)
    for rounds in (3, 0, 300, 1, 40, 2000):
        assert_close(program.run(feeds(rounds)), reference.run(feeds(rounds)))
    assert program.source == source


def stack_bytes(program: Any) -> int:
    [line] = [line for line in program.executor.explain() if line.startswith("stacks: ")]
    return int(line.rpartition("; ")[2].split()[0])


def test_a_steady_step_allocates_nothing() -> None:
    g, fetches = training()
    program = g.compile(fetches, executor="native")
    assert stack_bytes(program) == 0
    program.run(feeds(10))
    few = stack_bytes(program)
    assert few > 10 * (2 * 3 * 8) * 4  # what a round begins with, and its tanh
    for rounds in (10, 4, 9):
        program.run(feeds(rounds))
    assert stack_bytes(program) == few
    program.run(feeds(1000))
    assert few * 10 < stack_bytes(program) < few * 1000


def test_counters_know_of_stacks() -> None:
    g, fetches = training()
    program = g.compile(fetches, executor="native")
    peaks = []
    for rounds in (1, 1, 500):
        with recording(Recorder()) as recorder:
            program.run(feeds(rounds))
        peaks.append(recorder.peak_bytes)
    assert peaks[0] == peaks[1] < peaks[2]


def test_what_no_memory_holds_is_refused() -> None:
    head = (ctypes.c_int64 * 3)()
    grow = lambda count, size: library().dt_grow(head, ctypes.c_int64(count), ctypes.c_int64(size))
    assert grow(3, 100)
    known = list(head)
    assert known[2] >= 400
    for count, size in [(1 << 62, 8), ((1 << 63) - 1, 1), (1 << 40, 1 << 40), (1 << 55, 4)]:
        assert not grow(count, size)
        assert list(head)[1:] == known[1:]
    library().dt_release(head)
    assert list(head) == [0, 0, 0]


# -- loops of every kind, in each other --------------------------------------------------------


def several(w: Any) -> Callable[[Any], Any]:
    """Carries of several shapes and dtypes, which swap."""

    def turn(c: Any) -> Any:
        a, b, n, flag = c
        taken = dt.where(flag, b * a[0, 0], b)
        return b, dt.tanh(a @ w) + taken, n + dt.astype(flag, "int32"), dt.sum(b) > n * 0.1

    start = lambda x: (x, x * 2, dt.zeros((), dtype="int32"), dt.ones((), dtype="bool"))
    return lambda x: dt.scan(lambda c, _: (turn(c), None), start(x), length=2)[0][1]


def scanned(w: Any) -> Callable[[Any], Any]:
    """A loop of known length in each round."""
    step = lambda c, row: (dt.tanh(c @ w + row), c)

    def turn(x: Any) -> Any:
        last, rows = dt.scan(step, x * 0.5, dt.stack([x, x * x, w[:3]]), reverse=True)
        return last + dt.sum(rows, axis=0) * 0.1

    return turn


def bounded(w: Any) -> Callable[[Any], Any]:
    """A loop in a loop, which has to have a bound."""
    small = lambda c: dt.sum(c * c) < 30.0
    return lambda x: dt.while_loop(small, lambda c: c * 1.3 + dt.cos(c @ w), x, max_iterations=4)


def chosen(w: Any) -> Callable[[Any], Any]:
    return lambda x: dt.cond(dt.sum(x) > 0.5, turned(w), lambda c: c * 0.7 - dt.sin(c) + w[0], x)


def computed_again(w: Any) -> Callable[[Any], Any]:
    return lambda x: dt.checkpoint(lambda c: dt.tanh(dt.tanh(c @ w) @ w) + c, x)


def unbounded_within(w: Any) -> Callable[[Any], Any]:
    """A loop without a bound in a loop: its stacks are filled in each round of the outer one."""
    small = lambda c: dt.sum(c * c) < 40.0
    grow = lambda x: dt.while_loop(small, lambda c: c * 1.2 + dt.cos(c @ w) * 0.5, x)
    return lambda x: dt.checkpoint(lambda c: grow(c * 0.3), x)


def looked_at(w: Any) -> Callable[[Any], Any]:
    """A loop without a bound whose result has no gradient."""
    halved = lambda x: dt.while_loop(lambda n: n > 0.7, lambda n: n * 0.5, dt.sum(x * x))
    return lambda x: dt.tanh(x @ w) * dt.stop_gradient(halved(x)) + x


NESTED = [several, scanned, bounded, chosen, computed_again, unbounded_within, looked_at]


@pytest.mark.parametrize("turn", NESTED)
def test_loops_in_rounds(turn: Callable[[Any], Any]) -> None:
    g, fetches = training(turn)
    check(g, fetches, [feeds(rounds) for rounds in (1, 6, 0)], repeats=10)
    assert_native(g.compile(fetches, executor="native"))


@pytest.mark.parametrize("turn", NESTED)
def test_loops_in_rounds_to_second_order(turn: Callable[[Any], Any]) -> None:
    g, fetches = training(turn, order=2)
    program, reference = (g.compile(fetches, executor=e) for e in ("native", "reference"))
    assert_close(program.run(feeds(5)), reference.run(feeds(5)))


@pytest.mark.parametrize("around", ["cond", "checkpoint", "scan", "bounded"])
@pytest.mark.parametrize("sign", [1, -1])
def test_loops_within(around: str, sign: int) -> None:
    """A branch that is not taken, or a round that does not run the loop, has no entries."""
    with dt.static.Graph() as g:
        x, w = g.placeholder("x", (3, 8)), g.placeholder("w", (8, 8))
        rounds = g.placeholder("rounds", (), "int64")
        loop = lambda c: counted(rounds, turned(w), c)
        if around == "cond":
            y = dt.cond(dt.sum(x) * sign > 0, loop, lambda c: c @ w, x)
        elif around == "checkpoint":
            y = dt.checkpoint(loop, x * sign)
        elif around == "scan":
            again = lambda c, row: (dt.checkpoint(loop, c * 0.5 + row), None)
            y, _ = dt.scan(again, x * sign, dt.stack([x, dt.cos(x)]))
        else:
            below = lambda c: dt.sum(c) * sign < 5.0
            y = dt.while_loop(below, lambda c: dt.checkpoint(loop, c) + 1, x, max_iterations=3)
        fetches = [y, *g.grad(dt.sum(y * y), [x, w])]
    check(g, fetches, [feeds(rounds) for rounds in (5, 0, 2)], repeats=10)
    assert_native(g.compile(fetches, executor="native"))


def test_two_loops_one_after_the_other() -> None:
    """The second one runs as often as the first one's result says."""
    with dt.static.Graph() as g:
        x, w = g.placeholder("x", (3, 8)), g.placeholder("w", (8, 8))
        y = counted(g.placeholder("rounds", (), "int64"), turned(w), x)
        z = dt.while_loop(lambda c: dt.sum(c * c) < 90.0, lambda c: c * 1.1 + dt.sin(c), y + 0.1)
        fetches = [y, z, *g.grad(dt.sum(z * y), [x, w])]
    check(g, fetches, [feeds(rounds) for rounds in (7, 0)])
    assert_native(g.compile(fetches, executor="native"))


def test_state_that_rounds_assign() -> None:
    seen, w = Storage(np.zeros((), np.float32)), Storage(standard(8, 8, seed=1) * 0.15)
    with dt.static.Graph() as g:
        x, rounds = g.placeholder("x", (3, 8)), g.placeholder("rounds", (), "int64")
        held = g.variable(w)

        def turn(c: Any) -> Any:
            dt.graphs.ops.dispatch.current().assign(seen, seen + dt.sum(c))
            return dt.tanh(c @ held) * seen

        y = counted(rounds, turn, x)
        [slope] = g.grad(dt.sum(y * y), [w])
        step = g.assign(w, held - slope * 0.1)
    check(g, [y, slope, step], {"x": standard(3, 8), "rounds": np.array(4)}, (seen, w))


def test_rounds_with_an_operator_that_has_no_code() -> None:
    """Its kernel runs the loop; what it keeps is handed to the native parts around."""
    ordered = lambda w: lambda x: dt.sort(dt.tanh(x @ w), axis=1) + x
    g, fetches = training(ordered)
    program, reference = (g.compile(fetches, executor=e) for e in ("native", "reference"))
    for rounds in (4, 0, 30, 1):
        assert_close(program.run(feeds(rounds)), reference.run(feeds(rounds)))
    assert "runs by planned" not in program.explain()


def test_a_compiled_function_hands_stacks_from_one_program_to_the_next() -> None:
    def looped(x: Any, w: Any, limit: Any) -> Any:
        return dt.while_loop(lambda c: dt.sum(c * c) < limit, lambda c: turned(w)(c) * 3, x)

    compiled = dt.compile(looped, executor="native")

    def slopes(function: Any, limit: float) -> list[np.ndarray]:
        x, w = (dt.tensor(feeds(0)[name], requires_grad=True) for name in "xw")
        y = function(x, w, dt.tensor(np.float32(limit)))
        first = dt.grad(dt.sum(y * y) + dt.sum(w * w), [x, w], create_graph=True)
        second = dt.grad(dt.sum(first[0] * first[0]) + dt.sum(first[1]), [x, w])
        return [a.detach().numpy() for a in (y, *first, *second)]

    for limit in (1e5, 0.0, 90.0):
        assert_close(slopes(compiled, limit), slopes(looped, limit))
    assert "planned" not in compiled.explain()


# -- several runs, and runs that end early -------------------------------------------------------


def test_runs_at_once_have_stacks_of_their_own() -> None:
    g, fetches = training()
    program = g.compile(fetches, executor="native")
    counts = [3, 400, 0, 77, 1200, 9] * 4
    wanted = {n: program.run(feeds(n)) for n in set(counts)}
    with ThreadPoolExecutor(4) as pool:
        for rounds, found in zip(counts, pool.map(program.run, map(feeds, counts))):
            for f, w in zip(found, wanted[rounds], strict=True):
                assert f.tobytes() == w.tobytes()


def test_a_row_that_is_not_there_changes_nothing() -> None:
    """The loop refuses it in its fourth round, with entries on its stack."""
    table = Storage(standard(5, 8))
    before = table.array.copy()
    with dt.static.Graph() as g:
        x, row = g.placeholder("x", (3, 8)), g.placeholder("row", (3,), "int64")
        look = lambda c: (c[0] + 1, dt.tanh(c[1]) + dt.embedding(c[0], table))
        _, y = dt.while_loop(lambda c: dt.sum(c[1]) < 30.0, look, (row, x))
        [slope] = g.grad(dt.sum(y * y), [table])
        fetches = [y, g.assign(table, g.variable(table) - slope * 0.1)]
    program = g.compile(fetches, executor="native")
    assert_native(program)
    given = {"x": standard(3, 8), "row": np.array([1, 0, 2])}
    for _ in range(50):
        with pytest.raises(IndexError, match="embedding: "):
            program.run(given)
        np.testing.assert_array_equal(table.array, before)
    ending = {"x": standard(3, 8) + 40, "row": np.array([9, 9, 9])}
    reference = g.compile(fetches[0], executor="reference").run(ending)
    np.testing.assert_array_equal(program.run(ending)[0], reference)


def test_an_endless_loop_that_keeps_its_rounds_can_be_stopped(
    interrupt_soon: Callable[[], None],
) -> None:
    with dt.static.Graph() as g:
        x, table = g.placeholder("x", ()), g.placeholder("table", (100_000,))
        # It keeps a number a round, of which there are not too many in a second.
        turn = lambda c: dt.checkpoint(lambda v: v + dt.mean(dt.cos(table * v)) * 0.01, c)
        y = dt.while_loop(lambda c: c > -100.0, turn, x)
        endless = g.compile([y, *g.grad(y, [x])], executor="native")
    assert_native(endless)
    given = {"x": np.ones((), np.float32), "table": standard(100_000)}
    interrupt_soon()
    with pytest.raises(KeyboardInterrupt):
        endless.run(given)
    start = np.array(-200, np.float32)
    assert [float(v) for v in endless.run({**given, "x": start})] == [-200, 1]


def test_a_long_loop_of_known_length_can_be_stopped(interrupt_soon: Callable[[], None]) -> None:
    with dt.static.Graph() as g:
        x = g.placeholder("x", (50,))
        y, _ = dt.scan(lambda c, _: (dt.cos(c), None), x, length=10**9)
        program = g.compile(y, executor="native")
    interrupt_soon()
    with pytest.raises(KeyboardInterrupt):
        program.run({"x": standard(50)})
