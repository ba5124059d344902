"""Barriers: where threads must wait for each other, and nowhere else.

Two kernels need a barrier in between where a thread touches bytes in the second that another one
has touched in the first, and one of them writes. Kernels that share out their rows alike need
none. In a loop the end of one round is followed by the beginning of the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from .buffers import Held, Placed, Room
from .extents import least, most
from .kernel import Access, Span
from .layout import Layout, Moving
from .statements import Branch, Call, Loop, Python, Statement, While

_EVERYTHING: Span = (-(1 << 62), 1 << 62)
_MANY = 1 << 40  # rounds, where nobody knows how many there are


@dataclass(frozen=True)
class _Touch:
    """Bytes that each thread touches.

    Attributes
    ----------
    where : object
        What the spans are counted from the beginning of: the memory that a kind of buffers shares,
        this process's, or a buffer that lies apart from all others.
    spans : tuple of Span
        One a thread, in round 0.
    writes : bool
    moving : tuple of Moving
    width : int
        Bytes of an element.
    reach : Span
        How far the loops' variables move it, in bytes.
    hull : Span
        From the first byte of any thread to the last one's end; of what moves, everything.
    """

    where: Any
    spans: tuple[Span, ...]
    writes: bool
    moving: tuple[Moving, ...] = ()
    width: int = 1
    reach: Span = (0, 0)
    hull: Span = field(init=False)

    def __post_init__(self) -> None:
        lows, highs = zip(*self.spans)
        hull = _EVERYTHING if self.moving else (min(lows), max(highs))
        object.__setattr__(self, "hull", hull)


def place_barriers(statements: list[Statement], threads: int) -> int:
    """Mark the statements that must wait for all threads.

    Returns
    -------
    int
        How many calls do.
    """
    if threads == 1:
        return 0
    placing = _Placing(threads)
    placing.walk(statements, {})
    return placing.count


class _Placing:
    """Goes through statements in order, and knows what was touched since the last barrier."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.pending: list[_Touch] = []  # since the last barrier
        self.count = 0

    def walk(self, statements: list[Statement], lengths: dict[str, int]) -> None:
        """Go through statements; `lengths` has the rounds of the loops around them."""
        for s in statements:
            if isinstance(s, Call):
                self._visit(s, lengths)
            elif isinstance(s, Loop):
                self._rounds(
                    s, {**lengths, s.name: _MANY if isinstance(s.count, Layout) else most(s.count)}
                )
            elif isinstance(s, While):
                self._while(s, lengths)
            elif isinstance(s, Branch):
                self._branch(s, lengths)
            elif isinstance(s, Python):
                self.pending = []  # all threads have come to the end of a native part

    def _visit(self, call: Call, lengths: dict[str, int]) -> None:
        touches = [self._touch(a, lengths) for a in call.kernel.accesses]
        if call.scratch is not None:
            base = call.scratch.offset
            spans = tuple((a + base, b + base) for a, b in call.kernel.scratch_spans(self.threads))
            touches.append(_Touch(type(call.scratch), spans, True))
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

    def _rounds(self, loop: Loop, lengths: dict[str, int]) -> None:
        """A loop's body, until a round that follows a round needs no further barrier."""
        if loop.count == 0:
            return
        if isinstance(loop.count, Layout):
            loop.waits_before = True  # every thread reads the number
            self.pending = [self._read(loop.count, lengths)]
        while True:
            before = self.count
            self.walk(loop.body, lengths)
            first = list(self.pending)
            self.pending = list(map(_of_round_before, first))
            self.walk(loop.body, lengths)
            if self.count == before:
                self.pending = [_of_any_round(t, loop.name) for t in (*first, *self.pending)]
                return

    def _while(self, loop: While, lengths: dict[str, int]) -> None:
        loop.waits_before = True  # every thread reads the condition
        self.pending = []
        self.walk(loop.asks, lengths)
        asked = [self._read(loop.condition, lengths), self._asked(False)]
        self.pending = list(asked)
        self.walk(loop.body, {**lengths, loop.name: _MANY})
        loop.waits_after = True
        self.pending = asked  # whoever leaves the loop first may be ahead of who still asks

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
        return _Touch("refused", ((0, 1),) * self.threads, writes)

    def _touch(self, access: Access, lengths: dict[str, int]) -> _Touch:
        layout = access.layout
        width = layout.dtype.itemsize
        buffer = layout.buffer
        where: Any = buffer
        base = least(layout.offset) * width
        room = (most(layout.offset) - least(layout.offset)) * width
        if isinstance(buffer, Placed):
            host = buffer.host if isinstance(buffer, Room) else None
            where, base = host or type(buffer), base + buffer.offset
        elif isinstance(buffer, Held):
            where, base = "process", base + buffer.array.ctypes.data
        spans = tuple(
            (low + base, high + base + room) if low < high else (0, 0) for low, high in access.spans
        )
        low = high = 0
        for name, step in layout.moving:
            rounds = lengths.get(name.partition("_")[2], 1) if name.startswith("at_") else 2
            way = (rounds - 1) * step * width
            low, high = low + min(0, way), high + max(0, way)
        return _Touch(where, spans, access.writes, layout.moving, width, (low, high))

    def _conflicts(self, touches: list[_Touch]) -> bool:
        for b in touches:
            low, high = b.hull
            for a in self.pending:
                if (
                    a.hull[0] < high
                    and low < a.hull[1]
                    and (a.writes or b.writes)
                    and a.where == b.where
                    and self._meet(a, b)
                ):
                    return True
        return False

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


_BEFORE: Moving = ("round before", 0)


def _of_round_before(touch: _Touch) -> _Touch:
    """A touch as the next round of a loop sees it."""
    return replace(touch, moving=(*touch.moving, _BEFORE)) if touch.moving else touch


def _of_any_round(touch: _Touch, name: str) -> _Touch:
    """A touch as what follows a loop sees it."""
    inner = any(n.partition("_")[2] == name for n, _ in touch.moving)
    if not inner and _BEFORE not in touch.moving:
        return touch
    spans = tuple(_widened(s, touch.reach) if s != (0, 0) else s for s in touch.spans)
    return replace(touch, spans=spans, moving=(), reach=(0, 0))


def _is_later(touch: _Touch) -> bool:
    return _BEFORE in touch.moving


def _family(moving: tuple[Moving, ...]) -> tuple[tuple[str, int], ...]:
    """What moves alike; the two places of a carry are one, for they do not overlap."""
    kept = (m for m in moving if m != _BEFORE)
    return tuple((n.replace("even_", "turn_").replace("odd_", "turn_"), s) for n, s in kept)


def _widened(span: Span, reach: Span) -> Span:
    return span[0] + reach[0], span[1] + reach[1]


def _overlap(x: Span, y: Span) -> bool:
    return x[0] < y[1] and y[0] < x[1]


def _modulo(span: Span, touch: _Touch) -> Span:
    """A span within the row that a loop's variable picks, whichever row that is."""
    steps = [s * touch.width for n, s in touch.moving if n.startswith("at_")]
    if len(steps) != 1:
        return span
    [step] = map(abs, steps)
    low = span[0] % step if step else span[0]
    high = low + span[1] - span[0]
    return (low, high) if high <= step else _EVERYTHING
