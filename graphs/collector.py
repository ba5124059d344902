"""Python's collector of cycles, out of the way of what makes thousands of objects that stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused() -> Iterator[None]:
    """No search for unreachable cycles within the block.

    Python looks for them each time that so many objects more are there than before, and every so
    often through all objects of the process. A graph of thousands of nodes sets that off again and
    again, and there is next to nothing to be found.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
