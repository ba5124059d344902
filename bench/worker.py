"""A worker: one mode of one task in a process of its own, asleep until it is told to go on.

Messages are JSON, one a line of bytes each way. The parent passes the turn from worker to worker.
"""

from __future__ import annotations

import hashlib
import json
import signal
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl

from ..graphs.devices import CPU, Device, put
from ..graphs.errors import DTypeError
from ..graphs.kernels import Recorder, recording
from . import modes
from .modes import Mode
from .pinning import pin_busiest
from .task import Task
from .workloads import find


def serve(connection: Connection, build: Callable[[], Task], options: dict[str, Any]) -> None:
    """Answer the parent's requests until it says "end" or hangs up.

    An error is an answer, too: ``{"error": text}``; the worker ends after it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    worker: Worker | None = None
    with threadpoolctl.threadpool_limits(options["threads"]):
        while True:
            try:
                request = json.loads(connection.recv_bytes())
            except EOFError:
                return
            if request["do"] == "end":
                return
            try:
                worker = worker or Worker(build, **options)
                answer = getattr(worker, request["do"])(**request.get("with", {}))
                reply, ended = json.dumps({"answer": answer}), False
            except Exception as error:
                reply, ended = json.dumps({"error": _described(error)}), True
            try:
                connection.send_bytes(reply.encode())
            except OSError:  # the parent was interrupted and no longer listens
                return
            if ended:
                return


class Worker:
    """What a worker can be asked to do.

    Parameters
    ----------
    build : callable
        Makes the task anew.
    mode, executor : str
    threads : int
    device : str
    """

    def __init__(
        self, build: Callable[[], Task], mode: str, executor: str, threads: int, device: str
    ) -> None:
        self._build, self._executor, self._threads = build, executor, threads
        self._mode = modes.find(mode)
        self._device = Device.of(device)
        self._running: Mode | None = None
        self._losses: list[float] = []

    def certify(self, steps: int) -> dict[str, Any]:
        """Run with executor `reference` and all passes off; hash kernels and numbers.

        Of long steps there are fewer: at most as many batches as were asked for, or one step.
        """
        task = self._task()
        steps = max(1, steps // task.batches_a_step)
        mode = self._mode(task, "reference", passes=(), gradients=True)
        mode.prepare(self._batch(task, 0))
        kernels, numbers = hashlib.sha256(), hashlib.sha256()
        for number in range(steps * task.batches_a_step):
            with recording(Recorder()) as recorder:
                results = mode.step(self._batch(task, number))
                kernels.update(recorder.certificate(results).encode())
            for array in results:
                numbers.update(put(array, CPU).tobytes())
        for storage in task.storages:
            numbers.update(storage.numpy().tobytes())
        return {
            "certificate": kernels.hexdigest(),
            "numbers": numbers.hexdigest(),
            "steps": steps,
            "device": str(self._device),
        }

    def start(self) -> dict[str, Any]:
        """Build, compile and take the first step of a new task, each timed."""
        task = self._task()
        batch = self._batch(task, 0)
        mode = self._mode(task, self._executor)
        mode.prepare(batch)
        prepared = mode.build_s + mode.compile_s
        begin = time.perf_counter()
        result = self._step(mode, 0)
        elapsed = time.perf_counter() - begin
        # What a mode builds or compiles only when it is first called is told apart here.
        within = mode.build_s + mode.compile_s - prepared
        self._running, self._losses = mode, [_first_number(result)]
        return {
            "build_s": mode.build_s,
            "compile_s": mode.compile_s,
            "first_step_s": elapsed - within,
            "executor": mode.executor,
        }

    def pin(self) -> list[int]:
        """Pin the threads that the warm-up has made busy."""
        return pin_busiest(self._threads)

    def steps(self, count: int) -> list[float]:
        """Take steps; the seconds of each, until its result is in memory."""
        mode = self._current()
        seconds = []
        for _ in range(count):
            batches = self._batches(mode.task, len(self._losses))
            begin = time.perf_counter()
            for batch in batches:
                result = mode.step(batch)[0]
            _synchronise(result)
            seconds.append(time.perf_counter() - begin)
            self._losses.append(_first_number(result))
        return seconds

    def finish(self, weights: str) -> dict[str, Any]:
        """What the training came to, and the exact counts of one more step.

        Parameters
        ----------
        weights : str
            Where to write the final weights, as an ``.npz`` file.
        """
        mode = self._current()
        task = mode.task
        parameters = [storage.numpy().copy() for storage in task.storages]
        np.savez(weights, *parameters)
        accuracy = None if task.evaluate is None else float(task.evaluate())
        with recording(Recorder()) as recorder:
            self._step(mode, len(self._losses))
        return {
            "losses": self._losses,
            "accuracy": accuracy,
            "peak_bytes": recorder.peak_bytes,
            "operators": recorder.operators,
            "launches": recorder.launches,
            "bytes_moved": recorder.bytes_moved,
            "flop": recorder.flop,
            "allocations": recorder.allocations,
            "memory_timeline": recorder.timeline,
            "graph_svg": mode.graph_svg(),
        }

    def _current(self) -> Mode:
        if self._running is None:
            raise RuntimeError("steps: a worker must start before it goes on, got no start")
        return self._running

    def _task(self) -> Task:
        task = self._build()
        if not isinstance(task, Task):
            raise DTypeError(f"compare: build must give a Task, got {type(task).__name__}")
        if self._device != CPU:
            for storage in task.storages:
                storage.move(self._device)
            if task.optimizer is not None:
                task.optimizer.to(self._device)
        return task

    def _step(self, mode: Mode, step: int) -> Any:
        """One step; what its last batch computes."""
        for batch in self._batches(mode.task, step):
            result = mode.step(batch)[0]
        return result

    def _batches(self, task: Task, step: int) -> list[tuple[Any, ...]]:
        first = step * task.batches_a_step
        return [self._batch(task, first + i) for i in range(task.batches_a_step)]

    def _batch(self, task: Task, number: int) -> tuple[Any, ...]:
        return tuple(put(array, self._device) for array in task.batch(number))


def _described(error: Exception) -> str:
    """An error in one line, with its notes and the line of the user's program that raised it."""
    notes = list(getattr(error, "__notes__", ()))
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not _is_ours(f.filename)]
    if frames:
        notes.append(f"at {frames[-1].filename}:{frames[-1].lineno}")
    text = f"{type(error).__name__}: {error}"
    return f"{text} ({'; '.join(notes)})" if notes else text


def _is_ours(file: str) -> bool:
    return Path(file).parent == Path(__file__).parent


def _first_number(array: Any) -> float:
    """The loss, or of an array its first element."""
    return float(array.reshape(-1)[0])


def _synchronise(array: Any) -> None:
    if hasattr(array, "device") and not isinstance(array, np.ndarray):
        array.device.synchronize()


def main() -> None:
    """Serve the parent whose connection is the file descriptor given as argument."""
    connection = Connection(int(sys.argv[1]))
    options = json.loads(connection.recv_bytes())
    serve(connection, find(options.pop("workload")).build, options)
