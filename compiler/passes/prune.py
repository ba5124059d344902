"""prune: drop every node that neither an output nor an effect needs."""

from __future__ import annotations

from ...graphs.ir import Graph


def prune(graph: Graph) -> Graph:
    """Before: any graph. After: every node is an effect or leads to an output or an effect.

    An effect with a condition (`Node.when`) is one of the needed only where its condition is.
    """
    needed = {value.node.id for value in graph.outputs}
    conditional = []
    for node in graph.effects:
        if node.when is None:
            needed.add(node.id)
        else:
            conditional.append(node)
    before = -1
    while len(needed) != before:  # a condition may come alive through another effect
        before = len(needed)
        needed.update(n.id for n in conditional if n.when is not None and n.when.node.id in needed)
        for node in reversed(graph.nodes):
            if node.id in needed:
                needed.update(value.node.id for value in node.inputs)
    kept = [node for node in graph.nodes if node.id in needed]
    return graph.rebuild(Graph.copy_node, kept)
