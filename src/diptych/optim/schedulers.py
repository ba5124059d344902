"""Learning-rate schedules that follow from the number of the step alone."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..graphs.errors import ArgumentError, DTypeError, ShapeError, TapeError
from ..graphs.ops import dispatch
from ..graphs.storage import Storage, load_storages
from .hyperparameters import require, require_at_least_0, require_whole
from .optimizer import Optimizer


class LRScheduler:
    """Writes the learning rate of every group; subclasses define `rate`.

    A schedule starts from the rates that the user gave (`ParameterGroup.initial_lr`), so it does
    not matter what another schedule has written before. It writes storages: eager code, a compiled
    function and a static program take the new rate at their next step, and nothing is compiled
    again.

    Parameters
    ----------
    optimizer : Optimizer

    Attributes
    ----------
    last_epoch : int
        How often `step` was called. An epoch is what the caller makes it: a pass or a batch.
    base_lrs : list of float
        Rates that the schedule starts from, one per group.

    Raises
    ------
    DTypeError
        When it is given no optimiser.
    ArgumentError
        When a hyperparameter is out of range.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise DTypeError(
                f"{type(self).__name__}: needs an optimiser, got {type(optimizer).__name__}"
            )
        self.optimizer = optimizer
        starts = [group.initial_lr for group in optimizer.param_groups]
        self._epoch = Storage(np.zeros((), np.int64), "last_epoch")
        self._base = Storage(np.array(starts, np.float64), "base_lrs")
        self._state: dict[str, Storage] = {"last_epoch": self._epoch, "base_lrs": self._base}
        self._go_to(0)

    @property
    def last_epoch(self) -> int:
        return self._epoch.item()

    @property
    def base_lrs(self) -> list[float]:
        return self._base.array.tolist()

    def rate(self, base: float, epoch: int, position: int) -> float:
        """The rate of a group in an epoch.

        Parameters
        ----------
        base : float
            What the group starts from.
        epoch : int
            Counted from 0.
        position : int
            Of the group.
        """
        raise NotImplementedError(f"{type(self).__name__}: must define rate, got none")

    def rates(self, epoch: int) -> list[float]:
        """The rates of all groups in an epoch."""
        return [self.rate(base, epoch, i) for i, base in enumerate(self.base_lrs)]

    def get_last_lr(self) -> list[float]:
        """The rates that the groups have now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def step(self) -> None:
        """Go to the next epoch and write its rates.

        Raises
        ------
        TapeError
            When a graph is being built: it would write once, and not in every run.
        ShapeError
            When the optimiser has groups that the schedule has no rate for.
        """
        outside_graphs(type(self).__name__)
        self._go_to(self.last_epoch + 1)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all state as NumPy arrays by name. Hyperparameters and functions are none."""
        return {name: storage.numpy().copy() for name, storage in self._state.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Write state back, and the rates that belong to it.

        Raises
        ------
        UnknownNameError
            When names are missing or unexpected. Nothing is written then.
        ShapeError, DTypeError
            When an array does not fit. Nothing is written then.
        """
        self._check_groups()
        load_storages("load_state_dict", self._state, state)
        self._go_to(self.last_epoch)

    def _go_to(self, epoch: int) -> None:
        """Write the rates of an epoch, or nothing and an error."""
        self._check_groups()
        rates = self.rates(epoch)
        for rate in rates:
            require_at_least_0("the rate", rate, type(self).__name__)
        for group, rate in zip(self.optimizer.param_groups, rates):
            group.write_lr(rate)
        self._epoch.write(np.array(epoch, np.int64))

    def _check_groups(self) -> None:
        own, groups = len(self.base_lrs), len(self.optimizer.param_groups)
        if own != groups:
            raise ShapeError(
                f"{type(self).__name__}: one rate per group is needed, got {own} for {groups}; "
                "make the schedule after the last group"
            )


class StepLR(LRScheduler):
    """Multiply the rate by `gamma` every `step_size` epochs.

    Parameters
    ----------
    optimizer : Optimizer
    step_size : int
        At least 1.
    gamma : float
        At least 0.

    Raises
    ------
    DTypeError, ArgumentError
        As `LRScheduler` does.

    Examples
    --------
    >>> optimizer = dt.optim.SGD([dt.nn.Parameter([1.0])], lr=1.0)
    >>> schedule = StepLR(optimizer, step_size=2, gamma=0.5)
    >>> [schedule.step() or optimizer.lr for _ in range(4)]
    [1.0, 0.5, 0.5, 0.25]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        require_whole("step_size", step_size, 1, "StepLR")
        require_at_least_0("gamma", gamma, "StepLR")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def rate(self, base: float, epoch: int, position: int) -> float:
        return base * self.gamma ** (epoch // self.step_size)


class MultiStepLR(LRScheduler):
    """Multiply the rate by `gamma` at each of some epochs.

    Parameters
    ----------
    optimizer : Optimizer
    milestones : sequence of int
        Epochs, none before the one ahead of it.
    gamma : float
        At least 0.

    Raises
    ------
    DTypeError, ArgumentError
        As `LRScheduler` does.

    Examples
    --------
    >>> optimizer = dt.optim.SGD([dt.nn.Parameter([1.0])], lr=1.0)
    >>> schedule = MultiStepLR(optimizer, [1, 3], gamma=0.5)
    >>> [schedule.step() or optimizer.lr for _ in range(4)]
    [0.5, 0.5, 0.25, 0.25]
    """

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1) -> None:
        self.milestones = _milestones("MultiStepLR", milestones)
        require_at_least_0("gamma", gamma, "MultiStepLR")
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, base: float, epoch: int, position: int) -> float:
        return base * self.gamma ** bisect_right(self.milestones, epoch)


class ExponentialLR(LRScheduler):
    """Multiply the rate by `gamma` every epoch.

    Parameters
    ----------
    optimizer : Optimizer
    gamma : float
        At least 0.

    Raises
    ------
    DTypeError, ArgumentError
        As `LRScheduler` does.

    Examples
    --------
    >>> optimizer = dt.optim.SGD([dt.nn.Parameter([1.0])], lr=1.0)
    >>> schedule = ExponentialLR(optimizer, gamma=0.5)
    >>> [schedule.step() or optimizer.lr for _ in range(3)]
    [0.5, 0.25, 0.125]
    """

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        require_at_least_0("gamma", gamma, "ExponentialLR")
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, base: float, epoch: int, position: int) -> float:
        return base * self.gamma**epoch


class CosineAnnealingLR(LRScheduler):
    """``eta_min + (base - eta_min) * (1 + cos(pi * epoch / T_max)) / 2``.

    After `T_max` epochs it is `eta_min`; after as many more it is the first rate again.

    Parameters
    ----------
    optimizer : Optimizer
    T_max : int
        At least 1.
    eta_min : float
        At least 0.

    Raises
    ------
    DTypeError, ArgumentError
        As `LRScheduler` does.

    Notes
    -----
    I. Loshchilov and F. Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, ICLR 2017,
    without the restarts.

    Examples
    --------
    >>> optimizer = dt.optim.SGD([dt.nn.Parameter([1.0])], lr=1.0)
    >>> schedule = CosineAnnealingLR(optimizer, T_max=2)
    >>> [schedule.step() or round(optimizer.lr, 6) for _ in range(4)]
    [0.5, 0.0, 0.5, 1.0]
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        require_whole("T_max", T_max, 1, "CosineAnnealingLR")
        require_at_least_0("eta_min", eta_min, "CosineAnnealingLR")
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer)

    def rate(self, base: float, epoch: int, position: int) -> float:
        part = (1 + math.cos(math.pi * epoch / self.T_max)) / 2
        return self.eta_min + (base - self.eta_min) * part


class LinearLR(LRScheduler):
    """Multiply the rate by a factor that goes straight from one number to another: a warm-up.

    Parameters
    ----------
    optimizer : Optimizer
    start_factor : float
        In the first epoch, above 0 and at most 1.
    end_factor : float
        After `total_iters` epochs and from then on, in ``0 <= end_factor <= 1``.
    total_iters : int
        At least 1.

    Raises
    ------
    DTypeError, ArgumentError
        As `LRScheduler` does.

    Examples
    --------
    >>> optimizer = dt.optim.SGD([dt.nn.Parameter([1.0])], lr=1.0)
    >>> schedule = LinearLR(optimizer, start_factor=0.25, total_iters=3)
    >>> optimizer.lr, [schedule.step() or optimizer.lr for _ in range(4)]
    (0.25, [0.5, 0.75, 1.0, 1.0])
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
    ) -> None:
        rule = "in 0 < start_factor <= 1"
        require("start_factor", start_factor, rule, lambda v: 0 < v <= 1, "LinearLR")
        rule = "in 0 <= end_factor <= 1"
        require("end_factor", end_factor, rule, lambda v: 0 <= v <= 1, "LinearLR")
        require_whole("total_iters", total_iters, 1, "LinearLR")
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = total_iters
        super().__init__(optimizer)

    def rate(self, base: float, epoch: int, position: int) -> float:
        part = min(epoch, self.total_iters) / self.total_iters
        return base * (self.start_factor + (self.end_factor - self.start_factor) * part)


class LambdaLR(LRScheduler):
    """Multiply the rate by a function of the epoch.

    Parameters
    ----------
    optimizer : Optimizer
    lr_lambda : callable, or sequence of callables
        From the epoch to a factor, at least 0; one for all groups, or one per group. No function
        is saved with the state.

    Raises
    ------
    DTypeError, ArgumentError
        As `LRScheduler` does; also when the function is none, or gives something else.
    ShapeError
        When there is not one function per group.

    Examples
    --------
    >>> optimizer = dt.optim.SGD([dt.nn.Parameter([1.0])], lr=1.0)
    >>> schedule = LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch))
    >>> [schedule.step() or optimizer.lr for _ in range(3)]
    [0.5, 0.3333333333333333, 0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
    ) -> None:
        alone = callable(lr_lambda)
        functions: list[Any] = [lr_lambda] if alone else list(lr_lambda)  # type: ignore[arg-type]
        for function in functions:
            if not callable(function):
                raise DTypeError(
                    f"LambdaLR: lr_lambda must be callable, got {type(function).__name__}"
                )
        groups = len(getattr(optimizer, "param_groups", ()))
        if not alone and len(functions) != groups:
            raise ShapeError(
                f"LambdaLR: one function per group is needed, got {len(functions)} for {groups}"
            )
        self.lr_lambdas = functions * groups if alone else functions
        super().__init__(optimizer)

    def rate(self, base: float, epoch: int, position: int) -> float:
        return base * self.lr_lambdas[position](epoch)


class SequentialLR(LRScheduler):
    """Schedules one after another, each counting its epochs from 0.

    Parameters
    ----------
    optimizer : Optimizer
    schedulers : sequence of LRScheduler
        Of this optimiser. They are asked for their rates and not stepped themselves.
    milestones : sequence of int
        Epochs at which the second, third, ... takes over.

    Raises
    ------
    DTypeError
        When something is no schedule of epochs.
    ArgumentError
        When a schedule is of another optimiser, or milestones do not rise.
    ShapeError
        When there is not one milestone between each two schedules.

    Examples
    --------
    >>> optimizer = dt.optim.SGD([dt.nn.Parameter([1.0])], lr=1.0)
    >>> warm_up = LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> schedule = SequentialLR(optimizer, [warm_up, ExponentialLR(optimizer, 0.5)], [2])
    >>> optimizer.lr, [schedule.step() or optimizer.lr for _ in range(4)]
    (0.5, [0.75, 1.0, 0.5, 0.25])
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
    ) -> None:
        self.schedulers = list(schedulers)
        self.milestones = _milestones("SequentialLR", milestones)
        for scheduler in self.schedulers:
            if not isinstance(scheduler, LRScheduler):
                raise DTypeError(
                    "SequentialLR: takes schedules that follow from the epoch alone, got "
                    f"{type(scheduler).__name__}"
                )
            if scheduler.optimizer is not optimizer:
                raise ArgumentError(
                    "SequentialLR: schedules must be of its own optimiser, got "
                    f"{type(scheduler).__name__} of another"
                )
        if len(self.schedulers) != len(self.milestones) + 1:
            raise ShapeError(
                "SequentialLR: one milestone between each two schedules is needed, got "
                f"{len(self.milestones)} for {len(self.schedulers)}"
            )
        super().__init__(optimizer)
        for position, scheduler in enumerate(self.schedulers):
            for name, storage in scheduler._state.items():
                self._state[f"schedulers.{position}.{name}"] = storage

    def rates(self, epoch: int) -> list[float]:
        turn = bisect_right(self.milestones, epoch)
        start = self.milestones[turn - 1] if turn else 0
        return self.schedulers[turn].rates(epoch - start)


def outside_graphs(name: str) -> None:
    """Raises TapeError while a graph is being built."""
    if dispatch.is_building():
        raise TapeError(
            f"{name}: a schedule moves between runs, got a step while a graph is built; step it in "
            "eager code"
        )


def _milestones(where: str, given: Iterable[int]) -> list[int]:
    milestones = list(given)
    for milestone in milestones:
        require_whole("milestones", milestone, 0, where)
    if milestones != sorted(milestones):
        raise ArgumentError(f"{where}: milestones must rise, got {milestones}")
    return milestones
