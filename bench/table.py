"""Results as a table of text."""

from __future__ import annotations

from typing import Any

from .quantities import NONE, count, formatted, seconds, seconds_between, size


def render_text(result: dict[str, Any]) -> str:
    """The result of one workload as a table, with its findings below."""
    head = [
        "mode", "executor", "build", "compile", "first step", "step (median)", "of eager's",
        "peak memory", "launches", "accuracy", "last loss",
    ]  # fmt: skip
    lines = [head]
    notes = []
    for row in result["rows"]:
        if "skipped" in row:
            notes.append(f"{row['mode']}: skipped, {row['skipped']}")
        else:
            lines.append(_cells(row))
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
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
            f"over {steps} steps"
        )
    elif result["identical"] is False:
        what = " and ".join(result["differ"])
        said.append(f"NOT identical: the modes' {what} differ within {steps} steps")
    for mode, found in result["break_even_steps"].items():
        said.append(f"break-even of {mode} against eager: {_break_even(found)}")
    return said


def _break_even(found: dict[str, Any]) -> str:
    if found["verdict"] == "never":
        return "never"
    steps, low, high = (
        "never" if found[name] is None else found[name] for name in ("steps", "low", "high")
    )
    text = f"{steps} steps ({low} to {high})"
    return text if found["verdict"] == "pays" else f"open, {text}"


def _cells(row: dict[str, Any]) -> list[str]:
    step = row["step_s"]
    ratio = row.get("ratio_to_eager")
    return [
        row["mode"],
        row["executor"],
        *(seconds(row[name]) for name in ("build_s", "compile_s", "first_step_s")),
        f"{seconds(step['median'])} ({seconds_between(step['low'], step['high'])})",
        NONE if ratio is None else f"{ratio['median']:.2f}",
        size(row.get("peak_bytes")),
        count(row.get("launches")),
        formatted(row.get("accuracy"), "{:.1%}"),
        formatted(row.get("loss_last"), "{:.4f}"),
    ]
