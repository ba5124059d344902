"""Affine indices: where an element lies, as a sum of multiples of the loops' variables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# A loop's variable, or ("/", index, n) and ("%", index, n) for what no multiple can say.
Term = Any


@dataclass(frozen=True)
class Affine:
    """``constant + sum of coefficient * term``."""

    terms: tuple[tuple[Term, int], ...] = ()
    constant: int = 0

    @staticmethod
    def of(variable: str) -> Affine:
        return Affine(((variable, 1),))

    def __add__(self, other: Affine) -> Affine:
        found = dict(self.terms)
        for term, coefficient in other.terms:
            found[term] = found.get(term, 0) + coefficient
        return _normal(found, self.constant + other.constant)

    def __mul__(self, factor: int) -> Affine:
        return _normal({t: c * factor for t, c in self.terms}, self.constant * factor)

    @property
    def variables(self) -> frozenset[str]:
        found: set[str] = set()
        for term, _ in self.terms:
            found |= {term} if isinstance(term, str) else term[1].variables
        return frozenset(found)

    def coefficient(self, variable: str) -> int | None:
        """What the variable is multiplied with; None where it stands in a division, too."""
        if any(not isinstance(t, str) and variable in t[1].variables for t, _ in self.terms):
            return None
        return dict(self.terms).get(variable, 0)

    def text(self, names: Mapping[str, str]) -> str:
        """As C writes it; variables that `names` leaves out are 0."""
        parts = []
        for term, coefficient in self.terms:
            if isinstance(term, str):
                if term not in names:
                    continue
                inner = names[term]
            else:
                symbol, index, size = term
                inner = f"({index.text(names)}) {symbol} {size}"
                inner = f"({inner})"
            parts.append(inner if coefficient == 1 else f"{coefficient} * {inner}")
        if self.constant or not parts:
            parts.append(str(self.constant))
        return " + ".join(parts)


ZERO = Affine()


def _normal(found: dict[Term, int], constant: int) -> Affine:
    # (i / n) * n * c + (i % n) * c is i * c.
    for term in list(found):
        if not isinstance(term, str) and term[0] == "/":
            _, index, size = term
            rest = ("%", index, size)
            if found.get(term) and found.get(rest, 0) * size == found[term]:
                scale = found.pop(rest)
                del found[term]
                whole = index * scale
                merged = dict(found)
                for t, c in whole.terms:
                    merged[t] = merged.get(t, 0) + c
                return _normal(merged, constant + whole.constant)
    kept = sorted(((t, c) for t, c in found.items() if c), key=lambda item: str(item[0]))
    return Affine(tuple(kept), constant)


def divided(index: Affine, size: int) -> tuple[Affine, Affine]:
    """Quotient and rest of a division."""
    if size == 1:
        return index, ZERO
    if not index.terms:
        return Affine((), index.constant // size), Affine((), index.constant % size)
    return Affine(((("/", index, size), 1),)), Affine(((("%", index, size), 1),))


def in_shape(
    index: tuple[Affine, ...], shape: tuple[int, ...], target: tuple[int, ...]
) -> tuple[Affine, ...]:
    """The index of an element in another shape of the same elements in the same order."""
    if shape == target:
        return index
    if 0 in target:  # there is none
        return (ZERO,) * len(target)
    result: list[Affine] = []
    at = 0
    position = 0
    while position < len(target):
        # The fewest axes of both that hold the same number of elements.
        first, start = at, position
        inner, outer = 1, target[position]
        position += 1
        while inner != outer:
            if inner < outer and at < len(shape):
                inner *= shape[at]
                at += 1
            elif position < len(target):
                outer *= target[position]
                position += 1
            else:
                break
        flat = ZERO
        for axis in range(first, at):
            flat = flat * shape[axis] + index[axis]
        parts: list[Affine] = []
        for axis in reversed(range(start + 1, position)):
            if target[axis] == 1:
                parts.append(ZERO)
                continue
            if math.prod(target[start:axis]) == 1:
                rest, flat = flat, ZERO
            else:
                flat, rest = divided(flat, target[axis])
            parts.append(rest)
        parts.append(flat if target[start] != 1 else ZERO)
        result.extend(reversed(parts))
    return tuple(result)
