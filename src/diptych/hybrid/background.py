"""Jobs in the background: one thread does them in turn, and ends when none is left.

A process that ends waits for the job that is being done, and for no other. A child that was forked
has none.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any


class Background:
    """Does jobs one after the other."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[Any, Callable[[], None]] = {}
        self._thread: threading.Thread | None = None

    def do(self, name: Any, job: Callable[[], None]) -> None:
        """Do a job in the background, unless one of that name is to be done already."""
        with self._lock:
            self._waiting.setdefault(name, job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="diptych background")
                self._thread.start()

    def has(self, name: Any) -> bool:
        """Whether a job of that name is waiting or being done."""
        return name in self._waiting

    def _work(self) -> None:
        while True:
            with self._lock:
                name = next(iter(self._waiting), None)
                if name is None or not threading.main_thread().is_alive():
                    self._waiting.clear()
                    self._thread = None
                    return
            try:
                self._waiting[name]()
            finally:
                with self._lock:
                    self._waiting.pop(name, None)


BACKGROUND = Background()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=BACKGROUND._forget)
