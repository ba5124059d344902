"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..graphs.errors import ArgumentError
from .groups import ParameterGroup
from .hyperparameters import require, require_at_least_0, require_flag
from .optimizer import Optimizer


class SGD(Optimizer):
    """``v = momentum * v + g``, ``p = p - lr * v``; without momentum ``p = p - lr * g``.

    Parameters
    ----------
    parameters : iterable of Parameter, or of dict
        A dict makes a group with hyperparameters of its own; see `Optimizer`.
    lr : float
        Learning rate, at least 0.
    momentum : float
        In ``0 <= momentum < 1``.
    nesterov : bool
        Step along ``g + momentum * v``, where the next step would look. Needs momentum.
    weight_decay : float
        At least 0. ``weight_decay * p`` is added to the gradient.

    Raises
    ------
    DTypeError, UnknownNameError, ArgumentError
        As `Optimizer` does.

    Notes
    -----
    Y. Nesterov, A method of solving a convex programming problem with convergence rate O(1/k^2),
    1983, in the form of I. Sutskever et al., ICML 2013.

    Examples
    --------
    >>> w = dt.nn.Parameter([1.0])
    >>> dt.optim.SGD([w], lr=0.5).minimize((w * w).sum())
    >>> w.detach().numpy()
    array([0.], dtype=float32)
    """

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        *,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        options = {
            "lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay
        }  # fmt: skip
        super().__init__(parameters, options)

    def check(self, options: Mapping[str, Any]) -> None:
        momentum = options["momentum"]
        require("momentum", momentum, "in 0 <= momentum < 1", lambda v: 0 <= v < 1)
        require_flag("nesterov", options["nesterov"])
        require_at_least_0("weight_decay", options["weight_decay"])
        if options["nesterov"] and not momentum:
            raise ArgumentError(f"optimizer: nesterov needs momentum above 0, got {momentum}")

    def begin(self, group: ParameterGroup) -> None:
        if group["momentum"]:
            self.slots(group, "velocity")

    def rule(self, options: Any, p: Any, g: Any, state: dict[str, Any], numbers: Any) -> Any:
        momentum = options["momentum"]
        if options["weight_decay"]:
            g = g + options["weight_decay"] * p
        if momentum:
            v = state["velocity"] = momentum * state["velocity"] + g
            g = g + momentum * v if options["nesterov"] else v
        return p - numbers["lr"] * g
