"""Results of comparisons as one HTML page that stands alone: no network, no script."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Any
from xml.etree import ElementTree

from .plots import accent, draw_plots
from .quantities import (
    NONE,
    Row,
    break_evens,
    count,
    formatted,
    interval,
    number,
    rows_of,
    seconds,
    seconds_between,
    size,
    steady_step,
    text,
)
from .style import STYLE

_LARGEST_GRAPH = 400_000
_GRAPHS_A_PAGE = 600_000

_COLUMNS = {
    "Mode": "How the model became operators: eager runs each as Python reaches it, static builds "
    "the whole graph first, hybrid traces a function and embeds its graph in eager code.",
    "Executor": "What ran the operators in the timed stage.",
    "Build": "Making the graph from Python. Median over cold starts, each in a new process.",
    "Compile": "From the graph to a program: passes, memory plan, code. Measured as build is.",
    "First step": "The first training step, without what building and compiling took.",
    "Step": "A steady training step after warming up: median, and an interval for it from order "
    "statistics, which assumes no distribution. Modes take turns in short blocks, each in a "
    "process of its own with pinned threads, and the others sleep. The bar is in proportion.",
    "Step ÷ eager's": "This mode's step over eager's, turn by turn: below 1 is faster.",
    "Step ÷ best peer's": "This mode's step over that of the fastest other framework in this run "
    "that computes the same numbers, turn by turn: below 1 is faster.",
    "× the rung before": "How many times as fast as the rung before this one is, turn by turn.",
    "Peak memory": "Most bytes held at once beside weights and inputs: arrays that kernels "
    "allocated, and the whole arenas of the programs that ran. Counted, not sampled.",
    "Operators": "Operators applied in one step, views among them. An exact count.",
    "Launches": "Kernels that computed something in one step. An exact count.",
    "Accuracy": "On held-out data, after training.",
    "Loss": "Of the first and the last training step.",
    "Difference": "Largest absolute difference of any loss or final weight from the first mode's "
    "in the timed stage, whose executors may sum in another order. Whether modes are identical is "
    "said by the certificate alone, which runs the same kernels without any pass.",
    "Bytes moved": "Read and written by the kernels of one step; repeated elements count once.",
    "Allocations": "Arrays that one step allocated.",
    "Certificate": "A hash of every kernel that reaches a result, with shapes, dtypes and strides. "
    "The bits of losses, gradients and weights are hashed beside it.",
}
_OPTIONAL = {"Step ÷ best peer's": "ratio_to_best_peer", "× the rung before": "times_previous"}


def render_html(results: list[dict[str, Any]]) -> str:
    """A page for the results of comparisons.

    Parameters
    ----------
    results : list of dict
        One per workload, as `compare` gives them and its JSON holds them. What is missing in one
        is left out of the page.

    Returns
    -------
    str
        A whole HTML document that refers to nothing outside itself. Plots need matplotlib; without
        it the page says so and has the tables.

    Examples
    --------
    >>> render_html([]).startswith("<!DOCTYPE html>")
    True
    """
    positions = _positions(results)
    room = _GRAPHS_A_PAGE
    sections = []
    for index, result in enumerate(results):
        graph = _graph(result.get("graph_svg"), room)
        room -= len(graph)
        sections.append(_section(index, result, positions, graph))
    names = ", ".join(_name(r) for r in results)
    body = [
        "<h1>Diptych: graph modes compared</h1>",
        f'<p class="quiet">{_machine_line(results)}</p>',
        *_alarms(results, positions),
        _overview(results, positions) if len(results) > 1 else "",
        *(sections or ["<section><p>There are no results.</p></section>"]),
        _explanation(),
        _machines(results),
    ]
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>',
            '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
            '<meta name="color-scheme" content="light dark"/>',
            f"<title>Diptych: {names or 'comparison'}</title>",
            f'<style>{STYLE}</style></head><body><main class="dr">',
            *filter(None, body),
            "</main></body></html>\n",
        ]
    )


# -- what the numbers say ------------------------------------------------------------------------


def _section(index: int, result: Row, positions: dict[str, int], graph: str) -> str:
    rows = rows_of(result)
    steps = next((r["steps"] for r in rows if number(r.get("steps")) is not None), None)
    kicker = " · ".join(
        filter(
            None,
            [
                _name(result),
                f"{count(steps)} steps" if steps is not None else "",
                _threads(result),
                text(result["device"]) if result.get("device") else "",
            ],
        )
    )
    parts = [
        f'<section id="w{index}"><p class="quiet">{kicker}</p>',
        f"<h2>{text(result.get('title') or _name(result))}</h2>",
        f'<p class="finding">{_finding(result, positions)}</p>',
        _table(rows, positions),
        _absent(result),
        _plots(index, result, positions),
    ]
    if graph:
        parts.append(f"<details><summary>The graph of the static mode</summary>{graph}</details>")
    counters = _counters(rows, positions)
    if counters:
        parts.append(f"<details><summary>Counters and certificates</summary>{counters}</details>")
    return "\n".join([*filter(None, parts), "</section>"])


def _finding(result: Row, positions: dict[str, int]) -> str:
    said = [
        _identity(result), _fastest(result, positions), _paid(result, positions),
        _against_peers(result, positions),
    ]  # fmt: skip
    return " ".join(filter(None, said))


def _identity(result: Row) -> str:
    steps = number(result.get("certified_steps"))
    over = f" over {count(steps)} steps" if steps is not None else ""
    if result.get("identical") is True:
        return (
            f"<b>Identical:</b> {_certified(result)} ran the same kernels, and losses, gradients "
            f"and weights agree bit for bit{over}."
        )
    if result.get("identical") is False:
        what = text(" and ".join(result.get("differ") or ["certificates"]))
        return f'<span class="bad">Not identical:</span> {what} differ{over}.'
    return "Whether the modes are identical was not certified."


def _certified(result: Row) -> str:
    """Who has a certificate."""
    modes = [r for r in rows_of(result) if not r.get("peer") and not r.get("skipped")]
    names = [text(r.get("mode", "?")) for r in modes if r.get("certificate")]
    return "every mode" if len(names) == len(modes) else ", ".join(names)


def _fastest(result: Row, positions: dict[str, int]) -> str:
    modes = (r for r in rows_of(result) if steady_step(r) and not r.get("peer"))
    timed = sorted(modes, key=lambda r: steady_step(r) or 0.0)
    if len(timed) < 2:
        return ""
    best = timed[0]
    other = next((r for r in timed[1:] if r.get("mode") == "eager"), timed[1])
    here, there = steady_step(best) or math.nan, steady_step(other) or math.nan
    # The interval compares with eager, so it speaks only when eager is one of the two.
    judge = best if other.get("mode") == "eager" else other
    low, high = (interval(judge.get("ratio_to_eager")) or (None,) * 3)[1:]
    paired = "eager" in (best.get("mode"), other.get("mode")) and low and high
    spread = ""
    if paired and low and high:
        bounds = (1 / high, 1 / low) if judge is best else (low, high)
        spread = f" ({bounds[0]:.2f} to {bounds[1]:.2f})"
        if low <= 1 <= high:
            return (
                f"No difference shows between a step of {_mode(best, positions)} and one of "
                f"{_mode(other, positions)}: {seconds(here)} and {seconds(there)}."
            )
    return (
        f"A step is fastest in {_mode(best, positions)}: {seconds(here)} against "
        f"{seconds(there)} in {_mode(other, positions)}, <b>{there / here:.2f}×</b> as fast"
        f"{spread}."
    )


def _paid(result: Row, positions: dict[str, int]) -> str:
    said = []
    for mode, found in break_evens(result).items():
        steps, low, high = (number(found.get(k)) for k in ("steps", "low", "high"))
        name = _mode({"mode": mode}, positions)
        if steps is None:
            said.append(f"building {name} never pays")
            continue
        until = count(high) if high is not None else "never"
        span = f" ({count(low)} to {until})" if low is not None else ""
        doubt = "may have paid" if found.get("verdict") == "open" else "has paid"
        said.append(f"building {name} {doubt} after <b>{count(steps)}</b> steps{span}")
    if not said:
        return ""
    told = "; ".join(said)
    return told[0].upper() + told[1:] + "."


def _against_peers(result: Row, positions: dict[str, int]) -> str:
    best = _mapping(result.get("best_peer"))
    said = []
    for mode, found in _mapping(best.get("over_ours")).items():
        times = interval(found)
        if times is not None:
            span = f" ({times[1]:.2f} to {times[2]:.2f})" if times[1] and times[2] else ""
            said.append(f"{_mode({'mode': mode}, positions)} <b>{times[0]:.2f}×</b>{span}")
    if not said:
        return ""
    return (
        f"The best peer is {_mode(best, positions)}; times as fast as the best peer: "
        f"{', '.join(said)}."
    )


def _other_numbers(index: int, result: Row) -> list[str]:
    """An alarm for each peer whose numbers are not the modes'."""
    alarms = []
    for row in rows_of(result):
        if row.get("agrees") is False:
            found = ", ".join(
                f"{formatted(difference, '{:.1e}')} after step {text(step)}"
                for step, difference in _mapping(row.get("relative_diff")).items()
            )
            alarms.append(
                f'<p class="alarm" role="alert"><b>{text(row.get("mode", "?"))} computes other '
                f'numbers in <a href="#w{index}">{_name(result)}</a></b>, and so is no best peer. '
                f"Relative differences: {found or 'not measured'}.</p>"
            )
    return alarms


def _alarms(results: list[Row], positions: dict[str, int]) -> list[str]:
    alarms = []
    for index, result in enumerate(results):
        alarms += _other_numbers(index, result)
        if result.get("identical") is not False:
            continue
        rows = [r for r in rows_of(result) if not r.get("skipped") and not r.get("peer")]
        known = [(d, r) for r in rows if (d := number(r.get("numeric_diff"))) is not None]
        worst = max(known, key=lambda pair: pair[0], default=None)
        told = f'<b>Modes disagree in <a href="#w{index}">{_name(result)}</a>.</b> '
        if worst is None:
            told += "Their certificates differ; the numeric difference was not measured."
        else:
            name = text(worst[1].get("mode", "?"))
            told += f"The largest numeric difference is <b>{worst[0]:.3g}</b>, in {name}."
        prints = {str(r.get("certificate"))[:10] for r in rows if r.get("certificate")}
        if len(prints) > 1:
            marks = (f"{text(r['mode'])} <code>{_hash(r)}</code>" for r in rows if _hash(r))
            told += f" Certificates: {', '.join(marks)}."
        alarms.append(f'<p class="alarm" role="alert">{told}</p>')
    return alarms


def _overview(results: list[Row], positions: dict[str, int]) -> str:
    lines = [
        f'<p><a href="#w{i}"><b>{_name(r)}</b></a>: {_finding(r, positions)}</p>'
        for i, r in enumerate(results)
    ]
    return f"<nav>{''.join(lines)}</nav>"


# -- tables --------------------------------------------------------------------------------------


def _table(rows: list[Row], positions: dict[str, int]) -> str:
    slowest = max((steady_step(r) or 0.0 for r in rows), default=0.0)
    cells: list[tuple[str, Callable[[Row], str]]] = [
        ("Executor", lambda r: text(r.get("executor", ""))),
        ("Build", lambda r: seconds(r.get("build_s"))),
        ("Compile", lambda r: seconds(r.get("compile_s"))),
        ("First step", lambda r: seconds(r.get("first_step_s"))),
        ("Step", lambda r: _step_cell(r, slowest)),
        ("Step ÷ eager's", lambda r: _ratio_cell(r.get("ratio_to_eager"))),
        ("Step ÷ best peer's", lambda r: _ratio_cell(r.get("ratio_to_best_peer"))),
        ("× the rung before", lambda r: _ratio_cell(r.get("times_previous"))),
        ("Peak memory", lambda r: size(r.get("peak_bytes"))),
        ("Operators", lambda r: count(r.get("operators"))),
        ("Launches", lambda r: count(r.get("launches"))),
        ("Accuracy", lambda r: formatted(r.get("accuracy"), "{:.1%}")),
        ("Loss", lambda r: _loss_cell(r)),
        ("Difference", lambda r: formatted(r.get("numeric_diff"), "{:.2g}")),
    ]
    empty = {column for column, key in _OPTIONAL.items() if not any(r.get(key) for r in rows)}
    return _tabulate(rows, [cell for cell in cells if cell[0] not in empty], positions)


def _counters(rows: list[Row], positions: dict[str, int]) -> str:
    shown = [r for r in rows if not r.get("skipped") and not r.get("peer")]
    cells: list[tuple[str, Callable[[Row], str]]] = [
        ("Operators", lambda r: count(r.get("operators"))),
        ("Launches", lambda r: count(r.get("launches"))),
        ("Allocations", lambda r: count(r.get("allocations"))),
        ("Bytes moved", lambda r: count(r.get("bytes_moved"))),
        ("Peak bytes", lambda r: count(r.get("peak_bytes"))),
        ("Certificate", lambda r: f"<code>{text(r.get('certificate', ''))}</code>"),
    ]
    return _tabulate(shown, cells, positions) if shown else ""


def _tabulate(
    rows: list[Row], cells: list[tuple[str, Callable[[Row], str]]], positions: dict[str, int]
) -> str:
    texts = {"Executor", "Certificate"}
    kinds = [' class="text"' if title in texts else "" for title, _ in cells]
    heads = "".join(f"<th{k}>{title}</th>" for k, (title, _) in zip(kinds, cells))
    lines = [f"<thead><tr><th>Mode</th>{heads}</tr></thead><tbody>"]
    for row in rows:
        colour = accent(positions.get(str(row.get("mode")), 0))
        name = f'<th scope="row"><span class="chip"></span>{text(row.get("mode", "?"))}</th>'
        if row.get("skipped"):
            reason = f"skipped: {text(row['skipped'])}"
            inside = f'<td class="skip" colspan="{len(cells)}">{reason}</td>'
        else:
            inside = "".join(f"<td{k}>{cell(row)}</td>" for k, (_, cell) in zip(kinds, cells))
        lines.append(f'<tr style="--c:{colour}">{name}{inside}</tr>')
    return f'<div class="scroll"><table>{"".join(lines)}</tbody></table></div>'


def _absent(result: Row) -> str:
    """The peers that were asked for and are not installed."""
    said = [f"{text(k)}: {text(v)}" for k, v in _mapping(result.get("skipped")).items()]
    return f'<p class="quiet">Skipped: {"; ".join(said)}.</p>' if said else ""


def _step_cell(row: Row, slowest: float) -> str:
    found = interval(row.get("step_s"))
    if found is None:
        return NONE
    middle, low, high = found
    span = f"<small>{seconds_between(low, high)}</small>" if low and high else ""
    share = 100 * middle / slowest if slowest else 0.0
    return f'{seconds(middle)}<span class="bar" style="width:{share:.0f}%"></span>{span}'


def _ratio_cell(ratio: Any) -> str:
    found = interval(ratio)
    if found is None:
        return NONE
    middle, low, high = found
    span = f"<small>{low:.2f}–{high:.2f}</small>" if low and high and low < high else ""
    return f"{middle:.2f}{span}"


def _loss_cell(row: Row) -> str:
    ends = [formatted(row.get(k), "{:.3g}") for k in ("loss_first", "loss_last")]
    return NONE if ends == [NONE, NONE] else " → ".join(ends)


# -- plots and the graph -------------------------------------------------------------------------


def _plots(index: int, result: Row, positions: dict[str, int]) -> str:
    try:
        plots = draw_plots(result, positions, f"w{index}")
    except ImportError:
        return (
            '<p class="quiet">The plots need matplotlib: '
            "<code>pip install 'diptych[report]'</code>.</p>"
        )
    figures = (
        f"<figure><h3>{text(plot.title)}</h3>{plot.svg}"
        f"<figcaption>{text(plot.caption)}</figcaption></figure>"
        for plot in plots
    )
    return f'<div class="plots">{"".join(figures)}</div>' if plots else ""


_SVG_TAGS = {"svg", "g", "defs", "marker", "path", "rect", "text", "tspan", "title", "desc"}
_SVG_TAGS |= {"style", "circle", "ellipse", "line", "polyline", "polygon"}


def _graph(svg: Any, room: int) -> str:
    """A drawn graph in a box that scrolls; of a foreign picture, what can do no harm."""
    if not isinstance(svg, str) or not svg.strip():
        return ""
    if len(svg) > min(_LARGEST_GRAPH, room):
        return (
            '<p class="quiet">The drawing is too large for this page; '
            "<code>graph.to_svg()</code> gives it.</p>"
        )
    try:
        if "<!" in svg.replace("<!--", ""):
            raise ElementTree.ParseError("declarations are not read")
        root = ElementTree.fromstring(svg)
    except (ElementTree.ParseError, ValueError):
        return '<p class="quiet">The drawing in these results cannot be read.</p>'
    holder = ElementTree.Element("div")
    holder.append(root)
    _harmless(holder)
    for drawn in holder:
        drawn.set("xmlns", "http://www.w3.org/2000/svg")
    inside = "".join(ElementTree.tostring(drawn, encoding="unicode") for drawn in holder)
    return f'<div class="graph">{inside}</div>' if inside else ""


def _harmless(parent: ElementTree.Element) -> None:
    """Keep the plain tags of SVG, without scripts, links and whatever loads something."""
    for child in list(parent):
        child.tag = str(child.tag).rpartition("}")[2]
        loads = "url(" in (child.text or "") or "@import" in (child.text or "")
        if child.tag not in _SVG_TAGS or (child.tag == "style" and loads):
            parent.remove(child)
            continue
        for name, value in list(child.attrib.items()):
            outside = "url(" in value and not re.fullmatch(r"url\(#[\w-]+\)", value)
            if name.startswith(("on", "{")) or name in ("href", "style") or outside:
                del child.attrib[name]
        _harmless(child)


# -- what it means and where it ran --------------------------------------------------------------


def _explanation() -> str:
    terms = "".join(f"<dt>{text(k)}</dt><dd>{text(v)}</dd>" for k, v in _COLUMNS.items())
    return (
        "<section><h3>What the columns mean and how they were measured</h3>"
        '<p class="quiet">All modes call the same kernels, so what differs between two of them is '
        "the graph mode and its executor; peers are other frameworks.</p>"
        f"<dl>{terms}</dl></section>"
    )


def _machines(results: list[Row]) -> str:
    """Machine and versions, once for all workloads that share them."""
    places: dict[str, list[str]] = {}
    for result in results:
        terms = []
        for key, value in _mapping(result.get("machine")).items():
            if value is not None:
                name = {"cpu": "CPU", "blas": "BLAS", "cuda": "CUDA", "memory_bytes": "Memory"}
                shown = size(value) if key == "memory_bytes" else text(value)
                terms.append((name.get(key, str(key).capitalize()), shown))
        if result.get("threads") is not None:
            terms.append(("Threads", text(result["threads"])))
        for key, value in _mapping(result.get("versions")).items():
            terms.append((str(key), text(value)))
        listed = "".join(f"<dt>{text(k)}</dt><dd>{v}</dd>" for k, v in terms)
        places.setdefault(listed, []).append(_name(result))
    parts = []
    for listed, names in places.items():
        which = f'<p class="quiet">{", ".join(names)}</p>' if len(places) > 1 else ""
        if listed:
            parts.append(f"{which}<dl>{listed}</dl>")
    if not parts:
        return ""
    return f"<section><h3>Machine, versions, threads</h3>{''.join(parts)}</section>"


def _machine_line(results: list[Row]) -> str:
    lines = []
    for result in results:
        machine, versions = _mapping(result.get("machine")), _mapping(result.get("versions"))
        said = [
            text(machine["cpu"]) if machine.get("cpu") else "",
            f"{count(machine['cores'])} cores" if machine.get("cores") else "",
            _threads(result),
            f"Python {text(versions['python'])}" if versions.get("python") else "",
            f"NumPy {text(versions['numpy'])}" if versions.get("numpy") else "",
            f"Diptych {text(versions['diptych'])}" if versions.get("diptych") else "",
        ]
        lines.append(" · ".join(filter(None, said)))
    return "<br/>".join(dict.fromkeys(filter(None, lines)))


# -- small parts ---------------------------------------------------------------------------------


def _positions(results: Iterable[Row]) -> dict[str, int]:
    """Every mode's colour, the same on the whole page."""
    positions = {"eager": 0, "static": 1, "hybrid": 2, "autobatch": 3}
    for result in results:
        for row in rows_of(result):
            positions.setdefault(str(row.get("mode")), len(positions))
    return positions


def _mode(row: Row, positions: dict[str, int]) -> str:
    name = str(row.get("mode", "?"))
    return f'<span class="m" style="--c:{accent(positions.get(name, 0))}">{text(name)}</span>'


def _name(result: Row) -> str:
    return text(result.get("workload") or result.get("title") or "workload")


def _threads(result: Row) -> str:
    threads = number(result.get("threads"))
    if threads is None:
        return ""
    return f"{threads:.0f} thread{'' if threads == 1 else 's'}"


def _hash(row: Row) -> str:
    return text(str(row.get("certificate") or "")[:12])


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
