"""Buffers: the memory that a step reads or writes, by who knows where it lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...graphs.storage import Storage
from .extents import Extent


@dataclass(eq=False)
class Buffer:
    """Memory that a step reads or writes.

    Attributes
    ----------
    nbytes : int
    label : str
        What it holds, for people.
    """

    nbytes: int
    label: str = ""


class Given(Buffer):
    """A feed or an output, whose memory each run hands over."""


@dataclass(eq=False)
class Placed(Buffer):
    """Part of one piece of memory that buffers share.

    Attributes
    ----------
    offset : int
        In bytes; known when memory is planned.
    start, end : int
        The positions of the first and the last statement that use it.
    """

    offset: int = 0
    start: int = 0
    end: int = 0


@dataclass(eq=False)
class Room(Placed):
    """Part of the arena, of which each run has one of its own, or of a result.

    Attributes
    ----------
    in_lines : bool
        Whether it has to begin with a cache line.
    host : Given or None
        The result that it lies in.
    """

    in_lines: bool = False
    host: Given | None = None


class Kept(Placed):
    """Part of the memory that is filled before all runs, and that they all read."""


class Stack(Buffer):
    """Memory that grows while a step runs, with an entry of `nbytes` for each round of a loop.

    A step is handed its head, which begins with the number of entries (`dt_stack` in C).
    """


class Entries(Buffer):
    """The entries of a stack, which move when it grows.

    Parameters
    ----------
    stack : Stack
    """

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack.nbytes, stack.label)
        self.stack = stack


class Sizes(Buffer):
    """The table of the symbols of a run, in which C reads what is open."""


class Count(Buffer):
    """An open size of a run, as a number.

    Parameters
    ----------
    size : Extent
    dtype : numpy.dtype
    """

    def __init__(self, size: Extent, dtype: np.dtype) -> None:
        super().__init__(dtype.itemsize, f"size {size!r}")
        self.size, self.dtype = size, dtype


class Held(Buffer):
    """Memory of an array that is there before the step."""

    @property
    def array(self) -> np.ndarray:
        raise NotImplementedError


class Constant(Held):
    """The memory of a constant."""

    def __init__(self, array: np.ndarray, label: str = "") -> None:
        super().__init__(array.nbytes, label)
        self._array = array

    @property
    def array(self) -> np.ndarray:
        return self._array


class Variable(Held):
    """The memory that a storage has now."""

    def __init__(self, storage: Storage, label: str = "") -> None:
        super().__init__(storage.array.nbytes, label)
        self.storage = storage

    @property
    def array(self) -> np.ndarray:
        return self.storage.array
