"""Entry: one trace of a compiled function, and what a call of it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..eager import Tensor, asarray
from ..graphs.trees import unflatten
from .effects import Effects
from .function import GraphFunction
from .reads import Place

COMPUTED = object()


@dataclass(frozen=True, slots=True)
class Input:
    """A result that is an argument itself, which the function changed in place."""

    position: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One trace: what it computes, what it is fed beside its arguments, and its results' shape.

    What an entry asks of the arguments that its key does not tell, another may answer, `instead`.
    """

    signature: str
    reason: str
    fed: tuple[Place, ...]
    function: GraphFunction
    structure: Any
    constants: tuple[Any, ...]
    notes: tuple[str, ...]
    effects: Effects | None
    instead: Entry | None = None

    def chain(self) -> Iterator[Entry]:
        """This entry and those that may hold instead."""
        entry: Entry | None = self
        while entry is not None:
            yield entry
            entry = entry.instead

    def of(self, arrays: list[Any]) -> Entry | None:
        """The entry of the chain that holds for the tensors and arrays among the arguments."""
        if self.effects is None:
            return self
        tensors = _tensors(arrays)
        return next((e for e in self.chain() if e._holds(tensors)), None)

    def run(self, arrays: list[Any]) -> Any:
        """Call what was traced on the tensors and arrays among the arguments."""
        inputs = self._inputs(_tensors(arrays))
        if self.effects is None:
            results = self.function(inputs)
        else:
            inputs = self.effects.inputs(inputs)
            results = self.function(inputs)
            self.effects.apply(inputs, results)
        computed = iter(results)
        return unflatten(self.structure, [_given(c, computed, inputs) for c in self.constants])

    def _holds(self, tensors: list[Tensor]) -> bool:
        return self.effects is None or self.effects.holds(self._inputs(tensors))

    def _inputs(self, tensors: list[Tensor]) -> list[Tensor]:
        """The tensors among the arguments, and those from elsewhere."""
        if not self.fed:
            return tensors
        return tensors + _tensors([place.read(place.holder, place.key) for place in self.fed])


def _tensors(arrays: list[Any]) -> list[Tensor]:
    return [x if isinstance(x, Tensor) else asarray(x) for x in arrays]


def _given(constant: Any, computed: Iterator[Tensor], inputs: list[Tensor]) -> Any:
    """A result of a call; what a trace found to be an array as a new one, like the function's."""
    if constant is COMPUTED:
        return next(computed)
    if isinstance(constant, Input):
        return inputs[constant.position]
    return constant.copy() if isinstance(constant, np.ndarray) else constant
