"""Steps: native programs bound to sizes, with the arenas that they run in."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...graphs.compiled import are_plain
from ...graphs.kernels import recorder
from ..native.build import Built
from ..native.extents import sized
from ..native.library import load
from ..selection import Selection
from .instance import INTERRUPTED, Instance, Prepared, raise_interruption
from .memory import Counts
from .plans import Plan
from .reference import Reference
from .results import Results


class Loaded:
    """The code of a native program, and the instances of it that are free to run.

    Parameters
    ----------
    built : Built
    prepared : Prepared

    Attributes
    ----------
    free : list of Instance

    Raises
    ------
    CompileError
        When the code cannot be built or loaded, or not have its threads.
    """

    def __init__(self, built: Built, prepared: Prepared) -> None:
        self.built = built
        self._code = load(built.units) if any(isinstance(s, str) for s in built.steps) else None
        self.kept = prepared.of(built, self._code)
        self.free = [self.instance()]

    def instance(self) -> Instance:
        return Instance(self.built, self._code, self.kept)


class Step(Plan):
    """One binding of a native program.

    Parameters
    ----------
    selection : Selection
        What is run by kernels where data are refused, so that these say why.
    binding : dict
        From the names of symbolic dimensions to sizes.
    loaded : Loaded
        Its code, which is that of other bindings, too, where it leaves sizes open.
    """

    def __init__(self, selection: Selection, binding: dict[str, int], loaded: Loaded) -> None:
        built = loaded.built
        Plan.__init__(self, built.interface)
        self._selection, self._binding = selection, binding
        self._loaded, self._built, self._free = loaded, built, loaded.free
        self.source = built.source
        self._results = Results([(sized(x.shape, binding), x.dtype) for x in built.outputs])
        self._open = built.numbers(binding)
        self._shown = [(place, array.ctypes.data) for place, array in self._open]
        self._counts: Counts | None = None

    def bound(self, binding: dict[str, int]) -> Step:
        """The same code for other sizes of what it leaves open."""
        return Step(self._selection, binding, self._loaded)

    @property
    def kept(self) -> np.ndarray:
        """What was computed before all runs."""
        return self._loaded.kept

    def holds_for(self, binding: dict[str, int]) -> dict[str, Any]:
        return self._built.sizes or binding

    @property
    def lines(self) -> list[str]:
        stacks = [stack.nbytes for stack in self._built.stacks]
        if not stacks:
            return self._built.lines
        held = sum([instance.stack_bytes for instance in self._free])
        return [
            *self._built.lines,
            f"stacks: {len(stacks)} that grow with the rounds of loops, by {sum(stacks)} bytes a "
            f"round; {held} bytes held after the runs so far",
        ]

    def run(self, feeds: list[Any]) -> list[Any]:
        try:
            instance = self._free.pop()
        except IndexError:
            instance = self._loaded.instance()
        self._make_plain(feeds)
        results = self._results.room()
        refused = 0
        try:
            if self._shown:
                instance.show(self._shown)
            refused = instance.run((*feeds, *results))
            if refused == INTERRUPTED:
                raise_interruption()
            if not refused:
                instance.give_grown(results)
        except BaseException:
            self.note_writes()
            raise
        finally:
            self._free.append(instance)
        if refused:
            # Nothing is written by now.
            return Reference(self._selection.graph).run(feeds, self._binding)
        self.note_writes()
        observer = recorder()
        if observer is not None:
            observer.note_program(self._counts_with(instance.stack_bytes), results)
        return results

    def _make_plain(self, feeds: list[Any]) -> None:
        """Copy feeds that C cannot read as they lie, or whose numbers the run would change."""
        plain = are_plain(feeds)
        if plain and not self.written:
            return
        for i, feed in enumerate(feeds):
            if not plain and not feed.flags.carray:
                feeds[i] = feed = np.array(feed, order="C")
            if self.written and (not plain or self._foreign or id(feed) in self._owners):
                feeds[i] = feed.copy() if self.overlaps(feed) else feed

    def _counts_with(self, stack_bytes: int) -> Counts:
        """What a run does whose stacks have so many bytes; one object, for it is one arena."""
        built = self._built
        if self._counts is None:
            operators = [n for n in self._selection.graph.nodes if n.op.kernel is not None]
            self._counts = Counts(len(operators), built.launches, built.moved)
        counts = self._counts
        counts.arena_bytes = built.arena_bytes + stack_bytes
        counts.profile = [nbytes + stack_bytes for nbytes in built.profile]
        return counts
