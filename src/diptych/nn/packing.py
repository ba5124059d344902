"""Sequences of several lengths in one array without padding, for recurrent layers.

Packed rows stand in order of time: first the first row of every sequence, longest first, then the
second row of those that have one, and so on.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..graphs import ops
from ..graphs.avals import show
from ..graphs.devices import device_of, put
from ..graphs.errors import ArgumentError, DTypeError, ShapeError
from ..graphs.operand import Operand
from ..graphs.ops.dispatch import style_of


class PackedSequence(NamedTuple):
    """Sequences of several lengths, packed. Made by `pack_padded_sequence` and `pack_sequence`.

    Attributes
    ----------
    data : array, shape (sum of lengths, ...)
    batch_sizes : tuple of int
        At each time, how many sequences are that long.
    sorted_indices, unsorted_indices : array, shape (batch,), int64, or None
        From the sequences as given to longest first, and back; None where they were so.
    """

    data: Any
    batch_sizes: tuple[int, ...]
    sorted_indices: Any = None
    unsorted_indices: Any = None


def pack_padded_sequence(
    x: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack sequences that are padded to one length.

    Parameters
    ----------
    x : array, shape (time, batch, ...), or (batch, time, ...) if `batch_first`
    lengths : sequence of int, or array of shape (batch,)
        In ``1..time``. A graph is built for these very lengths.
    batch_first : bool
    enforce_sorted : bool
        Refuse lengths that are not in descending order. Otherwise sequences are sorted here, and
        put back by whatever takes the packed ones.

    Returns
    -------
    PackedSequence

    Raises
    ------
    ShapeError
        When `x` has fewer than two axes, or there is not one length per sequence.
    ArgumentError
        When a length is out of range, or lengths are not in order.
    StaticValueError
        When the lengths are known only when a graph runs.

    Examples
    --------
    >>> x = dt.tensor([[1, 3], [2, 0]])
    >>> packed = dt.nn.pack_padded_sequence(x, [2, 1])
    >>> packed.data, packed.batch_sizes
    (tensor([1, 3, 2]), (2, 1))
    """
    where = "pack_padded_sequence"
    if len(x.shape) < 2:
        raise ShapeError(f"{where}: must have axes of time and batch, got {show(x.shape)}")
    batch, time = x.shape[:2] if batch_first else x.shape[1::-1]
    counts = _counts(lengths, where)
    if len(counts) != batch:
        raise ShapeError(
            f"{where}: one length per sequence is needed, got {len(counts)} for {batch}"
        )
    if min(counts) < 1 or (isinstance(time, int) and max(counts) > time):
        raise ArgumentError(f"{where}: lengths must be in 1..{time}, got {counts}")
    order = _order(counts, enforce_sorted, where)
    steps, column = _places([counts[i] for i in order])
    sequence = order[column]
    rows = sequence * time + steps if batch_first else steps * batch + sequence
    flat = ops.reshape(x, (-1, *x.shape[2:]))
    return _packed(ops.take(flat, _beside(x, rows), 0), steps, order, enforce_sorted)


def pack_sequence(sequences: Sequence[Any], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences that are arrays of their own.

    Parameters
    ----------
    sequences : sequence of arrays, shape (length, ...)
        Of one dtype; only the first sizes may differ.
    enforce_sorted : bool
        As for `pack_padded_sequence`.

    Returns
    -------
    PackedSequence

    Raises
    ------
    ShapeError
        When other sizes differ, or there is no sequence.
    ArgumentError
        When a sequence is empty, or lengths are not in descending order.

    Examples
    --------
    >>> dt.nn.pack_sequence([dt.tensor([1, 2]), dt.tensor([3])]).data
    tensor([1, 3, 2])
    """
    where = "pack_sequence"
    if not sequences:
        raise ShapeError(f"{where}: at least one sequence is needed, got none")
    if any(not x.shape for x in sequences):
        raise ShapeError(f"{where}: a sequence must have an axis of time, got shape ()")
    counts = [operator.index(x.shape[0]) for x in sequences]
    if min(counts) < 1:
        raise ArgumentError(f"{where}: lengths must be at least 1, got {counts}")
    order = _order(counts, enforce_sorted, where)
    steps, column = _places([counts[i] for i in order])
    starts = np.cumsum([0, *counts])[order]
    joined = ops.concat(list(sequences), 0)
    rows = _beside(joined, starts[column] + steps)
    return _packed(ops.take(joined, rows, 0), steps, order, enforce_sorted)


def pad_packed_sequence(
    packed: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Any, Any]:
    """Pad packed sequences to one length.

    Parameters
    ----------
    packed : PackedSequence
    batch_first : bool
    padding_value : float
    total_length : int, optional
        At least the longest length, which is the default.

    Returns
    -------
    padded : array, shape (time, batch, ...), or (batch, time, ...) if `batch_first`
    lengths : array, shape (batch,), int64

    Raises
    ------
    DTypeError
        When it is no PackedSequence.
    ShapeError
        When its parts do not fit.
    ArgumentError
        When `total_length` is below the longest length.

    Examples
    --------
    >>> packed = dt.nn.pack_sequence([dt.tensor([1, 2]), dt.tensor([3])])
    >>> padded, lengths = dt.nn.pad_packed_sequence(packed, batch_first=True)
    >>> padded
    tensor([[1, 2],
            [3, 0]])
    >>> lengths
    tensor([2, 1])
    """
    where = "pad_packed_sequence"
    check_packed(packed, where)
    data, sizes = packed.data, np.array(packed.batch_sizes)
    time = len(sizes) if total_length is None else operator.index(total_length)
    if time < len(sizes):
        raise ArgumentError(
            f"{where}: total_length must be at least {len(sizes)}, got {total_length}"
        )
    filled = np.arange(sizes[0]) < np.pad(sizes, (0, time - len(sizes)))[:, None]
    rows = np.full(filled.shape, data.shape[0])
    rows[filled] = np.arange(data.shape[0])
    if not filled.all():
        padding = ops.full(
            (1, *data.shape[1:]), padding_value, dtype=data.dtype, device=data.device
        )
        data = ops.concat([data, padding], 0)
    rows = rows.T if batch_first else rows
    taken = ops.take(data, _beside(data, rows.ravel()), 0)
    padded = ops.reshape(taken, (*rows.shape, *data.shape[1:]))
    lengths = _beside(data, filled.sum(0))
    if packed.unsorted_indices is not None:
        padded = ops.take(padded, packed.unsorted_indices, 0 if batch_first else 1)
        lengths = ops.take(lengths, packed.unsorted_indices, 0)
    return padded, lengths


def check_packed(packed: Any, where: str) -> None:
    """Raises unless it is a packed sequence whose parts fit."""
    if not isinstance(packed, PackedSequence):
        raise DTypeError(f"{where}: must be a PackedSequence, got {type(packed).__name__}")
    sizes = packed.batch_sizes
    falling = all(isinstance(n, int) and n > 0 for n in sizes) and list(sizes) == sorted(
        sizes, reverse=True
    )
    if not sizes or not falling or sum(sizes) != packed.data.shape[0]:
        raise ShapeError(
            f"{where}: batch_sizes must descend and sum to the rows of data, got {sizes} for "
            f"{show(packed.data.shape)}"
        )


def _counts(lengths: Any, where: str) -> list[int]:
    given = lengths.tolist() if hasattr(lengths, "tolist") else lengths
    try:
        counts = [operator.index(n) for n in given]
    except TypeError:
        raise DTypeError(f"{where}: lengths must be whole numbers, got {lengths!r}") from None
    if not counts:
        raise ShapeError(f"{where}: at least one sequence is needed, got none")
    return counts


def _order(counts: list[int], enforce_sorted: bool, where: str) -> np.ndarray:
    """Positions of the sequences, longest first; equal ones as given."""
    if enforce_sorted and counts != sorted(counts, reverse=True):
        raise ArgumentError(
            f"{where}: lengths must be in descending order, got {counts}; pass enforce_sorted=False"
        )
    return np.argsort(-np.array(counts), kind="stable")


def _places(lengths: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Time and sequence of every packed row, for lengths in descending order."""
    steps, column = np.nonzero(np.arange(lengths[0])[:, None] < np.array(lengths))
    return steps, column


def _packed(data: Any, steps: np.ndarray, order: np.ndarray, is_sorted: bool) -> PackedSequence:
    sizes = tuple(np.bincount(steps).tolist())
    if is_sorted:
        return PackedSequence(data, sizes)
    return PackedSequence(data, sizes, _beside(data, order), _beside(data, np.argsort(order)))


def _beside(x: Any, numbers: np.ndarray) -> Any:
    """Whole numbers as an operand of the style and on the device of `x`."""
    device = x.device if isinstance(x, Operand) else device_of(x)
    return style_of(x).constant(put(numbers.astype(np.int64), device))
