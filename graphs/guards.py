"""Guards: which Python state a trace read, so that a change of it means another trace."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# Called with a table and a key in it that is about to be read.
Reader = Callable[[dict[str, Any], str], None]


class _Watch(threading.local):
    def __init__(self) -> None:
        self.readers: list[Reader] = []


_watch = _Watch()


def note_read(table: dict[str, Any], key: str) -> Any:
    """Read ``table[key]``, and say so to whoever watches on this thread."""
    for reader in _watch.readers:
        reader(table, key)
    return table[key]


@contextmanager
def watching(reader: Reader) -> Iterator[None]:
    """Have `reader` called with the reads of this thread within the block."""
    _watch.readers.append(reader)
    try:
        yield
    finally:
        _watch.readers.pop()
