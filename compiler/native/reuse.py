"""Reuse: results that lie where operands lay that nothing reads any more."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from ...graphs.ir import Node, Value
from ...graphs.regions import FUSED
from .buffers import Buffer, Room
from .copies import JOINS, part_of
from .extents import most
from .layout import Layout, are_apart, dense_strides, order_of
from .overwriting import overwritable, read_whole

if TYPE_CHECKING:
    from .scope import Scope

LINE = 64  # bytes that follow each other, at least, in memory that has gaps


class Readers:
    """What is still to be read of the values that a scope computes, and of views of them."""

    def __init__(self) -> None:
        self._where: dict[Value, Layout] = {}
        # By buffer, bytes and first byte: a joined value has hundreds of parts, of few lengths.
        self._left: dict[tuple[Buffer, int, int], dict[Value, int]] = {}
        self._begins: dict[Buffer, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))

    def __contains__(self, value: Value) -> bool:
        return value in self._where

    def add(self, value: Value, layout: Layout, count: int) -> None:
        """Note where a value lies that will be read so many times."""
        self._where[value] = layout
        key = buffer, length, begin = _place(layout)
        if key not in self._left:
            self._left[key] = {}
            insort(self._begins[buffer][length], begin)
        self._left[key][value] = count

    def read(self, value: Value) -> None:
        """Note that a value has been read."""
        if value in self:
            self._left[_place(self._where[value])][value] -= 1

    def is_last(self, value: Value, after: Mapping[Value, int]) -> bool:
        """Whether a value is read no more when each has been read as often as `after` says."""
        return self._left[_place(self._where[value])][value] <= after.get(value, 0)

    def of(self, layout: Layout, after: Mapping[Value, int]) -> Iterator[Value]:
        """The values that may have elements in common with a layout and are still to be read when
        each has been read as often as `after` says."""
        buffer, (low, high) = layout.buffer, layout.span
        for length, begins in self._begins[buffer].items():
            for begin in begins[bisect_right(begins, low - length) : bisect_left(begins, high)]:
                for value, count in self._left[buffer, length, begin].items():
                    is_read = count > after.get(value, 0)
                    if is_read and not are_apart(self._where[value], layout):
                        yield value


def _place(layout: Layout) -> tuple[Buffer, int, int]:
    low, high = layout.span
    return layout.buffer, high - low, low


# -- one result over one operand ---------------------------------------------------------------


def place_over_operands(scope: Scope, node: Node, *others: Node) -> None:
    """Give results of a node the places of operands that nothing reads but this node, and others
    that are computed together with it."""
    for result in filter(scope.is_placed, node.outputs):  # what is joined may need these places
        scope.layout_of(result, node if node.op is FUSED else None)
    reads, whole = Counter(v for n in (node, *others) for v in n.inputs), read_whole(node)
    for result, operands in overwritable(node).items():
        for operand in reads:
            layout = scope.env[operand]
            if (
                operand in operands
                and operand in scope.readers
                and scope.readers.is_last(operand, reads)
                and not scope.is_placed(result)
                and _is_good_room(layout)
                and _gives_way_to_element(scope, layout, reads, whole)
            ):
                scope.define(result, layout)
                break


def place_over_whole(scope: Scope, node: Node) -> None:
    """Give a copy of its first operand, but for a part, the place of that operand, where nothing
    else reads it."""
    [result], (whole, part) = node.outputs, node.inputs
    layout, reads = scope.env[whole], Counter(node.inputs)
    if (
        whole in scope.readers
        and scope.readers.is_last(whole, reads)
        and not scope.is_placed(result)
        and _is_good_room(layout)
        and _gives_way_to_element(scope, layout, reads, {part})
    ):
        scope.define(result, layout)


def _is_good_room(layout: Layout) -> bool:
    """Whether results may lie as an operand does: without gaps, or in whole lines."""
    if not isinstance(layout.buffer, Room) or layout.moving:
        return False
    if layout.strides == dense_strides(layout.shape, order_of(layout)):
        return True
    run = layout.shape[-1] * layout.dtype.itemsize
    return layout.strides[-1] == 1 and run >= LINE and _is_one_to_one(layout)


def _is_one_to_one(layout: Layout) -> bool:
    """Whether no two elements share memory: each axis steps over all of the faster ones."""
    reach = 0
    for stride, size in sorted(zip(layout.strides, layout.shape)):
        if size > 1:
            if stride <= reach:
                return False
            reach += (most(size) - 1) * stride
    return True


def _gives_way_to_element(
    scope: Scope, layout: Layout, reads: Mapping[Value, int], whole: Collection[Value]
) -> bool:
    """Whether a node is the last to read what lies at a layout, and that element by element.

    Parameters
    ----------
    scope : Scope
    layout : Layout
    reads : mapping
        How often the node reads its operands.
    whole : collection of Value
        Those of which it reads more than an element for an element.
    """
    for value in reads:
        there = scope.env[value]
        shares = there.buffer is layout.buffer
        if shares and (value in whole if there == layout else not are_apart(there, layout)):
            return False
    return next(scope.readers.of(layout, reads), None) is None


# -- a joined value over what its parts are computed of ----------------------------------------


def place_over_parts(scope: Scope, fresh: Layout, joined: Value, maker: Node) -> Layout | None:
    """A place for a joined value of which a fused node is about to make the first part: where
    values lie that give way to its parts, each to one that is computed of it, or later.

    Parameters
    ----------
    scope : Scope
    fresh : Layout
        How it would lie in memory of its own.
    joined : Value
    maker : Node
    """
    operands = overwritable(maker)
    for part, node, layout in _parts(scope, joined, fresh):
        for operand in operands.get(part, ()) if node is maker else ():
            there = scope.env[operand]
            whole = replace(fresh, buffer=there.buffer, offset=there.offset - layout.offset)
            if (
                operand in scope.readers
                and isinstance(there.buffer, Room)
                and not there.moving
                and there.strides == layout.strides
                and whole.span[0] >= 0
                and whole.span[1] <= there.buffer.nbytes
                and _gives_way_to_parts(scope, whole, joined, maker)
            ):
                return whole
    return None


def _parts(scope: Scope, joined: Value, layout: Layout) -> Iterator[tuple[Value, Node, Layout]]:
    """The parts of a joined value, what computes or copies each, and where it lies then."""
    node = joined.node
    for position, value in enumerate(node.inputs):
        part = part_of(node, layout, position)
        if not scope.is_part(value, node, position):
            yield value, node, part
        elif value.node.op.name in JOINS:
            yield from _parts(scope, value, part)
        else:
            yield value, value.node, part


def _gives_way_to_parts(scope: Scope, layout: Layout, joined: Value, maker: Node) -> bool:
    """Whether all that is still to be read where a joined value would lie is read before its part
    in that very place is computed, or for it, element by element."""
    parts: dict[Any, tuple[Value, Node]] = {
        (part.offset, part.shape, part.strides): (value, node)
        for value, node, part in _parts(scope, joined, layout)
    }
    over, position = cache(overwritable), scope.position
    now = position[maker]
    for value in scope.readers.of(layout, {}):
        lies = scope.env[value]
        part, node = parts.get((lies.offset, lies.shape, lies.strides), (None, None))
        if node is None or part is None or node.op is not FUSED or value in scope.outputs:
            return False
        for user in value.uses:
            at = position.get(user, len(position))
            is_before = at < now or (at < position[node] and not user.op.view)
            if not is_before and not (user is node and value in over(node).get(part, ())):
                return False
    return True
