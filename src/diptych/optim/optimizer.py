"""The base of all optimisers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ..graphs.devices import Device
from ..graphs.errors import ArgumentError, DTypeError, ShapeError, TapeError
from ..graphs.ops import dispatch
from ..graphs.parameter import Parameter
from ..graphs.storage import Storage, load_storages


class Optimizer:
    """Updates parameters from gradients; subclasses define `update`.

    All state, the learning rate included, is in storages that the styles share: a program trains
    on from where eager code stopped, and reads a learning rate changed in between.

    Parameters
    ----------
    parameters : iterable of Parameter
    lr : float
        Learning rate, at least 0.

    Raises
    ------
    DTypeError
        When there is no parameter, or something else among them.
    ArgumentError
        When a hyperparameter is out of range, or a parameter is given twice.
    """

    def __init__(self, parameters: Iterable[Any], lr: float) -> None:
        if not isinstance(parameters, Iterable):
            raise DTypeError(
                "optimizer: needs a list of parameters, got "
                f"{type(parameters).__name__}; a module gives its own by parameters()"
            )
        self.parameters = list(parameters)
        if len(set(map(id, self.parameters))) < len(self.parameters):
            raise ArgumentError("optimizer: parameters must differ, got one twice")
        if not self.parameters or not all(isinstance(p, Parameter) for p in self.parameters):
            kinds = sorted({type(p).__name__ for p in self.parameters}) or "none"
            raise DTypeError(f"optimizer: needs a list of parameters, got {kinds}")
        require("lr", lr, "at least 0", lambda v: v >= 0)
        self._lr = Storage(np.array(lr, np.float32), "lr")
        self._state: dict[str, Storage] = {"lr": self._lr}

    @property
    def lr(self) -> float:
        """The learning rate; assigning it takes effect in every style at the next step."""
        return float(str(self._lr.array))  # the number as it was given, not float32's nearest

    @lr.setter
    def lr(self, value: float) -> None:
        require("lr", value, "at least 0", lambda v: v >= 0)
        self._lr.write(np.array(value, np.float32))

    def slots(self, name: str) -> list[Storage]:
        """Zeros like each parameter, kept as state under ``name.position``."""
        made = [
            Storage(p.device.xp.zeros(p.shape, p.dtype), f"{name}.{i}")
            for i, p in enumerate(self.parameters)
        ]
        self._state.update((str(s.name), s) for s in made)
        return made

    def update(self, style: dispatch.Style, gradients: list[Any]) -> list[Any]:
        """Assign new values to parameters and state, in operators of `style`.

        Parameters
        ----------
        style : Style
        gradients : list
            One per parameter, None where there is none.

        Returns
        -------
        list
            What `style.assign` gave.
        """
        raise NotImplementedError(f"{type(self).__name__}: must define update, got none")

    def apply(self, gradients: Iterable[Any]) -> Any:
        """Update every parameter from given gradients.

        Parameters
        ----------
        gradients : iterable
            One per parameter; None leaves the parameter as it is.

        Returns
        -------
        Update to fetch, in a graph; None in eager code

        Raises
        ------
        ShapeError
            When there is not one gradient per parameter.
        """
        given = list(gradients)
        if len(given) != len(self.parameters):
            raise ShapeError(
                f"apply: one gradient per parameter is needed, got {len(given)} for "
                f"{len(self.parameters)}"
            )
        known = [g for g in given if g is not None]
        style = dispatch.style_of(*known)
        return style.together(self.update(style, given) if known else [])

    def step(self) -> None:
        """Update every parameter from its ``.grad``, in eager code.

        Raises
        ------
        TapeError
            When a graph is being built: there are no ``.grad`` in it.
        """
        if dispatch.current() is not dispatch.default():
            raise TapeError(
                "step: a graph has no .grad, got a call while one is built; use minimize"
            )
        self.apply([None if p.grad is None else p.grad.detach() for p in self.parameters])

    def to(self, device: Device | str) -> Optimizer:
        """Move the parameters and all state to a device, in place.

        Raises
        ------
        DeviceError
            When the device is unknown or not here. Nothing has moved then.
        """
        target = Device.of(device)
        target.xp  # noqa: B018 - raises before anything moves
        for parameter in self.parameters:
            parameter.move(target)
        for storage in self._state.values():
            storage.move(target)
        return self

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters:
            parameter.grad = None

    def minimize(self, loss: Any) -> Any:
        """Compute the gradients of a scalar loss and update every parameter, in any style.

        Returns
        -------
        Update to fetch, in a graph; None in eager code, where the update is done

        Raises
        ------
        TapeError
            When no parameter reaches the loss, or it is no scalar.
        """
        style = dispatch.style_of(loss)
        trained = [p for p in self.parameters if p.requires_grad]
        found = dict(zip(map(id, trained), style.grad(loss, trained, allow_unused=True)))
        if all(g is None for g in found.values()):
            raise TapeError("minimize: a parameter must reach the loss, got none that does")
        return self.apply([found.get(id(p)) for p in self.parameters])

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all state as NumPy arrays, by name."""
        return {name: storage.numpy().copy() for name, storage in self._state.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Write state back, in place.

        Raises
        ------
        UnknownNameError
            When names are missing or unexpected. Nothing is written then.
        ShapeError, DTypeError
            When an array does not fit. Nothing is written then.
        """
        load_storages("load_state_dict", self._state, state)


def require(name: str, value: Any, rule: str, holds: Callable[[float], bool]) -> None:
    """Raises ArgumentError unless a hyperparameter is a number that keeps its rule."""
    if not isinstance(value, int | float | np.number) or not holds(float(value)):
        raise ArgumentError(f"optimizer: {name} must be {rule}, got {value!r}")
