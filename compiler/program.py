"""Program: a compiled graph that can be run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..graphs.errors import FeedError
from ..graphs.feeds import bind_feeds
from ..graphs.ir import Graph
from ..graphs.kernels import recorder
from ..graphs.modes import settle
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
        whole = not self._symbols and self._needed == tuple(declared)
        self._expected = (
            [(declared[name].dtype, declared[name].shape) for name in declared] if whole else None
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
        arrays, binding = self._named_as_they_are(feeds), _NO_SIZES
        if arrays is None:
            arrays, binding = bind_feeds(
                self._needed, self._symbols, {} if feeds is None else feeds, self._declared
            )
        return self._built(arrays, binding)

    def __call__(self, *feeds: Any) -> Any:
        """Run once on feeds in the order in which the placeholders were declared.

        Parameters
        ----------
        *feeds : arrays, tensors or nested lists
            One for each placeholder of the graph.

        Returns
        -------
        as `run`

        Raises
        ------
        FeedError, ShapeError, DTypeError
            When the feeds do not fit. Nothing has run then.

        Examples
        --------
        >>> with dt.static.Graph() as g:
        ...     x, y = g.placeholder("x", (2,)), g.placeholder("y", (2,))
        >>> g.compile(fetches=x - y)([3.0, 2.0], [1.0, 1.0])
        array([2., 1.], dtype=float32)
        """
        arrays = list(feeds)
        if self._fit(arrays):
            return self._built(arrays, _NO_SIZES)
        if len(arrays) != len(self._declared):
            raise FeedError(
                f"program: must be fed each placeholder of {tuple(self._declared)}, got "
                f"{len(arrays)} feeds"
            )
        return self.run(dict(zip(self._declared, arrays)))

    def _built(self, arrays: list[Any], binding: dict[str, int]) -> Any:
        """Run on what fits, and put the results in containers."""
        settle()
        executor = self.executor if recorder() is None else self._observed()
        results = executor.run(arrays, binding)
        if self._all_values:
            return self._build(results)
        given = iter(results)
        return self._build([next(given) if value else None for value in self._is_value])

    def _named_as_they_are(self, feeds: Any) -> list[Any] | None:
        """Feeds that fit without a question, by name; None for all others."""
        if type(feeds) is not dict or len(feeds) != len(self._needed):
            return None
        arrays = [feeds.get(name) for name in self._needed]
        return arrays if self._fit(arrays) else None

    def _fit(self, arrays: list[Any]) -> bool:
        """Whether arrays fit without a question."""
        expected = self._expected
        if expected is None or len(arrays) != len(expected):
            return False
        for array, (dtype, shape) in zip(arrays, expected):
            if type(array) is not np.ndarray or array.dtype is not dtype or array.shape != shape:
                return False
        return True

    def call(self, arrays: list[Any], sizes: dict[str, int] = _NO_SIZES) -> list[Any]:
        """Run on arrays that are known to fit; flat outputs.

        For callers that have checked already, such as the bridge.

        Parameters
        ----------
        arrays : list
            One per placeholder that was declared, in order, pruned ones included.
        sizes : dict
            That of every symbolic dimension.
        """
        executor = self.executor if recorder() is None else self._observed()
        return executor.run([arrays[i] for i in self._kept], sizes)

    def prepare(self, sizes: dict[str, int]) -> None:
        """Compile for sizes of the symbolic dimensions, so that no run needs to."""
        self.executor.prepare(sizes)

    def call_kernels(self, arrays: list[Any], sizes: dict[str, int] = _NO_SIZES) -> list[Any]:
        """`call`, by the kernels that eager code launches, one by one."""
        return self._by_kernels().run([arrays[i] for i in self._kept], sizes)

    def _observed(self) -> Any:
        """The executor while kernels are observed: watched, they are launched one by one."""
        return self._by_kernels() if is_watching() else self.executor

    def _by_kernels(self) -> Reference:
        if self._watched is None:
            self._watched = Reference(self.graph)
        return self._watched

    @property
    def fingerprint(self) -> str | None:
        """What tells it from others, in every process; None where nothing does."""
        found = self._selection.fingerprint
        return None if found is None else found.text

    def explain(self) -> str:
        """What every pass did, and what the executor plans, a line each."""
        return "\n".join([*map(str, self.reports), *self.executor.explain()])

    @property
    def source(self) -> str:
        """The code that was generated, of the plans made so far; empty for an interpreter."""
        return self.executor.source

    def __repr__(self) -> str:
        return f"<program of {len(self.graph.nodes)} nodes, executor {self.executor.name}>"
