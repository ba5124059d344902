"""What is compared: a computation with its data, written once for every style."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..graphs.errors import DTypeError, ShapeError
from ..graphs.parameter import Parameter
from ..optim import Optimizer

Batch = tuple[Any, ...]


@dataclass(frozen=True)
class Task:
    """A computation, ready to run in any style: training, gradients alone, or inference.

    Parameters
    ----------
    loss : callable
        From operands (one per array of a batch) to what is computed, written in operators; where
        there are gradients, a scalar loss, or an array whose sum is meant.
    optimizer : Optimizer, optional
        Over the parameters of the loss. A step then ends with its update.
    batches : sequence or callable
        Batches as tuples of arrays, taken in turn; or from a step's number to one. Shapes may vary
        along the dimensions that `shapes` names.
    evaluate : callable, optional
        Gives the accuracy on held-out data, in 0..1.
    parameters : sequence of Parameter
        Without an optimiser: what the loss is differentiated by.
    inputs : sequence of int
        Without an optimiser: positions of the operands that it is differentiated by.
    shapes : sequence of tuple, optional
        Per operand its sizes, with a name for each that varies from batch to batch.
    batches_a_step : int
        A step goes through so many batches.
    written_for : mapping
        From a mode's name to the loss as that mode writes it, where it differs.
    in_pieces : callable, optional
        From what compiles a function to the loss with its pieces compiled, which mode "hybrid"
        then runs; else it compiles the loss as a whole.
    refused : mapping
        From a mode's name to why it cannot express this.

    Raises
    ------
    DTypeError, ShapeError
        When an argument is of another kind, or there is no batch.
    """

    loss: Callable[..., Any]
    optimizer: Optimizer | None = None
    batches: Sequence[Batch] | Callable[[int], Batch] = ()
    evaluate: Callable[[], float] | None = None
    parameters: Sequence[Any] = ()
    inputs: Sequence[int] = ()
    shapes: Sequence[tuple[Any, ...]] | None = None
    batches_a_step: int = 1
    written_for: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    in_pieces: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None
    refused: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not callable(self.loss) or not isinstance(self.optimizer, Optimizer | None):
            raise DTypeError(
                "Task: needs a callable loss and an Optimizer or none, got "
                f"{type(self.loss).__name__} and {type(self.optimizer).__name__}"
            )
        if not all(isinstance(p, Parameter) for p in self.parameters):
            kinds = ", ".join(type(p).__name__ for p in self.parameters)
            raise DTypeError(f"Task: parameters must be Parameters, got {kinds}")
        if not callable(self.batches) and not len(self.batches):
            raise ShapeError("Task: at least one batch is needed, got none")

    def batch(self, number: int) -> Batch:
        """The arrays of a batch, counted from 0."""
        if callable(self.batches):
            return self.batches(number)
        return self.batches[number % len(self.batches)]

    def loss_for(self, mode: str) -> Callable[..., Any]:
        """The loss as a mode writes it."""
        return self.written_for.get(mode, self.loss)

    @property
    def trained(self) -> list[Any]:
        """The parameters that the loss is differentiated by."""
        return [p for p in self._owners if p.requires_grad]

    @property
    def is_differentiated(self) -> bool:
        """Whether a step computes gradients."""
        return self.optimizer is not None or bool(self.parameters) or bool(self.inputs)

    @property
    def storages(self) -> list[Any]:
        """What a step reads and may change."""
        return [p.storage for p in self._owners]

    @property
    def _owners(self) -> Sequence[Any]:
        return self.parameters if self.optimizer is None else self.optimizer.parameters
