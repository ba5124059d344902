"""What a `for` of Python may go along in the graph, and the lists that it fills."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..graphs import ops
from ..graphs.dims import Dim, Size
from ..graphs.errors import StaticValueError
from ..graphs.ir import Value

if TYPE_CHECKING:
    from .rounds import OneRound

Origin = tuple[Value, int]  # an axis of a value


class Length(int):
    """A size of a traced value, which `range` may make a loop of."""

    origin: Origin

    def __new__(cls, size: int, origin: Origin) -> Length:
        made = super().__new__(cls, size)
        made.origin = origin
        return made

    def _kept(self, result: Any) -> Any:
        return Length(result, self.origin) if type(result) is int else result

    def __add__(self, other: int) -> Any:
        return self._kept(int.__add__(self, other))

    def __sub__(self, other: int) -> Any:
        return self._kept(int.__sub__(self, other))

    __radd__ = __add__


class Along:
    """What a loop in the graph may go along."""

    reverse = False

    @property
    def length(self) -> Size:
        """The number of rounds."""
        raise NotImplementedError

    def item(self, one: OneRound) -> Any:
        """What a round sees."""
        raise NotImplementedError

    def items(self) -> Iterator[Any]:
        """What the rounds see one after the other, where no loop in the graph does it."""
        raise NotImplementedError

    @property
    def origins(self) -> list[Origin]:
        """The axes whose sizes say how many rounds there are."""
        raise NotImplementedError


@dataclass(eq=False)
class Rows(Along):
    """The slices of a value along its first axis."""

    value: Value

    @property
    def length(self) -> Size:
        return self.value.shape[0]

    def item(self, one: OneRound) -> Any:
        return one.slice_of(self.value, 0)

    def items(self) -> Iterator[Any]:
        return iter(self.value)

    @property
    def origins(self) -> list[Origin]:
        return [(self.value, 0)]


@dataclass(eq=False)
class Counted(Along):
    """Whole numbers at equal distance."""

    start: int
    step: int
    count: Size
    origin: Origin | None

    @property
    def length(self) -> Size:
        return self.count

    def item(self, one: OneRound) -> Any:
        return one.counter(self)

    def items(self) -> Iterator[int]:
        if isinstance(self.length, Dim):
            raise StaticValueError(
                f"for: a loop of {self.length} rounds must be one of the graph, got a body that "
                "cannot be traced once"
            )
        return iter(range(self.start, self.start + self.length * self.step, self.step))

    @property
    def origins(self) -> list[Origin]:
        return [] if self.origin is None else [self.origin]


@dataclass(eq=False)
class Together(Along):
    """Several at once, as `zip` and `enumerate` give them."""

    parts: Sequence[Along]

    @property
    def length(self) -> Size:
        return self.parts[0].length

    def item(self, one: OneRound) -> Any:
        return tuple(part.item(one) for part in self.parts)

    def items(self) -> Iterator[Any]:
        return zip(*(part.items() for part in self.parts))

    @property
    def origins(self) -> list[Origin]:
        return [v for part in self.parts for v in part.origins]


@dataclass(eq=False)
class Backwards(Along):
    """From the last to the first."""

    forwards: Along
    reverse = True

    @property
    def length(self) -> Size:
        return self.forwards.length

    def item(self, one: OneRound) -> Any:
        return self.forwards.item(one)

    def items(self) -> Iterator[Any]:
        return reversed(list(self.forwards.items()))

    @property
    def origins(self) -> list[Origin]:
        return self.forwards.origins


class Collected:
    """A list to which every round of a loop in the graph has appended the same number of items.

    Parameters
    ----------
    before : list
        What it held before the loop.
    parts : list of Value
        The items of a round, stacked over all rounds.
    """

    def __init__(self, before: list[Any], parts: list[Value]) -> None:
        self.before, self.parts = before, parts

    def stacked(self) -> Value:
        """All items, along a new first axis."""
        first = self.parts[0]
        found = first
        if len(self.parts) > 1:
            both = ops.stack(self.parts, axis=1)
            found = ops.reshape(both, (len(self.parts) * first.shape[0], *first.shape[1:]))
        return found if not self.before else ops.concat([ops.stack(self.before), found])

    def listed(self) -> list[Any]:
        """The list itself, an item a round."""
        length = self.parts[0].shape[0]
        if isinstance(length, Dim):
            raise StaticValueError(
                f"for: a list of {length} tensors must be stacked or concatenated, got another use"
            )
        rows = [part[i] for i in range(length) for part in self.parts]
        return [*self.before, *rows]


def plain(value: Any) -> Any:
    """Sizes as ordinary numbers."""
    if isinstance(value, Length):
        return int(value)
    if type(value) in (tuple, list) and any(isinstance(v, Length) for v in value):
        return type(value)(map(plain, value))
    if type(value) is slice:
        return slice(plain(value.start), plain(value.stop), plain(value.step))
    return value


def counted(args: Sequence[Any]) -> Any:
    """`range` of a size of a traced value; NotImplemented where no loop goes along it."""
    start, stop, step = (0, args[0], 1) if len(args) == 1 else (*args, 1)[:3]
    if not isinstance(step, int) or step == 0 or isinstance(start, Dim):
        return NotImplemented
    origins = [a.origin for a in args if isinstance(a, Length)]
    if isinstance(stop, Dim):
        return Counted(int(start), 1, stop - start, None) if step == 1 else NotImplemented
    rounds = range(int(start), int(stop), step)
    return Counted(int(start), step, len(rounds), origins[0] if origins else None)


def joined(callee: Any, parts: Sequence[Any]) -> Any:
    """`zip`, `enumerate` and `reversed` of what a loop in the graph may go along."""
    if callee is reversed:
        return Backwards(parts[0]) if not parts[0].reverse else NotImplemented
    if callee is enumerate:
        start = parts[1] if len(parts) > 1 else 0
        parts = [Counted(start, 1, parts[0].length, None), parts[0]]
    alike = all(
        isinstance(p, Along) and not p.reverse and p.length == parts[0].length for p in parts
    )
    return Together(parts) if alike else NotImplemented
