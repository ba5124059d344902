"""Axes: loops over some of the domain's axes, in the order in which memory lies."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from .affine import ZERO, Affine
from .elements import Element, element_loop, printed
from .extents import are_open
from .kernel import Shares, Span, everywhere
from .layout import Layout, dense_strides

_ANYWHERE = (-(1 << 60), 1 << 60)


class Axes:
    """Loops over some axes of the domain: their order, slowest first, and which are one.

    Parameters
    ----------
    sizes : mapping
        From each variable to its size.
    variables : iterable of str
    offsets : sequence of Affine
        Of all accesses; the first one decides the order.
    name : str
        What the loops' variables in C begin with.

    Attributes
    ----------
    members : list of list of str
        The variables of each loop: those that lie without gaps in all accesses share one.
    loops : list of str
        The loops' variables in C.
    sizes : list of int
    """

    def __init__(
        self,
        sizes: Mapping[str, int],
        variables: Iterable[str],
        offsets: Sequence[Affine],
        name: str,
    ) -> None:
        kept = [v for v in variables if sizes[v] != 1]
        lead = offsets[0] if offsets else ZERO
        kept.sort(key=lambda v: -abs(lead.coefficient(v) or 0))
        groups: list[list[str]] = []
        for variable in kept:
            if groups and all(_are_one(o, groups[-1][-1], variable, sizes) for o in offsets):
                groups[-1].append(variable)
            else:
                groups.append([variable])
        self.members = groups
        self.sizes = [math.prod(sizes[v] for v in group) for group in groups]
        self.loops = [f"{name}{i}" if len(groups) > 1 else name for i in range(len(groups))]
        self._last = [group[-1] for group in groups]

    @property
    def names(self) -> dict[str, str]:
        """How addresses call the variables; those that are merged into another count as 0."""
        return dict(zip(self._last, self.loops))

    @property
    def size(self) -> int:
        return math.prod(self.sizes)

    def walk(
        self,
        statements: Sequence[Element],
        names: Mapping[str, str],
        marks: str = "",
        share: tuple[str, str] | None = None,
    ) -> list[str]:
        """The loops around statements; the outermost one over a thread's share, if there is one,
        from its beginning to its end."""
        if not self.loops:
            return ["{", *printed(statements, names, "    "), "}"]
        bounds = [("0", str(size)) for size in self.sizes]
        if share is not None:
            bounds[0] = share
        lines = element_loop(statements, self.loops[-1], *bounds[-1], names, marks)
        for loop, (begin, end) in reversed(list(zip(self.loops[:-1], bounds[:-1]))):
            head = f"for (dt_int {loop} = {begin}; {loop} < {end}; ++{loop}) {{"
            lines = [head, *(f"    {line}" for line in lines), "}"]
        return lines

    def split(self, index: str) -> list[str]:
        """Statements that give the loops' variables from their common number."""
        if len(self.loops) == 1:
            return [f"const dt_int {self.loops[0]} = {index};"]
        lines, rest = [], self.size
        for loop, size in zip(self.loops, self.sizes):
            rest //= max(size, 1)
            quotient = index if rest == 1 else f"{index} / {rest}"
            wrapped = quotient if loop == self.loops[0] else f"{quotient} % {size}"
            lines.append(f"const dt_int {loop} = {wrapped};")
        return lines

    def split_all_but_last(self, index: str) -> list[str]:
        """The same for a number that counts the loops but the innermost."""
        lines, rest = [], self.size // max(self.sizes[-1], 1)
        for loop, size in zip(self.loops[:-1], self.sizes[:-1]):
            rest //= max(size, 1)
            lines.append(f"const dt_int {loop} = {index} / {rest} % {size};")
        return lines

    def reach(self, offset: Affine, begin: int, end: int) -> tuple[int, int]:
        """The least and the largest part of an address over a range of the common number."""
        if begin >= end or not self.sizes:
            return (0, 0)
        rest = self.size // max(self.sizes[0], 1)
        ranges = [(begin // rest, (end - 1) // rest)] + [(0, n - 1) for n in self.sizes[1:]]
        if len(self.sizes) == 2 and ranges[0][0] == ranges[0][1]:
            ranges[1] = (begin % rest, (end - 1) % rest)
        low = high = 0
        for variable, (first, last) in zip(self._last, ranges):
            step = offset.coefficient(variable)
            if step is None:
                return _ANYWHERE
            low += min(step * first, step * last)
            high += max(step * first, step * last)
        return (low, high)


def _are_one(offset: Affine, slow: str, fast: str, sizes: Mapping[str, int]) -> bool:
    """Whether two axes follow each other without a gap in an access."""
    a, b = offset.coefficient(slow), offset.coefficient(fast)
    return a is not None and b is not None and a == b * sizes[fast]


def spans_of(
    layout: Layout,
    offset: Affine,
    outer: Axes,
    inner: Sequence[Axes],
    shares: Shares,
) -> list[Span]:
    """Per thread the bytes that an access touches.

    Parameters
    ----------
    layout : Layout
    offset : Affine
        Of the access, in elements.
    outer : Axes
        Of which each thread goes through its share.
    inner : sequence of Axes
        That every thread goes through.
    shares : sequence of (int, int) or None
        Per thread a range of the common number of `outer`, where that is not open.
    """
    known = [one for one in shares if one is not None]
    sizes = (*layout.shape, *outer.sizes, *(n for axes in inner for n in axes.sizes))
    if len(known) < len(shares) or are_open(sizes):
        return everywhere(layout, len(shares))
    width = layout.dtype.itemsize
    low = high = offset.constant
    for axes in inner:
        least, most = axes.reach(offset, 0, axes.size)
        low, high = low + least, high + most
    result: list[Span] = []
    for begin, end in known:
        if begin >= end:
            result.append((0, 0))
            continue
        least, most = outer.reach(offset, begin, end)
        result.append(((low + least) * width, (high + most + 1) * width))
    return result


def address(index: Sequence[Affine], strides: Sequence[int]) -> Affine:
    """Elements from the first one of a layout."""
    total = ZERO
    for i, stride in zip(index, strides):
        total = total + i * stride
    return total


def dense_index(variables: Sequence[str], sizes: Mapping[str, int]) -> Affine:
    """The number of an element among those of some axes."""
    shape = tuple(sizes[v] for v in variables)
    return address([Affine.of(v) for v in variables], dense_strides(shape))
