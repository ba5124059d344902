"""The instrument: statistics, certificates, counters, failing modes, Ctrl-C, and the command."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import diptych as dt
from diptych import cli
from diptych.bench import Task, comparison, modes
from diptych.bench.statistics import Interval, break_even, median_interval
from diptych.bench.task import Task as SameTask
from diptych.bench.workloads import find
from diptych.graphs.kernels import Recorder, recording

ROW_KEYS = {
    "mode", "executor", "steps", "build_s", "compile_s", "first_step_s", "step_s", "peak_bytes",
    "operators", "launches", "certificate", "loss_first", "loss_last", "numeric_diff",
}  # fmt: skip


def small(seed=0, broken_in=None):
    def build():
        """A toy."""
        model = dt.nn.Sequential(
            dt.nn.Linear(4, 8, generator=dt.Generator(seed)), dt.nn.ReLU(), dt.nn.Dropout(0.2),
            dt.nn.Linear(8, 3, generator=dt.Generator(seed + 1)),
        )  # fmt: skip
        dt.manual_seed(5)
        rng = np.random.default_rng(0)
        x, y = rng.standard_normal((6, 4)).astype("float32"), rng.integers(0, 3, 6)

        def loss(x, y):
            if broken_in == "graphs" and not hasattr(x, "grad_fn"):
                raise ValueError("not here")
            return dt.cross_entropy(model(x), y)

        return Task(loss, dt.optim.Adam(model.parameters()), [(x, y)])

    return build


# -- statistics ------------------------------------------------------------------------------


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60))
def test_the_interval_holds_the_median(values):
    found = median_interval(values)
    assert found.low <= found.median <= found.high
    assert found.median == pytest.approx(float(np.median(values)), abs=1e-9, rel=1e-9)


def test_the_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    for n in (6, 11, 30):
        found = [median_interval(list(rng.exponential(size=n))) for _ in range(2000)]
        covered = np.mean([f.low <= np.log(2) <= f.high for f in found])
        assert found[0].level >= 0.95
        assert abs(covered - found[0].level) < 0.02
    assert median_interval([1.0, 2.0]).level == 0.5
    assert median_interval(list(range(3000))).level >= 0.95


@pytest.mark.parametrize(
    "extra, gain, expected",
    [
        ((10, 9, 11), (2, 1, 3), (6, 4, 12, "pays")),
        ((10, 9, 11), (-1, -2, -0.5), (None, None, None, "never")),
        ((10, 9, 11), (1, -1, 2), (11, 6, None, "open")),
        ((-1, -2, -0.5), (1, 0.5, 2), (1, 1, 1, "pays")),
    ],
)
def test_break_even(extra, gain, expected):
    found = break_even(Interval(*extra, 0.95), Interval(*gain, 0.95))
    assert (found["steps"], found["low"], found["high"], found["verdict"]) == expected


# -- certificates and counters ---------------------------------------------------------------


def certificate(mode, seed=0, steps=3):
    task = small(seed)()
    running = modes.find(mode)(task, "reference", passes=(), gradients=True)
    running.prepare(task.batch(0))
    found = []
    for step in range(steps):
        with recording(Recorder()) as recorder:
            results = running.step(task.batch(step))
            found.append((recorder.certificate(results), [r.tobytes() for r in results]))
    return found


def test_the_certificate_is_equal_in_every_mode_and_sees_a_difference():
    eager = certificate("eager")
    assert certificate("static") == eager
    assert certificate("hybrid") == eager
    assert certificate("eager", seed=1) != eager  # other weights
    # Adam's step count is a number that the kernels read: no two steps are the same.
    assert len({step[0] for step in eager}) == len(eager)


def test_the_certificate_leaves_out_what_no_fetch_needs():
    x = dt.tensor([1.0, 2.0])

    def run(extra):
        with recording(Recorder()) as recorder:
            y = dt.exp(x)
            if extra:
                dt.tanh(x)
            return recorder.certificate([y.T.array])

    assert run(False) == run(True)
    with recording(Recorder()) as recorder:
        other = recorder.certificate([dt.sin(x).array])
    assert other != run(False)


def test_the_certificate_sees_operands_numbers_and_changes_in_place():
    x, y = dt.tensor([1.0, 2.0]), dt.tensor([3.0, 4.0])

    def bumped(z):
        z += y
        return z

    def dropped(z):
        z -= y
        return z

    computations = [
        lambda: x * 2, lambda: x * 3, lambda: x - y, lambda: (x - y) * 2, lambda: 2 * (y - x),
        lambda: bumped(x * 2), lambda: dropped(x * 2), lambda: (x * 2).T, lambda: dt.exp(x) - x,
        lambda: x - dt.exp(x),
    ]  # fmt: skip
    found = []
    for compute in computations:
        with recording(Recorder()) as recorder:
            found.append(recorder.certificate([compute().array]))
    assert found[0] == found[7]  # a view is no kernel
    assert len(set(found)) == len(found) - 1
    with recording(Recorder()) as recorder:
        again = recorder.certificate([(y * 2).array])
    assert again == found[0]  # arrays count by their place, not by their numbers


@pytest.mark.parametrize("mode", modes.MODES)
@pytest.mark.parametrize("executor", ["reference", "planned"])
def test_counters_are_exact_and_repeat(mode, executor):
    task = small()()
    running = modes.find(mode)(task, executor)
    running.prepare(task.batch(0))
    counts = []
    for step in range(3):
        with recording(Recorder()) as r:
            running.step(task.batch(step))
        counts.append((r.operators, r.launches, r.allocations, r.bytes_moved, r.flop, r.peak_bytes))
    assert counts[1] == counts[2]
    assert all(n > 0 for n in counts[1])


def test_counters_by_hand():
    x = dt.from_numpy(np.ones((10, 10), np.float32))
    with recording(Recorder()) as recorder:
        y = dt.tanh(x)
        z = (y + y).T
        del y
        z = z.sum()
    assert (recorder.operators, recorder.launches, recorder.allocations) == (4, 3, 3)
    assert recorder.bytes_moved == (800) + (1200) + (400 + 4)
    assert recorder.flop == 100 + 100 + 100  # one an element; a sum reads each once
    assert recorder.timeline == [400, 800, 800, 404]
    assert recorder.peak_bytes == 800


def test_the_plan_counts_what_it_allocates():
    with dt.static.Graph() as g:
        x = g.placeholder("x", (10, 10))
        y = dt.tanh(x) @ x
        program = g.compile([y.sum(), y])
    with recording(Recorder()) as recorder:
        program.run({"x": np.ones((10, 10), np.float32)})
    assert (recorder.operators, recorder.launches, recorder.allocations) == (3, 3, 2)
    assert recorder.peak_bytes == 400 + 400 + 4
    assert recorder.flop == 100 + 2 * 10 * 10 * 10 + 100


# -- compare ---------------------------------------------------------------------------------


def test_compare_a_model_of_ones_own(tmp_path):
    report = dt.compare(small(), executor="planned", steps=20)
    [result] = report.results
    assert result["identical"] is True and result["title"] == "A toy."
    assert [row["mode"] for row in result["rows"]] == ["eager", "static", "hybrid"]
    for row in result["rows"]:
        assert row.keys() >= ROW_KEYS
        assert row["steps"] == 20 and row["numeric_diff"] == 0.0
        assert set(row["step_s"]) == {"median", "low", "high", "level"}
    assert result["break_even_steps"].keys() == {"static", "hybrid"}
    report.save_json(tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text())["schema"] == comparison.SCHEMA
    report.save_html(tmp_path / "r.html")
    assert "<html" in report._repr_html_()
    assert "identical: same kernels" in str(report)


def test_a_mode_that_fails_is_a_row_that_says_why():
    [result] = dt.compare(small(broken_in="graphs"), steps=20).results
    eager, static, hybrid = result["rows"]
    assert eager["steps"] == 20
    assert static["skipped"] == hybrid["skipped"]
    assert re.fullmatch(r"ValueError: not here \(at .*test_compare.py:\d+\)", static["skipped"])
    assert result["identical"] is None
    assert "static: skipped, ValueError: not here" in str(dt.bench.Report([result]))


def test_what_is_no_task_is_said():
    [result] = dt.compare(lambda: None, modes=["eager"], steps=20).results
    assert "compare: build must give a Task, got NoneType" in result["rows"][0]["skipped"]


def test_a_worker_that_dies_is_a_row_that_says_so():
    def build():
        os._exit(3)

    [result] = dt.compare(build, modes=["eager"], steps=20).results
    assert "the process ended unexpectedly" in result["rows"][0]["skipped"]


def test_different_numbers_are_not_called_identical():
    parent = os.getpid()

    def build():
        # Every worker is a process of its own, so each trains from other weights.
        return small(seed=os.getpid() - parent)()

    [result] = dt.compare(build, modes=["eager", "static"], steps=20).results
    assert result["identical"] is False
    assert result["rows"][1]["numeric_diff"] > 0
    assert "NOT identical" in str(dt.bench.Report([result]))


@pytest.mark.parametrize(
    "arguments, error, text",
    [
        ({"what": "nothing"}, dt.errors.UnknownNameError, "workload: must be one of chain, "),
        ({"modes": ["fast"]}, dt.errors.UnknownNameError, "mode: must be one of autobatch, eager"),
        ({"executor": "x"}, dt.errors.UnknownNameError, "executor: must be one of"),
        ({"steps": 1}, dt.errors.ArgumentError, "steps must be at least"),
        ({"threads": 0}, dt.errors.ArgumentError, "threads must be in 1"),
        ({"threads": 10**6}, dt.errors.ArgumentError, "threads must be in 1"),
        ({"modes": []}, dt.errors.ArgumentError, "needs at least one mode"),
        ({"device": "tpu"}, dt.errors.DeviceError, "device: must be 'cpu'"),
        ({"what": [1]}, dt.errors.DTypeError, "compare: must be names or a function"),
        (
            {"what": "mlp", "ladder": True},
            dt.errors.ArgumentError,
            "compare: a ladder is one of lstm, lstm-varlen, tree, got mlp",
        ),
        (
            {"what": small(), "ladder": True},
            dt.errors.ArgumentError,
            "compare: a ladder is one of lstm, .*, got a model of one's own",
        ),
        (
            {"what": "lstm", "ladder": True, "modes": ["eager"]},
            dt.errors.ArgumentError,
            "compare: a ladder has modes of its own, got modes",
        ),
    ],
)
def test_what_compare_refuses(arguments, error, text):
    with pytest.raises(error, match=text):
        dt.compare(**arguments)


def test_what_a_task_refuses():
    w = dt.nn.Parameter([1.0])
    with pytest.raises(dt.errors.DTypeError, match="Task: needs a callable loss"):
        SameTask(3, dt.optim.SGD([w], lr=1), [(1,)])
    with pytest.raises(dt.errors.ShapeError, match="Task: at least one batch"):
        SameTask(lambda x: x, dt.optim.SGD([w], lr=1), [])


def test_the_digits_are_the_real_ones():
    batch = find("digits-mlp").build().batch(0)
    assert batch[0].shape == (64, 64) and batch[0].min() == 0 and batch[0].max() == 1
    split = dt.bench.data.digits()
    assert len(split.train_y) + len(split.test_y) == 1797
    assert np.bincount(np.concatenate([split.train_y, split.test_y])).tolist() == [
        178, 182, 177, 183, 181, 182, 181, 179, 174, 180,
    ]  # fmt: skip


# -- the ladder ------------------------------------------------------------------------------


def test_the_ladder_says_what_each_rung_brings(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(comparison, "COLD_STARTS", 1)
    monkeypatch.setattr(comparison, "CERTIFIED_STEPS", 2)
    figures, page = tmp_path / "r.json", tmp_path / "r.html"
    command = ["compare", "lstm", "--ladder", "--executor", "planned", "--steps", "12"]
    assert cli.main([*command, "--json", str(figures), "--html", str(page)]) == 0
    said = capsys.readouterr().out
    times = r"\S+ times as fast \(\S+ to \S+\) as"
    assert re.search(rf"^loop \(the loop .*\): {times} cell, {times} eager$", said, re.M)
    result = json.loads(figures.read_text())
    rows = {row["mode"]: row for row in result["rows"]}
    assert list(rows) == ["eager", "cell", "loop", "hoisted", "step", "static"]
    assert "times_previous" not in rows["eager"] and rows["cell"]["previous"] == "eager"
    assert rows["static"]["previous"] == "step" and "times_eager" in rows["static"]
    assert result["identical"] is True
    assert len({row["certificate"] for row in rows.values()}) == 1
    assert "× the rung before" in page.read_text()
    assert [row["executor"] for row in rows.values()] == ["eager"] + 5 * ["planned"]
    assert all(row["numeric_diff"] < 1e-6 for row in rows.values())


@pytest.mark.parametrize("name", [name for name, w in dt.bench.WORKLOADS.items() if w.rungs])
def test_rungs_compute_the_same_and_leave_out_what_they_say(name):
    losses = []
    for rung in find(name).rungs:
        task = rung.build()
        kind = modes.find(rung.mode)
        passes = kind.passes_of("native")
        assert set(rung.without) <= set(passes)
        running = kind(task, "planned", kind.passes_of("planned"))
        running.prepare(task.batch(0))
        losses.append(float(running.step(task.batch(0))[0].sum()))
    assert losses == pytest.approx([losses[0]] * len(losses), rel=1e-5)
    with pytest.raises(dt.errors.UnknownNameError, match=r"rung: must be one of .*eager"):
        find(name).rung("roof")


def test_who_has_a_certificate_is_said_where_not_all_have():
    [result] = dt.compare(small(), modes=["eager", "static", "autobatch"], steps=20).results
    assert "over 20 steps, in eager, static\n" in str(dt.bench.Report([result]))


# -- the command -----------------------------------------------------------------------------


def test_the_command_compares_and_writes(tmp_path, capsys):
    page, figures = tmp_path / "r.html", tmp_path / "r.json"
    status = cli.main(["compare", "--steps", "30", "--html", str(page), "--json", str(figures)])
    assert status == 0
    assert "identical: same kernels" in capsys.readouterr().out
    result = json.loads(figures.read_text())
    assert result["identical"] is True and result["workload"] == "digits-mlp"
    assert {"schema", "versions", "machine", "threads", "break_even_steps"} <= result.keys()
    assert page.read_text().lstrip().lower().startswith("<!doctype html>")


@pytest.mark.parametrize(
    "arguments, text",
    [
        (["compare", "nothing"], "diptych: workload: must be one of"),
        (["compare", "--modes", "fast"], "diptych: mode: must be one of"),
        (["compare", "--device", "tpu"], "diptych: device: must be"),
        (["compare", "mlp", "--ladder"], "diptych: compare: a ladder is one of lstm, "),
        (["compare", "--html", "/nowhere/at/all.html"], "output: must be a file in a folder"),
        (["compare", "--html", "."], "output: must be a file in a folder"),
    ],
)
def test_the_command_says_what_is_wrong(arguments, text, capsys):
    assert cli.main(arguments) == 2
    assert text in capsys.readouterr().err


def test_the_other_commands(capsys):
    assert cli.main(["workloads"]) == 0
    assert "digits-mlp" in capsys.readouterr().out
    assert cli.main(["doctor"]) == 0
    assert "blas" in capsys.readouterr().out


def test_weights_that_are_no_numbers_are_not_hidden(tmp_path):
    def build():
        task = small()()
        task.optimizer.parameters[0].storage.array[:] = np.nan
        return task

    report = dt.compare(build, modes=["eager", "static"], steps=20)
    [result] = report.results
    assert result["identical"] is True  # not a number in both, bit for bit
    assert result["rows"][1]["numeric_diff"] == 0.0
    report.save_json(tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text())["rows"][0]["loss_last"] is None
    pair = comparison._distance([1.0, np.nan, np.inf], [np.nan, np.nan, np.inf])
    assert np.isnan(pair[0]) and pair[1:].tolist() == [0.0, 0.0]


def test_an_interrupt_keeps_what_was_measured(monkeypatch):
    blocks = []

    def block(self, mode, handle, size):
        blocks.append(mode)
        if len(blocks) > 3:
            raise KeyboardInterrupt
        original(self, mode, handle, size)

    original = comparison.Comparison._block
    monkeypatch.setattr(comparison.Comparison, "_block", block)
    report = dt.compare(small(), steps=60)
    assert report.interrupted and "interrupted" in str(report)
    [result] = report.results
    assert result["identical"] is True
    assert all(row["step_s"]["median"] > 0 for row in result["rows"])


def has_children(pid):
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            if int(path.read_text().rpartition(")")[2].split()[1]) == pid:
                return True
    return False


def test_ctrl_c_ends_the_command_and_its_workers_and_writes(tmp_path):
    figures = tmp_path / "r.json"
    command = [sys.executable, "-m", "diptych.cli", "compare", "--steps", "200000"]
    process = subprocess.Popen(
        [*command, "--json", str(figures)],
        stdout=subprocess.PIPE,
        text=True,
        # What runs in the background ignores Ctrl-C, and so would its children.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    try:
        while process.poll() is None and not has_children(process.pid):
            time.sleep(0.1)
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    rows = json.loads(figures.read_text())["rows"]
    assert all("step_s" in row or "interrupted" in row["skipped"] for row in rows)
    assert "digits-mlp" in printed
