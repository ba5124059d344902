"""AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .adam import Adam


class AdamW(Adam):
    """Adam with decoupled weight decay: ``p = (1 - lr * weight_decay) * p`` before its step.

    The decay does not pass through the moments, so it is as strong for a parameter with large
    gradients as for one with small ones.

    Parameters
    ----------
    parameters, lr, betas, eps
        As for `Adam`.
    weight_decay : float
        At least 0.

    Raises
    ------
    DTypeError, UnknownNameError, ArgumentError
        As `Optimizer` does.

    Notes
    -----
    I. Loshchilov and F. Hutter, Decoupled Weight Decay Regularization, ICLR 2019.

    Examples
    --------
    >>> w = dt.nn.Parameter([1.0])
    >>> dt.optim.AdamW([w], lr=0.5, weight_decay=0.5).minimize((w * w).sum())
    >>> round(w.item(), 3)
    0.25
    """

    decoupled = True

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        *,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay=weight_decay)
