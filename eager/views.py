"""A change in place of a view, recorded: its base gets the history of what the view became."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..graphs.errors import TapeError
from ..graphs.ops import expand_dims, permute_dims, reshape, squeeze
from ..graphs.ops.core import Bound
from ..graphs.ops.indexing import setitem
from .style import EAGER

# From what a view became to what that makes of the tensor it was taken of, per operator.
_UNDONE: dict[str, Callable[[Any, Any, dict[str, Any]], Any]] = {
    "expand_dims": lambda new, source, attrs: squeeze(new, attrs["axis"]),
    "getitem": lambda new, source, attrs: setitem(source, new, attrs["index"]),
    "permute_dims": lambda new, source, attrs: permute_dims(new, _inverse(attrs["axes"])),
    "reshape": lambda new, source, attrs: reshape(new, source.shape),
    "squeeze": lambda new, source, attrs: expand_dims(new, attrs["axis"]),
}


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
        undo = _UNDONE.get(bound.op.name)
        if undo is None:
            raise TapeError(
                "in place: a recorded change must be of a view by indexing or of shape, got a view "
                f"by {bound.op.name}; assign through the base, as base[index] = value"
            )
        new = undo(new, source, bound.attrs)
    return new


def retaken(source: Any, bound: Bound) -> Any:
    """A view taken anew of what has another history now."""
    return EAGER.call(bound.op, (source,), tuple(bound.attrs.values()))


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))
