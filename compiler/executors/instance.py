"""Instances: loaded code with an arena and a table of pointers of its own, ready to run."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn
from weakref import WeakValueDictionary

import numpy as np

from ...graphs.compiled import entry
from ...graphs.nodes import note_location
from ...graphs.regions import kernel_of
from ..arena import aligned_bytes
from ..native.buffers import Entries, Held, Kept, Placed, Room, Stack
from ..native.build import Built
from ..native.layout import Layout
from ..native.library import library
from ..native.printer import FIRST, ONCE
from ..native.statements import Python
from ..native.toolchain import CompileError
from .planned import Planned
from .stacks import Stacks

INTERRUPTED = 2  # what a run gives that the user has stopped
_ASKED = ("PyGILState_Ensure", "PyGILState_Release", "PyErr_CheckSignals", "PyErr_Fetch")


class Instance:
    """The code of a step with an arena of its own: one run at a time.

    Parameters
    ----------
    built : Built
    code : ctypes.CDLL or None
        The loaded text of `built`; None if no step is native.
    kept : array of uint8
        What was computed before all runs.
    """

    def __init__(self, built: Built, code: Any, kept: np.ndarray) -> None:
        self._arena, self._kept = aligned_bytes(built.arena_bytes), kept
        self._table = _table(built, self._arena, kept)
        given = [*built.feeds, *built.outputs]
        self._given = {layout.buffer: i for i, layout in enumerate(given)}
        self._stacks = Stacks([*built.stacks, *built.fed.values()])
        for buffer, place in built.pointers.items():
            if isinstance(buffer, Stack):
                self._table[place] = self._stacks.address(buffer)
        self._fed = list(built.fed.items())
        self._grown = [
            (i, x, x.buffer.stack)
            for i, x in enumerate(built.outputs)
            if isinstance(x.buffer, Entries)
        ]
        # Arrays that no step uses are left out.
        places = [built.pointers.get(layout.buffer, -1) for layout in given]
        used = [i for i, place in enumerate(places) if place >= 0]
        self._order = None if used == list(range(len(given))) else used
        self._places = (ctypes.c_int64 * max(len(used), 1))(*(places[i] for i in used))
        # Of each, whether it is native; natives take the arrays in use, others all.
        self._steps: list[tuple[bool, Callable[[tuple[Any, ...]], int]]] = []
        enter = _enter()
        self._launches = []
        for step in built.steps:
            if isinstance(step, Python):
                self._steps.append((False, self._python(step)))
                continue
            launch = _launch(getattr(code, step), self._table, self._places, len(used), built)
            self._launches.append(launch)
            self._steps.append((True, entry(enter, ctypes.addressof(launch))))

    @property
    def stack_bytes(self) -> int:
        """Of memory that has grown in runs so far, and is kept for the next ones."""
        return self._stacks.nbytes

    def run(self, arrays: tuple[Any, ...]) -> int:
        """Run on feeds and results; not 0 where data were refused or the user has stopped it."""
        for i, stack in self._fed:
            self._stacks.show(stack, arrays[i])
        chosen = arrays if self._order is None else tuple([arrays[i] for i in self._order])
        for is_native, step in self._steps:
            failed = step(chosen if is_native else arrays)
            if failed:
                return failed
        return 0

    def show(self, numbers: list[tuple[int, int]]) -> None:
        """Let pointers, by their places, point at the open sizes of the next run."""
        for place, address in numbers:
            self._table[place] = address

    def give_grown(self, results: list[Any]) -> None:
        """Put those results of the last run in place whose sizes it has found."""
        for i, layout, stack in self._grown:
            results[i] = self._stacks.array(stack, layout).copy()

    def _python(self, step: Python) -> Callable[[tuple[Any, ...]], int]:
        """What runs an operator by its kernel."""
        node = step.node
        kernel: Callable[..., Any] = node.bound.kernel
        if node.op.region:
            kernel = kernel_of(node.bound, {}, lambda body: partial(Planned(body).run, binding={}))

        def run(arrays: tuple[Any, ...]) -> int:
            operands = [self._array(x, arrays) for x in step.operands]
            try:
                found = kernel(*operands)
            except Exception as error:
                note_location(error, node)
                raise
            results = found if isinstance(found, tuple | list) else (found,)
            for layout, result in zip(step.results, results):
                if isinstance(layout.buffer, Entries):
                    self._stacks.hold(layout.buffer.stack, len(result))
                np.copyto(self._array(layout, arrays), result)
            return 0

        return run

    def _array(self, layout: Layout, arrays: tuple[Any, ...]) -> np.ndarray:
        """A layout as an array."""
        buffer = layout.buffer
        if isinstance(buffer, Entries):
            return self._stacks.array(buffer.stack, layout)
        if isinstance(buffer, Placed):
            host = buffer.host if isinstance(buffer, Room) else None
            memory = self._kept if isinstance(buffer, Kept) else self._arena
            memory = memory if host is None else arrays[self._given[host]]
            address = memory.ctypes.data + buffer.offset
        elif isinstance(buffer, Held):
            address = buffer.array.ctypes.data
        else:
            address = arrays[self._given[buffer]].ctypes.data
        size = layout.dtype.itemsize
        low, high = layout.span
        if not layout.size:
            return np.empty(layout.shape, layout.dtype)
        data = np.ctypeslib.as_array((ctypes.c_ubyte * (high - low)).from_address(address + low))
        strides = tuple(s * size for s in layout.strides)
        offset = layout.offset * size - low
        return np.ndarray(layout.shape, layout.dtype, data, offset, strides)


class Prepared:
    """What plans compute before all their runs. Those that compute the same share it, for as long
    as one of them lasts."""

    def __init__(self) -> None:
        self._filled: WeakValueDictionary[Any, np.ndarray] = WeakValueDictionary()

    def of(self, built: Built, code: Any) -> np.ndarray:
        """The memory for a step and its loaded text, filled.

        Raises
        ------
        CompileError
            When there cannot be as many threads as the code wants.
        """
        read = [b.array for b in [*built.pointers][: built.once_reads] if isinstance(b, Held)]
        name = (built.once, *map(id, read))  # each step that has this name holds the arrays
        kept = self._filled.get(name)
        if kept is None:
            kept = aligned_bytes(built.kept_bytes)
            if built.once:
                _fill(kept, built, code)
                self._filled[name] = kept
        return kept


def _fill(kept: np.ndarray, built: Built, code: Any) -> None:
    table = _table(built, kept[:0], kept)
    launch = _launch(getattr(code, ONCE), table, (ctypes.c_int64 * 1)(), 0, built)
    if _enter()(ctypes.addressof(launch), ()):
        raise CompileError(f"once: must have its threads, got no {built.threads} of them")


def _table(built: Built, arena: np.ndarray, kept: np.ndarray) -> Any:
    """The pointers that generated code is given, but for what each run hands over."""
    table = (ctypes.c_void_p * (len(built.pointers) + FIRST))()
    table[0], table[1] = arena.ctypes.data, kept.ctypes.data
    for buffer, place in built.pointers.items():
        if isinstance(buffer, Held):
            table[place] = buffer.array.ctypes.data
    return table


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


def _launch(function: Any, table: Any, places: Any, count: int, built: Built) -> _Launch:
    """How to enter a native function, whose pointers of a run go to `places` in the table."""
    return _Launch(
        ctypes.cast(function, ctypes.c_void_p).value,
        ctypes.addressof(table),
        ctypes.addressof(places),
        count,
        tuple.__basicsize__,
        object.__basicsize__,
        built.threads,
    )


def raise_interruption() -> NoReturn:
    """Raise what the handler of a signal has raised amid a run."""
    restore = ctypes.PYFUNCTYPE(None, *[ctypes.c_void_p] * 3)(("PyErr_Restore", ctypes.pythonapi))
    restore(*(ctypes.c_void_p * 3).in_dll(library(), "dt_raised"))
    raise KeyboardInterrupt


def _enter() -> Any:
    """`dt_enter`, which may ask Python whether the user wants to stop."""
    addresses = [ctypes.cast(getattr(ctypes.pythonapi, n), ctypes.c_void_p) for n in _ASKED]
    library().dt_set_python((ctypes.c_void_p * len(_ASKED))(*addresses))
    enter = library().dt_enter
    enter.argtypes, enter.restype = [ctypes.c_void_p, ctypes.py_object], ctypes.c_int
    return enter
