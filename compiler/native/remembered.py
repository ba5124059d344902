"""Steps that an earlier process has written: found again by what the graph says, without passes.

An entry of the cache holds a step as JSON: its C text, and what each of its pointers is. Its name
covers the graph (operators, attributes, avals, constants, which variables share memory), the
threads, the passes, the compiler, and the files of this package that a step depends on.
"""

from __future__ import annotations

import base64
import functools
import json
import sys
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from ... import graphs
from ...graphs.avals import Aval
from ...graphs.ir import ASSIGN, CONSTANT, VARIABLE, Graph
from ...graphs.kernels import shares_memory
from . import build, cache
from .buffers import Buffer, Constant, Given, Stack, Variable
from .build import Built
from .layout import Layout, dense
from .printer import FIRST
from .toolchain import require_compiler

MOST_CONSTANTS = 1 << 20  # bytes of constants that an entry holds


def name_of(
    graph: Graph, binding: dict[str, int], threads: int, passes: Sequence[str]
) -> str | None:
    """The name of a step's entry; None where some attribute has no lasting text."""
    if not cache.keeps_programs():
        return None
    try:
        lines = list(_graph_lines(graph, {id(s): i for i, (s, _) in enumerate(graph.variables)}))
    except _NoTextError:
        return None
    arrays = [storage.array for storage, _ in graph.variables]
    memory = [f"{a.strides} {a.flags.writeable}" for a in arrays]
    pairs = [
        (i, j, a.ctypes.data - arrays[j].ctypes.data)
        for i, a in enumerate(arrays)
        for j in range(i)
        if shares_memory(a, arrays[j])
    ]
    rest = (
        f"{sorted(binding.items())} {threads} {build.WORTH_THREADS} {list(passes)} {memory} {pairs}"
    )
    return cache.key(*require_compiler().signature, _package(), rest, *lines) + ".step"


def recall(name: str, graph: Graph, binding: dict[str, int]) -> Built | None:
    """A step from the cache, for this graph; None where there is none."""
    data = cache.read(name)
    if data is None:
        return None
    entry = json.loads(data)
    constants = list(_constants(graph))
    feeds = [_given(v.aval.substitute(binding)) for v in graph.placeholders.values()]
    outputs = [_given(v.aval.substitute(binding)) for v in graph.outputs]
    pointers: dict[Buffer, int] = {}
    for place, (kind, what) in enumerate(entry.pop("pointers"), FIRST):
        if kind == "feed":
            pointers[feeds[what].buffer] = place
        elif kind == "output":
            pointers[outputs[what].buffer] = place
        elif kind == "variable":
            pointers[Variable(graph.variables[what][0])] = place
        elif kind == "stack":
            pointers[Stack(what)] = place
        else:
            array = constants[what] if isinstance(what, int) else _array(what)
            pointers[Constant(array)] = place
    return Built(**entry, pointers=pointers, feeds=feeds, outputs=outputs)


def remember(name: str, graph: Graph, built: Built) -> None:
    """Put a step into the cache, unless part of it cannot be kept."""
    if not all(isinstance(step, str) for step in built.steps):
        return
    constants = {id(array): i for i, array in enumerate(_constants(graph))}
    storages = {id(storage): i for i, (storage, _) in enumerate(graph.variables)}
    places = {x.buffer: ("feed", i) for i, x in enumerate(built.feeds)}
    places |= {x.buffer: ("output", i) for i, x in enumerate(built.outputs)}
    pointers: list[Any] = []
    kept = 0
    for buffer, _ in sorted(built.pointers.items(), key=lambda item: item[1]):
        if buffer in places:
            pointers.append(places[buffer])
        elif isinstance(buffer, Variable):
            pointers.append(("variable", storages[id(buffer.storage)]))
        elif isinstance(buffer, Stack):
            pointers.append(("stack", buffer.nbytes))
        elif isinstance(buffer, Constant):
            known = constants.get(id(buffer.array))
            kept += buffer.nbytes if known is None else 0
            pointers.append(("constant", _text(buffer.array) if known is None else known))
    if kept > MOST_CONSTANTS:
        return
    entry = {
        "source": built.source, "units": built.units, "once": built.once, "steps": built.steps,
        "pointers": pointers, "kept_bytes": built.kept_bytes, "arena_bytes": built.arena_bytes,
        "bound_bytes": built.bound_bytes, "threads": built.threads, "profile": built.profile,
        "lines": built.lines, "launches": built.launches, "moved": built.moved,
    }  # fmt: skip
    cache.store(name, json.dumps(entry).encode())


class _NoTextError(Exception):
    """An attribute that only this process knows."""


def _graph_lines(graph: Graph, storages: dict[int, int]) -> Iterator[str]:
    """A graph in text, of which equal texts give equal steps."""
    for node in graph.nodes:
        inputs = " ".join(f"{v.node.id}.{v.index}" for v in node.inputs)
        when = "" if node.when is None else f"{node.when.node.id}.{node.when.index}"
        yield f"{node.id} {node.op.name} {inputs} {when} {node.bound.ins} {node.bound.outs}"
        if node.op in (VARIABLE, ASSIGN):
            yield f"storage {storages[id(node.attrs['storage'])]}"
            continue
        for key, value in node.attrs.items():
            yield key
            yield from _attribute(value, storages)
    yield " ".join(f"{v.node.id}.{v.index}" for v in graph.outputs)


def _attribute(value: Any, storages: dict[int, int]) -> Iterator[str]:
    if isinstance(value, np.ndarray):
        data = np.ascontiguousarray(value).reshape(-1).view(np.uint8).data  # bfloat16 has none
        digest = blake2b(data, digest_size=16).hexdigest()
        yield f"{value.dtype} {value.shape} {value.strides} {digest}"
    elif isinstance(value, Graph):
        yield "("
        yield from _graph_lines(value, storages)
        yield ")"
    elif isinstance(value, tuple):
        yield f"tuple {len(value)}"
        for item in value:
            yield from _attribute(item, storages)
    elif isinstance(value, str | int | float | bool | None | np.dtype) or hasattr(value, "shape"):
        yield f"{type(value).__name__} {value!r}"
    elif type(value).__module__.startswith(__package__.partition(".")[0]):
        yield f"{type(value).__name__} {value}"
    else:
        raise _NoTextError


def _constants(graph: Graph) -> Iterator[np.ndarray]:
    """All constant arrays, in an order that the graph's text fixes."""
    for node in graph.nodes:
        if node.op is CONSTANT:
            yield node.attrs["array"]
        elif node.op.region:
            for body in node.attrs["bodies"]:
                yield from _constants(body)


def _given(aval: Aval) -> Layout:
    """Memory that a run hands over."""
    return dense(Given(int(aval.nbytes)), aval)


def _text(array: np.ndarray) -> list[Any]:
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return [array.dtype.name, list(array.shape), data]


def _array(text: list[Any]) -> np.ndarray:
    name, shape, data = text
    return np.frombuffer(base64.b64decode(data), name).reshape(shape)


@functools.cache
def _package() -> str:
    """The version of this package, down to its files."""
    top = Path(graphs.__file__).parent
    files = [p for folder in (top, Path(__file__).parent.parent) for p in folder.rglob("*.[pch]*")]
    stats = ((p.name, p.stat()) for p in sorted(files) if p.suffix in (".py", ".c", ".h"))
    text = " ".join(f"{name} {s.st_size} {s.st_mtime_ns}" for name, s in stats)
    return sys.modules[__name__.partition(".")[0]].__version__ + text
