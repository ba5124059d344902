"""DataLoader: batches of a dataset."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from typing import Any

import numpy as np

from ..graphs.devices import Device, put
from ..graphs.errors import ArgumentError, DTypeError, ShapeError, unknown
from ..graphs.storage import Storage, load_storages
from ..graphs.trees import flatten, unflatten
from .collate import is_array
from .dataset import TensorDataset, check_seed
from .fetch import Fetcher, Task
from .samplers import (
    BatchSampler,
    RandomSampler,
    SequentialSampler,
    check_batch_size,
    set_epoch,
)
from .workers import ThreadWorkers, Workers


def _processes(fetcher: Fetcher) -> Workers:
    from .processes import ProcessWorkers  # it loads what few programs need

    return ProcessWorkers(fetcher)


_WORKERS: dict[str, Callable[[Fetcher], Workers]] = {"thread": ThreadWorkers, "process": _processes}


class DataLoader:
    """Iterates over a dataset in batches; each pass is an epoch with an order of its own.

    The order is the same however many workers there are. Workers live as long as a pass: when it
    ends, or is left early, none stays behind. Only one pass is under way at a time.

    Parameters
    ----------
    *data : Dataset, or arrays and Tensors
        One dataset: whatever has ``len()`` and takes an index. Or arrays with equal first axes,
        of which a batch is a tuple.
    batch_size : int
        At least 1.
    shuffle : bool
    seed : int
        With the number of the epoch it decides the order, and what workers draw.
    drop_last : bool
        Leave out a last batch that is smaller.
    sampler : iterable of int, optional
        Decides the order in place of `shuffle`.
    batch_sampler : iterable of lists of int, optional
        Decides the batches in place of `batch_size`, `shuffle`, `sampler` and `drop_last`.
    num_workers : int
        0 loads each batch when it is asked for.
    workers : {"thread", "process"}
        Threads start at once and share memory: right where loading waits, or spends its time in
        NumPy. Processes are for Python code; the dataset and `collate_fn` are pickled, and a script
        needs ``if __name__ == "__main__":``, for each imports it.
    prefetch_factor : int
        Batches that are asked of each worker ahead, at least 1.
    collate_fn : callable, optional
        From a list of samples to a batch; `default_collate` by default.
    device : Device or str, optional
        Put the arrays of a batch there, while the one before is being used.

    Attributes
    ----------
    epoch : int
        Number of the next pass; assign it to repeat one.

    Raises
    ------
    ShapeError
        When arrays have no equal first axes.
    DTypeError
        When something is neither a dataset nor an array.
    ArgumentError
        When a number is out of range, or arguments exclude each other.
    UnknownNameError
        When there is no such kind of workers.
    DeviceError
        When the device is unknown or not here.

    Examples
    --------
    >>> loader = DataLoader(np.arange(5), batch_size=2, shuffle=False)
    >>> [batch.tolist() for (batch,) in loader]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        *data: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        workers: str = "thread",
        prefetch_factor: int = 2,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        device: Device | str | None = None,
    ) -> None:
        self.dataset = _dataset(data)
        check_batch_size("DataLoader", batch_size)
        check_batch_size("DataLoader", prefetch_factor, "prefetch_factor")
        if not isinstance(num_workers, int) or isinstance(num_workers, bool) or num_workers < 0:
            raise ArgumentError(f"DataLoader: num_workers must be at least 0, got {num_workers!r}")
        if workers not in _WORKERS:
            raise unknown("DataLoader: workers", workers, _WORKERS)
        given = batch_size != 1 or shuffle or drop_last or sampler is not None
        if batch_sampler is not None and given:
            raise ArgumentError(
                "DataLoader: a batch_sampler excludes batch_size, shuffle, sampler and drop_last, "
                f"got {batch_size}, {shuffle}, {sampler} and {drop_last}"
            )
        for name, again in (("sampler", sampler), ("batch_sampler", batch_sampler)):
            if isinstance(again, Iterator):
                raise DTypeError(
                    f"DataLoader: a {name} must give its indices anew in each epoch, got an "
                    f"iterator, {type(again).__name__}"
                )
        if sampler is not None and shuffle:
            raise ArgumentError("DataLoader: a sampler excludes shuffle, got both")
        self.seed = check_seed("DataLoader", seed)
        self.num_workers, self.workers = num_workers, workers
        self.prefetch_factor, self.collate_fn = prefetch_factor, collate_fn
        self.device = None if device is None else Device.of(device)
        if self.device is not None:
            self.device.xp  # noqa: B018 - raises where there is no such device
        if sampler is None:
            whole = RandomSampler(self.dataset, self.seed) if shuffle else None
            sampler = whole or SequentialSampler(self.dataset)
        self.batch_sampler = (
            BatchSampler(sampler, batch_size, drop_last) if batch_sampler is None else batch_sampler
        )
        self._next = self._start = 0
        self._under_way: tuple[int, int] | None = None

    @property
    def epoch(self) -> int:
        return self._next

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._resume(epoch, 0)

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        return len(self.batch_sampler)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        epoch, start = self._next, self._start
        self._next, self._start, self._under_way = epoch + 1, 0, (epoch, start)
        with closing(self._batches(epoch, start)) as batches:
            for given, batch in enumerate(batches, start + 1):
                self._under_way = (epoch, given)
                yield batch
        self._under_way = None

    def state_dict(self) -> dict[str, np.ndarray]:
        """Where the loader stands: the epoch, and how many of its batches it has given.

        In the body of a loop, the batch in hand counts as given. A pass that was left early is
        still the one under way, until another begins.
        """
        epoch, position = self._under_way or (self._next, self._start)
        return {"epoch": np.array(epoch, np.int64), "position": np.array(position, np.int64)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let the next pass begin where another loader stood. What comes is equal bit for bit.

        Datasets that draw random numbers must draw them from `get_worker_info`'s generator.

        Raises
        ------
        UnknownNameError
            When names are missing or unexpected.
        ShapeError, DTypeError, ArgumentError
            When something is no such number. The loader stays where it was.
        """
        read = {name: Storage(np.zeros((), np.int64), name) for name in ("epoch", "position")}
        load_storages("load_state_dict", read, state)
        self._resume(read["epoch"].item(), read["position"].item())

    def _resume(self, epoch: int, position: int) -> None:
        for name, value in (("epoch", epoch), ("position", position)):
            if not isinstance(value, int | np.integer) or value < 0:
                raise ArgumentError(f"DataLoader: {name} must be at least 0, got {value!r}")
        if position and position > len(self):
            raise ArgumentError(
                f"DataLoader: position must be within the {len(self)} batches, got {position}"
            )
        self._next, self._start, self._under_way = int(epoch), int(position), None

    def _batches(self, epoch: int, start: int) -> Generator[Any, None, None]:
        """The batches of an epoch from the one numbered `start` on."""
        set_epoch(self.batch_sampler, epoch)
        fetcher = Fetcher(self.dataset, self.collate_fn, self.seed, epoch, self.num_workers)
        chosen = islice(enumerate(self.batch_sampler), start, None)
        tasks = (Task(number, indices) for number, indices in chosen)
        loaded = self._by_workers(fetcher, tasks) if self.num_workers else _alone(fetcher, tasks)
        return loaded if self.device is None else _put_ahead(loaded, self.device)

    def _by_workers(self, fetcher: Fetcher, tasks: Iterator[Task]) -> Generator[Any, None, None]:
        """Batches loaded by workers, asked for some way ahead."""
        workers = _WORKERS[self.workers](fetcher)
        asked = 0
        try:
            for task in tasks:
                workers.submit(task)
                asked += 1
                if asked == self.num_workers * self.prefetch_factor:
                    yield workers.receive()
                    asked -= 1
            for _ in range(asked):
                yield workers.receive()
        finally:
            workers.close()


def _alone(fetcher: Fetcher, tasks: Iterator[Task]) -> Generator[Any, None, None]:
    for task in tasks:
        yield fetcher(task)


_END = object()


def _put_ahead(batches: Generator[Any, None, None], device: Device) -> Generator[Any, None, None]:
    """Batches on a device: a thread fetches and moves the next while one is in use."""

    def advance() -> Any:
        batch = next(batches, _END)
        return batch if batch is _END else _put(batch, device)

    thread = ThreadPoolExecutor(1, thread_name_prefix="diptych-loader-device")
    try:
        moving = thread.submit(advance)
        while (batch := moving.result()) is not _END:
            moving = thread.submit(advance)
            yield batch
    finally:
        thread.shutdown(wait=True, cancel_futures=True)
        batches.close()


def _put(batch: Any, device: Device) -> Any:
    leaves, structure = flatten(batch)
    arrays = [getattr(leaf, "array", leaf) for leaf in leaves]
    return unflatten(structure, [put(x, device) if is_array(x) else x for x in arrays])


def _dataset(data: tuple[Any, ...]) -> Any:
    """The one dataset that a loader was given, or its arrays as one."""
    shapes = [getattr(d, "shape", None) for d in data]
    if len(data) == 1 and shapes[0] is None:
        if not (hasattr(data[0], "__len__") and hasattr(data[0], "__getitem__")):
            raise DTypeError(
                "DataLoader: needs a dataset with __len__ and __getitem__, or arrays, got "
                f"{type(data[0]).__name__}"
            )
        return data[0]
    try:
        return TensorDataset(*data)
    except ShapeError as error:
        raise ShapeError(str(error).replace("TensorDataset", "DataLoader", 1)) from None
