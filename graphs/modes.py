"""Grad modes: whether operators record, per thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any

from .compiled import Local


class Mode:
    """What is in force on one thread.

    Attributes
    ----------
    enabled : bool
        Whether operators record.
    notes : dict or None
        What `noting_writes` collects.
    readers : tuple of callables
        Those of `noting_reads`.
    styles : list of Style
        The graphs being built, outermost first.
    """

    def __init__(self) -> None:
        self.enabled = True
        self.notes: dict[int, Any] | None = None
        self.readers: tuple[Callable[[str, Any], None], ...] = ()
        self.styles: list[Any] = []


_mode = Local(Mode)
_NONE: list[Any] = []

# How many blocks of `noting_reads` and `in_style` any thread is in: while there are none, which
# is nearly always, an operator need not ask for its thread's.
_readers = _styles = 0
# And how many of those in which compiled functions may have to run as they are written.
_detours = 0


def mode() -> Mode:
    """What is in force on this thread."""
    return _mode()


def is_grad_enabled() -> bool:
    """Whether operators on this thread record for a gradient."""
    return mode().enabled


class GradMode:
    """Context manager and decorator: recording on or off on this thread within it."""

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(mode().enabled)
        mode().enabled = self.enabled

    def __exit__(self, *exc: Any) -> None:
        mode().enabled = self._before.pop()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with GradMode(self.enabled):
                return function(*args, **kwargs)

        return wrapped


@contextmanager
def noting_writes() -> Iterator[dict[int, Any]]:
    """Collect, by id, each storage that eager code writes on this thread within the block.

    With it what it held, and its version, before the first write. An outer block learns of it, too.
    """
    notes: dict[int, Any] = {}
    outer, mode().notes = mode().notes, notes
    try:
        yield notes
    finally:
        mode().notes = outer
        if outer is not None:
            outer.update({**notes, **outer})


def note_write(storage: Any) -> None:
    """Say that a storage is about to be written."""
    notes = mode().notes
    if notes is not None and id(storage) not in notes:
        notes[id(storage)] = (storage, storage.array.copy(), storage.version)


@contextmanager
def noting_reads(reader: Callable[[str, Any], None]) -> Iterator[None]:
    """Call ``reader(operator, storage)`` before eager operators read, on this thread in the block.

    The readers of outer blocks are called, too.
    """
    global _readers
    now = mode()
    outer = now.readers
    now.readers = (*outer, reader)
    _readers += 1
    try:
        yield
    finally:
        _readers -= 1
        now.readers = outer


def readers() -> tuple[Callable[[str, Any], None], ...]:
    """The readers of this thread."""
    return mode().readers if _readers else ()


@contextmanager
def in_style(style: Any) -> Iterator[None]:
    """Put a style in force on this thread within the block."""
    global _styles
    styles = mode().styles
    styles.append(style)
    _styles += 1
    try:
        yield
    finally:
        _styles -= 1
        styles.pop()


def styles() -> list[Any]:
    """The styles in force on this thread, the innermost last; not to be changed."""
    return mode().styles if _styles else _NONE


def count_detours(change: int) -> None:
    """Say that a block is entered, or left, in which compiled functions may run as written."""
    global _detours
    _detours += change


def may_detour() -> bool:
    """Whether any thread is in such a block, or one of `in_style`."""
    return _detours != 0 or _styles != 0


def settle() -> None:
    """Have computed what waits on this thread: memory that it reads is about to change."""
    for style in styles():
        flush = getattr(style, "flush", None)
        if flush is not None:
            flush()


def note_reads(operator: str, operands: Sequence[Any]) -> None:
    """Say that an operator is about to read its operands."""
    for operand in operands:
        storage = getattr(operand, "storage", None)
        if storage is not None:
            for reader in readers():
                reader(operator, storage)


class set_grad_enabled(GradMode):
    """Turn recording on or off on this thread, at once; as a context manager, until its end.

    Parameters
    ----------
    enabled : bool

    Examples
    --------
    >>> x = dt.tensor([1.0], requires_grad=True)
    >>> with set_grad_enabled(False):
    ...     (x * 2).requires_grad
    False
    """

    def __init__(self, enabled: bool) -> None:
        super().__init__(enabled)
        self._before.append(mode().enabled)
        mode().enabled = enabled

    def __enter__(self) -> None:
        mode().enabled = self.enabled


def no_grad(function: Callable[..., Any] | None = None) -> Any:
    """Operators within do not record: ``with dt.no_grad():``, or ``@dt.no_grad`` on a function.

    Examples
    --------
    >>> x = dt.tensor([1.0], requires_grad=True)
    >>> with no_grad():
    ...     (x * 2).requires_grad
    False
    """
    return GradMode(False) if function is None else GradMode(False)(function)


def enable_grad(function: Callable[..., Any] | None = None) -> Any:
    """Operators within record, also inside `no_grad`.

    Examples
    --------
    >>> x = dt.tensor([1.0], requires_grad=True)
    >>> with no_grad(), enable_grad():
    ...     (x * 2).requires_grad
    True
    """
    return GradMode(True) if function is None else GradMode(True)(function)
