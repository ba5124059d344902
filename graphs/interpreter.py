"""The reference interpreter: node by node, through the very kernels that eager code calls."""

from __future__ import annotations

from functools import partial
from typing import Any

from .avals import show
from .dims import substitute
from .errors import GraphError, ShapeError
from .ir import CONSTANT, PLACEHOLDER, VARIABLE, Graph, Node, Value
from .kernels import copied, launch
from .nodes import note_location
from .ops.core import Bound
from .regions import Runner, kernel_of

# How many combinations of sizes a program keeps ready; the oldest goes first.
MOST_SIZES = 64


class Interpreter:
    """Runs a graph as it stands. Subclasses override `run_node` to do something else at a node.

    Parameters
    ----------
    graph : Graph

    Examples
    --------
    >>> from diptych.graphs.avals import Aval
    >>> from diptych.graphs.ir import Graph
    >>> graph = Graph()
    >>> x = graph.add_placeholder("x", Aval((2,), np.dtype("float32")))
    >>> graph.outputs = (x * 2,)
    >>> Interpreter(graph).run([np.ones(2, np.float32)], {})
    [array([2., 2.], dtype=float32)]
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._last_use = _last_uses(graph)
        self._resolved: dict[tuple[Any, ...], list[Bound]] = {}
        self._bodies: dict[Graph, Interpreter] = {}

    def run(self, feeds: list[Any], binding: dict[str, int]) -> list[Any]:
        """Run once: compute the outputs, then commit the effects.

        Parameters
        ----------
        feeds : list of arrays
            In the order of the placeholders.
        binding : dict
            The size of each symbolic dimension.

        Returns
        -------
        list of arrays
            The outputs, in fresh memory.
        """
        env: dict[Value, Any] = {}
        fed = iter(feeds)
        writes: list[tuple[Any, Any]] = []
        for node, bound in zip(self.graph.nodes, self._resolve(binding)):
            if node.op.effect:
                writes.append((node.attrs["storage"], env[node.inputs[1]]))
            elif node.op is PLACEHOLDER:
                env[node.outputs[0]] = next(fed)
            elif node.is_source:
                env[node.outputs[0]] = source_array(node, binding)
            elif node.op.region:
                kernel = kernel_of(bound, binding, partial(self._body, binding))
                env.update(zip(node.outputs, kernel(*(env[v] for v in node.inputs))))
            else:
                arrays = [env[v] for v in node.inputs]
                try:
                    env.update(zip(node.outputs, self.run_node(node, bound, arrays)))
                except Exception as error:
                    note_location(error, node)
                    raise
                del arrays
            for value in self._last_use[node.id]:
                env.pop(value, None)
        results = [
            env[v] if own else copied(env[v])
            for v, own in zip(self.graph.outputs, owns_memory(self.graph.outputs))
        ]
        commit(writes)
        return results

    def _body(self, binding: dict[str, int], body: Graph) -> Runner:
        """Runs a body of a region as this graph is run."""
        if body not in self._bodies:
            self._bodies[body] = type(self)(body)
        return partial(self._bodies[body].run, binding=binding)

    def run_node(self, node: Node, bound: Bound, arrays: list[Any]) -> tuple[Any, ...]:
        """Compute one node's results from its operands."""
        return launch(bound, arrays)

    def _resolve(self, binding: dict[str, int]) -> list[Bound]:
        key = tuple(sorted(binding.items()))
        if key not in self._resolved:
            if len(self._resolved) >= MOST_SIZES:
                self._resolved.pop(next(iter(self._resolved)))
            self._resolved[key] = [resolve(node, binding) for node in self.graph.nodes]
        return self._resolved[key]


def resolve(node: Node, binding: dict[str, int]) -> Bound:
    """A node's bound operator with every symbolic dimension replaced by its size."""
    if not binding:
        return node.bound
    if node.op.kernel is None:
        ins = tuple(aval.substitute(binding) for aval in node.bound.ins)
        outs = tuple(aval.substitute(binding) for aval in node.bound.outs)
        return Bound(node.op, node.attrs, ins, outs)
    specs = tuple(
        (a.shape, a.dtype, a.device) for a in (aval.substitute(binding) for aval in node.bound.ins)
    )
    bound = node.op.bind(specs, tuple(substitute(v, binding) for v in node.attrs.values()))
    for found, aval in zip(bound.outs, node.bound.outs):
        if found.shape != substitute(aval.shape, binding):
            sizes = ", ".join(f"{name}={size}" for name, size in binding.items())
            raise ShapeError(
                f"{node.op.name}: result must have shape {show(aval.shape)} where {sizes}, got "
                f"{show(found.shape)}"
            )
    return bound


def source_array(node: Node, binding: dict[str, int]) -> Any:
    """The array of a constant, a variable or a size."""
    if node.op is CONSTANT:
        return node.attrs["array"]
    if node.op is VARIABLE:
        return current_array(node)
    aval = node.outputs[0].aval
    return aval.device.xp.asarray(node.attrs["dim"].evaluate(binding), aval.dtype)


def current_array(node: Node) -> Any:
    """What the storage of a variable holds now.

    Raises
    ------
    GraphError
        When it is of another shape or dtype than the graph was built for.
    """
    storage, aval = node.attrs["storage"], node.outputs[0].aval
    array = storage.array
    if array.shape != aval.shape or array.dtype != aval.dtype:
        raise GraphError(
            f"variable: {storage.name!r} must keep its shape and dtype, got "
            f"{array.dtype}{list(array.shape)} for {aval}; build the graph again"
        )
    return array


def owns_memory(outputs: tuple[Value, ...]) -> list[bool]:
    """Per output, whether a run made its memory, and for no output before it.

    The others (feeds, constants, variables, views of them, and second views) must be copied out.
    """
    given: set[Value] = set()
    owned = []
    for value in outputs:
        root = viewed(value)
        owned.append(not root.node.is_source and root not in given)
        given.add(root)
    return owned


def viewed(value: Value) -> Value:
    """The value whose memory a chain of view operators may show."""
    while value.node.op.view:
        value = value.node.inputs[0]
    return value


def commit(writes: list[tuple[Any, Any]]) -> None:
    """Write every storage; values that are views or storages themselves are copied out first."""
    held = {id(storage.array) for storage, _ in writes}
    safe = [
        (storage, copied(array) if array.base is not None or id(array) in held else array)
        for storage, array in writes
    ]
    for storage, array in safe:
        storage.write(array)


def _last_uses(graph: Graph) -> list[list[Value]]:
    """Per node, the values that nothing after it reads."""
    kept = set(graph.outputs)
    last: list[list[Value]] = [[] for _ in graph.nodes]
    for node in graph.nodes:
        for value in node.outputs:
            if value not in kept:
                end = max((user.id for user in value.uses), default=node.id)
                if not any(user.op.effect for user in value.uses):
                    last[end].append(value)
    return last
