"""The pictures of graphs: well formed, complete, escaped, the same each time."""

import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

import diptych as dt
from diptych import nn
from diptych.graphs.drawing import node_kind, to_dot, to_svg
from diptych.graphs.ir import Graph

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<&\">'\\ \x00\n]]>"


def training_graph(hidden=1):
    layers = [nn.Linear(8, 8), nn.ReLU()] * hidden
    model = nn.Sequential(*layers, nn.Linear(8, 4))
    optimizer = dt.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    with dt.static.Graph() as g:
        x = g.placeholder("x", ("batch", 8))
        y = g.placeholder("y", ("batch",), "int64")
        loss = dt.cross_entropy(model(x), y)
        step = optimizer.minimize(loss)
    return g.compile([loss, step]).graph


def hostile_graph():
    graph = Graph()
    with graph.building():
        x = graph.add_placeholder(HOSTILE, dt.tensor([1.0]).storage.aval)
        storage = dt.Storage(np.zeros(1, np.float32), name=HOSTILE)
        graph.assign(storage, dt.add(x, storage))
        graph.outputs = (dt.exp(x),)
    return graph


def long_graph(nodes):
    graph = Graph()
    rng = np.random.default_rng(0)
    with graph.building():
        values = [graph.add_placeholder("x", dt.tensor([1.0]).storage.aval)]
        for _ in range(nodes):
            values.append(dt.add(values[-1], values[rng.integers(len(values))]))
        graph.outputs = (values[-1],)
    return graph


GRAPHS = {
    "training": training_graph,
    "hostile": hostile_graph,
    "empty": Graph,
    "long": lambda: long_graph(300),
}


@pytest.fixture(params=GRAPHS)
def graph(request):
    return GRAPHS[request.param]()


def boxes(root):
    return [g for g in root.iter(f"{SVG}g") if "dg-node" in g.get("class", "").split()]


def test_svg_draws_every_node_once(graph):
    root = ElementTree.fromstring(to_svg(graph))
    assert sorted(int(g.get("data-node")) for g in boxes(root)) == [n.id for n in graph.nodes]
    for box in boxes(root):
        assert f"dg-{node_kind(graph.nodes[int(box.get('data-node'))])}" in box.get("class")


def test_svg_draws_every_dependency(graph):
    root = ElementTree.fromstring(to_svg(graph))
    arrows = [p for p in root.iter(f"{SVG}path") if p.get("marker-end")]
    assert len(arrows) == sum(len(set(node.inputs)) for node in graph.nodes)


def test_boxes_do_not_overlap(graph):
    placed = []
    for box in boxes(ElementTree.fromstring(to_svg(graph))):
        x, y = map(float, re.findall(r"[-\d.]+", box.get("transform")))
        rect = box.find(f"{SVG}rect")
        placed.append((x, y, float(rect.get("width")), float(rect.get("height"))))
    for i, (x, y, w, h) in enumerate(placed):
        for u, v, s, t in placed[i + 1 :]:
            assert x + w <= u or u + s <= x or y + h <= v or v + t <= y


def test_arrows_point_down_the_page(graph):
    tops = {}
    for box in boxes(ElementTree.fromstring(to_svg(graph))):
        tops[int(box.get("data-node"))] = float(re.findall(r"[-\d.]+", box.get("transform"))[1])
    for node in graph.nodes:
        for value in node.inputs:
            assert tops[value.node.id] < tops[node.id]


def test_svg_is_the_same_each_time(graph):
    assert to_svg(graph) == to_svg(graph)
    assert to_dot(graph) == to_dot(graph)


def test_svg_stands_alone(graph):
    svg = to_svg(graph)
    assert "<script" not in svg and "href" not in svg
    assert re.findall(r"https?:[^\"']*", svg) == ["http://www.w3.org/2000/svg"]


def test_tooltips_hold_the_text_form():
    graph = training_graph()
    titles = [b.find(f"{SVG}title").text for b in boxes(ElementTree.fromstring(to_svg(graph)))]
    assert titles == str(graph).splitlines()[:-1]


def test_names_are_escaped():
    graph = hostile_graph()
    root = ElementTree.fromstring(to_svg(graph))
    shown = " ".join("".join(element.itertext()) for element in boxes(root))
    assert '<&">' in shown
    assert HOSTILE not in to_dot(graph)
    assert "&lt;" not in to_dot(graph) and '<&amp;\\">' in to_dot(graph)


def test_dot_has_every_node_and_operand_once(graph):
    dot = to_dot(graph)
    assert re.findall(r"^  n(\d+) \[", dot, re.MULTILINE) == [str(n.id) for n in graph.nodes]
    edges = re.findall(r"^  n(\d+) -> n(\d+) \[", dot, re.MULTILINE)
    wanted = [(str(v.node.id), str(n.id)) for n in graph.nodes for v in n.inputs]
    assert edges == wanted


def test_dot_quotes_are_balanced(graph):
    for line in to_dot(graph).splitlines():
        assert len(re.findall(r'(?<!\\)(?:\\\\)*"', line)) % 2 == 0


def test_outputs_and_targets_are_marked():
    graph = training_graph()
    svg = to_svg(graph)
    root = ElementTree.fromstring(svg)
    returned = [int(b.get("data-node")) for b in boxes(root) if "dg-output" in b.get("class")]
    assert returned == sorted({value.node.id for value in graph.outputs})
    assert svg.count('class="dg-edge dg-target"') == len(graph.effects)


def test_methods_of_the_graph_draw_it():
    graph = training_graph()
    assert graph.to_svg() == to_svg(graph) == graph._repr_html_()
    assert graph.to_dot() == to_dot(graph)


def test_an_empty_graph_says_so():
    assert "empty graph" in to_svg(Graph())


def test_import_loads_no_drawing_library():
    code = "import sys, diptych; print([m for m in ('networkx', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
