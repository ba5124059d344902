"""DataLoader: batches of arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..graphs.errors import ArgumentError, ShapeError


class DataLoader:
    """Iterates over arrays in batches; each pass is an epoch with an order of its own.

    Parameters
    ----------
    *arrays : array or Tensor
        With equal first axes.
    batch_size : int
        At least 1.
    shuffle : bool
    seed : int
        With the number of the epoch it decides the order.
    drop_last : bool
        Leave out a last batch that is smaller.

    Attributes
    ----------
    epoch : int
        Number of the next pass; assign it to repeat or resume one.

    Raises
    ------
    ShapeError
        When there is no array, or first axes differ or are missing.
    ArgumentError
        When `batch_size` is below 1.

    Examples
    --------
    >>> loader = DataLoader(np.arange(5), batch_size=2, shuffle=False)
    >>> [batch.tolist() for (batch,) in loader]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        *arrays: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        arrays = tuple(getattr(a, "array", a) for a in arrays)
        lengths = [len(a) if getattr(a, "shape", ()) else None for a in arrays]
        if not arrays or len(set(lengths)) != 1 or lengths[0] is None:
            raise ShapeError(f"DataLoader: arrays must have equal first axes, got {lengths}")
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ArgumentError(f"DataLoader: batch_size must be at least 1, got {batch_size!r}")
        self.arrays, self.batch_size, self.shuffle = arrays, batch_size, shuffle
        self.seed, self.drop_last = seed, drop_last
        self.epoch = 0
        self._count: int = lengths[0]

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        full, rest = divmod(self._count, self.batch_size)
        return full + (1 if rest and not self.drop_last else 0)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        order = np.arange(self._count)
        if self.shuffle:
            np.random.default_rng((self.seed, self.epoch)).shuffle(order)
        self.epoch += 1
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            chosen = order[start : start + self.batch_size]
            yield tuple(array[chosen] for array in self.arrays)
