"""A named workload."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..task import Task


@dataclass(frozen=True, slots=True)
class Workload:
    """A task that can be asked for by name.

    Attributes
    ----------
    name : str
    title : str
        One line on what it trains, and on what.
    build : callable
        Makes the task anew: the same numbers at each call.
    steps : int
        Of training, by default.
    """

    name: str
    title: str
    build: Callable[[], Task]
    steps: int
