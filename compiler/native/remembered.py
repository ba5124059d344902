"""Steps that an earlier process has written: found again by what the graph says, without passes.

An entry of the cache holds a step as JSON: its C text, and what each of its pointers is. Its name
covers what was fetched of which graph, how its variables lie in memory, the threads, the passes,
the compiler, and the files of this package that a step depends on.
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
import sys
from collections.abc import Iterator, Sequence
from functools import cache as cached
from pathlib import Path
from typing import Any

import numpy as np

from ... import graphs
from ...graphs.avals import Aval
from ..interface import Interface
from ..selection import Selection
from . import build, cache
from .buffers import Buffer, Constant, Count, Entries, Given, Sizes, Stack, Variable
from .build import Built
from .extents import OpenSizeError, most
from .layout import Layout, dense
from .printer import FIRST
from .toolchain import require_compiler

MOST_CONSTANTS = 1 << 20  # bytes of constants that an entry holds


def name_of(
    selection: Selection, binding: dict[str, Any], threads: int, passes: Sequence[str]
) -> str | None:
    """The name of a step's entry; None where it could not be found again."""
    if not cache.keeps_programs():
        return None
    found = selection.fingerprint
    if found is None:
        return None
    arrays = [storage.array for storage in found.storages]
    if not all(isinstance(array, np.ndarray) for array in arrays):
        return None
    memory = [f"{a.strides} {a.flags.writeable} {a.flags.aligned}" for a in arrays]
    rest = (
        [name for name, _ in selection.passes], list(passes), sorted(binding.items()),
        threads, build.WORTH_THREADS, memory, list(_shared(arrays)),
    )  # fmt: skip
    signature = require_compiler().signature
    return cache.key(*signature, np.__version__, package(), str(rest), found.text) + ".step"


def _shared(arrays: list[np.ndarray]) -> Iterator[tuple[int, int, int]]:
    """Which of them share memory, and how far apart they begin."""
    near: list[tuple[int, int, int]] = []
    for span in sorted((*np.lib.array_utils.byte_bounds(a), i) for i, a in enumerate(arrays)):
        begin, _, j = span
        near = [known for known in near if known[1] > begin]
        yield from ((i, j, begin - low) for low, _, i in near)
        near.append(span)


def recall(name: str, selection: Selection, binding: dict[str, Any]) -> Built | None:
    """A step from the cache, for what is fetched here; None where there is none.

    Raises
    ------
    OpenSizeError
        When an earlier process found that there can be none.
    """
    data = cache.read(name)
    if data is None or (found := selection.fingerprint) is None:
        return None
    entry = json.loads(data)
    if "closed" in entry:
        raise OpenSizeError(entry["closed"])
    needed = entry.pop("needed")
    feeds = [_given(selection.declared[name].aval.substitute(binding)) for name in needed]
    outputs = [_given(v.aval.substitute(binding)) for v in selection.outputs]
    pointers: dict[Buffer, int] = {}
    for place, (kind, what) in enumerate(entry.pop("pointers"), FIRST):
        if kind == "feed":
            pointers[feeds[what].buffer] = place
        elif kind == "output":
            pointers[outputs[what].buffer] = place
        elif kind == "variable":
            pointers[Variable(found.storages[what])] = place
        elif kind == "stack":
            pointers[Stack(what)] = place
        elif kind == "sizes":
            pointers[Sizes(what)] = place
        elif kind == "count":
            pointers[_count(what, binding)] = place
        elif kind == "constant":
            pointers[Constant(found.constants[what])] = place
        elif kind == "part":
            pointers[Constant(_part(found.constants, *what))] = place
        else:
            pointers[Constant(_array(*what))] = place
    variables, written = (
        tuple([found.storages[i] for i in entry.pop(which)]) for which in ("variables", "written")
    )
    interface = Interface(tuple(needed), variables, written)
    return Built(**entry, pointers=pointers, feeds=feeds, outputs=outputs, interface=interface)


def remember(name: str, selection: Selection, built: Built) -> None:
    """Put a step into the cache, unless part of it cannot be kept."""
    found = selection.fingerprint
    if found is None or not all(isinstance(step, str) for step in built.steps):
        return
    if any(isinstance(x.buffer, Entries) for x in (*built.feeds, *built.outputs)):
        return
    known = _Known(found.constants)
    storages = {id(storage): i for i, storage in enumerate(found.storages)}
    places = {x.buffer: ("feed", i) for i, x in enumerate(built.feeds)}
    places |= {x.buffer: ("output", i) for i, x in enumerate(built.outputs)}
    pointers: list[Any] = []
    room = MOST_CONSTANTS
    for buffer, _ in sorted(built.pointers.items(), key=lambda item: item[1]):
        if buffer in places:
            pointers.append(places[buffer])
        elif isinstance(buffer, Variable):
            pointers.append(("variable", storages[id(buffer.storage)]))
        elif isinstance(buffer, Stack):
            pointers.append(("stack", buffer.nbytes))
        elif isinstance(buffer, Sizes):
            pointers.append(("sizes", buffer.nbytes))
        elif isinstance(buffer, Count):
            pointers.append(("count", _numbers_of(buffer)))
        elif isinstance(buffer, Constant):
            where = known.where(buffer.array)
            if where is None:
                low, high = np.lib.array_utils.byte_bounds(buffer.array)
                room -= high - low
                if room < 0:
                    return
                where = ("array", _text(buffer.array, low, high))
            pointers.append(where)
    entry = {
        "source": built.source, "units": built.units, "once": built.once,
        "once_reads": built.once_reads, "steps": built.steps, "pointers": pointers,
        "kept_bytes": built.kept_bytes, "arena_bytes": built.arena_bytes,
        "bound_bytes": built.bound_bytes, "threads": built.threads, "profile": built.profile,
        "open": built.open, "lines": built.lines, "launches": built.launches, "moved": built.moved,
        "needed": built.interface.needed,
        "variables": [storages[id(s)] for s in built.interface.variables],
        "written": [storages[id(s)] for s in built.interface.written],
    }  # fmt: skip
    cache.store(name, json.dumps(entry).encode())


def remember_closed(name: str, reason: OpenSizeError) -> None:
    """Put into the cache why a step cannot leave sizes open."""
    cache.store(name, json.dumps({"closed": str(reason)}).encode())


def _given(aval: Aval) -> Layout:
    """Memory that a run hands over."""
    return dense(Given(most(aval.nbytes)), aval)


def _numbers_of(count: Count) -> list[Any]:
    """A size as numbers: its terms by names of dimensions, and the dtype."""
    terms: Any = count.size.terms.items()
    known = [([(symbol.name, power) for symbol, power in m], c) for m, c in terms]
    return [known, count.dtype.name]


def _count(numbers: list[Any], binding: dict[str, Any]) -> Count:
    terms, dtype = numbers
    total: Any = 0
    for monomial, coefficient in terms:
        for name, power in monomial:
            coefficient = coefficient * binding[name] ** power
        total = total + coefficient
    return Count(total, np.dtype(dtype))


class _Known:
    """The constants of a graph, whose numbers its fingerprint covers."""

    def __init__(self, constants: Sequence[Any]) -> None:
        self._numbers = {id(array): i for i, array in enumerate(constants)}
        self._spans = [
            (*np.lib.array_utils.byte_bounds(array), i)
            for i, array in enumerate(constants)
            if isinstance(array, np.ndarray) and array.flags.forc  # without gaps: all is covered
        ]

    def where(self, array: np.ndarray) -> tuple[str, Any] | None:
        """Which of them an array is, or which it shows part of, and how; None for neither."""
        if id(array) in self._numbers:
            return "constant", self._numbers[id(array)]
        low, high = np.lib.array_utils.byte_bounds(array)
        for begin, end, i in self._spans:
            if begin <= low and high <= end:
                return "part", [i, array.ctypes.data - begin, *_form(array)]
        return None


def _part(constants: Sequence[Any], number: int, offset: int, *form: Any) -> np.ndarray:
    return _shown(constants[number].ravel(order="A").view(np.uint8), offset, *form)


def _text(array: np.ndarray, low: int, high: int) -> list[Any]:
    """An array as it lies between two addresses: code knows its strides."""
    data = base64.b64encode(ctypes.string_at(low, high - low)).decode()
    return [data, array.ctypes.data - low, *_form(array)]


def _array(data: str, offset: int, *form: Any) -> np.ndarray:
    return _shown(base64.b64decode(data), offset, *form)


def _form(array: np.ndarray) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    return array.dtype.name, array.shape, array.strides


def _shown(memory: Any, offset: int, name: str, shape: Any, strides: Any) -> np.ndarray:
    return np.ndarray(shape, name, memory, offset, strides)


@cached
def package() -> str:
    """The version of this package, down to its files."""
    version = sys.modules[__name__.partition(".")[0]].__version__
    folders = Path(graphs.__file__).parent, Path(__file__).parent.parent
    return " ".join([version, *(stamp for folder in folders for stamp in _stamps(folder))])


def _stamps(folder: Path | str) -> Iterator[str]:
    """What changes when a file of code does."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir():
            yield from _stamps(entry.path)
        elif entry.name.endswith((".py", ".c", ".h")):
            info = entry.stat()
            yield f"{entry.name} {info.st_size} {info.st_mtime_ns}"
