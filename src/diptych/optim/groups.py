"""Parameter groups: parameters that share their hyperparameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from ..graphs.devices import put
from ..graphs.errors import ArgumentError, DeviceError, DTypeError, UnknownNameError, unknown
from ..graphs.parameter import Parameter
from ..graphs.storage import Storage
from ..graphs.sweep import Sweep
from .hyperparameters import require_at_least_0


class ParameterGroup(Mapping[str, Any]):
    """Parameters with hyperparameters of their own; reads like the dict that it was made from.

    ``group["params"]`` is the list of parameters, ``group["lr"]`` the learning rate, and the other
    names are the optimiser's hyperparameters. The rate alone can be assigned: it is in a storage,
    so every style, and every program compiled before, takes it at the next step. The others are
    numbers in the arithmetic itself, which a graph has fixed when it was built.

    Attributes
    ----------
    parameters : list of Parameter
    lr : Storage, shape (), float64
    initial_lr : float
        The rate as last given by the user and not by a schedule, which starts from it.
    slots : dict
        From the name of a kind of state to one storage per parameter, or one for the group.
    sweep : Sweep or None
        Updates all parameters in eager code, from the first step on.

    Examples
    --------
    >>> w = dt.nn.Parameter([1.0])
    >>> [group] = dt.optim.SGD([w], lr=0.5).param_groups
    >>> group["lr"] = 0.25
    >>> group["lr"], group["momentum"]
    (0.25, 0.0)
    """

    def __init__(self, position: int, hyperparameters: Mapping[str, Any]) -> None:
        self._fixed = dict(hyperparameters)
        self.parameters: list[Any] = self._fixed.pop("params")
        self.initial_lr = float(self._fixed.pop("lr"))
        self.position = position
        # In double precision, for a rate is shared by parameters of every dtype.
        self.lr = self.scalars("lr", np.array(self.initial_lr, np.float64))
        self.slots: dict[str, Any] = {}
        self.sweep: Sweep | None = None

    @property
    def options(self) -> Mapping[str, Any]:
        """The hyperparameters that are fixed: all but the rate."""
        return self._fixed

    @cached_property
    def row_names(self) -> list[str]:
        """The names of the slots that have a storage per parameter."""
        return [name for name, slot in self.slots.items() if isinstance(slot, list)]

    @cached_property
    def rows(self) -> list[tuple[Storage, ...]]:
        """Per parameter, its storage and those of its slots."""
        slots = [self.slots[name] for name in self.row_names]
        return list(zip([p.storage for p in self.parameters], *slots))

    def scalars(self, name: str, numbers: Any) -> Storage:
        """State of the whole group, on its device, named after it."""
        return Storage(put(numbers, self.parameters[0].device), self.name_of(name))

    def name_of(self, name: str) -> str:
        """How state of the whole group is called: ``name``, from the second group on ``name.1``."""
        return f"{name}.{self.position}" if self.position else name

    def __getitem__(self, name: str) -> Any:
        if name == "params":
            return self.parameters
        if name == "lr":
            return self.lr.item()
        if name not in self._fixed:
            raise unknown("param_groups", name, self)
        return self._fixed[name]

    def __setitem__(self, name: str, value: Any) -> None:
        if name != "lr":
            raise ArgumentError(
                f"param_groups: lr alone can be assigned, got {name!r}; the other hyperparameters "
                "are given when the optimiser is made"
            )
        require_at_least_0("lr", value)
        self.write_lr(value)
        self.initial_lr = float(value)

    def write_lr(self, value: float) -> None:
        """Set the rate, as a schedule does: what it starts from stays."""
        self.lr.write(np.array(value, np.float64))

    def __iter__(self) -> Iterator[str]:
        return iter(("params", "lr", *self._fixed))

    def __len__(self) -> int:
        return 2 + len(self._fixed)

    def __repr__(self) -> str:
        numbers = ", ".join(f"{name}={self[name]!r}" for name in self if name != "params")
        return f"<group of {len(self.parameters)} parameters, {numbers}>"


def read_groups(parameters: Any) -> list[Mapping[str, Any]]:
    """What an optimiser was given as a list of group dicts.

    Raises
    ------
    DTypeError
        When it is neither parameters nor dicts, or both.
    """
    if not isinstance(parameters, Iterable) or isinstance(parameters, Parameter | Mapping):
        raise DTypeError(
            "optimizer: needs a list of parameters, got "
            f"{type(parameters).__name__}; a module gives its own by parameters()"
        )
    given = list(parameters)
    if given and all(isinstance(g, Mapping) for g in given):
        return given
    return [{"params": given}]


def check_group(
    given: Mapping[str, Any],
    defaults: Mapping[str, Any],
    taken: Iterable[Any],
    check: Callable[[Mapping[str, Any]], None],
) -> dict[str, Any]:
    """A group's dict with the defaults filled in.

    Parameters
    ----------
    given : mapping
    defaults : mapping
        Every hyperparameter, the rate included.
    taken : iterable of Parameter
        Those of other groups.
    check : callable
        Raises for hyperparameters that are out of range.

    Raises
    ------
    DTypeError
        When there is no parameter, or something else among them.
    UnknownNameError
        When a name is none of the hyperparameters, or there is no "params".
    DeviceError
        When the parameters are on several devices.
    ArgumentError
        When a parameter is given twice.
    """
    if not isinstance(given, Mapping) or "params" not in given:
        names = sorted(given) if isinstance(given, Mapping) else type(given).__name__
        raise UnknownNameError(f"optimizer: a group is a dict with 'params', got {names}")
    for name in given:
        if name != "params" and name not in defaults:
            raise unknown("optimizer: a group's options", name, ["params", *defaults])
    parameters = _parameters(given["params"])
    everyone = [*parameters, *taken]
    if len(set(map(id, everyone))) < len(everyone):
        raise ArgumentError("optimizer: parameters must differ, got one twice")
    devices = sorted({str(p.device) for p in parameters})
    if len(devices) > 1:
        raise DeviceError(
            f"optimizer: parameters of a group must be on one device, got {' and '.join(devices)}"
        )
    complete = {**defaults, **given, "params": parameters}
    require_at_least_0("lr", complete["lr"])
    check(complete)
    return complete


def _parameters(given: Any) -> list[Any]:
    """The parameters of a group, of which there is one at least."""
    if isinstance(given, Parameter):
        return [given]
    parameters = list(given) if isinstance(given, Iterable) else [given]
    if not parameters or not all(isinstance(p, Parameter) for p in parameters):
        kinds = sorted({type(p).__name__ for p in parameters}) or "none"
        raise DTypeError(f"optimizer: needs a list of parameters, got {kinds}")
    return parameters
