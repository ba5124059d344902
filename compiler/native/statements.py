"""Statements: what a step does, in order, before it is printed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...graphs.dims import Size
from ...graphs.ir import Node
from .buffers import Placed, Stack
from .extents import is_unbounded, most
from .kernel import Kernel
from .layout import Layout

HEED_EVERY = 1024  # rounds of a long loop to ask whether the user wants it to end


def is_long(count: Any) -> bool:
    """Whether so many rounds, an int or what is not known, may keep the user waiting."""
    return isinstance(count, Layout) or is_unbounded(count) or most(count) > HEED_EVERY


@dataclass(eq=False)
class Call:
    """A kernel runs on all threads.

    Attributes
    ----------
    kernel : Kernel
    position : int
        In the order of all statements, in which memory is planned.
    scratch : Placed or None
    waits_before : bool
        Whether threads wait for each other first.
    """

    kernel: Kernel
    position: int
    scratch: Placed | None = None
    waits_before: bool = False


@dataclass(eq=False)
class Loop:
    """A number of rounds that is known before the first one.

    Attributes
    ----------
    name : str
        Of the variable that counts rounds; its position is ``at_<name>``.
    count : int, Extent or Layout
        A number in memory, which is not written within.
    reverse : bool
        Positions go down.
    body : list of Statement
    waits_before : bool
        Whether threads wait for each other first.
    """

    name: str
    count: Size | Layout
    reverse: bool
    body: list[Statement] = field(default_factory=list)
    waits_before: bool = False


@dataclass(eq=False)
class While:
    """Rounds for as long as a bool in memory holds, which `asks` computes.

    Attributes
    ----------
    name : str
        Of the variable that counts rounds.
    condition : Layout
        Of the bool.
    stack : Stack or None
        To which each round adds an entry.
    asks, body : list of Statement
    waits_before, waits_after : bool
        Whether threads wait for each other before the first round, and after each.
    """

    name: str
    condition: Layout
    stack: Stack | None = None
    asks: list[Statement] = field(default_factory=list)
    body: list[Statement] = field(default_factory=list)
    waits_before: bool = False
    waits_after: bool = False


@dataclass(eq=False)
class Branch:
    """One of two lists of statements, by a bool in memory.

    Attributes
    ----------
    condition : Layout
    bodies : list of list of Statement
        Where it holds, and where not.
    waits_before : bool
    """

    condition: Layout
    bodies: list[list[Statement]] = field(default_factory=list)
    waits_before: bool = False


@dataclass(eq=False)
class Python:
    """An operator that has no native code runs by its kernel, between native parts."""

    node: Node
    operands: list[Layout]
    results: list[Layout]
    position: int


Statement = Call | Loop | While | Branch | Python


def calls_in(statements: Sequence[Statement]) -> Iterator[Call]:
    """All calls, those within loops and branches once."""
    for s in statements:
        if isinstance(s, Call):
            yield s
        elif isinstance(s, Loop):
            yield from calls_in(s.body)
        elif isinstance(s, While):
            yield from calls_in([*s.asks, *s.body])
        elif isinstance(s, Branch):
            for body in s.bodies:
                yield from calls_in(body)
