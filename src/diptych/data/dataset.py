"""Datasets: samples by index."""

from __future__ import annotations

import operator
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from ..graphs.errors import ArgumentError, DTypeError, RangeError, ShapeError


class Dataset:
    """Base of datasets. Whatever has ``len()`` and takes an index, as a list does, is one, too.

    Examples
    --------
    >>> class Squares(Dataset):
    ...     def __len__(self):
    ...         return 3
    ...     def __getitem__(self, index):
    ...         return index, index * index
    >>> [x.tolist() for x in next(iter(dt.data.DataLoader(Squares(), batch_size=3)))]
    [[0, 1, 2], [0, 1, 4]]
    """

    def __len__(self) -> int:
        """Number of samples."""
        raise NotImplementedError(f"{type(self).__name__}: must define __len__, got none")

    def __getitem__(self, index: int) -> Any:
        """One sample: an array, a number, text, or tuples, lists and dicts of them."""
        raise NotImplementedError(f"{type(self).__name__}: must define __getitem__, got none")


class TensorDataset(Dataset):
    """Arrays whose rows belong together; a sample is a tuple of one row of each.

    Parameters
    ----------
    *arrays : array or Tensor
        With equal first axes.

    Raises
    ------
    ShapeError
        When there is no array, or first axes differ or are missing.

    Examples
    --------
    >>> data = TensorDataset(np.arange(3), np.arange(6).reshape(3, 2))
    >>> len(data), data[1]
    (3, (np.int64(1), array([2, 3])))
    """

    def __init__(self, *arrays: Any) -> None:
        self.arrays = tuple(getattr(a, "array", a) for a in arrays)
        lengths = [len(a) if getattr(a, "shape", ()) else None for a in self.arrays]
        if not lengths or len(set(lengths)) != 1 or lengths[0] is None:
            raise ShapeError(f"TensorDataset: arrays must have equal first axes, got {lengths}")
        self._count: int = lengths[0]

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        position = _position("TensorDataset", index, self._count)
        return tuple(array[position] for array in self.arrays)

    def take(self, indices: Sequence[int]) -> tuple[Any, ...]:
        """Several samples at once: one array per array, with the rows of `indices`.

        Raises
        ------
        RangeError
            When an index points outside.
        """
        chosen = np.asarray(indices, np.intp)
        wrong = chosen[(chosen < -self._count) | (chosen >= self._count)]
        if wrong.size:
            _position("TensorDataset", int(wrong[0]), self._count)
        return tuple(array[chosen] for array in self.arrays)


class Subset(Dataset):
    """Some samples of a dataset, in an order of their own.

    Parameters
    ----------
    dataset : Dataset
    indices : sequence of int
        Into the dataset.

    Examples
    --------
    >>> list(Subset(["a", "b", "c"], [2, 0]))
    ['c', 'a']
    """

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self.inner(index)]

    def inner(self, index: int) -> int:
        """Where a sample stands in the dataset.

        Raises
        ------
        RangeError
            When the index points outside.
        """
        return self.indices[_position("Subset", index, len(self.indices))]


class ConcatDataset(Dataset):
    """Datasets one after another.

    Parameters
    ----------
    datasets : iterable of Dataset
        One at least.

    Raises
    ------
    ShapeError
        When there is none.

    Examples
    --------
    >>> data = ConcatDataset([["a", "b"], ["c"]])
    >>> len(data), data[2], data[-3]
    (3, 'c', 'a')
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ShapeError("ConcatDataset: one dataset at least is needed, got none")
        self._ends = list(accumulate(map(len, self.datasets)))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Any:
        position = _position("ConcatDataset", index, len(self))
        which = bisect_right(self._ends, position)
        return self.datasets[which][position - (self._ends[which - 1] if which else 0)]


def random_split(dataset: Any, lengths: Sequence[float], seed: int = 0) -> list[Subset]:
    """Split a dataset at random into parts that do not overlap.

    Parameters
    ----------
    dataset : Dataset
    lengths : sequence of int or of float
        Numbers of samples, which sum to that of the dataset; or parts of it, which sum to 1 and of
        which the first get the samples left over by rounding down.
    seed : int
        Of the split, at least 0.

    Returns
    -------
    list of Subset

    Raises
    ------
    ArgumentError
        When the lengths do not sum to the whole, or one is below 0.

    Examples
    --------
    >>> train, test = random_split(range(10), [0.75, 0.25], seed=1)
    >>> len(train), len(test), sorted([*train, *test]) == list(range(10))
    (8, 2, True)
    """
    count = len(dataset)
    sizes = _sizes(lengths, count)
    order = np.random.default_rng(check_seed("random_split", seed)).permutation(count).tolist()
    ends = list(accumulate(sizes))
    return [Subset(dataset, order[end - size : end]) for size, end in zip(sizes, ends)]


def check_seed(where: str, seed: Any) -> int:
    """A seed, if it is a whole number from 0 up.

    Raises
    ------
    ArgumentError
        When it is none.
    """
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or seed < 0:
        raise ArgumentError(f"{where}: seed must be a whole number, at least 0, got {seed!r}")
    return int(seed)


def _sizes(lengths: Sequence[float], count: int) -> list[int]:
    given = list(lengths)
    if all(isinstance(n, int | np.integer) for n in given):
        whole = [int(n) for n in given]
        if min(whole, default=-1) < 0 or sum(whole) != count:
            raise ArgumentError(
                f"random_split: lengths must sum to the {count} samples, got {given}"
            )
        return whole
    if min(given) < 0 or abs(sum(given) - 1) > 1e-9:
        raise ArgumentError(f"random_split: parts must sum to 1, got {given}")
    # A part such as 0.1 of 10 must not lose its sample to the last bit of the product.
    whole = [int(part * count + 1e-9) for part in given]
    for i in range(count - sum(whole)):
        whole[i % len(whole)] += 1
    return whole


def _position(where: str, index: Any, count: int) -> int:
    """An index, counted from the front.

    Raises
    ------
    RangeError
        When it points outside; iteration over a dataset ends by it.
    DTypeError
        When it is no whole number.
    """
    try:
        position = operator.index(index)
    except TypeError:
        raise DTypeError(
            f"{where}: index must be a whole number, got {type(index).__name__}"
        ) from None
    if not -count <= position < count:
        raise RangeError(f"{where}: index must be in {-count}..{count - 1}, got {position}")
    return position % count
