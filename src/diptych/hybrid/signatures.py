"""What tells calls of a compiled function apart, and which sizes of its arguments are symbols."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..eager import Tensor
from ..graphs.avals import Aval, aval_of
from ..graphs.dims import Dim
from .reads import aval_of_leaf, is_plain, token

Shapes = Sequence[tuple[int, ...]]
Axis = tuple[int, int]  # which array among the arguments, and which of its axes


def is_array(leaf: Any) -> bool:
    """Whether an argument is known by its aval and not by its numbers."""
    return isinstance(leaf, Tensor | np.ndarray)


def is_equal_by_value(leaf: Any) -> bool:
    """Whether an argument is told from others by a rule of its own class."""
    kind = type(leaf)
    return not is_plain(leaf) and kind.__eq__ is not object.__eq__ and kind.__hash__ is not None


def key_of(leaf: Any) -> Any:
    """What two arguments have in common that one trace may serve."""
    if isinstance(leaf, Tensor):
        return (aval_of(leaf.array), leaf.requires_grad)
    if isinstance(leaf, np.ndarray):
        return (aval_of(leaf), False)
    return (type(leaf), leaf) if is_equal_by_value(leaf) else token(leaf)


def family_of(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """The key of a call without the sizes of its arrays."""
    return tuple(_without_sizes(part) for part in key)


def _without_sizes(part: Any) -> Any:
    if type(part) is tuple and isinstance(part[0], Aval):
        aval, requires_grad = part
        return (len(aval.shape), aval.dtype, aval.device, requires_grad)
    return part


@dataclass
class Family:
    """Calls that differ in nothing but sizes.

    Attributes
    ----------
    first : sequence of shapes or None
        Of the first call.
    axes : set of (int, int)
        Which have had a second size, or are gone along by a loop.
    refusal : str
        Why they are no symbols; empty while they may be.
    """

    first: Shapes | None = None
    axes: set[Axis] = field(default_factory=set)
    refusal: str = ""

    def meet(self, shapes: Shapes) -> None:
        """A call with these shapes is there."""
        if self.first is None:
            self.first = shapes
        self.axes.update(
            (i, axis)
            for i, (now, before) in enumerate(zip(shapes, self.first, strict=True))
            for axis, (n, m) in enumerate(zip(now, before, strict=True))
            if n != m
        )

    def symbolic(self, shapes: Shapes) -> list[tuple[Any, ...]] | None:
        """Shapes with a symbol for each size that varies; None where no size does.

        Sizes that are equal share a symbol, and 0 and 1 stay what they are, since arrays broadcast.
        """
        if self.refusal:
            return None
        varying = {shapes[i][a] for i, a in self.axes if shapes[i][a] > 1}
        names = {n: Dim.symbol(f"n{place}") for place, n in enumerate(sorted(varying))}
        found = [
            tuple([names[n] if (i, a) in self.axes and n > 1 else n for a, n in enumerate(shape)])
            for i, shape in enumerate(shapes)
        ]
        return found if names else None


def resized(leaves: Iterable[Any], shapes: Iterable[tuple[Any, ...]]) -> list[Aval]:
    """The avals of arrays, with other shapes."""
    pairs = zip(map(aval_of_leaf, leaves), shapes, strict=True)
    return [replace(aval, shape=shape) for aval, shape in pairs]
