"""native: the whole step as generated C, one call a run.

Each binding of the symbolic dimensions is compiled once. Operators that have no native code run by
their kernels, between native parts. Where there is no compiler, or it fails, the graph runs by
`planned`, and that is said once.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection
from contextlib import suppress
from functools import cached_property
from typing import Any

import numpy as np

from ...graphs.ir import VARIABLE, Graph
from ...graphs.kernels import recorder
from ...graphs.threads import get_num_threads
from ..interface import Interface
from ..native.build import Built, NoCodeError, build
from ..native.library import load
from ..native.remembered import name_of, recall, remember
from ..native.toolchain import CompileError, NoCompilerError
from ..passes import NATIVE_ORDER, NATIVE_PASSES, PASSES
from ..selection import Selection
from .instance import INTERRUPTED, Instance, Prepared, raise_interruption
from .memory import Counts
from .planned import Planned
from .plans import Plan, Planning
from .reference import Reference
from .results import Results


class Native(Planning):
    """Executes a graph by generated C over a memory plan. Concurrent runs have an arena each.

    Parameters
    ----------
    selection : Selection
        Its passes run only where the step of an earlier process is not found again.
    passes : collection of str
        Which of the passes for native code to run, by name.
    """

    name = "native"

    def __init__(self, selection: Selection, passes: Collection[str]) -> None:
        known = {**PASSES, **NATIVE_PASSES}
        self._passes = [(name, known[name]) for name in NATIVE_ORDER if name in passes]
        self._selection, self._fallen = selection, ""
        self._prepared = Prepared()
        super().__init__(selection.symbols)

    @property
    def needed(self) -> tuple[str, ...]:
        """The placeholders that a run is fed."""
        for plan in self._plans.values():
            return plan.interface.needed
        return tuple(self._selection.graph.placeholders)

    def _made(self, binding: dict[str, int]) -> Plan:
        try:
            return _Plan(self._selection, binding, self._passes, self._prepared)
        except NoCodeError as error:
            self._fallen = str(error)
        except (NoCompilerError, CompileError) as error:
            self._fallen = str(error)
            _warn_once(self._fallen)
        return _Fallback(self._selection.graph, binding)

    def explain(self) -> list[str]:
        fallen = [f"native: runs by planned, for {self._fallen}"] if self._fallen else []
        return [*fallen, *super().explain()]


class _Fallback(Plan):
    """A binding that runs by `planned`."""

    source = ""

    def __init__(self, graph: Graph, binding: dict[str, int]) -> None:
        super().__init__(Interface.of(graph))
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

    def __init__(
        self, selection: Selection, binding: dict[str, int], passes: Any, prepared: Prepared
    ) -> None:
        built = self._built = _recalled_or_built(selection, binding, passes)
        super().__init__(built.interface)
        self._selection, self._binding = selection, binding
        self.source = built.source
        self._code = load(built.units) if any(isinstance(s, str) for s in built.steps) else None
        self._results = Results([(x.shape, x.dtype) for x in built.outputs])
        self._kept = prepared.of(built, self._code)
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
            if self.interface.written and (
                feed.base is not None or self._foreign or id(feed) in self._owners
            ):
                feeds[i] = feed.copy() if self._overlaps(feed) else feed
        results = self._results.room()
        refused, grown = 0, {}
        try:
            refused = instance.run((*feeds, *results))
            grown = instance.grown()
            if refused == INTERRUPTED:
                raise_interruption()
        except BaseException:
            self._note_writes()
            raise
        finally:
            self._free.append(instance)
        if refused:
            return self._refused(feeds)
        for i, array in grown.items():
            results[i] = array
        self._note_writes()
        observer = recorder()
        if observer is not None:
            observer.note_program(self._counts_with(instance.stack_bytes), results)
        return results

    def _refused(self, feeds: list[Any]) -> list[Any]:
        """Let the kernels say what is wrong with the data; nothing is written by now."""
        return Reference(self._selection.graph).run(feeds, self._binding)

    @cached_property
    def _counts(self) -> Counts:
        operators = sum(n.op.kernel is not None for n in self._selection.graph.nodes)
        return Counts(operators, self._built.launches, self._built.moved)

    def _counts_with(self, stack_bytes: int) -> Counts:
        """What a run does whose stacks have so many bytes; one object, for it is one arena."""
        counts, built = self._counts, self._built
        counts.arena_bytes = built.arena_bytes + stack_bytes
        counts.profile = [nbytes + stack_bytes for nbytes in built.profile]
        return counts


def _recalled_or_built(selection: Selection, binding: dict[str, int], passes: Any) -> Built:
    threads = get_num_threads()
    name = name_of(selection, binding, threads, [name for name, _ in passes])
    built = None if name is None else recall(name, selection, binding)
    if built is None:
        if reason := _no_code(selection.graph):
            raise NoCodeError(reason)
        built = build(selection.graph, binding, threads, passes)
        if name is not None:
            with suppress(OSError):  # no room for it: the next process builds it again
                remember(name, selection, built)
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
