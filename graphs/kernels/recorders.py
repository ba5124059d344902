"""What observes kernels: it counts them and certifies which of them made a result."""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..devices import device_of
from .memory import shares, touched_bytes

if TYPE_CHECKING:
    from ..bound import Bound


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What an array shows of what was made, however many views led there.

    Attributes
    ----------
    source : int, bytes or array
        The index of the call that made it, or what none made: the bytes of a number, or the array.
    position : int
        Which result of the call.
    shown : tuple
        Per copy on the way that laid its elements out anew, what it copied and how.
    offset : int
        Where it begins, in bytes behind the beginning of the source or the last such copy.
    """

    source: Any
    position: int = 0
    shown: tuple[Any, ...] = ()
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Launch:
    """One kernel call.

    Attributes
    ----------
    digest : bytes
        Of the operator, its attributes, and the layouts of the results.
    reads : tuple of (Part, str)
        What each operand shows, and its layout.
    structural : bool
        A constant or a seed.
    commutes : bool
        Whether a swap of the operands changes no bit.
    """

    digest: bytes
    reads: tuple[tuple[Part, str], ...]
    structural: bool
    commutes: bool


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
        self._written: list[tuple[Part, str]] = []
        self._parts: dict[int, Part] = {}
        self._zeros: set[int] = set()
        self._rows: dict[int, tuple[list[Part], Any]] = {}

    @property
    def peak_bytes(self) -> int:
        """Most bytes held at once beside storages: alive, and whole arenas of programs that ran."""
        return self._most_live + sum(self._arenas.values())

    def note(self, bound: Bound, reads: tuple[Any, ...], results: tuple[Any, ...]) -> None:
        """Count one kernel call."""
        if bound.op.foreign:
            return  # what it launched has been noted
        self.operators += 1
        wholes = [next((a for a in reads if shares(r, a)), None) for r in results]
        fresh = [r for r, whole in zip(results, wholes) if whole is None]
        if fresh:
            self.launches += 1
            self.bytes_moved += sum(map(touched_bytes, (*reads, *results)))
            self.flop += int(bound.flop)
        for result, part in zip(results, self._made(bound, reads, results, wholes)):
            self._hold(result, part)
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
        self._written.append((self._part(array), _layout(array)))
        self.note_copy(array, into)

    def note_copy(self, array: Any, copy: Any) -> None:
        """Say that a copy stands for an array."""
        if id(array) in self._parts or array.ndim:
            self._hold(copy, self._copy(array, copy))
        else:
            self._parts.pop(id(copy), None)  # a number that none made counts by its bits

    def note_slice(self, part: Any, whole: Any) -> None:
        """Say that an array is the slice of another that a round of a loop reads."""
        self._hold(part, self._view(part, whole))

    def certificate(self, fetched: Iterable[Any]) -> str:
        """A hash of the kernels that reach fetched arrays or storages, and of what these show.

        A kernel is hashed with the kernels that made its operands, and with the parts of their
        results that it reads; so the order in which kernels are launched does not count, but how
        many there are does. Views, constants and seeds are structural: they have part in the names
        of what they show. An operand that none made counts by its number if it is one, else by the
        order in which such arrays are first met on the way from the results to what they read.
        """
        roots = [(self._part(a), _layout(a)) for a in fetched] + self._written
        needed = self._reached(roots)
        alike = self._names(needed, {})
        arrays: dict[int, str] = {}
        self._reached(roots, alike, arrays)
        names = self._names(needed, arrays)
        kernels = sorted(names[i] for i in needed if not self._calls[i].structural)
        results = [_name(part, names, arrays) + layout for part, layout in roots]
        return hashlib.sha256(repr((kernels, results)).encode()).hexdigest()

    def _reached(
        self,
        roots: list[tuple[Part, str]],
        alike: dict[int, str] | None = None,
        arrays: dict[int, str] | None = None,
    ) -> list[int]:
        """Calls that reach roots, in ascending order; arrays that none made get names on the way.

        `alike` holds the calls' names without those: operands that commute are met in its order.
        """
        found: set[int] = set()
        pending = [part for part, _ in reversed(roots)]
        while pending:
            source = pending.pop().source
            if isinstance(source, int) and source not in found:
                found.add(source)
                call = self._calls[source]
                reads = list(call.reads)
                if call.commutes and alike is not None:
                    reads.sort(key=lambda read: _name(read[0], alike, {}) + read[1])
                pending.extend(part for part, _ in reversed(reads))
            elif arrays is not None and not isinstance(source, int | bytes):
                arrays.setdefault(id(source), f"array {len(arrays)}")
        return sorted(found)

    def _names(self, needed: list[int], arrays: dict[int, str]) -> dict[int, str]:
        """Per call a hash of what it computes of what; makers come before readers."""
        names: dict[int, str] = {}
        for index in needed:
            call = self._calls[index]
            reads = [_name(part, names, arrays) + layout for part, layout in call.reads]
            if call.commutes:
                reads.sort()
            names[index] = hashlib.sha256(call.digest + repr(reads).encode()).hexdigest()
        return names

    def _made(
        self, bound: Bound, reads: tuple[Any, ...], results: tuple[Any, ...], wholes: list[Any]
    ) -> list[Part]:
        """What each result of a call shows; the call is kept where one is new."""
        if all(whole is not None for whole in wholes):
            return [self._view(r, whole) for r, whole in zip(results, wholes)]
        if bound.op.name == "accumulate":
            # A sum that begins with zeros is what meets them.
            kept = tuple(a for a in reads if not self._is_zero(a)) or reads[:1]
            if len(kept) == 1 < len(reads):
                return [self._copy(kept[0], results[0])]
            reads = kept
        index = len(self._calls)
        self._calls.append(
            Launch(
                _digest(bound, results),
                tuple((self._part(a), _layout(a)) for a in reads),
                bound.op.structural,
                bound.op.name == "accumulate" and len(reads) == 2,
            )
        )
        if bound.op.name == "full" and bound.attrs["value"] == 0:
            self._zeros.add(index)
        if bound.op.name == "stack" and bound.attrs["axis"] == 0 and results[0].size:
            row = results[0][0, ...]
            self._rows[index] = [self._copy(a, row) for a in reads], row
        return [
            Part(index, position) if whole is None else self._view(result, whole)
            for position, (result, whole) in enumerate(zip(results, wholes))
        ]

    def _part(self, array: Any) -> Part:
        found = self._parts.get(id(array))
        return Part(array if array.ndim else array.tobytes()) if found is None else found

    def _view(self, view: Any, whole: Any) -> Part:
        """What a view shows: of a stack's row what was stacked, as a loop in Python would read."""
        part = self._part(whole)
        if view.size:
            part = replace(part, offset=part.offset + _address(view) - _address(whole))
        low, high = _extent(view)
        while isinstance(part.source, int) and part.source in self._rows and not part.shown:
            stacked, row = self._rows[part.source]
            step, start = divmod(part.offset, row.nbytes)
            if start + low < 0 or start + high > row.nbytes or view.ndim > row.ndim:
                break
            part = replace(stacked[step], offset=stacked[step].offset + start)
        return part

    def _copy(self, array: Any, copy: Any) -> Part:
        """What a copy shows: the same, unless its elements lie in another order."""
        part = self._part(array)
        before, after = _steps(array), _steps(copy)
        if before == after:
            return part
        return replace(part, shown=(*part.shown, part.offset, before, after), offset=0)

    def _is_zero(self, array: Any) -> bool:
        source = self._part(array).source
        return isinstance(source, int) and source in self._zeros

    def _hold(self, array: Any, part: Part) -> None:
        self._parts[id(array)] = part
        weakref.finalize(array, self._parts.pop, id(array), None).atexit = False

    def _allocate(self, array: Any) -> None:
        self.allocations += 1
        self.live_bytes += array.nbytes
        self._most_live = max(self._most_live, self.live_bytes)
        weakref.finalize(array, self._free, array.nbytes).atexit = False

    def _free(self, nbytes: int) -> None:
        self.live_bytes -= nbytes


def _name(part: Part, names: dict[int, str], arrays: dict[int, str]) -> str:
    """What an operand is called in a certificate."""
    if isinstance(part.source, int):
        source = names[part.source]
    elif isinstance(part.source, bytes):
        source = f"number {part.source.hex()}"
    else:
        source = arrays.get(id(part.source), "array")
    return f"{source} {part.position} {part.shown} {part.offset} "


def _digest(bound: Bound, results: tuple[Any, ...]) -> bytes:
    what = repr((bound.op.name, sorted(bound.attrs.items()), list(map(_layout, results))))
    return hashlib.sha256(what.encode()).digest()


def _layout(array: Any) -> str:
    return repr((array.shape, array.dtype.str, array.strides, str(device_of(array))))


def _steps(array: Any) -> tuple[tuple[int, int], ...]:
    """Sizes and strides of the axes that have more than one element."""
    return tuple((n, stride) for n, stride in zip(array.shape, array.strides) if n != 1)


def _extent(array: Any) -> tuple[int, int]:
    """Bytes from its first element to the lowest and behind the highest one."""
    ends = [(n - 1) * stride for n, stride in zip(array.shape, array.strides)]
    return sum(e for e in ends if e < 0), sum(e for e in ends if e > 0) + array.itemsize


def _address(array: Any) -> int:
    """Where the first element lies."""
    if isinstance(array, np.ndarray):
        return int(array.__array_interface__["data"][0])
    return int(array.__cuda_array_interface__["data"][0])
