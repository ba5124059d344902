"""Rows taken of batches and put together to others, on the tape with one node for many rows.

A cotangent of a batch is made once, of the cotangents of all that was taken of it. So gathering
costs as much as there are rows, forward and backward, and not as much as there are batches.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...graphs.avals import Aval, aval_of
from ...graphs.modes import is_grad_enabled
from ...graphs.pulling import met
from ..tape import Node, edge_of, hooked, join
from ..tensor import Tensor

# Which rows: one, some one after another, or any; or an index that takes a part of each.
Rows = int | slice | np.ndarray | tuple[Any, ...]


class Taken(Node):
    """All rows that were taken of one batch; each taking is a result, and may come at any time.

    Parameters
    ----------
    batch : Tensor
    """

    def __init__(self, batch: Tensor) -> None:
        super().__init__("rows", (edge_of(batch),), (), ())
        self._aval = aval_of(batch.array)
        self._source: Any = edge_of(batch)
        self._rows: list[Rows] = []
        self._repeated: set[int] = set()
        self._watches: dict[int, _Watch] = {}

    def add(self, rows: Rows, taken: Any, repeated: bool) -> int:
        """The index of a result: rows, which make an array, some of them twice if `repeated`."""
        index = len(self._rows)
        if repeated:
            self._repeated.add(index)
        self._rows.append(rows)
        self.outputs = (*self.outputs, aval_of(taken))
        return index

    def pull(self, cotangents: list[Any], wanted: tuple[int, ...]) -> list[tuple[int, Any]]:
        arrived = [i for i, g in enumerate(cotangents) if g is not None]
        parts, rows = [cotangents[i] for i in arrived], [self._rows[i] for i in arrived]
        repeated = [i in self._repeated for i in arrived]
        return [(0, added(self._aval, parts, rows, repeated))]

    # What is asked of the gradient of a row is asked of the batch: other launches read the row
    # there, and not here.

    def place(self, index: int) -> tuple[tuple[int, int], Callable[[Any], Any]]:
        node, position = self._source
        rows = self._rows[index]
        return (id(node), position), lambda cotangent: taken(cotangent, rows)

    def hooks(self, index: int) -> list[Callable[[Any], Any]]:
        return self._watch(index).hooks

    def retain(self, index: int, tensor: Any) -> None:
        self._watch(index).retained = weakref.ref(tensor)

    def _watch(self, index: int) -> _Watch:
        if index not in self._watches:
            watch = self._watches[index] = _Watch(self._rows[index])
            node, position = self._source
            node.hooks(position).append(watch)
        return self._watches[index]


class _Watch:
    """A hook on the cotangent of a batch: runs the hooks on one of its rows."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.hooks: list[Callable[[Any], Any]] = []
        self.retained: Any = None

    def __call__(self, cotangent: Any) -> Any:
        before = taken(cotangent, self._rows)
        row = hooked(self.hooks, before)
        tensor = None if self.retained is None else self.retained()
        if tensor is not None:
            tensor.grad = row.clone() if tensor.grad is None else met(tensor.grad, row)
        if row is before:
            return None
        change = added(aval_of(cotangent.array), [row - before], [self._rows], [False])
        return met(cotangent, change)


class Added(Node):
    """Batches added up, each at rows of the result.

    Attributes
    ----------
    rows : sequence of Rows
        Per operand.
    """

    rows: Sequence[Rows]

    def pull(self, cotangents: list[Any], wanted: tuple[int, ...]) -> list[tuple[int, Any]]:
        return [(i, taken(cotangents[0], self.rows[i])) for i in wanted]


def taken(batch: Tensor, rows: Rows) -> Tensor:
    """Rows of a batch; a single one without the axis."""
    found = Tensor(selected(batch.array, rows))
    if is_grad_enabled() and batch.requires_grad:
        node = Taken(batch)
        join(found, node, node.add(rows, found.array, False))
    return found


def selected(array: Any, rows: Rows) -> Any:
    """Rows of an array."""
    if type(rows) is int:
        return array[rows, ...]
    return array[rows] if type(rows) in (slice, tuple) else array.take(rows, axis=0)


def added(
    aval: Aval, parts: Sequence[Tensor], rows: Sequence[Rows], repeated: Sequence[bool]
) -> Tensor:
    """The sum of what parts are at rows, of an aval; 0 where no part is."""
    xp = aval.device.xp
    total = xp.zeros(aval.shape, aval.dtype)
    for part, places, has_repeats in zip(parts, rows, repeated):
        if has_repeats:
            xp.add.at(total, places, part.array)
        else:
            total[places] += part.array
    return joined(total, [edge_of(part) for part in parts], rows)


def joined(array: Any, edges: Sequence[Any], rows: Sequence[Rows]) -> Tensor:
    """A tensor of an array in which operands stand at rows."""
    tensor = Tensor(array)
    if is_grad_enabled() and any(edge is not None for edge in edges):
        node = Added("gather", tuple(edges), (aval_of(array),), ())
        node.rows = rows
        join(tensor, node, 0)
    return tensor
