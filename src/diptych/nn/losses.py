"""Losses as modules."""

from __future__ import annotations

from typing import Any

from . import functional
from .module import Module


class CrossEntropyLoss(Module):
    """Mean cross-entropy between softmax(logits) and integer labels; see `cross_entropy`."""

    def forward(self, logits: Any, labels: Any) -> Any:
        return functional.cross_entropy(logits, labels)


class MSELoss(Module):
    """Mean of the squared differences; see `functional.mse_loss`."""

    def forward(self, x: Any, target: Any) -> Any:
        return functional.mse_loss(x, target)
