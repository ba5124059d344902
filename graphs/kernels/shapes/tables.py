"""Elements at indices, and tables of rows that indices look up: their shape."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from math import prod

from .labels import index_type
from .structs import Strided, Struct, is_dense

AXES, KEYS = 6, 8  # DT_PLACE_AXES and DT_KEYS in C


@dataclass(frozen=True)
class Places(Struct):
    """The struct `dt_places`, in the order of its fields.

    In a text, lengths and steps may be fewer than `KEYS`, and the type of indices a name in C.
    """

    size: tuple[int, ...]
    width: int
    values: tuple[int, ...]
    array: tuple[int, ...]
    indices: tuple[int, ...]
    type: IntEnum | str
    keys: int
    apart: int
    length: tuple[int, ...]
    step: tuple[int, ...]
    counts_back: bool
    ignored: int
    count: int


def table(
    indices: Strided, weight: Strided, rows: Strided, ignored: int | None, is_written: bool
) -> Places | None:
    """A table with a row for each index, all dense.

    Parameters
    ----------
    indices : Strided
    weight : Strided, shape (count, width)
        The table, or its gradient.
    rows : Strided
        What is looked up, or its cotangent.
    ignored : int or None
        An index whose rows are not added up.
    is_written : bool
        Whether it is the table that is computed.

    Returns
    -------
    Places or None
        None where they lie otherwise.
    """
    kind = index_type(indices.dtype)
    if kind is None or not all(map(is_dense, (indices, weight, rows))):
        return None
    count, width = weight.shape
    nothing = (0,) * (AXES - 1)
    return Places(
        (1,) * (AXES - 1) + (prod(indices.shape),), width, (*nothing, width), (*nothing, 0),
        (*nothing, 1), kind, 1, 0, (count,) + (0,) * (KEYS - 1),
        (width,) + (0,) * (KEYS - 1), False, -1 if ignored is None else ignored,
        count * width if is_written else 0,
    )  # fmt: skip
