"""Results as a table of text."""

from __future__ import annotations

from typing import Any

from .peers.standing import TOLERANCE
from .quantities import NONE, count, formatted, seconds, seconds_between, size


def render_text(result: dict[str, Any]) -> str:
    """The result of one workload as a table, with its findings below."""
    head = [
        "mode", "executor", "build", "compile", "first step", "step (median)", "of eager's",
        "of best peer's", "peak memory", "launches", "accuracy", "last loss",
    ]  # fmt: skip
    lines = [head]
    notes = []
    for row in result["rows"]:
        if "skipped" in row:
            notes.append(f"{row['mode']}: skipped, {row['skipped']}")
        else:
            lines.append(_cells(row))
    if result.get("best_peer") is None:
        gone = head.index("of best peer's")
        lines = [line[:gone] + line[gone + 1 :] for line in lines]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = [
        "  ".join(
            cell.ljust(w) if i < 2 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(line, widths))
        ).rstrip()
        for line in lines
    ]
    text.insert(1, "-" * len(max(text, key=len)))
    return "\n".join([f"{result['workload']}: {result['title']}", *text, *notes, *findings(result)])


def findings(result: dict[str, Any]) -> list[str]:
    """What the numbers say, a sentence each."""
    said = ["interrupted: what had been measured by then"] if result["interrupted"] else []
    steps = result["certified_steps"]
    if result["identical"]:
        said.append(
            f"identical: same kernels, and losses, gradients and weights bit for bit, "
            f"over {steps} steps{_certified(result)}"
        )
    elif result["identical"] is False:
        what = " and ".join(result["differ"])
        said.append(f"NOT identical: the modes' {what} differ within {steps} steps")
    said += _rungs(result)
    for mode, found in result["break_even_steps"].items():
        said.append(f"break-even of {mode} against eager: {_break_even(found)}")
    return [*said, *_against_peers(result)]


def _certified(result: dict[str, Any]) -> str:
    """Who has a certificate, where not all modes have."""
    rows = [row for row in result["rows"] if "peer" not in row and "skipped" not in row]
    names = [row["mode"] for row in rows if "certificate" in row]
    return "" if len(names) == len(rows) else f", in {', '.join(names)}"


def _rungs(result: dict[str, Any]) -> list[str]:
    """What each rung of a ladder brings."""
    said = []
    for row in result["rows"]:
        if "times_previous" in row:
            found = [f"{_times(row['times_previous'])} as {row['previous']}"]
            if row["previous"] != "eager" and "times_eager" in row:
                found.append(f"{_times(row['times_eager'])} as eager")
            said.append(f"{row['mode']} ({row['brings']}): {', '.join(found)}")
    return said


def _times(found: dict[str, float]) -> str:
    return f"{found['median']:.2f} times as fast ({found['low']:.2f} to {found['high']:.2f})"


def _against_peers(result: dict[str, Any]) -> list[str]:
    said = []
    for row in result["rows"]:
        if row.get("agrees") is False:
            found = ", ".join(
                f"{formatted(difference, '{:.1e}')} after step {step}"
                for step, difference in row["relative_diff"].items()
            )
            said.append(
                f"NOT THE SAME NUMBERS: {row['mode']} differs from the modes by {found}, "
                f"relative; at most {TOLERANCE:g} is rounding, so it is no best peer"
            )
    best = result.get("best_peer")
    if best is not None:
        for mode, found in best["over_ours"].items():
            said.append(
                f"{mode} is {found['median']:.2f} times as fast as the best peer, {best['mode']} "
                f"({found['low']:.2f} to {found['high']:.2f})"
            )
    return said


def _break_even(found: dict[str, Any]) -> str:
    if found["verdict"] == "never":
        return "never"
    steps, low, high = (
        "never" if found[name] is None else found[name] for name in ("steps", "low", "high")
    )
    text = f"{steps} steps ({low} to {high})"
    return text if found["verdict"] == "pays" else f"open, {text}"


def _ratio(found: dict[str, float] | None) -> str:
    return NONE if found is None else f"{found['median']:.2f}"


def _cells(row: dict[str, Any]) -> list[str]:
    step = row["step_s"]
    return [
        row["mode"],
        row["executor"],
        *(seconds(row[name]) for name in ("build_s", "compile_s", "first_step_s")),
        f"{seconds(step['median'])} ({seconds_between(step['low'], step['high'])})",
        *(_ratio(row.get(name)) for name in ("ratio_to_eager", "ratio_to_best_peer")),
        size(row.get("peak_bytes")),
        count(row.get("launches")),
        formatted(row.get("accuracy"), "{:.1%}"),
        formatted(row.get("loss_last"), "{:.4f}"),
    ]
