"""Scopes: the nodes of one graph, the outermost one or a body, as statements over buffers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

from ...graphs.ir import CONSTANT, PLACEHOLDER, SIZE, VARIABLE, Graph, Node, Value
from ...graphs.regions import FUSED
from .buffers import Room
from .calls import CALLS, WITH_GRADIENT, with_gradient
from .copies import FILLED, JOINS, filled, part_of, zeros_like
from .extents import OpenSizeError, are_open, most
from .gaps import with_gaps
from .kernel import Kernel, Packing
from .layout import Layout, broadcast, dense_strides, order_of, sizes, viewed
from .overwriting import overwriting
from .product import packing, product_of_body
from .regions import lower_region
from .reuse import Readers, place_over_operands, place_over_parts, place_over_whole
from .stacks import stack_of
from .statements import Call, Python, Statement
from .support import is_call, is_grown, is_placeable, is_symbolic, joined, lowers_region
from .timeline import Timeline, is_known

FEW_ROWS = 4  # from which on products in a loop, or several, are worth packing an operand for
OFTEN = 3  # products by the same matrix from which on it is packed once for all
_FOREVER = 1 << 30  # readers of what is never free


class Scope:
    """Lowers the nodes of one graph.

    Parameters
    ----------
    top : Timeline
    graph : Graph
    env : dict
        From the graph's placeholders to where they lie; other values are added as they are lowered.
    places : dict
        From values to where they are to be computed.
    statements : list
        To append to.
    in_loop : bool
        Whether the graph is the body of a loop, or within one.
    before : list, optional
        Statements that run once before the loop whose body this is.
    fixed : collection of Value
        The placeholders that are the same in every round of it.
    elsewhere : collection of Value
        Those of the graph that another scope computes.
    order : sequence of Node, optional
        That in which nodes will be lowered; as they were created by default.

    Attributes
    ----------
    outputs : set of Value
    readers : Readers
    position : dict
        From each node to its number in the order.
    """

    def __init__(
        self,
        top: Timeline,
        graph: Graph,
        env: dict[Value, Layout],
        places: dict[Value, Layout],
        statements: list[Statement],
        in_loop: bool = False,
        before: list[Statement] | None = None,
        fixed: Collection[Value] = (),
        elsewhere: Collection[Value] = (),
        order: Sequence[Node] = (),
    ) -> None:
        self.top, self.env, self.places = top, env, places
        self.statements, self.in_loop = statements, in_loop
        self._before, self._fixed = before, fixed
        self.outputs = set(graph.outputs)
        self.readers = Readers()
        self.position = {node: i for i, node in enumerate(order or graph.nodes)}
        self._done: set[Node] = set()  # computed together with an earlier node
        self._packed: dict[tuple[Value, str], Layout] = {}
        self._rights = Counter(map(_right_operand, filter(_has_product, graph.nodes)))
        self._joined = joined(graph, {*places, *elsewhere})

    # -- where values lie --------------------------------------------------------------------

    def layout_of(self, value: Value, maker: Node | None = None) -> Layout:
        """Where a value goes that is about to be computed, itself or a part of it, by a fused node
        if that is given."""
        if value in self.env:
            return self.env[value]
        if value in self.places:
            layout = self.places[value]
        elif value in self._joined:
            node, position = self._joined[value]
            layout = part_of(node, self.layout_of(node.outputs[0], maker), position)
        else:
            label = f"{value.node.op.name} {value.name}"
            layout = self.top.room(value.aval, label, self._order(value))
            if maker is not None:
                layout = self._better_place(value, layout, maker)
        self.define(value, layout)
        return layout

    def _better_place(self, value: Value, layout: Layout, maker: Node) -> Layout:
        """A place for what a fused node is about to compute; `layout` is one of its own, dense."""
        if value.node.op.name in JOINS:
            return place_over_parts(self, layout, value, maker) or layout
        spread = None if value in self.outputs else with_gaps(value, layout)
        if spread is None:
            return layout
        return replace(spread, buffer=self.top.buffer(spread.span[1], layout.buffer.label))

    def define(self, value: Value, layout: Layout) -> None:
        """Say where a value lies."""
        self.env[value] = layout
        kept = value in self.outputs or not isinstance(layout.buffer, Room)
        self.readers.add(value, layout, len(value.uses) + (_FOREVER if kept else 0))

    def is_placed(self, value: Value) -> bool:
        """Whether it is settled where a value is to be computed."""
        return value in self.places or value in self._joined

    def is_part(self, value: Value, node: Node, position: int) -> bool:
        """Whether a value is computed straight into the result of a node that joins it."""
        return self._joined.get(value) == (node, position)

    def _order(self, value: Value) -> tuple[int, ...] | None:
        """The axes from slow to fast: as all readers permute them, as the operator likes them, or
        as the operands have them."""
        asked = {u.attrs["axes"] if u.op.name == "permute_dims" else None for u in value.uses}
        if len(asked) == 1 and None not in asked:
            [axes] = asked
            return axes
        node = value.node
        if node.op.name in CALLS:
            first = self.env.get(node.inputs[0]) if node.inputs else None
            return CALLS[node.op.name].order(value, first)
        for operand in node.inputs:
            layout = self.env.get(operand)
            if layout is not None and layout.shape == value.aval.shape and layout.size > 1:
                order = order_of(layout)
                if layout.strides == dense_strides(layout.shape, order):
                    return order
        return None

    # -- statements --------------------------------------------------------------------------

    def call(self, kernel: Kernel, statements: list[Statement] | None = None) -> None:
        """Append a kernel, to other statements than the scope's if they are given."""
        self.top.call(kernel, self.statements if statements is None else statements)

    def copy(
        self, source: Layout, target: Layout, statements: list[Statement] | None = None
    ) -> None:
        """Append a copy of one layout's elements to another of the same shape; see `call`."""
        if source.is_at(target) or not target.size:
            self.top.lives.touch(target.buffer)
        else:
            self.call(self.top.kernels.copy(source, target), statements)

    def lower(self, node: Node) -> None:
        """Append what computes a node.

        Raises
        ------
        OpenSizeError
            When this takes a size that is open.
        """
        try:
            self._lower(node)
        except OpenSizeError as error:
            error.locate(names_of(node))
            raise

    def _lower(self, node: Node) -> None:
        if node.op.effect or node.op is PLACEHOLDER or node in self._done:
            return
        if node.op in (CONSTANT, SIZE, VARIABLE):
            self.define(node.outputs[0], self.top.source_of(node))
            return
        if is_symbolic(node) and not lowers_region(node):
            self._lower_python(node)
        elif node.op.view:
            self._lower_view(node)
        elif node.op is FUSED:
            self._lower_fused(node)
        elif node.op.name in JOINS:
            self._lower_join(node)
        elif node.op.name in FILLED:
            self._lower_filled(node)
        elif lowers_region(node):
            lower_region(self, node)
        elif is_call(node):
            self._lower_call(node)
        else:
            self._lower_python(node)
        self._release(node)

    def lower_source(self, value: Value) -> None:
        """Append what shows a variable, or a view of it."""
        nodes = [value.node]
        while nodes[-1].inputs:
            nodes.append(nodes[-1].inputs[0].node)
        for node in reversed(nodes):
            if node.outputs[0] not in self.env:
                self.lower(node)

    def _release(self, node: Node) -> None:
        """Note that a node has read its operands."""
        for value in node.inputs:
            self.readers.read(value)

    def _lower_view(self, node: Node) -> None:
        [operand], [result] = node.inputs, node.outputs
        layout = viewed(node.bound, self.env[operand])
        if layout is None:
            dense = self.top.room(operand.aval, f"copy {operand.name}")
            self.copy(self.env[operand], dense)
            layout = viewed(node.bound, dense)
        if layout is None:
            raise NotImplementedError(node.op.name)
        if operand in self.readers or layout.buffer is not self.env[operand].buffer:
            self.define(result, layout)
        else:  # memory of the scope around, which alone knows who else reads it
            self.env[result] = layout

    def _lower_join(self, node: Node) -> None:
        layout = self.layout_of(node.outputs[0])
        for position, value in enumerate(node.inputs):
            if not self.is_part(value, node, position):
                self.copy(self.env[value], part_of(node, layout, position))

    def _lower_filled(self, node: Node) -> None:
        *whole, part = node.inputs
        if whole:
            place_over_whole(self, node)
        layout = self.layout_of(node.outputs[0])
        self.copy(self.env[whole[0]] if whole else zeros_like(layout), layout)
        target = filled(node, layout)
        if target is None:
            raise NotImplementedError(node.op.name)
        self.copy(broadcast(self.env[part], target.shape), target)

    def _lower_python(self, node: Node) -> None:
        operands = [self.env[v] for v in node.inputs]
        _refuse_open(node, operands)
        grown = [v for v in node.outputs if is_grown(v.aval)]
        if grown:
            for value, layout in zip(grown, stack_of(grown, f"{node.op.name} {grown[0].name}")[1]):
                self.define(value, layout)
        results = [self.layout_of(v) for v in node.outputs]
        for layout in (*operands, *results):
            self.top.lives.touch(layout.buffer)
        self.statements.append(Python(node, operands, results, self.top.lives.advance()))

    # -- fused nodes -------------------------------------------------------------------------

    def _lower_fused(self, node: Node) -> None:
        [body] = node.attrs["bodies"]
        product = product_of_body(body)
        place_over_operands(self, node)
        operands = [self.env[v] for v in node.inputs]
        results = [self.layout_of(v, node) for v in node.outputs]
        panels = None if product is None else self._panels(node, product)
        if panels is not None:
            right = _right_operand(node)
            operands = [panels if v is right else x for v, x in zip(node.inputs, operands)]
        is_packed = panels is not None
        self.call(self.top.kernels.fused(node.bound, operands, results, self.in_loop, is_packed))

    def _panels(self, node: Node, product: Value) -> Layout | None:
        """The second operand of a product in panels, if it is packed for many products."""
        shape = sizes(product.aval)
        if len(shape) != 2 or len(product.node.inputs[1].uses) > 1:
            return None  # something else reads it as it lies
        value = _right_operand(node)
        layout = self.env[value]
        often = self._stays_in_loop(value) or self._rights[value] >= OFTEN
        if not is_known(layout) and not (often and most(shape[0]) >= FEW_ROWS):
            return None
        return self._pack(value, packing(layout, self.top.threads))

    def _stays_in_loop(self, value: Value) -> bool:
        """Whether a value of a loop's body is the same in every round."""
        return value in self._fixed and not self.env[value].moving

    def _pack(self, value: Value, how: Packing) -> Layout:
        """An operand as it is packed: before all runs if it is known there, else before the loop
        in which it stays as it is, or here."""
        layout, top = self.env[value], self.top
        if is_known(layout):
            return top.packed_once(layout, how, value.name)
        name = (value, how.name)
        if name not in self._packed:
            packed = self._packed[name] = top.room_to_pack(layout, how, value.name)
            kernel = how.kernel(layout, packed)
            if self._before is not None and self._stays_in_loop(value):
                self._before.append(Call(kernel, top.lives.position))
                top.lives.touch(layout.buffer)
                top.lives.touch_before(packed.buffer)
            else:
                self.call(kernel)
        top.lives.touch(self._packed[name].buffer)
        return self._packed[name]

    # -- calls of the library ----------------------------------------------------------------

    def _lower_call(self, node: Node) -> None:
        _refuse_open(node)
        if node.op.name in WITH_GRADIENT and self._lower_with_gradient(node):
            return
        place_over_operands(self, node)
        operands = [self.env[v] for v in node.inputs]
        results = [self.layout_of(v) for v in node.outputs]
        call, threads = CALLS[node.op.name], self.top.threads
        if call.packing is not None:
            how = call.packing(node, operands[1], threads)
            operands[1] = self._pack(node.inputs[1], how)
        make = call.kernel
        kernel = make(node, operands, results, threads)
        if kernel is not None:
            self.call(kernel)
            return
        # It reads dense operands, and writes dense results.
        rooms = [self._dense_room(x) for x in operands]
        for source, target in zip(operands, rooms):
            self.copy(source, target)
        made = [self._dense_room(x) for x in results]
        kernel = make(node, rooms, made, threads)
        if kernel is None:
            raise NotImplementedError(node.op.name)
        self.call(kernel)
        for source, target in zip(made, results):
            self.copy(source, target)

    def _dense_room(self, layout: Layout) -> Layout:
        buffer = self.top.buffer(layout.size * layout.dtype.itemsize, "dense")
        return Layout(buffer, layout.dtype, layout.shape, dense_strides(layout.shape))

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
                place_over_operands(self, user, node)
                operands = [self.env[v] for v in user.inputs]
                results = [self.layout_of(node.outputs[0]), self.layout_of(user.outputs[0])]
                kernel = with_gradient(node, operands, results, self.top.threads)
                if kernel is None:
                    return False
                self.call(kernel)
                self._done.add(user)
                self._release(user)
                return True
        return False

    # -- bodies ------------------------------------------------------------------------------

    def run(
        self,
        body: Graph,
        operands: Sequence[Layout],
        results: Sequence[Layout | None],
        statements: list[Statement],
        in_loop: bool,
        before: list[Statement] | None = None,
        fixed: Collection[Value] = (),
    ) -> list[Layout]:
        """Append a body's statements to others, with its outputs in given memory, where some is
        given; where they lie.

        Memory that is given for an output and has an operand as well is overwritten.
        """
        env = dict(zip(body.placeholders.values(), operands))
        places: dict[Value, Layout] = {}
        copied: list[tuple[Value, Layout]] = []
        for value, layout in zip(body.outputs, results):
            if layout is None:
                continue
            if value in places or not (is_placeable(value) or value.node.op.name in JOINS):
                copied.append((value, layout))
            else:
                places[value] = layout
        held_at = {layout: value for value, layout in env.items()}
        pairs = [(held_at[x], value) for value, x in places.items() if x in held_at]
        order = overwriting(body, pairs)[1].order()
        scope = Scope(self.top, body, env, places, statements, in_loop, before, fixed, order=order)
        for child in order:
            scope.lower(child)
        for value, layout in copied:
            scope.copy(scope.env[value], layout)
        return [scope.env[value] for value in body.outputs]


def names_of(node: Node) -> str:
    """The operators that a node stands for."""
    nodes = node.attrs["bodies"][0].nodes if node.op is FUSED else [node]
    return ", ".join(dict.fromkeys(n.op.name for n in nodes if n.op.kernel or n.op.region))


def _refuse_open(node: Node, operands: Sequence[Layout] = ()) -> None:
    """Raise unless the sizes of a node that a fixed kernel computes are known, and where these
    operands lie."""
    for aval in (*node.bound.ins, *node.bound.outs):
        if are_open(aval.shape) or are_open([x.offset for x in operands]):
            raise OpenSizeError("a kernel that takes known sizes")


def _has_product(node: Node) -> bool:
    return node.op is FUSED and product_of_body(node.attrs["bodies"][0]) is not None


def _right_operand(node: Node) -> Value:
    """The second operand of the product in a fused node."""
    [body] = node.attrs["bodies"]
    product = next(n for n in body.nodes if n.op.name == "matmul")
    inside = zip(body.placeholders.values(), node.inputs)
    return next(value for inner, value in inside if inner is product.inputs[1])
