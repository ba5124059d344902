"""The crew: one worker process a mode or peer; one has the turn and the others sleep."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from .task import Task
from .worker import serve

TIME_LIMIT = 600.0  # seconds for one request, after which a worker counts as hung


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
            self._stop = _spawn(there, options["threads"], environment or {})
            here.send_bytes(json.dumps({"workload": source, **options}).encode())
        else:
            self._stop = _fork(here, there, source, options)
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


def _spawn(there: Connection, threads: int, more: Mapping[str, str]) -> Callable[[], None]:
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

    return stop


def _fork(
    here: Connection, there: Connection, build: Callable[[], Task], options: dict[str, Any]
) -> Callable[[], None]:
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

    return stop
