"""Regions: loops, branches and bodies that run in place, as statements around those of a body.

Where the carries of loops lie is settled in `carries`, and where what is stacked in a number of
rounds that depends on data in `stacks`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...graphs.dims import Size
from ...graphs.ir import Node
from ...graphs.ops.core import Op
from ...graphs.regions import CHECKPOINT, COND, SCAN, WHILE
from .buffers import Entries
from .carries import place_carries, settle
from .copies import zeros_like
from .extents import is_unbounded
from .layout import Layout
from .stacks import count_of, sized_like, stack_of
from .statements import Branch, Loop, Statement, While
from .support import is_grown

if TYPE_CHECKING:
    from .scope import Scope


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


def _lower_scan(scope: Scope, node: Node) -> None:
    attrs, top = node.attrs, scope.top
    count, slices = attrs["carries"], attrs["xs"]
    [body], [feed] = attrs["bodies"], attrs["feeds"]
    along = [scope.env[v] for v in node.inputs[count : count + slices]]
    length = _length(node, along)
    name = top.fresh("t")
    carries = place_carries(scope, node, name, length)
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
    fixed = {p for p, i in zip(body.placeholders.values(), feed) if i >= count + slices}
    scope.run(body, operands, after, loop.body, True, scope.statements, fixed)
    top.lives.leave()
    scope.statements.append(loop)
    settle(scope, node, carries)


def _length(node: Node, along: list[Layout]) -> Size | Layout:
    """The number of rounds: known, or that of the entries of a stack along which a loop goes."""
    lengths = [v.shape[0] for v in node.inputs[node.attrs["carries"] :][: len(along)]]
    for length in (*lengths, node.attrs["length"]):
        if not is_unbounded(length):
            return length
    return next(count_of(x.buffer.stack) for x in along if isinstance(x.buffer, Entries))


def _stacks(scope: Scope, node: Node, length: Size | Layout) -> list[Layout]:
    """Where the outputs of all rounds go."""
    values = node.outputs[node.attrs["carries"] :]
    if not isinstance(length, Layout):
        return [scope.layout_of(v) for v in values]
    if not values:
        return []
    stack, layouts = stack_of(values, f"stack {values[0].name}")
    scope.call(sized_like(length, stack, scope.top.threads))
    for value, layout in zip(values, layouts):
        scope.define(value, layout)
    return layouts


# -- while and cond --------------------------------------------------------------------------


def _lower_while(scope: Scope, node: Node) -> None:
    top, count = scope.top, node.attrs["carries"]
    name = top.fresh("w")
    asks, goes = node.attrs["bodies"]
    carries = place_carries(scope, node, name, None)
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
    settle(scope, node, carries)


def _lower_cond(scope: Scope, node: Node) -> None:
    lives = scope.top.lives
    results = [None if is_grown(v.aval) else scope.layout_of(v) for v in node.outputs]
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
            if is_grown(value.aval) and isinstance(layout.buffer, Entries):
                scope.define(value, layout)
    _clear_others(scope, node, branch)
    scope.statements.append(branch)


def _clear_others(scope: Scope, node: Node, branch: Branch) -> None:
    """A branch that does not fill a stack leaves none of an earlier round or run."""
    for body, statements in zip(node.attrs["bodies"], branch.bodies):
        missed = {}
        for value, made in zip(node.outputs, body.outputs):
            buffer = scope.env[value].buffer
            if is_grown(value.aval) > is_grown(made.aval) and isinstance(buffer, Entries):
                missed[buffer.stack] = count_of(buffer.stack)
        for count in missed.values():
            scope.copy(zeros_like(count), count, statements)


_LOWER: dict[Op, Callable[[Scope, Node], None]] = {
    CHECKPOINT: _lower_checkpoint,
    SCAN: _lower_scan,
    WHILE: _lower_while,
    COND: _lower_cond,
}
