"""What native code gives, with no operator left out, beside what the kernels give."""

from __future__ import annotations

from typing import Any

import numpy as np

import diptych as dt


def run(build: Any, *arrays: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """What `build` makes of placeholders, natively and by the kernels."""
    with dt.static.Graph() as g:
        fed = [g.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
        fetches = build(*fed)
    return run_graph(g, fetches, dict(zip(fed, arrays)))


def run_graph(graph: Any, fetches: Any, feeds: Any) -> tuple[Any, Any]:
    """What a graph gives, natively and by the kernels."""
    program = graph.compile(fetches, executor="native")
    assert " 0 operators without native code" in program.explain()
    return program.run(feeds), graph.compile(fetches, executor="reference").run(feeds)
