"""Worker processes.

They are spawned and not forked, for the process has threads. Each has one connection to the loader,
over which indices go and batches come. It listens on a thread of its own, so neither side ever
waits for the other to read, and ends when the connection does, be it because the loader was closed
or because its process died.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import random
import signal
import threading
import traceback
from collections import deque
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np

from ..graphs.errors import DTypeError
from ..graphs.generator import manual_seed
from .fetch import Fetcher, Task, worker_seed
from .workers import WorkerError

_SECONDS_TO_END = 5.0


@dataclass(frozen=True)
class Failure:
    """An error on its way from a worker process.

    Attributes
    ----------
    error : bytes or None
        Pickled; None when it cannot be.
    summary, traceback : str
        The error as text: on one line, and whole.
    """

    error: bytes | None
    summary: str
    traceback: str

    @staticmethod
    def of(error: Exception) -> Failure:
        try:
            packed = _packed(error)
            # Some errors can be packed and not unpacked, as those that want two arguments.
            whole = type(pickle.loads(packed)) is type(error)
        except Exception:
            whole = False
        summary = traceback.format_exception_only(error)[0].strip()
        text = "".join(traceback.format_exception(error))
        return Failure(packed if whole else None, summary, text)

    def restored(self, worker: int) -> Exception:
        """The error, with a note that shows the traceback in the worker."""
        error: Exception
        if self.error is None:
            error = WorkerError(
                f"DataLoader: loading must not fail, got {self.summary} in worker {worker}"
            )
        else:
            error = pickle.loads(self.error)
        error.add_note(f"DataLoader: raised in worker process {worker}:\n{self.traceback.rstrip()}")
        return error


class ProcessWorkers:
    """Processes of their own. Each loads its own batches, one after another.

    Parameters
    ----------
    fetcher : Fetcher
        Pickled to get there.

    Raises
    ------
    DTypeError
        When the dataset or the collate function cannot be pickled.
    """

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._processes: list[Any] = []
        self._connections: list[Connection] = []
        self._asked: deque[Task] = deque()
        try:
            packed = _packed(fetcher)
        except Exception as error:
            raise DTypeError(
                "DataLoader: worker processes need a dataset and a collate_fn that can be pickled, "
                f"got {error}"
            ) from error
        try:
            for worker in range(fetcher.num_workers):
                self._start(worker, packed)
        except BaseException:
            self.close()
            raise

    def _start(self, worker: int, packed: bytes) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._connections.append(ours)
        seed = worker_seed(self._fetcher.seed, self._fetcher.epoch, worker)
        process = context.Process(
            target=_serve, args=(theirs, packed, seed), name=f"diptych-loader-{worker}", daemon=True
        )
        # With its end open here, too, a death over there would not end the connection.
        with theirs:
            process.start()
        self._processes.append(process)

    def submit(self, task: Task) -> None:
        worker = self._fetcher.worker_of(task)
        try:
            self._connections[worker].send_bytes(_packed(task))
        except OSError:
            raise self._died(worker) from None
        self._asked.append(task)

    def receive(self) -> Any:
        task = self._asked.popleft()
        worker = self._fetcher.worker_of(task)
        connection = self._connections[worker]
        ends = {process.sentinel: i for i, process in enumerate(self._processes)}
        ready = wait([connection, *ends])
        # A death is told at once, whoever's batch comes next.
        for source in ready:
            if source is not connection:
                raise self._died(ends[source])
        try:
            answer = connection.recv_bytes()
        except (EOFError, OSError):
            raise self._died(worker) from None
        batch = pickle.loads(answer)
        if isinstance(batch, Failure):
            raise batch.restored(worker)
        return batch

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join(_SECONDS_TO_END)
            if process.is_alive():
                process.kill()
                process.join()
            process.close()
        self._connections, self._processes = [], []

    def _died(self, worker: int) -> WorkerError:
        process = self._processes[worker]
        process.join(_SECONDS_TO_END)
        code = process.exitcode
        if code is None:
            how = "its connection closed"
        elif code < 0:
            how = f"signal {-code} ({signal.strsignal(-code)})"
        else:
            how = f"exit code {code}"
        return WorkerError(
            f"DataLoader: a worker process must not end before its pass, got {how} of worker "
            f"{worker}"
        )


def _serve(connection: Connection, packed: bytes, seed: int) -> None:
    """What a worker process does: answer each task with its batch, or with a `Failure`."""
    # Ctrl-C reaches the whole group; the loader ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tasks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, tasks), daemon=True).start()
    random.seed(seed)
    np.random.seed(seed)
    manual_seed(seed)
    fetch = None
    while True:
        task = tasks.get()
        try:
            fetch = fetch or pickle.loads(packed)
            answer = _packed(fetch(pickle.loads(task)))
        except Exception as error:
            answer = _packed(Failure.of(error))
        try:
            connection.send_bytes(answer)
        except OSError:
            os._exit(0)


def _listen(connection: Connection, tasks: queue.SimpleQueue[bytes]) -> None:
    while True:
        try:
            tasks.put(connection.recv_bytes())
        except (EOFError, OSError):
            # Nobody waits for a batch any more, not even for the one being loaded.
            os._exit(0)


def _packed(content: Any) -> bytes:
    return pickle.dumps(content, pickle.HIGHEST_PROTOCOL)
