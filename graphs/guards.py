"""Guards: which Python state a trace read, so that a change of it means another trace."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# A table, a key in it, and the very object that stood there.
Read = tuple[dict[str, Any], str, Any]


class _Watch(threading.local):
    def __init__(self) -> None:
        self.readers: list[list[Read]] = []


_watch = _Watch()


def note_read(table: dict[str, Any], key: str) -> Any:
    """Read ``table[key]``, and say so to whoever watches on this thread."""
    value = table[key]
    for reads in _watch.readers:
        reads.append((table, key, value))
    return value


@contextmanager
def watching() -> Iterator[list[Read]]:
    """Collect the reads of this thread within the block."""
    reads: list[Read] = []
    _watch.readers.append(reads)
    try:
        yield reads
    finally:
        _watch.readers.pop()
