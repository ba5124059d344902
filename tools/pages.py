"""What the pages of the tools share: goals, tables, and steps that took turns with a peer's."""

from __future__ import annotations

import datetime
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diptych as dt
from diptych.bench import machine
from diptych.bench.quantities import NONE, seconds, size

BEST = "the best peer"
VERDICT = {True: "yes", False: "**no**", None: NONE}

Found = Mapping[str, Any]


@dataclass(frozen=True)
class Goal:
    """One goal, and how far it was reached.

    Attributes
    ----------
    section, what, goal, figure : str
    met : bool or None
        None for what this run did not measure.
    cells : tuple of str
        Of its row of the section's table, between the goal and the verdict.
    """

    section: str
    what: str
    goal: str
    figure: str
    met: bool | None
    cells: tuple[str, ...] = ()


# -- text ------------------------------------------------------------------------------------


def filled(paragraph: str, **figures: Any) -> str:
    """A paragraph with its figures, in lines of up to 100 characters."""
    text = paragraph.format(**figures) if figures else paragraph
    return textwrap.fill(" ".join(text.split()), 100, break_on_hyphens=False)


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """The lines of a table; a colon behind a column's name sets its cells to the right."""
    names = [column.removesuffix(":") for column in columns]
    rules = ["---:" if column.endswith(":") else "---" for column in columns]
    return [f"| {' | '.join(cells)} |" for cells in (names, rules, *rows)]


def section(title: str, text: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    return "\n".join([f"## {title}", "", text, "", *table(columns, rows)])


def ratio(times: Mapping[str, float]) -> str:
    """How many times as fast, with its interval."""
    return f"{times['median']:.2f} ({times['low']:.2f}–{times['high']:.2f})"


# -- how a page begins and ends --------------------------------------------------------------


def head(title: str, about: str, found: Found, command: str) -> str:
    """The title, what is measured, and on what."""
    here, versions = machine.machine(), machine.versions()
    ran = "".join(f", {each}" for each in sorted(set(found["versions"].values())))
    what = filled(f"{about} Here is what it was to reach, and what one run of")
    return f"""# {title}

{what}

    {command}

measured on {datetime.date.today().isoformat()}, on {found["threads"]} threads, in \
{found["minutes"]:.1f} minutes.

- Machine: {here["cpu"]}, {here["cores"]} cores, {size(here["memory_bytes"])}; {here["system"]}.
- Compiler: {here["compiler"]}. BLAS of NumPy: {here["blas"]}.
- Versions: Diptych {dt.__version__}, Python {versions["python"]}, \
NumPy {versions["numpy"]}{ran}.

The workloads, the peers and how they take turns are described in [measuring](measuring.md)."""


def summary(made: Sequence[Goal], titles: Mapping[str, str]) -> str:
    """How many goals of each section were reached, and which were missed."""
    rows = []
    for name, title in titles.items():
        verdicts = [goal.met for goal in made if goal.section == name]
        counts = (len(verdicts), *(verdicts.count(v) for v in (True, False, None)))
        rows.append([title, *map(str, counts)])
    columns = ("", "goals:", "reached:", "missed:", "not measured:")
    lines = ["## In short", "", *table(columns, rows)]
    missed = [goal for goal in made if goal.met is False]
    if missed:
        lines += ["", "Missed:", ""]
        lines += [f"- {goal.what}, {goal.goal}: {goal.figure}" for goal in missed]
    return "\n".join(lines)


def absent(found: Found) -> str:
    """The peers that were asked for and are not installed."""
    if not found["absent"]:
        return ""
    lines = [f"- {peer}: {why}" for peer, why in found["absent"].items()]
    return "\n".join(["## Peers that were not here", "", *lines])


def joined(sections: Iterable[str]) -> str:
    return "\n\n".join(filter(None, sections)) + "\n"


def deliver(text: str, page: Path | None, made: Iterable[Goal]) -> None:
    """Write a page, or print it where there is none to write; exit with 1 for a missed goal."""
    if page is None:
        print(text)
    else:
        page.write_text(text)
    sys.exit(any(goal.met is False for goal in made))


# -- steady steps ----------------------------------------------------------------------------


def standings(runs: Iterable[Found], mode: str) -> dict[str, dict[str, Any]]:
    """Per peer its step and ours in one run, how many times as fast ours is, and if it agrees.

    Examples
    --------
    >>> run = {"step_s": {"static": 1.0, "jax": 2.0}, "agrees": {"jax": True}}
    >>> standings([run | {"times": {"static": {"jax": 2.0}}}], "static")
    {'jax': {'theirs': 2.0, 'ours': 1.0, 'times': 2.0, 'agrees': True}}
    """
    return {
        peer: {
            "theirs": run["step_s"][peer], "ours": run["step_s"][mode], "times": times,
            "agrees": run["agrees"].get(peer, False),
        }
        for run in runs if mode in run.get("step_s", {})
        for peer, times in run["times"][mode].items()
    }  # fmt: skip


def best(known: Mapping[str, Any]) -> str | None:
    """The peer that comes closest to us, or is furthest ahead, of those that compute the same."""
    same = [peer for peer, each in known.items() if each["agrees"]]
    return min(same, key=lambda peer: known[peer]["times"]["median"], default=None)


def own_step(runs: Iterable[Found], mode: str) -> float | None:
    """Seconds of a mode's step."""
    known = (run["step_s"][mode]["median"] for run in runs if mode in run.get("step_s", {}))
    return next(known, None)


def speed_goals(
    section: str, name: str, mode: str, factors: Mapping[str, float], runs: Sequence[Found]
) -> list[Goal]:
    """A goal per peer, or "" for the best, judged by the better end of the interval."""
    known = standings(runs, mode)
    made = []
    for over, factor in factors.items():
        peer = best(known) if not over else over if over in known else None
        goal = f"{factor:g} × {over or BEST}"
        if peer is None:
            made.append(Goal(section, name, goal, "not measured", None, (NONE,) * 4))
            continue
        each = known[peer]
        times = each["times"]
        met = times["high"] >= factor if each["agrees"] else None
        ours, theirs = (seconds(each[who]["median"]) for who in ("ours", "theirs"))
        cells = (ours, peer, theirs, ratio(times))
        made.append(Goal(section, name, goal, f"{ratio(times)} × {peer}", met, cells))
    return made


def steps(text: str, made: Iterable[Goal], steady: Mapping[str, Any], mode: str) -> str:
    """The section of steady steps: goals, every step that was measured, and what did not run."""
    columns = ("workload", "goal", "ours:", "peer", "peer's:", "times as fast:", "reached")
    rows = [
        (goal.what, goal.goal, *goal.cells, VERDICT[goal.met])
        for goal in made if goal.section == "steps"
    ]  # fmt: skip
    lines = [section("Steady steps", filled(text), columns, rows)]
    known = {name: standings(runs, mode) for name, runs in steady.items()}
    peers = list(dict.fromkeys(peer for each in known.values() for peer in each))
    if peers:
        every = [
            (name, seconds(own_step(steady[name], mode)), *(_cell(each.get(p)) for p in peers))
            for name, each in known.items()
        ]
        columns = ("workload", "ours:", *(f"{peer}:" for peer in peers))
        lines += ["", "All steps that were measured:", "", *table(columns, every)]
    if any(not e["agrees"] for each in known.values() for e in each.values()):
        lines += ["", "\\* differs from our numbers by more than 1e-4, so it is no best peer."]
    failures = [
        f"- {name}, {who}: {why}"
        for name, runs in steady.items()
        for run in runs
        for who, why in [*run.get("skipped", {}).items(), *_failure(run)]
    ]
    return "\n".join([*lines, *(["", "Did not run:", "", *failures] if failures else [])])


def _cell(each: Found | None) -> str:
    if each is None:
        return NONE
    return seconds(each["theirs"]["median"]) + ("" if each["agrees"] else "\\*")


def _failure(found: Found) -> list[tuple[str, str]]:
    return [("failed", found["failed"])] if "failed" in found else []
