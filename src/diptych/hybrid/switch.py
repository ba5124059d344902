"""The switch that turns every bridge off."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..graphs.modes import count_detours

_OFF = ("", "0", "false", "no", "off")


class _Switch(threading.local):
    depth = 0


_switch = _Switch()
_is_off = os.environ.get("DIPTYCH_DISABLE_COMPILE", "").lower() not in _OFF
count_detours(int(_is_off))


def is_disabled() -> bool:
    """Whether compiled functions run their Python code instead.

    True within `disabled` on this thread, and where the environment variable
    ``DIPTYCH_DISABLE_COMPILE`` was anything but the empty string, 0, false, no or off when this
    package was imported.
    """
    return _is_off or _switch.depth > 0


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
    count_detours(1)
    try:
        yield
    finally:
        count_detours(-1)
        _switch.depth -= 1
