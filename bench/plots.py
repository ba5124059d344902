"""The plots of a comparison, as SVG in the colours of the page that holds them.

matplotlib draws in stand-in colours, which then become CSS variables: one picture serves a light
and a dark page.
"""

from __future__ import annotations

import io
import itertools
import math
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .quantities import (
    BYTES,
    SECONDS,
    Row,
    break_evens,
    clean,
    count,
    number,
    numbers,
    rows_of,
    size,
    start_cost,
    steady_step,
    text,
    unit_of,
)

_INK, _MUTED, _RULE = "#000001", "#000002", "#000003"
_FIRST_ACCENT = 16
_ACCENTS = 8
_MOST_POINTS = 500
_VARIABLES = {1: "var(--ink)", 2: "var(--muted)", 3: "var(--rule)"}
_VARIABLES |= {_FIRST_ACCENT + i: f"var(--a{i})" for i in range(_ACCENTS)}


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture with its title and what it shows; texts are plain, the picture is SVG."""

    title: str
    caption: str
    svg: str


@dataclass(frozen=True, slots=True)
class _Line:
    label: str
    colour: str
    row: Row


def accent(position: int) -> str:
    """The CSS colour of the mode at a position."""
    return f"var(--a{position % _ACCENTS})"


def draw_plots(result: Row, positions: dict[str, int], salt: str) -> list[Plot]:
    """Cumulative time, live memory and loss, as far as the result has them.

    Parameters
    ----------
    result : dict
        Of one workload.
    positions : dict
        From a mode to the number of its colour.
    salt : str
        What makes the ids of this workload's pictures differ from any other's on the page.

    Raises
    ------
    ImportError
        Where matplotlib is not installed.
    """
    import matplotlib

    rows = [r for r in rows_of(result) if not r.get("skipped")]
    names = [str(r.get("mode", "?")) for r in rows]
    lines = []
    for row, name in zip(rows, names):
        several = names.count(name) > 1 and row.get("executor")
        label = clean(f"{name}, {row['executor']}" if several else name)
        colour = f"#0000{_FIRST_ACCENT + positions.get(name, 0) % _ACCENTS:02x}"
        lines.append(_Line(label if len(label) < 16 else label[:14] + "…", colour, row))
    kinds: tuple[Callable[[Row, list[_Line], str], Plot | None], ...]
    kinds = (_cumulative, _memory, _loss)
    plots = []
    for position, kind in enumerate(kinds):
        style = _plot_style(f"{salt}.{position}")
        with matplotlib.rc_context(style), warnings.catch_warnings():
            # A name in a script that matplotlib's font lacks is drawn by the browser's.
            warnings.simplefilter("ignore")
            plots.append(kind(result, lines, f"{salt}.{position}"))
    return [plot for plot in plots if plot is not None]


def _cumulative(result: Row, lines: list[_Line], salt: str) -> Plot | None:
    timed = [line for line in lines if steady_step(line.row) is not None]
    if not timed:
        return None
    known = break_evens(result)
    paid = {m: s for m, f in known.items() if (s := number(f.get("steps"))) is not None}
    trained = max((number(line.row.get("steps")) or 0.0 for line in timed), default=0.0)
    last = max(2.0 * max(paid.values()), 10.0) if paid else max(trained, 10.0)
    eager = next((line for line in timed if line.row.get("mode") == "eager"), None)
    figure = _figure()
    if eager is None:
        upper, lower = figure.subplots(), None
    else:
        upper, lower = figure.subplots(2, sharex=True, height_ratios=[3, 2])
    upper_unit = unit_of(max(_total(line.row, last) for line in timed), SECONDS)
    ends = []
    for line in timed:
        total = [_total(line.row, n) / upper_unit[0] for n in (1.0, last)]
        upper.plot([1.0, last], total, color=line.colour)
        ends.append((total[1], line.label, line.colour))
    upper.set_ylim(bottom=0)
    _label_ends(upper, ends)
    _name_axes(
        upper, "" if lower is not None else "steps", f"time since the start, {upper_unit[1]}"
    )
    if lower is not None and eager is not None:
        _saved(lower, eager, timed, known, last)
        lower.set_xlim(0, last)
    upper.set_xlim(0, last)
    for line in timed:
        steps = paid.get(str(line.row.get("mode")))
        if steps is not None:
            y = _total(line.row, steps) / upper_unit[0]
            upper.plot([steps], [y], "o", color=line.colour, markersize=5, zorder=5)
    caption = "What building costs and when it has paid."
    if lower is not None:
        caption = (
            "Above, all time since the start; below, the same as time won against eager. "
            "A dot marks the break-even, the band its interval."
        )
    return Plot("Cumulative time", caption, _svg(figure, "Cumulative time by number of steps"))


def _saved(axes: Any, eager: _Line, timed: list[_Line], known: dict[str, Row], last: float) -> None:
    """Time won against eager: a line that starts below zero and crosses it at the break-even."""
    others = [line for line in timed if line is not eager]
    won = {
        id(line): [_total(eager.row, n) - _total(line.row, n) for n in (1.0, last)]
        for line in others
    }
    factor, unit = unit_of(max((abs(v) for vs in won.values() for v in vs), default=0.0), SECONDS)
    axes.axhline(0, color=eager.colour, linewidth=1.2)
    ends = [(0.0, "eager", eager.colour)]
    for position, line in enumerate(others):
        values = [v / factor for v in won[id(line)]]
        axes.plot([1.0, last], values, color=line.colour)
        ends.append((values[1], line.label, line.colour))
        found = known.get(str(line.row.get("mode")), {})
        steps, low, high = (number(found.get(k)) for k in ("steps", "low", "high"))
        if steps is None:
            continue
        if low is not None:
            top = min(last, last if high is None else high)
            axes.axvspan(low, top, color=line.colour, alpha=0.13, linewidth=0)
        axes.plot([steps], [0], "o", color=line.colour, markersize=5, zorder=5)
        axes.annotate(
            count(steps), (steps, 0), (0, -13 if position % 2 else 6),
            textcoords="offset points", ha="center",
            color=line.colour, fontweight="bold",
        )  # fmt: skip
    axes.margins(y=0.16)
    _label_ends(axes, ends)
    _name_axes(axes, "steps", f"won against eager, {unit}")


def _memory(result: Row, lines: list[_Line], salt: str) -> Plot | None:
    held = [(line, numbers(line.row.get("memory_timeline"))) for line in lines]
    held = [(line, [v for v in values if v == v]) for line, values in held]
    held = [(line, values) for line, values in held if values]
    if not held:
        return None
    longest, shortest = (f(len(v) for _, v in held) for f in (max, min))
    # Unlike numbers of operators are put on one scale, where the shapes of the steps compare.
    relative = longest > 3 * shortest
    factor, unit = unit_of(max(max(v) for _, v in held), BYTES)
    figure = _figure()
    axes = figure.subplots()
    ends = []
    for width, (line, values) in zip(_widths(len(held)), held):
        scale = 100 / len(values) if relative else 1.0
        xs, ys = _thinned(values)
        places = [scale * (x + 1) for x in xs]
        heights = [y / factor for y in ys]
        axes.step(places, heights, where="post", color=line.colour, linewidth=width)
        top = max(heights)
        place = places[heights.index(top)]
        axes.plot([place], [top], "o", color=line.colour, markersize=3 + width)
        peak = size(max(values))
        ends.append((heights[-1], f"{line.label}\n{peak}", line.colour))
    axes.set_xlim(0, 100 if relative else longest)
    axes.set_ylim(bottom=0)
    _label_ends(axes, ends, height=0.16)
    _name_axes(axes, "part of the step, %" if relative else "operators so far", f"live, {unit}")
    caption = (
        "Bytes in use that the step allocated. A dot and its figure mark the most; "
        "the table has what is held, arenas whole."
    )
    return Plot("Memory over a step", caption, _svg(figure, "Live memory over one step"))


def _loss(result: Row, lines: list[_Line], salt: str) -> Plot | None:
    curves = [(line, numbers(line.row.get("losses"))) for line in lines]
    curves = [(line, values) for line, values in curves if any(v == v for v in values)]
    if not curves:
        return None
    figure = _figure()
    axes = figure.subplots()
    ends = []
    finite = [v for _, values in curves for v in values if v == v]
    logarithmic = min(finite) > 0 and max(finite) > 30 * min(finite)
    same = all(values == curves[0][1] for _, values in curves[1:]) and len(curves) > 1
    window = max(len(finite) // len(curves) // 25, 1)
    for width, (line, values) in zip(_widths(len(curves)), curves):
        means = _running_mean(values, window)
        xs, ys = _thinned(means)
        axes.plot([x + 1 for x in xs], ys, color=line.colour, linewidth=width)
        ends.append((next(v for v in reversed(means) if v == v), line.label, line.colour))
        if window > 1 and not (same and line is not curves[0][0]):
            xs, ys = _thinned(values)
            colour = _MUTED if same else line.colour
            axes.plot([x + 1 for x in xs], ys, color=colour, linewidth=0.7, alpha=0.4, zorder=1)
    if logarithmic:
        from matplotlib.ticker import FuncFormatter, NullFormatter

        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    elif min(finite) >= 0:
        axes.set_ylim(bottom=0)
    axes.set_xlim(0, max(len(values) for _, values in curves))
    _label_ends(axes, ends)
    _name_axes(axes, "steps", "training loss")
    caption = (
        "The modes' curves are one: they lie on each other, drawn from broad to narrow."
        if same
        else "One curve per mode, from broad to narrow so that none hides another."
    )
    if window > 1:
        caption += f" Running mean of {window} steps; the thin line is every step."
    return Plot("Loss", caption, _svg(figure, "Training loss by step"))


def _total(row: Row, steps: float) -> float:
    return start_cost(row) + (steps - 1) * (steady_step(row) or 0.0)


def _widths(lines: int) -> Iterable[float]:
    """Ever narrower, so that lines which coincide all show."""
    return (1.2 + 1.3 * (lines - 1 - i) for i in range(lines))


def _running_mean(values: list[float], window: int) -> list[float]:
    """The mean of each value and those before it, up to a window."""
    sums = list(itertools.accumulate((0.0 if v != v else v for v in values), initial=0.0))
    known = list(itertools.accumulate((int(v == v) for v in values), initial=0))
    means = []
    for end in range(1, len(values) + 1):
        start = max(0, end - window)
        there = known[end] - known[start]
        means.append((sums[end] - sums[start]) / there if there else math.nan)
    return means


def _thinned(values: list[float]) -> tuple[list[int], list[float]]:
    """At most some hundreds of points: of every run of points the largest, and both ends."""
    stride = -(-len(values) // _MOST_POINTS)
    if stride == 1:
        return list(range(len(values))), values
    kept = {0, len(values) - 1}
    for start in range(0, len(values), stride):
        run = range(start, min(start + stride, len(values)))
        kept.add(max(run, key=values.__getitem__))
    places = sorted(kept)
    return places, [values[p] for p in places]


def _plot_style(salt: str) -> Any:
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": salt,
        "text.parse_math": False,
        "font.size": 9,
        "text.color": _INK,
        "axes.edgecolor": _RULE,
        "axes.labelcolor": _MUTED,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "axes.formatter.useoffset": False,
        "axes.formatter.limits": (-6, 9),
        "axes.unicode_minus": True,
        "grid.color": _RULE,
        "grid.linewidth": 0.7,
        "lines.linewidth": 1.8,
        "lines.solid_capstyle": "round",
        "xtick.color": _RULE,
        "xtick.labelcolor": _MUTED,
        "ytick.color": _RULE,
        "ytick.labelcolor": _MUTED,
        "ytick.major.size": 0,
        "ytick.minor.size": 0,
    }


def _figure() -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2, 3.2))
    figure.subplots_adjust(left=0.11, right=0.77, top=0.925, bottom=0.135, hspace=0.36)
    return figure


def _name_axes(axes: Any, x: str, y: str) -> None:
    axes.set_title(y, loc="left", fontsize=9, color=_MUTED, x=-0.155, pad=6)
    if x:
        axes.set_xlabel(x, loc="right", labelpad=1)
    axes.locator_params(axis="x", nbins=5)
    if axes.get_yscale() == "linear":
        axes.locator_params(axis="y", nbins=4 if axes.get_subplotspec().is_first_row() else 3)


def _label_ends(axes: Any, ends: list[tuple[float, str, str]], height: float | None = None) -> None:
    """Write every line's label at its end, moved apart where they would touch."""
    if height is None:
        height = 0.056 / axes.get_position().height
    axes.autoscale_view()
    to_fraction = axes.transData + axes.transAxes.inverted()
    placed = sorted(
        (min(max(float(to_fraction.transform((1.0, y))[1]), 0.0), 1.0), -i)
        for i, (y, _, _) in enumerate(ends)
    )
    # Upwards no nearer than a line's height, then all down by what the top one has too much.
    heights: list[float] = []
    for wanted, _ in placed:
        heights.append(max(wanted, heights[-1] + height) if heights else wanted)
    ceiling = 1.0
    for i in reversed(range(len(heights))):
        heights[i] = min(heights[i], ceiling)
        ceiling = heights[i] - height
    for y, (_, minus) in zip(heights, placed):
        label, colour = ends[-minus][1:]
        axes.annotate(
            label, (1.025, y), xycoords="axes fraction", va="center",
            color=colour, fontweight="bold", annotation_clip=False, linespacing=1.1,
        )  # fmt: skip


def _svg(figure: Any, label: str) -> str:
    """The figure as an SVG element for an HTML page, in the page's colours and font."""
    file = io.StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*|<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\s*", "", svg, count=1, flags=re.DOTALL)
    view = re.search(r'viewBox="[^"]*"', svg)
    root = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'class="plot" role="img" aria-label="{text(label)}" {view.group() if view else ""}>'
    )
    svg = re.sub(r"<svg[^>]*>", lambda _: root, svg, count=1)
    # Only clips and markers are referred to; their ids are hashes with a salt, the others are not.
    svg = re.sub(r' id="(?![pm][0-9a-f]{10}")[^"]*"', "", svg)
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", svg)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    svg = re.sub(r"#0000([0-9a-f]{2})\b", lambda m: _VARIABLES.get(int(m[1], 16), m[0]), svg)
    return re.sub(r"\s*\n\s*", " ", svg).strip()
