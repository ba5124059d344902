"""What workers do, and worker threads."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from ..graphs.errors import DiptychError
from .fetch import Fetcher, Task


class WorkerError(DiptychError, RuntimeError):
    """A worker process died, or raised an error that cannot travel between processes."""


class Workers(Protocol):
    """Loads batches elsewhere, and gives them in the order in which they were asked for."""

    def submit(self, task: Task) -> None:
        """Ask for a batch. It does not wait for it."""

    def receive(self) -> Any:
        """The next batch that was asked for, or the error that loading it raised."""

    def close(self) -> None:
        """Leave nothing running. What was asked for and not received is dropped."""


class ThreadWorkers:
    """Threads of this process. Each loads its own batches, one after another.

    Parameters
    ----------
    fetcher : Fetcher
    """

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._stop = threading.Event()
        self._threads = [
            ThreadPoolExecutor(1, thread_name_prefix=f"diptych-loader-{worker}")
            for worker in range(fetcher.num_workers)
        ]
        self._asked: deque[tuple[int, Future[Any]]] = deque()

    def submit(self, task: Task) -> None:
        worker = self._fetcher.worker_of(task)
        loading = self._threads[worker].submit(self._fetcher, task, self._stop.is_set)
        self._asked.append((worker, loading))

    def receive(self) -> Any:
        worker, loading = self._asked.popleft()
        try:
            return loading.result()
        except Exception as error:
            error.add_note(f"DataLoader: raised in worker thread {worker}")
            raise

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.shutdown(wait=False, cancel_futures=True)
        # A thread cannot be ended from outside: it ends with the sample that it is loading.
        for thread in self._threads:
            thread.shutdown(wait=True)
