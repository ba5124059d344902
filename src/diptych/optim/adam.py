"""Adam."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..graphs import ops
from ..graphs.errors import ArgumentError
from ..graphs.ops.dispatch import Style
from .groups import ParameterGroup
from .hyperparameters import require, require_at_least_0
from .optimizer import Optimizer, in_dtypes


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

    def update(self, style: Style, group: ParameterGroup, gradients: list[Any]) -> list[Any]:
        (beta1, beta2), eps, decay = group["betas"], group["eps"], group["weight_decay"]
        steps, counted = self.advance(style, group, gradients)
        lr = style.read(group.lr)
        # One number per parameter, for each has had steps of its own.
        rates = in_dtypes(lr / (1.0 - beta1**steps))
        scales = in_dtypes(ops.sqrt(1.0 - beta2**steps))
        kept = in_dtypes(1.0 - decay * lr) if self.decoupled else None
        done = [counted]
        for i, (p, g) in enumerate(zip(group.parameters, gradients)):
            if g is None:
                continue
            first, second = group.slots["first"][i], group.slots["second"][i]
            old = style.read(p.storage)
            if kept is not None:
                old = kept(p) * old
            elif decay:
                g = g + decay * old
            m = beta1 * style.read(first) + (1 - beta1) * g
            v = beta2 * style.read(second) + (1 - beta2) * (g * g)
            step = rates(p)[i] * m / (ops.sqrt(v) / scales(p)[i] + eps)
            done += [style.assign(first, m), style.assign(second, v)]
            done.append(style.assign(p.storage, old - step))
        return done
