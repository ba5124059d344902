"""The graph: nodes in order of creation, each one operator on values.

The IR is functional. Its only effect is `assign`, which names the storage to write when a run has
computed everything; until then a variable reads what it held at the start. A graph is append-only,
and a pass makes a new one with `Graph.rebuild`, so nothing is ever patched in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .avals import Aval, aval_of, show
from .devices import CPU
from .dims import Dim, symbols
from .dtypes import DTYPES, as_dtype
from .errors import GraphError, StaticValueError
from .modes import in_style
from .nodes import (
    ASSIGN,
    CONSTANT,
    PLACEHOLDER,
    SIZE,
    VARIABLE,
    Location,
    Node,
    Update,
    Value,
    user_location,
)  # fmt: skip
from .numbers import materialise, spec_of
from .operand import Operand
from .ops import dispatch
from .ops.core import Bound, Op
from .ops.manipulation import stop_gradient
from .ops.plain import array_of, as_plain
from .parameter import Parameter
from .storage import Storage

# See `Graph.rebuild`.
Visit = Callable[["Graph", Node, tuple[Value, ...]], "Sequence[Value | None] | None"]

__all__ = [
    "ASSIGN", "CONSTANT", "PLACEHOLDER", "SIZE", "VARIABLE", "Graph", "Location", "Node", "Update",
    "Value",
]  # fmt: skip

STOP_GRADIENT = stop_gradient.op


class Graph:
    """A graph, and the style that builds it: an operator on its values appends a node.

    Attributes
    ----------
    nodes : list of Node
        In order of creation, which is a topological order.
    outputs : tuple of Value
        What a program of this graph gives back.
    is_trace : bool
        Built by running a function once, which sees values where it expects numbers.
    moves : Moves or None
        What has changed in place so far, of a graph that is being traced.
    """

    rank = 2
    parameter_type: Any = None
    parent: Any = None  # the graph around a body
    moves: Any = None
    keeps_grads = False  # those of leaves, while a function is traced

    def __init__(self) -> None:
        self.is_trace = False
        self.nodes: list[Node] = []
        self.outputs: tuple[Value, ...] = ()
        self._placeholders: dict[str, Value] = {}
        self._variables: dict[int, tuple[Storage, Value]] = {}
        self._assigned: dict[int, Value] = {}
        self._reads: dict[int, list[Value]] = {}
        self._leaves: dict[Value, Any] = {}
        self._parameters: dict[int, Any] = {}
        self._location: Location | None = None

    # -- building ----------------------------------------------------------------------------

    def call(self, op: Op, operands: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
        """Append an operator on operands of any kind; its results as values."""
        lifted = [self.lift(x, op.name) for x in operands]
        specs = tuple(_spec(x) for x in lifted)
        bound = op.bind(specs, attrs)
        if op.dynamic:
            raise StaticValueError(
                f"{op.name}: a shape that depends on data is eager's alone, got "
                f"{' and '.join(str(aval) for aval in bound.ins)} in a graph"
            )
        values = []
        for position, (operand, aval) in enumerate(zip(lifted, bound.ins)):
            if not isinstance(operand, Value):
                operand = self._bring_in(operand, aval, op.name)
            elif position in bound.casts:
                operand = operand.astype(aval.dtype)
            values.append(operand)
        node = self.append(bound, tuple(values))
        return node.outputs[0] if len(node.outputs) == 1 else node.outputs

    def append(
        self,
        bound: Bound,
        inputs: tuple[Value, ...],
        when: Value | None = None,
        location: Location | None = None,
    ) -> Node:
        """Append a node whose operands are values of this graph already."""
        node = Node(self, bound, inputs, location or self._location or user_location(), when)
        self.nodes.append(node)
        return node

    def add_placeholder(self, name: str, aval: Aval) -> Value:
        """A value that each run is fed under `name`.

        Raises
        ------
        GraphError
            When the name is taken or empty.
        """
        if not isinstance(name, str) or not name:
            raise GraphError(f"placeholder: name must be a non-empty string, got {name!r}")
        if name in self._placeholders:
            raise GraphError(f"placeholder: names must differ, got {name!r} twice")
        value = self._source(PLACEHOLDER, aval, name=name)
        self._placeholders[name] = value
        return value

    def constant(self, data: Any) -> Value:
        """A value that is the same in every run; the data are copied.

        Parameters
        ----------
        data : array or nested lists of numbers

        Raises
        ------
        DTypeError
            When the data are no numbers.
        """
        array = array_of(data, "constant") if not hasattr(data, "strides") else data.copy(order="K")
        as_dtype(array.dtype)
        return self.add_constant(array)

    def add_constant(self, array: Any) -> Value:
        """An array that is the same in every run. It is held and must not be changed."""
        return self._source(CONSTANT, aval_of(array), array=array)

    def read(self, storage: Any) -> Value:
        """The value of a storage or parameter at this point of the program.

        After an assignment it is a new leaf: no gradient flows into what was assigned, as none
        flows into the update of a parameter in eager code.
        """
        held: Storage = storage.storage
        if isinstance(storage, Parameter):
            self._parameters.setdefault(id(held), storage)
        assigned = self._assigned.pop(id(held), None)
        if assigned is not None:
            self.read_as(held, assigned)
        return self.reads_of(held)[-1]

    def read_as(self, leaf: Any, value: Value) -> Value:
        """A value by which a storage, or a placeholder, is read from now on: another leaf."""
        [again] = self.append(STOP_GRADIENT.bind((_spec(value),), ()), (value,)).outputs
        self._reads.setdefault(id(leaf), self.reads_of(leaf)).append(again)
        self._leaves[again] = leaf
        return again

    def reads_of(self, leaf: Any) -> list[Value]:
        """The start of a storage, and what it was read as after each assignment.

        So, too, of a placeholder whose memory a trace changed, but not its history.
        """
        start = self.variable_of(leaf) if isinstance(leaf, Storage) else leaf
        return self._reads.get(id(leaf)) or [start]

    def leaf_of(self, value: Value) -> Any:
        """The storage or the placeholder that a value reads; itself for all others."""
        return (
            value.node.attrs["storage"]
            if value.node.op is VARIABLE
            else (self._leaves.get(value, value))
        )

    def variable_of(self, storage: Storage) -> Value:
        """What a storage held at the start of the run."""
        known = self._variables.get(id(storage))
        if known is None:
            value = self._source(VARIABLE, storage.aval, storage=storage)
            known = self._variables[id(storage)] = (storage, value)
        return known[1]

    def size_of(self, dim: Dim, dtype: Any = DTYPES["int64"]) -> Value:
        """A symbolic dimension as a 0-d value."""
        return self._source(SIZE, Aval((), dtype), dim=dim)

    def assign(self, storage: Any, value: Any, when: Value | None = None) -> Update:
        """Write a value into a storage at the end of every run that fetches the update.

        With `when`, also of every run that computes that value.

        Parameters
        ----------
        storage : Storage, Parameter or the value of a variable
        value : Value, array or number
        when : Value, optional

        Raises
        ------
        GraphError
            When the first operand is no variable.
        ShapeError, DTypeError
            When the value does not fit.
        """
        if isinstance(storage, Value):
            if storage.node.op is not VARIABLE:
                raise GraphError(f"assign: target must be a variable, got {storage!r}")
            storage = storage.node.attrs["storage"]
        held = storage_of(storage, "assign")
        if isinstance(value, Value):
            value = self.now(value)
        else:
            value = self._bring_in(as_plain(value, "assign"), held.aval, "assign")
        held.check(value.shape, value.dtype)
        if value.dtype != held.dtype:
            value = value.astype(held.dtype)
        target = self.variable_of(held)
        bound = Bound(ASSIGN, {"storage": held}, (target.aval, value.aval), (value.aval,))
        self._assigned[id(held)] = value
        return Update((self.append(bound, (target, value), when),))

    def assigned(self) -> list[int]:
        """What has been assigned so far, for a comparison with later."""
        return [id(value) for value in self._assigned.values()]

    def together(self, updates: Iterable[Update]) -> Update:
        """One update of several."""
        return Update(tuple(node for update in updates for node in update.nodes))

    def checkpoint(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """A call whose gradient computes its intermediate results again; see `control`."""
        from .control import append_checkpoint

        return append_checkpoint(self, function, args)

    def grad(self, outputs: Any, inputs: Any, *args: Any, **options: Any) -> Any:
        """Gradients as values of this graph; see `autodiff.gradients`."""
        from .autodiff import gradients

        return gradients(self, outputs, inputs, *args, **options)

    @contextmanager
    def building(self) -> Iterator[Graph]:
        """Put this graph in force: creation operators and lone parameters append to it."""
        with in_style(self):
            yield self

    @contextmanager
    def located(self, location: Location | None) -> Iterator[None]:
        """Let what is appended within the block stand for a line."""
        before, self._location = self._location, location
        try:
            yield
        finally:
            self._location = before

    def _source(self, op: Op, aval: Aval, **attrs: Any) -> Value:
        return self.append(Bound(op, attrs, (), (aval,)), ()).outputs[0]

    def lift(self, operand: Any, where: str) -> Any:
        """An operand as a value of this graph; plain arrays, numbers and sizes as they are.

        Raises
        ------
        GraphError
            For a value of another graph, and for an eager tensor that is no parameter.
        DTypeError
            When it is no operand at all.
        """
        if isinstance(operand, Value):
            if operand.graph is not self:
                raise GraphError(
                    f"{where}: operands must be values of one graph, got {operand!r} of another"
                )
            return self.now(operand)
        if isinstance(operand, Storage | Parameter):
            return self.read(operand)
        if isinstance(operand, Dim):
            return operand
        if isinstance(operand, Operand):
            raise GraphError(
                f"{where}: a graph takes values, parameters, storages and plain arrays, got "
                f"{type(operand).__name__} {show(operand.shape)}; {self._remedy()}"
            )
        return as_plain(operand, where)

    def now(self, value: Value) -> Value:
        """What a value of this graph stands for after the changes in place so far."""
        return value if self.moves is None else self.moves.now(value)

    @property
    def has_assigned(self) -> bool:
        """Whether a storage, or another leaf, is read as something else than at the start."""
        return bool(self._assigned or self._reads)

    @contextmanager
    def as_made(self) -> Iterator[None]:
        """Let values stand for what they were made as within the block, as gradient rules do."""
        kept: list[Any] = []
        graph: Any = self
        while isinstance(graph, Graph):
            kept.append((graph, graph.moves))
            graph.moves, graph = None, graph.parent
        try:
            yield
        finally:
            for graph, moves in kept:
                graph.moves = moves

    def _remedy(self) -> str:
        if dispatch.current() is not self:
            return "what is computed outside the graph's with block is a tensor: enter it again"
        if self.is_trace:
            return "pass it to the compiled function as an argument, or hold it in a dt.Storage"
        return "feed it to a placeholder, or hold it in a dt.Storage"

    def _bring_in(self, operand: Any, aval: Aval, where: str) -> Value:
        if isinstance(operand, Dim):
            return self.size_of(operand, aval.dtype)
        # The user may write to an array later; a graph keeps what it read.
        array = materialise(operand, aval, where)
        return self.add_constant(array.copy(order="K") if array is operand else array)

    # -- reading -----------------------------------------------------------------------------

    @property
    def placeholders(self) -> dict[str, Value]:
        """Placeholders by name."""
        return dict(self._placeholders)

    @property
    def variables(self) -> list[tuple[Storage, Value]]:
        """Storages that the graph reads or writes, with their values at the start."""
        return list(self._variables.values())

    @property
    def parameters(self) -> list[Any]:
        """Parameters that the graph read, in order of first use."""
        return list(self._parameters.values())

    @property
    def effects(self) -> list[Node]:
        """The assignments, in order."""
        return [node for node in self.nodes if node.op.effect]

    @property
    def last_effects(self) -> list[Node]:
        """The last assignment to each storage, in order: what is left of all after a run."""
        last = {id(node.attrs["storage"]): node for node in self.effects}
        return sorted(last.values(), key=lambda node: node.id)

    @property
    def symbols(self) -> frozenset[str]:
        """Names of the symbolic dimensions that its nodes depend on."""
        found: frozenset[str] = frozenset()
        for bound in self.bounds:
            shapes = tuple(aval.shape for aval in bound.outs)
            found |= symbols((*shapes, *bound.attrs.values()))
        return found

    @property
    def bounds(self) -> Iterable[Bound]:
        """What its nodes apply, each once: fewer by far than the nodes of an unrolled loop."""
        return {id(node.bound): node.bound for node in self.nodes}.values()

    @property
    def regions(self) -> list[Node]:
        """The nodes that hold graphs of their own."""
        return [node for node in self.nodes if node.op.region]

    def rebuild(
        self,
        visit: Visit | None = None,
        nodes: Iterable[Node] | None = None,
        outputs: Iterable[Value] | None = None,
        bodies: Callable[[Graph], Graph] | None = None,
    ) -> Graph:
        """A new graph from this one, node by node.

        Parameters
        ----------
        visit : callable, optional
            ``visit(new, node, inputs)`` gives the values that stand for the node's outputs, from
            operands of the new graph, with None for an output that nothing reads. Where it gives
            None for all of them, the node is copied, as effects are without asking.
        nodes : iterable of Node, optional
            Which nodes to visit, in order. All by default.
        outputs : iterable of Value, optional
            Of this graph: what the new one gives back. The same by default.
        bodies : callable, optional
            What becomes of the bodies of regions that are copied.
        """
        new = Graph()
        env: dict[Value, Any] = {}
        with new.building():
            for node in self.nodes if nodes is None else nodes:
                inputs: Any = tuple(map(env.get, node.inputs))
                if node.op.effect:
                    when = None if node.when is None else env[node.when]
                    new.append(node.bound, inputs, when, node.location)
                    continue
                found: Sequence[Value | None] | None = None
                if visit is not None:
                    new._location = node.location  # what replaces a node stands for the same line
                    found = visit(new, node, inputs)
                if found is None:
                    bound = node.bound
                    if bodies is not None and node.op.region:
                        bound = bound.changed(bodies=tuple(map(bodies, node.attrs["bodies"])))
                    found = new.copy_node(node, inputs, bound)
                for old, value in zip(node.outputs, found, strict=True):
                    env[old] = value
        new._location = None
        new.outputs = tuple(env[v] for v in (self.outputs if outputs is None else outputs))
        return new

    def copy_node(
        self, node: Node, inputs: tuple[Value, ...], bound: Bound | None = None
    ) -> tuple[Value, ...]:
        """Append a copy of another graph's node to this one, with other attributes in `bound`."""
        copy = Node(self, bound or node.bound, inputs, node.location, None, node.recorded)
        self.nodes.append(copy)
        if node.op is PLACEHOLDER:
            self._placeholders[node.attrs["name"]] = copy.outputs[0]
        elif node.op is VARIABLE:
            storage = node.attrs["storage"]
            self._variables[id(storage)] = (storage, copy.outputs[0])
        return copy.outputs

    def dissolve(self) -> None:
        """Let go of all nodes, of a graph that nobody holds any more.

        Nodes and values name each other: without it, they would wait for the collector of cycles.
        """
        for node in self.nodes:
            node.inputs = node.outputs = ()
        self.nodes.clear()

    def adopt_parameters(self, graph: Graph) -> None:
        """Take over, from the graph that this one was copied from, the parameters it reads."""
        self._parameters = {
            id(p.storage): p for p in graph.parameters if id(p.storage) in self._variables
        }

    def verify(self) -> Graph:
        """Check the graph's own rules, and give it back.

        Raises
        ------
        GraphError
            When a node reads a value that is not made before it in this graph, avals do not
            match, uses are wrong, or an output is foreign.
        """
        uses: dict[Value, list[Node]] = {}
        for position, node in enumerate(self.nodes):
            if node.id != position or node.graph is not self:
                raise GraphError(f"verify: nodes must be numbered in order, got {node!r}")
            for value, aval in zip(node.inputs, node.bound.ins, strict=True):
                readers = uses.get(value)
                if readers is None:
                    raise GraphError(f"verify: operands must be made before use, got {node!r}")
                if value.aval is not aval and value.aval != aval:
                    raise GraphError(
                        f"verify: operands must have the bound aval {aval}, got {node!r}"
                    )
                readers.append(node)
            for value in node.outputs:
                uses[value] = []
            for body in node.attrs["bodies"] if node.op.region else ():
                body.verify()
        for value, readers in uses.items():
            if value.uses != readers:
                raise GraphError(f"verify: uses must list every reader, got {value!r}")
        for value in self.outputs:
            if value not in uses:
                raise GraphError(f"verify: outputs must be values of the graph, got {value!r}")
        return self

    def to_networkx(self) -> Any:
        """The graph as a `networkx.DiGraph` of node ids.

        Nodes carry ``op``, ``label`` and ``node``; edges carry the ``aval`` that flows.
        """
        import networkx

        graph = networkx.DiGraph()
        for node in self.nodes:
            graph.add_node(node.id, op=node.op.name, label=node.op.name, node=node)
            for value in node.inputs:
                graph.add_edge(value.node.id, node.id, aval=str(value.aval))
        return graph

    def to_dot(self) -> str:
        """The graph in Graphviz's DOT language."""
        from .drawing import to_dot

        return to_dot(self)

    def to_svg(self) -> str:
        """The graph drawn as an SVG picture that stands alone."""
        from .drawing import to_svg

        return to_svg(self)

    def _repr_html_(self) -> str:
        return self.to_svg()

    def __str__(self) -> str:
        from .text import graph_text

        return graph_text(self)

    def __repr__(self) -> str:
        return f"<graph of {len(self.nodes)} nodes>"


def is_within(inner: Any, graph: Graph) -> bool:
    """Whether a style is the graph itself or a body somewhere inside it."""
    while isinstance(inner, Graph):
        if inner is graph:
            return True
        inner = inner.parent
    return False


def storage_of(operand: Any, where: str) -> Storage:
    """The storage of a parameter, or the operand if it is one.

    Raises
    ------
    GraphError
        When it has none.
    """
    if not isinstance(operand, Storage | Parameter):
        raise GraphError(
            f"{where}: must be a variable, a parameter or a storage, got {type(operand).__name__}"
        )
    return operand.storage


def _spec(operand: Any) -> Any:
    if isinstance(operand, Value):
        aval = operand.aval
        return (
            (aval.shape, aval.dtype)
            if aval.device is CPU
            else (aval.shape, aval.dtype, aval.device)
        )
    return int if isinstance(operand, Dim) else spec_of(operand)
