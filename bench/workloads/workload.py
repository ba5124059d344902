"""A named workload."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...graphs.errors import unknown
from ..task import Task


@dataclass(frozen=True, slots=True)
class Rung:
    """A way to run a workload that brings something over the rung before it.

    Attributes
    ----------
    name : str
        The first rung's is "eager".
    title : str
        What it does that the one before does not.
    mode : str
    build : callable
        Makes the task as it is written for this rung: the same numbers as on every other.
    without : tuple of str
        Passes that are left out.
    is_certified : bool
        Whether its kernels are those of the first rung, where no pass runs.
    """

    name: str
    title: str
    mode: str
    build: Callable[[], Task]
    without: tuple[str, ...] = ()
    is_certified: bool = True


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
    rungs : tuple of Rung
        From eager code to the fastest, where there is a ladder.
    """

    name: str
    title: str
    build: Callable[[], Task]
    steps: int
    rungs: tuple[Rung, ...] = ()

    def rung(self, name: str) -> Rung:
        """The rung of a name.

        Raises
        ------
        UnknownNameError
            When there is none.
        """
        found = {rung.name: rung for rung in self.rungs}
        if name not in found:
            raise unknown("rung", name, found)
        return found[name]
