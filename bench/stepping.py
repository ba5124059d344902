"""Steps, as modes and peers take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Stepping:
    """What takes steps on batches."""

    def step(self, batch: Any) -> list[Any]:
        """One step on a batch; what it computes, then its gradients, as arrays.

        Of a training step the gradients are given only where they were asked for.
        """
        raise NotImplementedError(f"{type(self).__name__}: step")

    def steps(self, batches: Sequence[Any]) -> list[Any]:
        """One step on each of some batches; what the last gives."""
        results: list[Any] = []
        for batch in batches:
            results = self.step(batch)
        return results
