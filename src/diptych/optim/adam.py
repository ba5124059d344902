"""Adam."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..graphs import ops
from ..graphs.errors import ArgumentError
from .groups import ParameterGroup
from .hyperparameters import require, require_at_least_0
from .optimizer import Optimizer


class Adam(Optimizer):
    """Adam with bias correction.

    ``m = b1 m + (1 - b1) g``, ``v = b2 v + (1 - b2) g^2``,
    ``p = p - lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)``, where ``t`` counts the
    steps in which the parameter had a gradient.

    Parameters
    ----------
    parameters : iterable of Parameter, or of dict
        A dict makes a group with hyperparameters of its own; see `Optimizer`.
    lr : float
        Learning rate, at least 0.
    betas : tuple of two floats
        Decay of the moments, each in ``0 <= beta < 1``.
    eps : float
        Above 0.
    weight_decay : float
        At least 0. ``weight_decay * p`` is added to the gradient; see `AdamW` for another way.

    Raises
    ------
    DTypeError, UnknownNameError, ArgumentError
        As `Optimizer` does.

    Notes
    -----
    D. Kingma and J. Ba, Adam: A Method for Stochastic Optimization, ICLR 2015.

    Examples
    --------
    >>> w = dt.nn.Parameter([1.0])
    >>> dt.optim.Adam([w], lr=0.5).minimize((w * w).sum())
    >>> round(w.item(), 3)
    0.5
    """

    decoupled = False

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        *,
        weight_decay: float = 0.0,
    ) -> None:
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(parameters, options)

    def check(self, options: Mapping[str, Any]) -> None:
        betas = options["betas"]
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise ArgumentError(f"optimizer: betas must be two numbers, got {betas!r}")
        for beta in betas:
            require("betas", beta, "in 0 <= beta < 1", lambda v: 0 <= v < 1)
        require("eps", options["eps"], "above 0", lambda v: v > 0)
        require_at_least_0("weight_decay", options["weight_decay"])

    def begin(self, group: ParameterGroup) -> None:
        self.step_slot(group)
        self.slots(group, "first")
        self.slots(group, "second")

    def numbers(self, group: ParameterGroup, lr: Any, steps: Any) -> dict[str, Any]:
        beta1, beta2 = group["betas"]
        # One number per parameter, for each has had steps of its own.
        found = {"rate": lr / (1.0 - beta1**steps), "scale": ops.sqrt(1.0 - beta2**steps)}
        if self.decoupled:
            found["kept"] = 1.0 - group["weight_decay"] * lr
        return found

    def rule(self, options: Any, p: Any, g: Any, state: dict[str, Any], numbers: Any) -> Any:
        (beta1, beta2), decay = options["betas"], options["weight_decay"]
        if self.decoupled:
            p = numbers["kept"] * p
        elif decay:
            g = g + decay * p
        m = state["first"] = beta1 * state["first"] + (1 - beta1) * g
        v = state["second"] = beta2 * state["second"] + (1 - beta2) * (g * g)
        return p - numbers["rate"] * m / (ops.sqrt(v) / numbers["scale"] + options["eps"])
