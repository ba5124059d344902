"""Fingerprints: graphs that say the same have the same one, in every process.

A fingerprint covers operators, attributes, avals, constants down to their numbers, and which
assignments and reads are of one storage. What is compiled for one graph serves all others with its
fingerprint, and the storages and constants of theirs take the places of its own.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np

from ..graphs.avals import Aval
from ..graphs.dtypes import DTYPES
from ..graphs.ir import ASSIGN, CONSTANT, VARIABLE, Graph, Node, Value
from ..graphs.ops.core import Bound
from ..graphs.storage import Storage

_PACKAGE = __package__.partition(".")[0]
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


@dataclass
class Fingerprint:
    """What a graph says, in short.

    Attributes
    ----------
    text : str
        40 hexadecimal digits.
    storages : list of Storage
        Those that the graph reads or writes, each once.
    constants : list of array
    """

    text: str = ""
    storages: list[Storage] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)


def fingerprint(nodes: Sequence[Node], ends: Iterable[int] = ()) -> Fingerprint | None:
    """The fingerprint of a graph.

    Parameters
    ----------
    nodes : sequence of Node
        All of its nodes, in order.
    ends : iterable of int
        Whole numbers that say what of it is wanted.

    Returns
    -------
    Fingerprint or None
        None where some attribute means something in this process alone.
    """
    writer = _Writer()
    try:
        text = writer.written(nodes, ends)
    except _NoTextError:
        return None
    return Fingerprint(text, list(writer.storages), writer.constants)


def places(values: Iterable[Value]) -> list[int]:
    """Where values are made: the number of a node, and which of its results."""
    return [number for value in values for number in (value.node.id, value.index)]


class _NoTextError(Exception):
    """An attribute that only this process knows."""


class _Writer:
    def __init__(self) -> None:
        self.storages: dict[Storage, int] = {}
        self.constants: list[Any] = []

    def written(self, nodes: Sequence[Node], ends: Iterable[int]) -> str:
        digest = blake2b(digest_size=20)
        # Nodes are numbers: of what they apply, whose text is written once, and of what they read.
        kinds: dict[int, int] = {}
        numbers = array("q")
        for node in nodes:
            kind = kinds.get(id(node.bound))
            if kind is None:
                kind = kinds[id(node.bound)] = len(kinds)
                text = "\n".join(self._bound(node.bound)).encode()
                digest.update(len(text).to_bytes(8, "little") + text)
            numbers.append(kind)
            numbers.extend(places(node.inputs))
            if node.when is not None:
                numbers.extend((-2, *places([node.when])))
            numbers.append(-1)
        numbers.extend(ends)
        digest.update(numbers.tobytes())
        return digest.hexdigest()

    def _bound(self, bound: Bound) -> Iterator[str]:
        yield f"{bound.op.name} {bound.op.expr}"
        yield from map(_aval, (*bound.ins, *bound.outs))
        if bound.op in (VARIABLE, ASSIGN):
            storage = bound.attrs["storage"]
            yield f"storage {self.storages.setdefault(storage, len(self.storages))}"
            return
        if bound.op is CONSTANT:
            self.constants.append(bound.attrs["array"])
        for key, value in bound.attrs.items():
            yield key
            yield from self._attribute(value)

    def _attribute(self, value: Any) -> Iterator[str]:
        if isinstance(value, np.ndarray):
            data = np.ascontiguousarray(value).reshape(-1).view(np.uint8).data  # not all have one
            digest = blake2b(data, digest_size=20).hexdigest()
            yield f"{value.dtype} {value.shape} {value.strides} {digest}"
        elif isinstance(value, Graph):
            yield self.written(value.nodes, places(value.outputs))
        elif isinstance(value, tuple):
            yield f"tuple {len(value)}"
            for item in value:
                yield from self._attribute(item)
        elif isinstance(value, Aval):
            yield _aval(value)
        elif isinstance(value, str | int | float | bool | None | np.dtype | np.generic):
            yield f"{type(value).__name__} {value!r}"
        elif type(value).__module__.startswith(_PACKAGE):
            yield f"{type(value).__name__} {value}"
        else:
            raise _NoTextError


def _aval(aval: Aval) -> str:
    return f"{_NAMES[aval.dtype]} {aval.shape} {aval.device}"
