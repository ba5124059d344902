"""RMSprop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..graphs import ops
from .groups import ParameterGroup
from .hyperparameters import require, require_at_least_0, require_flag
from .optimizer import Optimizer


class RMSprop(Optimizer):
    """``s = alpha s + (1 - alpha) g^2``, ``p = p - lr * g / (sqrt(s) + eps)``.

    Parameters
    ----------
    parameters : iterable of Parameter, or of dict
        A dict makes a group with hyperparameters of its own; see `Optimizer`.
    lr : float
        Learning rate, at least 0.
    alpha : float
        Decay of the mean square, in ``0 <= alpha < 1``.
    eps : float
        Above 0.
    momentum : float
        In ``0 <= momentum < 1``. With it ``b = momentum b + g / (sqrt(s) + eps)`` is gathered, and
        the step is ``lr * b``.
    centered : bool
        Take the variance in place of ``s``: subtract the square of the mean gradient, whose decay
        is `alpha`, too.
    weight_decay : float
        At least 0. ``weight_decay * p`` is added to the gradient.

    Raises
    ------
    DTypeError, UnknownNameError, ArgumentError
        As `Optimizer` does.

    Notes
    -----
    G. Hinton, Neural Networks for Machine Learning, lecture 6, 2012; centred as in A. Graves,
    Generating Sequences With Recurrent Neural Networks, 2013.

    Examples
    --------
    >>> w = dt.nn.Parameter([1.0])
    >>> dt.optim.RMSprop([w], lr=0.05).minimize((w * w).sum())
    >>> round(w.item(), 3)
    0.5
    """

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float = 1e-2,
        *,
        alpha: float = 0.99,
        eps: float = 1e-8,
        momentum: float = 0.0,
        centered: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        options = {
            "lr": lr, "alpha": alpha, "eps": eps, "momentum": momentum, "centered": centered,
            "weight_decay": weight_decay,
        }  # fmt: skip
        super().__init__(parameters, options)

    def check(self, options: Mapping[str, Any]) -> None:
        require("alpha", options["alpha"], "in 0 <= alpha < 1", lambda v: 0 <= v < 1)
        require("eps", options["eps"], "above 0", lambda v: v > 0)
        require("momentum", options["momentum"], "in 0 <= momentum < 1", lambda v: 0 <= v < 1)
        require_flag("centered", options["centered"])
        require_at_least_0("weight_decay", options["weight_decay"])

    def begin(self, group: ParameterGroup) -> None:
        self.slots(group, "square")
        if group["centered"]:
            self.slots(group, "mean")
        if group["momentum"]:
            self.slots(group, "velocity")

    def rule(self, options: Any, p: Any, g: Any, state: dict[str, Any], numbers: Any) -> Any:
        alpha, momentum = options["alpha"], options["momentum"]
        if options["weight_decay"]:
            g = g + options["weight_decay"] * p
        spread = state["square"] = alpha * state["square"] + (1 - alpha) * (g * g)
        if options["centered"]:
            mean = state["mean"] = alpha * state["mean"] + (1 - alpha) * g
            # Rounding can put a variance of 0 just below it.
            spread = ops.maximum(spread - mean * mean, 0.0)
        step = g / (ops.sqrt(spread) + options["eps"])
        if momentum:
            step = state["velocity"] = momentum * state["velocity"] + step
        return p - numbers["lr"] * step
