"""The one place where eager code and the interpreters call a kernel, and where it is observed."""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ..ops.core import Bound

_recorder: Recorder | None = None


def launch(bound: Bound, arrays: Iterable[Any]) -> tuple[Any, ...]:
    """Run the kernel of a bound operator on arrays; the results as a tuple.

    NumPy gives scalars where it should give 0-d arrays; they become arrays here.
    """
    result = bound.kernel(*arrays)
    if type(result) is np.ndarray:
        results: tuple[Any, ...] = (result,)
    elif type(result) is tuple:
        results = result
    else:
        results = (np.asarray(result) if isinstance(result, np.generic) else result,)
    if _recorder is not None:
        _recorder.note(bound, tuple(arrays), results)
    return results


@dataclass(frozen=True, slots=True)
class Launch:
    """One kernel call: the operator's name, what it read, and whether it is only structural."""

    name: str
    digest: bytes
    reads: tuple[int, ...]
    structural: bool
    fresh: bool
    bytes_moved: int


class Recorder:
    """Counts kernels, bytes and live memory, and certifies which kernels made a result.

    Attributes
    ----------
    launches : list of Launch
        In order of creation.
    live_bytes, peak_bytes : int
        Bytes that kernels allocated and that are still alive, now and at most.
    timeline : list of int
        `live_bytes` after each kernel.
    """

    def __init__(self) -> None:
        self.launches: list[Launch] = []
        self.live_bytes = self.peak_bytes = self.allocations = 0
        self.timeline: list[int] = []
        self._maker: dict[int, int] = {}

    def note(self, bound: Bound, reads: tuple[Any, ...], results: tuple[Any, ...]) -> None:
        op = bound.op
        digest = hashlib.sha256(repr((op.name, sorted(bound.attrs.items()))).encode())
        for array in (*reads, *results):
            digest.update(repr((array.shape, array.dtype.str, array.strides)).encode())
            digest.update(str(getattr(array, "device", "cpu")).encode())
        fresh = [r for r in results if not any(_shares(r, a) for a in reads)]
        moved = sum(_touched(a) for a in (*reads, *results)) if fresh else 0
        structural = op.structural or not fresh
        index = len(self.launches)
        reads_from = tuple(self._maker[id(a)] for a in reads if id(a) in self._maker)
        self.launches.append(
            Launch(op.name, digest.digest(), reads_from, structural, bool(fresh), moved)
        )
        for result in results:
            self._maker[id(result)] = index
            weakref.finalize(result, self._maker.pop, id(result), None).atexit = False
        for result in fresh:
            self.allocations += 1
            self.live_bytes += result.nbytes
            weakref.finalize(result, self._free, result.nbytes).atexit = False
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)
        self.timeline.append(self.live_bytes)

    def _free(self, nbytes: int) -> None:
        self.live_bytes -= nbytes

    def maker(self, array: Any) -> int | None:
        """The index of the launch that made this array, if one did."""
        return self._maker.get(id(array))

    def certificate(self, fetched: Iterable[int | None]) -> str:
        """A hash of the kernels that reach the launches `fetched`, in order of creation.

        Views, constants and seeds are structural: they lead to their makers and are left out.
        """
        needed: set[int] = set()
        pending = [index for index in fetched if index is not None]
        while pending:
            index = pending.pop()
            if index not in needed:
                needed.add(index)
                pending.extend(self.launches[index].reads)
        total = hashlib.sha256()
        for index in sorted(needed):
            if not self.launches[index].structural:
                total.update(self.launches[index].digest)
        return total.hexdigest()


@contextmanager
def recording(recorder: Recorder) -> Iterator[Recorder]:
    """Observe every kernel that this process launches within the block."""
    global _recorder
    before, _recorder = _recorder, recorder
    try:
        yield recorder
    finally:
        _recorder = before


def _shares(result: Any, read: Any) -> bool:
    return result is read or (result.base is not None and result.base is _owner(read))


def _touched(array: Any) -> int:
    """Bytes of distinct elements: a broadcast operand is read once."""
    spread = [n for n, stride in zip(array.shape, array.strides) if stride != 0 or n == 0]
    return int(np.prod(spread, dtype=np.int64)) * array.itemsize


def _owner(array: Any) -> Any:
    return array if array.base is None else array.base
