"""The pipeline: choose what is fetched, run the passes, hand the graph to an executor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..graphs.collector import paused
from ..graphs.errors import unknown
from ..graphs.ir import Graph, Value
from ..graphs.trees import flatten
from .executors import EXECUTORS
from .passes import NATIVE_PASSES, PASSES, Pass
from .passes.freeze import freeze as frozen
from .program import Program
from .selection import Selection


def passes_of(executor: str) -> dict[str, Pass]:
    """The passes that an executor's graphs may go through, in the pipeline's order."""
    return {**PASSES, **NATIVE_PASSES} if executor == "native" else PASSES


@paused()
def compile_graph(
    graph: Graph,
    fetches: Any,
    *,
    executor: str = "planned",
    passes: Iterable[str] | None = None,
    freeze: bool = False,
) -> Program:
    """Compile a graph into a program that computes what is fetched and nothing else.

    Parameters
    ----------
    graph : Graph
    fetches : Value, Update, or nested lists, tuples and dicts of them
        A run gives the same containers, with arrays for values and None for updates.
    executor : {"planned", "native", "reference"}
    passes : iterable of str, optional
        Which passes to run, in the pipeline's order. All by default. `native` runs those of its
        own after the pipeline's.
    freeze : bool
        Whether variables that the program does not assign are constants of it.

    Returns
    -------
    Program

    Raises
    ------
    FetchError
        When a fetch is none of this graph.
    UnknownNameError
        When an executor or a pass is not known.
    """
    if executor not in EXECUTORS:
        raise unknown("executor", executor, EXECUTORS)
    known = passes_of(executor)
    chosen = (
        list(known) if passes is None else [passes] if isinstance(passes, str) else list(passes)
    )
    for name in chosen:
        if name not in known:
            raise unknown("pass", name, known)
    leaves, structure = flatten(fetches)
    order = [name for name in PASSES if name in chosen]
    if "prune" in order[:-1]:
        order.append("prune")  # what the other passes left without a reader
    steps, at_once = [(name, PASSES[name]) for name in order], []
    if freeze:  # what nothing reads is gone by then, and no number folded yet
        first = int(order[:1] == ["prune"])
        at_once, steps = [*steps[:first], ("freeze", frozen)], steps[first:]
    selection = Selection(graph, leaves, steps, at_once)
    run_by = EXECUTORS[executor](selection, chosen)
    return Program(selection, run_by, structure, [isinstance(leaf, Value) for leaf in leaves])
