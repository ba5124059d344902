"""The executors, from plain to fast: by name, what makes one of a selection and names of passes."""

from collections.abc import Callable, Collection
from typing import Any

from ..selection import Selection
from .planned import Planned
from .reference import Reference


def _native(selection: Selection, passes: Collection[str]) -> Any:
    from .native import Native  # whoever compiles nothing need not load all of it

    return Native(selection, passes)


EXECUTORS: dict[str, Callable[[Selection, Collection[str]], Any]] = {
    "reference": lambda selection, passes: Reference(selection.graph),
    "planned": lambda selection, passes: Planned(selection.graph),
    "native": _native,
}

__all__ = ["EXECUTORS", "Planned", "Reference"]
