"""native: the whole step as generated C, one call a run.

Each binding of the symbolic dimensions is compiled once. Operators that have no native code run by
their kernels, between native parts. Where there is no compiler, or it fails, the graph runs by
`planned`, and that is said once.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ...graphs.errors import DiptychError
from ...graphs.interpreter import MOST_SIZES
from ...graphs.ir import VARIABLE, Graph
from ...graphs.kernels import owner, recorder, shares_memory
from ...graphs.regions import kernel_of
from ...graphs.storage import moves
from ...graphs.threads import get_num_threads
from ..arena import aligned_bytes
from ..native.buffers import Held, Room
from ..native.build import Built, build
from ..native.layout import Layout
from ..native.library import library, load
from ..native.remembered import name_of, recall, remember
from ..native.statements import Python
from ..native.toolchain import CompileError, NoCompilerError
from ..passes import NATIVE_ORDER, NATIVE_PASSES, PASSES
from .memory import Counts
from .planned import Planned, owns
from .reference import Reference

LARGE = 1 << 20  # bytes of a result from which on its memory is given again


class Native:
    """Executes a graph by generated C over a memory plan. Concurrent runs have an arena each.

    Parameters
    ----------
    graph : Graph
    passes : sequence of str, optional
        Which of the passes for native code to run. All by default.
    """

    name = "native"

    def __init__(self, graph: Graph, passes: Any = None) -> None:
        self._graph = graph
        known = {**PASSES, **NATIVE_PASSES}
        chosen = known if passes is None else passes
        self._passes = [(name, known[name]) for name in NATIVE_ORDER if name in chosen]
        self._plans: dict[tuple[Any, ...], _Plan | _Fallback] = {}
        self._lock = threading.Lock()
        self._fallen = ""
        if not graph.symbols:
            self._plan({})

    def run(self, feeds: list[Any], binding: dict[str, int]) -> list[Any]:
        plan = self._plans.get(tuple(sorted(binding.items())) if binding else ())
        if plan is None or (plan.moves != moves() and not plan.is_current()):
            plan = self._plan(binding)
        return plan.run(feeds)

    def _plan(self, binding: dict[str, int]) -> _Plan | _Fallback:
        with self._lock:
            plan = self._made(binding)
            if len(self._plans) >= MOST_SIZES:
                self._plans.pop(next(iter(self._plans)))
            self._plans[tuple(sorted(binding.items()))] = plan
            return plan

    def _made(self, binding: dict[str, int]) -> _Plan | _Fallback:
        reason = _no_code(self._graph)
        if not reason:
            try:
                return _Plan(self._graph, binding, self._passes)
            except (NoCompilerError, CompileError) as error:
                reason = str(error)
                _warn_once(reason)
        self._fallen = reason
        return _Fallback(self._graph, binding)

    @property
    def source(self) -> str:
        return "\n\n".join(plan.source for plan in self._plans.values())

    def explain(self) -> list[str]:
        lines = [f"native: runs by planned, for {self._fallen}"] if self._fallen else []
        for key, plan in self._plans.items():
            sizes = ", ".join(f"{name}={size}" for name, size in key)
            lines += [f"[{sizes}] {line}" if sizes else line for line in plan.lines]
        return lines


class _Fallback:
    """A binding that runs by `planned`."""

    def __init__(self, graph: Graph, binding: dict[str, int]) -> None:
        self._planned, self._binding, self.moves = Planned(graph), binding, moves()
        self.source = ""

    @property
    def lines(self) -> list[str]:
        return self._planned.explain()

    def is_current(self) -> bool:
        return True

    def run(self, feeds: list[Any]) -> list[Any]:
        return self._planned.run(feeds, self._binding)


class _Plan:
    """One binding: its code, and the instances that are free to run."""

    def __init__(self, graph: Graph, binding: dict[str, int], passes: Any) -> None:
        self._graph, self._binding, self.moves = graph, binding, moves()
        built = self._built = _recalled_or_built(graph, binding, passes)
        self.source, self.lines = built.source, built.lines
        self._code = load(built.units) if any(isinstance(s, str) for s in built.steps) else None
        self._storages = [storage for storage, _ in graph.variables]
        self._arrays = [storage.array for storage in self._storages]
        self._written = list(
            {id(e.attrs["storage"]): e.attrs["storage"] for e in graph.effects}.values()
        )
        changed = [storage.array for storage in self._written]
        self._owners = {id(owner(array)) for array in changed}
        self._foreign = not all(owns(array) for array in changed)
        self._results = _Results([(x.shape, x.dtype) for x in built.outputs])
        self._free: list[_Instance] = [_Instance(built, self._code, binding)]

    def is_current(self) -> bool:
        """Whether every variable still has the memory that the plan was made for."""
        found = all(s.array is a for s, a in zip(self._storages, self._arrays))
        self.moves = moves() if found else self.moves
        return found

    def run(self, feeds: list[Any]) -> list[Any]:
        try:
            instance = self._free.pop()
        except IndexError:
            instance = _Instance(self._built, self._code, self._binding)
        for i, feed in enumerate(feeds):
            if not feed.flags.carray:
                feeds[i] = feed = np.array(feed, order="C")
            # A feed over a variable's memory must keep its numbers.
            if self._written and (
                feed.base is not None or self._foreign or id(feed) in self._owners
            ):
                feeds[i] = feed.copy() if self._overlaps(feed) else feed
        results = self._results.room()
        refused = 0
        try:
            refused = instance.run((*feeds, *results))
            if refused == _INTERRUPTED:
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
            observer.note_program(self._counts, results)
        return results

    def _refused(self, feeds: list[Any]) -> list[Any]:
        """Let the kernels say what is wrong with the data; nothing is written by now."""
        return Reference(self._graph).run(feeds, self._binding)

    def _note_writes(self) -> None:
        for storage in self._written:
            storage.version += 1

    def _overlaps(self, feed: Any) -> bool:
        """Whether a feed may lie in the memory of a variable that the run writes."""
        if id(owner(feed)) in self._owners:
            return True
        foreign = self._foreign or not owns(feed)
        return foreign and any(shares_memory(feed, s.array) for s in self._written)

    @property
    def _counts(self) -> Counts:
        built = self._built
        nodes = [n for n in self._graph.nodes if n.op.kernel is not None]
        return Counts(
            operators=len(nodes),
            launches=built.launches,
            bytes_moved=built.moved,
            arena_bytes=built.arena_bytes,
            profile=built.profile,
        )


def _recalled_or_built(graph: Graph, binding: dict[str, int], passes: Any) -> Built:
    threads = get_num_threads()
    name = name_of(graph, binding, threads, [name for name, _ in passes])
    built = None if name is None else recall(name, graph, binding)
    if built is None:
        built = build(graph, binding, threads, passes)
        if name is not None:
            remember(name, graph, built)
    return built


class _Results:
    """Memory for what is returned.

    It is fresh, or that of an earlier result that nobody holds any more: the pages of a large
    array cost more to get from the system than to fill.
    """

    def __init__(self, specs: list[tuple[Any, Any]]) -> None:
        self._specs = specs
        self._large = [
            i for i, (shape, dtype) in enumerate(specs) if _nbytes(shape, dtype) >= LARGE
        ]
        self._given: dict[int, list[np.ndarray]] = {i: [] for i in self._large}
        self._lock = threading.Lock()

    def room(self) -> list[np.ndarray]:
        """An array for each result."""
        if not self._large:
            return [np.empty(shape, dtype) for shape, dtype in self._specs]
        with self._lock:
            return [self._array(i, *spec) for i, spec in enumerate(self._specs)]

    def _array(self, i: int, shape: Any, dtype: Any) -> np.ndarray:
        given = self._given.get(i)
        if given is None:
            return np.empty(shape, dtype)
        for number in range(len(given)):
            if _references(given, number) == _ALONE and _is_as_made(given[number], shape, dtype):
                return given[number]
        array = np.empty(shape, dtype)
        given[:] = [*given[-1:], array]
        return array


def _is_as_made(array: np.ndarray, shape: Any, dtype: Any) -> bool:
    """Whether nobody has turned an array into another, in place."""
    return array.shape == shape and array.dtype == dtype and bool(array.flags.carray)


def _references(arrays: list[np.ndarray], i: int) -> int:
    return sys.getrefcount(arrays[i])


_ALONE = _references([np.empty(1)], 0)  # of an array that only a list holds


def _nbytes(shape: Any, dtype: Any) -> int:
    return int(np.prod(shape, dtype=np.int64)) * dtype.itemsize


class _Launch(ctypes.Structure):
    """`dt_launch` in C."""

    _fields_ = [
        ("step", ctypes.c_void_p),
        ("pointers", ctypes.c_void_p),
        ("places", ctypes.c_void_p),
        ("count", ctypes.c_int64),
        ("items", ctypes.c_int64),
        ("data", ctypes.c_int64),
        ("threads", ctypes.c_int),
    ]


class _Instance:
    """The code with an arena of its own."""

    def __init__(self, built: Built, code: Any, binding: dict[str, int]) -> None:
        self._arena = aligned_bytes(built.arena_bytes)
        self._table = (ctypes.c_void_p * (len(built.pointers) + 1))()
        self._table[0] = self._arena.ctypes.data
        given = [*built.feeds, *built.outputs]
        self._given = {layout.buffer: i for i, layout in enumerate(given)}
        for buffer, place in built.pointers.items():
            if isinstance(buffer, Held):
                self._table[place] = buffer.array.ctypes.data
        # Arrays that no step uses are left out.
        count = len(given)
        places = [built.pointers.get(layout.buffer, -1) for layout in given]
        used = [i for i, place in enumerate(places) if place >= 0]
        self._order = None if used == list(range(count)) else used
        self._places = (ctypes.c_int64 * max(len(used), 1))(*(places[i] for i in used))
        self._steps: list[Callable[[tuple[Any, ...]], int]] = []
        enter = _enter()
        self._launches = []
        for step in built.steps:
            if isinstance(step, Python):
                self._steps.append(self._python(step, binding))
                continue
            launch = _Launch(
                ctypes.cast(getattr(code, step), ctypes.c_void_p).value,
                ctypes.addressof(self._table),
                ctypes.addressof(self._places),
                len(used),
                tuple.__basicsize__,
                object.__basicsize__,
                built.threads,
            )
            self._launches.append(launch)
            self._steps.append(partial(enter, ctypes.addressof(launch)))
        self._only: Any = self._steps[0] if len(self._steps) == 1 and self._launches else None

    def run(self, arrays: tuple[Any, ...]) -> int:
        """Run on feeds and results; not 0 where data were refused or the user has stopped it."""
        chosen = arrays if self._order is None else tuple(arrays[i] for i in self._order)
        if self._only is not None:
            return self._only(chosen)
        for step in self._steps:
            failed = step(chosen) if isinstance(step, partial) else step(arrays)
            if failed:
                return failed
        return 0

    def _python(self, step: Python, binding: dict[str, int]) -> Callable[[tuple[Any, ...]], int]:
        """What runs an operator by its kernel."""
        node = step.node
        kernel: Callable[..., Any] = node.bound.kernel
        if node.op.region:
            kernel = kernel_of(node.bound, {}, lambda body: partial(Planned(body).run, binding={}))

        def run(arrays: tuple[Any, ...]) -> int:
            operands = [self._array(x, arrays) for x in step.operands]
            try:
                found = kernel(*operands)
            except DiptychError as error:
                if node.location is not None:
                    error.add_note(f"in {node.op.name}, made at {node.location}")
                raise
            results = found if isinstance(found, tuple | list) else (found,)
            for layout, result in zip(step.results, results):
                np.copyto(self._array(layout, arrays), result)
            return 0

        return run

    def _array(self, layout: Layout, arrays: tuple[Any, ...]) -> np.ndarray:
        """A layout as an array."""
        buffer = layout.buffer
        if isinstance(buffer, Room):
            address = self._arena.ctypes.data + buffer.offset
        elif isinstance(buffer, Held):
            address = buffer.array.ctypes.data
        else:
            address = arrays[self._given[buffer]].ctypes.data
        size = layout.dtype.itemsize
        low, high = layout.span
        if not layout.size:
            return np.empty(layout.shape, layout.dtype)
        memory = np.ctypeslib.as_array((ctypes.c_ubyte * (high - low)).from_address(address + low))
        strides = tuple(s * size for s in layout.strides)
        offset = layout.offset * size - low
        return np.ndarray(layout.shape, layout.dtype, memory, offset, strides)


_INTERRUPTED = 2
_ASKED = ("PyGILState_Ensure", "PyGILState_Release", "PyErr_CheckSignals", "PyErr_Clear")


def _enter() -> Any:
    addresses = [ctypes.cast(getattr(ctypes.pythonapi, n), ctypes.c_void_p) for n in _ASKED]
    library().dt_set_python((ctypes.c_void_p * len(_ASKED))(*addresses))
    enter = library().dt_enter
    enter.argtypes, enter.restype = [ctypes.c_void_p, ctypes.py_object], ctypes.c_int
    return enter


def _no_code(graph: Graph) -> str:
    """Why a graph cannot be native at all; empty where it can."""
    for node in graph.nodes:
        avals = (*node.bound.ins, *node.bound.outs)
        if any(aval.device.kind != "cpu" for aval in avals):
            return "a graph on another device than the CPU"
        sizes = [d for aval in avals for d in aval.shape if hasattr(d, "depends_on_data")]
        if any(d.depends_on_data for d in sizes):
            return f"{node.op.name} whose size depends on data"
        if node.op is VARIABLE and not isinstance(node.attrs["storage"].array, np.ndarray):
            return "a variable on another device than the CPU"
    return ""


_said: set[str] = set()


def _warn_once(reason: str) -> None:
    if reason not in _said:
        _said.add(reason)
        warnings.warn(f"native: {reason}; programs run by the planned executor", stacklevel=6)
