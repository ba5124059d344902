"""Layouts: where the elements of a value lie. Views change the layout and nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from ...graphs.avals import Aval
from ...graphs.kernels.shapes.structs import broadcast_strides
from ...graphs.ops.core import Bound
from .buffers import Buffer
from .extents import Extent, OpenSizeError, are_open, least, most

# A part of an address that changes from round to round: the loop's variable, elements a round.
Moving = tuple[str, int]


@dataclass(frozen=True)
class Layout:
    """A value's elements in memory.

    Attributes
    ----------
    buffer : Buffer
    dtype : numpy.dtype
    shape, strides : tuple of int
        Strides in elements.
    offset : int
        In elements.
    moving : tuple of Moving
        Within loops: what to add for each loop's variable.
    """

    buffer: Buffer
    dtype: np.dtype
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0
    moving: tuple[Moving, ...] = field(default=())

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @cached_property
    def is_dense(self) -> bool:
        """Whether elements follow each other in row-major order."""
        return self.strides == dense_strides(self.shape) or self.size <= 1

    @cached_property
    def span(self) -> tuple[int, int]:
        """First byte and the one after the last, from the start of the buffer, in round 0."""
        if not self.size:
            return (0, 0)
        ends = [(most(n) - 1) * s for n, s in zip(self.shape, self.strides)]
        low = least(self.offset) + sum(e for e in ends if e < 0)
        high = most(self.offset) + sum(e for e in ends if e > 0) + 1
        return (low * self.dtype.itemsize, high * self.dtype.itemsize)

    def is_at(self, other: Layout) -> bool:
        """Whether another layout of the same shape shows the same elements."""
        steps = zip(self.shape, self.strides, other.strides)
        return (
            self.buffer is other.buffer
            and (self.dtype, self.offset, self.moving) == (other.dtype, other.offset, other.moving)
            and all(a == b for n, a, b in steps if n != 1)
        )

    def row(self, moving: Moving) -> Layout:
        """One entry along the first axis, at the position of a loop's variable."""
        return replace(
            self, shape=self.shape[1:], strides=self.strides[1:], moving=(*self.moving, moving)
        )


def are_apart(a: Layout, b: Layout) -> bool:
    """Whether two layouts of one buffer certainly have no element in common, in round 0."""
    (low, high), (begin, end) = a.span, b.span
    if high <= begin or end <= low:
        return True
    if (a.is_dense and (low <= begin or end <= high)) or (
        b.is_dense and (begin <= low or high <= end)
    ):
        return False  # the first or the last element of the one lies amid the other
    steps = {abs(s) for s in (*a.strides, *b.strides)} if a.dtype == b.dtype else set()
    return any(_in_other_columns(a, b, step) for step in steps if step > 1)


def _in_other_columns(a: Layout, b: Layout, step: int) -> bool:
    """Whether two layouts use different columns of a matrix with rows of so many elements."""
    columns = []
    for layout in (a, b):
        inner = [(most(n) - 1) * s for n, s in zip(layout.shape, layout.strides) if abs(s) < step]
        if any(s % step for s in layout.strides if abs(s) >= step):
            return False
        first = (layout.offset + sum(e for e in inner if e < 0)) % step
        columns.append((first, first + sum(map(abs, inner)) + 1))
    (low, high), (begin, end) = columns
    return max(high, end) <= step and (high <= begin or end <= low)


def sizes(aval: Aval) -> tuple[Any, ...]:
    """The shape of an aval of a graph that is concrete, whose sizes are known or open."""
    return tuple(n if isinstance(n, Extent) else int(n) for n in aval.shape)


def dense(buffer: Buffer, aval: Aval, order: tuple[int, ...] | None = None) -> Layout:
    """A buffer's elements without gaps; see `dense_strides`."""
    shape = sizes(aval)
    return Layout(buffer, aval.dtype, shape, dense_strides(shape, order))


def dense_strides(shape: tuple[int, ...], order: tuple[int, ...] | None = None) -> tuple[int, ...]:
    """Strides of memory without gaps, with the axes of `order` from slowest to fastest."""
    strides = [0] * len(shape)
    step = 1
    for axis in reversed(order if order is not None else range(len(shape))):
        strides[axis] = step
        step *= max(shape[axis], 1)
    return tuple(strides)


def order_of(layout: Layout) -> tuple[int, ...]:
    """The axes from the slowest to the fastest."""
    axes = range(len(layout.shape))
    return tuple(sorted(axes, key=lambda a: (-abs(layout.strides[a]), a)))


def viewed(view: Bound, layout: Layout) -> Layout | None:
    """The layout of a view operator's result; None where the elements must be copied."""
    shape = sizes(view.outs[0])
    if view.op.name == "stop_gradient":
        return layout
    if layout.size == 0:
        return replace(layout, shape=shape, strides=dense_strides(shape))
    rule = _RULES.get(view.op.name)
    found = rule(view.attrs, layout, shape) if rule is not None else None
    if found is None:
        return None
    offset, strides = found
    return replace(layout, shape=shape, strides=strides, offset=layout.offset + offset)


def reshaped(layout: Layout, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Strides of the same elements in another shape; None where no strides do."""
    old = [(n, s) for n, s in zip(layout.shape, layout.strides) if n != 1]
    strides = [0] * len(shape)
    axis = len(old) - 1
    room, step = old[axis] if old else (1, 1)
    for position in reversed(range(len(shape))):
        size = shape[position]
        if size == 1:
            continue
        while room == 1 and axis > 0:
            axis -= 1
            room, step = old[axis]
        # Axes that follow each other without a gap are one.
        while room % size and axis > 0:
            outer, outer_step = old[axis - 1]
            if outer_step != step * room:
                return None
            axis, room = axis - 1, room * outer
        if room % size:
            return None
        strides[position] = step
        room, step = room // size, step * size
    return tuple(strides)


def _permuted(attrs: Any, layout: Layout, shape: Any) -> Any:
    return 0, tuple(layout.strides[a] for a in attrs["axes"])


def _reshape(attrs: Any, layout: Layout, shape: Any) -> Any:
    strides = reshaped(layout, shape)
    return None if strides is None else (0, strides)


def broadcast(layout: Layout, shape: tuple[int, ...]) -> Layout:
    """A layout seen as one of a shape that it broadcasts to."""
    strides = broadcast_strides(layout.shape, layout.strides, len(shape))
    return replace(layout, shape=shape, strides=strides)


def _broadcast(attrs: Any, layout: Layout, shape: Any) -> Any:
    return 0, broadcast(layout, shape).strides


def _sliced(attrs: Any, layout: Layout, shape: Any) -> Any:
    """Of an index in normal form; a None in it is a new axis."""
    index = attrs["index"]
    offset, strides, axis = 0, [], 0
    for item in index:
        if item is None:
            strides.append(0)
            continue
        step = layout.strides[axis]
        if isinstance(item, tuple):
            start, stride = _begin(item, layout.shape[axis])
            offset += start * step
            strides.append(step * stride)
        else:
            offset += _within(item, layout.shape[axis]) * step
        axis += 1
    strides += layout.strides[axis:]
    return offset, tuple(strides)


def _begin(item: tuple[Any, Any, Any], size: Any) -> tuple[Any, int]:
    """Where a slice of an axis begins, 0 where it is empty, and its step."""
    if item == (None, None, None):
        return 0, 1
    start, stop, stride = item
    if are_open([n for n in (size, start, stop) if n is not None]):
        return _begin_of_open(start, stop, stride, size)
    start, stop, stride = slice(*item).indices(size)
    return start if len(range(start, stop, stride)) else 0, stride


def _begin_of_open(start: Any, stop: Any, stride: Any, size: Any) -> tuple[Any, int]:
    """The same where sizes are open: a slice that is within the axis whatever they are."""
    if (start, stop, stride) == (None, None, -1):
        return size - 1, -1
    if stride not in (1, None) or not 0 <= start <= stop <= size:
        raise OpenSizeError("slices beyond an end")
    return start, 1


def _within(index: Any, size: Any) -> Any:
    """An index from 0."""
    if not isinstance(size, Extent):
        return int(index)
    place = index + size if index < 0 else index
    if not 0 <= place < size:
        raise OpenSizeError("an index beyond an end")
    return place


def _diagonal(attrs: Any, layout: Layout, shape: Any) -> Any:
    below, right = max(-attrs["offset"], 0), max(attrs["offset"], 0)
    *rest, row, column = layout.strides
    if are_open(layout.shape[-2:]):
        raise OpenSizeError("a diagonal")
    return below * row + right * column, (*rest, row + column)


_RULES: dict[str, Any] = {
    "permute_dims": _permuted,
    "reshape": _reshape,
    "expand_dims": _reshape,
    "squeeze": _reshape,
    "broadcast_to": _broadcast,
    "getitem": _sliced,
    "diagonal": _diagonal,
}
# Views of all elements in their order.
RESHAPES = frozenset(name for name, rule in _RULES.items() if rule is _reshape)
