"""The tool that measures eager code: what it computes from figures, and what it prints."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

TOOLS = Path(__file__).parents[1] / "tools"
sys.path.insert(0, str(TOOLS))

import eager_operators as operators  # noqa: E402
import eager_page as page  # noqa: E402
import eager_parts as parts  # noqa: E402

# By its path: `eager` is a folder of the package, too.
WORK = runpy.run_path(str(TOOLS / "eager.py"))["WORK"]


def interval(median: float, spread: float = 0.1) -> dict[str, float]:
    return {"median": median, "low": median - spread, "high": median + spread, "level": 0.95}


def run(**steps: float) -> dict[str, Any]:
    """A run as `eager_measures.py` prints it."""
    return {
        "step_s": {name: interval(s, 0.0) for name, s in steps.items()},
        "times": {
            mode: {name: interval(s / steps[mode]) for name, s in steps.items() if name != mode}
            for mode in ("eager", "autobatch")
            if mode in steps
        },
        "agrees": dict.fromkeys(steps, True),
        "skipped": {},
    }


def figures(**more: Any) -> dict[str, Any]:
    timed = {"ours": interval(1e-6, 0.0), "torch": interval(4.95e-6, 0.0), "times": interval(4.95)}
    return {
        "compiled": True, "threads": 2, "minutes": 9.6, "absent": {},
        "versions": {"torch-eager": "torch 1.2"},
        "operators": {"nograd-tensors-1": timed, "nograd-scalars-1": timed},
        "instructions": {"by": "a counter", "each": {"nograd-tensors-1": 1234.4}},
        "steady": {
            "tiny-mlp": [run(eager=1.0, **{"torch-eager": 4.8})],
            "tree": [run(eager=1.0, autobatch=0.5, **{"torch-eager": 3.0})],
        },
        "trees": {64: run(eager=4.0, autobatch=1.0), 256: run(eager=1.0, autobatch=4.0)},
        "memory": {"tiny-mlp": {"eager": 2048, "torch-eager": 4096}},
        "import": {"with": 0.18, "without": 0.02, "import": 0.16, "cuda": False},
        "profile": {"python": {"eval": 3}, "tape": {"__pyx_f_7diptych_5eager_4tape_give": 1}},
    } | more  # fmt: skip


def verdicts(section: str, **more: Any) -> list[bool | None]:
    made = page.goals(WORK, figures(**more))
    return [goal.met for goal in made if goal.section == section]


def test_goals_are_judged_by_the_better_end_and_numbers_without_gradient_have_none():
    assert verdicts("operators") == [True, None]
    assert verdicts("steps") == [False, False]  # 4.9 of 5, and 3.1 of 4
    assert verdicts("trees") == [True, False]  # 6.1 of 6 over torch, a quarter of our own at 256
    assert verdicts("memory") == [True]
    assert verdicts("import") == [False, True]
    more = {"eager": 4097, "torch-eager": 4096}
    assert verdicts("memory", memory={"tiny-mlp": more}) == [False]


def test_what_was_not_measured_is_no_miss():
    alone = {"ours": interval(1e-6)}
    assert verdicts("operators", operators={"grad-tensors-1": alone}) == [None]
    assert verdicts("operators", operators={"failed": "why"}) == []
    assert verdicts("steps", steady={"tree": [{"failed": "why"}]}) == [None]
    assert verdicts("memory", memory={"mlp": {"eager": 4096}}) == [None]
    assert verdicts("import", **{"import": {"failed": "why"}}) == [None]


@pytest.mark.parametrize(
    "ratios, words",
    [
        ({64: 4.0, 256: 0.25}, "stops paying at about 128."),
        ({64: 4.0, 128: 2.0}, "pays at every size from 64 to 128"),
        ({64: 0.9}, "does not pay at 64"),
        ({}, "not measured"),
    ],
)
def test_the_crossover_lies_where_batched_trees_take_as_long(ratios, words):
    runs = {hidden: run(eager=ratio, autobatch=1.0) for hidden, ratio in ratios.items()}
    assert words in page.crossover(runs)


def test_the_page_says_what_missed_and_what_failed():
    found = figures()
    text = page.page(page.goals(WORK, found), found, "the command")
    assert "| operators | 2 | 1 | 0 | 1 |" in text
    assert "- tree, 4 × torch-eager: 3.00 (2.90–3.10) × torch-eager" in text
    assert (
        "| (1,) | 5 × torch-eager | 1.00 µs | 4.95 µs | 4.95 (4.85–5.05) | 1\u202f234 | yes |"
        in text
    )
    assert "| 64 | 4.00 s | 1.00 s | 4.00 (3.90–4.10) |" in text
    assert "python 75.0%, tape 25.0%." in text and page.NOT_COMPILED not in text
    failed = {"failed": "a reason"}
    broken = figures(
        compiled=False, operators=failed, instructions=failed, steady={"tree": [failed]},
        trees={64: failed}, memory={"mlp": failed}, profile=failed, **{"import": failed},
    )  # fmt: skip
    made = page.goals(WORK, broken)
    assert all(goal.met is None for goal in made)
    text = page.page(made, broken, "the command")
    assert text.count("a reason") == 7 and page.NOT_COMPILED in text


@pytest.mark.parametrize(
    "line, part",
    [
        ("7f81 _PyEval_EvalFrameDefault (/usr/lib/libpython3.11.so.1.0)", "python"),
        ("7f81 _PyObject_Malloc (/usr/lib/libpython3.11.so.1.0)", "allocation"),
        ("7f81 FLOAT_add_X86_V3 (/site/_multiarray_umath.cpython-311.so)", "kernels"),
        ("7f81 tile_of_12 (/site/diptych/library.x86-64-v4.so)", "kernels"),
        ("7f81 dt_wait (/site/diptych/library.x86-64-v4.so)", "waiting"),
        ("7f81 __pyx_f_tape_give (/site/diptych/eager/tape.cpython-311.so)", "tape"),
        ("7f81 run_rows (/site/diptych/graphs/speedups.so)", "kernels"),
        ("7f81 call_entry (/site/diptych/graphs/speedups.so)", "dispatch"),
        ("7f81 [unknown] ([vdso])", "other"),
    ],
)
def test_samples_belong_to_parts(line, part):
    sample = parts.SAMPLE.fullmatch(line)
    assert parts.part(sample["function"], Path(sample["library"]).name) == part


def test_the_picture_has_a_bar_for_each_part_as_long_as_its_share():
    svg = ElementTree.fromstring(
        parts.picture({"python": {"a<b>": 3}, "tape": {"c": 1}}, "<A step>")
    )
    name = "{http://www.w3.org/2000/svg}"
    widths = [float(rect.get("width")) for rect in svg.iter(f"{name}rect")]
    assert widths == pytest.approx([parts.BAR, parts.BAR / 3], abs=0.1)
    texts = [text.text for text in svg.iter(f"{name}text")]
    assert texts == ["python", "75.0%", "a<b>", "tape", "25.0%", "c"]


@pytest.mark.parametrize("name", operators.CASES)
def test_both_sides_go_through_the_same_chain(name):
    pytest.importorskip("torch")
    case = operators.CASES[name]
    if case.operands == "broadcast":
        assert [a.ndim for a in operators.arrays(case)[:2]] == [
            len(case.shape),
            len(case.shape) - 1,
        ]
    found = operators.pair(case, 2)
    assert found.keys() == {"ours", "torch", "times"}


def asked(file: str, *command: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(TOOLS / file), *command], capture_output=True, check=True
    )
    return json.loads(done.stdout)


def test_figures_are_measured_in_processes_of_their_own():
    assert asked("eager_operators.py", "time", "grad-broadcast-1", "1").keys() == {
        "grad-broadcast-1"
    }
    assert asked("eager_measures.py", "imports", "1")["cuda"] is False


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_a_step_holds_is_measured():
    assert asked("eager_measures.py", "memory", "tiny-mlp", "", "1", "1")["eager"] >= 0
