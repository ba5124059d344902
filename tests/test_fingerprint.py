"""Fingerprints are equal for graphs that say the same, and for no others."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest

import diptych as dt
from diptych.compiler.fingerprint import fingerprint

W, V = (dt.Storage(np.ones(3, np.float32)) for _ in range(2))
_own = dt.custom_op("own_attribute", "x -> y", lambda x, what: x, attrs={"what": None})
Build = Callable[[dt.static.Graph, Any], Any]

GRAPHS: dict[str, Build] = {
    "plain": lambda g, x: dt.sum(x),
    "name": lambda g, x: dt.sum(g.placeholder("y", (2, 3))),
    "size": lambda g, x: dt.sum(g.placeholder("y", (3, 2))),
    "dtype": lambda g, x: dt.sum(g.placeholder("y", (2, 3), "float64")),
    "operator": lambda g, x: dt.mean(x),
    "attribute": lambda g, x: dt.sum(x, axis=0),
    "number": lambda g, x: _own(x, what=1),
    "truth": lambda g, x: _own(x, what=True),
    "fraction": lambda g, x: _own(x, what=1.0),
    "text": lambda g, x: _own(x, what="1"),
    "tuple": lambda g, x: _own(x, what=(1,)),
    "nested tuple": lambda g, x: _own(x, what=((1,),)),
    "order": lambda g, x: x[0] - x[1],
    "other order": lambda g, x: x[1] - x[0],
    "operands": lambda g, x: x[0] - x[0],
    "constant": lambda g, x: x * np.array([1.0, 2.0, 3.0], np.float32),
    "other constant": lambda g, x: x * np.array([1.0, 2.0, 4.0], np.float32),
    "rows": lambda g, x: x * np.arange(6, dtype=np.float32).reshape(2, 3),
    "columns": lambda g, x: x * np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "zero": lambda g, x: x + 0.0,
    "negative zero": lambda g, x: x + -0.0,
    "storage": lambda g, x: g.read(W) + g.read(W),
    "two storages": lambda g, x: g.read(W) + g.read(V),
    "assignment": lambda g, x: g.assign(W, x[0]),
    "assignment to another": lambda g, x: [g.read(W), g.assign(V, x[0])],
    "assignment to the same": lambda g, x: [g.read(W), g.assign(W, x[0])],
    "condition": lambda g, x: g.assign(W, x[0], when=dt.exp(x)),
    "no condition": lambda g, x: [dt.exp(x), g.assign(W, x[0])],
    "loop": lambda g, x: dt.scan(lambda c, row: (c + row, None), dt.zeros(3), x)[0],
    "other loop": lambda g, x: dt.scan(lambda c, row: (c * row, None), dt.zeros(3), x)[0],
    "reversed loop": lambda g, x: dt.scan(
        lambda c, row: (c + row, None), dt.zeros(3), x, reverse=True
    )[0],
    "loop of the first": lambda g, x: dt.scan(lambda c, row: (c + row, c), dt.zeros(3), x)[0],
    "size that is symbolic": lambda g, x: dt.sum(g.placeholder("y", ("n", 3))),
}


def text(build: Build) -> str:
    with dt.static.Graph() as g:
        build(g, g.placeholder("x", (2, 3)))
    found = fingerprint(g.nodes)
    assert found is not None
    return found.text


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_that_is_built_again_has_the_same_fingerprint(name: str) -> None:
    assert text(GRAPHS[name]) == text(GRAPHS[name])


def test_graphs_that_differ_have_different_ones() -> None:
    texts = {name: text(build) for name, build in GRAPHS.items()}
    assert [(a, b) for a, b in combinations(texts, 2) if texts[a] == texts[b]] == []


def test_what_is_fetched_counts() -> None:
    with dt.static.Graph() as g:
        dt.exp(g.placeholder("x", (2, 3)))
    texts = {found.text for ends in ([0, 0], [1, 0], []) if (found := fingerprint(g.nodes, ends))}
    assert len(texts) == 3


def test_storages_and_constants_are_told_in_an_order_that_the_graph_says() -> None:
    with dt.static.Graph() as g:
        g.assign(V, g.read(W) * np.arange(3, dtype=np.float32))
    found = fingerprint(g.nodes)
    assert found is not None
    assert list(map(id, found.storages)) == [id(W), id(V)]
    assert [array.tolist() for array in found.constants] == [[0.0, 1.0, 2.0]]


def test_an_attribute_of_this_process_alone_has_none() -> None:
    class Own:
        pass

    with dt.static.Graph() as g:
        _own(g.placeholder("x", (2, 3)), what=Own())
    assert fingerprint(g.nodes) is None
