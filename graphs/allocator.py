"""Memory of large arrays that eager kernels make: how much there is, and giving it back."""

from __future__ import annotations

from typing import NamedTuple

from .compiled import speedups


class MemoryStats(NamedTuple):
    """How much memory the large arrays of kernels on the CPU are.

    Attributes
    ----------
    allocated_bytes, peak_allocated_bytes : int
        Of arrays that are alive, and the most there were of them.
    reserved_bytes, peak_reserved_bytes : int
        That the system has given for them and for those that come.
    allocations, reused : int
        Arrays made, and how many of them in memory that another one had left.
    """

    allocated_bytes: int
    peak_allocated_bytes: int
    reserved_bytes: int
    peak_reserved_bytes: int
    allocations: int
    reused: int


def memory_stats() -> MemoryStats:
    """How much memory the large arrays of eager code are.

    The pages of a large array cost more to get from the system than a kernel takes to fill them. So
    results of 64 KiB and more that kernels make on the CPU lie in memory that is kept when they
    die, for the next ones of about their size: not more than 64 MiB beyond what was in use at once,
    nor more than a quarter of the machine's memory. What waits for ten seconds is given back with
    the next large array, all of it by `empty_cache` or where the system has no more.

    Returns
    -------
    MemoryStats
        All 0 where `is_compiled` is False: memory is NumPy's then.

    Examples
    --------
    >>> before = dt.memory_stats().allocated_bytes
    >>> x = dt.exp(dt.zeros((1000, 1000)))
    >>> dt.memory_stats().allocated_bytes - before in (4_000_000, 0)
    True
    """
    return _counts(resets_peaks=False)


def reset_peak_memory_stats() -> None:
    """Let the peaks that `memory_stats` gives begin at what there is now.

    Examples
    --------
    >>> dt.reset_peak_memory_stats()
    >>> stats = dt.memory_stats()
    >>> stats.peak_allocated_bytes == stats.allocated_bytes
    True
    """
    _counts(resets_peaks=True)


def empty_cache() -> None:
    """Give the memory back that waits for large arrays to come.

    Examples
    --------
    >>> x = dt.zeros((1000, 1000))
    >>> del x
    >>> dt.empty_cache()
    """
    if speedups is not None:
        speedups.empty_cache()


def _counts(resets_peaks: bool) -> MemoryStats:
    counts = (0,) * 6 if speedups is None else speedups.count_memory(resets_peaks)
    return MemoryStats(*counts)
