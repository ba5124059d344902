"""The tool that measures compiled parts of eager programs: what it computes, and what it prints."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import diptych as dt
from diptych.bench import modes

TOOLS = Path(__file__).parents[1] / "tools"
sys.path.insert(0, str(TOOLS))

import hybrid_measures as measures  # noqa: E402
import hybrid_page as page  # noqa: E402


def interval(median: float, spread: float = 0.01) -> dict[str, float]:
    return {"median": median, "low": median - spread, "high": median + spread, "level": 0.95}


def run(**steps: float) -> dict[str, Any]:
    """A run as `hybrid_measures.py` prints it; names are given with _ for - and for a space."""
    named = {name.replace("__", " ").replace("_", "-"): s for name, s in steps.items()}
    return {
        "step_s": {name: interval(s, 0.0) for name, s in named.items()},
        "times": {
            one: {other: interval(t / s) for other, t in named.items() if other != one}
            for one, s in named.items()
        },
        "agrees": dict.fromkeys(named, True),
        "skipped": {},
    }


def called(eager: float, compiled: float) -> dict[str, Any]:
    return {
        "eager": interval(eager, 0.0), "compiled": interval(compiled, 0.0),
        "times": interval(compiled / eager), "more_s": interval(compiled - eager, 0.0),
    }  # fmt: skip


def looked_up(*calls: float) -> dict[str, Any]:
    return {
        str(n): {"call_s": interval(s, 0.0), "of_first": interval(s / calls[0])}
        for n, s in zip(measures.ENTRIES, calls)
    }


def figures(**more: Any) -> dict[str, Any]:
    first = {"cold": 0.4, "warm": 0.16, "torch-best": 0.15, "jax": 20.0}
    rows = {"10": {"seconds": 0.4, "code": 1000}, "1000": {"seconds": 0.47, "code": 1010}}
    return {
        "compiled": True, "threads": 2, "minutes": 8.5, "versions": {"jax": "jax 1.2"},
        "absent": {},
        "calls": {"without gradient": called(4e-6, 4.7e-6), "recorded": called(5e-6, 8e-6)},
        "lookups": {"signatures": looked_up(4e-6, 4e-6, 4.1e-6, 4.2e-6)},
        "lstm": run(cell=4.0, loop=2.0, rich__cell=5.0, rich__loop=3.0, eager=20.0,
                    torch_best=2.85, torch_compile=5.0),
        "varlen": {"first": {who: interval(s) for who, s in first.items()},
                   "later": run(hybrid=0.05, torch_best=0.07, jax=0.06)},
        "workloads": {"mlp": run(eager=3.0, static=1.0, hybrid=2.0, hybrid_step=1.01),
                      "tree": run(eager=3.0, static=1.0, hybrid=2.0)},
        "functions": {"mlp": {"hybrid": interval(0.5), "jax": interval(0.4)}},
        "lengths": {"captured": rows},
    } | more  # fmt: skip


def verdicts(section: str, **more: Any) -> list[bool | None]:
    return [goal.met for goal in page.goals(figures(**more)) if goal.section == section]


def test_goals_are_judged_by_the_better_end():
    assert verdicts("calls") == [True, False]  # within a microsecond; 1.6 times and 3 more
    assert verdicts("lookups") == [True]
    assert verdicts("lookups", lookups={"values": looked_up(4e-6, 4e-6, 4e-6, 5e-6)}) == [False]
    # 1.25 of 1.5 times, 1.425 of 1.4 times, 1.25 and 1.5 of 1.3 times the plain one
    assert verdicts("lstm") == [False, True, True, False]
    assert verdicts("varlen") == [True, True, False, True]  # the interval of the warm one is wide
    assert verdicts("workloads") == [True, False]
    assert verdicts("functions") == [False]
    assert verdicts("functions", functions={"mlp": {"hybrid": interval(0.305)}}) == [True]
    assert verdicts("lengths") == [True]
    longer = {"10": {"seconds": 0.4, "code": 1000}, "1000": {"seconds": 0.4, "code": 1100}}
    assert verdicts("lengths", lengths={"rolled up": longer}) == [False]


def test_what_was_not_measured_is_no_miss():
    failed = {"failed": "why"}
    assert verdicts("lstm", lstm={}) == []
    assert verdicts("lstm", lstm=failed) == [None] * 4
    assert verdicts("workloads", workloads={"mlp": failed}) == [None]
    assert verdicts("functions", functions={"mlp": failed}) == [None]
    assert verdicts("varlen", varlen={"first": failed, "later": failed}) == [None, None]
    assert verdicts("calls", calls=failed) == verdicts("lookups", lookups=failed) == []


def test_the_page_says_what_missed_and_what_failed():
    found = figures()
    text = page.page(page.goals(found), found, "the command")
    assert "| calls | 2 | 1 | 1 | 0 |" in text
    assert "- rich loop, at most 1.3 × the plain one: 1.50 (1.49–1.51) ×" in text
    assert (
        "| loop | 1.4 × torch-best | 2.00 s | torch-best | 2.85 s | 1.43 (1.42–1.44) | yes |"
        in text
    )
    assert "| mlp | at most 1.02 ×, or 1.00 µs more | 3.00 s | 1.00 s | 2.00 s | 1.01 s |" in text
    assert "First epochs: cold 400 ms, warm 160 ms" in text and page.NOT_COMPILED not in text
    failed = {"failed": "a reason"}
    broken = figures(
        compiled=False, calls=failed, lookups=failed, lstm=failed, lengths=failed,
        varlen={"first": failed, "later": failed}, workloads={"mlp": failed},
        functions={"mlp": failed},
    )  # fmt: skip
    made = page.goals(broken)
    assert all(goal.met is None for goal in made)
    text = page.page(made, broken, "the command")
    assert text.count("a reason") == 8 and page.NOT_COMPILED in text


def test_the_rich_cell_is_compiled_as_a_loop_and_trains_as_eager_code_does():
    losses = {}
    for name, mode, in_cells in (("eager", "eager", False), ("loop", "hybrid", False),
                                 ("cell", "hybrid", True)):  # fmt: skip
        dt.manual_seed(0)
        task = measures.build_rich(in_cells)
        running = modes.find(mode)(task, "planned")
        losses[name] = [float(running.step(task.batch(0))[0]) for _ in range(2)]
    assert losses["loop"] == pytest.approx(losses["eager"], rel=1e-4)
    assert losses["cell"] == pytest.approx(losses["eager"], rel=1e-4)
    assert np.ptp(losses["eager"]) > 0


def test_figures_are_measured_in_processes_of_their_own():
    command = [sys.executable, str(TOOLS / "hybrid_measures.py"), "calls", "1", "1"]
    done = subprocess.run(command, capture_output=True, check=True)
    found = json.loads(done.stdout)
    ways = ("without gradient", "recorded", "forward and backward")
    assert list(found) == [f"{way}{gate}" for way in ways for gate in ("", ", no gate")]
    assert all(each["times"]["median"] > 0 for each in found.values())
