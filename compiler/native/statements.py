"""Statements: what a step does, in order, before it is printed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ...graphs.ir import Node
from .buffers import Room
from .kernel import Kernel
from .layout import Layout


@dataclass(eq=False)
class Call:
    """A kernel runs on all threads.

    Attributes
    ----------
    kernel : Kernel
    position : int
        In the order of all statements, in which memory is planned.
    scratch : Room or None
    waits_before : bool
        Whether threads wait for each other first.
    """

    kernel: Kernel
    position: int
    scratch: Room | None = None
    waits_before: bool = False


@dataclass(eq=False)
class Loop:
    """A fixed number of rounds.

    Attributes
    ----------
    name : str
        Of the variable that counts rounds; its position is ``at_<name>``.
    count : int
    reverse : bool
        Positions go down.
    body : list of Statement
    """

    name: str
    count: int
    reverse: bool
    body: list[Statement] = field(default_factory=list)


@dataclass(eq=False)
class While:
    """Rounds for as long as a bool in memory holds, which `asks` computes.

    Attributes
    ----------
    condition : Layout
        Of the bool.
    asks, body : list of Statement
    waits_before, waits_after : bool
        Whether threads wait for each other before the first round, and after each.
    """

    condition: Layout
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
