"""Carries: where a loop keeps what one round hands to the next.

What is computed of the carry before, element by element, is computed over it. Where the values of a
carry are stacked anyway, the stack holds it, with a row more. Any other one has two places that
take turns, so a round reads one and writes the other.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ...graphs.dims import Size
from ...graphs.ir import Node, Value
from ...graphs.kernels.shapes.structs import aligned
from .extents import Extent, most
from .layout import Layout, dense, dense_strides, sizes
from .overwriting import overwriting
from .support import is_placeable

if TYPE_CHECKING:
    from .scope import Scope


@dataclass
class Carry:
    """Where a carry lies.

    Attributes
    ----------
    first, final : Layout
        Before the first round, and after the last one.
    read, written : Layout
        What a round begins with, and what it makes.
    """

    first: Layout
    final: Layout
    read: Layout
    written: Layout


def place_carries(scope: Scope, node: Node, name: str, length: Size | Layout | None) -> list[Carry]:
    """Where the carries of a loop lie; they hold what the loop begins with."""
    stacks = _stacks_that_carry(scope, node, length) if isinstance(length, int | Extent) else {}
    steady = _steady(node, stacks)
    carries = []
    for i, value in enumerate(node.inputs[: node.attrs["carries"]]):
        if i in stacks and isinstance(length, int | Extent):
            carry = _carry_in_stack(scope, node, *stacks[i], name, length)
        elif i in steady:
            carry = _carry_in_place(scope, node.outputs[i])
        else:
            carry = _carry_in_turns(scope, value, name, length)
        scope.copy(scope.env[value], carry.first)
        carries.append(carry)
    return carries


def settle(scope: Scope, node: Node, carries: list[Carry]) -> None:
    """Say where the carries lie after the last round.

    Where this depends on the number of rounds, they go to a place that does not.
    """

    def is_read(value: Value) -> bool:
        return bool(value.uses) or value in scope.outputs

    for value, carry in zip(node.outputs, carries):
        if scope.is_placed(value) or (carry.final.moving and is_read(value)):
            scope.copy(carry.final, scope.layout_of(value))
        else:
            scope.define(value, carry.final)


def _steady(node: Node, stacks: Collection[int]) -> set[int]:
    """The carries that rounds overwrite in place, or hand on as they are."""
    body, feed = node.attrs["bodies"][-1], node.attrs["feeds"][-1]
    pairs = {}
    for i, made in enumerate(body.outputs[: node.attrs["carries"]]):
        begins = [p for p, f in zip(body.placeholders.values(), feed) if f == i]
        if len(begins) == 1 and i not in stacks and begins[0] in {made, *made.node.inputs}:
            pairs[i] = (begins[0], made)
    steady = {held for held, _ in overwriting(body, pairs.values())[0]}
    return {i for i, (held, _) in pairs.items() if held in steady}


def _carry_in_place(scope: Scope, result: Value) -> Carry:
    """The place of the result."""
    if scope.is_placed(result):
        layout = scope.layout_of(result)
    else:
        layout = scope.top.room(result.aval, f"carry {result.name}")
    return Carry(layout, layout, layout, layout)


def _carry_in_turns(scope: Scope, value: Value, name: str, length: Size | Layout | None) -> Carry:
    """Two places: a round reads one and writes the other."""
    nbytes = aligned(most(value.aval.nbytes))
    step = nbytes // value.dtype.itemsize
    first = dense(scope.top.buffer(2 * nbytes, f"carry {value.name}"), value.aval)
    if isinstance(length, int):
        final = replace(first, offset=step) if length % 2 else first
    else:
        final = replace(first, moving=((f"last_{name}", step),))
    return Carry(
        first=first,
        final=final,
        read=replace(first, moving=((f"even_{name}", step),)),
        written=replace(first, moving=((f"odd_{name}", step),)),
    )


def _stacks_that_carry(scope: Scope, node: Node, length: Size) -> dict[int, tuple[Value, bool]]:
    """Carries whose values are stacked anyway.

    From each one's number to the stack, and whether this holds what a round begins with, not what
    it makes.
    """
    found: dict[int, tuple[Value, bool]] = {}
    if not length:
        return found
    [body], [feed] = node.attrs["bodies"], node.attrs["feeds"]
    count = node.attrs["carries"]
    carried = body.outputs[:count]
    used: set[Value] = set()
    for i, made in enumerate(carried):
        if sum(v is made for v in carried) != 1:
            continue
        begins = {p for p, f in zip(body.placeholders.values(), feed) if f == i}
        for value, stack in zip(body.outputs[count:], node.outputs[count:]):
            holds = value in begins or (value is made and is_placeable(value))
            if holds and stack not in used and not scope.is_placed(stack):
                found[i] = (stack, value in begins)
                used.add(stack)
                break
    return found


def _carry_in_stack(
    scope: Scope, node: Node, stack: Value, holds_starts: bool, name: str, length: Size
) -> Carry:
    """A stack with one row more, which the carry goes through."""
    shape = sizes(stack.aval)
    strides = dense_strides(shape)
    row = math.prod(shape[1:])
    buffer = scope.top.buffer(
        (most(length) + 1) * row * stack.dtype.itemsize, f"stack {stack.name}"
    )
    reverse = bool(node.attrs["reverse"])
    # Going up, a round reads row t and writes row t + 1; going down, the other way round.
    reads, writes = (row, 0) if reverse else (0, row)
    shown = reads if holds_starts else writes
    scope.define(stack, Layout(buffer, stack.dtype, shape, strides, shown))
    one = Layout(buffer, stack.dtype, shape[1:], strides[1:])
    moving = ((f"at_{name}", row),)
    end: Any = length * row
    return Carry(
        first=replace(one, offset=end if reverse else 0),
        final=replace(one, offset=0 if reverse else end),
        read=replace(one, offset=reads, moving=moving),
        written=replace(one, offset=writes, moving=moving),
    )
