"""The modes of running one task. What they share is everything but the graph mode."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any

from ..compiler import RECOMPUTE, passes_of
from ..eager import asarray, autobatch
from ..graphs.avals import aval_of
from ..graphs.errors import ArgumentError, unknown
from ..graphs.modes import no_grad
from ..graphs.ops import accumulate as add_up
from ..graphs.ops import ones_like
from ..graphs.ops import sum as sum_of
from ..graphs.transforms import grad
from ..hybrid import CompiledFunction, compile
from ..hybrid.loops import ROLL
from ..optim import Optimizer
from ..static import Graph
from .stepping import Stepping
from .task import Batch, Task


class Mode(Stepping):
    """A way to take steps.

    Parameters
    ----------
    task : Task
    executor : str
        Of the compiler. Eager code has none.
    passes : iterable of str or None
        All by default.
    gradients : bool
        Give the gradients of a training step, too, for a certificate.

    Attributes
    ----------
    name : str
    is_certified : bool
        Whether it launches the kernels that the others launch.
    build_s, compile_s : float
        Seconds spent building or tracing graphs, and compiling them, so far.

    Raises
    ------
    ArgumentError
        When the task says that it cannot be written in this mode.
    """

    name = ""
    is_certified = True

    def __init__(
        self, task: Task, executor: str, passes: Iterable[str] | None = None,
        gradients: bool = False,
    ) -> None:  # fmt: skip
        if self.name in task.refused:
            raise ArgumentError(task.refused[self.name])
        self.task, self.executor, self.gradients = task, executor, gradients
        self.passes = None if passes is None else tuple(passes)
        self.build_s = self.compile_s = 0.0
        self._loss = task.loss_for(self.name)

    @classmethod
    def passes_of(cls, executor: str) -> Sequence[str]:
        """The passes that run by default."""
        return list(passes_of(executor))

    def prepare(self, batch: Batch) -> None:
        """Whatever comes before the first step."""

    def graph_svg(self) -> str:
        """The graph that runs, drawn; empty where there is none."""
        return ""

    def _update(self, optimizer: Optimizer, gradients: Any) -> Any:
        """Apply the gradients of the trained parameters."""
        by_id = dict(zip(map(id, self.task.trained), gradients))
        return optimizer.apply([by_id.get(id(p)) for p in optimizer.parameters])


class Eager(Mode):
    """Define-by-run: every operator at once, gradients by the tape."""

    name = "eager"

    def __init__(self, task: Task, executor: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(task, "eager", *args, **kwargs)

    def step(self, batch: Batch) -> list[Any]:
        operands = list(map(asarray, batch))
        for position in self.task.inputs:
            operands[position].requires_grad_()
        return [result.array for result in self._computed(*operands)]

    def _computed(self, *operands: Any) -> list[Any]:
        """What a step computes, as tensors."""
        task = self.task
        if not task.is_differentiated:
            with no_grad():
                return [self._loss(*operands)]
        loss = self._loss(*operands)
        if task.optimizer is not None and not self.gradients:
            task.optimizer.minimize(loss)
            return [loss]
        wanted = [*task.trained, *(operands[i] for i in task.inputs)]
        gradients = grad(loss, wanted, ones_like(loss), allow_unused=True)
        if task.optimizer is not None:
            self._update(task.optimizer, gradients)
        return [loss, *(g for g in gradients if g is not None)]


class Static(Mode):
    """Define-then-run: loss, gradients and update in one graph, compiled into one program."""

    name = "static"

    def prepare(self, batch: Batch) -> None:
        start = time.perf_counter()
        task = self.task
        with Graph() as graph:
            avals = [aval_of(array) for array in batch]
            shapes = task.shapes or [a.shape for a in avals]
            feeds = [
                graph.placeholder(f"input{i}", shape, a.dtype, a.device)
                for i, (a, shape) in enumerate(zip(avals, shapes))
            ]
            loss = self._loss(*feeds)
            gradients: list[Any] = []
            update: Any = []
            if task.optimizer is not None and not self.gradients:
                update = task.optimizer.minimize(loss)
            elif task.is_differentiated:
                wanted = [*task.trained, *(feeds[i] for i in task.inputs)]
                found = graph.grad(loss, wanted, ones_like(loss), allow_unused=True)
                gradients = [g for g in found if g is not None]
                if task.optimizer is not None:
                    update = self._update(task.optimizer, found)
        built = time.perf_counter()
        # To infer is to compute with weights that stay, which peers hold as constants, too.
        self.program = graph.compile(
            [[loss, *gradients], update],
            executor=self.executor,
            passes=self.passes,
            freeze=not task.is_differentiated,
        )
        self.build_s, self.compile_s = built - start, time.perf_counter() - built

    def step(self, batch: Batch) -> list[Any]:
        return self.program(*batch)[0]

    def graph_svg(self) -> str:
        return self.program.graph.to_svg()


class Hybrid(Eager):
    """A static loss, forward and backward, inside an eager step.

    A task may have pieces of its loss compiled, and leave the rest to eager code.
    """

    name = "hybrid"

    def __init__(self, task: Task, executor: str, *args: Any, **kwargs: Any) -> None:
        Mode.__init__(self, task, executor, *args, **kwargs)
        self._compiled: list[CompiledFunction] = []
        if task.in_pieces is None:
            self._loss = self._compile(self._loss)
        else:
            self._loss = task.in_pieces(self._compile)

    @classmethod
    def passes_of(cls, executor: str) -> Sequence[str]:
        return [*super().passes_of(executor), *((RECOMPUTE,) if executor == "native" else ()), ROLL]

    def _compile(self, function: Callable[..., Any]) -> CompiledFunction:
        compiled = compile(function, executor=self.executor, passes=self.passes)
        self._compiled.append(compiled)
        return compiled

    def step(self, batch: Batch) -> list[Any]:
        results = super().step(batch)
        self.build_s = sum(compiled.trace_s for compiled in self._compiled)
        self.compile_s = sum(compiled.compile_s for compiled in self._compiled)
        return results


class HybridStep(Hybrid):
    """An eager step that is compiled as a whole: loss, gradients and update."""

    name = "hybrid-step"

    def __init__(self, task: Task, executor: str, *args: Any, **kwargs: Any) -> None:
        Mode.__init__(self, task, executor, *args, **kwargs)
        self._compiled = []
        self._computed = self._compile(self._computed)  # type: ignore[method-assign]


class Autobatch(Eager):
    """Eager code whose like operators are computed together, over all batches where it can be.

    It can where no update comes between them. Then there is one backward pass, from the sum of the
    losses, and of the gradients no batch's own.
    """

    name = "autobatch"
    is_certified = False

    def step(self, batch: Batch) -> list[Any]:
        with autobatch():
            return super().step(batch)

    def steps(self, batches: Sequence[Batch]) -> list[Any]:
        task = self.task
        if task.optimizer is not None or task.inputs or len(batches) == 1:
            return super().steps(batches)
        with nullcontext() if task.is_differentiated else no_grad():
            with autobatch():
                losses = [self._loss(*map(asarray, batch)) for batch in batches]
                total = add_up([sum_of(loss) for loss in losses])
            if task.is_differentiated:
                grad(total, task.trained, allow_unused=True)
        return [losses[-1].array]


# Those that differ in the graph alone.
STANDARD = (Eager.name, Static.name, Hybrid.name)
MODES: dict[str, type[Mode]] = {
    mode.name: mode for mode in (Eager, Static, Hybrid, HybridStep, Autobatch)
}


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
