"""The three modes of training one task. What they share is everything but the graph mode."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from ..eager import asarray, grad
from ..graphs.avals import aval_of
from ..graphs.errors import unknown
from ..hybrid import compile
from ..static import Graph
from .task import Batch, Task


class Mode:
    """A way to take training steps.

    Parameters
    ----------
    task : Task
    executor : str
        Of the compiler. Eager code has none.
    passes : iterable of str or None
        All by default.
    gradients : bool
        Give the gradients, too, for a certificate.

    Attributes
    ----------
    build_s, compile_s : float
        Seconds spent building or tracing graphs, and compiling them, so far.
    """

    name = ""

    def __init__(
        self, task: Task, executor: str, passes: Iterable[str] | None = None,
        gradients: bool = False,
    ) -> None:  # fmt: skip
        self.task, self.executor, self.gradients = task, executor, gradients
        self.passes = None if passes is None else tuple(passes)
        self.build_s = self.compile_s = 0.0

    def prepare(self, batch: Batch) -> None:
        """Whatever comes before the first step."""

    def step(self, batch: Batch) -> list[Any]:
        """One training step; the loss, then the gradients if they are asked for, as arrays."""
        raise NotImplementedError(self.name)

    def graph_svg(self) -> str:
        """The graph that runs, drawn; empty where there is none."""
        return ""


class Eager(Mode):
    """Define-by-run: every operator at once, gradients by the tape."""

    name = "eager"

    def __init__(self, task: Task, executor: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(task, "eager", *args, **kwargs)
        self._loss = task.loss

    def step(self, batch: Batch) -> list[Any]:
        loss = self._loss(*map(asarray, batch))
        if not self.gradients:
            self.task.optimizer.minimize(loss)
            return [loss.array]
        trained = self.task.trained
        gradients = grad(loss, trained)
        by_id = dict(zip(map(id, trained), gradients))
        self.task.optimizer.apply([by_id.get(id(p)) for p in self.task.optimizer.parameters])
        return [loss.array, *(g.array for g in gradients if g is not None)]


class Static(Mode):
    """Define-then-run: loss, gradients and update in one graph, compiled into one program."""

    name = "static"

    def prepare(self, batch: Batch) -> None:
        start = time.perf_counter()
        with Graph() as graph:
            avals = [aval_of(array) for array in batch]
            feeds = [
                graph.placeholder(f"input{i}", a.shape, a.dtype, a.device)
                for i, a in enumerate(avals)
            ]
            loss = self.task.loss(*feeds)
            gradients: list[Any] = []
            if self.gradients:
                gradients = list(graph.grad(loss, self.task.trained))
                by_id = dict(zip(map(id, self.task.trained), gradients))
                update = self.task.optimizer.apply(
                    [by_id.get(id(p)) for p in self.task.optimizer.parameters]
                )
            else:
                update = self.task.optimizer.minimize(loss)
        built = time.perf_counter()
        self.program = graph.compile(
            [[loss, *gradients], update], executor=self.executor, passes=self.passes
        )
        self.build_s, self.compile_s = built - start, time.perf_counter() - built
        self._names = [f"input{i}" for i in range(len(batch))]

    def step(self, batch: Batch) -> list[Any]:
        return self.program.run(dict(zip(self._names, batch)))[0]

    def graph_svg(self) -> str:
        return self.program.graph.to_svg()


class Hybrid(Eager):
    """A static loss, forward and backward, inside an eager step."""

    name = "hybrid"

    def __init__(self, task: Task, executor: str, *args: Any, **kwargs: Any) -> None:
        Mode.__init__(self, task, executor, *args, **kwargs)
        self._compiled = compile(task.loss, executor=self.executor, passes=self.passes)
        self._loss = self._compiled

    def step(self, batch: Batch) -> list[Any]:
        results = super().step(batch)
        self.build_s = self._compiled.trace_s
        self.compile_s = self._compiled.compile_s
        return results


MODES: dict[str, type[Mode]] = {mode.name: mode for mode in (Eager, Static, Hybrid)}


def find(name: str) -> type[Mode]:
    """The mode of a name.

    Raises
    ------
    UnknownNameError
        When there is none.
    """
    if name not in MODES:
        raise unknown("mode", name, MODES)
    return MODES[name]
