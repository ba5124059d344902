"""Pictures of a graph: DOT text for Graphviz, and an SVG that needs no other tool.

The SVG is a layered drawing after Sugiyama, Tagawa and Toda (1981): layers by longest path,
barycentre sweeps against crossings, then positions by least squares with the order kept.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right, insort
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from .ir import CONSTANT, PLACEHOLDER, SIZE, VARIABLE
from .text import graph_text, node_text

if TYPE_CHECKING:
    from .ir import Graph, Node, Value

# Fill, outline on a light page; fill, outline on a dark one.
COLOURS = {
    "placeholder": ("#e3f4ea", "#3f9b6a", "#16301f", "#4fae7b"),
    "constant": ("#eef0f3", "#8d97a5", "#23282f", "#76808d"),
    "variable": ("#fdf1d7", "#c08a1e", "#352a10", "#c99a3c"),
    "compute": ("#ffffff", "#5f7fb0", "#1b222d", "#6c8dc0"),
    "effect": ("#fce6e8", "#c2525f", "#38191d", "#d06a76"),
}

_BOX_HEIGHT = 38.0
_LAYER_GAP = 30.0
_MARGIN = 24.0
_LEGEND = 30.0
_LONGEST_LABEL = 30

_STYLE = """
.dg-bg{fill:#fff}.dg-text{fill:#1b2330}.dg-muted{fill:#69727f}
.dg-edge{fill:none;stroke:#a3acb8;stroke-width:1.2}.dg-tip{fill:#8a94a1}.dg-dot{fill:#a3acb8}
.dg-target{stroke-dasharray:3 3}
.dg-name{font:600 12px system-ui,sans-serif}.dg-note{font:10.5px system-ui,sans-serif}
.dg-aval{font:10px ui-monospace,Menlo,Consolas,monospace}
.dg-node rect{stroke-width:1.2}.dg-node:hover rect,.dg-output rect{stroke-width:2.4}
@media (prefers-color-scheme:dark){
.dg-bg{fill:#14171c}.dg-text{fill:#e6e9ee}.dg-muted{fill:#99a3b0}
.dg-edge{stroke:#56606c}.dg-tip{fill:#77818e}.dg-dot{fill:#56606c}
}
"""


def node_kind(node: Node) -> str:
    """What a node is to a reader: a key of `COLOURS`."""
    if node.op.effect:
        return "effect"
    # A symbolic size comes in with the feeds, as a placeholder does.
    kinds = {PLACEHOLDER: "placeholder", SIZE: "placeholder"}
    kinds |= {CONSTANT: "constant", VARIABLE: "variable"}
    return kinds.get(node.op, "compute")


def to_dot(graph: Graph) -> str:
    """The graph in Graphviz's DOT language.

    Parameters
    ----------
    graph : Graph

    Returns
    -------
    str
        A ``digraph``: nodes coloured by kind, one edge per operand, labelled by its aval.

    Examples
    --------
    >>> from diptych.graphs.ir import Graph
    >>> print(to_dot(Graph()).splitlines()[0])
    digraph diptych {
    """
    lines = [
        "digraph diptych {",
        '  node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=11];',
        '  edge [color="#8a94a1", fontname="Helvetica", fontsize=9, fontcolor="#69727f"];',
    ]
    returned = {value.node for value in graph.outputs}
    for node in graph.nodes:
        fill, outline = COLOURS[node_kind(node)][:2]
        label = _dot_quote(f"{_label(node)}\n{_avals(node)}")
        pen = ", penwidth=2.4" if node in returned else ""
        lines.append(
            f'  n{node.id} [label={label}, fillcolor="{fill}", color="{outline}"{pen}, '
            f"tooltip={_dot_quote(node_text(node))}];"
        )
    for node in graph.nodes:
        for position, value in enumerate(node.inputs):
            dashed = ", style=dashed" if _is_target(node, position) else ""
            lines.append(
                f"  n{value.node.id} -> n{node.id} [label={_dot_quote(str(value.aval))}{dashed}];"
            )
    return "\n".join([*lines, "}", ""])


def to_svg(graph: Graph) -> str:
    """The graph as an SVG picture that stands alone.

    It follows the reader's light or dark scheme. Pointing at a box shows the node's text form.
    A node that the graph gives back has a heavy outline; the dashed line into an assignment
    comes from the variable that it writes.

    Parameters
    ----------
    graph : Graph

    Returns
    -------
    str
        One ``<svg>`` element, the same for the same graph.
    """
    layout = _Layout(graph)
    key = hashlib.sha256(graph_text(graph).encode(errors="replace")).hexdigest()[:8]
    kinds = [kind for kind in COLOURS if any(node_kind(n) == kind for n in graph.nodes)]
    legend, legend_width = _legend(kinds)
    width = max(layout.width, legend_width + 2 * _MARGIN, 220.0)
    height = layout.height
    shift = (width - layout.width) / 2
    style = _STYLE + _kind_styles()
    about = f"Graph of {len(graph.nodes)} nodes"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{about}">',
        f"<style>{style}</style>",
        f'<defs><marker id="dg-{key}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" markerUnits="userSpaceOnUse" orient="auto">'
        '<path class="dg-tip" d="M0 .8 7.6 4 0 7.2Z"/></marker></defs>',
        f'<rect class="dg-bg" width="{width:.0f}" height="{height:.0f}" rx="6"/>',
        legend,
        f'<g transform="translate({shift:.1f} 0)">',
        *_edges(graph, layout, f"dg-{key}"),
        *_boxes(graph, layout),
        "</g>",
    ]
    if not graph.nodes:
        parts.append(
            f'<text class="dg-note dg-muted" text-anchor="middle" x="{width / 2:.0f}" '
            f'y="{height / 2:.0f}">empty graph</text>'
        )
    return "\n".join([*parts, "</svg>"])


class _Layout:
    """Where the boxes and the trunks of the long edges lie.

    A cell is a box, or a bend: the place where a trunk crosses a layer. Cells are numbered, boxes
    first, by their node's id. A value read far away has one trunk for all its readers, which is
    calmer to look at than a line for each.
    """

    def __init__(self, graph: Graph) -> None:
        self.nodes = graph.nodes
        self.widths = [_box_width(node) for node in graph.nodes]
        self.layer_of = _layers(graph)
        self.above: list[list[int]] = [[] for _ in graph.nodes]
        self.below: list[list[int]] = [[] for _ in graph.nodes]
        self.trunks: dict[Value, list[int]] = {}
        self._lay_trunks(graph)
        self.layers: list[list[int]] = [[] for _ in range(max(self.layer_of, default=-1) + 1)]
        for cell, layer in enumerate(self.layer_of):
            self.layers[layer].append(cell)
        self._order()
        self.x = [0.0] * len(self.widths)
        self._place()
        self.y = self._heights()
        self.height = (self.y[-1] + _BOX_HEIGHT + _MARGIN) if self.y else 90.0

    def is_box(self, cell: int) -> bool:
        return cell < len(self.nodes)

    def root(self, value: Value, reader: Node) -> int:
        """The cell from which the line to a reader starts: the box, or a bend of its trunk."""
        distance = self.layer_of[reader.id] - self.layer_of[value.node.id]
        trunk = self.trunks.get(value, [])
        return trunk[distance - 2] if distance > 1 and trunk else value.node.id

    def _lay_trunks(self, graph: Graph) -> None:
        values = [value for node in graph.nodes for value in node.outputs if value.uses]
        lengths = {
            v: max(self.layer_of[reader.id] for reader in v.uses) - self.layer_of[v.node.id] - 1
            for v in values
        }
        # Deep graphs have quadratically many bends; past this many, the longest go unrouted.
        budget = 2000 + 6 * len(graph.nodes)
        for value in sorted(values, key=lambda v: lengths[v]):
            budget -= lengths[value]
            if budget < 0:
                break
            start = len(self.widths)
            trunk = list(range(start, start + lengths[value]))
            first = self.layer_of[value.node.id] + 1
            for offset, cell in enumerate(trunk):
                self.widths.append(2.0)
                self.layer_of.append(first + offset)
                self.above.append([])
                self.below.append([])
                self._join(trunk[offset - 1] if offset else value.node.id, cell)
            self.trunks[value] = trunk
            for reader in dict.fromkeys(value.uses):
                self._join(self.root(value, reader), reader.id)

    def _join(self, upper: int, lower: int) -> None:
        self.below[upper].append(lower)
        self.above[lower].append(upper)

    def _order(self) -> None:
        best = [list(layer) for layer in self.layers]
        least = self._crossings()
        for sweep in range(14):
            down = sweep % 2 == 0
            near = self.above if down else self.below
            rank = [0.0] * len(self.widths)
            for layer in self.layers if down else self.layers[::-1]:
                key = {}
                for position, cell in enumerate(layer):
                    ranks = [rank[c] for c in near[cell]]
                    key[cell] = sum(ranks) / len(ranks) if ranks else _middle(position, layer)
                layer.sort(key=key.__getitem__)
                for position, cell in enumerate(layer):
                    rank[cell] = _middle(position, layer)
            count = self._crossings()
            if count < least:
                least, best = count, [list(layer) for layer in self.layers]
            if not least:
                break
        self.layers = best

    def _crossings(self) -> int:
        place = [0] * len(self.widths)
        for layer in self.layers:
            for position, cell in enumerate(layer):
                place[cell] = position
        total = 0
        for layer in self.layers:
            seen: list[int] = []
            for cell in layer:
                ends = sorted(place[c] for c in self.below[cell])
                total += sum(len(seen) - bisect_right(seen, end) for end in ends)
                for end in ends:
                    insort(seen, end)
        return total

    def _place(self) -> None:
        for layer in self.layers:
            self._settle(layer, dict.fromkeys(layer, 0.0))
        for sweep in range(24):
            down = sweep % 2 == 0
            # A trunk's own mean, once all is roughly in place, makes it straight.
            means: dict[int, float] = {}
            for trunk in self.trunks.values() if sweep > 9 else ():
                means.update(
                    dict.fromkeys(trunk, sum(self.x[c] for c in trunk) / max(len(trunk), 1))
                )
            for layer in self.layers if down else self.layers[::-1]:
                wanted = {}
                for cell in layer:
                    near = self.above[cell] if down else self.below[cell]
                    # Without neighbours on that side, or near the end, both sides have a say.
                    if not near or sweep > 19:
                        near = self.above[cell] + self.below[cell]
                    places = [self.x[c] for c in near]
                    mean = sum(places) / len(places) if places else self.x[cell]
                    wanted[cell] = means.get(cell, mean)
                self._settle(layer, wanted)
        edges = [(x - w / 2, x + w / 2) for x, w in zip(self.x, self.widths)]
        left = min((e[0] for e in edges), default=0.0) - _MARGIN
        self.x = [x - left for x in self.x]
        self.width = max((e[1] for e in edges), default=0.0) - left + _MARGIN

    def _settle(self, layer: list[int], wanted: dict[int, float]) -> None:
        """Put a layer as near as can be to where it wants to be, in its order, without overlap.

        With the least distances taken off, that is isotonic regression: pool adjacent violators.
        """
        blocks: list[tuple[float, float, int]] = []
        offsets, offset, last = [], 0.0, -1
        for cell in layer:
            if last >= 0:
                gap = 16.0 if self.is_box(cell) and self.is_box(last) else 11.0
                offset += (self.widths[cell] + self.widths[last]) / 2 + gap
            offsets.append(offset)
            last = cell
            # Bends pull hardest, which keeps trunks straight.
            weight = 1.0 if self.is_box(cell) else 9.0
            block = (weight, weight * (wanted[cell] - offset), 1)
            while blocks and blocks[-1][1] * block[0] > block[1] * blocks[-1][0]:
                before = blocks.pop()
                block = (before[0] + block[0], before[1] + block[1], before[2] + block[2])
            blocks.append(block)
        position = 0
        for weight, pull, count in blocks:
            for _ in range(count):
                self.x[layer[position]] = pull / weight + offsets[position]
                position += 1

    def _heights(self) -> list[float]:
        """The top of every layer. Where lines run far sideways the gap is wider."""
        tops, top = [], _MARGIN + _LEGEND
        for layer in self.layers:
            tops.append(top)
            reach = [abs(self.x[c] - self.x[cell]) for cell in layer for c in self.below[cell]]
            top += _BOX_HEIGHT + _LAYER_GAP + min(0.06 * max(reach, default=0.0), 60.0)
        return tops


def _layers(graph: Graph) -> list[int]:
    """Layers by longest path; what depends on no feed then sinks to just above its first reader."""
    layer = [0] * len(graph.nodes)
    sinks = [False] * len(graph.nodes)
    for node in graph.nodes:
        makers = [value.node.id for value in node.inputs]
        layer[node.id] = max((layer[maker] + 1 for maker in makers), default=0)
        sinks[node.id] = all(sinks[m] for m in makers) and node_kind(node) != "placeholder"
    for node in reversed(graph.nodes):
        readers = [layer[reader.id] for value in node.outputs for reader in value.uses]
        if readers and (sinks[node.id] or not node.inputs):
            layer[node.id] = min(readers) - 1
    return layer


def _middle(position: int, layer: list[int]) -> float:
    """A place in a layer between 0 and 1, so that layers of unlike lengths compare."""
    return (position + 0.5) / len(layer)


def _edges(graph: Graph, layout: _Layout, marker: str) -> list[str]:
    x, y, layers = layout.x, layout.y, layout.layer_of
    lines = []
    for value, trunk in layout.trunks.items():
        if trunk:
            start = value.node.id
            path = [f"M{x[start]:.1f} {y[layers[start]] + _BOX_HEIGHT:.1f}"]
            before = x[start]
            for cell in trunk:
                top = y[layers[cell]]
                bottom = y[layers[cell] - 1] + _BOX_HEIGHT
                path.append(_curve(before, bottom, x[cell], top) + f"V{top + _BOX_HEIGHT:.1f}")
                before = x[cell]
            lines.append(f'<path class="dg-edge" d="{"".join(path)}"/>')
    for node in graph.nodes:
        # Lines enter a box in the order in which they come, so that they do not cross at the door.
        inputs = {value: i for i, value in reversed(list(enumerate(node.inputs)))}
        roots = sorted((x[layout.root(v, node)], i, v) for v, i in inputs.items())
        width = layout.widths[node.id]
        for place, (_, position, value) in enumerate(roots):
            root = layout.root(value, node)
            end = x[node.id] + width * 0.7 * ((place + 1) / (len(roots) + 1) - 0.5)
            leave = y[layers[root]] + _BOX_HEIGHT
            curve = _curve(x[root], leave, end, y[layers[node.id]] - 1)
            target = " dg-target" if _is_target(node, position) else ""
            title = _text(f"{value.name}: {value.aval}")
            lines.append(
                f'<path class="dg-edge{target}" d="M{x[root]:.1f} {leave:.1f}{curve}" '
                f'marker-end="url(#{marker})"><title>{title}</title></path>'
            )
            if not layout.is_box(root) and layout.below[root][1:]:
                lines.append(f'<circle class="dg-dot" cx="{x[root]:.1f}" cy="{leave:.1f}" r="2"/>')
    return list(dict.fromkeys(lines))


def _curve(x0: float, y0: float, x1: float, y1: float) -> str:
    """A cubic that leaves and arrives straight down."""
    if abs(x0 - x1) < 0.5:
        return f"L{x1:.1f} {y1:.1f}"
    bend = (y1 - y0) * 0.55
    return f"C{x0:.1f} {y0 + bend:.1f} {x1:.1f} {y1 - bend:.1f} {x1:.1f} {y1:.1f}"


def _boxes(graph: Graph, layout: _Layout) -> list[str]:
    returned = {value.node for value in graph.outputs}
    boxes = []
    for node in graph.nodes:
        width = layout.widths[node.id]
        left, top = layout.x[node.id] - width / 2, layout.y[layout.layer_of[node.id]]
        extra = " dg-output" if node in returned else ""
        name, note = _names(node)
        note = f' <tspan class="dg-note dg-muted">{_text(note)}</tspan>' if note else ""
        boxes.append(
            f'<g class="dg-node dg-{node_kind(node)}{extra}" data-node="{node.id}" '
            f'transform="translate({left:.1f} {top:.1f})"><title>{_text(node_text(node))}</title>'
            f'<rect width="{width:.1f}" height="{_BOX_HEIGHT:.0f}" rx="6"/>'
            f'<text class="dg-name dg-text" x="9" y="16">{_text(name)}{note}</text>'
            f'<text class="dg-aval dg-muted" x="9" y="30">{_text(_avals(node))}</text></g>'
        )
    return boxes


def _legend(kinds: list[str]) -> tuple[str, float]:
    parts: list[str] = []
    x = _MARGIN
    for kind in kinds:
        parts.append(
            f'<g class="dg-{kind}"><rect x="{x:.0f}" y="15" width="14" height="10" rx="3"/></g>'
            f'<text class="dg-note dg-muted" x="{x + 19:.0f}" y="24">{kind}</text>'
        )
        x += 34 + 6.0 * len(kind)
    return "\n".join(parts), x - _MARGIN


def _kind_styles() -> str:
    rule = ".dg-{} rect{{fill:{};stroke:{}}}"
    light = [rule.format(kind, fill, line) for kind, (fill, line, _, _) in COLOURS.items()]
    dark = [rule.format(kind, fill, line) for kind, (_, _, fill, line) in COLOURS.items()]
    return f"{''.join(light)}\n@media (prefers-color-scheme:dark){{{''.join(dark)}}}\n"


def _names(node: Node) -> tuple[str, str]:
    """What stands first in a box: the operator, and what tells it from its like."""
    note = ""
    if node.op in (PLACEHOLDER, SIZE):
        note = str(node.attrs.get("name", node.attrs.get("dim", "")))
    elif "storage" in node.attrs:
        note = str(node.attrs["storage"].name or "")
    elif node.op is CONSTANT and node.attrs["array"].size == 1:
        number = node.attrs["array"].item()
        note = f"{number:.5g}" if isinstance(number, float) else str(number)
    return _short(node.op.name), _short(note)


def _label(node: Node) -> str:
    return " ".join(filter(None, _names(node)))


def _avals(node: Node) -> str:
    return _short(", ".join(str(value.aval) for value in node.outputs))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_LABEL else text[: _LONGEST_LABEL - 1] + "…"


def _box_width(node: Node) -> float:
    name, note = _names(node)
    first = 7.5 * len(name) + (4.0 + 6.0 * len(note) if note else 0.0)
    return max(first, 6.1 * len(_avals(node)), 40.0) + 18.0


def _is_target(node: Node, position: int) -> bool:
    return node.op.effect and position == 0


def _text(text: str) -> str:
    # XML has no way to write most control characters, not even escaped.
    return escape(re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text))


def _dot_quote(text: str) -> str:
    # Graphviz reads entities in a label, so an ampersand must be one.
    for plain, written in (("\\", "\\\\"), ("&", "&amp;"), ('"', '\\"'), ("\n", "\\n")):
        text = text.replace(plain, written)
    return f'"{text}"'
