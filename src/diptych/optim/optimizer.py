"""The base of all optimisers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

import numpy as np

from ..graphs import ops
from ..graphs.avals import show
from ..graphs.devices import Device, put
from ..graphs.errors import ArgumentError, DTypeError, ShapeError, TapeError
from ..graphs.operand import Operand
from ..graphs.ops import dispatch
from ..graphs.ops.plain import as_plain
from ..graphs.storage import Storage, load_storages
from .groups import ParameterGroup, check_group, read_groups


class Optimizer:
    """Updates parameters from gradients; subclasses define `check`, `begin` and `update`.

    All state, the learning rates included, is in storages that the styles share: a program trains
    on from where eager code stopped, and reads a learning rate changed in between.

    Parameters
    ----------
    parameters : iterable of Parameter, or of dict
        A dict makes a group of its own: ``{"params": [...], "lr": 0.1, ...}``, where what is left
        out is as for all.
    hyperparameters : mapping
        By name, "lr" among them: what holds for a group that says nothing else.

    Attributes
    ----------
    param_groups : list of ParameterGroup
    parameters : list of Parameter
        Those of all groups, in their order.

    Raises
    ------
    DTypeError
        When there is no parameter, or something else among them.
    UnknownNameError
        When a group names a hyperparameter that the optimiser does not have.
    ArgumentError
        When a hyperparameter is out of range, or a parameter is given twice.

    Examples
    --------
    >>> a, b = dt.nn.Parameter([1.0]), dt.nn.Parameter([1.0])
    >>> optimizer = dt.optim.SGD([{"params": [a]}, {"params": [b], "lr": 0.25}], lr=0.5)
    >>> optimizer.minimize((a + b).sum())
    >>> a.item(), b.item()
    (0.5, 0.75)
    """

    def __init__(self, parameters: Iterable[Any], hyperparameters: Mapping[str, Any]) -> None:
        self._defaults = dict(hyperparameters)
        self._state: dict[str, Storage] = {}
        self.parameters: list[Any] = []
        self.param_groups: list[ParameterGroup] = []
        for group in read_groups(parameters):
            self.add_param_group(group)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Update more parameters from now on. Programs compiled before do not.

        Parameters
        ----------
        group : mapping
            ``{"params": [...]}`` and what is other than for all.

        Raises
        ------
        DTypeError, UnknownNameError, ArgumentError
            As for the parameters that an optimiser is made with. Nothing is added then.
        """
        complete = check_group(group, self._defaults, self.parameters, self.check)
        added = ParameterGroup(len(self.param_groups), complete)
        self.keep(added.lr)
        self.begin(added)
        self.param_groups.append(added)
        self.parameters.extend(added.parameters)

    @property
    def lr(self) -> float:
        """The learning rate of all groups; assigning it takes effect in every style at once.

        Raises
        ------
        ArgumentError
            When it is read and the groups differ in it.
        """
        rates = [group["lr"] for group in self.param_groups]
        if len(set(rates)) > 1:
            raise ArgumentError(
                f"lr: groups must share it to be read as one, got {rates}; use param_groups"
            )
        return rates[0]

    @lr.setter
    def lr(self, value: float) -> None:
        for group in self.param_groups:
            group["lr"] = value

    # -- for subclasses ----------------------------------------------------------------------

    def check(self, options: Mapping[str, Any]) -> None:
        """Raise an ArgumentError when a group's hyperparameters are out of range."""

    def begin(self, group: ParameterGroup) -> None:
        """Make the state of a new group, by `slots` and `keep`."""

    def update(
        self, style: dispatch.Style, group: ParameterGroup, gradients: list[Any]
    ) -> list[Any]:
        """Assign new values to a group's parameters and state, in operators of `style`.

        Parameters
        ----------
        style : Style
        group : ParameterGroup
        gradients : list
            One per parameter of the group, None where there is none; not all are None.

        Returns
        -------
        list
            What `style.assign` gave.
        """
        raise NotImplementedError(f"{type(self).__name__}: must define update, got none")

    def keep(self, storage: Storage) -> Storage:
        """Make a storage part of the state, under its name."""
        self._state[str(storage.name)] = storage
        return storage

    def slots(self, group: ParameterGroup, name: str, start: float = 0.0) -> None:
        """State like each parameter of a new group: ``group.slots[name]``, one per parameter.

        It is called ``name.position``, by the parameter's position in `parameters`.
        """
        first = len(self.parameters)
        group.slots[name] = [
            self.keep(
                Storage(p.device.xp.full(p.shape, start, p.dtype), f"{name}.{first + position}")
            )
            for position, p in enumerate(group.parameters)
        ]

    def step_slot(self, group: ParameterGroup) -> None:
        """State that counts, for each parameter of a new group, the steps that updated it."""
        counts = np.zeros(len(group.parameters), np.float64)
        group.slots["steps"] = self.keep(group.scalars("steps", counts))

    def advance(
        self, style: dispatch.Style, group: ParameterGroup, gradients: list[Any]
    ) -> tuple[Any, Any]:
        """Count a step for every parameter that has a gradient.

        Returns
        -------
        steps : operand, shape (number of parameters,), float64
            From 1 where there is a gradient; elsewhere it says nothing.
        assigned
            What `style.assign` gave.
        """
        steps = group.slots["steps"]
        present = np.array([g is not None for g in gradients], np.float64)
        if present.all():
            counted = usable = style.read(steps) + 1.0
        else:
            counted = style.read(steps) + put(present, steps.device)
            # A parameter that waits may have no step yet, and 1 - beta**0 must not divide.
            usable = ops.maximum(counted, 1.0)
        return usable, style.assign(steps, counted)

    # -- training ----------------------------------------------------------------------------

    def apply(self, gradients: Iterable[Any]) -> Any:
        """Update every parameter from given gradients.

        Parameters
        ----------
        gradients : iterable
            One per parameter, of its shape; None leaves the parameter and its state as they are.

        Returns
        -------
        Update to fetch, in a graph; None in eager code

        Raises
        ------
        ShapeError
            When there is not one gradient per parameter, or the shapes differ.
        DTypeError
            When a gradient is no operand.
        """
        given = list(gradients)
        if len(given) != len(self.parameters):
            raise ShapeError(
                f"apply: one gradient per parameter is needed, got {len(given)} for "
                f"{len(self.parameters)}"
            )
        for parameter, gradient in zip(self.parameters, given):
            if gradient is not None:
                _check_gradient(parameter, gradient)
        # Plain arrays have no style of their own: they take that of the parameters.
        style = dispatch.style_of(self.parameters[0], *(g for g in given if g is not None))
        given = [
            g if g is None or isinstance(g, Operand) else style.constant(as_plain(g, "apply"))
            for g in given
        ]
        rest = iter(given)
        done: list[Any] = []
        for group in self.param_groups:
            own = list(islice(rest, len(group.parameters)))
            if any(g is not None for g in own):
                done += self.update(style, group, own)
        return style.together(done)

    def step(self) -> None:
        """Update every parameter from its ``.grad``, in eager code.

        Raises
        ------
        TapeError
            When a graph is being built: there are no ``.grad`` in it.
        """
        if dispatch.is_building():
            raise TapeError(
                "step: a graph has no .grad, got a call while one is built; use minimize"
            )
        self.apply([None if p.grad is None else p.grad.detach() for p in self.parameters])

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

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters:
            parameter.grad = None

    # -- state -------------------------------------------------------------------------------

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

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all state, the rates included, as NumPy arrays by name.

        The other hyperparameters are no state: they are what the optimiser is made with.
        """
        return {name: storage.numpy().copy() for name, storage in self._state.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Write state back, in place. Training goes on bit for bit as it would have.

        Raises
        ------
        UnknownNameError
            When names are missing or unexpected. Nothing is written then.
        ShapeError, DTypeError
            When an array does not fit. Nothing is written then.
        """
        load_storages("load_state_dict", self._state, state)
        for group in self.param_groups:
            group.initial_lr = group.lr.item()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.param_groups))})"


def _check_gradient(parameter: Any, gradient: Any) -> None:
    if not hasattr(gradient, "shape"):
        raise DTypeError(
            f"apply: gradients must be tensors, values or arrays, got {type(gradient).__name__}"
        )
    if gradient.shape != parameter.shape:
        raise ShapeError(
            "apply: a gradient must have the shape of its parameter, got "
            f"{show(gradient.shape)} for {show(parameter.shape)}"
        )


def in_dtypes(operand: Any) -> Callable[[Any], Any]:
    """A number in double precision, as a function that gives it in the dtype of a parameter.

    Each dtype is converted once.
    """
    made: dict[np.dtype, Any] = {}

    def of(parameter: Any) -> Any:
        dtype = parameter.dtype
        if dtype not in made:
            made[dtype] = ops.astype(operand, dtype)
        return made[dtype]

    return of
