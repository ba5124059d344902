"""Plans: what executors make for each binding of a graph's symbolic dimensions, and keep."""

from __future__ import annotations

import threading
from collections.abc import Collection
from typing import Any

import numpy as np

from ...graphs.collector import paused
from ...graphs.dims import substitute
from ...graphs.held import moves
from ...graphs.interpreter import MOST_SIZES
from ...graphs.ir import Graph
from ...graphs.kernels import owner, shares_memory
from ...graphs.nodes import note_location
from ..interface import Interface


class Plan:
    """What runs one binding of a graph, over the memory that its variables have now.

    Attributes
    ----------
    source : str
        The code that was generated.
    moves : int
        Of storages, by the time when the plan was last found to be current.
    interface : Interface
    written : tuple of Storage
        What a run changes.
    """

    def __init__(self, interface: Interface) -> None:
        self.moves, self.source = moves(), ""
        self.interface, self.written = interface, interface.written
        self._arrays = [storage.array for storage in interface.variables]
        changed = [storage.array for storage in interface.written]
        self._owners = {id(owner(array)) for array in changed}
        # Memory that no array owns, such as a buffer's, may be shown by many.
        self._foreign = not all(map(_is_owned, changed))

    @property
    def lines(self) -> list[str]:
        """What was planned, for people."""
        raise NotImplementedError

    def run(self, feeds: list[Any]) -> list[Any]:
        raise NotImplementedError

    def holds_for(self, binding: dict[str, int]) -> dict[str, Any]:
        """The sizes for which the plan was made, by the names of dimensions."""
        return binding

    def is_current(self) -> bool:
        """Whether every variable still has the memory that the plan was made for."""
        found = all(s.array is a for s, a in zip(self.interface.variables, self._arrays))
        self.moves = moves() if found else self.moves
        return found

    def note_writes(self) -> None:
        """Say that a run has changed what it writes."""
        for storage in self.written:
            storage.version += 1

    def overlaps(self, feed: Any) -> bool:
        """Whether a feed may lie in the memory of a variable that the run writes."""
        if id(owner(feed)) in self._owners:
            return True
        foreign = self._foreign or not _is_owned(feed)
        return foreign and any(shares_memory(feed, s.array) for s in self.written)


class Planning:
    """An executor that makes a plan for each binding of the symbolic dimensions.

    Parameters
    ----------
    symbols : collection of str
        Their names. With none there is one plan, which is made at once.
    """

    def __init__(self, symbols: Collection[str]) -> None:
        self._plans: dict[tuple[Any, ...], Plan] = {}
        self._lock = threading.Lock()
        if not symbols:
            self._plan({})

    def _made(self, binding: dict[str, int]) -> Plan:
        """A new plan."""
        raise NotImplementedError

    @property
    def _runs(self) -> Graph:
        """The graph that is run."""
        raise NotImplementedError

    def prepare(self, binding: dict[str, int]) -> None:
        """Make the plan for a binding, unless it is there."""
        if _key(binding) not in self._plans:
            self._plan(binding)

    def run(self, feeds: list[Any], binding: dict[str, int]) -> list[Any]:
        plan = self._plans.get(_key(binding) if binding else ())
        if plan is None or (plan.moves != moves() and not plan.is_current()):
            plan = self._plan(binding)
        try:
            return plan.run(feeds)
        except MemoryError as error:
            _note_largest(error, self._runs, binding)
            raise

    @paused()
    def _plan(self, binding: dict[str, int]) -> Plan:
        with self._lock:
            try:
                plan = self._made(binding)
            except MemoryError as error:
                _note_largest(error, self._runs, binding)
                raise
            if len(self._plans) >= MOST_SIZES:
                self._plans.pop(next(iter(self._plans)))
            self._plans[_key(binding)] = plan
            return plan

    @property
    def source(self) -> str:
        return "\n\n".join(dict.fromkeys(plan.source for plan in self._plans.values()))

    def explain(self) -> list[str]:
        found = (
            titled(plan.holds_for(dict(key)), line)
            for key, plan in self._plans.items()
            for line in plan.lines
        )
        return list(dict.fromkeys(found))  # several bindings may share one


def _note_largest(error: MemoryError, graph: Graph, binding: dict[str, int]) -> None:
    """Say at which line of the user's program the largest array is made that a run computes."""
    made = (v for node in graph.nodes if not (node.is_source or node.op.view) for v in node.outputs)
    sizes = {value: substitute(value.aval.nbytes, binding) for value in made}
    known = [value for value, size in sizes.items() if isinstance(size, int)]
    if known:
        note_location(error, max(known, key=sizes.__getitem__).node)


def titled(binding: dict[str, Any], text: str) -> str:
    """A text with the sizes that it holds for."""
    sizes = ", ".join(f"{name}={size}" for name, size in sorted(binding.items()))
    return f"[{sizes}] {text}" if sizes else text


def _key(binding: dict[str, int]) -> tuple[Any, ...]:
    return tuple(sorted(binding.items()))


def _is_owned(array: Any) -> bool:
    """Whether the memory of an array is an array's own."""
    return not isinstance(array, np.ndarray) or bool(owner(array).flags.owndata)
