"""Running native programs: feeds and results of every kind, many callers, refusals, fallbacks."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import diptych as dt
from diptych.compiler.executors import native
from diptych.compiler.native.toolchain import find_compiler
from diptych.compiler.passes import NATIVE_PASSES, PASSES
from diptych.graphs.errors import UnknownNameError
from diptych.graphs.held import note_move
from diptych.graphs.storage import Storage

pytestmark = [
    pytest.mark.usefixtures("threads"),
    pytest.mark.parametrize("threads", [3], indirect=True, ids="{} threads".format),
    pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler"),
]


def standard(*shape: int, dtype: Any = np.float32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def both(g: Any, fetches: Any) -> tuple[Any, Any]:
    """A program by the native executor, and one by `reference`."""
    return g.compile(fetches, executor="native"), g.compile(fetches, executor="reference")


def assert_alike(found: Any, wanted: Any) -> None:
    for f, w in zip(found, wanted, strict=True):
        assert (f.dtype, f.shape) == (w.dtype, w.shape)
        np.testing.assert_allclose(f, w, rtol=1e-5, atol=1e-5)


def perceptron() -> Any:
    """A graph with a symbolic size: a loss, gradients, and updates of its two variables."""
    w, b = Storage(standard(6, 4)), Storage(np.zeros(4, np.float32))
    with dt.static.Graph() as g:
        x, t = g.placeholder("x", ("n", 6)), g.placeholder("t", ("n",), "int64")
        loss = dt.cross_entropy(dt.tanh(x @ g.variable(w)) + g.variable(b), t)
        slopes = g.grad(loss, [w, b])
        steps = [g.assign(s, g.variable(s) - d * 0.1) for s, d in zip((w, b), slopes)]
    return g, [loss, *slopes, *steps], (w, b)


# -- feeds -------------------------------------------------------------------------------------


def odd_feeds(x: np.ndarray) -> dict[str, np.ndarray]:
    """The same numbers, stored in other ways."""
    room = np.zeros(x.nbytes + 1, np.uint8)
    shifted = room[1:].view(x.dtype).reshape(x.shape)
    shifted[...] = x
    locked = x.copy()
    locked.flags.writeable = False
    return {
        "gaps": np.repeat(x, 2, axis=1)[:, ::2],
        "fortran": np.asfortranarray(x),
        "backwards": x[::-1].copy()[::-1],
        "misaligned": shifted,
        "read-only": locked,
        "list": x.tolist(),
    }


@pytest.mark.parametrize("kind", odd_feeds(np.zeros((2, 2), np.float32)))
def test_feeds_of_any_layout(kind: str) -> None:
    with dt.static.Graph() as g:
        x = g.placeholder("x", (5, 8))
        fetches = [dt.tanh(x) + dt.sum(x, axis=0), x @ x.T, x]
    program, reference = both(g, fetches)
    x = standard(5, 8)
    feed = odd_feeds(x)[kind]
    assert_alike(program.run({"x": feed}), reference.run({"x": x}))
    np.testing.assert_array_equal(feed, x)


def test_a_feed_that_shows_one_number_many_times() -> None:
    with dt.static.Graph() as g:
        x = g.placeholder("x", (4, 3))
        y = x * 2 + dt.sum(x)
    program, reference = both(g, [y])
    feed = np.broadcast_to(np.float32(1.5), (4, 3))
    assert_alike(program.run({"x": feed}), reference.run({"x": feed}))


def test_a_feed_that_passes_leave_unread() -> None:
    """A sum of nothing is a constant: what comes after the feed is not moved up."""
    with dt.static.Graph() as g:
        x, y = g.placeholder("x", (0, 3)), g.placeholder("y", (3,))
        fetches = [dt.sum(x, axis=0), y * 2]
    program, reference = both(g, fetches)
    feeds = {"x": np.zeros((0, 3), np.float32), "y": standard(3)}
    assert_alike(program.run(feeds), reference.run(feeds))


@pytest.mark.parametrize("part", [np.s_[:], np.s_[::-1], np.s_[2:], np.s_[:-2]])
def test_a_feed_over_a_variable_keeps_its_numbers(part: Any) -> None:
    """The last reader of the feed comes when the variable has its new numbers already."""
    results = []
    for executor in ("native", "reference"):
        w = Storage(standard(6, 4))
        shown = w.array[part]
        with dt.static.Graph() as g:
            x = g.placeholder("x", shown.shape)
            new = g.variable(w) * 0.5 + 1
            step = g.assign(w, new)
            late = dt.sum(x * dt.sum(new)) + x
        found, _ = g.compile([late, step], executor=executor).run({"x": shown})
        results.append((found, w.array))
    assert_alike(*results)


def test_a_result_in_another_shape_is_computed_where_it_is_returned() -> None:
    """One that is returned in two shapes is copied once."""
    with dt.static.Graph() as g:
        x = g.placeholder("x", (6, 4))
        y, z = dt.tanh(x @ x.T), dt.exp(x)
        fetches = [y.reshape((2, 3, 6)), y, z.reshape((4, 6)), z[:, None]]
    program, reference = both(g, fetches)
    feeds = {"x": standard(6, 4)}
    found = program.run(feeds)
    assert_alike(found, reference.run(feeds))
    assert len(re.findall(r"^ +copy_\d+\(", program.source, re.MULTILINE)) == 2


@pytest.mark.parametrize("size", [0, 1, 2, 7, 300])
def test_each_size_of_a_symbolic_dimension(size: int) -> None:
    with dt.static.Graph() as g:
        x = g.placeholder("x", ("n", 5))
        running, states = dt.scan(lambda c, row: (c * 0.5 + row, dt.tanh(c)), dt.zeros(5), x)
        fetches = [
            running, states, dt.tanh(x), x @ x.T, dt.sum(x, axis=0), dt.sum(x, axis=1),
            dt.softmax(x, axis=1), dt.concat([x, x * 2]), x.T.reshape((-1,)), dt.mean(x * x),
        ]  # fmt: skip
    program, reference = both(g, fetches)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for again in (size, 3, size):
            x = standard(again, 5, seed=again)
            assert_alike(program.run({"x": x}), reference.run({"x": x}))


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint64])
def test_whole_numbers_wrap_around(dtype: Any) -> None:
    least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
    with dt.static.Graph() as g:
        x = g.placeholder("x", (6,), str(np.dtype(dtype)))
        y = x + 1
        fetches = [y, y > x, x * x, -x, x - 2, dt.square(x) * 3, dt.where(y > x, x, y), dt.sum(x)]
    program, reference = both(g, fetches)
    x = np.array([least, least + 1, 0, 3, most - 1, most], dtype)
    with np.errstate(all="ignore"):
        for f, w in zip(program.run({"x": x}), reference.run({"x": x}), strict=True):
            assert f.dtype == w.dtype
            np.testing.assert_array_equal(f, w)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_that_are_not_finite(dtype: str) -> None:
    with dt.static.Graph() as g:
        x = g.placeholder("x", (4, 5), dtype)
        w = g.placeholder("w", (5, 5), dtype)
        fetches = [
            dt.max(x, axis=0), dt.min(x, axis=1), dt.sum(x, axis=0), dt.mean(x), dt.relu(x),
            dt.clip(x, -1.0, 1.0), dt.softmax(x, axis=1), dt.logsumexp(x, axis=0), x @ w,
            dt.tanh(x),
            dt.maximum(x, w[:4]), dt.where(x > 0, x, w[:4]), dt.exp(x), dt.log(x), x / w[:4],
        ]  # fmt: skip
    program, reference = both(g, fetches)
    x = standard(4, 5, dtype=dtype)
    x[0, 1], x[1, 2], x[2, 3], x[3, 4], x[3, 3] = np.nan, np.inf, -np.inf, 0.0, -0.0
    with np.errstate(all="ignore"):
        feeds = {"x": x, "w": np.eye(5, dtype=dtype)}
        assert_alike(program.run(feeds), reference.run(feeds))


def test_the_place_of_a_maximum_is_found_by_the_gradient() -> None:
    """What is compared with its maximum is computed once: rounded otherwise, nothing equals it."""
    with dt.static.Graph() as g:
        x = g.placeholder("x", (40, 33))
        y = dt.cos(dt.leaky_relu(x * 2.375 - 1.0))
        loss = dt.sum(dt.min(y, axis=0)) + dt.sum(dt.max(y, axis=1)) * 2
        [slope] = g.grad(loss, [x])
    program, reference = both(g, [slope])
    [found], [wanted] = program.run({"x": standard(40, 33)}), reference.run({"x": standard(40, 33)})
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert np.count_nonzero(found) == np.count_nonzero(wanted)


# -- results -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [10, 300_000])
def test_results_that_are_held_never_change(size: int) -> None:
    """Large ones lie in memory that is given again when nobody holds it."""
    with dt.static.Graph() as g:
        x = g.placeholder("x", (size,))
        program = g.compile([x * 2, x + 1], executor="native")
    held, views, wanted = [], [], []
    for run in range(6):
        x = np.full(size, run, np.float32)
        double, more = program.run({"x": x})
        assert (double == 2 * run).all() and (more == run + 1).all()
        if run % 2:
            held.append(double)
            views.append(more[3:7])
            wanted.append(run)
        del double, more
    for array, view, run in zip(held, views, wanted, strict=True):
        assert (array == 2 * run).all() and (view == run + 1).all()


def test_a_large_result_may_be_fed_again() -> None:
    with dt.static.Graph() as g:
        x = g.placeholder("x", (300_000,))
        program = g.compile(x + 1, executor="native")
    x: Any = np.zeros(300_000, np.float32)
    for run in range(5):
        x = program.run({"x": x})
        assert (x == run + 1).all()


@pytest.mark.filterwarnings("ignore:Setting the shape:DeprecationWarning")
def test_a_large_result_that_was_turned_into_something_else_is_not_given_again() -> None:
    with dt.static.Graph() as g:
        x = g.placeholder("x", (300_000,))
        program = g.compile(x + 1, executor="native")
    feed = {"x": np.ones(300_000, np.float32)}
    for _ in range(4):
        program.run(feed).shape = (300, 1000)
        program.run(feed).flags.writeable = False
        result = program.run(feed)
        assert result.shape == (300_000,) and result.flags.writeable and (result == 2).all()
        del result


def test_variables_may_be_fetched_as_they_were_and_as_they_are() -> None:
    a, b = Storage(standard(3, 4)), Storage(standard(3, 4, seed=1))
    old = [a.array.copy(), b.array.copy()]
    with dt.static.Graph() as g:
        x, y = g.variable(a), g.variable(b)
        swap = [g.assign(a, y), g.assign(b, x)]
        program = g.compile([x, x.T, x[1:], x + 0, g.read(a), swap], executor="native")
    before, turned, rest, copy, after, _ = program.run()
    for found, wanted in zip(
        (before, turned, rest, copy, after), (old[0], old[0].T, old[0][1:], old[0], old[1])
    ):
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(a.array, old[1])
    np.testing.assert_array_equal(b.array, old[0])
    before[:] = -1
    np.testing.assert_array_equal(b.array, old[0])


def test_a_variable_in_other_memory_is_seen() -> None:
    w = Storage(standard(3, 4))
    with dt.static.Graph() as g:
        program = g.compile(g.variable(w) * 2, executor="native")
    np.testing.assert_array_equal(program.run(), w.array * 2)
    w.array = standard(3, 4, seed=5)
    note_move()
    np.testing.assert_array_equal(program.run(), w.array * 2)


def test_runs_give_the_same_bits_with_equally_many_threads() -> None:
    x, t = standard(300, 6), np.arange(300) % 4
    for count in (1, 2, 3):
        dt.set_num_threads(count)
        states = []
        for _ in range(3):
            g, fetches, variables = perceptron()
            program = g.compile(fetches, executor="native")
            runs = [[a.tobytes() for a in program.run({"x": x, "t": t})[:3]] for _ in range(5)]
            states.append((runs, [s.array.tobytes() for s in variables]))
        assert states[0] == states[1] == states[2]


# -- many callers ------------------------------------------------------------------------------


def test_threads_may_run_one_program_at_once() -> None:
    with dt.static.Graph() as g:
        x = g.placeholder("x", (40, 40))
        y = x
        for _ in range(6):
            y = dt.tanh(y @ x) + dt.sum(y, axis=0) * 0.01
        program = g.compile([y, dt.cumulative_sum(y, axis=0)], executor="native")
    feeds = [standard(40, 40, seed=i) * 0.1 for i in range(8)]
    wanted = [[a.tobytes() for a in program.run({"x": f})] for f in feeds]
    wrong = []

    def work(i: int) -> None:
        for _ in range(40):
            if [a.tobytes() for a in program.run({"x": feeds[i]})] != wanted[i]:
                wrong.append(i)

    callers = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert wrong == []


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_may_run_a_program_and_compile_another() -> None:
    g, fetches, _ = perceptron()
    program = g.compile(fetches, executor="native")
    feeds = {"x": standard(30, 6), "t": np.arange(30) % 4}
    wanted = float(program.run(feeds)[0])
    child = os.fork()
    if not child:
        with dt.static.Graph() as other:
            x = other.placeholder("x", (30, 6))
            also = other.compile(dt.sum(x * 3), executor="native")
        loss = float(program.run(feeds)[0])
        fits = loss < wanted and abs(also.run({"x": feeds["x"]}) - 3 * feeds["x"].sum()) < 1e-2
        os._exit(0 if fits else 1)
    limit = time.monotonic() + 60
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < limit:
        time.sleep(0.01)
    if ended == (0, 0):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert ended == (child, 0)
    assert float(program.run(feeds)[0]) < wanted


def test_a_loop_without_end_can_be_stopped(interrupt_soon: Callable[[], None]) -> None:
    with dt.static.Graph() as g:
        x = g.placeholder("x", (50,))
        # Threads share the rounds, of which there are none too many.
        _, y = dt.while_loop(lambda c: c[0] > -1, lambda c: (c[0] + 0, dt.cos(c[1])), (x[0], x))
        endless = g.compile(y, executor="native")
    start = np.ones(50, np.float32)
    interrupt_soon()
    with pytest.raises(KeyboardInterrupt):
        endless.run({"x": start})
    start[0] = -2
    np.testing.assert_array_equal(endless.run({"x": start}), start)


# -- data that are refused ---------------------------------------------------------------------


@pytest.mark.parametrize("label", [4, -1, 99])
def test_a_label_out_of_range_changes_nothing(label: int) -> None:
    g, fetches, variables = perceptron()
    program = g.compile(fetches, executor="native")
    x, t = standard(50, 6), np.arange(50) % 4
    program.run({"x": x, "t": t})
    before = [s.array.copy() for s in variables]
    t[37] = label
    with pytest.raises(IndexError) as wanted:
        g.compile(fetches, executor="reference").run({"x": x, "t": t})
    with pytest.raises(IndexError) as found:
        program.run({"x": x, "t": t})
    assert str(found.value) == str(wanted.value)
    assert found.value.__notes__ == wanted.value.__notes__
    for storage, old in zip(variables, before, strict=True):
        np.testing.assert_array_equal(storage.array, old)
    t[37] = 0
    program.run({"x": x, "t": t})


def table_step() -> Any:
    """Rows of a table looked up twice, and the gradient of the table assigned as it is."""
    table, slope = Storage(standard(7, 3)), Storage(standard(7, 3, seed=1))
    with dt.static.Graph() as g:
        i, j = g.placeholder("i", (40,), "int32"), g.placeholder("j", (20,), "int64")
        rows = dt.embedding(i, g.variable(table))
        loss = dt.sum(rows * rows) + dt.sum(dt.tanh(dt.embedding(j, g.variable(table))))
        [gradient] = g.grad(loss, [table])
        steps = [g.assign(slope, gradient), g.assign(table, g.variable(table) * 0.5)]
    return g, [loss, steps], (table, slope)


@pytest.mark.parametrize("which", ["i", "j"])
def test_an_index_out_of_range_changes_nothing(which: str) -> None:
    """Several kernels may refuse: no thread goes on while another one has seen it."""
    g, fetches, variables = table_step()
    program = g.compile(fetches, executor="native")
    feeds = {"i": np.arange(40, dtype=np.int32) % 7, "j": np.arange(20) % 7}
    bad = {**feeds, which: feeds[which] + 1}
    before = [s.array.copy() for s in variables]
    for _ in range(200):
        with pytest.raises(IndexError):
            program.run(bad)
    for storage, old in zip(variables, before, strict=True):
        np.testing.assert_array_equal(storage.array, old)
    program.run(feeds)
    assert all((s.array != old).any() for s, old in zip(variables, before))


def test_an_assigned_gradient_of_a_table_is_not_begun_before_all_indices_are_known() -> None:
    """It would be cleared before its indices are read."""
    slope = Storage(standard(7, 3))
    before = slope.array.copy()
    with dt.static.Graph() as g:
        i, table = g.placeholder("i", (40,), "int32"), g.placeholder("w", (7, 3))
        [gradient] = g.grad(dt.sum(dt.square(dt.embedding(i, table))), [table])
        program = g.compile(g.assign(slope, gradient), executor="native")
    with pytest.raises(IndexError):
        program.run({"i": np.full(40, 9, np.int32), "w": before})
    np.testing.assert_array_equal(slope.array, before)


def test_an_index_out_of_range_within_a_loop() -> None:
    w = Storage(standard(5, 3))
    before = w.array.copy()
    with dt.static.Graph() as g:
        i = g.placeholder("i", (6, 4), "int64")
        step = lambda c, row: (c + dt.sum(dt.embedding(row, w), axis=0), None)
        total, _ = dt.scan(step, dt.zeros(3), i)
        program = g.compile([total, g.assign(w, g.variable(w) + total)], executor="native")
    indices = np.ones((6, 4), np.int64)
    indices[3, 2] = 5
    with pytest.raises(IndexError):
        program.run({"i": indices})
    np.testing.assert_array_equal(w.array, before)


# -- without a compiler ------------------------------------------------------------------------


def test_without_a_compiler_programs_run_by_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIPTYCH_CC", "none")
    monkeypatch.setattr(native, "_said", set())
    with dt.static.Graph() as g:
        x = g.placeholder("x", (3,))
        y = x * 2 + 1
    with pytest.warns(UserWarning, match="run by the planned executor") as told:
        program = g.compile(y, executor="native")
        g.compile(y, executor="native")
    assert len(told) == 1
    np.testing.assert_array_equal(program.run({"x": [1.0, 2.0, 3.0]}), np.float32([3, 5, 7]))
    assert "native: runs by planned, for DIPTYCH_CC" in program.explain()
    assert "plan memory" in program.explain()
    assert program.source == ""


_FAILING = """\
#!{python}
import os, sys
if any("program" in word for word in sys.argv):
    sys.exit("the compiler is out of order")
os.execvp("cc", ["cc", *sys.argv[1:]])
"""


def test_a_compiler_that_fails_is_told_of(tmp_path: Any) -> None:
    compiler = tmp_path / "compiler"
    compiler.write_text(_FAILING.format(python=sys.executable))
    compiler.chmod(0o700)
    code = (
        "import numpy as np, diptych as dt\n"
        "with dt.static.Graph() as g:\n"
        "    x = g.placeholder('x', (3,))\n"
        "    program = g.compile(x * 2 + 1, executor='native')\n"
        "print(program.run({'x': np.ones(3, np.float32)}).tolist())\n"
        "print(program.explain())\n"
    )
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    environment = {
        **os.environ, "DIPTYCH_CC": str(compiler), "DIPTYCH_CACHE_DIR": str(folder),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }  # fmt: skip
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith("[3.0, 3.0, 3.0]")
    assert "native: runs by planned" in ran.stdout
    assert "out of order" in ran.stdout and ran.stderr.count("UserWarning") == 1


# -- passes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("passes", [(), ("fuse",), ("prune", "decompose"), "hoist"])
def test_passes_are_chosen_by_name(passes: Any) -> None:
    g, fetches, _ = perceptron()
    program = g.compile(fetches, executor="native", passes=passes)
    program.run({"x": standard(5, 6), "t": np.zeros(5, np.int64)})
    ran = {line.split(":")[0].split()[-1] for line in program.explain().splitlines()}
    names = {passes} if isinstance(passes, str) else set(passes)
    assert ran & {*PASSES, *NATIVE_PASSES} == names


def test_a_pass_for_native_code_is_unknown_to_other_executors() -> None:
    g, fetches, _ = perceptron()
    with pytest.raises(UnknownNameError, match="pass: must be one of cse, fold"):
        g.compile(fetches, executor="planned", passes=("fuse",))
    with pytest.raises(UnknownNameError, match="pass: must be one of assemble, "):
        g.compile(fetches, executor="native", passes=("fused",))
