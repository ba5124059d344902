"""How many threads native code runs on."""

from __future__ import annotations

import os

from .compiled import set_pool_threads
from .errors import ArgumentError

_chosen: list[int] = []


def cores() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# Before anybody pins the threads of this process.
_CORES = cores()


def get_num_threads() -> int:
    """How many threads a program of the `native` executor, and a large kernel, runs on.

    Returns
    -------
    int
        What `set_num_threads` or else the environment variable ``DIPTYCH_NUM_THREADS`` says; by
        default one for each core of the process.

    Examples
    --------
    >>> dt.get_num_threads() >= 1
    True
    """
    if not _chosen:
        text = os.environ.get("DIPTYCH_NUM_THREADS", "")
        set_num_threads(int(text) if text.isdecimal() and int(text) else _CORES)
    return _chosen[0]


def set_num_threads(count: int) -> None:
    """Set on how many threads programs run that are compiled from now on, and large kernels.

    Parameters
    ----------
    count : int
        1 or more. Results are the same from run to run with one count, and may differ in the last
        bits between counts.

    Raises
    ------
    ArgumentError
        When it is no positive whole number.

    Examples
    --------
    >>> before = dt.get_num_threads()
    >>> dt.set_num_threads(1)
    >>> dt.get_num_threads()
    1
    >>> dt.set_num_threads(before)
    """
    _chosen[:] = [_checked(count)]
    set_pool_threads(count)


def _checked(count: int) -> int:
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= 1024:
        raise ArgumentError(f"set_num_threads: must be a whole number in 1..1024, got {count!r}")
    return count
