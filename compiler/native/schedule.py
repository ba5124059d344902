"""What must run before what, such that updates are computed straight into their variables."""

from __future__ import annotations

from typing import Any

from ...graphs.ir import Graph, Node, Value
from ...graphs.kernels import shares_memory
from ...graphs.regions import FUSED, SCAN, WHILE
from .calls import CALLS
from .order import order
from .overwriting import Precedence, readers_of, reads_in_place, views_of
from .statements import is_long
from .support import is_call, is_native, is_placeable, joined, lowers_region


def schedule(graph: Graph, known: set[Node]) -> tuple[list[Node], dict[Value, Value]]:
    """Nodes in an order that lets readers of a variable go before what overwrites it.

    Parameters
    ----------
    graph : Graph
    known : set of Node
        Those that are computed before all runs.

    Returns
    -------
    order : list of Node
        Without these, and without effects.
    direct : dict
        From each value that is assigned, and can be computed over the variable's old numbers, to
        the variable's value.
    """
    nodes = [node for node in graph.nodes if not node.op.effect and node not in known]
    precedence = Precedence(nodes)
    direct: dict[Value, Value] = {}
    stopping = _first_to_stop(nodes)
    for effect in graph.effects:
        variable, value = effect.inputs
        if value.node in known or not _is_free(graph, effect, direct):
            continue
        first = {n for n in (*readers_of(variable), *stopping) if n is not value.node}
        if precedence.put_first(first, value.node):
            direct[value] = variable
    elsewhere = {*graph.outputs, *direct, *(v for node in known for v in node.outputs)}
    parts = {v: node.outputs[0] for v, (node, _) in joined(graph, elsewhere).items()}
    return order(nodes, precedence.after, elsewhere, parts), direct


def _first_to_stop(nodes: list[Node]) -> list[Node]:
    """The nodes in which a run may end, but for those that refuse data which another one refuses.

    The gradient of a look-up refuses what the look-up has refused; that it comes much later keeps
    no variable from being written before.
    """
    found: dict[Any, Node] = {}
    for node in filter(may_stop, nodes):
        refused = CALLS[node.op.name].refuses(node) if is_call(node) else node
        if refused is not None:
            found.setdefault(refused, node)
    return list(found.values())


def may_stop(node: Node) -> bool:
    """Whether a run may end in a node: data are refused, memory is, what runs in Python raises, or
    the user ends a loop that goes on for long."""
    if node.op is WHILE or not (lowers_region(node) or is_native(node)):
        return True
    if node.op is SCAN and is_long(node.attrs["length"]):
        return True
    if node.op.region and node.op is not FUSED:
        return any(may_stop(n) for body in node.attrs["bodies"] for n in body.nodes)
    return is_call(node) and node.bound.may_raise


def _is_free(graph: Graph, effect: Node, direct: dict[Value, Value]) -> bool:
    """Whether a value may be computed in its variable's memory, if the readers go first."""
    variable, value = effect.inputs
    storage = effect.attrs["storage"]
    shown = views_of(variable)
    outputs = set(graph.outputs)
    others = [held for held, _ in graph.variables if held is not storage]
    return (
        is_placeable(value)
        and not may_stop(value.node)
        and value not in outputs
        and value not in direct
        and not shown & outputs
        and sum(e.attrs["storage"] is storage for e in graph.effects) == 1
        and not any(e.inputs[1] in shown for e in graph.effects)
        and bool(storage.array.flags.c_contiguous)
        and not any(shares_memory(storage.array, other.array) for other in others)
        and reads_in_place(variable, value, [(held, v) for v, held in direct.items()])
    )
