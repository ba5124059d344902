"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..graphs.ops.dispatch import Style
from .optimizer import Optimizer, require


class SGD(Optimizer):
    """``v = momentum * v + g``, ``p = p - lr * v``; without momentum ``p = p - lr * g``.

    Parameters
    ----------
    parameters : iterable of Parameter
    lr : float
        Learning rate, at least 0.
    momentum : float
        In ``0 <= momentum < 1``.

    Raises
    ------
    DTypeError, ArgumentError
        As `Optimizer` does.

    Examples
    --------
    >>> w = dt.nn.Parameter([1.0])
    >>> dt.optim.SGD([w], lr=0.5).minimize((w * w).sum())
    >>> w.detach().numpy()
    array([0.], dtype=float32)
    """

    def __init__(self, parameters: Iterable[Any], lr: float, momentum: float = 0.0) -> None:
        super().__init__(parameters, lr)
        require("momentum", momentum, "in 0 <= momentum < 1", lambda v: 0 <= v < 1)
        self.momentum = momentum
        self._velocity = self.slots("velocity") if momentum else [None] * len(self.parameters)

    def update(self, style: Style, gradients: list[Any]) -> list[Any]:
        lr = style.read(self._lr)
        done = []
        for p, g, v in zip(self.parameters, gradients, self._velocity):
            if g is None:
                continue
            if v is not None:
                g = self.momentum * style.read(v) + g
                done.append(style.assign(v, g))
            done.append(style.assign(p.storage, style.read(p.storage) - lr * g))
        return done
