"""The page that `tools/eager.py` writes, from what it has measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import eager_parts
import pages
from eager_operators import CASES, Case
from pages import VERDICT, Found, Goal, filled, section

from diptych.bench.quantities import NONE, count, seconds, size

MODE, BATCHED, TORCH = "eager", "autobatch", "torch-eager"
TREE = "tree"
PICTURE = "eager-lstm.svg"
PER_OPERATOR = 5.0
BATCHED_TIMES, BATCHED_AT = 6.0, 256
IMPORT_S = 0.15

TITLES = {"operators": "operators", "steps": "steady steps", "trees": "trees, batched",
          "memory": "memory", "import": "import"}  # fmt: skip

ABOUT = """
Eager code computes each operator when it is called, and its tape remembers what the way back
needs.
"""
NOT_COMPILED = filled("""
Not compiled: the hot path runs as plain Python here, as in every editable install, and no figure
is what a user finds. `pip install .` into an environment of its own compiles it.
""")
OPERATORS = """
Chains of 200 operators, x + a, x * b and tanh(x) in turn, each on its own, on one pinned thread:
one chain of ours and one of torch's by turns, in one process. Per operator, and with gradient for
both directions together: a node's. a and b are tensors as large as x, numbers of Python, or a row
(to which a gradient flows, too) and a column that are broadcast. Instructions are an operator's of
ours, by {by}: they do not change with what else the machine does.
"""
STEPS = """
How many times as fast as a peer a step in mode `eager` is: the median of ratios, turn by turn, of
one interleaved run, with an interval that holds it at 95 %. A goal counts as reached where the
interval's better end does. `lstm-unrolled` is the loop of Python over a hand-written cell, `lstm`
the same cell in a `scan`; torch's is the loop in both. A step of `tree` is 32 trees, one by one.
"""
TREES = """
Dynamic batching (`dt.autobatch`, mode `autobatch`) puts like operators of all 32 trees together.
One step, forward and backward, beside our own trees one by one, interleaved, at several sizes of
state. {crossover} Other numbers of trees are in [where dynamic batching pays](batching.md).
"""
MEMORY = """
The most that is resident during the first five steps, beyond what was resident before them:
weights and batch are there already; gradients, the optimiser's state and what is loaded at its
first use are not. Each figure is a new process's `VmHWM`, set back by `/proc/self/clear_refs`;
medians.
"""
IMPORT = """
`python -c "import diptych"` in a new interpreter took {whole}, `python -c pass` {bare}: the import
is the median of their differences, in turn, once the files have been read and have their bytecode
beside them. CUDA {cuda}: cupy is imported and libcuda mapped when something is put on a device.
"""
PROFILE = """
Samples of the first thread's time while steps of `lstm-unrolled` are taken in eager mode, by the
function that ran, in user mode. Python is the interpreter with the user's loop; dispatch finds and
calls an operator's kernel; the tape records and goes back; waiting is for the other thread's share
of a kernel.
"""


# -- the goals -------------------------------------------------------------------------------


def goals(work: Mapping[str, Any], found: Found) -> list[Goal]:
    """Every goal of what was measured."""
    return [
        *(_operator(name, found) for name in found["operators"] if name in CASES),
        *(
            goal
            for name, runs in found["steady"].items()
            for goal in pages.speed_goals("steps", name, MODE, work[name].goals, runs)
        ),
        *_batched(found),
        *(_memory(name, each) for name, each in found["memory"].items()),
        *_import(found["import"]),
    ]


def described(case: Case) -> str:
    """A chain in words.

    Examples
    --------
    >>> described(CASES["grad-scalars-16"])
    '(16, 16), Python scalars, with gradient'
    """
    operands = {"tensors": "", "scalars": ", Python scalars", "broadcast": ", broadcast"}
    gradient = ", with gradient" if case.gradient else ""
    return f"{case.shape}{operands[case.operands]}{gradient}"


def _operator(name: str, found: Found) -> Goal:
    each, case = found["operators"][name], CASES[name]
    # Numbers of Python without gradient are shown; there is no goal for them.
    has_goal = case.gradient or case.operands != "scalars"
    times = each.get("times")
    instructions = found["instructions"].get("each", {}).get(name)
    theirs = each["torch"]["median"] if times else None
    cells = (
        seconds(each["ours"]["median"]), seconds(theirs), pages.ratio(times) if times else NONE,
        count(instructions),
    )  # fmt: skip
    met = times["high"] >= PER_OPERATOR if times and has_goal else None
    goal = f"{PER_OPERATOR:g} × {TORCH}" if has_goal else NONE
    figure = pages.ratio(times) if times else "not measured"
    return Goal("operators", described(case), goal, figure, met, cells)


def _batched(found: Found) -> list[Goal]:
    goals = []
    if TREE in found["steady"]:
        runs, factors = found["steady"][TREE], {TORCH: BATCHED_TIMES}
        goals += pages.speed_goals("trees", "tree, batched", BATCHED, factors, runs)
    if BATCHED_AT in found["trees"]:
        runs = [found["trees"][BATCHED_AT]]
        what = f"tree, batched, hidden {BATCHED_AT}"
        goals += pages.speed_goals("trees", what, BATCHED, {MODE: 1.0}, runs)
    return goals


def _memory(name: str, each: Found) -> Goal:
    if "failed" in each or TORCH not in each:
        shown = (size(each.get(MODE)), NONE, NONE)
        return Goal("memory", name, f"at most {TORCH}'s", "not measured", None, shown)
    ours, theirs = each[MODE], each[TORCH]
    cells = (size(ours), size(theirs), f"{ours / max(theirs, 1):.2f}")
    figure = f"{size(ours)} of {size(theirs)}"
    return Goal("memory", name, f"at most {TORCH}'s", figure, ours <= theirs, cells)


def _import(each: Found) -> list[Goal]:
    if "failed" in each:
        return [Goal("import", "import diptych", "its time", "not measured", None)]
    took, touched = each["import"], each["cuda"]
    return [
        Goal("import", "import diptych", f"under {seconds(IMPORT_S)}", seconds(took),
             took < IMPORT_S),
        Goal("import", "import diptych", "touches no CUDA", "touched" if touched else "not touched",
             not touched),
    ]  # fmt: skip


def crossover(runs: Mapping[int, Found]) -> str:
    """From which size on trees are no longer faster batched, in words."""
    known = [
        (hidden, run["times"][BATCHED][MODE]["median"])
        for hidden, run in sorted(runs.items())
        if BATCHED in run.get("times", {}) and MODE in run["times"][BATCHED]
    ]
    if not known:
        return "It was not measured."
    for (low, above), (high, below) in pairwise(known):
        if above > 1 >= below:
            # Straight between the two on logarithmic scales.
            share = math.log(above) / math.log(above / below)
            return f"Batching stops paying at about {low * (high / low) ** share:.0f}."
    first, last = known[0][0], known[-1][0]
    if known[0][1] <= 1:
        return f"Batching does not pay at {first}, the smallest size measured."
    return f"Batching pays at every size from {first} to {last}: they cross at none of these."


# -- the page --------------------------------------------------------------------------------


def page(made: list[Goal], found: Found, command: str) -> str:
    return pages.joined(
        [
            pages.head("Eager code", ABOUT, found, command),
            "" if found["compiled"] else f"**{NOT_COMPILED}**",
            pages.summary(made, TITLES),
            _operators(made, found),
            pages.steps(STEPS, made, found["steady"], MODE),
            _trees(made, found),
            _memories(made, found),
            _imports(made, found),
            _profile(found),
            pages.absent(found),
        ]
    )


def _rows(made: list[Goal], section: str) -> list[tuple[str, ...]]:
    return [(g.what, g.goal, *g.cells, VERDICT[g.met]) for g in made if g.section == section]


def _operators(made: list[Goal], found: Found) -> str:
    counted = found["instructions"]
    by = f"`{counted['by']}`" if "by" in counted else f"no counter ({counted['failed']})"
    columns = ("x", "goal", "ours:", "torch:", "times as fast:", "instructions:", "reached")
    text = filled(OPERATORS, by=by)
    failed = found["operators"].get("failed")
    rows = [(failed,)] if failed else _rows(made, "operators")
    return section("Operators", text, columns, rows)


def _trees(made: list[Goal], found: Found) -> str:
    if not found["trees"]:
        return ""
    columns = ("trees", "goal", "ours:", "beside", "its:", "times as fast:", "reached")
    lines = [
        section("Trees, batched", filled(TREES, crossover=crossover(found["trees"])), columns,
                _rows(made, "trees")),
        "",
    ]  # fmt: skip
    rows = []
    for hidden, run in found["trees"].items():
        each = pages.standings([run], BATCHED).get(MODE)
        if each is None:
            reasons = [*run.get("skipped", {}).values(), run.get("failed", NONE)]
            rows.append((str(hidden), reasons[0]))
            continue
        steps = (seconds(each[who]["median"]) for who in ("theirs", "ours"))
        rows.append((str(hidden), *steps, pages.ratio(each["times"])))
    columns = ("hidden:", "one by one:", "batched:", "times as fast:")
    return "\n".join([*lines, *pages.table(columns, rows)])


def _memories(made: list[Goal], found: Found) -> str:
    columns = ("workload", "goal", "ours:", "torch's:", "ours ÷ torch's:", "reached")
    failures = [f"- {n}: {e['failed']}" for n, e in found["memory"].items() if "failed" in e]
    text = section("Memory", filled(MEMORY), columns, _rows(made, "memory"))
    return "\n".join([text, *(["", "Did not run:", "", *failures] if failures else [])])


def _imports(made: list[Goal], found: Found) -> str:
    each = found["import"]
    cuda = "was touched" if each.get("cuda") else "was not touched"
    text = each.get("failed") or filled(
        IMPORT, whole=seconds(each["with"]), bare=seconds(each["without"]), cuda=cuda
    )
    rows = [(g.what, g.goal, g.figure, VERDICT[g.met]) for g in made if g.section == "import"]
    return section("Import", text, ("", "goal", "measured", "reached"), rows)


def _profile(found: Found) -> str:
    profile = found["profile"]
    lines = ["## Where a step of the LSTM goes", ""]
    if "failed" in profile:
        return "\n".join([*lines, profile["failed"]])
    parts = [f"{name} {share:.1%}" for name, share in eager_parts.shares(profile).items()]
    shown = filled(f"{', '.join(parts)}.")
    return "\n".join([*lines, filled(PROFILE), "", f"![Shares of a step]({PICTURE})", "", shown])
