"""From a graph and the sizes of its dimensions to the C text of a step."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...graphs.ir import Graph, Node
from ...graphs.threads import cores as threads_at_hand
from ..interface import Interface
from ..known import known_nodes
from ..report import run_passes
from .buffers import Buffer, Count, Entries, Given, Sizes, Stack
from .concrete import concrete
from .extents import Extent, is_unbounded, most
from .layout import Layout
from .lower import Lowering
from .printer import Printer
from .schedule import schedule
from .statements import Python, calls_in
from .support import is_grown, is_native, without_place

# Below so many seconds of work, by the roofline, waking other threads costs more than it brings.
WORTH_THREADS = 20e-6
FLOP_PER_SECOND, BYTES_PER_SECOND = 60e9, 20e9


class NoCodeError(Exception):
    """A graph cannot be native."""


@dataclass
class Built:
    """A step in C, and what must be known to run it.

    Attributes
    ----------
    source : str
    units : list of str
        The same text in parts that are compiled at once.
    once, once_reads : str, int
        What is computed before all runs, and from which pointers; see `Printer`.
    steps : list of Python or str
        What runs in turn: native functions by name, and operators that run by their kernels.
    pointers : dict
        From each buffer whose place is not planned to its place among the pointers; see `Printer`.
    feeds, outputs : list of Layout
    kept_bytes, arena_bytes, bound_bytes : int
        What is filled before all runs; what each run needs, and at least.
    threads : int
    profile : list of int
        Per kernel the bytes in use while it runs: of the arena, and of what is returned.
    lines : list of str
        What was done, for people.
    launches, moved : int
        Kernels, and bytes that they read and write; what a loop repeats counts once.
    interface : Interface
    open : list of (str, str)
        The names of dimensions whose sizes are left open, and which these may be.
    """

    source: str
    units: list[str]
    once: str
    once_reads: int
    steps: list[Any]
    pointers: dict[Buffer, int]
    feeds: list[Layout]
    outputs: list[Layout]
    kept_bytes: int
    arena_bytes: int
    bound_bytes: int
    threads: int
    profile: list[int]
    lines: list[str]
    launches: int
    moved: int
    interface: Interface
    open: list[tuple[str, str]]

    @property
    def sizes(self) -> dict[str, str]:
        """From the names of what is left open to the sizes for which it may be; empty where nothing
        is."""
        return dict(self.open)

    def numbers(self, binding: dict[str, int]) -> list[tuple[int, np.ndarray]]:
        """What code reads of open sizes in a run, and at which places among the pointers."""
        found = []
        for buffer, place in self.pointers.items():
            if isinstance(buffer, Sizes):
                found.append((place, np.array([binding[s] for s in sorted(binding)], np.int64)))
            elif isinstance(buffer, Count):
                found.append((place, np.array(buffer.size.sized(binding), buffer.dtype)))
        return found

    @property
    def fed(self) -> dict[int, Stack]:
        """The stacks that feeds are, by position."""
        buffers = ((i, layout.buffer) for i, layout in enumerate(self.feeds))
        return {i: buffer.stack for i, buffer in buffers if isinstance(buffer, Entries)}

    @property
    def stacks(self) -> list[Stack]:
        """Those that loops fill, or operators without native code."""
        layouts = [x for s in self.steps if isinstance(s, Python) for x in s.results]
        known = (x.buffer.stack for x in layouts if isinstance(x.buffer, Entries))
        native = (buffer for buffer in self.pointers if isinstance(buffer, Stack))
        fed = set(self.fed.values())
        return [stack for stack in dict.fromkeys([*native, *known]) if stack not in fed]


def build(
    graph: Graph,
    binding: dict[str, Any],
    threads: int,
    passes: Sequence[tuple[str, Callable[[Graph], Graph]]],
) -> Built:
    """Write the step of a graph for one binding of its symbolic dimensions.

    Parameters
    ----------
    graph : Graph
    binding : dict
        From the name of each dimension to its size, an int or an `Extent`.
    threads : int
        How many the step may use; small steps run on one.
    passes : sequence of (str, callable)
        What to do with the graph first, by name.

    Raises
    ------
    NoCodeError
        When a size that depends on data is that of more than what loops keep of their rounds.
    OpenSizeError
        When code needs to know a size that is an `Extent`.
    """
    interface = Interface.of(graph)
    graph = concrete(graph, binding)
    given = {name: value.aval for name, value in graph.placeholders.items()}
    graph, reports = run_passes(graph, passes)
    found = without_place(graph)
    if found:
        raise NoCodeError(f"{found} whose size depends on data")
    start = time.perf_counter()
    known = known_nodes(graph, is_native)
    rest = [node for node in graph.nodes if node not in known]
    threads = threads if _seconds(rest) > WORTH_THREADS else 1
    order, direct = schedule(graph, known)
    lowering = Lowering(graph, order, direct, known, threads, given)
    once, step = lowering.once, lowering.step
    once.plan(step)
    barriers = step.plan(results=lowering.results)
    printer = Printer(step.statements, once.statements)
    source, units = printer.source, printer.units(threads_at_hand())
    seconds = time.perf_counter() - start
    calls = list(calls_in(step.statements))
    steps: list[Any] = []
    for part in printer.parts:
        natives = sum(isinstance(s, str) for s in steps)
        steps.append(part if isinstance(part, Python) else f"step{natives}")
    pythons = sum(isinstance(s, Python) for s in steps)
    moved = sum(b - a for c in calls for x in c.kernel.accesses for a, b in x.spans)
    returned = sum(x.buffer.nbytes for x in lowering.outputs if isinstance(x.buffer, Given))
    lines = [
        *map(str, reports),
        f"lower: {len(calls)} calls of {len(printer.functions)} kernels, {barriers} barriers, "
        f"{len(direct)} results straight into variables, {moved} bytes read and written, "
        f"{pythons} operators without native code ({seconds * 1e3:.2f} ms)",
        f"plan memory: peak {step.nbytes + returned} bytes: arena {step.nbytes} bytes in "
        f"{len(step.used)} buffers (liveness bound {step.bound_bytes}), {returned} bytes returned "
        "a run",
    ]
    if printer.once:
        lines.append(
            f"once: {len(list(calls_in(once.statements)))} calls before all runs, of "
            f"{len(known)} operators and for packing; {once.nbytes} bytes kept"
        )
    in_use = step.in_use()
    return Built(
        source=source,
        units=units,
        once=printer.once,
        once_reads=printer.once_reads,
        steps=steps,
        pointers=printer.pointers,
        feeds=lowering.feeds,
        outputs=lowering.outputs,
        kept_bytes=once.nbytes,
        arena_bytes=step.nbytes,
        bound_bytes=step.bound_bytes,
        threads=threads,
        profile=[returned + in_use[call.position] for call in calls],
        lines=lines,
        launches=len(calls) + pythons,
        moved=moved,
        interface=interface,
        open=[(s, size.range) for s, size in sorted(binding.items()) if isinstance(size, Extent)],
    )


def _seconds(nodes: list[Node]) -> float:
    """What the nodes take at least on one thread, by the roofline."""
    total = 0.0
    for node in nodes:
        if node.op.region:
            rounds = 1
            if "length" in node.attrs:
                slices = node.attrs["xs"]
                first = node.attrs["carries"]
                rounds = node.inputs[first].aval.shape[0] if slices else node.attrs["length"]
            inner = sum(_seconds(body.nodes) for body in node.attrs["bodies"])
            total += inner * (1 if is_unbounded(rounds) else most(rounds))
        elif node.op.kernel is not None and not node.op.view and not node.op.effect:
            avals = (*node.bound.ins, *node.bound.outs)
            if not any(map(is_grown, avals)):
                moved = sum(most(a.nbytes) for a in avals)
                flop = node.bound.flop
                total += most(flop) / FLOP_PER_SECOND + moved / BYTES_PER_SECOND / 2
    return total
