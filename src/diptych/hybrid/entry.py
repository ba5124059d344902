"""Entry: one trace of a compiled function, and what a call of it does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..eager import Tensor, asarray
from ..eager.tape import Recorded, made
from ..graphs.compiled import as_compiled
from ..graphs.trees import builder
from .calls import run
from .decisions import Path
from .effects import Effects
from .function import GraphFunction
from .reads import Place

COMPUTED = object()
_TENSOR, _NDARRAY = Tensor, np.ndarray


class Input:
    """A result that is an argument itself, which the function changed in place.

    Attributes
    ----------
    position : int
    """

    def __init__(self, position: int) -> None:
        self.position = position


class Entry:
    """One trace: what it computes, what it is fed beside its arguments, and its results' shape.

    What an entry asks of the arguments that its key does not tell, another may answer, `instead`.

    Parameters
    ----------
    signature, reason : str
        What was traced, and why.
    path : sequence of (Place, token)
        What it read.
    fed : list of Place
        Those of the path where tensors and arrays stand that are fed.
    function : GraphFunction
    structure, constants
        Of the results, from `trees.flatten`; `COMPUTED` and `Input` stand for tensors.
    notes : sequence of str
    effects : Effects or None

    Attributes
    ----------
    verdicts : dict
        The last of the gate for calls that run compiled, and for those that do not.
    """

    signature: str
    reason: str
    function: GraphFunction
    notes: tuple[str, ...]
    effects: Effects | None
    verdicts: dict[bool, Any]
    instead: Entry | None
    _path: list[Place]
    _fed: tuple[int, ...]
    _build: Any
    _constants: list[Any]
    _is_single: bool

    def __init__(
        self,
        *,
        signature: str,
        reason: str,
        path: Path,
        fed: list[Place],
        function: GraphFunction,
        structure: Any,
        constants: list[Any],
        notes: tuple[str, ...],
        effects: Effects | None,
    ) -> None:
        self.signature, self.reason, self.notes = signature, reason, notes
        self.function, self.effects = function, effects
        self.verdicts = {}
        self._path = [place for place, _ in path]
        places = [place.identity for place in self._path]
        self._fed = tuple([places.index(place.identity) for place in fed])
        self._constants = constants
        self._is_single = structure is None and constants[0] is COMPUTED
        self._build = builder(structure)

    def chain(self) -> Iterator[Entry]:
        """This entry and those that may hold instead."""
        entry: Entry | None = self
        while entry is not None:
            yield entry
            entry = entry.instead

    def read(self) -> list[Any]:
        """What stands now where it is fed from, as `of` takes it."""
        values: list[Any] = [None] * len(self._path)
        for i in self._fed:
            place = self._path[i]
            values[i] = place.read(place.holder, place.key)
        return values

    def of(self, arrays: list[Any], values: list[Any]) -> Entry | None:
        """The entry of the chain that holds.

        Parameters
        ----------
        arrays : list
            The tensors and arrays among the arguments.
        values : list
            What stands now where the trace has read.
        """
        entry: Entry | None = self
        while entry is not None:
            effects = entry.effects
            if effects is None or not effects.asks or effects.holds(entry._inputs(arrays, values)):
                break
            entry = entry.instead
        return entry

    def run(self, arrays: list[Any], values: list[Any]) -> Any:
        """Call what was traced, on what `of` is asked about."""
        inputs = self._inputs(arrays, values)
        effects = self.effects
        if effects is None:
            results = run(self.function, inputs)
            if self._is_single:
                return results[0]
        else:
            inputs = effects.inputs(inputs)
            results = run(self.function, inputs)
            effects.apply(inputs, results)
        given = []
        count = 0
        for constant in self._constants:
            if constant is COMPUTED:
                given.append(results[count])
                count += 1
            elif isinstance(constant, Input):
                given.append(inputs[constant.position])
            elif isinstance(constant, np.ndarray):  # a new one, like the function's
                given.append(constant.copy())
            else:
                given.append(constant)
        return self._build(given)

    def operands(self, arrays: list[Any], values: list[Any]) -> list[Any]:
        """What a call on these would compute with."""
        inputs = self._inputs(arrays, values)
        return inputs if self.effects is None else self.effects.complete(inputs)

    def _inputs(self, arrays: list[Any], values: list[Any]) -> list[Any]:
        """The tensors among the arguments, and those from elsewhere."""
        inputs = []
        for array in arrays:
            inputs.append(_tensor(array))
        for place in self._fed:
            inputs.append(_tensor(values[place]))
        return inputs


as_compiled(Entry, instead=None)


def _tensor(value: Any) -> Any:
    """A tensor or an array, of a dtype that a trace has been made of, as a tensor."""
    if isinstance(value, Recorded):
        return value
    return made(_TENSOR, value) if type(value) is _NDARRAY else asarray(value)
