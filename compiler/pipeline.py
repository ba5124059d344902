"""The pipeline: choose what is fetched, run the passes, hand the graph to an executor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..graphs.errors import FetchError, unknown
from ..graphs.ir import Graph, Node, Update, Value
from ..graphs.trees import flatten
from .executors import EXECUTORS
from .passes import NATIVE_PASSES, PASSES
from .passes.freeze import freeze as frozen
from .program import Program
from .report import run_passes


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
    known = {**PASSES, **NATIVE_PASSES} if executor == "native" else PASSES
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
    steps = [(name, PASSES[name]) for name in order]
    if freeze:  # what nothing reads is gone by then, and no number folded yet
        steps.insert(order[:1] == ["prune"], ("freeze", frozen))
    selected, reports = run_passes(_select(graph, leaves), steps)
    run_by = EXECUTORS[executor]
    return Program(
        graph=selected,
        executor=run_by(selected, chosen) if executor == "native" else run_by(selected),
        structure=structure,
        is_value=[isinstance(leaf, Value) for leaf in leaves],
        declared=graph.placeholders,
        reports=reports,
    )


def _select(graph: Graph, leaves: list[Any]) -> Graph:
    """A copy of the graph whose outputs and effects are the fetched ones.

    Effects that hang on a value stay, for pruning to decide.
    """
    effects: set[Node] = {node for node in graph.effects if node.when is not None}
    outputs = []
    for leaf in leaves:
        if isinstance(leaf, Update):
            members = leaf.nodes
        elif isinstance(leaf, Value):
            members = (leaf.node,)
            outputs.append(leaf)
        else:
            raise FetchError(
                "fetch: must be a value or an update of the graph, got "
                f"{type(leaf).__name__} {leaf!r}"
            )
        for node in members:
            if node.graph is not graph:
                raise FetchError(f"fetch: must be of the graph that is compiled, got {leaf!r}")
            if node.op.effect:
                effects.add(node)
    kept = [node for node in graph.nodes if not node.op.effect or node in effects]
    copy = graph.rebuild(nodes=kept, outputs=outputs)
    fetched = {node.id for leaf in leaves if isinstance(leaf, Update) for node in leaf.nodes}
    for old, new in zip(kept, copy.nodes, strict=True):
        if old.id in fetched:
            new.when = None
    return copy
