"""Barriers: where threads must wait for each other, and nowhere else.

Two kernels need a barrier in between where a thread touches bytes in the second that another one
has touched in the first, and one of them writes. Kernels that share out their rows alike need
none. In a loop the end of one round is followed by the beginning of the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .layout import Layout, Moving
from .nest import Access
from .statements import Branch, Call, Loop, Python, While


@dataclass(frozen=True)
class _Touch:
    """Bytes that each thread touches, within the arena or in memory of their own."""

    where: Any
    spans: tuple[tuple[int, int], ...]
    writes: bool
    moving: tuple[Moving, ...]
    width: int
    reach: tuple[int, int]  # how far the loops' variables move it, in bytes


def place_barriers(statements: list[Any], threads: int) -> int:
    """Mark the statements that must wait; the number of barriers."""
    if threads == 1:
        return 0
    placing = _Placing(threads)
    placing.walk(statements, {})
    return placing.count


class _Placing:
    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.pending: list[_Touch] = []  # since the last barrier
        self.count = 0

    def walk(self, statements: list[Any], lengths: dict[str, int]) -> None:
        for s in statements:
            if isinstance(s, Call):
                self._visit(s, lengths)
            elif isinstance(s, Loop):
                self._rounds(s, [s.body], {**lengths, s.name: s.count})
            elif isinstance(s, While):
                self._while(s, lengths)
            elif isinstance(s, Branch):
                self._branch(s, lengths)
            elif isinstance(s, Python):
                self.pending = []  # all threads have come to the end of a native part

    def _visit(self, call: Call, lengths: dict[str, int]) -> None:
        touches = [self._touch(a, lengths) for a in call.kernel.accesses]
        if call.scratch is not None:
            whole = (call.scratch.offset, call.scratch.offset + call.scratch.nbytes)
            touches.append(_Touch("arena", (whole,) * self.threads, True, (), 1, (0, 0)))
        if call.kernel.refuses:
            touches.append(self._asked(True))
        if not call.waits_before and self._conflicts(touches):
            call.waits_before = True
            self.count += 1
        if call.waits_before or call.kernel.waits:
            # What a kernel does before its own barrier is behind all that came earlier; what it
            # does itself stays pending.
            self.pending = []
        self.pending += touches
        if call.kernel.refuses:
            # A barrier follows, as every thread must know. Whoever has looked may go on and refuse
            # data itself, while others are still to look.
            self.pending = [self._asked(False)]

    def _rounds(self, loop: Loop, bodies: list[list[Any]], lengths: dict[str, int]) -> None:
        """A loop's body, until a round that follows a round needs no further barrier."""
        if not loop.count:
            return
        while True:
            before = self.count
            for body in bodies:
                self.walk(body, lengths)
            first = list(self.pending)
            self.pending = [self._later(t) for t in first]
            for body in bodies:
                self.walk(body, lengths)
            if self.count == before:
                self.pending = [self._spread(t, loop.name) for t in (*first, *self.pending)]
                return

    def _while(self, loop: While, lengths: dict[str, int]) -> None:
        loop.waits_before = True  # every thread reads the condition
        self.pending = []
        self.walk(loop.asks, lengths)
        asked = self._read(loop.condition, lengths)
        self.pending = [asked]
        self.walk(loop.body, lengths)
        loop.waits_after = True
        self.pending = [asked]  # whoever leaves the loop first may be ahead of who still asks

    def _branch(self, branch: Branch, lengths: dict[str, int]) -> None:
        branch.waits_before = True
        ends: list[_Touch] = []
        for body in branch.bodies:
            self.pending = [self._read(branch.condition, lengths)]
            self.walk(body, lengths)
            ends += self.pending
        self.pending = ends

    # -- what touches what -------------------------------------------------------------------

    def _read(self, number: Layout, lengths: dict[str, int]) -> _Touch:
        """Every thread reads a number."""
        spans = [(0, number.dtype.itemsize)] * self.threads
        return self._touch(Access(number, False, spans), lengths)

    def _asked(self, writes: bool) -> _Touch:
        """Every thread asks, or says, whether data were refused."""
        return _Touch("refused", ((0, 1),) * self.threads, writes, (), 1, (0, 0))

    def _touch(self, access: Access, lengths: dict[str, int]) -> _Touch:
        layout = access.layout
        width = layout.dtype.itemsize
        buffer = layout.buffer
        where: Any = buffer
        base = layout.offset * width
        if buffer.kind == "arena":
            where, base = "arena", base + buffer.offset
        elif buffer.kind in ("variable", "constant"):
            array = buffer.source.array if buffer.kind == "variable" else buffer.source
            where, base = "process", base + array.ctypes.data
        spans = tuple(
            (low + base, high + base) if low < high else (0, 0) for low, high in access.spans
        )
        low = high = 0
        for name, step in layout.moving:
            rounds = lengths.get(name.partition("_")[2], 1) if name.startswith("at_") else 2
            most = (rounds - 1) * step * width
            low, high = low + min(0, most), high + max(0, most)
        return _Touch(where, spans, access.writes, layout.moving, width, (low, high))

    def _conflicts(self, touches: list[_Touch]) -> bool:
        return any(
            (a.writes or b.writes) and a.where == b.where and self._meet(a, b)
            for a in self.pending
            for b in touches
        )

    def _meet(self, a: _Touch, b: _Touch) -> bool:
        """Whether different threads touch the same bytes."""
        same = _family(a.moving) == _family(b.moving) and a.moving != ()
        rounds = same and _is_later(a) != _is_later(b)
        for t, x in enumerate(a.spans):
            for u, y in enumerate(b.spans):
                if t == u or x == (0, 0) or y == (0, 0):
                    continue
                if not same:
                    if _overlap(_widened(x, a.reach), _widened(y, b.reach)):
                        return True
                elif (rounds and _overlap(_modulo(x, a), _modulo(y, b))) or (
                    not rounds and _overlap(x, y)
                ):
                    return True
        return False

    def _later(self, touch: _Touch) -> _Touch:
        """A touch of the round before, as the next one sees it."""
        if not touch.moving:
            return touch
        return _Touch(
            touch.where,
            touch.spans,
            touch.writes,
            (*touch.moving, _BEFORE),
            touch.width,
            touch.reach,
        )

    def _spread(self, touch: _Touch, name: str) -> _Touch:
        """A touch of any round of a loop, as what follows the loop sees it."""
        inner = any(n.partition("_")[2] == name for n, _ in touch.moving)
        if not inner and _BEFORE not in touch.moving:
            return touch
        spans = tuple(_widened(s, touch.reach) if s != (0, 0) else s for s in touch.spans)
        return _Touch(touch.where, spans, touch.writes, (), touch.width, (0, 0))


_BEFORE: Moving = ("round before", 0)


def _is_later(touch: _Touch) -> bool:
    return _BEFORE in touch.moving


def _family(moving: tuple[Moving, ...]) -> tuple[tuple[str, int], ...]:
    """What moves alike; the two places of a carry are one, for they do not overlap."""
    kept = (m for m in moving if m != _BEFORE)
    return tuple((n.replace("even_", "turn_").replace("odd_", "turn_"), s) for n, s in kept)


def _widened(span: tuple[int, int], reach: tuple[int, int]) -> tuple[int, int]:
    return span[0] + reach[0], span[1] + reach[1]


def _overlap(x: tuple[int, int], y: tuple[int, int]) -> bool:
    return x[0] < y[1] and y[0] < x[1]


def _modulo(span: tuple[int, int], touch: _Touch) -> tuple[int, int]:
    """A span within the row that a loop's variable picks, whichever row that is."""
    steps = [s * touch.width for n, s in touch.moving if n.startswith("at_")]
    if len(steps) != 1:
        return span
    [step] = map(abs, steps)
    low = span[0] % step if step else span[0]
    high = low + span[1] - span[0]
    return (low, high) if high <= step else (-(1 << 62), 1 << 62)


__all__ = ["Layout", "place_barriers"]
