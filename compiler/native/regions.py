"""Regions: loops, branches and bodies that run in place, as statements around those of a body.

A carry of a loop has two places that take turns, so a round reads one and writes the other. Where
its values are stacked anyway, the stack holds it, with a row more. What is stacked in a number of
rounds that depends on data lies in memory that grows: see `stacks`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...graphs.ir import Node, Value
from ...graphs.ops.core import Op
from ...graphs.regions import CHECKPOINT, COND, SCAN, WHILE
from ..arena import aligned
from .buffers import Entries
from .copies import zeros_like
from .layout import Layout, dense, dense_strides, sizes
from .stacks import count_of, sized_like, stack_of
from .statements import Branch, Loop, Statement, While
from .support import is_native, is_placeable

if TYPE_CHECKING:
    from .scope import Scope


def lowers_region(node: Node) -> bool:
    """Whether a node is a region that has native code."""
    if node.op is CHECKPOINT:
        return not any(aval.is_symbolic for aval in node.bound.outs)
    return node.op in _LOWER and is_native(node)


def lower_region(scope: Scope, node: Node) -> None:
    """Append what runs a region to a scope's statements."""
    _LOWER[node.op](scope, node)


def _lower_checkpoint(scope: Scope, node: Node) -> None:
    """The body runs once, in place of the node."""
    [body], [feed] = node.attrs["bodies"], node.attrs["feeds"]
    results = [scope.layout_of(v) for v in node.outputs]
    operands = [scope.env[node.inputs[i]] for i in feed]
    scope.run(body, operands, results, scope.statements, scope.in_loop)


# -- scan ------------------------------------------------------------------------------------


@dataclass
class _Carry:
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


def _lower_scan(scope: Scope, node: Node) -> None:
    attrs, top = node.attrs, scope.top
    count, slices = attrs["carries"], attrs["xs"]
    [body], [feed] = attrs["bodies"], attrs["feeds"]
    along = [scope.env[v] for v in node.inputs[count : count + slices]]
    length = _length(node, along)
    name = top.fresh("t")
    carries = _carries(scope, node, name, length)
    inside = [carry.read for carry in carries]
    inside += [layout.row((f"at_{name}", layout.strides[0])) for layout in along]
    inside += [scope.env[v] for v in node.inputs[count + slices :]]
    after = [carry.written for carry in carries]
    for stack in _stacks(scope, node, length):
        top.lives.touch(stack.buffer)  # rounds fill it, so it is in use from the first one on
        after.append(stack.row((f"at_{name}", stack.strides[0])))
    loop = Loop(name, length, bool(attrs["reverse"]))
    top.lives.enter()
    operands = [inside[i] for i in feed]
    scope.run(body, operands, after, loop.body, True, scope.statements)
    top.lives.leave()
    scope.statements.append(loop)
    _settle(scope, node, carries)


def _length(node: Node, along: list[Layout]) -> int | Layout:
    """The number of rounds: known, or that of the entries of a stack along which a loop goes."""
    lengths = [v.shape[0] for v in node.inputs[node.attrs["carries"] :][: len(along)]]
    for length in (*lengths, node.attrs["length"]):
        if isinstance(length, int):
            return length
    return next(count_of(x.buffer.stack) for x in along if isinstance(x.buffer, Entries))


def _stacks(scope: Scope, node: Node, length: int | Layout) -> list[Layout]:
    """Where the outputs of all rounds go."""
    values = node.outputs[node.attrs["carries"] :]
    if isinstance(length, int):
        return [scope.layout_of(v) for v in values]
    if not values:
        return []
    stack, layouts = stack_of(values, f"stack {values[0].name}")
    scope.call(sized_like(length, stack, scope.top.threads))
    for value, layout in zip(values, layouts):
        scope.define(value, layout)
    return layouts


def _carries(scope: Scope, node: Node, name: str, length: int | Layout | None) -> list[_Carry]:
    """Where the carries of a loop lie; they hold what the loop begins with."""
    stacks = _stacks_that_carry(scope, node, length) if isinstance(length, int) else {}
    carries = []
    for i, value in enumerate(node.inputs[: node.attrs["carries"]]):
        if i in stacks and isinstance(length, int):
            carry = _carry_in_stack(scope, node, *stacks[i], name, length)
        else:
            carry = _carry_in_turns(scope, value, name, length)
        scope.copy(scope.env[value], carry.first)
        carries.append(carry)
    return carries


def _settle(scope: Scope, node: Node, carries: list[_Carry]) -> None:
    """Say where the carries lie after the last round.

    Where this depends on the number of rounds, they go to a place that does not.
    """
    for value, carry in zip(node.outputs, carries):
        if carry.final.moving:
            scope.copy(carry.final, scope.layout_of(value))
        else:
            scope.define(value, carry.final)


def _carry_in_turns(scope: Scope, value: Value, name: str, length: int | Layout | None) -> _Carry:
    """Two places: a round reads one and writes the other."""
    nbytes = aligned(int(value.aval.nbytes))
    step = nbytes // value.dtype.itemsize
    first = dense(scope.top.buffer(2 * nbytes, f"carry {value.name}"), value.aval)
    if isinstance(length, int):
        final = replace(first, offset=step) if length % 2 else first
    else:
        final = replace(first, moving=((f"last_{name}", step),))
    return _Carry(
        first=first,
        final=final,
        read=replace(first, moving=((f"even_{name}", step),)),
        written=replace(first, moving=((f"odd_{name}", step),)),
    )


def _stacks_that_carry(scope: Scope, node: Node, length: int) -> dict[int, tuple[Value, bool]]:
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
            holds = value in begins or (value is made and is_placeable(value.node))
            if holds and stack not in used and not scope.is_placed(stack):
                found[i] = (stack, value in begins)
                used.add(stack)
                break
    return found


def _carry_in_stack(
    scope: Scope, node: Node, stack: Value, holds_starts: bool, name: str, length: int
) -> _Carry:
    """A stack with one row more, which the carry goes through."""
    shape = sizes(stack.aval)
    strides = dense_strides(shape)
    row = math.prod(shape[1:])
    buffer = scope.top.buffer((length + 1) * row * stack.dtype.itemsize, f"stack {stack.name}")
    reverse = bool(node.attrs["reverse"])
    # Going up, a round reads row t and writes row t + 1; going down, the other way round.
    reads, writes = (row, 0) if reverse else (0, row)
    shown = reads if holds_starts else writes
    scope.define(stack, Layout(buffer, stack.dtype, shape, strides, shown))
    one = Layout(buffer, stack.dtype, shape[1:], strides[1:])
    moving = ((f"at_{name}", row),)
    return _Carry(
        first=replace(one, offset=length * row if reverse else 0),
        final=replace(one, offset=0 if reverse else length * row),
        read=replace(one, offset=reads, moving=moving),
        written=replace(one, offset=writes, moving=moving),
    )


# -- while and cond --------------------------------------------------------------------------


def _lower_while(scope: Scope, node: Node) -> None:
    top, count = scope.top, node.attrs["carries"]
    name = top.fresh("w")
    asks, goes = node.attrs["bodies"]
    carries = _carries(scope, node, name, None)
    state = [*(carry.read for carry in carries), *(scope.env[v] for v in node.inputs[count:])]
    made = [carry.written for carry in carries]
    loop = While(name, top.room(asks.outputs[0].aval, f"condition {name}"))
    kept = node.outputs[count:]
    if kept:
        loop.stack, layouts = stack_of(kept, f"stack {kept[0].name}")
        for value, layout in zip(kept, layouts):
            scope.define(value, layout)
            made.append(layout.row((f"at_{name}", layout.strides[0])))
    asked = loop.condition.buffer
    top.lives.touch(asked)  # every thread reads it in its own time: no round may overwrite it
    top.lives.enter()
    given, fed = ([state[i] for i in feed] for feed in node.attrs["feeds"])
    scope.run(asks, given, [loop.condition], loop.asks, True)
    scope.run(goes, fed, made, loop.body, True)
    top.lives.touch(asked)
    top.lives.leave()
    scope.statements.append(loop)
    _settle(scope, node, carries)


def _lower_cond(scope: Scope, node: Node) -> None:
    lives = scope.top.lives
    results = [None if v.aval.is_symbolic else scope.layout_of(v) for v in node.outputs]
    condition = scope.env[node.inputs[0]]
    lives.touch(condition.buffer)
    branch = Branch(condition)
    feeds = [[scope.env[node.inputs[i]] for i in feed] for feed in node.attrs["feeds"]]
    shared = [layout for layout in results if layout is not None]
    for layout in shared:
        lives.touch(layout.buffer)
    for body, operands in zip(node.attrs["bodies"], feeds):
        statements: list[Statement] = []
        for layout in operands:
            lives.touch(layout.buffer)
        found = scope.run(body, operands, results, statements, scope.in_loop)
        for layout in (*operands, *shared):  # one branch must not take what the other needs
            lives.touch(layout.buffer)
        branch.bodies.append(statements)
        for value, layout in zip(node.outputs, found):
            if value.aval.is_symbolic and isinstance(layout.buffer, Entries):
                scope.define(value, layout)
    _clear_others(scope, node, branch)
    scope.statements.append(branch)


def _clear_others(scope: Scope, node: Node, branch: Branch) -> None:
    """A branch that does not fill a stack leaves none of an earlier round or run."""
    for body, statements in zip(node.attrs["bodies"], branch.bodies):
        missed = {}
        for value, made in zip(node.outputs, body.outputs):
            buffer = scope.env[value].buffer
            if value.aval.is_symbolic > made.aval.is_symbolic and isinstance(buffer, Entries):
                missed[buffer.stack] = count_of(buffer.stack)
        for count in missed.values():
            scope.copy(zeros_like(count), count, statements)


_LOWER: dict[Op, Callable[[Scope, Node], None]] = {
    CHECKPOINT: _lower_checkpoint,
    SCAN: _lower_scan,
    WHILE: _lower_while,
    COND: _lower_cond,
}
