"""GraphFunction: a traced graph as a function of tensors, with one node on the tape.

The backward pass is appended to the traced graph by the operators' own rules, and the whole is cut
in two programs. What the second reads of the first is kept in between, but for views, which are
taken again, and for what exists anyway: inputs, constants and variables. Where `recompute` is among
the passes, `compiler.keeping` chooses what is kept and what is computed again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..compiler import RECOMPUTE, Program, compile_graph, least_kept, passes_of
from ..eager import Node, Tensor
from ..eager.tape import join, new_saved
from ..graphs.avals import aval_of
from ..graphs.batching import Batched, per_example
from ..graphs.dims import Dim, Size
from ..graphs.dtypes import is_float
from ..graphs.errors import TapeError
from ..graphs.ir import Graph, Update, Value
from ..graphs.modes import is_grad_enabled, note_reads, readers
from ..graphs.partition import cut, depending, feeding, is_made_again
from ..graphs.storage import Storage

# Which results have a cotangent, and which operands need one.
Variant = tuple[tuple[bool, ...], tuple[bool, ...]]


@dataclass(frozen=True, slots=True)
class Backward:
    """The backward pass for one variant, as values of the traced graph."""

    cotangents: list[Value]
    wanted: list[int]
    gradients: list[Value | None]

    @property
    def present(self) -> list[Value]:
        return [g for g in self.gradients if g is not None]


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """The forward pass for operands some of which record.

    Attributes
    ----------
    program : Program
        Gives the outputs, and then what is kept.
    kept : tuple of Value
    bytes_kept, bytes_read : Size
        Of what is kept, and of what the backward pass reads.
    """

    program: Program
    kept: tuple[Value, ...]
    bytes_kept: Size
    bytes_read: Size

    def __str__(self) -> str:
        text = f"{self.bytes_kept} bytes kept for the backward pass"
        more = self.bytes_read != self.bytes_kept
        return f"{text}, {self.bytes_read} without recomputing" if more else text


class GraphFunction:
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

    Attributes
    ----------
    build_s, compile_s : float
        Seconds spent on building backward passes and on compiling programs.
    """

    def __init__(
        self,
        graph: Graph,
        inputs: list[Value],
        outputs: list[Value],
        name: str,
        executor: str,
        passes: tuple[str, ...] | None,
        changed: Sequence[Value] = (),
    ) -> None:
        self.graph, self.inputs, self.outputs, self.name = graph, inputs, outputs, name
        self.parameters = graph.parameters
        self._options: dict[str, Any] = {"executor": executor, "passes": passes}
        self._recomputes = executor == "native" if passes is None else RECOMPUTE in passes
        self._effects = Update(tuple(graph.effects))
        self._written = {id(e.attrs["storage"]) for e in graph.effects}
        # What updates its own parameters is a training step: there is nothing left to record.
        self._trains = any(id(p.storage) in self._written for p in self.parameters)
        self._state = [v for s, v in graph.variables if id(s) in self._written]
        # What a run reads and is then written over.
        self._passing = [*self._state, *changed]
        self.build_s = self.compile_s = 0.0
        self._forward_nodes = len(graph.nodes)
        self._position = {value: i for i, value in enumerate(inputs)}
        # Where each symbol is found: at an axis of an input.
        self._sizes = {
            symbol: (i, axis)
            for i, value in enumerate(inputs)
            for axis, size in enumerate(value.shape)
            if isinstance(size, Dim)
            for symbol in size.symbols
            if size == Dim.symbol(symbol)
        }
        floats = any(is_float(v.dtype) for v in outputs)
        self._is_differentiable = floats and not self._trains
        self._plain: Program | None = None
        self._recorded: dict[tuple[bool, ...], Recorded] = {}
        self._backwards: dict[Variant, Backward] = {}
        self._programs: dict[
            tuple[Variant, Recorded], tuple[Program, list[Value], list[Storage]]
        ] = {}
        self._depend: dict[tuple[bool, ...], list[bool]] = {}
        self._lock = threading.RLock()
        self._derivatives: dict[Variant, GraphFunction] = {}

    def __call__(self, tensors: list[Tensor]) -> list[Tensor]:
        """Run the graph; one tensor per output."""
        arrays = [t.array for t in tensors]
        sizes = {name: arrays[i].shape[axis] for name, (i, axis) in self._sizes.items()}
        operands = [*tensors, *self.parameters]
        if readers():
            note_reads(self.name, operands)
        edges = tuple(t.edge() for t in operands) if self._may_record() else ()
        needs = tuple(edge is not None for edge in edges)
        if not any(needs) or not any(self._depending(needs)):
            if self._plain is None:
                self._plain = self._compile(self.graph, self.inputs, self.outputs)
            return [Tensor(array) for array in self._plain.call(arrays, sizes)]
        forward = self._recorded.get(needs) or self._prepare(needs)
        computed = forward.program.call(arrays, sizes)
        results = [Tensor(array) for array in computed[: len(self.outputs)]]
        kept = dict(zip(forward.kept, computed[len(self.outputs) :]))
        node = GraphNode(self, edges, operands, forward, kept, results, sizes)
        for index, (recorded, result) in enumerate(zip(self._depending(needs), results)):
            if recorded:
                join(result, node, index)
        return results

    def _may_record(self) -> bool:
        return self._is_differentiable and is_grad_enabled()

    def position(self, value: Value) -> int:
        """Which operand an input is."""
        return self._position[value]

    def backward(self, variant: Variant) -> Backward:
        """The backward pass of a variant, appended to the graph at its first use."""
        with self._lock:
            if variant not in self._backwards:
                start = time.perf_counter()
                self._backwards[variant] = self._append_backward(variant)
                self.build_s += time.perf_counter() - start
            return self._backwards[variant]

    def _append_backward(self, variant: Variant) -> Backward:
        present, needs = variant
        seeded = [v for v, here in zip(self.outputs, present) if here]
        sources = [*self.inputs, *self.parameters]
        wanted = [i for i, need in enumerate(needs) if need]
        prefix = f"cotangent{len(self._backwards)}"
        cotangents = [
            self.graph.add_placeholder(f"{prefix}.{i}", v.aval) for i, v in enumerate(seeded)
        ]
        gradients = self.graph.grad(
            seeded, [sources[i] for i in wanted], cotangents, allow_unused=True
        )
        return Backward(cotangents, wanted, list(gradients))

    def _depending(self, needs: tuple[bool, ...]) -> list[bool]:
        """Which outputs depend on an operand that records."""
        if needs not in self._depend:
            sources = [
                read
                for s, need in zip([*self.inputs, *self.parameters], needs)
                if need
                for read in self.graph.reads_of(s if isinstance(s, Value) else s.storage)
            ]
            reached = depending(self.graph.nodes[: self._forward_nodes], sources)
            self._depend[needs] = [v in reached and is_float(v.dtype) for v in self.outputs]
        return self._depend[needs]

    def pull(self, node: GraphNode, cotangents: list[Any], needs: list[bool]) -> list[Any]:
        """Cotangents of the operands, by the compiled backward pass."""
        if any(isinstance(g, Batched) for g in cotangents):
            return self._pull_examples(node, cotangents, needs)
        variant = (tuple(g is not None for g in cotangents), tuple(needs))
        given = [g for g in cotangents if g is not None]
        if is_grad_enabled():
            gradients = self._differentiable(variant, node, given)
        else:
            program, cuts, read = self._program(variant, node.forward)
            node.check_storages(read)
            arrays = [node.array_of(value) for value in cuts]
            arrays = [*(g.array for g in given), *arrays]
            gradients = [Tensor(a) for a in program.call(arrays, node.sizes)]
        backward = self.backward(variant)
        found = iter(gradients)
        return [
            (position, next(found))
            for position, value in zip(backward.wanted, backward.gradients)
            if value is not None
        ]

    def _pull_examples(
        self, node: GraphNode, cotangents: list[Any], needs: list[bool]
    ) -> list[Any]:
        """Pull mapped cotangents, such as the rows of a Jacobian, one by one."""
        positions: list[int] = []

        def pull_one(given: list[Any]) -> list[Any]:
            pulled = self.pull(node, given, needs)
            positions[:] = [i for i, _ in pulled]
            return [g for _, g in pulled]

        return list(zip(positions, per_example(pull_one, cotangents)))

    def explain(self) -> list[str]:
        """Lines on each program that was compiled, and on what is kept between two."""
        lines = [
            f"{title}: {line}"
            for title, program in self._compiled_so_far()
            for line in program.explain().splitlines()
        ]
        return [*lines, *(f"forward, recorded: {r}" for r in self._recorded.values())]

    def sources(self) -> list[str]:
        """The generated code of each program that was compiled."""
        return [f"# {title}\n{program.source}" for title, program in self._compiled_so_far()]

    def _compiled_so_far(self) -> list[tuple[str, Program]]:
        found = [("forward", self._plain)]
        found += [("forward, recorded", r.program) for r in self._recorded.values()]
        found += [(f"backward {i}", p) for i, (p, *_) in enumerate(self._programs.values())]
        return [(title, program) for title, program in found if program is not None]

    def _prepare(self, needs: tuple[bool, ...]) -> Recorded:
        """The forward pass for operands that record, and what it keeps for a full backward."""
        with self._lock:
            if needs not in self._recorded:
                self._recorded[needs] = self._compile_recorded(needs)
            return self._recorded[needs]

    def _compile_recorded(self, needs: tuple[bool, ...]) -> Recorded:
        full = self.backward((tuple(self._depending(needs)), needs))
        reads = feeding(full.present, self._is_forward)
        there = {v for v in reads if v.node.is_source}
        read = chosen = [v for v in reads if v not in there]
        if self._recomputes:
            start = time.perf_counter()
            chosen = least_kept(self.graph, self._forward_nodes, reads)
            self.build_s += time.perf_counter() - start
        program = self._compile(self.graph, self.inputs, [*self.outputs, *self._passing, *chosen])
        return Recorded(program, (*self._passing, *chosen), _bytes(chosen), _bytes(read))

    def _is_forward(self, value: Value) -> bool:
        """Whether a value is of the forward pass and more than a view or a constant."""
        return value.node.id < self._forward_nodes and not is_made_again(value.node)

    def _program(
        self, variant: Variant, forward: Recorded
    ) -> tuple[Program, list[Value], list[Storage]]:
        """The backward pass of a variant, what it reads of what is kept and of the arguments, and
        the storages that it reads."""
        with self._lock:
            found = self._programs.get((variant, forward))
            if found is None:
                backward = self.backward(variant)
                there = {*forward.kept, *self.inputs}
                cuts = feeding(backward.present, lambda value: value in there)
                graph = cut(self.graph, [*backward.cotangents, *cuts], backward.present)
                program = self._compiled(graph, list(graph.outputs))
                found = (program, cuts, [storage for storage, _ in graph.variables])
                self._programs[variant, forward] = found
            return found

    def _differentiable(
        self, variant: Variant, node: GraphNode, given: list[Tensor]
    ) -> list[Tensor]:
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
                    f"{self.name} backward", **self._options,
                )  # fmt: skip
            derivative = self._derivatives[variant]
        node.check_storages([storage for storage, _ in derivative.graph.variables])
        operands = [node.unpack(i) for i in range(len(self.inputs))]
        moved = [Tensor(node.array_of(v)) for v in self._state]
        return derivative([*operands, *given, *moved])

    def _compile(self, graph: Graph, inputs: list[Value], outputs: list[Value]) -> Program:
        forward = cut(graph, inputs, outputs, self._effects)
        return self._compiled(forward, [list(forward.outputs), Update(tuple(forward.effects))])

    def _compiled(self, graph: Graph, fetches: Any) -> Program:
        start = time.perf_counter()
        executor, passes = self._options["executor"], self._options["passes"]
        if passes is not None:
            passes = ["prune", *(name for name in passes if name in passes_of(executor))]
        program = compile_graph(graph, fetches, executor=executor, passes=passes)
        self.compile_s += time.perf_counter() - start
        return program


class GraphNode(Node):
    """The one node on the tape that stands for a compiled graph."""

    def __init__(
        self,
        function: GraphFunction,
        edges: tuple[Any, ...],
        operands: list[Tensor],
        forward: Recorded,
        kept: dict[Value, Any],
        results: list[Tensor],
        sizes: dict[str, int],
    ) -> None:
        count = len(function.inputs)
        saved = tuple(new_saved(f"argument {i}", t, -1) for i, t in enumerate(operands[:count]))
        super().__init__(function.name, edges, tuple(aval_of(t.array) for t in results), saved)
        self._function, self.forward, self._kept = function, forward, kept
        self.sizes = sizes
        self._versions = {id(s): s.version for s, _ in function.graph.variables}

    def pull(self, cotangents: list[Any], wanted: tuple[int, ...]) -> list[tuple[int, Any]]:
        needs = [i in wanted for i in range(len(self.sources))]
        return self._function.pull(self, cotangents, needs)

    def array_of(self, value: Value) -> Any:
        """The array that the forward pass read or computed for a value."""
        if value in self._kept:
            return self._kept[value]
        return self.unpack(self._function.position(value)).array

    def check_storages(self, storages: list[Storage]) -> None:
        """Raises TapeError when a storage changed between the forward and backward pass."""
        for storage in storages:
            version = self._versions[id(storage)]
            if storage.version != version:
                raise TapeError(
                    f"{self.name}: a value saved for the gradient must not change in place, got "
                    f"{storage.name!r} at version {storage.version} in place of {version}"
                )

    def free(self) -> None:
        super().free()
        self._kept = {}


def _bytes(values: list[Value]) -> Size:
    return sum((v.aval.nbytes for v in values), 0)
