"""Peers: other frameworks compute the same, take turns with the modes, and are in the report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import diptych as dt
from diptych import cli
from diptych.bench import comparison, peers
from diptych.bench.peers import PEERS, Entry, standing
from diptych.bench.report import render_html
from diptych.bench.workloads import WORKLOADS

TRAINING = ("mlp", "tiny-mlp", "lstm", "lstm-varlen", "cnn", "transformer")
INFERENCE = ("mlp-infer-1", "mlp-infer-64", "cnn-infer-1", "transformer-infer-1")
OPERATORS = ("op-nograd-1", "op-nograd-16", "chain")
WITH_GRADIENT = ("op-grad-1", "op-grad-16")
ALL = (*TRAINING, *INFERENCE, *OPERATORS, *WITH_GRADIENT, "tree")

full = pytest.mark.full


@pytest.mark.parametrize(
    "peer, workloads",
    [
        ("torch-eager", ALL),
        ("torch-best", ("tiny-mlp", "lstm-varlen", "cnn", "transformer", "mlp-infer-1", "chain")),
        pytest.param("torch-best", (*TRAINING, *INFERENCE, *OPERATORS), marks=full),
        ("onnxruntime", (*INFERENCE, *OPERATORS)),
        ("jax", ("tiny-mlp", "lstm", "mlp-infer-1", "op-grad-16", "tree")),
        pytest.param("jax", ALL, marks=full),
        pytest.param("torch-compile", ("tiny-mlp", "lstm-varlen", "cnn", "op-grad-1"), marks=full),
        pytest.param("torch-compile", ("transformer", "mlp-infer-1", "tree"), marks=full),
        pytest.param("tensorflow", ("mlp", "lstm", *OPERATORS, *WITH_GRADIENT), marks=full),
        pytest.param("tensorflow", ("lstm-varlen", "mlp-infer-64"), marks=full),
        pytest.param("pytensor", ("tiny-mlp", "mlp-infer-1", "chain"), marks=full),
    ],
)
def test_a_peer_computes_what_the_modes_compute(peer, workloads):
    if reason := peers.missing(peer):
        pytest.skip(f"{peer}: {reason}")
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("peer_values.py")), peer, *workloads],
        capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
             **PEERS[peer].environment(1)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.keys() == set(workloads)
    for workload, one in found.items():
        assert one["agrees"] and one["relative_diff"].keys() == {"1", "10"}, (workload, one)


def test_the_table_of_peers_and_the_files_agree():
    for name, entry in PEERS.items():
        if peers.missing(name) is None and name.startswith("torch"):
            found = peers.load(entry.module)
            assert found.name == name
            assert found.builders.keys() <= WORKLOADS.keys()


# -- how they stand --------------------------------------------------------------------------


def test_agreement_is_relative_to_the_largest_and_sees_what_is_missing():
    ours = {"step1.0": np.array([1e-9, 2.0]), "step10.0": np.array([4.0])}
    same = {"step1.0": np.array([2e-9, 2.0001]), "step10.0": np.array([4.0])}
    found = standing.agreement("cnn", ours, same)
    assert found["agrees"] and found["relative_diff"]["1"] == pytest.approx(5e-5, rel=1e-3)
    apart = standing.agreement("cnn", ours, same | {"step10.0": np.array([4.01])})
    assert not apart["agrees"] and apart["relative_diff"]["10"] == pytest.approx(2.5e-3)
    for broken in (
        {"step1.0": same["step1.0"]},  # never came to step 10
        same | {"step1.1": np.array([1.0])},  # a gradient that the mode does not give
        same | {"step10.0": np.array([np.nan])},
        same | {"step10.0": np.array([4.0, 4.0])},
        {},
    ):
        assert not standing.agreement("cnn", ours, broken)["agrees"]
    assert not standing.agreement("cnn", {}, {})["agrees"]


def test_numbers_are_compared_only_as_long_as_rounding_has_not_grown():
    ours = {"step1.0": np.array([1.0]), "step50.0": np.array([1.0])}
    theirs = ours | {"step50.0": np.array([2.0])}
    assert not standing.agreement("mlp", ours, theirs)["agrees"]
    assert standing.agreement("cnn", ours, theirs)["agrees"]


def test_the_best_peer_is_the_fastest_that_computes_the_same():
    def row(mode, step, **more):
        return {"mode": mode, "step_s": {"median": step}, **more}

    rows = [
        row("static", 0.1), row("a", 3.0, agrees=True), row("b", 2.0, agrees=True),
        row("c", 1.0, agrees=False), {"mode": "d", "skipped": "why", "agrees": True},
    ]  # fmt: skip
    assert standing.best_peer(rows) == "b"
    assert standing.best_peer(rows[:1]) is None
    ratio, times = standing.ratios([2.0, 4.0, 6.0], [1.0, 1.0, 6.0])
    assert (ratio.low, ratio.median, ratio.high) == (0.25, 0.5, 1.0)
    assert (times.low, times.median, times.high) == (1.0, 2.0, 4.0)
    assert times.level == ratio.level


# -- the comparison --------------------------------------------------------------------------

NUMPY_PEER = """
import numpy as np
from diptych.bench.peers import Peer

def logits(weights):
    w0, b0, w1, b1, w2, b2 = weights.values()
    def step(x):
        x = np.maximum(x @ w0 + b0, 0)
        x = np.maximum(x @ w1 + b1, 0)
        return [(x @ w2 + b2) * {scale}]
    return step

class PEER(Peer):
    name = "{name}"
    package = "numpy"
    builders = {{"mlp-infer-1": logits}}
"""


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """Peers of numpy: one right, one wrong, one that cannot be here; and fewer cold starts."""
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    for name, scale in (("right", 1.0), ("wrong", 1.01)):
        (tmp_path / f"peer_{name}.py").write_text(NUMPY_PEER.format(name=name, scale=scale))
        entry = Entry(f"peer_{name}", ("numpy",), environment=lambda _: {"PYTHONPATH": path})
        monkeypatch.setitem(PEERS, name, entry)
    monkeypatch.setitem(PEERS, "absent", Entry("no", ("no_such_package",), "pip install it"))
    monkeypatch.setattr(comparison, "COLD_STARTS", 1)


def test_the_command_runs_peers_beside_modes(made_up, tmp_path, capsys):
    figures = tmp_path / "r.json"
    arguments = ["compare", "mlp-infer-1", "--steps", "16", "--modes", "eager,static"]
    arguments += ["--peers", "right, wrong,absent", "--json", str(figures)]
    assert cli.main(arguments) == 0
    printed = capsys.readouterr().out
    result = json.loads(figures.read_text())
    rows = {row["mode"]: row for row in result["rows"]}
    assert list(rows) == ["eager", "static", "right", "wrong"]
    for name in ("right", "wrong"):
        assert rows[name]["peer"] is True and "certificate" not in rows[name]
        assert rows[name]["steps"] == 16 and rows[name]["step_s"]["median"] > 0
        assert rows[name]["executor"] == f"numpy {np.__version__}"
        assert "ratio_to_eager" in rows[name]
    assert rows["right"]["agrees"] is True
    assert rows["wrong"]["agrees"] is False
    assert rows["wrong"]["relative_diff"]["1"] == pytest.approx(0.01, rel=1e-2)
    assert "NOT THE SAME NUMBERS: wrong differs" in printed
    assert result["identical"] is True
    assert result["break_even_steps"].keys() == {"static"}
    assert result["best_peer"]["mode"] == "right"
    for mode in ("eager", "static"):
        ratio = rows[mode]["ratio_to_best_peer"]
        times = result["best_peer"]["over_ours"][mode]
        assert times["median"] == pytest.approx(1 / ratio["median"])
        assert ratio["low"] <= ratio["median"] <= ratio["high"]
        assert f"{mode} is {times['median']:.2f} times as fast as the best peer, right" in printed
    assert "of best peer's" in printed
    absent = "no_such_package not installed; pip install it"
    assert result["skipped"] == {"absent": absent}
    twice = str(dt.bench.Report([result, result]))
    assert printed.count(f"absent: skipped, {absent}") == 1
    assert twice.count(f"absent: skipped, {absent}") == 1
    page = render_html([result])
    assert "Step ÷ best peer's" in page and "times as fast as the best peer" in page
    assert "wrong computes other numbers" in page and absent in page


def test_a_peer_without_the_workload_says_what_it_has():
    class Small(peers.Peer):
        name = "small"
        package = "numpy"
        builders: ClassVar = {"mlp": None, "chain": None}

    with pytest.raises(dt.errors.ArgumentError, match="small: has no tree; it has chain, mlp"):
        Small("tree", WORKLOADS["tree"].build(), 1)


def test_a_long_start_is_not_repeated(monkeypatch):
    class Slow:
        def __init__(self, mode):
            self.first_step_s = {"eager": 0.1, "jax": 6.0}[mode]

        def ask(self, do):
            return {"first_step_s": self.first_step_s}

        def close(self):
            pass

    asked = comparison.Comparison(
        "mlp", name="mlp", title="", modes=["eager"], peers=["jax"], executor="planned", steps=20,
        threads=1, device="cpu",
    )  # fmt: skip
    monkeypatch.setattr(asked, "_handle", Slow)
    for mode in ("eager", "jax") * 3:
        asked._cold_start(mode)
    assert [len(asked._starts[mode]) for mode in ("eager", "jax")] == [3, 1]


def test_the_cold_half_of_a_block_does_not_count():
    done = comparison.Comparison(
        "mlp", name="mlp", title="", modes=["eager"], executor="planned", steps=20, threads=1,
        device="cpu",
    )  # fmt: skip
    done._blocks["eager"] = [[9.0, 8.0, 1.0, 2.0, 3.0], [7.0]]
    assert done._medians("eager") == [2.0, 7.0]


@pytest.mark.parametrize(
    "arguments, error, text",
    [
        ({"peers": ["mxnet"]}, dt.errors.UnknownNameError, "peer: must be one of jax, onnxruntime"),
        ({"what": lambda: None, "peers": ["jax"]}, dt.errors.ArgumentError, "know the workloads"),
    ],
)
def test_what_compare_refuses_of_peers(arguments, error, text):
    with pytest.raises(error, match=text):
        dt.compare(**arguments)


def test_the_command_lists_and_refuses_peers(monkeypatch, capsys):
    monkeypatch.setitem(PEERS, "absent", Entry("no", ("no_such_package",), "pip install it"))
    assert cli.main(["peers"]) == 0
    listed = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert listed.keys() == PEERS.keys()
    assert listed["absent"] == "no_such_package not installed; pip install it"
    assert cli.main(["compare", "--peers", "mxnet"]) == 2
    assert "diptych: peer: must be one of" in capsys.readouterr().err
