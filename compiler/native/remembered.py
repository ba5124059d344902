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
from .buffers import Buffer, Constant, Entries, Given, Stack, Variable
from .build import Built
from .layout import Layout, dense
from .printer import FIRST
from .toolchain import require_compiler

MOST_CONSTANTS = 1 << 20  # bytes of constants that an entry holds


def name_of(
    selection: Selection, binding: dict[str, int], threads: int, passes: Sequence[str]
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
    return cache.key(*signature, np.__version__, _package(), str(rest), found.text) + ".step"


def _shared(arrays: list[np.ndarray]) -> Iterator[tuple[int, int, int]]:
    """Which of them share memory, and how far apart they begin."""
    near: list[tuple[int, int, int]] = []
    for span in sorted((*np.lib.array_utils.byte_bounds(a), i) for i, a in enumerate(arrays)):
        begin, _, j = span
        near = [known for known in near if known[1] > begin]
        yield from ((i, j, begin - low) for low, _, i in near)
        near.append(span)


def recall(name: str, selection: Selection, binding: dict[str, int]) -> Built | None:
    """A step from the cache, for what is fetched here; None where there is none."""
    data = cache.read(name)
    if data is None or (found := selection.fingerprint) is None:
        return None
    entry = json.loads(data)
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
        else:
            array = found.constants[what] if isinstance(what, int) else _array(what)
            pointers[Constant(array)] = place
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
    constants = {id(array): i for i, array in enumerate(found.constants)}
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
        elif isinstance(buffer, Constant):
            what: Any = constants.get(id(buffer.array))
            if what is None:
                low, high = np.lib.array_utils.byte_bounds(buffer.array)
                room -= high - low
                if room < 0:
                    return
                what = _text(buffer.array, low, high)
            pointers.append(("constant", what))
    entry = {
        "source": built.source, "units": built.units, "once": built.once,
        "once_reads": built.once_reads, "steps": built.steps, "pointers": pointers,
        "kept_bytes": built.kept_bytes, "arena_bytes": built.arena_bytes,
        "bound_bytes": built.bound_bytes, "threads": built.threads, "profile": built.profile,
        "lines": built.lines, "launches": built.launches, "moved": built.moved,
        "needed": built.interface.needed,
        "variables": [storages[id(s)] for s in built.interface.variables],
        "written": [storages[id(s)] for s in built.interface.written],
    }  # fmt: skip
    cache.store(name, json.dumps(entry).encode())


def _given(aval: Aval) -> Layout:
    """Memory that a run hands over."""
    return dense(Given(int(aval.nbytes)), aval)


def _text(array: np.ndarray, low: int, high: int) -> list[Any]:
    """An array as it lies between two addresses: code knows its strides."""
    data = base64.b64encode(ctypes.string_at(low, high - low)).decode()
    return [array.dtype.name, array.shape, data, array.ctypes.data - low, array.strides]


def _array(text: list[Any]) -> np.ndarray:
    name, shape, data, offset, strides = text
    return np.ndarray(shape, name, base64.b64decode(data), offset, strides)


@cached
def _package() -> str:
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
