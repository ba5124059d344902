"""Regions: loops, branches and bodies that run in place, as statements around those of a body.

A carry of a loop has two places that take turns, so a round reads one and writes the other. Where
its values are stacked anyway, the stack holds it, with a row more.
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
from .layout import Layout, dense, dense_strides, sizes
from .statements import Branch, Loop, Statement, While
from .support import is_native, is_placeable

if TYPE_CHECKING:
    from .scope import Scope


def lowers_region(node: Node) -> bool:
    """Whether a node is a region that has native code."""
    return node.op is CHECKPOINT or (node.op in _LOWER and is_native(node))


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
    length = sizes(node.inputs[count].aval)[0] if slices else int(attrs["length"])
    name = top.fresh("t")
    stacks = _stacks_that_carry(scope, node, length)
    inside: list[Layout] = []
    after: list[Layout] = []
    for i, (value, result) in enumerate(zip(node.inputs[:count], node.outputs)):
        if i in stacks:
            carry = _carry_in_stack(scope, node, *stacks[i], name, length)
        else:
            carry = _carry_in_turns(scope, value, name, length)
        scope.copy(scope.env[value], carry.first)
        inside.append(carry.read)
        after.append(carry.written)
        scope.define(result, carry.final)
    for value in node.inputs[count : count + slices]:
        layout = scope.env[value]
        inside.append(layout.row((f"at_{name}", layout.strides[0])))
    inside += [scope.env[v] for v in node.inputs[count + slices :]]
    for value in node.outputs[count:]:
        stack = scope.layout_of(value)
        top.lives.touch(stack.buffer)  # rounds fill it, so it is in use from the first one on
        after.append(stack.row((f"at_{name}", stack.strides[0])))
    loop = Loop(name, length, bool(attrs["reverse"]))
    top.lives.enter()
    operands = [inside[i] for i in feed]
    scope.run(body, operands, after, loop.body, True, scope.statements)
    top.lives.leave()
    scope.statements.append(loop)


def _carry_in_turns(scope: Scope, value: Value, name: str, length: int) -> _Carry:
    """Two places: a round reads one and writes the other."""
    nbytes = aligned(int(value.aval.nbytes))
    step = nbytes // value.dtype.itemsize
    first = dense(scope.top.arena(2 * nbytes, f"carry {value.name}"), value.aval)
    second = replace(first, offset=step)
    return _Carry(
        first=first,
        final=second if length % 2 else first,
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
    buffer = scope.top.arena((length + 1) * row * stack.dtype.itemsize, f"stack {stack.name}")
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
    carries = []
    for value, result in zip(node.inputs[:count], node.outputs):
        layout = scope.layout_of(result)
        scope.copy(scope.env[value], layout)
        carries.append(layout)
    state = [*carries, *(scope.env[v] for v in node.inputs[count:])]
    asks, goes = node.attrs["bodies"]
    loop = While(top.room(asks.outputs[0].aval, f"condition {name}"))
    asked = loop.condition.buffer
    top.lives.touch(asked)  # every thread reads it in its own time: no round may overwrite it
    top.lives.enter()
    given, fed = ([state[i] for i in feed] for feed in node.attrs["feeds"])
    scope.run(asks, given, [loop.condition], loop.asks, True)
    made = [top.room(v.aval, f"next {v.name}") for v in node.outputs[:count]]
    scope.run(goes, fed, made, loop.body, True)
    # All rounds' numbers are read before any is replaced.
    for new, carry in zip(made, carries):
        scope.copy(new, carry, loop.body)
    top.lives.touch(asked)
    top.lives.leave()
    scope.statements.append(loop)


def _lower_cond(scope: Scope, node: Node) -> None:
    lives = scope.top.lives
    results = [scope.layout_of(v) for v in node.outputs]
    condition = scope.env[node.inputs[0]]
    lives.touch(condition.buffer)
    branch = Branch(condition)
    feeds = [[scope.env[node.inputs[i]] for i in feed] for feed in node.attrs["feeds"]]
    for layout in results:
        lives.touch(layout.buffer)
    for body, operands in zip(node.attrs["bodies"], feeds):
        statements: list[Statement] = []
        for layout in operands:
            lives.touch(layout.buffer)
        scope.run(body, operands, results, statements, scope.in_loop)
        for layout in (*operands, *results):  # one branch must not take what the other needs
            lives.touch(layout.buffer)
        branch.bodies.append(statements)
    scope.statements.append(branch)


_LOWER: dict[Op, Callable[[Scope, Node], None]] = {
    CHECKPOINT: _lower_checkpoint,
    SCAN: _lower_scan,
    WHILE: _lower_while,
    COND: _lower_cond,
}
