"""planned: straight-line Python over a memory plan, written once per binding of the sizes.

The generated function holds one kernel call a line, on arrays that were laid out beforehand, so a
run neither walks a graph nor allocates for what it does not return.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import CodeType
from typing import Any

import numpy as np

from ...graphs.errors import DiptychError
from ...graphs.interpreter import owns_memory
from ...graphs.ir import PLACEHOLDER, Graph, Node, Value
from ...graphs.kernels import recorder
from ...graphs.nodes import note_location
from ...graphs.regions import kernel_of
from ..arena import aligned_bytes
from ..interface import Interface
from .memory import MemoryPlan, plan_memory
from .plans import Plan, Planning, titled

_FILE = "<diptych planned>"


class Planned(Planning):
    """Executes a graph by generated straight-line code over a memory plan.

    Each binding of the symbolic dimensions is planned once. Concurrent runs have an arena each.
    """

    name = "planned"

    def __init__(self, graph: Graph) -> None:
        self._graph, self.needed = graph, tuple(graph.placeholders)
        super().__init__(graph.symbols)

    def _made(self, binding: dict[str, int]) -> _Plan:
        return _Plan(self._graph, binding)

    @property
    def _runs(self) -> Graph:
        return self._graph


class _Plan(Plan):
    """One binding: the plan, its code, and the instances that are free to run."""

    def __init__(self, graph: Graph, binding: dict[str, int]) -> None:
        super().__init__(Interface.of(graph))
        self.memory = plan_memory(graph, binding)
        self._writer = _Writer(graph, self.memory, binding)
        self.source = titled(binding, self._writer.text)
        self._code: CodeType = compile(self._writer.text, _FILE, "exec")
        self._free: list[Callable[..., list[Any]]] = [self._instance()]

    @property
    def lines(self) -> list[str]:
        return [str(self.memory)]

    def run(self, feeds: list[Any]) -> list[Any]:
        try:
            step = self._free.pop()
        except IndexError:
            step = self._instance()
        # A feed over a variable's memory must keep its numbers while the variable changes.
        if self.written:
            feeds = [f.copy() if self.overlaps(f) else f for f in feeds]
        try:
            results = step(*feeds)
        except DiptychError as error:  # a kernel refused its data before anything was written
            self._writer.locate(error)
            raise
        except BaseException as error:
            self._writer.locate(error)
            self.note_writes()
            raise
        finally:
            self._free.append(step)
        self.note_writes()
        observer = recorder()
        if observer is not None:
            observer.note_program(self.memory.counts, results)
        return results

    def _instance(self) -> Callable[..., list[Any]]:
        """The code with an arena of its own."""
        namespace: dict[str, Any] = dict(self._writer.constants)
        arena = aligned_bytes(self.memory.arena_bytes)
        for name, value in self._writer.static.items():
            namespace[name] = self._array(value, arena, namespace)
        exec(self._code, namespace)
        return namespace["step"]

    def _array(self, value: Value, arena: np.ndarray, made: dict[str, Any]) -> Any:
        node = value.node
        bound = self.memory.bounds[node.id]
        if node.op.view and self._writer.is_static_view(value):
            return bound.kernel(made[self._writer.names[node.inputs[0]]])
        home = self.memory.homes[value]
        if home.array is not None:
            return home.array
        aval = bound.outs[value.index]
        piece = arena[home.offset : home.offset + int(aval.nbytes)]
        return piece.view(aval.dtype).reshape(aval.shape)


class _Writer:
    """Prints a plan as the function ``step(*feeds)``.

    Names say what a value is: ``f`` a feed, ``b`` a buffer, variable, constant or a view of one,
    ``r`` what a run makes anew, ``k`` a kernel; the number is the node's. ``o`` is an output that
    is copied out, ``c`` an assigned value that is.
    """

    def __init__(self, graph: Graph, memory: MemoryPlan, binding: dict[str, int]) -> None:
        self.graph, self.memory, self._binding = graph, memory, binding
        self.names: dict[Value, str] = {}
        self.static: dict[str, Value] = {}
        self.constants: dict[str, Any] = {"copyto": np.copyto, "asarray": np.asarray}
        self.lines: list[str] = []
        self._nodes: list[Node] = []
        self._owned = owns_memory(graph.outputs)
        for node in graph.nodes:
            if not node.op.effect:
                self._write(node)
        returned = ", ".join(self._write_results())
        self._write_commits()
        feeds = [self.names[v] for v in graph.placeholders.values()]
        body = [f"    {line}" for line in self.lines]
        self.text = "\n".join([f"def step({', '.join(feeds)}):", *body, f"    return [{returned}]"])

    def is_static_view(self, value: Value) -> bool:
        """Whether a value is a view of memory that exists before a run."""
        node = value.node
        return bool(
            node.op.view
            and value in self.memory.homes
            and self.memory.homes.get(node.inputs[0]) is self.memory.homes[value]
        )

    def locate(self, error: BaseException) -> None:
        """Add the line of the user's program whose kernel raised."""
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename != _FILE:
            trace = trace.tb_next
        if trace is not None:  # deeper frames are those of bodies, which have added theirs
            note_location(error, self._nodes[trace.tb_lineno - 2])

    def _write(self, node: Node) -> None:
        for value in node.outputs:
            kind = "f" if node.op is PLACEHOLDER else "b" if value in self.memory.homes else "r"
            self.names[value] = f"{kind}{node.id}" + (f"_{value.index}" if value.index else "")
            if kind == "b":
                self.static[self.names[value]] = value
        if node.is_source or self.is_static_view(node.outputs[0]):
            return
        kernel = f"k{node.id}"
        self.constants[kernel] = self._kernel(node)
        operands = ", ".join(self.names[v] for v in node.inputs)
        results = [self.names[v] for v in node.outputs]
        if node.outputs[0] in self.memory.homes and not node.op.view:
            line = f"{kernel}({operands}{', ' if operands else ''}out={results[0]})"
        elif node.outputs[0] in self.memory.homes:
            line = f"copyto({results[0]}, {kernel}({operands}))"
        elif node.op.region or len(results) > 1:
            line = f"[{', '.join(results)}] = {kernel}({operands})"
        elif node.outputs[0].shape:
            line = f"{results[0]} = {kernel}({operands})"
        else:  # NumPy gives scalars where it should give 0-d arrays
            line = f"{results[0]} = asarray({kernel}({operands}))"
        self._add(node, f"{line}  # {node.op.name} {self.memory.bounds[node.id].outs[0]}")

    def _kernel(self, node: Node) -> Callable[..., Any]:
        """What computes a node; a body of a region is planned as a graph of its own."""
        bound = self.memory.bounds[node.id]
        if not node.op.region:
            return bound.kernel
        return kernel_of(
            bound, self._binding, lambda body: partial(Planned(body).run, binding=self._binding)
        )

    def _write_commits(self) -> None:
        """Copy what is assigned; all of a variable's old numbers are read before any is written."""
        copies: list[tuple[Node, str]] = []
        for storage, value in self.memory.committed:
            target = self.names[self.graph.variable_of(storage)]
            home = self.memory.homes.get(value)
            source = self.names[value]
            if home is None or home.storage is not None:
                self._add(value.node, f"c{len(copies)} = {source}.copy()")
                source = f"c{len(copies)}"
            copies.append((value.node, f"copyto({target}, {source})"))
        for node, line in copies:
            self._add(node, line)

    def _write_results(self) -> list[str]:
        """Copy out what is returned and not a run's own memory, before anything is assigned."""
        names = []
        for position, value in enumerate(self.graph.outputs):
            name = self.names[value]
            if not self._owned[position]:
                self._add(value.node, f"o{position} = {name}.copy()")
                name = f"o{position}"
            names.append(name)
        return names

    def _add(self, node: Node, line: str) -> None:
        self.lines.append(line)
        self._nodes.append(node)
