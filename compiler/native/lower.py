"""Lowering: from a graph whose fusable parts are fused to statements over buffers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...graphs.avals import Aval
from ...graphs.ir import ASSIGN, CONSTANT, PLACEHOLDER, VARIABLE, Graph, Node, Value
from ...graphs.ops.core import REGISTRY, Bound
from ...graphs.regions import CHECKPOINT, COND, FUSED, SCAN, WHILE
from .calls import CALLS, WITH_GRADIENT, with_gradient
from .layout import Buffer, Layout, dense_strides, order_of, viewed
from .nest import FULL, Access, Kernel, Plan
from .nests import nest
from .product import WIDTH, Product, packing, product_of_body
from .scalars import C_TYPES
from .statements import Branch, Call, Loop, Python, While

STOP_GRADIENT = REGISTRY["stop_gradient"]
JOINS = ("concat", "stack")
FEW_ROWS = 4  # from which on a product of fixed operands reads them packed
OFTEN = 3  # products by the same matrix from which on it is packed once for all


class Lowering:
    """Lowers a graph without symbolic sizes.

    Parameters
    ----------
    graph : Graph
        After `fuse`.
    order : list of Node
        The order in which to run them; see `schedule`.
    direct : dict
        From each value that is computed straight into a variable to that variable's value.
    threads : int

    Attributes
    ----------
    statements : list
    buffers : list of Buffer
        All of them, in order of first use.
    feeds, outputs : list of Layout
    """

    def __init__(
        self, graph: Graph, order: Sequence[Node], direct: dict[Value, Value], threads: int
    ) -> None:
        self.threads = threads
        self.statements: list[Any] = []
        self.buffers: list[Buffer] = []
        self.position = 0
        self._loops: list[_OpenLoop] = []
        self._life: dict[Buffer, _Life] = {}
        self._names = 0
        self.feeds: list[Layout] = []
        self.outputs: list[Layout] = []
        self._sources: dict[Any, Layout] = {}
        env: dict[Value, Layout] = {}
        for value in graph.placeholders.values():
            buffer = self._buffer("feed", value.aval, f"feed {value.node.attrs['name']}")
            env[value] = self._dense(buffer, value.aval)
            self.feeds.append(env[value])
        places = {v: self._source(variable.node) for v, variable in direct.items()}
        given = self._place_outputs(graph, places)
        scope = _Scope(self, graph, env, places, self.statements)
        scope.copy_given(given)
        for node in order:
            scope.lower(node)
        scope.finish(given)
        scope.commit(direct)

    def _place_outputs(self, graph: Graph, places: dict[Value, Layout]) -> dict[int, Value]:
        """Give each output its memory; those that no node computes into it are copied."""
        copied: dict[int, Value] = {}
        for position, value in enumerate(graph.outputs):
            buffer = self._buffer("output", value.aval, f"output {position}")
            layout = self._dense(buffer, value.aval)
            self.outputs.append(layout)
            if value in places or not is_placeable(value.node):
                copied[position] = value
            else:
                places[value] = layout
        return copied

    def _dense(self, buffer: Buffer, aval: Aval) -> Layout:
        return Layout(buffer, aval.dtype, aval.shape, dense_strides(aval.shape))

    def _buffer(self, kind: str, aval: Aval, label: str, source: Any = None) -> Buffer:
        buffer = Buffer(kind, int(aval.nbytes), label, source)
        self.buffers.append(buffer)
        return buffer

    def _source(self, node: Node) -> Layout:
        """The memory of a variable or constant."""
        held = node.attrs["storage"] if node.op is VARIABLE else node.attrs["array"]
        key = id(held)
        if key not in self._sources:
            array = held.array if node.op is VARIABLE else held
            kind = "variable" if node.op is VARIABLE else "constant"
            buffer = Buffer(kind, array.nbytes, f"{kind} {node.outputs[0].name}", held)
            self.buffers.append(buffer)
            strides = tuple(s // array.itemsize for s in array.strides)
            self._sources[key] = Layout(buffer, array.dtype, array.shape, strides)
        return self._sources[key]

    def arena(self, nbytes: int, label: str) -> Buffer:
        buffer = Buffer("arena", nbytes, label)
        self.buffers.append(buffer)
        return buffer

    # -- when memory is in use ---------------------------------------------------------------

    def touch(self, buffer: Buffer) -> None:
        """Note that the statement at this position uses a buffer."""
        life = self._life.get(buffer)
        if life is None:
            life = self._life[buffer] = _Life(self.position, len(self._loops))
        life.end = max(life.end, self.position)
        if len(self._loops) > life.depth:  # each round needs what was there before the loop
            self._loops[life.depth].held.append(life)

    def touch_before(self, buffer: Buffer) -> None:
        """Note that a buffer is written before the innermost loop and in use until it ends."""
        loop = self._loops[-1]
        life = self._life[buffer] = _Life(loop.begin, len(self._loops) - 1)
        loop.held.append(life)

    def intervals(self) -> list[Buffer]:
        """The buffers of the arena, with `start` and `end` as they are in use."""
        used = []
        for buffer, life in self._life.items():
            if buffer.kind == "arena" and buffer.nbytes:
                buffer.start, buffer.end = life.start, life.end
                used.append(buffer)
        return used

    def enter(self, name: str) -> None:
        self.position += 1
        self._loops.append(_OpenLoop(name, self.position))

    def leave(self) -> None:
        self.position += 1
        for life in self._loops.pop().held:
            life.end = max(life.end, self.position)

    def fresh(self, prefix: str) -> str:
        self._names += 1
        return f"{prefix}{self._names}"


class _OpenLoop:
    def __init__(self, name: str, begin: int) -> None:
        self.name, self.begin = name, begin
        self.held: list[_Life] = []


class _Life:
    def __init__(self, start: int, depth: int) -> None:
        self.start = self.end = start
        self.depth = depth


class _Scope:
    """The nodes of one graph: the outermost one, or a body."""

    def __init__(
        self,
        lowering: Lowering,
        graph: Graph,
        env: dict[Value, Layout],
        places: dict[Value, Layout],
        statements: list[Any],
        in_loop: bool = False,
        before: list[Any] | None = None,
    ) -> None:
        # What is computed once before the loop whose body this is.
        self.before = before
        self.panels: dict[Value, Layout] = {}
        products = (
            n
            for n in graph.nodes
            if n.op is FUSED and product_of_body(n.attrs["bodies"][0]) is not None
        )
        self.rights = Counter(map(right_operand, products))
        self.top, self.graph, self.env, self.places = lowering, graph, env, places
        self.statements, self.in_loop = statements, in_loop
        self.threads = lowering.threads
        # Buffers of this scope, and how many readers are still to come.
        self.readers: dict[Buffer, int] = {}
        self.joined = self._joins()
        self.done: set[Node] = set()  # computed together with an earlier node
        self.outputs = set(graph.outputs)

    def _joins(self) -> dict[Value, tuple[Node, int]]:
        """Values that can be computed straight into their part of a joined one."""
        found: dict[Value, tuple[Node, int]] = {}
        for node in self.graph.nodes:
            if node.op.name in JOINS:
                for position, value in enumerate(node.inputs):
                    free = value not in self.places and value not in found
                    if (
                        free
                        and is_placeable(value.node)
                        and sum(v is value for v in node.inputs) == 1
                    ):
                        found[value] = (node, position)
        return found

    # -- where values lie --------------------------------------------------------------------

    def layout_of(self, value: Value) -> Layout:
        """Where a value that is about to be computed goes."""
        if value in self.env:
            return self.env[value]
        if value in self.places:
            layout = self.places[value]
        elif value in self.joined:
            node, position = self.joined[value]
            layout = part_of(node, self.layout_of(node.outputs[0]), position)
        else:
            buffer = self.top.arena(int(value.aval.nbytes), f"{value.node.op.name} {value.name}")
            strides = dense_strides(value.aval.shape, self._order(value))
            layout = Layout(buffer, value.dtype, value.aval.shape, strides)
        self._define(value, layout)
        return layout

    def _define(self, value: Value, layout: Layout) -> None:
        self.env[value] = layout
        kept = value in self.outputs or layout.buffer.kind != "arena"
        more = len(value.uses) + (1 << 30 if kept else 0)
        self.readers[layout.buffer] = self.readers.get(layout.buffer, 0) + more

    def _order(self, value: Value) -> tuple[int, ...] | None:
        """The axes from slow to fast: as all readers permute them, as the operator likes them, or
        as the operands have them."""
        asked = {u.attrs["axes"] if u.op.name == "permute_dims" else None for u in value.uses}
        if len(asked) == 1 and None not in asked:
            [axes] = asked
            return axes
        node = value.node
        if node.op.name in CALLS:
            return CALLS[node.op.name].order(value)
        for operand in node.inputs:
            layout = self.env.get(operand)
            if layout is not None and layout.shape == value.aval.shape and layout.size > 1:
                order = order_of(layout)
                if layout.strides == dense_strides(layout.shape, order):
                    return order
        return None

    # -- nodes -------------------------------------------------------------------------------

    def lower(self, node: Node) -> None:
        """Append what computes a node."""
        if node.op.effect or node.op is PLACEHOLDER or node in self.done:
            return
        if node.op in (CONSTANT, VARIABLE):
            self._define(node.outputs[0], self.top._source(node))
            return
        if node.op.view:
            self._lower_view(node)
        elif node.op is FUSED:
            self._lower_fused(node)
        elif node.op.name in JOINS:
            self._lower_join(node)
        elif node.op is CHECKPOINT:
            self._lower_body(node, node.attrs["bodies"][0], node.attrs["feeds"][0])
        elif node.op is SCAN and is_native(node):
            self._lower_scan(node)
        elif node.op is WHILE and is_native(node):
            self._lower_while(node)
        elif node.op is COND and is_native(node):
            self._lower_cond(node)
        elif node.op.name in CALLS and CALLS[node.op.name].takes(node):
            self._lower_call(node)
        else:
            self._lower_python(node)
        for value in set(node.inputs):
            self._release(value, node)

    def _release(self, value: Value, node: Node) -> None:
        buffer = self.env[value].buffer
        if buffer in self.readers:
            self.readers[buffer] -= sum(v is value for v in node.inputs)

    def _lower_view(self, node: Node) -> None:
        [operand], [result] = node.inputs, node.outputs
        layout = viewed(node, self.env[operand])
        if layout is None:
            buffer = self.top.arena(int(result.aval.nbytes), f"copy {operand.name}")
            dense = Layout(
                buffer, operand.dtype, operand.aval.shape, dense_strides(operand.aval.shape)
            )
            self.copy(self.env[operand], dense)
            layout = viewed(node, dense)
            if layout is None:
                raise NotImplementedError(node.op.name)
        self._define(result, layout)

    def _lower_fused(self, node: Node) -> None:
        body = node.attrs["bodies"][0]
        self._reuse(node, body)
        operands = [self.env[v] for v in node.inputs]
        results = [self.layout_of(v) for v in node.outputs]
        if product_of_body(body) is not None:
            packed = self._packed(node, body)
            kernel = Product(
                node.bound, operands, results, self.threads, self.in_loop, packed
            ).kernel
        else:
            kernel = nest(node.bound, operands, results, self.threads)
        self.call(kernel)

    def _packed(self, node: Node, body: Graph) -> Layout | None:
        """The second operand of a product in panels that are packed once, before the loop."""
        product = product_of_body(body)
        if product is None or product.aval.ndim != 2 or product.aval.shape[0] < FEW_ROWS:
            return None
        value = right_operand(node)
        layout = self.env[value]
        is_fixed = self.before is not None and value.node.op is PLACEHOLDER and not layout.moving
        if not is_fixed and self.rights[value] < OFTEN:
            return None
        if value not in self.panels:
            depth, columns = layout.shape
            width = WIDTH // layout.dtype.itemsize
            count = -(-columns // width) * width * depth
            buffer = self.top.arena(count * layout.dtype.itemsize, f"panels of {value.name}")
            panels = Layout(buffer, layout.dtype, (count,), (1,))
            kernel = packing(layout, panels, self.threads)
            if is_fixed and self.before is not None:
                self.before.append(Call(kernel, self.top.position))
                self.top.touch_before(buffer)
            else:
                self.call(kernel)
            self.panels[value] = panels
        self.top.touch(self.panels[value].buffer)
        return self.panels[value]

    def _reuse(self, node: Node, body: Graph) -> None:
        """Compute results over operands that nothing reads later, element by element."""
        whole = Plan(body, node.attrs["kinds"])
        product = product_of_body(body)
        placeholders = list(body.placeholders.values())
        read_whole = set() if product is None else set(product.node.inputs)
        taken: set[Buffer] = set()
        layouts = [self.env[v] for v in node.inputs]
        for result, inner in zip(node.outputs, body.outputs):
            if result in self.places or result in self.joined or whole.kind[inner.node] is not FULL:
                continue
            if product is None and whole.level[inner.node] != whole.passes - 1:
                continue
            for operand, placeholder in zip(node.inputs, placeholders):
                layout = self.env[operand]
                buffer = layout.buffer
                if (
                    buffer.kind == "arena"
                    and buffer not in taken
                    and buffer in self.readers
                    and self.readers[buffer] == 1
                    and placeholder not in read_whole
                    and layout.shape == result.aval.shape
                    and layout.dtype == result.dtype
                    and int(result.aval.nbytes) == buffer.nbytes
                    and sum(x.buffer is buffer for x in layouts) == 1
                    and layout.strides == dense_strides(layout.shape, order_of(layout))
                    and not layout.moving
                ):
                    taken.add(buffer)
                    self._define(result, layout)
                    break

    def _lower_join(self, node: Node) -> None:
        layout = self.layout_of(node.outputs[0])
        for position, value in enumerate(node.inputs):
            if self.joined.get(value) != (node, position):
                self.copy(self.env[value], part_of(node, layout, position))

    def _lower_call(self, node: Node) -> None:
        if node.op.name in WITH_GRADIENT and self._lower_with_gradient(node):
            return
        operands = [self.env[v] for v in node.inputs]
        results = [self.layout_of(v) for v in node.outputs]
        library = CALLS[node.op.name]
        kernel = library.kernel(node, operands, results, self.threads)
        if kernel is None:  # it reads dense operands, and writes dense results
            operands = [self._dense_copy(x) for x in operands]
            made = [self._dense_room(x) for x in results]
            kernel = library.kernel(node, operands, made, self.threads)
            if kernel is None:
                raise NotImplementedError(node.op.name)
            self.call(kernel)
            for source, target in zip(made, results):
                self.copy(source, target)
        else:
            self.call(kernel)

    def _lower_with_gradient(self, node: Node) -> bool:
        """A loss and its gradient in one sweep, where the cotangent is known by now."""
        for user in node.inputs[0].uses:
            if (
                user.op.name == f"{node.op.name}_grad"
                and user.outputs[0] not in self.env
                and all(a is b for a, b in zip(user.inputs, node.inputs))
                and user.attrs == node.attrs
                and (user.inputs[2] in self.env or user.inputs[2].node.op is CONSTANT)
            ):
                if user.inputs[2] not in self.env:
                    self.lower(user.inputs[2].node)
                operands = [self.env[v] for v in user.inputs]
                results = [self.layout_of(node.outputs[0]), self.layout_of(user.outputs[0])]
                kernel = with_gradient(node, operands, results, self.threads)
                if kernel is None:
                    return False
                self.call(kernel)
                self.done.add(user)
                for value in set(user.inputs):
                    self._release(value, user)
                return True
        return False

    def _dense_room(self, layout: Layout) -> Layout:
        buffer = self.top.arena(layout.size * layout.dtype.itemsize, "dense")
        return Layout(buffer, layout.dtype, layout.shape, dense_strides(layout.shape))

    def _dense_copy(self, layout: Layout) -> Layout:
        dense = self._dense_room(layout)
        self.copy(layout, dense)
        return dense

    def _lower_python(self, node: Node) -> None:
        operands = [self.env[v] for v in node.inputs]
        results = [self.layout_of(v) for v in node.outputs]
        for layout in (*operands, *results):
            self.top.touch(layout.buffer)
        self.statements.append(Python(node, operands, results, self.top.position))
        self.top.position += 1

    # -- regions -----------------------------------------------------------------------------

    def _lower_body(self, node: Node, body: Graph, feed: Sequence[int]) -> None:
        """A body that runs once, in place of the node."""
        results = [self.layout_of(v) for v in node.outputs]
        operands = [self.env[node.inputs[i]] for i in feed]
        self._run(body, operands, results, self.statements, self.in_loop)

    def _run(
        self,
        body: Graph,
        operands: Sequence[Layout],
        results: Sequence[Layout],
        statements: list[Any],
        in_loop: bool,
        before: list[Any] | None = None,
    ) -> None:
        """Append a body's statements, with its outputs in given memory."""
        env = dict(zip(body.placeholders.values(), operands))
        places: dict[Value, Layout] = {}
        copied: dict[int, Value] = {}
        for position, (value, layout) in enumerate(zip(body.outputs, results)):
            if value in places or not (is_placeable(value.node) or value.node.op.name in JOINS):
                copied[position] = value
            else:
                places[value] = layout
        scope = _Scope(self.top, body, env, places, statements, in_loop, before)
        for child in body.nodes:
            scope.lower(child)
        for position, value in copied.items():
            scope.copy(scope.env[value], results[position])

    def _lower_scan(self, node: Node) -> None:
        attrs, top = node.attrs, self.top
        count, slices = attrs["carries"], attrs["xs"]
        [body], [feed] = attrs["bodies"], attrs["feeds"]
        length = node.inputs[count].aval.shape[0] if slices else int(attrs["length"])
        name = top.fresh("t")
        rows = self._rows_that_carry(node, body, feed, length)
        inside: list[Layout] = []
        after: list[Layout] = []
        for i in range(count):
            value = node.inputs[i]
            if i in rows:
                before, made, final = self._carry_in_rows(node, rows[i], i, name, length)
            else:
                before, made, final = self._carry_in_turns(value, name, length)
            start = before[1]
            self.copy(self.env[value], start)
            inside.append(before[0])
            after.append(made)
            self._define(node.outputs[i], final)
        for i in range(count, count + slices):
            layout = self.env[node.inputs[i]]
            inside.append(layout.row((f"at_{name}", layout.strides[0])))
        inside += [self.env[v] for v in node.inputs[count + slices :]]
        for value in node.outputs[count:]:
            stack = self.layout_of(value)
            top.touch(stack.buffer)  # rounds fill it, so it is in use from the first one on
            after.append(stack.row((f"at_{name}", stack.strides[0])))
        loop = Loop(name, length, bool(attrs["reverse"]))
        top.enter(name)
        operands = [inside[i] for i in feed]
        self._run(body, operands, after, loop.body, True, self.statements)
        top.leave()
        self.statements.append(loop)

    def _carry_in_turns(self, value: Value, name: str, length: int) -> Any:
        """Two places for a carry: a round reads one and writes the other."""
        nbytes = -(-int(value.aval.nbytes) // 64) * 64
        step = nbytes // value.dtype.itemsize
        buffer = self.top.arena(2 * nbytes, f"carry {value.name}")
        shape = value.aval.shape
        first = Layout(buffer, value.dtype, shape, dense_strides(shape))
        second = replace(first, offset=step)
        before = replace(first, moving=((f"even_{name}", step),))
        made = replace(first, moving=((f"odd_{name}", step),))
        return (before, first), made, second if length % 2 else first

    def _rows_that_carry(
        self, node: Node, body: Graph, feed: Sequence[int], length: int
    ) -> dict[int, tuple[Value, bool]]:
        """Carries whose values are stacked anyway: the stack holds them, with one row more.

        From each carry to the stack, and whether it holds what a round begins with.
        """
        found: dict[int, tuple[Value, bool]] = {}
        used: set[Value] = set()
        for i in range(node.attrs["carries"]):
            begins = {p for p, f in zip(body.placeholders.values(), feed) if f == i}
            for value, stack in zip(
                body.outputs[node.attrs["carries"] :], node.outputs[node.attrs["carries"] :]
            ):
                starts = value in begins
                made = value is body.outputs[i] and is_placeable(value.node)
                free = stack not in self.places and stack not in self.joined and stack not in used
                once = sum(v is body.outputs[i] for v in body.outputs[: node.attrs["carries"]]) == 1
                if (starts or made) and free and once and i not in found and length:
                    found[i] = (stack, starts)
                    used.add(stack)
        return found

    def _carry_in_rows(
        self, node: Node, held: tuple[Value, bool], i: int, name: str, length: int
    ) -> Any:
        stack, holds_starts = held
        shape, dtype = stack.aval.shape, stack.dtype
        row = 1
        for n in shape[1:]:
            row *= n
        buffer = self.top.arena((length + 1) * row * dtype.itemsize, f"stack {stack.name}")
        strides = dense_strides(shape)
        reverse = bool(node.attrs["reverse"])
        # Going up, a round reads row t and writes row t + 1; going down, the other way round.
        reads, writes = (row, 0) if reverse else (0, row)
        seen = Layout(buffer, dtype, shape, strides, reads if holds_starts else writes)
        self._define(stack, seen)
        one = Layout(buffer, dtype, shape[1:], strides[1:])
        moving = ((f"at_{name}", row),)
        first = replace(one, offset=length * row if reverse else 0)
        final = replace(one, offset=0 if reverse else length * row)
        before = replace(one, offset=reads, moving=moving)
        made = replace(one, offset=writes, moving=moving)
        return (before, first), made, final

    def _lower_while(self, node: Node) -> None:
        attrs, top = node.attrs, self.top
        count = attrs["carries"]
        name = top.fresh("w")
        carries = []
        for value, result in zip(node.inputs[:count], node.outputs):
            layout = self.layout_of(result)
            self.copy(self.env[value], layout)
            carries.append(layout)
        state = [*carries, *(self.env[v] for v in node.inputs[count:])]
        asks, goes = attrs["bodies"]
        asked = top.arena(1, f"condition {name}")
        condition = Layout(asked, asks.outputs[0].dtype, (), ())
        loop = While(name, [], condition)
        top.touch(asked)  # every thread reads it in its own time: no round may overwrite it
        top.enter(name)
        self._run(asks, [state[i] for i in attrs["feeds"][0]], [condition], loop.asks, True)
        made = []
        for value in node.outputs[:count]:
            buffer = top.arena(int(value.aval.nbytes), f"next {value.name}")
            made.append(
                Layout(buffer, value.dtype, value.aval.shape, dense_strides(value.aval.shape))
            )
        self._run(goes, [state[i] for i in attrs["feeds"][1]], made, loop.body, True)
        inner = _Scope(top, goes, {}, {}, loop.body, True)
        for new, carry in zip(made, carries):
            inner.copy(new, carry)
        top.touch(asked)
        top.leave()
        self.statements.append(loop)

    def _lower_cond(self, node: Node) -> None:
        results = [self.layout_of(v) for v in node.outputs]
        condition = self.env[node.inputs[0]]
        self.top.touch(condition.buffer)
        branch = Branch(condition, [])
        for layout in results:
            self.top.touch(layout.buffer)
        for body, feed in zip(node.attrs["bodies"], node.attrs["feeds"]):
            statements: list[Any] = []
            operands = [self.env[node.inputs[i]] for i in feed]
            for layout in (*operands, *results):
                self.top.touch(layout.buffer)
            self._run(body, operands, results, statements, self.in_loop)
            for layout in (*operands, *results):  # one branch must not take what the other needs
                self.top.touch(layout.buffer)
            branch.bodies.append(statements)
        self.statements.append(branch)

    # -- kernels -----------------------------------------------------------------------------

    def call(self, kernel: Kernel) -> None:
        """Append a kernel."""
        for access in kernel.accesses:
            self.top.touch(access.layout.buffer)
        scratch = None
        if kernel.scratch:
            scratch = self.top.arena(kernel.scratch, f"scratch of {kernel.label}")
            self.top.touch(scratch)
        self.statements.append(Call(kernel, self.top.position, scratch))
        self.top.position += 1

    def copy(self, source: Layout, target: Layout) -> None:
        """Append a copy of one layout's elements to another of the same shape."""
        if source == target or not target.size:
            self.top.touch(target.buffer)
            return
        source, target = as_words(source), as_words(target)
        bound = copy_of(Aval(source.shape, source.dtype))
        self.call(nest(bound, [source], [target], self.threads))

    def copy_given(self, copied: dict[int, Value]) -> None:
        """Copy out what is returned as it was before the step."""
        for position, value in copied.items():
            chain = [value.node]
            while chain[-1].op.view:
                chain.append(chain[-1].inputs[0].node)
            if chain[-1].op is VARIABLE:
                for node in reversed(chain):
                    if node.outputs[0] not in self.env:
                        self.lower(node)
                self.copy(self.env[value], self.top.outputs[position])

    def finish(self, copied: dict[int, Value]) -> None:
        """Copy out what else is returned and not computed where it is returned."""
        for position, value in copied.items():
            root = value
            while root.node.op.view:
                root = root.node.inputs[0]
            if root.node.op is not VARIABLE:
                self.copy(self.env[value], self.top.outputs[position])

    def commit(self, direct: dict[Value, Value]) -> None:
        """Write what is assigned; all old numbers are read before any is written."""
        last = {id(e.attrs["storage"]): e for e in self.graph.effects}
        writes: list[tuple[Layout, Layout]] = []
        for effect in last.values():
            variable, value = effect.inputs
            if direct.get(value) is variable:
                continue
            source, target = self.env[value], self.top._source(variable.node)
            if source.buffer.kind == "variable":
                buffer = self.top.arena(int(value.aval.nbytes), f"old {value.name}")
                kept = Layout(
                    buffer, value.dtype, value.aval.shape, dense_strides(value.aval.shape)
                )
                self.copy(source, kept)
                source = kept
            writes.append((source, target))
        for source, target in writes:
            self.copy(source, target)


def right_operand(node: Node) -> Value:
    """The second operand of the product in a fused node."""
    [body] = node.attrs["bodies"]
    product = product_of_body(body)
    inside = zip(body.placeholders.values(), node.inputs)
    return next(value for inner, value in inside if inner is product.node.inputs[1])


def part_of(node: Node, layout: Layout, position: int) -> Layout:
    """The part of a joined value that one operand is."""
    axis = node.attrs["axis"]
    step = layout.strides[axis]
    if node.op.name == "stack":
        shape = layout.shape[:axis] + layout.shape[axis + 1 :]
        strides = layout.strides[:axis] + layout.strides[axis + 1 :]
        return replace(layout, shape=shape, strides=strides, offset=layout.offset + position * step)
    before = sum(v.aval.shape[axis] for v in node.inputs[:position])
    return replace(
        layout, shape=node.inputs[position].aval.shape, offset=layout.offset + before * step
    )


def as_words(layout: Layout) -> Layout:
    """The same bytes as numbers that C has, to be copied."""
    size = layout.dtype.itemsize
    if layout.dtype.name in C_TYPES:
        return layout
    if size == 16:
        return replace(
            layout,
            dtype=np.dtype("uint64"),
            shape=(*layout.shape, 2),
            strides=(*(2 * s for s in layout.strides), 1),
            offset=2 * layout.offset,
            moving=tuple((name, 2 * step) for name, step in layout.moving),
        )
    return replace(layout, dtype=np.dtype(f"uint{8 * size}"))


def is_placeable(node: Node) -> bool:
    """Whether a node's results can be computed into any given memory."""
    return node.op is FUSED or (node.op.name in CALLS and CALLS[node.op.name].takes(node))


def is_native(node: Node) -> bool:
    """Whether all within a region has native code."""
    if any(aval.is_symbolic for aval in (*node.bound.ins, *node.bound.outs)):
        return False
    return all(
        child.op in (PLACEHOLDER, CONSTANT, FUSED)
        or child.op.view
        or child.op.name in JOINS
        or (child.op.name in CALLS and CALLS[child.op.name].takes(child))
        or (child.op.region and is_native(child))
        for body in node.attrs["bodies"]
        for child in body.nodes
    )


def copy_of(aval: Aval) -> Bound:
    """The fused operator that copies."""
    body = Graph()
    value = body.add_placeholder("x", aval)
    bound = STOP_GRADIENT.bind(((aval.shape, aval.dtype),), ())
    body.outputs = body.append(bound, (value,)).outputs
    attrs = {
        **FUSED.attrs, "bodies": (body,), "feeds": ((0,),), "domain": aval.shape, "reduced": None,
        "kinds": ("", FULL),
    }  # fmt: skip
    return Bound(FUSED, attrs, (aval,), (aval,))


__all__ = ["ASSIGN", "Access", "Lowering", "copy_of", "is_native", "is_placeable", "part_of"]
