"""The page that `tools/hybrid.py` writes, from what it has measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pages
from pages import VERDICT, Found, Goal, filled, section

from diptych.bench.quantities import NONE, count, seconds

EAGER, STATIC, HYBRID, STEP = "eager", "static", "hybrid", "hybrid-step"
BEST, COMPILED, JAX = "torch-best", "torch-compile", "jax"

CALL_TIMES, MORE_S = 1.2, 1e-6
FLAT = 1.1
LSTM = {("cell", COMPILED): 1.5, ("loop", BEST): 1.4}
RICH_TIMES = 1.3
COLD_S = 0.45
LATER = {JAX: 1.25, BEST: 1.0}
SAME_TIMES = 1.02
COMPILE_S = 0.3
GROWS_TIMES = 1.2

TITLES = {
    "calls": "calls", "lookups": "guards", "lstm": "LSTM", "varlen": "many lengths",
    "workloads": "workloads", "functions": "compile times", "lengths": "loops",
}  # fmt: skip

ABOUT = """
`dt.compile` makes any part of an eager program a static program with native code: a cell, a loop,
a loss, a whole step.
"""
NOT_COMPILED = filled("""
Not compiled: the hot path runs as plain Python here, as in every editable install, and no figure
is what a user finds. `pip install .` into an environment of its own compiles it.
""")
CALLS = """
A call of `x + 1` on 16 floats, eager and compiled by turns in one process: the median of ratios,
with an interval that holds it at 95 %. A goal counts as reached where the interval's better end
does. The gate decides for eager code here; without it (`gate=False`) native code runs.
"""
LOOKUPS = """
A call of a function of 16 floats, by the number of its traces, of which the last is asked for:
traces for so many arguments that are no tensors, and for so many values of a number that the
function closes over.
"""
LSTMS = """
A training step of `lstm`, in one interleaved run: the hand-written cell under `dt.compile` in a
loop of Python; the whole loss, loop included, under `dt.compile`; and the same with layer norm over
the gates and dropout within the recurrence ("rich"), which no fused library cell has.
"""
VARLEN = """
`lstm-varlen` as users write it: a loop of Python over 64 sequences of different lengths, one after
the other, under `dt.compile`. First epochs are medians of new processes, without imports; cold: the
cache on disk holds the library of native kernels and nothing else; warm: it holds the program, too.
Later epochs are of one interleaved run.
"""
WORKLOADS = """
A step in each mode, in one interleaved run a workload. `hybrid` compiles the loss, forward and
backward, and leaves the update to eager code; of `tree` it compiles what a leaf, a node and the
root compute. `hybrid-step` compiles the step as a whole, update included. The faster of the two is
set beside the better of eager and static code.
"""
FUNCTIONS = """
Seconds until the first step is done, with tracing, compiling and gcc, in a new process whose cache
holds the library of native kernels alone; medians, in turn. jax: under `jit`.
"""
LENGTHS = """
The loop of `lstm` under `dt.compile`, forward and backward, in new processes: what compiling takes
and how long the generated code is, where the loop has ten rounds and where it has a thousand.
Captured: `range(xs.shape[0])`. Rolled up: `range` of a number.
"""


# -- the goals -------------------------------------------------------------------------------


def goals(found: Found) -> list[Goal]:
    """Every goal of what was measured."""
    return [
        *_calls(found["calls"]), *_lookups(found["lookups"]), *_lstms(found["lstm"]),
        *_lengths_varied(found["varlen"]),
        *(_workload(name, run) for name, run in found["workloads"].items()),
        *(_function(name, each) for name, each in found["functions"].items()),
        *_lengths(found["lengths"]),
    ]  # fmt: skip


def _calls(each: Found) -> Iterator[Goal]:
    goal = f"at most {CALL_TIMES:g} ×, or {seconds(MORE_S)} more"
    for what, known in _measured(each):
        met = known["times"]["low"] <= CALL_TIMES or known["more_s"]["low"] <= MORE_S
        eager, compiled = (seconds(known[who]["median"]) for who in ("eager", "compiled"))
        figure = f"{pages.ratio(known['times'])} ×, {seconds(known['more_s']['median'])} more"
        cells = (eager, compiled, pages.ratio(known["times"]), seconds(known["more_s"]["median"]))
        yield Goal("calls", f"x + 1, {what}", goal, figure, met, cells)


def _lookups(each: Found) -> Iterator[Goal]:
    for how, known in _measured(each):
        most = max(known.values(), key=lambda one: one["of_first"]["median"])["of_first"]
        cells = tuple(seconds(one["call_s"]["median"]) for one in known.values())
        goal = f"at most {FLAT:g} × one's"
        figure = f"{pages.ratio(most)} ×"
        yield Goal("lookups", how, goal, figure, most["low"] <= FLAT, (*cells, pages.ratio(most)))


def _lstms(run: Found) -> Iterator[Goal]:
    if not run:
        return
    times = run.get("times", {})
    for (ours, peer), factor in LSTM.items():
        yield _faster("lstm", ours, peer, factor, run)
    for ours in ("cell", "loop"):
        rich = f"rich {ours}"
        goal = f"at most {RICH_TIMES:g} × the plain one"
        if rich not in times.get(ours, {}):
            yield Goal("lstm", rich, goal, "not measured", None, (NONE,) * 4)
            continue
        over = times[ours][rich]  # how many times as fast the plain one is
        steps = [seconds(run["step_s"][who]["median"]) for who in (rich, ours)]
        cells = (steps[0], ours, steps[1], pages.ratio(over))
        figure = f"{pages.ratio(over)} ×"
        yield Goal("lstm", rich, goal, figure, over["low"] <= RICH_TIMES, cells)


def _faster(part: str, ours: str, peer: str, factor: float, run: Found, what: str = "") -> Goal:
    goal = f"{factor:g} × {peer}"
    if peer not in run.get("times", {}).get(ours, {}):
        return Goal(part, what or ours, goal, "not measured", None, (NONE,) * 4)
    times = run["times"][ours][peer]
    mine, theirs = (seconds(run["step_s"][who]["median"]) for who in (ours, peer))
    met = times["high"] >= factor if run["agrees"].get(peer) else None
    cells = (mine, peer, theirs, pages.ratio(times))
    return Goal(part, what or ours, goal, f"{pages.ratio(times)} × {peer}", met, cells)


def _lengths_varied(each: Found) -> Iterator[Goal]:
    first = each.get("first", {})
    if "cold" in first:
        cold, warm = (seconds(first[what]["median"]) for what in ("cold", "warm"))
        met = first["cold"]["low"] <= COLD_S
        cells = (cold, NONE, NONE, NONE)
        yield Goal("varlen", "first epoch, cold", f"{seconds(COLD_S)}", cold, met, cells)
        if BEST in first:
            theirs = first[BEST]["median"]
            met = first["warm"]["low"] <= theirs
            times = f"{theirs / first['warm']['median']:.2f}"
            cells = (warm, BEST, seconds(theirs), times)
            figure = f"{warm}, {seconds(theirs)}"
            yield Goal("varlen", "first epoch, warm", f"under {BEST}'s", figure, met, cells)
    for peer, factor in LATER.items() if each else ():
        yield _faster("varlen", HYBRID, peer, factor, each["later"], "later epochs")


def _workload(name: str, run: Found) -> Goal:
    known = run.get("step_s", {})
    goal = f"at most {SAME_TIMES:g} ×, or {seconds(MORE_S)} more"
    ours = min((m for m in (HYBRID, STEP) if m in known), key=lambda m: known[m]["median"],
               default=None)  # fmt: skip
    others = [mode for mode in (EAGER, STATIC) if mode in known]
    if ours is None or not others:
        return Goal("workloads", name, goal, "not measured", None, (NONE,) * 5)
    other = min(others, key=lambda mode: known[mode]["median"])
    times = run["times"][other][ours]  # how many times as fast the other is
    more = (times["low"] - 1) * known[other]["median"]
    met = times["low"] <= SAME_TIMES or more <= MORE_S
    cells = (
        *(seconds(known[m]["median"]) if m in known else NONE
          for m in (EAGER, STATIC, HYBRID, STEP)),
        pages.ratio(times),
    )  # fmt: skip
    return Goal("workloads", name, goal, f"{pages.ratio(times)} × {other}", met, cells)


def _function(name: str, each: Found) -> Goal:
    goal = f"under {JAX}'s, or {seconds(COMPILE_S)}"
    if HYBRID not in each:
        return Goal("functions", name, goal, "not measured", None, (NONE, NONE))
    ours, theirs = each[HYBRID], each.get(JAX)
    met = ours["low"] <= max(COMPILE_S, theirs["high"] if theirs else 0.0)
    cells = (seconds(ours["median"]), seconds(theirs["median"]) if theirs else NONE)
    return Goal("functions", name, goal, f"{cells[0]}, {JAX} {cells[1]}", met, cells)


def _lengths(each: Found) -> Iterator[Goal]:
    for how, known in _measured(each):
        short, long = known.values()
        took = [one["seconds"] for one in (short, long)]
        times = f"{took[1] / took[0]:.2f}"
        cells = (seconds(took[0]), seconds(took[1]), times, count(short["code"]),
                 count(long["code"]))  # fmt: skip
        goal = f"at most {GROWS_TIMES:g} ×, code no longer"
        # The numbers of rounds stand in the code, some digits longer.
        met = took[1] <= GROWS_TIMES * took[0] and long["code"] <= 1.05 * short["code"]
        figure = f"{times} ×, {cells[3]} and {cells[4]} characters"
        yield Goal("lengths", f"a loop, {how}", goal, figure, met, cells)


def _measured(each: Found) -> list[tuple[str, Any]]:
    return [] if "failed" in each else list(each.items())


# -- the page --------------------------------------------------------------------------------

_BESIDE = ("", "goal", "ours:", "beside", "its:", "times as fast:", "reached")
_COLUMNS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "calls": (CALLS, ("", "goal", "eager:", "compiled:", "times:", "more:", "reached")),
    "lookups": (LOOKUPS, ("", "goal", "1:", "4:", "16:", "64:", "most of one's:", "reached")),
    "lstm": (LSTMS, _BESIDE),
    "varlen": (VARLEN, _BESIDE),
    "workloads": (WORKLOADS, ("", "goal", f"{EAGER}:", f"{STATIC}:", f"{HYBRID}:", f"{STEP}:",
                              "ours ÷ the better:", "reached")),
    "functions": (FUNCTIONS, ("", "goal", "ours:", "jax:", "reached")),
    "lengths": (LENGTHS, ("", "goal", "10:", "1,000:", "times:", "code:", "of 1,000:", "reached")),
}  # fmt: skip


def page(made: list[Goal], found: Found, command: str) -> str:
    return pages.joined(
        [
            pages.head("Compiled parts of eager programs", ABOUT, found, command),
            "" if found["compiled"] else f"**{NOT_COMPILED}**",
            pages.summary(made, TITLES),
            *(_part(name, made, found[name]) for name in TITLES),
            pages.absent(found),
        ]
    )


def _part(name: str, made: list[Goal], found: Found) -> str:
    if not found:
        return ""
    text, columns = _COLUMNS[name]
    rows = [(g.what, g.goal, *g.cells, VERDICT[g.met]) for g in made if g.section == name]
    title = TITLES[name][0].upper() + TITLES[name][1:]
    lines = [section(title, filled(text), columns, rows)]
    if name in ("lstm", "varlen"):
        lines += ["", _all_steps(found if name == "lstm" else found.get("later", {}))]
        lines += _firsts(found.get("first", {}))
    failures = [f"- {who}: {why}" for who, why in _failures(found)]
    return "\n".join([*lines, *(["", "Did not run:", "", *failures] if failures else [])])


def _all_steps(run: Found) -> str:
    steps = [f"{who} {seconds(each['median'])}" for who, each in run.get("step_s", {}).items()]
    return filled(f"All that was measured: {', '.join(steps)}.") if steps else ""


def _firsts(each: Found) -> list[str]:
    known = [f"{who} {seconds(one['median'])}" for who, one in _measured(each)]
    return ["", filled(f"First epochs: {', '.join(known)}.")] if known else []


def _failures(found: Found) -> Iterator[tuple[str, str]]:
    for who, each in [("it", found), *found.items()]:
        if isinstance(each, Mapping):
            if "failed" in each:
                yield who, each["failed"]
            yield from each.get("skipped", {}).items()
