"""The crew: one worker process a mode or peer; one has the turn and the others sleep."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from .pinning import thread_times
from .task import Task
from .worker import serve

TIME_LIMIT = 600.0  # seconds for one request, after which a worker counts as hung
REST_S = 0.01
LONGEST_REST_S = 1.0


class WorkerError(Exception):
    """A worker could not do what it was asked; the text says why."""


class Handle:
    """The parent's end of a worker.

    Parameters
    ----------
    source : str or callable
        Name of a workload, which a fresh interpreter builds; or a function that builds a task,
        which a forked process calls, for it exists in this process alone.
    options : dict
        Of `Worker`.
    environment : mapping, optional
        Variables of a fresh interpreter, beside those that limit threads.

    Attributes
    ----------
    process : int
    """

    def __init__(
        self,
        source: str | Callable[[], Task],
        options: dict[str, Any],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        here, there = Pipe()
        self._connection: Connection = here
        if isinstance(source, str):
            self.process, self._stop = _spawn(there, options["threads"], environment or {})
            here.send_bytes(json.dumps({"workload": source, **options}).encode())
        else:
            self.process, self._stop = _fork(here, there, source, options)
        there.close()

    def ask(self, do: str, **arguments: Any) -> Any:
        """Give the worker the turn, and wait for its answer.

        Raises
        ------
        WorkerError
            When it raised, ended or took longer than the time limit.
        """
        try:
            self._connection.send_bytes(json.dumps({"do": do, "with": arguments}).encode())
            if not self._connection.poll(TIME_LIMIT):
                raise WorkerError(f"{do}: took over {TIME_LIMIT:.0f} seconds")
            reply = json.loads(self._connection.recv_bytes())
        except (EOFError, OSError):
            raise WorkerError(f"{do}: the process ended unexpectedly") from None
        if "error" in reply:
            raise WorkerError(reply["error"])
        return reply["answer"]

    def close(self) -> None:
        """Let the worker end."""
        # Hanging up would not do: processes forked later hold copies of this end of the pipe.
        with suppress(OSError):
            self._connection.send_bytes(json.dumps({"do": "end"}).encode())
        self._connection.close()
        self._stop()


def rest(crew: Collection[Handle]) -> None:
    """Wait until all workers sleep: the pools of some spin for long when their work is done, and
    would take cores from the next in turn.

    One that never sleeps, or a system that does not tell, is waited for no longer than a moment.
    """
    before, end = _ran(crew), time.perf_counter() + LONGEST_REST_S
    while time.perf_counter() < end:
        time.sleep(REST_S)
        now = _ran(crew)
        if 0 <= now - before < 0.01 * REST_S * 1e9:  # less than before: a thread has ended
            return
        before = now


def _ran(crew: Collection[Handle]) -> int:
    """Nanoseconds that all threads of all workers have run."""
    return sum(sum(thread_times(handle.process).values()) for handle in crew)


def _spawn(
    there: Connection, threads: int, more: Mapping[str, str]
) -> tuple[int, Callable[[], None]]:
    """The process and what ends it."""
    pools = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(pools, str(threads)), **more}
    fd = there.fileno()
    process = subprocess.Popen(
        [sys.executable, "-c", "from diptych.bench.worker import main; main()", str(fd)],
        pass_fds=[fd],
        env=environment,
        start_new_session=True,
    )

    def stop() -> None:
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    return process.pid, stop


def _fork(
    here: Connection, there: Connection, build: Callable[[], Task], options: dict[str, Any]
) -> tuple[int, Callable[[], None]]:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            here.close()
            serve(there, build, options)
            code = 0
        finally:
            os._exit(code)  # neither the parent's buffers nor its exit handlers are this process's

    def stop() -> None:
        for _ in range(500):
            if os.waitpid(pid, os.WNOHANG)[0]:
                return
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    return pid, stop
