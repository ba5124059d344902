"""States: nested dicts of arrays and plain values, such as weights and checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import DTypeError, FileError
from .layout import GRAPH_KEY, STATE_KEY
from .reading import Container, named
from .strict_json import dump, parse
from .values import Decoder, Encoder
from .writing import write_container


def save_state(path: Any, state: Mapping[str, Any]) -> None:
    """Write a state to a file; see `diptych.save`."""
    if not isinstance(state, Mapping):
        raise DTypeError(f"save: a state must be a dict, got {type(state).__name__}")
    encoder = Encoder("save")
    document = encoder.encode(state)
    write_container(path, encoder.tensors, STATE_KEY, dump(document))


def load_state(path: Any, *, needs_digest: bool, max_bytes: int) -> dict[str, Any]:
    """Read a state from a file; see `diptych.load`."""
    with named(path), open(path, "rb") as file:
        container = Container(file, needs_digest, max_bytes)
        if not container.has_digest:
            return dict(container.read())
        if STATE_KEY not in container.metadata:
            held = "a graph, which dt.static.load reads" if GRAPH_KEY in container.metadata else ""
            raise FileError(f"file: must hold a state, got {held or 'none'}")
        document = parse(container.metadata[STATE_KEY], STATE_KEY)
        _build(document, container.entries)
        return _build(document, container.read())


def _build(document: Any, tensors: Mapping[str, Any]) -> dict[str, Any]:
    decoder = Decoder(tensors)
    state = decoder.decode(document)
    decoder.finish()
    if type(state) is not dict:
        raise FileError(f"{STATE_KEY}: must be a dict, got {type(state).__name__}")
    return state
