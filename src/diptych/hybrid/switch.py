"""The switch that turns every bridge off."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_OFF = ("", "0", "false", "no", "off")


class _Switch(threading.local):
    depth = 0


_switch = _Switch()


def is_disabled() -> bool:
    """Whether compiled functions run their Python code instead.

    True within `disabled` on this thread, and where the environment variable
    ``DIPTYCH_DISABLE_COMPILE`` is set to anything but the empty string, 0, false, no or off.
    """
    return _switch.depth > 0 or os.environ.get("DIPTYCH_DISABLE_COMPILE", "").lower() not in _OFF


@contextmanager
def disabled() -> Iterator[None]:
    """Run compiled functions as plain eager code within the block, on this thread.

    Examples
    --------
    >>> double = dt.compile(lambda x: x * 2)
    >>> with disabled():
    ...     double(dt.tensor([1.0]))
    tensor([2.])
    """
    _switch.depth += 1
    try:
        yield
    finally:
        _switch.depth -= 1
