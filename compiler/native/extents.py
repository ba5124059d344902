"""Extents: sizes that code leaves open, up to a bound for which memory is planned.

An `Extent` is a dimension whose symbols each run binds anew. C reads these in a table, so an extent
prints as an expression of it. What a generator asks of one is answered where the answer is the same
for all sizes within the bounds; everything else raises, so nothing takes the bound for the size.
Room is made, and ways are chosen, for the largest one, which is asked for by name: `most`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn

from ...graphs.dims import Dim, divide_exactly
from ...graphs.errors import ShapeError

LEAST = 2  # of no elements, or of one, much holds that does not of others
ROOM = 128  # the least bound: so many rows cost no more memory than is worth a compilation
TABLE = "sizes"  # what C calls the symbols of a run


class OpenSizeError(Exception):
    """Code cannot be written before a size is known.

    Attributes
    ----------
    where : str
        The operators that it is for; empty where nobody knows.
    """

    where = ""

    def locate(self, names: str) -> None:
        """Say for which operators the code is, unless that is known."""
        self.where = self.where or names

    def __str__(self) -> str:
        what = super().__str__()
        return f"{what}, in {self.where}" if self.where else what


class Symbol(str):
    """A symbol of an open size.

    Attributes
    ----------
    name : str
        In the graph.
    place : int
        In the table that C reads.
    most : int
        The bound.
    """

    name: str
    place: int
    most: int

    def __new__(cls, name: str, place: int, most: int) -> Symbol:
        self = super().__new__(cls, f"{name}[{LEAST}..{most}]")
        self.name, self.place, self.most = name, place, most
        return self


def _undecided(self: Any, *others: Any) -> NoReturn:
    raise OpenSizeError(f"what depends on whether {self!r} is large or small")


class Extent(Dim):
    """A size that code leaves open."""

    __slots__ = ()

    @property
    def bounds(self) -> tuple[int, int]:
        """What it is at least and at most."""
        low = high = 0
        for monomial, coefficient in self.terms.items():
            least = most = coefficient
            for symbol, power in monomial:
                least *= LEAST**power
                most *= symbol.most**power  # type: ignore[attr-defined]
            low, high = low + min(least, most), high + max(least, most)
        return low, high

    @property
    def range(self) -> str:
        """The bounds in words."""
        low, high = self.bounds
        return f"{low}..{high}"

    def sized(self, binding: Mapping[str, int]) -> int:
        """The size in a run, by the names of the graph."""
        names = {symbol for monomial in self.terms for symbol, _ in monomial}
        return self.evaluate({s: binding[s.name] for s in names})  # type: ignore[attr-defined]

    def _less(self, other: Any, is_less: Callable[[int], bool]) -> bool:
        """Whether what `other` is more, or less, has a sign of which something holds."""
        rest = self - other
        low, high = rest.bounds if isinstance(rest, Extent) else (rest, rest)
        if is_less(low) != is_less(high):
            _undecided(self)
        return is_less(low)

    def __lt__(self, other: Any) -> bool:
        return self._less(other, lambda rest: rest < 0)

    def __le__(self, other: Any) -> bool:
        return self._less(other, lambda rest: rest <= 0)

    def __gt__(self, other: Any) -> bool:
        return self._less(other, lambda rest: rest > 0)

    def __ge__(self, other: Any) -> bool:
        return self._less(other, lambda rest: rest >= 0)

    def __bool__(self) -> bool:
        return self > 0 or self < 0

    def __abs__(self) -> Any:
        return self if self >= 0 else -self

    def __pow__(self, power: int) -> Any:
        result: Any = 1
        for _ in range(power):
            result = result * self
        return result

    def __floordiv__(self, other: Any) -> Any:
        return _divided(self, other)[0]

    def __rfloordiv__(self, other: Any) -> Any:
        return _divided(other, self)[0]

    def __mod__(self, other: Any) -> Any:
        return _divided(self, other)[1]

    def __rmod__(self, other: Any) -> Any:
        return _divided(other, self)[1]

    __truediv__ = __rtruediv__ = __divmod__ = __rdivmod__ = __rpow__ = _undecided
    __int__ = __index__ = __float__ = __round__ = _undecided

    def __str__(self) -> str:
        """As C computes it."""
        factors = []
        for monomial, coefficient in self.terms.items():
            names = [f"{TABLE}[{s.place}]" for s, power in monomial for _ in range(power)]  # type: ignore[attr-defined]
            if coefficient != 1 or not names:
                names.insert(0, str(coefficient))
            factors.append(" * ".join(names))
        text = " + ".join(factors)
        return f"({text})" if " " in text else text


def _divided(a: Any, b: Any) -> tuple[Any, Any]:
    """Quotient and rest."""
    try:
        return divide_exactly(a, b), 0
    except ShapeError:
        if 0 <= a < b:
            return 0, a
        raise OpenSizeError(f"what depends on the rest of {a!r} / {b!r}") from None


def extents(binding: Mapping[str, int]) -> dict[str, Any]:
    """Open sizes that hold those of a binding; what is smaller than all of them stays a number.

    The bounds are powers of two, so what grows is compiled but a few times.
    """
    found: dict[str, Any] = {}
    for place, (name, size) in enumerate(sorted(binding.items())):
        if size < LEAST:
            found[name] = size
        else:
            symbol = Symbol(name, place, max(ROOM, 1 << (size - 1).bit_length()))
            found[name] = Extent({((symbol, 1),): 1})
    return found


def most(size: Any) -> int:
    """The largest that a size can be."""
    return size.bounds[1] if isinstance(size, Extent) else int(size)


def least(size: Any) -> int:
    """The smallest that a size can be."""
    return size.bounds[0] if isinstance(size, Extent) else int(size)


def sized(shape: tuple[Any, ...], binding: Mapping[str, int]) -> tuple[int, ...]:
    """A shape as it is in a run."""
    return tuple([n.sized(binding) if isinstance(n, Extent) else n for n in shape])


def are_open(sizes: Collection[Any]) -> bool:
    """Whether any of these sizes is left open."""
    return any(isinstance(size, Extent) for size in sizes)


def is_unbounded(size: Any) -> bool:
    """Whether nobody knows how large a size can be, as it depends on data."""
    return isinstance(size, Dim) and not isinstance(size, Extent)


def parts(size: Any, each: int) -> Any:
    """How many parts of `each` there are, the last one perhaps a smaller one; of what is open, a
    text for C."""
    if not isinstance(size, Extent):
        return -(-size // each)
    if all(c % each == 0 for c in size.terms.values()):
        return size // each
    return f"(({size} + {each - 1}) / {each})"
