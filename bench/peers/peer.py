"""What a peer is: another framework that takes the steps of a workload."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ...graphs.errors import ArgumentError
from ..stepping import Stepping
from ..task import Task
from .starting import starting_weights

Step = Callable[..., Sequence[Any]]
Builders = Mapping[str, Callable[..., Any]]


class Peer(Stepping):
    """A workload in another framework, ready to take steps.

    A subclass names its builders. Each makes, from the starting weights, a step: a function from
    the arrays of a batch to what a mode's step gives, the value, and in a workload without an
    update its gradients.

    Parameters
    ----------
    workload : str
    task : Task
        Of the same name, for its weights and batches.
    threads : int

    Attributes
    ----------
    build_s, compile_s : float
        Seconds spent before the first step. What compiles when it is first called has spent none.

    Raises
    ------
    ArgumentError
        When the peer does not have the workload.
    """

    name: ClassVar[str] = ""
    package: ClassVar[str] = ""
    builders: ClassVar[Builders] = {}
    compiles_ahead: ClassVar[bool] = False

    def __init__(self, workload: str, task: Task, threads: int) -> None:
        if workload not in self.builders:
            has = ", ".join(sorted(self.builders))
            raise ArgumentError(f"{self.name}: has no {workload}; it has {has}")
        self.workload, self.task, self.threads = workload, task, threads
        self.executor = f"{self.package} {sys.modules[self.package].__version__}"
        self.build_s = self.compile_s = 0.0
        self.weights = starting_weights(workload, task)
        self.limit()

    def limit(self) -> None:
        """Compute on `threads` threads."""

    def prepare(self) -> None:
        """Make the step; the framework compiles now or in the first one."""
        start = time.perf_counter()
        self._step = self.build()
        if self.compiles_ahead:
            self.compile_s = time.perf_counter() - start

    def build(self) -> Step:
        """The workload's step."""
        step: Step = self.builders[self.workload](self.weights)
        return step

    def load(self, batch: Sequence[np.ndarray]) -> tuple[Any, ...]:
        """A batch as the framework's arrays, in the layout that it prefers; not timed."""
        return tuple(batch)

    def step(self, batch: Sequence[Any]) -> list[Any]:
        """One step on a batch: what a mode's step gives, as the framework's arrays."""
        return list(self._step(*batch))

    def wait(self, results: Sequence[Any]) -> None:
        """Return when the results and the state are in memory."""

    def read(self, array: Any) -> np.ndarray:
        """A result as an array of NumPy."""
        return np.asarray(array)
