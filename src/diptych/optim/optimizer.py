"""The base of all optimisers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from ..graphs import ops
from ..graphs.avals import show
from ..graphs.devices import Device, put
from ..graphs.errors import ArgumentError, DTypeError, ShapeError, TapeError, unknown
from ..graphs.operand import Operand
from ..graphs.ops import dispatch
from ..graphs.ops.plain import as_plain
from ..graphs.storage import Storage, load_storages
from ..graphs.sweep import Sweep
from .groups import ParameterGroup, check_group, read_groups


class Optimizer:
    """Updates parameters from gradients; subclasses define `check`, `begin` and `rule`.

    One whose new numbers depend on more than what lies at their place, such as a norm of the
    gradient, defines `update` in place of `rule`.

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
        self._shapes: list[Any] = []
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
        self._shapes.extend([p.shape for p in added.parameters])

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

    def numbers(self, group: ParameterGroup, lr: Any, steps: Any) -> dict[str, Any]:
        """What `rule` reads beside arrays, in operators: the rate by itself, unless overridden.

        Parameters
        ----------
        group : ParameterGroup
        lr : operand, shape (), float64
        steps : operand, shape (number of parameters,), float64, or None
            See `step_slot`. From 1 where there is a gradient; elsewhere it says nothing.

        Returns
        -------
        dict
            From names to operands of float64: one number, or one for each parameter.
        """
        return {"lr": lr}

    def rule(
        self, options: Mapping[str, Any], p: Any, g: Any, state: dict[str, Any], numbers: Any
    ) -> Any:
        """The new value of a parameter, in operators that compute each element from its place.

        It depends on its operands and on hyperparameters alone: what it computes of one parameter
        is done to all that are alike.

        Parameters
        ----------
        options : mapping
            The group's hyperparameters, but for its rate, which is among the numbers.
        p, g : operands
            The parameter and its gradient.
        state : dict
            From the names of `slots` to operands of the parameter's shape; new values are put here.
        numbers : mapping
            What `numbers` gave, for this parameter and in its dtype.

        Returns
        -------
        operand

        Raises
        ------
        UnknownNameError
            By the caller, when something else is put into `state`.
        """
        raise NotImplementedError(f"{type(self).__name__}: must define rule or update, got none")

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
        done, steps = [], None
        if "steps" in group.slots:
            steps, counted = self.advance(style, group, gradients)
            done.append(counted)
        numbers = self.numbers(group, style.read(group.lr), steps)
        names, in_dtype = tuple(numbers), in_dtypes(numbers.values())
        left = gradients
        if style is dispatch.default():
            if group.sweep is None:
                group.sweep = Sweep(partial(self._renewed, group, names), group.rows)
            left = group.sweep(gradients, list(numbers.values()))
        for i, (row, g) in enumerate(zip(group.rows, left)):
            if g is None:
                continue
            held = [style.read(storage) for storage in row]
            own = [x[i] if x.shape else x for x in in_dtype(row[0].dtype)]
            for storage, old, new in zip(row, held, self._renewed(group, names, g, held, own)):
                if new is not old:
                    done.append(style.assign(storage, new))
        return done

    def _renewed(
        self, group: ParameterGroup, names: tuple[str, ...], g: Any, held: Any, numbers: Any
    ) -> list[Any]:
        """New values of a row of a group."""
        p, *old = held
        state = dict(zip(group.row_names, old))
        new = self.rule(group.options, p, g, state, dict(zip(names, numbers)))
        for name in state.keys() - group.row_names:
            raise unknown("rule", name, group.row_names)
        return [new, *state.values()]

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
        present = [g is not None for g in gradients]
        if all(present):
            counted = usable = style.read(steps) + 1.0
        else:
            counted = style.read(steps) + put(np.array(present, np.float64), steps.device)
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
        present = [g for g in given if g is not None]
        for shape, gradient in zip(self._shapes, given):
            if gradient is not None and getattr(gradient, "shape", None) != shape:
                raise _misfit(gradient, shape)
        # Plain arrays have no style of their own: they take that of the parameters.
        style = dispatch.style_of(self.parameters[0], *present)
        if not all(isinstance(g, Operand) for g in present):
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
        """Update every parameter from its ``.grad``, in eager code and in compiled functions.

        Raises
        ------
        TapeError
            When a static graph is being built: there are no ``.grad`` in it.
        """
        if not dispatch.has_grads():
            raise TapeError(
                "step: a graph has no .grad, got a call while one is built; use minimize"
            )
        found = [p.grad for p in self.parameters]
        # A traced gradient does not tell whether it records.
        recorded = [g is not None and getattr(g, "requires_grad", True) for g in found]
        self.apply([g.detach() if r else g for g, r in zip(found, recorded)])

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


def _misfit(gradient: Any, shape: Any) -> Exception:
    if not hasattr(gradient, "shape"):
        return DTypeError(
            f"apply: gradients must be tensors, values or arrays, got {type(gradient).__name__}"
        )
    return ShapeError(
        "apply: a gradient must have the shape of its parameter, got "
        f"{show(gradient.shape)} for {show(shape)}"
    )


def in_dtypes(operands: Iterable[Any]) -> Callable[[Any], tuple[Any, ...]]:
    """Numbers in double precision, as a function that gives them in a dtype.

    Each dtype is converted to once.
    """
    given, made = tuple(operands), dict[Any, tuple[Any, ...]]()

    def of(dtype: Any) -> tuple[Any, ...]:
        found = made.get(dtype)
        if found is None:
            found = made[dtype] = tuple([ops.astype(x, dtype) for x in given])
        return found

    return of
