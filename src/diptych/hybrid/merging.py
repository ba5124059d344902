"""Two values of one name as one: what a branch leaves under it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..graphs import ops
from ..graphs.ir import Graph, Value
from ..graphs.trees import flatten, unflatten
from . import reads
from .names import Unlike, is_tensor, shown, tensor_in
from .weak import KINDS, Number, as_value, is_number, kind_of

SAME = object()


class Sides:
    """The values that two bodies leave under one name, and what they become.

    Parameters
    ----------
    graphs : (Graph, Graph)
    values : (object, object)

    Attributes
    ----------
    outputs : list of (Value, Value)
        What the bodies give for it.

    Raises
    ------
    Unlike
    """

    def __init__(self, graphs: tuple[Graph, Graph], values: tuple[Any, Any]) -> None:
        self.graphs = graphs
        (left, self.structure), (right, other) = map(flatten, values)
        if self.structure != other:
            raise Unlike(f"{_container(values[0])} and {_container(values[1])}")
        self.outputs: list[tuple[Value, Value]] = []
        self.kinds = [self._paired(a, b) for a, b in zip(left, right)]
        self.leaves = left

    def _paired(self, a: Any, b: Any) -> Any:
        """The kind of what two leaves become: of a number, None for tensors, SAME for neither."""
        if is_same(a, b):
            return SAME
        if is_number(a) and is_number(b):
            kind = max(kind_of(a), kind_of(b), key=KINDS.index)
            self.outputs.append((self._number(0, a, kind), self._number(1, b, kind)))
            return kind
        if not all(is_number(x) or is_tensor(x) for x in (a, b)):
            raise Unlike(f"{shown(a)} and {shown(b)}")
        made = [tensor_in(g, x) if is_tensor(x) else None for g, x in zip(self.graphs, (a, b))]
        avals = [x.aval for x in made if x is not None]
        if avals[0] != avals[-1]:
            raise Unlike(f"{shown(a)} and {shown(b)}")
        pair = [
            x if x is not None else met(g, n, avals[0])
            for g, x, n in zip(self.graphs, made, (a, b))
        ]
        self.outputs.append((pair[0], pair[1]))
        return None

    def _number(self, side: int, number: Any, kind: type) -> Value:
        graph = self.graphs[side]
        with graph.building():
            return as_value(graph, number, kind)

    def after(self, results: Iterator[Value]) -> Any:
        """The value of the name, of the results of the branch."""
        leaves = [
            leaf if kind is SAME else next(results) if kind is None else Number(next(results), kind)
            for kind, leaf in zip(self.kinds, self.leaves)
        ]
        return unflatten(self.structure, leaves)


def is_same(a: Any, b: Any) -> bool:
    """Whether two leaves are one, as far as Python can tell."""
    if a is b:
        return True
    return reads.is_plain(a) and reads.is_plain(b) and reads.token(a) == reads.token(b)


def met(graph: Graph, number: Any, aval: Any) -> Value:
    """A number as the tensor of an aval that another branch has in its place."""
    narrow = {"b": bool, "i": int, "u": int}.get(aval.dtype.kind, float)
    if aval.shape != () or KINDS.index(kind_of(number)) > KINDS.index(narrow):
        raise Unlike(f"{shown(number)} and {aval}")
    with graph.building():
        if isinstance(number, Number):
            return graph.lift(number.value, "branch").astype(aval.dtype)
        return graph.constant(np.array(number, aval.dtype))


def nothing_like(graph: Graph, value: Any) -> Any:
    """Zeros for the tensors and numbers of a value that is not there yet."""
    leaves, structure = flatten(value)
    with graph.building():
        made = [
            Number(as_value(graph, 0, kind_of(x)), kind_of(x)) if isinstance(x, Number)
            else ops.zeros(x.shape, dtype=x.dtype) if is_tensor(x)
            else x
            for x in leaves
        ]  # fmt: skip
    return unflatten(structure, made)


def _container(value: Any) -> str:
    _, structure = flatten(value)
    if structure is None:
        return shown(value)
    return f"a {type(value).__name__} of {len(structure[2])}"
