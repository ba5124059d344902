"""Adam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..graphs import ops
from ..graphs.ops.dispatch import Style
from ..graphs.storage import Storage
from .optimizer import Optimizer, require


class Adam(Optimizer):
    """Adam with bias correction.

    ``m = b1 m + (1 - b1) g``, ``v = b2 v + (1 - b2) g^2``,
    ``p = p - lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)``.

    Parameters
    ----------
    parameters : iterable of Parameter
    lr : float
        Learning rate, at least 0.
    betas : tuple of two floats
        Decay of the moments, each in ``0 <= beta < 1``.
    eps : float
        Above 0.

    Raises
    ------
    DTypeError, ArgumentError
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

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(parameters, lr)
        for beta in betas:
            require("betas", beta, "in 0 <= beta < 1", lambda v: 0 <= v < 1)
        require("eps", eps, "above 0", lambda v: v > 0)
        self.betas, self.eps = betas, eps
        self._steps = self._state["steps"] = Storage(np.zeros((), np.float32), "steps")
        self._first, self._second = self.slots("first"), self.slots("second")

    def update(self, style: Style, gradients: list[Any]) -> list[Any]:
        beta1, beta2 = self.betas
        steps = style.read(self._steps) + 1
        rate = style.read(self._lr) / (1 - ops.pow(beta1, steps))
        scale = ops.sqrt(1 - ops.pow(beta2, steps))
        done = [style.assign(self._steps, steps)]
        for p, g, first, second in zip(self.parameters, gradients, self._first, self._second):
            if g is None:
                continue
            m = beta1 * style.read(first) + (1 - beta1) * g
            v = beta2 * style.read(second) + (1 - beta2) * (g * g)
            step = rate * m / (ops.sqrt(v) / scale + self.eps)
            done += [style.assign(first, m), style.assign(second, v)]
            done.append(style.assign(p.storage, style.read(p.storage) - step))
        return done
