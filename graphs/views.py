"""Views undone: from what a view becomes to what that makes of the array it was taken of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .bound import Bound
from .ops import expand_dims, permute_dims, reshape, squeeze
from .ops.indexing import setitem

_UNDONE: dict[str, Callable[[Any, Any, dict[str, Any]], Any]] = {
    "expand_dims": lambda new, source, attrs: squeeze(new, attrs["axis"]),
    "getitem": lambda new, source, attrs: setitem(source, new, attrs["index"]),
    "permute_dims": lambda new, source, attrs: permute_dims(new, _inverse(attrs["axes"])),
    "reshape": lambda new, source, attrs: reshape(new, source.shape),
    "squeeze": lambda new, source, attrs: expand_dims(new, attrs["axis"]),
}


def can_undo(bound: Bound) -> bool:
    """Whether a view is by an operator of which `undone` knows."""
    return bound.name in _UNDONE


def undone(bound: Bound, new: Any, source: Any) -> Any:
    """What `source` becomes when the view of it that `bound` takes becomes `new`."""
    return _UNDONE[bound.name](new, source, bound.attrs)


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))
