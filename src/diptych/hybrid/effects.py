"""Effects: what a compiled function does to the caller's tensors, beside what it gives back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..eager import Tensor
from ..eager.tensor import become, check_change
from ..graphs.errors import TapeError
from ..graphs.kernels import shares_memory
from ..graphs.modes import GradMode
from ..graphs.storage import Storage

# A parameter, or the position of an argument among the inputs.
Leaf = Any


@dataclass(frozen=True, slots=True)
class Change:
    """An input that the function changes in place.

    Attributes
    ----------
    input : int
    operator : str
        What changes it first.
    recorded : bool
        Whether that is where gradients are recorded.
    output : int
        Which output it becomes.
    """

    input: int
    operator: str
    recorded: bool
    output: int


@dataclass(frozen=True, slots=True)
class Effects:
    """What to do around the runs of one trace.

    Attributes
    ----------
    changed : tuple of Change
    fed : dict
        From the position of an input to the leaf whose gradient it is fed.
    left : tuple of (leaf, int or None)
        Which output each leaf's gradient becomes; None: it is forgotten.
    starts : tuple of (int, bool)
        Of inputs that are leaves, whether they had gradients when it was traced.
    strides : tuple of (int, tuple)
        Of inputs for which it matters which reshapes are views.
    storages : tuple of Storage
        What the program reads and writes.
    """

    changed: tuple[Change, ...]
    fed: dict[int, Leaf]
    left: tuple[tuple[Leaf, int | None], ...]
    starts: tuple[tuple[int, bool], ...]
    strides: tuple[tuple[int, tuple[int, ...]], ...]
    storages: tuple[Storage, ...]

    @property
    def asks(self) -> bool:
        """Whether it is asked of arguments what their key does not tell."""
        return bool(self.starts or self.strides)

    def holds(self, arguments: list[Tensor]) -> bool:
        """Whether the trace is of what the arguments and leaves are now."""
        inputs = self.complete(arguments)
        for position, there in self.starts:
            if inputs[position].grad_fn is not None:
                return False
            if (inputs[position].grad is not None) is not there:
                return False
        return all(inputs[i].array.strides == strides for i, strides in self.strides)

    def inputs(self, arguments: list[Tensor]) -> list[Tensor]:
        """What the program is fed, once everything that it changes is known to be free to change.

        Raises
        ------
        TapeError
            For an argument that may not change, or that shares memory with another. Nothing has
            run then.
        """
        inputs = self.complete(arguments)
        for change in self.changed:
            with GradMode(change.recorded):
                check_change(inputs[change.input], change.operator)
        for name, position in self._written():
            self._check_alone(name, position, inputs)
        return inputs

    def apply(self, inputs: list[Tensor], outputs: list[Tensor]) -> None:
        """Let the caller's tensors become what a run has computed for them."""
        for change in self.changed:
            become(inputs[change.input], outputs[change.output], change.operator)
        for leaf, output in self.left:
            _tensor(leaf, inputs).grad = None if output is None else outputs[output]

    def complete(self, arguments: list[Tensor]) -> list[Any]:
        """The arguments, and the gradients that are fed, in the order of the inputs."""
        if not self.fed:
            return arguments
        rest = iter(arguments)
        count = len(arguments) + len(self.fed)
        inputs: list[Any] = [None if i in self.fed else next(rest) for i in range(count)]
        for position, leaf in self.fed.items():
            inputs[position] = _tensor(leaf, inputs).grad
        return inputs

    def _written(self) -> Iterator[tuple[str, int]]:
        for change in self.changed:
            yield change.operator, change.input
        for leaf, _ in self.left:
            if isinstance(leaf, int):
                yield "backward", leaf

    def _check_alone(self, operator: str, position: int, inputs: list[Tensor]) -> None:
        array = inputs[position].array
        others = [x.array for i, x in enumerate(inputs) if i != position]
        if any(shares_memory(array, x) for x in (*others, *(s.array for s in self.storages))):
            raise TapeError(
                f"{operator}: what a compiled function changes in place must share no memory with "
                f"other arguments, parameters or gradients, got input {position} that does; pass "
                "one of them and take the others from it"
            )


def _tensor(leaf: Leaf, arguments: list[Tensor]) -> Any:
    return arguments[leaf] if isinstance(leaf, int) else leaf
