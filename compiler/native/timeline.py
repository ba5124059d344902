"""Timelines: statements in the order in which they run, and where what they use lies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate

from ...graphs.avals import Aval
from ...graphs.ir import SIZE, VARIABLE, Node
from ..arena import lay_out
from .barriers import place_barriers
from .buffers import Constant, Count, Given, Held, Kept, Placed, Room, Variable
from .extents import OpenSizeError, are_open, most
from .kernel import Kernel, Packing
from .kernels import Kernels
from .layout import Layout, dense
from .lives import Lives
from .lodging import lodge
from .statements import Call, Statement


class Timeline:
    """What runs, one statement after the other.

    Parameters
    ----------
    threads : int
        How many run it.
    once : Timeline, optional
        Of a step: what runs once, before any step does. That has none of its own.

    Attributes
    ----------
    kernels : Kernels
    statements : list of Statement
    lives : Lives
        Of all buffers.
    used : sequence of Placed
        The buffers that need room of their own, once it is planned.
    nbytes, bound_bytes : int
        Of the memory that they share, and of what is in use at once.
    """

    def __init__(self, threads: int, once: Timeline | None = None) -> None:
        self.threads = threads
        self.once = once
        self.kernels: Kernels = Kernels(threads) if once is None else once.kernels
        self.statements: list[Statement] = []
        self.lives = Lives()
        self._sources: dict[int, Layout] = {} if once is None else once._sources
        self._names = 0
        self._packed: dict[tuple[Layout, str], Layout] = {}
        self.used: Sequence[Placed] = []
        self.nbytes = self.bound_bytes = 0

    def source_of(self, node: Node) -> Layout:
        """The memory of a variable, a constant or an open size."""
        if node.op is SIZE:
            [value] = node.outputs
            return dense(Count(node.attrs["dim"], value.dtype), value.aval)
        held = node.attrs["storage"] if node.op is VARIABLE else node.attrs["array"]
        if id(held) not in self._sources:
            make = Variable if node.op is VARIABLE else Constant
            buffer: Held = make(held, f"{node.op.name} {node.outputs[0].name}")
            array = buffer.array
            strides = tuple(s // array.itemsize for s in array.strides)
            self._sources[id(held)] = Layout(buffer, array.dtype, array.shape, strides)
        return self._sources[id(held)]

    def buffer(self, nbytes: int, label: str, in_lines: bool = False) -> Placed:
        """New memory, whose place is planned; whether it has to begin with a cache line."""
        if self.once is None:
            return Kept(nbytes, label)
        return Room(nbytes, label, in_lines=in_lines)

    def room(self, aval: Aval, label: str, order: tuple[int, ...] | None = None) -> Layout:
        """Memory of its own without gaps; `order` has the axes from slow to fast."""
        return dense(self.buffer(most(aval.nbytes), label), aval, order)

    def fresh(self, prefix: str) -> str:
        """A name for a loop."""
        self._names += 1
        return f"{prefix}{self._names}"

    def call(self, kernel: Kernel, statements: list[Statement]) -> None:
        """Append a kernel to statements: the timeline's, or those of a body.

        Raises
        ------
        OpenSizeError
            When an operand lies in rows whose length is open.
        """
        if any(are_open(access.layout.strides) for access in kernel.accesses):
            raise OpenSizeError("rows of any length")
        for access in kernel.accesses:
            self.lives.touch(access.layout.buffer)
        scratch = None
        if kernel.scratch:
            scratch = self.buffer(kernel.scratch, f"scratch of {kernel.label}", in_lines=True)
            self.lives.touch(scratch)
        statements.append(Call(kernel, self.lives.advance(), scratch))

    def room_to_pack(self, layout: Layout, how: Packing, name: str) -> Layout:
        """Memory for a packed operand."""
        buffer = self.buffer(how.elements * layout.dtype.itemsize, f"packed {name}", in_lines=True)
        return Layout(buffer, layout.dtype, (how.elements,), (1,))

    def packed_once(self, layout: Layout, how: Packing, name: str) -> Layout:
        """A known operand as it is packed before all steps, for all that read it."""
        once = self.once or self
        key = (layout, how.name)
        if key not in once._packed:
            packed = once._packed[key] = once.room_to_pack(layout, how, name)
            once.call(how.kernel(layout, packed), once.statements)
        self.lives.touch(once._packed[key].buffer)
        return once._packed[key]

    def in_use(self) -> list[int]:
        """Bytes of the buffers that are in use at each position, once memory is planned."""
        changes = Counter[int]()
        for buffer in self.used:
            changes[buffer.start] += buffer.nbytes
            changes[buffer.end + 1] -= buffer.nbytes
        return list(accumulate(changes[i] for i in range(self.lives.position)))

    def plan(self, later: Timeline | None = None, results: Iterable[Given] = ()) -> int:
        """Give buffers their places, and kernels the barriers between them.

        Parameters
        ----------
        later : Timeline, optional
            What still reads some of the buffers when this has run.
        results : iterable of Given
            Memory that is handed over for what is returned.

        Returns
        -------
        int
            How many barriers there are.
        """
        if self.once is None:
            self.used = self.lives.planned(Kept)
        else:
            self.used = lodge(self.lives.planned(Room), self.lives.begins(results))
        for buffer in self.used:
            if later is not None and later.lives.uses(buffer):
                buffer.end = self.lives.position
        self.nbytes, self.bound_bytes = lay_out(self.used)
        return place_barriers(self.statements, self.threads)


def is_known(layout: Layout) -> bool:
    """Whether elements are the same in every run and round, and there before all of them."""
    return isinstance(layout.buffer, Constant | Kept) and not layout.moving
