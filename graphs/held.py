"""The fields of a storage, and how often any has moved: what compiled code reads at each run."""

from __future__ import annotations

from typing import Any

from numpy import copyto, ndarray

_moves = 0


class Held:
    """An array with a count of the writes to it, and a name. `Storage` adds the rest."""

    __slots__ = ("array", "name", "version")


def new_held(kind: Any, array: Any) -> Any:
    """What holds an array that nobody has written to, of a class."""
    held = kind.__new__(kind)
    held.array = array
    held.version = 0
    held.name = None
    return held


def overwrite(held: Any, new: Any) -> bool:
    """Write an array of the same shape and dtype, in place; False for all others."""
    old = held.array
    if type(old) is not ndarray or type(new) is not ndarray:
        return False
    if old.dtype != new.dtype or old.shape != new.shape:
        return False
    copyto(old, new)
    held.version += 1
    return True


def count_writes(rows: dict[int, tuple[Any, ...]], given: tuple[Any, ...]) -> None:
    """Say that storages were written, in place: of each row for which something is given."""
    for position, row in rows.items():
        if given[position] is not None:
            for held in row:
                held.version += 1


def moves() -> int:
    """How often any storage has got other memory: what plans were made for may be gone."""
    return _moves


def note_move() -> None:
    """Say that a storage has got other memory."""
    global _moves
    _moves += 1
