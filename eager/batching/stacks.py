"""What waits to be computed: groups of like calls, and the rows that these read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ...graphs.avals import Aval
from ...graphs.bound import Bound

# Operators are bound by shapes and dtypes alone, so one number in place of all will do.
_MOST_STANDS = 1024
_stands: dict[Aval, Any] = {}


def stand_for(aval: Aval) -> Any:
    """An array of a shape and dtype, without numbers of its own."""
    stand = _stands.get(aval)
    if stand is None:
        if len(_stands) >= _MOST_STANDS:
            _stands.clear()
        xp = aval.device.xp
        stand = _stands[aval] = xp.broadcast_to(xp.zeros((), aval.dtype), aval.shape)
    return stand


class Stack:
    """One result of a group: a row for each of its calls.

    Attributes
    ----------
    stand : array
        Stands for any of its rows.
    kind : object
        The same for stacks whose rows were made alike.
    depth : int
        Launches that have to come before its rows can be read, at most; 0 when they are there.
    group : Group or None
        What computes it. None: `rows` are tensors that exist.
    batch : Batch or None
        What it was computed to, with those of other groups: its rows begin at `offset`.
    rows : list of Tensor or None
    """

    def __init__(self, stand: Any, kind: Any, depth: int, group: Any, rows: Any = None) -> None:
        self.stand, self.kind, self.depth, self.group, self.rows = stand, kind, depth, group, rows
        self.batch: Any = None
        self.offset = 0


class Numbers:
    """A list of numbers, spelled out only where it is neither a run nor one number repeated.

    Attributes
    ----------
    count, first, step : int
        Of the numbers ``first + step * i``, where they are not spelled out. The step is 0 or 1.
    spelled : list of int or None
    """

    def __init__(self) -> None:
        self.count = self.first = 0
        self.step = 1
        self.spelled: Any = None

    def add(self, number: int) -> None:
        """Append a number."""
        if self.spelled is not None:
            self.spelled.append(number)
        elif self.count == 0:
            self.first = number
        elif number != self.first + self.step * self.count:
            if self.count == 1 and number == self.first:
                self.step = 0
            else:
                self.spelled = [*self.listed(), number]
        self.count += 1

    def extend(self, numbers: Numbers, offset: int) -> None:
        """Append numbers, each with an offset."""
        count = numbers.count
        first = offset + numbers.first
        if numbers.spelled is not None or numbers.step == 0:
            for number in numbers.listed():
                self.add(offset + number)
        elif self.spelled is not None:
            self.spelled.extend(range(first, first + count))
            self.count += count
        elif self.count == 0 or (self.step == 1 and first == self.first + self.count):
            self.first = first - self.count
            self.count += count
        else:
            self.spelled = [*self.listed(), *range(first, first + count)]
            self.count += count

    def listed(self) -> list[int]:
        """The numbers."""
        if self.spelled is not None:
            return self.spelled
        if self.step == 0:
            return [self.first] * self.count
        return list(range(self.first, self.first + self.count))

    def is_one(self) -> bool:
        """Whether all numbers are the same."""
        return self.spelled is None and (self.step == 0 or self.count == 1)

    def is_run(self) -> bool:
        """Whether each number follows on the one before."""
        return self.spelled is None and self.step == 1

    def repeat(self) -> bool:
        """Whether a number comes twice."""
        if self.spelled is None:
            return self.step == 0 and self.count > 1
        return len(set(self.spelled)) < self.count

    def index(self) -> Any:
        """What selects these rows of an array."""
        if self.is_run():
            return slice(self.first, self.first + self.count)
        return np.array(self.listed())


class Column:
    """The rows that the calls of a group read at one position of their operands.

    Attributes
    ----------
    rows : Numbers
    source : Stack
        Of the first row, and of all while `sources` is None.
    sources : list of Stack or None
        Per row.
    """

    def __init__(self) -> None:
        self.rows = Numbers()
        self.source: Any = None
        self.sources: Any = None

    def add(self, stack: Stack, row: int) -> None:
        """Let the next call read a row of a stack."""
        if self.source is None:
            self.source = stack
        elif self.sources is None and stack is not self.source:
            self.sources = [self.source] * self.rows.count
        if self.sources is not None:
            self.sources.append(stack)
        self.rows.add(row)

    def stacks(self) -> list[Stack]:
        """The stack of each row."""
        return [self.source] * self.rows.count if self.sources is None else self.sources

    def distinct(self) -> Iterable[Stack]:
        """Every stack that it has rows of, once."""
        return (self.source,) if self.sources is None else set(self.sources)


class Piece:
    """Rows of one batch, or one tensor, and where in an operand they stand.

    Attributes
    ----------
    batch : Batch or None
    tensor : Tensor or None
    rows, places : Numbers
    """

    def __init__(self, batch: Any, tensor: Any) -> None:
        self.batch, self.tensor = batch, tensor
        self.rows, self.places = Numbers(), Numbers()


def pieces_of(columns: list[Column]) -> list[Piece]:
    """The rows that columns read, one column after another, by the batch that they are of."""
    found: dict[int, Piece] = {}
    place = 0
    for column in columns:
        rows = column.rows
        if column.sources is None and column.source.batch is not None:
            batch = column.source.batch
            if not batch.alone:
                piece = _piece(found, batch, None)
                piece.rows.extend(rows, column.source.offset)
                whole = Numbers()
                whole.first, whole.count = place, rows.count
                piece.places.extend(whole, 0)
                place += rows.count
                continue
        for stack, row in zip(column.stacks(), rows.listed()):
            batch = stack.batch
            if batch is None:
                piece = _piece(found, None, stack.rows[row])
            elif batch.alone:
                piece = _piece(found, None, batch.value)
            else:
                piece = _piece(found, batch, None)
                piece.rows.add(stack.offset + row)
            piece.places.add(place)
            place += 1
    return list(found.values())


def _piece(found: dict[int, Piece], batch: Any, tensor: Any) -> Piece:
    key = id(tensor) if batch is None else id(batch)
    piece = found.get(key)
    if piece is None:
        piece = found[key] = Piece(batch, tensor)
    return piece


class Group:
    """Calls that one launch can compute, whose operands were made alike.

    What is made alike is most often read alike, so rows of such groups lie as they are read.

    Attributes
    ----------
    scope : Scope
    bound : Bound
        Of any of the calls.
    depth, count : int
    records : bool
        Whether they go on the tape.
    signature : tuple
        Equal for groups that one launch can compute together, once they are at hand.
    columns : tuple of Column, and of number
        Per operand; a number is the same for all calls.
    stacks : tuple of Stack
        Per result.
    """

    def __init__(
        self,
        scope: Any,
        bound: Bound,
        depth: int,
        records: bool,
        signature: tuple[Any, ...],
        columns: tuple[Any, ...],
    ) -> None:
        self.scope, self.bound, self.depth, self.records = scope, bound, depth, records
        self.signature, self.columns, self.count = signature, columns, 0
        several = len(bound.outs) > 1
        self.stacks = tuple(
            [
                Stack(stand_for(out), (bound, i) if several else bound, depth, self)
                for i, out in enumerate(bound.outs)
            ]
        )
