"""Steps: native programs bound to sizes, with the arenas that they run in."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...graphs.compiled import are_plain
from ...graphs.kernels import recorder
from ..native.build import Built
from ..native.library import load
from ..selection import Selection
from .instance import INTERRUPTED, Instance, Prepared, raise_interruption
from .memory import Counts
from .plans import Plan
from .reference import Reference
from .results import Results


class Step(Plan):
    """One binding of a native program: its code, and the instances that are free to run.

    Parameters
    ----------
    selection : Selection
        What is run by kernels where data are refused, so that these say why.
    binding : dict
        From the names of symbolic dimensions to sizes.
    built : Built
    prepared : Prepared

    Raises
    ------
    CompileError
        When the code cannot be built or loaded, or not have its threads.
    """

    def __init__(
        self, selection: Selection, binding: dict[str, int], built: Built, prepared: Prepared
    ) -> None:
        Plan.__init__(self, built.interface)
        self._selection, self._binding, self._built = selection, binding, built
        self.source = built.source
        self._code = load(built.units) if any(isinstance(s, str) for s in built.steps) else None
        self._results = Results([(x.shape, x.dtype) for x in built.outputs])
        self._kept = prepared.of(built, self._code)
        self._counts: Counts | None = None
        self._free = [self._instance()]

    def _instance(self) -> Instance:
        return Instance(self._built, self._code, self._binding, self._kept)

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
            instance = self._instance()
        self._make_plain(feeds)
        results = self._results.room()
        refused = 0
        try:
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
