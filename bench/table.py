"""Results as a table of text."""

from __future__ import annotations

from typing import Any


def render_text(result: dict[str, Any]) -> str:
    """The result of one workload as a table, with its findings below."""
    head = [
        "mode", "executor", "build", "compile", "first step", "step (median)", "vs eager",
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
    said = []
    steps = result["certified_steps"]
    if result["identical"]:
        said.append(
            f"identical: same kernels, and losses, gradients and weights bit for bit, "
            f"over {steps} steps"
        )
    elif result["identical"] is False:
        said.append(f"NOT identical: the modes' certificates differ over {steps} steps")
    for mode, found in result["break_even_steps"].items():
        said.append(f"break-even of {mode} against eager: {_break_even(found)}")
    return said


def _break_even(found: dict[str, Any]) -> str:
    if found["verdict"] == "never":
        return "never"
    high = found["high"] if found["high"] is not None else "never"
    text = f"{found['steps']} steps ({found['low']} to {high})"
    return text if found["verdict"] == "pays" else f"open, {text}"


def _cells(row: dict[str, Any]) -> list[str]:
    step = row["step_s"]
    ratio = row.get("ratio_to_eager")
    return [
        row["mode"],
        row["executor"],
        seconds(row["build_s"]),
        seconds(row["compile_s"]),
        seconds(row["first_step_s"]),
        f"{seconds(step['median'])} ({seconds(step['low'])} to {seconds(step['high'])})",
        "" if ratio is None else f"{ratio['median']:.2f}x",
        size(row.get("peak_bytes")),
        str(row.get("launches", "")),
        "" if row.get("accuracy") is None else f"{row['accuracy']:.1%}",
        "" if "loss_last" not in row else f"{row['loss_last']:.4f}",
    ]


def seconds(value: float | None) -> str:
    """A duration in the unit that suits it."""
    if value is None:
        return ""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if value * factor >= 1 or unit == "us":
            return f"{value * factor:.3g} {unit}" if value else "-"
    return ""


def size(nbytes: int | None) -> str:
    """A number of bytes in the unit that suits it."""
    if nbytes is None:
        return ""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if nbytes >= factor:
            return f"{nbytes / factor:.3g} {unit}"
    return f"{nbytes} B"
