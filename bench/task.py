"""What is compared: a model with its data, written once for every style."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..graphs.errors import DTypeError, ShapeError
from ..optim import Optimizer

Batch = tuple[Any, ...]


@dataclass(frozen=True)
class Task:
    """A model being trained, ready to run in any style.

    Parameters
    ----------
    loss : callable
        From operands (one per array of a batch) to a scalar loss, written in operators.
    optimizer : Optimizer
        Over the parameters of the loss.
    batches : sequence or callable
        Batches as tuples of arrays of equal shapes, taken in turn; or from a step's number to one.
    evaluate : callable, optional
        Gives the accuracy on held-out data, in 0..1.

    Raises
    ------
    DTypeError, ShapeError
        When an argument is of another kind, or there is no batch.
    """

    loss: Callable[..., Any]
    optimizer: Optimizer
    batches: Sequence[Batch] | Callable[[int], Batch]
    evaluate: Callable[[], float] | None = None

    def __post_init__(self) -> None:
        if not callable(self.loss) or not isinstance(self.optimizer, Optimizer):
            raise DTypeError(
                "Task: needs a callable loss and an Optimizer, got "
                f"{type(self.loss).__name__} and {type(self.optimizer).__name__}"
            )
        if not callable(self.batches) and not len(self.batches):
            raise ShapeError("Task: at least one batch is needed, got none")

    def batch(self, step: int) -> Batch:
        """The arrays of a step, counted from 0."""
        if callable(self.batches):
            return self.batches(step)
        return self.batches[step % len(self.batches)]

    @property
    def trained(self) -> list[Any]:
        """The parameters that the loss is differentiated by."""
        return [p for p in self.optimizer.parameters if p.requires_grad]
