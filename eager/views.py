"""A change in place of a view, recorded: its base gets the history of what the view became."""

from __future__ import annotations

from typing import Any

from ..graphs.errors import TapeError
from ..graphs.ops.core import Bound
from ..graphs.views import can_undo, undone
from .style import EAGER


def steps(view: Any) -> list[tuple[Any, Any, Bound]]:
    """From a view to its base: each view on the way, what it was taken of, and how."""
    found = []
    while view._base is not None:
        source, bound = view._made
        found.append((view, source, bound))
        view = source
    return found


def base_after(view: Any, result: Any) -> Any:
    """What a change of a view to `result` makes of its base, recorded.

    Raises
    ------
    TapeError
        When the view was taken by an operator that cannot be undone.
    """
    new = result
    for _, source, bound in steps(view):
        if not can_undo(bound):
            raise TapeError(
                "in place: a recorded change must be of a view by indexing or of shape, got a view "
                f"by {bound.name}; assign through the base, as base[index] = value"
            )
        new = undone(bound, new, source)
    return new


def retaken(source: Any, bound: Bound) -> Any:
    """A view taken anew of what has another history now."""
    return EAGER.call(bound.op, (source,), tuple(bound.attrs.values()))
