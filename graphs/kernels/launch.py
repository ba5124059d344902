"""The one place where eager code and the interpreters call a kernel, and where it is observed."""

from __future__ import annotations

import hashlib
import math
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..devices import device_of

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
    """One kernel call.

    Attributes
    ----------
    digest : bytes
        Of the operator, its attributes, and the layouts of operands and results.
    reads : tuple
        Per operand the index of the call that made it, the bytes of a number that none made, or
        the array itself.
    structural : bool
        A view, a constant or a seed.
    """

    digest: bytes
    reads: tuple[Any, ...]
    structural: bool


class Recorder:
    """Counts kernels, bytes and live memory, and certifies which kernels made a result.

    Attributes
    ----------
    operators, launches, allocations : int
        Operators applied, kernels that computed (views do not), and arrays allocated.
    bytes_moved : int
        Read and written by the kernels that computed; a repeated element counts once.
    flop : int
        Floating-point operations, by the operators' cost rules.
    live_bytes : int
        Allocated by kernels and still alive.
    timeline : list of int
        Bytes in use after each operator: alive, and live within the arena of a running program.
    """

    def __init__(self) -> None:
        self.operators = self.launches = self.allocations = self.bytes_moved = self.flop = 0
        self.live_bytes = self._most_live = 0
        self._arenas: dict[int, int] = {}
        self.timeline: list[int] = []
        self._calls: list[Launch] = []
        self._written: list[int] = []
        self._maker: dict[int, int] = {}
        self._zeros: set[int] = set()
        self._parts: dict[int, list[int]] = {}

    @property
    def peak_bytes(self) -> int:
        """Most bytes held at once beside storages: alive, and whole arenas of programs that ran."""
        return self._most_live + sum(self._arenas.values())

    def note(self, bound: Bound, reads: tuple[Any, ...], results: tuple[Any, ...]) -> None:
        """Count one kernel call."""
        self.operators += 1
        fresh = [r for r in results if not any(shares(r, a) for a in reads)]
        if fresh:
            self.launches += 1
            self.bytes_moved += sum(map(touched_bytes, (*reads, *results)))
            self.flop += int(bound.flop)
        sources = tuple(map(self._source, reads))
        index, structural = len(self._calls), bound.op.structural or not fresh
        if bound.op.name == "accumulate" and any(map(self._is_zero, sources)):
            # A sum that begins with zeros is what meets them.
            sources = tuple(s for s in sources if not self._is_zero(s)) or sources
            structural = True
        if structural and (_is_zeros(bound) or (sources and self._is_zero(sources[0]))):
            self._zeros.add(index)
        for result in results:
            self._hold(result, index)
        self._calls.append(Launch(_digest(bound, (*reads, *results)), sources, structural))
        for result in fresh:
            self._allocate(result)
        self.timeline.append(self.live_bytes)

    def note_program(self, counts: Any, results: list[Any]) -> None:
        """Count a run of a planned program by its plan; it launches its kernels itself.

        Parameters
        ----------
        counts : object
            With `operators`, `launches`, `bytes_moved`, `flop`, `arena_bytes`, and `profile`: bytes
            in use after each operator.
        results : list of arrays
            What the run allocated and gave back.
        """
        self.operators += counts.operators
        self.launches += counts.launches
        self.bytes_moved += counts.bytes_moved
        self.flop += counts.flop
        self._arenas[id(counts)] = counts.arena_bytes
        self.timeline.extend(self.live_bytes + in_use for in_use in counts.profile)
        for result in results:
            self._allocate(result)

    def note_write(self, array: Any, into: Any) -> None:
        """Say that an array is the new content of a storage: its maker counts as fetched."""
        if id(array) in self._maker:
            self._written.append(self._maker[id(array)])
        self.note_copy(array, into)

    def note_copy(self, array: Any, copy: Any) -> None:
        """Say that a copy stands for an array."""
        if id(array) in self._maker:
            self._hold(copy, self._maker[id(array)])
        else:
            self._maker.pop(id(copy), None)

    def note_stack(self, bound: Bound, parts: list[Any], stack: Any) -> None:
        """Count a stack of what the rounds of a loop gave, as the operator that would make it."""
        makers = [self._maker_of(part) for part in parts]
        rows = tuple(part[None] for part in parts)
        for row, maker in zip(rows, makers):
            self._hold(row, maker)
        self.note(bound, rows, (stack,))
        self._parts[id(stack)] = makers
        weakref.finalize(stack, self._parts.pop, id(stack), None).atexit = False

    def note_slice(self, part: Any, whole: Any, step: int) -> None:
        """Say that an array is the slice of another that a round of a loop reads."""
        makers = self._parts.get(id(whole))
        self._hold(part, self._maker_of(whole) if makers is None else makers[step])

    def certificate(self, fetched: Iterable[Any]) -> str:
        """A hash of the kernels that reach fetched arrays or storages, in order of creation.

        Views, constants and seeds are structural: they lead to their makers and are left out. A
        kernel is hashed with the kernels that made its operands; an operand that none made counts
        by its number if it is one, else by the order in which such arrays are first read.
        """
        needed: set[int] = set()
        pending = self._written + [self._maker[id(a)] for a in fetched if id(a) in self._maker]
        while pending:
            index = pending.pop()
            if index not in needed:
                needed.add(index)
                pending.extend(r for r in self._calls[index].reads if isinstance(r, int))
        made: dict[int, str] = {}
        arrays: dict[int, str] = {}
        kernels = 0
        total = hashlib.sha256()
        for index in sorted(needed):
            call = self._calls[index]
            reads = [_name(r, made, arrays) for r in call.reads]
            if not call.structural:
                made[index] = f"kernel {kernels}"
                kernels += 1
                total.update(call.digest + repr(reads).encode())
            else:
                made[index] = reads[0] if reads else f"constant {call.digest.hex()}"
        return total.hexdigest()

    def _maker_of(self, array: Any) -> int:
        """The call that made an array; a structural one for an array that came from outside."""
        if id(array) not in self._maker:
            self._calls.append(Launch(b"", (self._source(array),), True))
            self._hold(array, len(self._calls) - 1)
        return self._maker[id(array)]

    def _is_zero(self, source: Any) -> bool:
        return isinstance(source, int) and source in self._zeros

    def _source(self, array: Any) -> Any:
        if id(array) in self._maker:
            return self._maker[id(array)]
        return array.tobytes() if not array.ndim else array

    def _hold(self, array: Any, maker: int) -> None:
        self._maker[id(array)] = maker
        weakref.finalize(array, self._maker.pop, id(array), None).atexit = False

    def _allocate(self, array: Any) -> None:
        self.allocations += 1
        self.live_bytes += array.nbytes
        self._most_live = max(self._most_live, self.live_bytes)
        weakref.finalize(array, self._free, array.nbytes).atexit = False

    def _free(self, nbytes: int) -> None:
        self.live_bytes -= nbytes


def recorder() -> Recorder | None:
    """The recorder in force, if any."""
    return _recorder


def copied(array: Any) -> Any:
    """A copy that stands for the array in a certificate."""
    copy = array.copy()
    if _recorder is not None:
        _recorder.note_copy(array, copy)
    return copy


@contextmanager
def recording(recorder: Recorder) -> Iterator[Recorder]:
    """Observe every kernel that this process launches within the block."""
    global _recorder
    before, _recorder = _recorder, recorder
    try:
        yield recorder
    finally:
        _recorder = before


def shares(result: Any, read: Any) -> bool:
    """Whether a kernel's result is a view of what it read, or the very array."""
    return owner(result) is owner(read)


def shares_memory(a: Any, b: Any) -> bool:
    """Whether two arrays may lie in the same memory; by address ranges, so never wrongly no."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.may_share_memory(a, b)
    return owner(a) is owner(b)


def touched_bytes(array: Any) -> int:
    """Bytes of distinct elements: a broadcast operand is read once."""
    distinct = [n for n, stride in zip(array.shape, array.strides) if stride != 0 or n == 0]
    return math.prod(distinct) * array.itemsize


def _is_zeros(bound: Bound) -> bool:
    return bound.op.name == "full" and bound.attrs["value"] == 0


def _name(read: Any, made: dict[int, str], arrays: dict[int, str]) -> str:
    """What an operand is called in a certificate."""
    if isinstance(read, int):
        return made[read]
    if isinstance(read, bytes):
        return f"number {read.hex()}"
    return arrays.setdefault(id(read), f"array {len(arrays)}")


def _digest(bound: Bound, arrays: tuple[Any, ...]) -> bytes:
    what = repr((bound.op.name, sorted(bound.attrs.items())))
    layouts = [(a.shape, a.dtype.str, a.strides, str(device_of(a))) for a in arrays]
    return hashlib.sha256((what + repr(layouts)).encode()).digest()


def owner(array: Any) -> Any:
    """The array whose memory this one shows, through any views; itself if it is no view.

    It need not own the memory: an array over a buffer is its own owner here.
    """
    while isinstance(array.base, type(array)):
        array = array.base
    return array
