"""Adagrad."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..graphs import ops
from .groups import ParameterGroup
from .hyperparameters import require, require_at_least_0
from .optimizer import Optimizer


class Adagrad(Optimizer):
    """``s = s + g^2``, ``p = p - lr / (1 + (t - 1) lr_decay) * g / (sqrt(s) + eps)``.

    ``t`` counts the steps in which the parameter had a gradient.

    Parameters
    ----------
    parameters : iterable of Parameter, or of dict
        A dict makes a group with hyperparameters of its own; see `Optimizer`.
    lr : float
        Learning rate, at least 0.
    lr_decay : float
        At least 0.
    eps : float
        Above 0.
    initial_accumulator_value : float
        What the sums ``s`` start from, at least 0.
    weight_decay : float
        At least 0. ``weight_decay * p`` is added to the gradient.

    Raises
    ------
    DTypeError, UnknownNameError, ArgumentError
        As `Optimizer` does.

    Notes
    -----
    J. Duchi, E. Hazan and Y. Singer, Adaptive Subgradient Methods for Online Learning and
    Stochastic Optimization, JMLR 12, 2011.

    Examples
    --------
    >>> w = dt.nn.Parameter([1.0])
    >>> dt.optim.Adagrad([w], lr=0.5).minimize((w * w).sum())
    >>> round(w.item(), 3)
    0.5
    """

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float = 1e-2,
        *,
        lr_decay: float = 0.0,
        eps: float = 1e-10,
        initial_accumulator_value: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        options = {
            "lr": lr, "lr_decay": lr_decay, "eps": eps,
            "initial_accumulator_value": initial_accumulator_value, "weight_decay": weight_decay,
        }  # fmt: skip
        super().__init__(parameters, options)

    def check(self, options: Mapping[str, Any]) -> None:
        require("eps", options["eps"], "above 0", lambda v: v > 0)
        for name in ("lr_decay", "initial_accumulator_value", "weight_decay"):
            require_at_least_0(name, options[name])

    def begin(self, group: ParameterGroup) -> None:
        self.step_slot(group)
        self.slots(group, "sum", group["initial_accumulator_value"])

    def numbers(self, group: ParameterGroup, lr: Any, steps: Any) -> dict[str, Any]:
        return {"rate": lr / (1.0 + (steps - 1.0) * group["lr_decay"])}

    def rule(self, options: Any, p: Any, g: Any, state: dict[str, Any], numbers: Any) -> Any:
        if options["weight_decay"]:
            g = g + options["weight_decay"] * p
        s = state["sum"] = state["sum"] + g * g
        return p - numbers["rate"] * g / (ops.sqrt(s) + options["eps"])
