"""Program: a compiled graph that can be run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..graphs.feeds import bind_feeds
from ..graphs.ir import Graph
from ..graphs.trees import builder
from ..graphs.watch import is_watching
from .executors.reference import Reference
from .report import PassReport
from .selection import Selection

_NO_SIZES: dict[str, int] = {}


class Program:
    """What `compile_graph` gives: run it, and ask it what was done.

    Attributes
    ----------
    executor : object
        Of `compiler.EXECUTORS`.

    Examples
    --------
    >>> with dt.static.Graph() as g:
    ...     x = g.placeholder("x", ("n",))
    ...     y = x * 2 + 1
    >>> program = g.compile(fetches=y)
    >>> program.run({"x": [1.0, 2.0, 3.0]})
    array([3., 5., 7.], dtype=float32)
    """

    def __init__(
        self,
        selection: Selection,
        executor: Any,
        structure: Any,
        is_value: list[bool],
    ) -> None:
        self._selection, self.executor = selection, executor
        self._build = builder(structure)
        self._is_value, self._all_values = is_value, all(is_value)
        self._watched: Reference | None = None
        self._declared = declared = selection.declared
        self._needed: tuple[str, ...] = executor.needed
        self._symbols = tuple(sorted(selection.symbols))
        positions = {name: i for i, name in enumerate(declared)}
        self._kept = [positions[name] for name in self._needed]
        whole = not self._symbols and len(self._needed) == len(declared)
        self._expected = (
            [(name, declared[name].dtype, declared[name].shape) for name in self._needed]
            if whole
            else None
        )

    @property
    def graph(self) -> Graph:
        """The graph after all passes."""
        return self._selection.graph

    @property
    def reports(self) -> list[PassReport]:
        """What each pass did."""
        return self._selection.reports

    def run(self, feeds: Mapping[Any, Any] | None = None) -> Any:
        """Run once.

        Parameters
        ----------
        feeds : mapping, optional
            From placeholders or their names to arrays, tensors or nested lists.

        Returns
        -------
        arrays in the containers of the fetches, None for an update; in memory of their own

        Raises
        ------
        FeedError, ShapeError, DTypeError
            When the feeds do not fit. Nothing has run then.
        """
        arrays, binding = self._as_they_are(feeds), _NO_SIZES
        if arrays is None:
            arrays, binding = bind_feeds(
                self._needed, self._symbols, {} if feeds is None else feeds, self._declared
            )
        executor = self._while_watched() if is_watching() else self.executor
        results = executor.run(arrays, binding)
        if self._all_values:
            return self._build(results)
        given = iter(results)
        return self._build([next(given) if value else None for value in self._is_value])

    def _as_they_are(self, feeds: Any) -> list[Any] | None:
        """Feeds that fit without a question, by name; None for all others."""
        expected = self._expected
        if expected is None or type(feeds) is not dict or len(feeds) != len(expected):
            return None
        arrays = []
        for name, dtype, shape in expected:
            array = feeds.get(name)
            if type(array) is not np.ndarray or array.dtype is not dtype or array.shape != shape:
                return None
            arrays.append(array)
        return arrays

    def call(self, arrays: list[Any]) -> list[Any]:
        """Run on arrays that are known to fit; flat outputs.

        For callers that have checked already, such as the bridge. No dimension is symbolic.

        Parameters
        ----------
        arrays : list
            One per placeholder that was declared, in order, pruned ones included.
        """
        executor = self._while_watched() if is_watching() else self.executor
        return executor.run([arrays[i] for i in self._kept], {})

    def _while_watched(self) -> Reference:
        """The executor while kernels are watched: it launches them one by one."""
        if self._watched is None:
            self._watched = Reference(self.graph)
        return self._watched

    def explain(self) -> str:
        """What every pass did, and what the executor plans, a line each."""
        return "\n".join([*map(str, self.reports), *self.executor.explain()])

    @property
    def source(self) -> str:
        """The code that was generated, of the plans made so far; empty for an interpreter."""
        return self.executor.source

    def __repr__(self) -> str:
        return f"<program of {len(self.graph.nodes)} nodes, executor {self.executor.name}>"
