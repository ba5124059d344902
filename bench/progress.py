"""Progress of a long run: bars on a terminal where rich is installed, else nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
Progress = Callable[[Sequence[Any], str], Iterator[Any]]


def silent(items: Sequence[T], title: str) -> Iterator[T]:
    """The items, without a word."""
    return iter(items)


@contextmanager
def on_terminal() -> Iterator[Progress]:
    """Progress bars on standard error if that is a terminal."""
    if not sys.stderr.isatty():
        yield silent
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars
    except ImportError:
        yield silent
        return
    columns = (
        TextColumn("{task.description:32}"), BarColumn(), MofNCompleteColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    # Refreshing by hand: a thread that redraws would compute beside what is timed.
    with Bars(*columns, console=Console(stderr=True), auto_refresh=False) as bars:

        def progress(items: Sequence[T], title: str) -> Iterator[T]:
            task = bars.add_task(title, total=len(items))
            bars.refresh()
            for item in items:
                yield item
                bars.advance(task)
                bars.refresh()

        yield progress
