"""Statements: what a step does, in order, before it is printed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...graphs.ir import Node
from .layout import Buffer, Layout
from .nest import Kernel


@dataclass(eq=False)
class Call:
    """A kernel runs on all threads.

    Attributes
    ----------
    kernel : Kernel
    position : int
        In the order of all statements, in which memory is planned.
    scratch : Buffer or None
    """

    kernel: Kernel
    position: int
    scratch: Buffer | None = None
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
    body : list
    """

    name: str
    count: int
    reverse: bool
    body: list[Any] = field(default_factory=list)
    waits_after: bool = False


@dataclass(eq=False)
class While:
    """Rounds for as long as a bool in memory holds, which `asks` computes."""

    name: str
    asks: list[Any]
    condition: Layout
    body: list[Any] = field(default_factory=list)
    waits_before: bool = False
    waits_after: bool = False


@dataclass(eq=False)
class Branch:
    """One of two lists of statements, by a bool in memory."""

    condition: Layout
    bodies: list[list[Any]]
    waits_before: bool = False


@dataclass(eq=False)
class Python:
    """An operator that has no native code runs by its kernel, between native parts."""

    node: Node
    operands: list[Layout]
    results: list[Layout]
    position: int
