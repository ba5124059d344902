"""Kernels: C functions, and which bytes each thread touches when they are called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...graphs.ir import Graph
from ...graphs.kernels.shapes.structs import share
from .extents import Extent
from .layout import Layout
from .scalars import IN_MEMORY

# The first byte that a thread may touch, and the one after the last; (0, 0) is none.
Span = tuple[int, int]
# Per thread a range of what is shared out; None where it is open how many there are.
Shares = Sequence[tuple[int, int] | None]


@dataclass
class Access:
    """What a kernel reads or writes through one of its pointers.

    Attributes
    ----------
    layout : Layout
    writes : bool
    spans : list of Span
        One a thread, in bytes from the layout's first element in round 0.
    """

    layout: Layout
    writes: bool
    spans: list[Span]


@dataclass
class Kernel:
    """A C function and what it is called with.

    Attributes
    ----------
    label : str
        Names the function.
    note : str
        What it computes, for people.
    parameters : list of str
        Types and names, one per access.
    body : list of str
    accesses : list of Access
    scratch : int
        Bytes that it needs while it runs.
    waits : bool
        Whether it waits for all threads between phases of its own.
    refuses : bool
        Whether it may refuse its data.
    apart : bool
        Whether each thread has an equal part of the scratch memory to itself.
    """

    label: str
    note: str
    parameters: list[str]
    body: list[str]
    accesses: list[Access]
    scratch: int = 0
    waits: bool = False
    refuses: bool = False
    apart: bool = False

    def scratch_spans(self, threads: int) -> list[Span]:
        """Which bytes of the scratch memory each thread touches."""
        if not self.apart:
            return [(0, self.scratch)] * threads
        return [share(self.scratch, thread, threads) for thread in range(threads)]


@dataclass(frozen=True)
class Packing:
    """How an operand that stays the same is brought into the order in which kernels read it.

    Attributes
    ----------
    name : str
        Operands that are packed under one name are packed alike.
    elements : int
        That it takes when it is packed.
    kernel : callable
        From its layout and that of its packed form to what packs it.
    """

    name: str
    elements: int
    kernel: Callable[[Layout, Layout], Kernel]


def described(
    body: Graph,
    shape: Sequence[int],
    operands: Sequence[Layout],
    results: Sequence[Layout],
    lines: list[str],
    accesses: list[Access],
    scratch: int = 0,
    waits: bool = False,
    apart: bool = False,
) -> Kernel:
    """A kernel of a fused node, with what people want to know of it.

    Parameters
    ----------
    body : Graph
        Of the node.
    shape : sequence of int
        How far its loops go.
    operands, results : sequence of Layout
        Behind the pointers ``p0, p1, ...`` and ``q0, q1, ...``.
    lines : list of str
    accesses : list of Access
    scratch : int
    waits, apart : bool
    """
    names = [n.op.name for n in body.nodes if n.op.kernel is not None and not n.op.view] or ["copy"]
    label = "_".join(dict.fromkeys(names[:4]))
    note = f"{', '.join(names)}: {times(shape)}"
    return Kernel(
        label, note, parameters(operands, results), lines, accesses, scratch, waits, apart=apart
    )  # fmt: skip


def parameters(operands: Iterable[Layout], results: Iterable[Layout]) -> list[str]:
    """The pointers that a kernel takes."""
    return [
        *(f"const {IN_MEMORY[x.dtype]} *p{i}" for i, x in enumerate(operands)),
        *(f"{IN_MEMORY[x.dtype]} *q{i}" for i, x in enumerate(results)),
    ]


def times(shape: Sequence[int]) -> str:
    """A shape in words."""
    return " x ".join(map(str, shape)) or "one number"


def everywhere(layout: Layout, threads: int) -> list[Span]:
    """Every thread may touch all elements."""
    if layout.offset:
        layout = replace(layout, offset=0)
    return [layout.span] * threads


def shares_of(count: Any, threads: int) -> Shares:
    """Per thread which of so many things it takes."""
    if isinstance(count, Extent):
        return [None] * threads
    return [share(count, thread, threads) for thread in range(threads)]


def hull(spans: Sequence[Sequence[Span]], threads: int) -> list[Span]:
    """Per thread the bytes from the first to the last of several accesses."""
    result = []
    for thread in range(threads):
        found = [s[thread] for s in spans if s[thread][0] < s[thread][1]]
        result.append((min(a for a, _ in found), max(b for _, b in found)) if found else (0, 0))
    return result
