"""Attention: its shape, and the scratch memory it needs.

The lengths follow those in ../native/attention_template.h and its like for gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from .folding import folded
from .structs import Strided, Struct, aligned, broadcast_strides

_GROUP_BYTES = 128  # of queries at a time in the widest tiles
_SLOPE_BYTES = 256 << 10  # of weights and their cotangents: what the second cache has room for
_EVEN = 4  # pieces of work for each thread, from which on leftovers do not matter


class Masking(IntEnum):
    """What a mask does, as C names it."""

    DT_NO_MASK = 0
    DT_BOOL_MASK = 1
    DT_ADDED_MASK = 2


@dataclass(frozen=True)
class Attention(Struct):
    """The struct `dt_attention`, in the order of its fields.

    Strides count elements: batches, heads, rows, columns; a mask's are 0 where it broadcasts, and
    the gradients' of a forward pass do not matter.
    """

    batches: int
    heads: int
    queries: int
    keys: int
    width: int
    channels: int
    query: tuple[int, ...]
    key: tuple[int, ...]
    value: tuple[int, ...]
    mask: tuple[int, ...]
    y: tuple[int, ...]
    gquery: tuple[int, ...]
    gkey: tuple[int, ...]
    gvalue: tuple[int, ...]
    masking: Masking
    causal: bool
    scale: float
    parts: int
    rows: int
    room: int


def described(
    query: Strided,
    key: Strided,
    value: Strided,
    mask: Strided | None,
    y: Strided,
    gradients: Sequence[Strided] = (),
    *,
    is_causal: bool,
    scale: float,
    threads: int,
) -> tuple[Attention, int] | None:
    """An attention, or its gradients, for the native kernels.

    Parameters
    ----------
    query, key, value : Strided
    mask : Strided or None
        Bools or numbers of the dtype of `query`; None for the mask True.
    y : Strided
        The result; for gradients, its cotangent.
    gradients : sequence of Strided
        Of query, key and value; none for the forward pass.
    threads : int
        Of the team, for which the work is shared out.

    Returns
    -------
    (Attention, int) or None
        The shape and the bytes of scratch memory, to be aligned to 64. None where the leading
        axes are more than two that do not follow each other in memory.
    """
    operands = [query, key, value, y, *gradients]
    masked = ((), ()) if mask is None else (mask.shape, mask.strides)
    over = broadcast_strides(*masked, len(query.shape))
    lead = [operand.strides[:-2] for operand in operands]
    found = folded(query.shape[:-2], [*lead, over[:-2]], 2)
    if found is None:
        return None
    (batches, heads), outer = found
    strides = [(*a, *operand.strides[-2:]) for a, operand in zip(outer, operands)]
    to = strides[4:] or [(0, 0, 0, 0)] * 3
    queries, keys, itemsize = query.shape[-2], key.shape[-2], query.dtype.itemsize
    lengths = (queries, keys, query.shape[-1], value.shape[-1])
    parts = _parts(batches * heads, queries, threads, itemsize)
    rows = _rows(queries, keys, itemsize)
    columns = [operand.strides[-1] for operand in operands]
    if gradients:
        own, shared = _grad_room(*lengths, rows, columns, itemsize)
    else:
        own, shared = _room(*lengths, columns, itemsize)
    shape = Attention(
        batches, heads, *lengths,
        strides[0], strides[1], strides[2], (*outer[-1], *over[-2:]), strides[3],
        to[0], to[1], to[2], _masking(mask), bool(is_causal), scale, parts, rows, own,
    )  # fmt: skip
    return shape, threads * own + (batches * heads * parts * shared if parts > 1 else 0)


# -- scratch memory ----------------------------------------------------------------------------


def _room(
    queries: int, keys: int, width: int, channels: int, strides: Sequence[int], itemsize: int
) -> tuple[int, int]:
    """Bytes for each thread, and for each part of a head; `strides` are those of columns."""
    group, columns = _GROUP_BYTES // itemsize, _padded(channels, itemsize)
    pieces = (
        _panels(strides[2], keys, channels, itemsize),
        width * group, keys * group, group * columns,
    )  # fmt: skip
    return sum(aligned(piece * itemsize) for piece in pieces), 0


def _grad_room(
    queries: int, keys: int, width: int, channels: int, rows: int, strides: Sequence[int],
    itemsize: int,
) -> tuple[int, int]:  # fmt: skip
    group = _GROUP_BYTES // itemsize
    wide, columns = _padded(width, itemsize), _padded(channels, itemsize)
    sums = keys * (wide + columns)
    pieces = (
        _panels(strides[0], queries, width, itemsize),
        _panels(strides[1], keys, width, itemsize),
        _panels(strides[3], queries, channels, itemsize), sums,
        width * group, channels * group, rows * keys, rows * keys, group * wide,
    )  # fmt: skip
    return sum(aligned(piece * itemsize) for piece in pieces), sums * itemsize


def _panels(stride: int, rows: int, columns: int, itemsize: int) -> int:
    """Numbers of a matrix in panels; none if its columns lie so that tiles can read them."""
    is_read = stride == 1 and 2 * columns % (_GROUP_BYTES // itemsize) == 0
    return 0 if is_read else rows * _padded(columns, itemsize)


def _padded(columns: int, itemsize: int) -> int:
    whole = _GROUP_BYTES // itemsize
    return -(-columns // whole) * whole


def _rows(queries: int, keys: int, itemsize: int) -> int:
    """How many queries' weights and slopes are kept: whole groups, and one at least."""
    group = _GROUP_BYTES // itemsize
    most = _SLOPE_BYTES // (2 * _GROUP_BYTES * keys)
    return group * max(1, min(most, -(-queries // group)))


# -- fields ------------------------------------------------------------------------------------


def _masking(mask: Strided | None) -> Masking:
    if mask is None:
        return Masking.DT_NO_MASK
    return Masking.DT_BOOL_MASK if mask.dtype == bool else Masking.DT_ADDED_MASK


def _parts(heads: int, queries: int, threads: int, itemsize: int) -> int:
    """Into how many parts the queries of a head go, for all threads to have as much to do."""
    most = max(1, queries * itemsize // _GROUP_BYTES)
    for parts in range(1, most):
        if heads * parts % threads == 0 or heads * parts >= _EVEN * threads:
            return parts
    return most
