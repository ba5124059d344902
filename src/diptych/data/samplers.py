"""Samplers: the order of indices in an epoch, which seed and epoch decide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import Any

import numpy as np

from ..graphs.errors import ArgumentError, ShapeError
from .dataset import check_seed


class Sampler:
    """Base of samplers: an iterable of indices, or of lists of them, with a length.

    A loader calls `set_epoch` before each pass. What a sampler gives must follow from its epoch
    alone, so that a pass can be repeated, and resumed in its middle.

    Attributes
    ----------
    epoch : int
    """

    epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which pass comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Number of indices, or of lists."""
        raise NotImplementedError(f"{type(self).__name__}: must define __len__, got none")

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__}: must define __iter__, got none")


class SequentialSampler(Sampler):
    """Every index once, in rising order.

    Parameters
    ----------
    dataset : Dataset

    Examples
    --------
    >>> list(SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, dataset: Sized) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.dataset)))


class RandomSampler(Sampler):
    """Every index once, in an order that the seed and the epoch decide.

    Parameters
    ----------
    dataset : Dataset
    seed : int
        At least 0.

    Raises
    ------
    ArgumentError
        When the seed is out of range.

    Examples
    --------
    >>> sampler = RandomSampler(range(5), seed=1)
    >>> first = list(sampler)
    >>> sorted(first), first == list(sampler)
    ([0, 1, 2, 3, 4], True)
    """

    def __init__(self, dataset: Sized, seed: int = 0) -> None:
        self.dataset, self.seed = dataset, check_seed("RandomSampler", seed)

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[int]:
        order = np.arange(len(self.dataset))
        np.random.default_rng((self.seed, self.epoch)).shuffle(order)
        return iter(order.tolist())


class BatchSampler(Sampler):
    """The indices of another sampler in lists of one size.

    Parameters
    ----------
    sampler : iterable of int
    batch_size : int
        At least 1.
    drop_last : bool
        Leave out a last list that is shorter.

    Raises
    ------
    ArgumentError
        When `batch_size` is below 1.

    Examples
    --------
    >>> list(BatchSampler(range(5), 2))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool = False) -> None:
        check_batch_size("BatchSampler", batch_size)
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def set_epoch(self, epoch: int) -> None:
        super().set_epoch(epoch)
        set_epoch(self.sampler, epoch)

    def __len__(self) -> int:
        full, rest = divmod(len(self.sampler), self.batch_size)  # type: ignore[arg-type]
        return full + (1 if rest and not self.drop_last else 0)

    def __iter__(self) -> Iterator[list[int]]:
        indices = iter(self.sampler)
        while chosen := list(islice(indices, self.batch_size)):
            if len(chosen) == self.batch_size or not self.drop_last:
                yield chosen


class BucketSampler(Sampler):
    """Batches of samples of about the same length, so that little is padded.

    The order is drawn at random, cut into windows, each window sorted by length and cut into
    batches, and the order of the batches drawn at random. So a batch is of similar lengths, and
    still differs from epoch to epoch.

    Parameters
    ----------
    lengths : sequence of int
        Of every sample.
    batch_size : int
        At least 1.
    seed : int
        At least 0; with the epoch it decides the batches.
    shuffle : bool
        If not, all samples are sorted, shortest first, in every epoch.
    drop_last : bool
        Leave out as many samples as would make a smaller batch.
    window : int
        Batches' worth of samples that are sorted together, at least 1. The more, the less is
        padded and the more alike are the epochs.

    Raises
    ------
    ArgumentError
        When a number is out of range.
    ShapeError
        When `lengths` has not one axis.

    Examples
    --------
    >>> lengths = [5, 1, 4, 2, 5, 1]
    >>> batches = list(BucketSampler(lengths, 2))
    >>> sorted([lengths[i] for i in batch] for batch in batches)
    [[1, 1], [2, 4], [5, 5]]
    """

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = False,
        window: int = 50,
    ) -> None:
        check_batch_size("BucketSampler", batch_size)
        check_batch_size("BucketSampler", window, "window")
        self.lengths = np.asarray(lengths)
        if self.lengths.ndim != 1:
            raise ShapeError(
                f"BucketSampler: lengths must have one axis, got shape {self.lengths.shape}"
            )
        self.batch_size, self.seed = batch_size, check_seed("BucketSampler", seed)
        self.shuffle, self.drop_last, self.window = shuffle, drop_last, window

    def __len__(self) -> int:
        full, rest = divmod(len(self.lengths), self.batch_size)
        return full + (1 if rest and not self.drop_last else 0)

    def __iter__(self) -> Iterator[list[int]]:
        count, size = len(self.lengths), self.batch_size
        order = np.arange(count)
        rng = np.random.default_rng((self.seed, self.epoch))
        if self.shuffle:
            rng.shuffle(order)
        if self.drop_last:
            # Before sorting: otherwise it would be the longest that are never seen.
            order = order[: count - count % size]
        step = self.window * size if self.shuffle else max(count, 1)
        batches: list[list[int]] = []
        for start in range(0, len(order), step):
            window = order[start : start + step]
            window = window[np.argsort(self.lengths[window], kind="stable")].tolist()
            batches += [window[i : i + size] for i in range(0, len(window), size)]
        if self.shuffle:
            batches = [batches[i] for i in rng.permutation(len(batches))]
        return iter(batches)


def set_epoch(sampler: Any, epoch: int) -> None:
    """Say which pass comes next to a sampler that wants to know."""
    if hasattr(sampler, "set_epoch"):
        sampler.set_epoch(epoch)


def check_batch_size(where: str, value: Any, name: str = "batch_size") -> None:
    """Raises ArgumentError unless the value is a whole number from 1 up."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise ArgumentError(f"{where}: {name} must be at least 1, got {value!r}")
