"""Pinning: a core for each busy thread, so that two of them never share one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

# As the machine was when this process started: after pinning, a thread sees one core.
_CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def thread_times(process: int | str = "self") -> dict[int, int]:
    """How long each thread of a process has run so far, in nanoseconds; empty where the system does
    not tell."""
    with suppress(OSError):  # the process may end meanwhile
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        return {int(task.name): _nanoseconds(task) for task in tasks}
    return {}


def pin_busiest(threads: int, since: Mapping[int, int] | None = None) -> list[int]:
    """Pin the busiest threads of this process to a core each, and the rest to those cores.

    Call it after a warm-up, when every pool has its threads and the busy ones have run.

    Parameters
    ----------
    threads : int
        How many cores to use.
    since : mapping, optional
        From `thread_times` before the warm-up: what ran earlier, such as compilers' threads, does
        not count.

    Returns
    -------
    list of int
        The cores; empty where the system cannot pin.
    """
    ran = thread_times()
    if not _CORES or not any(ran.values()):
        return []
    cores = _CORES[:threads]
    before = since or {}
    by_time = sorted(ran, key=lambda thread: ran[thread] - before.get(thread, 0), reverse=True)
    for position, thread in enumerate(by_time):
        mask = {cores[position]} if position < len(cores) else set(cores)
        try:
            os.sched_setaffinity(thread, mask)
        except OSError:  # the thread has ended meanwhile
            continue
    return cores


def _nanoseconds(thread: Path) -> int:
    # The clock ticks of `stat` are as long as several steps of a small model.
    try:
        return int((thread / "schedstat").read_text().split()[0])
    except OSError:
        return 0
