"""The fields of a storage, which compiled code fills in."""

from __future__ import annotations

from typing import Any


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
