"""What a `for` of Python may go along in the graph, and the lists that it fills."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..graphs import ops
from ..graphs.dims import Dim, Size
from ..graphs.errors import GraphError, StaticValueError
from ..graphs.ir import Value
from ..graphs.ops import dispatch
from .weak import Number, computed, index_of

if TYPE_CHECKING:
    from .rounds import OneRound

Origin = tuple[Value, int]  # an axis of a value

# A `range` of a known number of rounds is a loop of the graph from so many on.
FEWEST_ROUNDS = 8


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

    @property
    def is_known(self) -> bool:
        """Whether Python alone says how many rounds there are, and no size does."""
        return False

    def item(self, one: OneRound) -> Any:
        """What a round sees."""
        raise NotImplementedError

    def peeled(self) -> tuple[Any, Along]:
        """What the first round sees, and what the others go along."""
        raise NotImplementedError

    def at(self, number: Any) -> Any:
        """What a round sees whose number may be known only when the graph runs."""
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

    def peeled(self) -> tuple[Any, Along]:
        return self.value[0], Rows(self.value[1:])

    def at(self, number: Any) -> Any:
        return self.value[index_of(number)]

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
    is_known: bool = False

    @property
    def length(self) -> Size:
        return self.count

    def item(self, one: OneRound) -> Any:
        return one.counter(self)

    def peeled(self) -> tuple[Any, Along]:
        return self.start, replace(self, start=self.start + self.step, count=self.count - 1)

    def at(self, number: Any) -> Any:
        return computed("Add", computed("Mult", number, self.step), self.start)

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

    @property
    def is_known(self) -> bool:
        return all(part.is_known for part in self.parts)

    def item(self, one: OneRound) -> Any:
        return tuple(part.item(one) for part in self.parts)

    def peeled(self) -> tuple[Any, Along]:
        firsts, rests = zip(*(part.peeled() for part in self.parts))
        return firsts, Together(rests)

    def at(self, number: Any) -> Any:
        return tuple([part.at(number) for part in self.parts])

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

    @property
    def is_known(self) -> bool:
        return self.forwards.is_known

    def item(self, one: OneRound) -> Any:
        return self.forwards.item(one)

    def peeled(self) -> tuple[Any, Along]:
        forwards = self.forwards
        if isinstance(forwards, Rows):
            return forwards.value[-1], Backwards(Rows(forwards.value[:-1]))
        if isinstance(forwards, Counted) and isinstance(forwards.count, int):
            last = forwards.start + (forwards.count - 1) * forwards.step
            return last, Backwards(replace(forwards, count=forwards.count - 1))
        raise GraphError("for: the first round backwards must be known, got a symbolic one")

    def at(self, number: Any) -> Any:
        return self.forwards.at(computed("Sub", self.length - 1, number))

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
        self._list: list[Any] | None = None

    @property
    def is_list(self) -> bool:
        """Whether it has been asked for as a list, which may have changed since."""
        return self._list is not None

    def stacked(self) -> Value:
        """All items, along a new first axis."""
        first = self.parts[0]
        found = first
        if len(self.parts) > 1:
            both = ops.stack(self.parts, axis=1)
            found = ops.reshape(both, (len(self.parts) * first.shape[0], *first.shape[1:]))
        return found if not self.before else ops.concat([ops.stack(self.before), found])

    def listed(self) -> list[Any]:
        """The list itself, an item a round; the same one each time."""
        if self._list is None:
            length = self.parts[0].shape[0]
            if isinstance(length, Dim):
                raise StaticValueError(
                    f"for: a list of {length} tensors must be stacked or concatenated, got another "
                    "use"
                )
            rows = [part[i] for i in range(length) for part in self.parts]
            self._list = [*self.before, *rows]
        return self._list


class Counter(Number):
    """The number of a round, while it is traced: any of them. It may be an index.

    Parameters
    ----------
    value : Value
        Of shape (), int64.
    along : Counted
        What it counts.
    """

    def __init__(self, value: Value, along: Counted) -> None:
        super().__init__(value, int)
        self.along = along


class AppendOnly:
    """What a round sees of a list that rounds append to: it may be appended to, and no more."""

    def __init__(self, graph: Any) -> None:
        self.items: list[Any] = []
        self._graph = graph

    def append(self, item: Any) -> None:
        if dispatch.current() is not self._graph:
            raise GraphError("for: every round must append alike, got one in a branch on data")
        self.items.append(item)

    def _refuse(self, *args: Any) -> Any:
        raise GraphError("for: a list that rounds append to must not be read in one, got a read")

    __bool__ = __len__ = __iter__ = __getitem__ = __contains__ = __getattr__ = _refuse
    __add__ = __radd__ = __iadd__ = __mul__ = __eq__ = __ne__ = __reversed__ = _refuse
    __hash__ = _refuse


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
    """`range`, where a size of a traced value says how far it goes, or it goes far."""
    start, stop, step = (0, args[0], 1) if len(args) == 1 else (*args, 1)[:3]
    if all(type(n) is int for n in (start, stop, step)):
        numbers = range(*args)
        is_long = len(numbers) >= FEWEST_ROUNDS
        return Counted(start, step, len(numbers), None, is_known=True) if is_long else numbers
    is_size = isinstance(stop, Length | Dim) or isinstance(start, Length)
    if not is_size or not isinstance(step, int) or step == 0 or not isinstance(start, int):
        return range(*args)
    if isinstance(stop, Dim):
        if step != 1 or start > 2:  # a symbol is at least 2
            return range(*args)
        return Counted(int(start), 1, stop - int(start), None)
    origins = [a.origin for a in args if isinstance(a, Length)]
    rounds = range(int(start), int(stop), step)
    return Counted(int(start), step, len(rounds), origins[0])


def has_symbol(value: Any) -> bool:
    """Whether a size that only runs know is in a value."""
    if isinstance(value, Dim):
        return True
    return isinstance(value, tuple | list) and any(map(has_symbol, value))
