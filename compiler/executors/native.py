"""native: the whole step as generated C, one call a run.

Each binding of the symbolic dimensions is compiled once. Operators that have no native code run by
their kernels, between native parts. Where there is no compiler, or it fails, the graph runs by
`planned`, and that is said once.
"""

from __future__ import annotations

import warnings
from functools import cached_property
from typing import Any

import numpy as np

from ...graphs.ir import VARIABLE, Graph
from ...graphs.kernels import recorder
from ...graphs.threads import get_num_threads
from ..native.build import Built, NoCodeError, build
from ..native.library import load
from ..native.remembered import name_of, recall, remember
from ..native.toolchain import CompileError, NoCompilerError
from ..passes import NATIVE_ORDER, NATIVE_PASSES, PASSES
from .instance import INTERRUPTED, Instance, prepared
from .memory import Counts
from .planned import Planned
from .plans import Plan, Planning
from .reference import Reference
from .results import Results


class Native(Planning):
    """Executes a graph by generated C over a memory plan. Concurrent runs have an arena each.

    Parameters
    ----------
    graph : Graph
    passes : sequence of str, optional
        Which of the passes for native code to run. All by default.
    """

    name = "native"

    def __init__(self, graph: Graph, passes: Any = None) -> None:
        known = {**PASSES, **NATIVE_PASSES}
        chosen = known if passes is None else passes
        self._passes = [(name, known[name]) for name in NATIVE_ORDER if name in chosen]
        self._fallen = ""
        super().__init__(graph)

    def _made(self, binding: dict[str, int]) -> Plan:
        reason = _no_code(self._graph)
        if not reason:
            try:
                return _Plan(self._graph, binding, self._passes)
            except NoCodeError as error:
                reason = str(error)
            except (NoCompilerError, CompileError) as error:
                reason = str(error)
                _warn_once(reason)
        self._fallen = reason
        return _Fallback(self._graph, binding)

    def explain(self) -> list[str]:
        fallen = [f"native: runs by planned, for {self._fallen}"] if self._fallen else []
        return [*fallen, *super().explain()]


class _Fallback(Plan):
    """A binding that runs by `planned`."""

    source = ""

    def __init__(self, graph: Graph, binding: dict[str, int]) -> None:
        super().__init__(graph)
        self._planned, self._binding = Planned(graph), binding

    @property
    def lines(self) -> list[str]:
        return self._planned.explain()

    def is_current(self) -> bool:
        return True  # `planned` looks for itself

    def run(self, feeds: list[Any]) -> list[Any]:
        return self._planned.run(feeds, self._binding)


class _Plan(Plan):
    """One binding: its code, and the instances that are free to run."""

    def __init__(self, graph: Graph, binding: dict[str, int], passes: Any) -> None:
        super().__init__(graph)
        self._graph, self._binding = graph, binding
        built = self._built = _recalled_or_built(graph, binding, passes)
        self.source = built.source
        self._code = load(built.units) if any(isinstance(s, str) for s in built.steps) else None
        self._results = Results([(x.shape, x.dtype) for x in built.outputs])
        self._kept = prepared(built, self._code)
        self._free: list[Instance] = [self._instance()]

    def _instance(self) -> Instance:
        return Instance(self._built, self._code, self._binding, self._kept)

    @property
    def lines(self) -> list[str]:
        stacks = [stack.nbytes for stack in self._built.stacks]
        if not stacks:
            return self._built.lines
        held = sum(instance.stack_bytes for instance in self._free)
        return [
            *self._built.lines,
            f"stacks: {len(stacks)} that grow with the rounds of loops, by {sum(stacks)} bytes a "
            f"round; {held} bytes held after the runs so far",
        ]

    def run(self, feeds: list[Any]) -> list[Any]:
        try:
            instance = self._free.pop()
        except IndexError:
            instance = self._instance()
        for i, feed in enumerate(feeds):
            if not feed.flags.carray:
                feeds[i] = feed = np.array(feed, order="C")
            # A feed over a variable's memory must keep its numbers.
            if self.written and (
                feed.base is not None or self._foreign or id(feed) in self._owners
            ):
                feeds[i] = feed.copy() if self._overlaps(feed) else feed
        results = self._results.room()
        refused = 0
        try:
            refused = instance.run((*feeds, *results))
            if refused == INTERRUPTED:
                raise KeyboardInterrupt
        except BaseException:
            self._note_writes()
            raise
        finally:
            self._free.append(instance)
        if refused:
            return self._refused(feeds)
        self._note_writes()
        observer = recorder()
        if observer is not None:
            observer.note_program(self._counts_with(instance.stack_bytes), results)
        return results

    def _refused(self, feeds: list[Any]) -> list[Any]:
        """Let the kernels say what is wrong with the data; nothing is written by now."""
        return Reference(self._graph).run(feeds, self._binding)

    @cached_property
    def _counts(self) -> Counts:
        operators = sum(n.op.kernel is not None for n in self._graph.nodes)
        return Counts(operators, self._built.launches, self._built.moved)

    def _counts_with(self, stack_bytes: int) -> Counts:
        """What a run does whose stacks have so many bytes; one object, for it is one arena."""
        counts, built = self._counts, self._built
        counts.arena_bytes = built.arena_bytes + stack_bytes
        counts.profile = [nbytes + stack_bytes for nbytes in built.profile]
        return counts


def _recalled_or_built(graph: Graph, binding: dict[str, int], passes: Any) -> Built:
    threads = get_num_threads()
    name = name_of(graph, binding, threads, [name for name, _ in passes])
    built = None if name is None else recall(name, graph, binding)
    if built is None:
        built = build(graph, binding, threads, passes)
        if name is not None:
            remember(name, graph, built)
    return built


def _no_code(graph: Graph) -> str:
    """Why a graph cannot be native at all; empty where it can."""
    for node in graph.nodes:
        avals = (*node.bound.ins, *node.bound.outs)
        if any(aval.device.kind != "cpu" for aval in avals):
            return "a graph on another device than the CPU"
        if node.op is VARIABLE and not isinstance(node.attrs["storage"].array, np.ndarray):
            return "a variable on another device than the CPU"
        if node.op is VARIABLE and not _is_aligned(node.attrs["storage"].array):
            return "a variable whose elements are not aligned"
    return ""


def _is_aligned(array: np.ndarray) -> bool:
    """Whether C may read an array's elements one by one, as whole steps apart as strides say."""
    return array.flags.aligned and not any(step % array.itemsize for step in array.strides)


_said: set[str] = set()


def _warn_once(reason: str) -> None:
    if reason not in _said:
        _said.add(reason)
        warnings.warn(f"native: {reason}; programs run by the planned executor", stacklevel=6)
