"""A learning-rate schedule that follows a measure of progress."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..graphs.errors import ArgumentError, DTypeError, ShapeError
from ..graphs.storage import Storage, load_storages
from .hyperparameters import require, require_at_least_0, require_whole
from .optimizer import Optimizer
from .schedulers import outside_graphs


class ReduceLROnPlateau:
    """Multiply the rates by `factor` when a measure has stopped getting better.

    Parameters
    ----------
    optimizer : Optimizer
    mode : {"min", "max"}
        Whether smaller or larger is better.
    factor : float
        In ``0 <= factor < 1``.
    patience : int
        Epochs without a better measure that are let pass, at least 0.
    threshold : float
        By how much a measure must be better to count, at least 0.
    threshold_mode : {"rel", "abs"}
        As a part of the best measure, or in its own unit.
    cooldown : int
        Epochs after a reduction in which none is counted, at least 0.
    min_lr : float or sequence of float
        No rate is reduced below it; one for all groups, or one per group.
    eps : float
        A reduction by less is left out, at least 0.

    Attributes
    ----------
    best : float
        The best measure so far.
    num_bad_epochs, cooldown_counter, last_epoch : int

    Raises
    ------
    DTypeError
        When it is given no optimiser.
    ArgumentError
        When a hyperparameter is out of range.
    ShapeError
        When there is not one `min_lr` per group.

    Examples
    --------
    >>> optimizer = dt.optim.SGD([dt.nn.Parameter([1.0])], lr=1.0)
    >>> schedule = ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> [schedule.step(loss) or optimizer.lr for loss in (3.0, 2.0, 2.0, 2.0)]
    [1.0, 1.0, 1.0, 0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        *,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        where = "ReduceLROnPlateau"
        if not isinstance(optimizer, Optimizer):
            raise DTypeError(f"{where}: needs an optimiser, got {type(optimizer).__name__}")
        for name, value, known in (
            ("mode", mode, ("min", "max")),
            ("threshold_mode", threshold_mode, ("rel", "abs")),
        ):
            if value not in known:
                names = " or ".join(map(repr, known))
                raise ArgumentError(f"{where}: {name} must be {names}, got {value!r}")
        require("factor", factor, "in 0 <= factor < 1", lambda v: 0 <= v < 1, where)
        require_whole("patience", patience, 0, where)
        require_whole("cooldown", cooldown, 0, where)
        require_at_least_0("threshold", threshold, where)
        require_at_least_0("eps", eps, where)
        self.optimizer, self.mode, self.factor, self.patience = optimizer, mode, factor, patience
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.cooldown, self.eps = cooldown, eps
        self.min_lrs = _per_group(where, min_lr, len(optimizer.param_groups))
        worst = math.inf if mode == "min" else -math.inf
        self._state: dict[str, Storage] = {
            "best": Storage(np.array(worst, np.float64), "best"),
            "lrs": Storage(np.array(self.get_last_lr(), np.float64), "lrs"),
        }
        for name in ("num_bad_epochs", "cooldown_counter", "last_epoch"):
            self._state[name] = Storage(np.zeros((), np.int64), name)

    @property
    def best(self) -> float:
        return self._state["best"].item()

    @property
    def num_bad_epochs(self) -> int:
        return self._state["num_bad_epochs"].item()

    @property
    def cooldown_counter(self) -> int:
        return self._state["cooldown_counter"].item()

    @property
    def last_epoch(self) -> int:
        return self._state["last_epoch"].item()

    def get_last_lr(self) -> list[float]:
        """The rates that the groups have now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def step(self, measure: Any) -> None:
        """Take the measure of an epoch, and reduce the rates if it is time.

        Parameters
        ----------
        measure : number, or Tensor of one element
            One that is no number counts as not better.

        Raises
        ------
        TapeError
            When a graph is being built: there are no numbers in it.
        ShapeError
            When the optimiser has groups without a `min_lr`.
        """
        outside_graphs("ReduceLROnPlateau")
        value = float(measure)
        groups = len(self.optimizer.param_groups)
        if groups != len(self.min_lrs):
            raise ShapeError(
                f"ReduceLROnPlateau: one min_lr per group is needed, got {len(self.min_lrs)} for "
                f"{groups}"
            )
        better = self._better(value)
        bad = 0 if better else self.num_bad_epochs + 1
        waiting = self.cooldown_counter
        if waiting:
            waiting, bad = waiting - 1, 0
        if bad > self.patience:
            self._reduce()
            waiting, bad = self.cooldown, 0
        if better:
            self._set("best", value)
        self._set("num_bad_epochs", bad)
        self._set("cooldown_counter", waiting)
        self._set("last_epoch", self.last_epoch + 1)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all state, the rates included, as NumPy arrays by name."""
        self._set("lrs", self.get_last_lr())
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
        load_storages("load_state_dict", self._state, state)
        for group, rate in zip(self.optimizer.param_groups, self._state["lrs"].array.tolist()):
            group.write_lr(rate)

    def _set(self, name: str, value: Any) -> None:
        storage = self._state[name]
        storage.write(np.array(value, storage.dtype))

    def _better(self, value: float) -> bool:
        sign = 1.0 if self.mode == "max" else -1.0
        margin = self.threshold
        if self.threshold_mode == "rel" and math.isfinite(self.best):
            margin *= abs(self.best)
        return sign * (value - self.best) > margin

    def _reduce(self) -> None:
        for group, least in zip(self.optimizer.param_groups, self.min_lrs):
            reduced = max(group["lr"] * self.factor, least)
            if group["lr"] - reduced > self.eps:
                group.write_lr(reduced)


def _per_group(where: str, given: float | Sequence[float], groups: int) -> list[float]:
    each: list[Any] = list(given) if isinstance(given, list | tuple) else [given] * groups
    for number in each:
        require_at_least_0("min_lr", number, where)
    if len(each) != groups:
        raise ShapeError(f"{where}: one min_lr per group is needed, got {len(each)} for {groups}")
    return each
