"""Loading one batch, wherever that happens, and what a dataset can ask about it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from operator import getitem
from typing import Any

import numpy as np

from .collate import default_collate
from .dataset import Subset, TensorDataset

_MOST_SHOWN = 16


@dataclass(frozen=True)
class WorkerInfo:
    """Who loads the batch; see `get_worker_info`.

    Attributes
    ----------
    id : int
        Counted from 0; 0 as well where the loader has no workers.
    num_workers, loader_seed, epoch, batch : int
    seed : int
        From the loader's seed, the epoch and the worker. With it a worker process has seeded
        `random`, `numpy.random` and `diptych.manual_seed`, which threads share and do not.
    generator : numpy.random.Generator
        Anew for each batch, from the loader's seed, the epoch and the number of the batch: what is
        drawn from it does not depend on how many workers there are, nor on where a pass was
        resumed.
    """

    id: int
    num_workers: int
    loader_seed: int
    epoch: int
    batch: int

    @cached_property
    def seed(self) -> int:
        return worker_seed(self.loader_seed, self.epoch, self.id)

    @cached_property
    def generator(self) -> np.random.Generator:
        return np.random.default_rng(
            np.random.SeedSequence((self.loader_seed, self.epoch), spawn_key=(1, self.batch))
        )


class _Current(threading.local):
    info: WorkerInfo | None = None


_current = _Current()


def get_worker_info() -> WorkerInfo | None:
    """Who is loading a batch on this thread; None where nobody is.

    Examples
    --------
    >>> class Noise(dt.data.Dataset):
    ...     def __len__(self):
    ...         return 4
    ...     def __getitem__(self, index):
    ...         return dt.data.get_worker_info().generator.normal()
    >>> alone = dt.data.DataLoader(Noise(), batch_size=2)
    >>> shared = dt.data.DataLoader(Noise(), batch_size=2, num_workers=2)
    >>> [x.tolist() for x in alone] == [x.tolist() for x in shared]
    True
    """
    return _current.info


def worker_seed(seed: int, epoch: int, worker: int) -> int:
    """A number in ``0..2**32 - 1`` for a worker in an epoch."""
    sequence = np.random.SeedSequence((seed, epoch), spawn_key=(0, worker))
    return int(sequence.generate_state(1)[0])


@dataclass(frozen=True)
class Task:
    """A batch to load: its number in the epoch, counted from 0, and the indices of its samples."""

    number: int
    indices: Sequence[int]


@dataclass(frozen=True)
class Fetcher:
    """Loads batches of one pass. It travels to worker processes.

    Parameters
    ----------
    dataset : Dataset
    collate_fn : callable or None
        None for `default_collate`.
    seed, epoch : int
    num_workers : int
    """

    dataset: Any
    collate_fn: Callable[[list[Any]], Any] | None
    seed: int
    epoch: int
    num_workers: int

    def worker_of(self, task: Task) -> int:
        """Which worker loads a batch: it follows from the batch's number."""
        return task.number % self.num_workers if self.num_workers else 0

    def __call__(self, task: Task, stopped: Callable[[], bool] = lambda: False) -> Any:
        """The batch of a task; None as soon as `stopped` says that nobody waits for it.

        An error gets a note that names the index at which it was raised.
        """
        before = _current.info  # of the loader whose dataset holds this one
        _current.info = WorkerInfo(
            self.worker_of(task), self.num_workers, self.seed, self.epoch, task.number
        )
        try:
            return self._load(task, stopped)
        finally:
            _current.info = before

    def _load(self, task: Task, stopped: Callable[[], bool]) -> Any:
        if self.collate_fn is None:
            rows = self._noting(task, task.indices, lambda: _rows(self.dataset, task.indices))
            if rows is not None:
                return rows
        samples = []
        for index in task.indices:
            if stopped():
                return None
            samples.append(self._noting(task, [index], partial(getitem, self.dataset, index)))
        collate = self.collate_fn or default_collate
        return self._noting(task, task.indices, lambda: collate(samples))

    def _noting(self, task: Task, indices: Sequence[int], load: Callable[[], Any]) -> Any:
        try:
            return load()
        except Exception as error:
            shown = ", ".join(map(str, indices[:_MOST_SHOWN]))
            more = ", ..." if len(indices) > _MOST_SHOWN else ""
            which = "index" if len(indices) == 1 else "indices"
            error.add_note(
                f"DataLoader: raised for {which} {shown}{more}, in batch {task.number} of epoch "
                f"{self.epoch}"
            )
            raise


def _rows(dataset: Any, indices: Sequence[int]) -> tuple[Any, ...] | None:
    """A batch taken at once, where a dataset is nothing but arrays; otherwise None."""
    while type(dataset) is Subset:
        indices = list(map(dataset.inner, indices))
        dataset = dataset.dataset
    return dataset.take(indices) if type(dataset) is TensorDataset else None
