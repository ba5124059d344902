"""Lives: from which statement to which one each buffer is in use, loops counted once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from .buffers import Buffer, Given, Placed

P = TypeVar("P", bound=Placed)


@dataclass
class _Life:
    """Positions of the first and the last statement; how many loops are around the first, and
    where the outermost of them begins."""

    start: int
    end: int
    depth: int
    begin: int


@dataclass
class _OpenLoop:
    """A loop whose body is being lowered, and what each of its rounds needs from before it."""

    begin: int
    held: list[_Life] = field(default_factory=list)


class Lives:
    """The lives of buffers, noted while statements are made in the order in which they run.

    Attributes
    ----------
    position : int
        Of the statement that is being made.
    """

    def __init__(self) -> None:
        self.position = 0
        self._lives: dict[Buffer, _Life] = {}
        self._loops: list[_OpenLoop] = []

    def advance(self) -> int:
        """Go on to the next statement; the position of this one."""
        self.position += 1
        return self.position - 1

    def touch(self, buffer: Buffer) -> None:
        """Note that the statement at this position uses a buffer."""
        life = self._lives.get(buffer)
        if life is None:
            begin = self._loops[0].begin if self._loops else self.position
            life = _Life(self.position, self.position, len(self._loops), begin)
            self._lives[buffer] = life
        life.end = max(life.end, self.position)
        if len(self._loops) > life.depth:  # each round needs what was there before the loop
            self._loops[life.depth].held.append(life)

    def touch_before(self, buffer: Buffer) -> None:
        """Note that a buffer is written before the innermost loop and in use until it ends."""
        loop, begin = self._loops[-1], self._loops[0].begin
        life = self._lives[buffer] = _Life(loop.begin, loop.begin, len(self._loops) - 1, begin)
        loop.held.append(life)

    def enter(self) -> None:
        """Begin a loop."""
        self.position += 1
        self._loops.append(_OpenLoop(self.position))

    def leave(self) -> None:
        """End the innermost loop."""
        for life in self._loops.pop().held:
            life.end = max(life.end, self.position)
        self.position += 1

    def uses(self, buffer: Buffer) -> bool:
        """Whether some statement uses a buffer."""
        return buffer in self._lives

    def begins(self, buffers: Iterable[Given]) -> dict[Given, int]:
        """From each buffer to the position of the first statement that uses it, in any round."""
        return {b: self._lives[b].begin for b in buffers if b in self._lives}

    def planned(self, kind: type[P]) -> list[P]:
        """The buffers of one kind that need room, with `start` and `end` filled in."""
        used = []
        for buffer, life in self._lives.items():
            if isinstance(buffer, kind) and buffer.nbytes:
                buffer.start, buffer.end = life.start, life.end
                used.append(buffer)
        return used
