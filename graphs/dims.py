"""Symbolic dimensions: integer polynomials over named sizes, kept in normal form.

Two dimensions are equal exactly when their normal forms are, so a shape rule that compares them
needs no solver. What a polynomial cannot say (a size that depends on data) is eager's alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import ShapeError, StaticValueError

# A monomial is a sorted tuple of (symbol, power); the empty one is the constant term.
Monomial = tuple[tuple[str, int], ...]

# Begins the names of sizes that depend on data, which no user's symbol can begin with.
_DATA = "@"


class Dim:
    """A size that is known only when a graph runs, such as ``batch`` or ``2*batch + 1``.

    Arithmetic with whole numbers and other dimensions gives a `Dim`, or an int where the symbols
    cancel. Comparing with ``==`` is structural.

    Examples
    --------
    >>> n = Dim.symbol("n")
    >>> 2 * n + n - 1
    3*n - 1
    >>> n - n
    0
    """

    __slots__ = ("_hash", "terms")

    def __init__(self, terms: Mapping[Monomial, int]) -> None:
        self.terms = {m: c for m, c in sorted(terms.items(), reverse=True) if c}
        self._hash = hash(tuple(self.terms.items()))

    @staticmethod
    def symbol(name: str) -> Dim:
        return Dim({((name, 1),): 1})

    @staticmethod
    def of_data(name: str) -> Dim:
        """A size that a run alone will tell, such as a loop's number of rounds; never bound."""
        return Dim.symbol(_DATA + name)

    @property
    def symbols(self) -> frozenset[str]:
        """The names that must be bound before the size is known."""
        return frozenset(
            name for monomial in self.terms for name, _ in monomial if not name.startswith(_DATA)
        )

    @property
    def depends_on_data(self) -> bool:
        return any(name.startswith(_DATA) for monomial in self.terms for name, _ in monomial)

    def evaluate(self, binding: Mapping[str, int]) -> int:
        """The size under a binding of every symbol."""
        total = 0
        for monomial, coefficient in self.terms.items():
            for name, power in monomial:
                coefficient *= binding[name] ** power
            total += coefficient
        return total

    def __add__(self, other: Any) -> Dim | int:
        right = _terms(other)
        if right is None:
            return NotImplemented
        terms = dict(self.terms)
        for monomial, coefficient in right.items():
            terms[monomial] = terms.get(monomial, 0) + coefficient
        return _normal(terms, type(self))

    def __mul__(self, other: Any) -> Dim | int:
        right = _terms(other)
        if right is None:
            return NotImplemented
        terms: dict[Monomial, int] = {}
        for a, x in self.terms.items():
            for b, y in right.items():
                product = _times(a, b)
                terms[product] = terms.get(product, 0) + x * y
        return _normal(terms, type(self))

    __radd__ = __add__
    __rmul__ = __mul__

    def __neg__(self) -> Dim | int:
        return self * -1

    def __sub__(self, other: Any) -> Dim | int:
        return self + (-other)

    def __rsub__(self, other: Any) -> Dim | int:
        return -self + other

    def __floordiv__(self, other: Any) -> Dim | int:
        """Exact division by a number or a single monomial."""
        return divide_exactly(self, other)

    def __rfloordiv__(self, other: Any) -> Dim | int:
        return divide_exactly(other, self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dim) and self.terms == other.terms

    def __hash__(self) -> int:
        return self._hash

    def __int__(self) -> int:
        raise StaticValueError(
            f"dimension: {self} is known only when the graph runs, got a request for its number"
        )

    __index__ = __bool__ = __float__ = __int__

    def __repr__(self) -> str:
        text = ""
        for monomial, coefficient in self.terms.items():
            factors = [name if power == 1 else f"{name}**{power}" for name, power in monomial]
            if abs(coefficient) != 1 or not factors:
                factors.insert(0, str(abs(coefficient)))
            sign = (
                ("-" if coefficient < 0 else "")
                if not text
                else " - "
                if coefficient < 0
                else " + "
            )
            text += sign + "*".join(factors)
        return text


Size = int | Dim
Shape = tuple[Size, ...]


def product(shape: Shape) -> Size:
    """The number of elements of a shape."""
    total: Size = 1
    for size in shape:
        total = total * size
    return total


def divide_exactly(a: Size, b: Size) -> Size:
    """``a / b`` where it is a whole polynomial.

    Raises
    ------
    ShapeError
        When `b` does not divide `a`, or is a sum of several monomials other than `a` itself.
    """
    top, bottom = _terms(a), _terms(b)
    if b != 0 and (a == 0 or a == b):
        return 0 if a == 0 else 1
    if top is not None and bottom is not None and len(bottom) == 1 and b != 0:
        [(divisor, scale)] = bottom.items()
        inverse = tuple((name, -power) for name, power in divisor)
        terms = {_times(m, inverse): c // scale for m, c in top.items() if c % scale == 0}
        if len(terms) == len(top) and all(p > 0 for m in terms for _, p in m):
            kind = next((type(x) for x in (a, b) if isinstance(x, Dim)), Dim)
            return _normal(terms, kind)
    raise ShapeError(f"a size must divide exactly, got {a} / {b}")


def substitute(value: Any, binding: Mapping[str, int]) -> Any:
    """`value` with every dimension in it, through tuples, replaced by its size."""
    if isinstance(value, Dim):
        return value if value.depends_on_data else value.evaluate(binding)
    if isinstance(value, tuple):
        return tuple(substitute(v, binding) for v in value)
    return value


def symbols(value: Any) -> frozenset[str]:
    """The names of all symbolic dimensions in a value, through tuples and graphs."""
    if isinstance(value, tuple):
        return frozenset().union(*map(symbols, value))
    return getattr(value, "symbols", frozenset())


def _terms(value: Any) -> Mapping[Monomial, int] | None:
    if isinstance(value, Dim):
        return value.terms
    return {(): value} if isinstance(value, int) else None


def _normal(terms: Mapping[Monomial, int], kind: type[Dim]) -> Dim | int:
    dim = kind(terms)
    return dim.terms.get((), 0) if dim.terms.keys() <= {()} else dim


def _times(a: Monomial, b: Monomial) -> Monomial:
    powers = dict(a)
    for name, power in b:
        powers[name] = powers.get(name, 0) + power
    return tuple(sorted((n, p) for n, p in powers.items() if p))
