"""Cutting a graph: the part between chosen values and chosen outputs, as a graph of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from .devices import CPU
from .dtypes import is_float
from .ir import CONSTANT, SIZE, Graph, Node, Update, Value


def depending(nodes: list[Node], inputs: list[Value]) -> set[Value]:
    """Every float value that depends on the inputs, they included."""
    reached = {v for v in inputs if is_float(v.dtype)}
    for node in nodes:
        if node.recorded and node.op.vjp and any(v in reached for v in node.inputs):
            reached.update(v for v in node.outputs if is_float(v.dtype))
    return reached


def feeding(outputs: list[Value], stands: Callable[[Value], bool]) -> list[Value]:
    """The values for which `stands` holds that the outputs read, directly or through others.

    The search does not go beyond such a value. In order of creation.
    """
    found: list[Value] = []
    seen: set[Value] = set()
    pending = list(outputs)
    while pending:
        value = pending.pop()
        if value in seen:
            continue
        seen.add(value)
        if stands(value):
            found.append(value)
        else:
            pending.extend(value.node.inputs)
    return sorted(found, key=lambda value: (value.node.id, value.index))


def untouched(value: Value) -> np.ndarray:
    """An array of a shape over memory that it does not have: for its layout alone."""
    shape = tuple(int(size) for size in value.shape)
    return laid_out(shape, [math.prod(shape[i + 1 :]) for i in range(len(shape))])


def laid_out(shape: Sequence[int], strides: Sequence[int]) -> np.ndarray:
    """An array of bytes for its layout alone: its memory must not be touched."""
    return np.lib.stride_tricks.as_strided(np.empty(1, np.int8), shape, strides)


def is_made_again(node: Node) -> bool:
    """Whether a second graph makes a node's results itself rather than being handed them.

    So it is with constants and with views, but for a reshape that has to copy.
    """
    if node.op in (CONSTANT, SIZE) or (not node.inputs and node.op.kernel is not None):
        return True
    return node.op.view and not copies(node)


def copies(node: Node, layout_of: Callable[[Value], np.ndarray] = untouched) -> bool:
    """Whether a reshape cannot be a view, as far as is known before a run.

    Parameters
    ----------
    node : Node
        Of an operator that gives views.
    layout_of : callable
        An array that is laid out like what the first view is taken of, never to be touched.
    """
    if node.op.name != "reshape" or node.bound.ins[0] == node.bound.outs[0]:
        return False
    chain = [node]
    while chain[-1].inputs[0].node.op.view:
        chain.append(chain[-1].inputs[0].node)
    if any(n.outputs[0].aval.is_symbolic or n.outputs[0].device != CPU for n in chain):
        return True
    # An array of the right layout that is never touched tells which views are views.
    layout = layout_of(chain[-1].inputs[0])
    for view in reversed(chain):
        if view.op.name == "reshape":
            layout = layout.view()
            try:
                layout.shape = view.outputs[0].shape
            except AttributeError:
                if view is node:
                    return True
                layout = untouched(view.outputs[0])
        else:
            layout = view.bound.kernel(layout)
    return False


def cut(
    graph: Graph, inputs: list[Value], outputs: list[Value], effects: Update | None = None
) -> Graph:
    """A new graph from `inputs`, which become its placeholders in that order, to `outputs`.

    Effects come along where they are given; constants and variables where they are read.
    """
    new = Graph()
    env = {
        value: new.add_placeholder(f"{position}", value.aval)
        for position, value in enumerate(inputs)
    }
    kept = {node.id for node in effects.nodes} if effects else set()
    needed = set(kept)
    pending = [*(v for v in outputs if v not in env)]
    pending += [v for node in (effects.nodes if effects else ()) for v in node.inputs]
    while pending:
        value = pending.pop()
        if value not in env and value.node.id not in needed:
            needed.add(value.node.id)
            pending.extend(value.node.inputs)
    for node in graph.nodes:
        if node.id in needed:
            _copy(node, new, env)
    new.outputs = tuple(env[v] for v in outputs)
    new.adopt_parameters(graph)
    return new


def copied(graph: Graph) -> tuple[Graph, dict[Value, Value]]:
    """A copy of a graph without effects, and where each of its values went."""
    new = Graph()
    env: dict[Value, Value] = {}
    for node in graph.nodes:
        _copy(node, new, env)
    return new, env


def _copy(node: Node, new: Graph, env: dict[Value, Value]) -> None:
    inputs = tuple(env[v] for v in node.inputs)
    if node.op.effect:
        new.append(node.bound, inputs, None, node.location)
    else:
        env.update(zip(node.outputs, new.copy_node(node, inputs)))
