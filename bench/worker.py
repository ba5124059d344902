"""A worker: a mode or peer with one task in a process of its own, asleep until told to go on.

Messages are JSON, one a line of bytes each way. The parent passes the turn from worker to worker.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl

from ..compiler.native.library import prepare
from ..compiler.native.toolchain import CompileError
from ..graphs.devices import CPU, Device, put
from ..graphs.errors import DTypeError
from ..graphs.kernels import Recorder, recording
from ..graphs.threads import set_num_threads
from . import modes, peers
from .pinning import pin_busiest, thread_times
from .task import Task
from .workloads import find

# After these steps every row keeps what it computed, so that peers can be compared with modes.
SAMPLED_STEPS = (1, 10, 50)
_SAMPLE = 4096


def serve(connection: Connection, build: Callable[[], Task], options: dict[str, Any]) -> None:
    """Answer the parent's requests until it says "end" or hangs up.

    An error is an answer, too: ``{"error": text}``; the worker ends after it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    worker: Worker | None = None
    kind = PeerWorker if "peer" in options else Worker
    set_num_threads(options["threads"])
    with threadpoolctl.threadpool_limits(options["threads"]):
        while True:
            try:
                request = json.loads(connection.recv_bytes())
            except EOFError:
                return
            if request["do"] == "end":
                return
            try:
                worker = worker or kind(build, **options)
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
    without : sequence of str
        Passes that are left out where time is taken.
    """

    def __init__(
        self, build: Callable[[], Task], mode: str, executor: str, threads: int, device: str,
        without: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self._build, self._executor, self._threads = build, executor, threads
        self._name, self._without = mode, without
        self._device = Device.of(device)
        self._running: Any = None
        self._times: dict[int, int] = {}
        self._losses: list[float] = []
        self._samples: dict[str, np.ndarray] = {}

    def certify(self, steps: int) -> dict[str, Any]:
        """Run with executor `reference` and all passes off; hash kernels and numbers.

        Of long steps there are fewer: at most as many batches as were asked for, or one step.
        """
        task = self._task()
        steps = max(1, steps // task.batches_a_step)
        mode = modes.find(self._name)(task, "reference", passes=(), gradients=True)
        mode.prepare(self._batch(mode, 0))
        kernels, numbers = hashlib.sha256(), hashlib.sha256()
        for number in range(steps * task.batches_a_step):
            with recording(Recorder()) as recorder:
                results = mode.step(self._batch(mode, number))
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
        """Build, compile and take the first step of a new task, each timed.

        The library of native kernels is there before; programs that earlier processes compiled
        are not.
        """
        os.environ["DIPTYCH_PROGRAM_CACHE"] = "0"
        with suppress(CompileError):
            prepare()
        task = self._task()
        mode = self._prepared(task)
        prepared = mode.build_s + mode.compile_s
        self._losses = []
        elapsed = self._step(mode)
        # What a mode builds or compiles only when it is first called is told apart here.
        within = mode.build_s + mode.compile_s - prepared
        self._running = mode
        self._times = thread_times()
        return {
            "build_s": mode.build_s,
            "compile_s": mode.compile_s,
            "first_step_s": elapsed - within,
            "executor": mode.executor,
        }

    def pin(self) -> list[int]:
        """Pin the threads that the warm-up has made busy."""
        return pin_busiest(self._threads, self._times)

    def steps(self, count: int) -> list[float]:
        """Take steps; the seconds of each, until its result is in memory."""
        mode = self._current()
        return [self._step(mode) for _ in range(count)]

    def finish(self, weights: str) -> dict[str, Any]:
        """What the training came to, and the exact counts of one more step.

        Parameters
        ----------
        weights : str
            Where to write the final weights, as an ``.npz`` file, beside samples of what was
            computed.
        """
        mode = self._current()
        task = mode.task
        parameters = {f"weight{i}": s.numpy().copy() for i, s in enumerate(task.storages)}
        _save(weights, parameters | self._samples)
        accuracy = None if task.evaluate is None else float(task.evaluate())
        losses = list(self._losses)
        with recording(Recorder()) as recorder:
            self._step(mode)
        return {
            "losses": losses,
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

    def _current(self) -> Any:
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

    def _prepared(self, task: Task) -> Any:
        """What takes the steps, ready for the first."""
        kind = modes.find(self._name)
        passes = None
        if self._without:
            passes = [p for p in kind.passes_of(self._executor) if p not in self._without]
        mode = kind(task, self._executor, passes)
        mode.prepare(self._batch(mode, 0))
        return mode

    def _step(self, mode: Any) -> float:
        """One step, and its result kept; the seconds until that is in memory."""
        each = mode.task.batches_a_step
        first = len(self._losses) * each
        batches = [self._batch(mode, first + i) for i in range(each)]
        begin = time.perf_counter()
        results = mode.steps(batches)
        self._wait(mode, results)
        elapsed = time.perf_counter() - begin
        # The loss, or of an array its first element.
        self._losses.append(float(self._read(mode, results[0]).reshape(-1)[0]))
        taken = len(self._losses)
        if taken in SAMPLED_STEPS:
            for position, array in enumerate(results):
                self._samples[f"step{taken}.{position}"] = _sample(self._read(mode, array))
        return elapsed

    def _wait(self, mode: Any, results: Sequence[Any]) -> None:
        _synchronise(results[0])

    def _read(self, mode: Any, array: Any) -> np.ndarray:
        return put(array, CPU)

    def _batch(self, mode: Any, number: int) -> tuple[Any, ...]:
        return tuple(put(array, self._device) for array in mode.task.batch(number))


class PeerWorker(Worker):
    """A worker of another framework, which has neither a certificate nor counters.

    Parameters
    ----------
    build : callable
        Makes the task anew, for its weights and batches.
    workload : str
    peer : str
        The file of the peer, as a dotted name.
    options
        Of `Worker`.
    """

    def __init__(self, build: Callable[[], Task], workload: str, peer: str, **options: Any) -> None:
        super().__init__(build, **options)
        self._workload, self._peer = workload, peers.load(peer)

    def finish(self, weights: str) -> dict[str, Any]:
        _save(weights, self._samples)
        return {"losses": self._losses, "graph_svg": ""}

    def _prepared(self, task: Task) -> peers.Peer:
        peer = self._peer(self._workload, task, self._threads)
        peer.prepare()
        return peer

    def _batch(self, mode: peers.Peer, number: int) -> tuple[Any, ...]:
        return mode.load(mode.task.batch(number))

    def _wait(self, mode: peers.Peer, results: Sequence[Any]) -> None:
        mode.wait(results)

    def _read(self, mode: peers.Peer, array: Any) -> np.ndarray:
        return mode.read(array)


def _described(error: Exception) -> str:
    """An error in one line, with its notes and the line of the user's program that raised it."""
    notes = list(getattr(error, "__notes__", ()))
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not _is_ours(f.filename)]
    if frames:
        notes.append(f"at {frames[-1].filename}:{frames[-1].lineno}")
    text = f"{type(error).__name__}: {error}"
    return f"{text} ({'; '.join(notes)})" if notes else text


def _is_ours(file: str) -> bool:
    return Path(file).is_relative_to(Path(__file__).parent)


def _save(path: str, arrays: dict[str, Any]) -> None:
    np.savez(path, **arrays)


def _sample(array: np.ndarray) -> np.ndarray:
    """Some thousand elements of an array, evenly apart; a copy."""
    flat = array.reshape(-1)
    return flat[:: 1 + flat.size // _SAMPLE].copy()


def _synchronise(array: Any) -> None:
    if hasattr(array, "device") and not isinstance(array, np.ndarray):
        array.device.synchronize()


def main() -> None:
    """Serve the parent whose connection is the file descriptor given as argument."""
    connection = Connection(int(sys.argv[1]))
    options = json.loads(connection.recv_bytes())
    workload = find(options["workload"])
    rung = options.pop("rung", None)
    build = workload.build if rung is None else workload.rung(rung).build
    if "peer" not in options:
        del options["workload"]
    serve(connection, build, options)
