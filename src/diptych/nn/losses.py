"""Losses as modules."""

from __future__ import annotations

from typing import Any

from ..graphs import ops
from .module import Module


class CrossEntropyLoss(Module):
    """Mean cross-entropy between softmax(logits) and integer labels; see `cross_entropy`."""

    def forward(self, logits: Any, labels: Any) -> Any:
        return ops.cross_entropy(logits, labels)
