"""native: the whole step as generated C, one call a run.

Symbolic dimensions are left open where code can do so: it is compiled once for all sizes up to a
bound. Otherwise each binding is compiled. Operators that have no native code run by their kernels,
between native parts. Where there is no compiler, or it fails, the graph runs by `planned`, and that
is said once.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection
from contextlib import suppress
from typing import Any

import numpy as np

from ...graphs.ir import VARIABLE, Graph
from ...graphs.threads import get_num_threads
from ..interface import Interface
from ..native.build import Built, NoCodeError, build
from ..native.extents import OpenSizeError, are_open, extents
from ..native.remembered import name_of, recall, remember, remember_closed
from ..native.toolchain import CompileError, NoCompilerError
from ..passes import NATIVE_ORDER, NATIVE_PASSES, PASSES
from ..selection import Selection
from .instance import Prepared
from .planned import Planned
from .plans import Plan, Planning
from .steps import Loaded, Step


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
        self._open: dict[Any, Step] = {}  # by the sizes that each leaves open
        self._closed = ""  # why there can be none
        super().__init__(selection.symbols)

    @property
    def needed(self) -> tuple[str, ...]:
        """The placeholders that a run is fed."""
        for plan in self._plans.values():
            return plan.interface.needed
        return tuple(self._selection.graph.placeholders)

    def _made(self, binding: dict[str, int]) -> Plan:
        try:
            return self._open_step(binding) or self._step(binding, binding)
        except NoCodeError as error:
            self._fallen = str(error)
        except (NoCompilerError, CompileError) as error:
            self._fallen = str(error)
            _warn_once(self._fallen)
        return _Fallback(self._selection.graph, binding)

    @property
    def _runs(self) -> Graph:
        return self._selection.graph

    def _open_step(self, binding: dict[str, int]) -> Step | None:
        """A step by code that leaves sizes open; None where there can be no such code."""
        sizes = extents(binding)
        if self._closed or not are_open(sizes.values()):
            return None
        key = tuple(sizes.items())
        known = self._open.get(key)
        if known is not None and known.is_current():
            return known.bound(binding)
        try:
            step = self._open[key] = self._step(binding, sizes)
        except OpenSizeError as error:
            self._closed = str(error)
            return None
        return step

    def _step(self, binding: dict[str, int], sizes: dict[str, Any]) -> Step:
        built = _recalled_or_built(self._selection, sizes, self._passes)
        return Step(self._selection, binding, Loaded(built, self._prepared))

    def explain(self) -> list[str]:
        said = []
        if self._fallen:
            said.append(f"native: runs by planned, for {self._fallen}")
        elif self._closed:
            said.append(f"native: compiled for each size, because of {self._closed}")
        return [*said, *super().explain()]


class _Fallback(Plan):
    """A binding that runs by `planned`."""

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


def _recalled_or_built(selection: Selection, binding: dict[str, Any], passes: Any) -> Built:
    threads = get_num_threads()
    name = name_of(selection, binding, threads, [name for name, _ in passes])
    built = None if name is None else recall(name, selection, binding)
    if built is None:
        if reason := _no_code(selection.graph):
            raise NoCodeError(reason)
        try:
            built = build(selection.graph, binding, threads, passes)
        except OpenSizeError as error:
            if name is not None:
                with suppress(OSError):
                    remember_closed(name, error)
            raise
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
