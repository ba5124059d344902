"""Guards: which Python state a trace read, so that a change of it means another trace."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Watch(threading.local):
    def __init__(self) -> None:
        self.readers: list[dict[tuple[int, str], tuple[Any, str, Any]]] = []


_watch = _Watch()


def note_read(owner: Any, name: str, value: Any) -> Any:
    """Say that ``owner.name`` was read and had this value; gives the value."""
    for reads in _watch.readers:
        reads.setdefault((id(owner), name), (owner, name, value))
    return value


@contextmanager
def watching() -> Iterator[dict[tuple[int, str], tuple[Any, str, Any]]]:
    """Collect the reads of this thread within the block."""
    reads: dict[tuple[int, str], tuple[Any, str, Any]] = {}
    _watch.readers.append(reads)
    try:
        yield reads
    finally:
        _watch.readers.remove(reads)
