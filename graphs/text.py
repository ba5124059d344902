"""The stable text form of a graph: one line a node, the same for the same program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .avals import show

if TYPE_CHECKING:
    from .ir import Graph, Node


def graph_text(graph: Graph) -> str:
    """Every node on a line, then the outputs."""
    lines = []
    for node in graph.nodes:
        lines.append(node_text(node))
        for body in node.attrs["bodies"] if node.op.region else ():
            lines += [f"    {line}" for line in graph_text(body).splitlines()]
    lines.append(f"return {', '.join(v.name for v in graph.outputs)}".rstrip())
    return "\n".join(lines)


def node_text(node: Node) -> str:
    """A node such as ``%3: float32[2] = sum(%1, axis=(0,), keepdims=False, dtype=float32)``."""
    inputs = [v.name for v in node.inputs]
    attrs = [f"{name}={_attr(value)}" for name, value in node.attrs.items() if name != "bodies"]
    call = f"{node.op.name}({', '.join(inputs + attrs)})"
    if node.op.effect:
        return call + (f" when {node.when.name}" if node.when is not None else "")
    results = ", ".join(f"{v.name}: {v.aval}" for v in node.outputs)
    return f"{results} = {call}"


def _attr(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return str(value.item()) if value.size == 1 else f"<{value.dtype}{show(value.shape)}>"
    if hasattr(value, "version"):
        return repr(value.name) if value.name else "<storage>"
    return str(value) if isinstance(value, np.dtype) else repr(value)
