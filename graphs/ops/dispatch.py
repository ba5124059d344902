"""From an operator's function to the style that its operands carry.

An operand may have an attribute `style`; plain arrays and numbers have none. The style of highest
`rank` takes the call, so a static value wins over an eager tensor (and then refuses it). With no
operand at all, as in ``zeros``, the style in force on this thread takes it; with plain arrays
alone, the kernel runs and gives a plain array.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from .plain import plain

if TYPE_CHECKING:
    from .core import Op


class Style(Protocol):
    """What eager code, graphs and plain arrays each provide."""

    rank: int
    parameter_type: Any

    def constant(self, array: Any) -> Any:
        """A plain array as an operand of this style."""

    def call(self, op: Op, operands: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
        """Apply an operator."""

    def read(self, storage: Any) -> Any:
        """The current value of a `Storage`, as an operand of this style."""

    def assign(self, storage: Any, value: Any, when: Any = None) -> Any:
        """Write `value` into a `Storage`; in a graph, in every run that computes `when`."""

    def together(self, updates: Any) -> Any:
        """One handle on several assignments, for a graph to fetch; None elsewhere."""

    def checkpoint(self, function: Any, args: tuple[Any, ...]) -> Any:
        """Call a function whose gradient computes its intermediate results again."""

    def grad(self, outputs: Any, inputs: Any, **options: Any) -> Any:
        """Gradients of the sum of `outputs` with respect to `inputs`."""


class _Current(threading.local):
    def __init__(self) -> None:
        self.stack: list[Style] = []


_current = _Current()
_default: list[Style] = [plain]


def call(op: Op, operands: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
    """Apply `op` in the style of its operands."""
    return style_of(*operands).call(op, operands, attrs)


def style_of(*operands: Any) -> Style:
    """The style that an operator on these operands would take."""
    chosen: Style | None = None
    for operand in operands:
        style = getattr(operand, "style", None)
        if style is not None and (chosen is None or style.rank > chosen.rank):
            chosen = style
    if chosen is not None:
        return _in_force(chosen) if _current.stack else chosen
    return plain if operands else current()


def _in_force(style: Style) -> Style:
    """The body that is being built within a graph, if any, which brings in what it reads of it."""
    inner: Any = _current.stack[-1]
    while inner is not None:
        if inner is style:
            return _current.stack[-1]
        inner = getattr(inner, "parent", None)
    return style


def current() -> Style:
    """The style in force on this thread: the innermost graph being built, else eager."""
    return _current.stack[-1] if _current.stack else _default[0]


def default() -> Style:
    """The style in force outside any graph."""
    return _default[0]


def set_default(style: Style) -> None:
    """Make `style` the one in force outside any graph. Called once, by the eager package."""
    _default[0] = style


@contextmanager
def in_style(style: Style) -> Iterator[None]:
    """Put a style in force on this thread within the block."""
    _current.stack.append(style)
    try:
        yield
    finally:
        _current.stack.pop()
