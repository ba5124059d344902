"""Graphs for the passes that change the order of sums: built, changed, printed, and compared."""

from __future__ import annotations

from collections import Counter

import numpy as np

import diptych as dt
from diptych.compiler.executors.reference import Reference
from diptych.compiler.passes.assemble import assemble
from diptych.compiler.passes.combine import combine
from diptych.compiler.passes.contract import contract
from diptych.compiler.passes.cse import cse
from diptych.compiler.passes.decompose import decompose
from diptych.compiler.passes.prune import prune
from diptych.compiler.passes.simplify import simplify

TOGETHER = (decompose, simplify, cse, assemble, contract, combine, assemble, cse)


def built(build, *shapes):
    """A graph of a function of placeholders of some shapes."""
    with dt.static.Graph() as g:
        outputs = build(*(g.placeholder(f"x{i}", shape) for i, shape in enumerate(shapes)))
        g.outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return g


def changed(graph, *passes):
    for one in passes:
        graph = one(graph).verify()
    return prune(graph).verify()


def lines(graph, *passes):
    """What a graph prints after some passes, without its placeholders."""
    text = str(changed(graph, *passes)).splitlines()
    return [line for line in text if "placeholder" not in line]


def ops_of(graph):
    return Counter(node.op.name for node in graph.nodes)


def arrays_for(graph, **sizes):
    rng = np.random.default_rng(0)
    found = {}
    for name, v in graph.placeholders.items():
        shape = tuple(sizes[str(n)] if isinstance(n, dt.Dim) else n for n in v.shape)
        found[name] = rng.standard_normal(shape).astype(v.dtype)
    return found


def run(graph, arrays, **sizes):
    """What the graph gives for arrays by name, some of which it may no longer need."""
    return Reference(graph).run([arrays[name] for name in graph.placeholders], sizes)


def assert_agrees(graph, *passes, tolerance=1e-5, **sizes):
    """The graph after the passes gives the same avals, and the same numbers to rounding."""
    after = changed(graph, *passes)
    assert [v.aval for v in after.outputs] == [v.aval for v in graph.outputs]
    feeds = arrays_for(graph, **sizes)
    for f, e in zip(run(after, feeds, **sizes), run(graph, feeds, **sizes)):
        np.testing.assert_allclose(f, e, rtol=tolerance, atol=tolerance)
    return after
