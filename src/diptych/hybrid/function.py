"""GraphFunction: a traced graph as a function of tensors, with one node on the tape.

The backward pass is appended to the traced graph by the operators' own rules, and the whole is cut
in two programs. What the second reads of the first is kept in between, but for views, which are
taken again, and for what exists anyway: inputs, constants and variables. Where `recompute` is among
the passes, `compiler.keeping` chooses what is kept and what is computed again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ..compiler import RECOMPUTE, Program, compile_graph, least_kept, passes_of
from ..eager import Tensor
from ..graphs.batching import per_example
from ..graphs.dims import Dim, Size
from ..graphs.dtypes import is_float
from ..graphs.ir import Graph, Node, Update, Value
from ..graphs.partition import cut, depending, feeding, is_made_again
from .calls import Calls, Forward, GraphNode, Pull, Variant
from .images import Axes, channels_last, give, take


@dataclass(frozen=True, slots=True)
class Backward:
    """The backward pass for one variant, as values of the traced graph."""

    cotangents: list[Value]
    gradients: list[Value | None]

    @property
    def present(self) -> list[Value]:
        return [g for g in self.gradients if g is not None]


@dataclass(slots=True)
class Spent:
    """Seconds spent so far.

    Attributes
    ----------
    tracing, compiling : float
        Also on building backward passes; on making programs of what was traced.
    """

    tracing: float = 0.0
    compiling: float = 0.0


class GraphFunction(Calls):
    """A graph with chosen inputs and outputs, called on tensors and recorded as one node.

    Parameters
    ----------
    graph : Graph
        Grows by one backward pass per variant that is met.
    inputs : list of Value
        Placeholders, in the order of the operands.
    outputs : list of Value
    name : str
        Of the node on the tape.
    executor : str
    passes : tuple of str or None
        `recompute` among them; by default where code is fused, which computes again for little.
    changed : sequence of Value
        The inputs that the caller writes to after each run.
    spent : Spent
        To which what this function takes is added.
    """

    def __init__(
        self,
        graph: Graph,
        inputs: list[Value],
        outputs: list[Value],
        name: str,
        executor: str,
        passes: tuple[str, ...] | None,
        changed: Sequence[Value],
        spent: Spent,
    ) -> None:
        self.graph, self.inputs, self.outputs = graph, inputs, outputs
        self._options: dict[str, Any] = {"executor": executor, "passes": passes}
        self._recomputes = executor == "native" if passes is None else RECOMPUTE in passes
        self._effects = Update(tuple(graph.effects))
        written = {id(e.attrs["storage"]) for e in graph.effects}
        # What updates its own parameters is a training step: there is nothing left to record.
        trains = any(id(p.storage) in written for p in graph.parameters)
        floats = any(is_float(v.dtype) for v in outputs)
        sizes = {
            symbol: (i, axis)
            for i, value in enumerate(inputs)
            for axis, size in enumerate(value.shape)
            if isinstance(size, Dim)
            for symbol in size.symbols
            if size == Dim.symbol(symbol)
        }
        super().__init__(name, len(inputs), graph.parameters, sizes, floats and not trains)
        self._state = [v for s, v in graph.variables if id(s) in written]
        # What a run reads and is then written over.
        self._passing = [*self._state, *changed]
        self._spent = spent
        self._forward_nodes = len(graph.nodes)
        self._backwards: dict[Variant, Backward] = {}
        self._derivatives: dict[Variant, GraphFunction] = {}
        self._lock = threading.RLock()

    @property
    def nodes(self) -> list[Node]:
        """Those of the forward pass."""
        return self.graph.nodes[: self._forward_nodes]

    def backward(self, variant: Variant) -> Backward:
        """The backward pass of a variant, appended to the graph at its first use."""
        with self._lock:
            if variant not in self._backwards:
                start = time.perf_counter()
                self._backwards[variant] = self._append_backward(variant)
                self._spent.tracing += time.perf_counter() - start
            return self._backwards[variant]

    def _append_backward(self, variant: Variant) -> Backward:
        present, wanted = variant
        seeded = [v for v, here in zip(self.outputs, present) if here]
        sources = [*self.inputs, *self.parameters]
        prefix = f"cotangent{len(self.graph.nodes)}"
        cotangents = [
            self.graph.add_placeholder(f"{prefix}.{i}", v.aval) for i, v in enumerate(seeded)
        ]
        gradients = self.graph.grad(
            seeded, [sources[i] for i in wanted], cotangents, allow_unused=True
        )
        return Backward(cotangents, list(gradients))

    def _depending(self, wanted: tuple[int, ...]) -> tuple[int, ...]:
        """Which outputs depend on an operand that records."""
        operands = [*self.inputs, *self.parameters]
        sources = [read for i in wanted for read in self.graph.reads_of(_leaf(operands[i]))]
        reached = depending(self.nodes, sources)
        found = enumerate(self.outputs)
        return tuple([i for i, v in found if v in reached and is_float(v.dtype)])

    def pull_examples(
        self, node: GraphNode, cotangents: list[Any], wanted: tuple[int, ...]
    ) -> list[tuple[int, Any]]:
        """Pull mapped cotangents, such as the rows of a Jacobian, one by one."""
        positions: list[int] = []

        def pull_one(given: list[Any]) -> list[Any]:
            pulled = node.pull(given, wanted)
            positions[:] = [i for i, _ in pulled]
            return [g for _, g in pulled]

        return list(zip(positions, per_example(pull_one, cotangents)))

    def explain(self) -> list[str]:
        """Lines on each program that was compiled, and on what is kept between two."""
        made = [f for f in self.forwards.values() if f.program is not None]
        lines = [
            f"{title}: {line}"
            for title, program in self._compiled_so_far()
            for line in program.explain().splitlines()
        ]
        return [*lines, *(f"forward, recorded: {r}" for r in made)]

    def sources(self) -> list[str]:
        """The generated code of each program that was compiled."""
        return [f"# {title}\n{program.source}" for title, program in self._compiled_so_far()]

    def _compiled_so_far(self) -> list[tuple[str, Program]]:
        forwards = list(self.forwards.values())
        pulls = [pull for forward in forwards for pull in forward.pulls.values()]
        found = [("forward", self.plain)]
        found += [("forward, recorded", forward.program) for forward in forwards]
        found += [(f"backward {i}", pull.program) for i, pull in enumerate(pulls)]
        return [(title, program) for title, program in found if program is not None]

    def prepare_plain(self) -> Program:
        with self._lock:
            if self.plain is None:
                self.plain = self._compile(self.graph, self.inputs, self.outputs)
            return self.plain

    def prepare(self, wanted: tuple[int, ...]) -> Forward:
        """The forward pass for operands that record, and what it keeps for a full backward."""
        with self._lock:
            if wanted not in self.forwards:
                recorded = self._depending(wanted)
                self.forwards[wanted] = self._forward(wanted, recorded) if recorded else Forward()
            return self.forwards[wanted]

    def _forward(self, wanted: tuple[int, ...], recorded: tuple[int, ...]) -> Forward:
        present = tuple([i in recorded for i in range(len(self.outputs))])
        full = self.backward((present, wanted))
        reads = feeding(full.present, self._is_forward)
        there = {v for v in reads if v.node.is_source}
        read = chosen = [v for v in reads if v not in there]
        if self._recomputes:
            start = time.perf_counter()
            chosen = least_kept(self.graph, self._forward_nodes, reads)
            self._spent.tracing += time.perf_counter() - start
        kept = (*self._passing, *chosen)
        orders = self._orders(chosen, len(self.outputs) + len(self._passing))
        return Forward(
            self._compile(self.graph, self.inputs, [*self.outputs, *kept], orders),
            recorded,
            tuple([value.aval for value in self.outputs]),
            kept,
            _bytes(chosen),
            _bytes(read),
            tuple([storage for storage, _ in self.graph.variables]),
        )

    def prepare_all(self, wanted: tuple[int, ...], sizes: dict[str, int]) -> None:
        """Compile what calls of some sizes run, where operands at some positions record."""
        forward = self.prepare(wanted) if wanted else Forward()
        if forward.program is None:
            self.prepare_plain().prepare(sizes)
            return
        forward.program.prepare(sizes)
        present = tuple([i in forward.recorded for i in range(len(self.outputs))])
        self.prepare_pull((present, wanted), forward).program.prepare(sizes)

    def _is_forward(self, value: Value) -> bool:
        """Whether a value is of the forward pass and more than a view or a constant."""
        return value.node.id < self._forward_nodes and not is_made_again(value.node)

    def prepare_pull(self, variant: Variant, forward: Forward) -> Pull:
        with self._lock:
            if variant not in forward.pulls:
                backward = self.backward(variant)
                places = {value: -1 - i for i, value in enumerate(self.inputs)}
                places |= {value: i for i, value in enumerate(forward.kept)}
                cuts = feeding(backward.present, lambda value: value in places)
                graph = cut(self.graph, [*backward.cotangents, *cuts], backward.present)
                kept = set(forward.kept[len(self._passing) :])
                handed = [v if v in kept else None for v in cuts]
                graph = take(graph, self._orders(handed, len(backward.cotangents)))
                numbers = {id(storage): i for i, storage in enumerate(forward.storages)}
                forward.pulls[variant] = Pull(
                    self._compiled(graph, list(graph.outputs)),
                    tuple([places[value] for value in cuts]),
                    tuple([numbers[id(storage)] for storage, _ in graph.variables]),
                    _present(variant, backward),
                )
            return forward.pulls[variant]

    def pull_recorded(
        self, variant: Variant, node: GraphNode, given: list[Any]
    ) -> list[tuple[int, Any]]:
        """The gradients as a recorded function of the operands: the forward pass runs again.

        State that the forward pass moved, such as a random offset, is read as it was then.
        """
        backward = self.backward(variant)
        with self._lock:
            if variant not in self._derivatives:
                inputs = [*self.inputs, *backward.cotangents, *self._state]
                graph = cut(self.graph, inputs, backward.present)
                self._derivatives[variant] = GraphFunction(
                    graph, list(graph.placeholders.values()), list(graph.outputs),
                    f"{self.name} backward", **self._options, changed=(), spent=self._spent,
                )  # fmt: skip
            derivative = self._derivatives[variant]
        numbers = {id(storage): i for i, storage in enumerate(node.forward.storages)}
        node.check_storages(tuple([numbers[id(s)] for s, _ in derivative.graph.variables]))
        operands = [node.unpack(i) for i in range(len(self.inputs))]
        moved = [Tensor(node.array_of(i)) for i in range(len(self._state))]
        found = derivative([*operands, *given, *moved])
        return list(zip(_present(variant, backward), found))

    def _orders(self, handed: Sequence[Value | None], first: int) -> dict[int, Axes]:
        """By their positions from `first` on, in which order of their axes values are handed over.

        None is for what is not handed from one program to the other.
        """
        if self._options["executor"] != "native":
            return {}
        found = channels_last(self.graph, [v for v in handed if v is not None])
        return {first + i: found[v] for i, v in enumerate(handed) if v is not None and v in found}

    def _compile(
        self,
        graph: Graph,
        inputs: list[Value],
        outputs: list[Value],
        orders: Mapping[int, Axes] = MappingProxyType({}),
    ) -> Program:
        forward = cut(graph, inputs, outputs, self._effects)
        give(forward, orders)
        return self._compiled(forward, [list(forward.outputs), Update(tuple(forward.effects))])

    def _compiled(self, graph: Graph, fetches: Any) -> Program:
        start = time.perf_counter()
        executor, passes = self._options["executor"], self._options["passes"]
        if passes is not None:
            passes = ["prune", *(name for name in passes if name in passes_of(executor))]
        program = compile_graph(graph, fetches, executor=executor, passes=passes)
        self._spent.compiling += time.perf_counter() - start
        return program


def _present(variant: Variant, backward: Backward) -> tuple[int, ...]:
    """The operands to which the backward pass of a variant gives a cotangent."""
    pairs = zip(variant[1], backward.gradients)
    return tuple([position for position, gradient in pairs if gradient is not None])


def _leaf(operand: Any) -> Any:
    """What a graph knows an operand by: a parameter by its storage."""
    return operand if isinstance(operand, Value) else operand.storage


def _bytes(values: list[Value]) -> Size:
    return sum((v.aval.nbytes for v in values), 0)
