"""Watching kernels for the first NaN."""

from __future__ import annotations

from typing import Any

from .dtypes import is_inexact
from .errors import AnomalyError
from .kernels import Recorder, recorder
from .nodes import user_location
from .ops.core import Bound


class Watch:
    """Raises at the kernel whose result is the first to hold NaN; passes all it sees on.

    Parameters
    ----------
    outer : Recorder or None
        What else observes.
    """

    def __init__(self, outer: Recorder | None) -> None:
        self._outer = outer

    def note(self, bound: Bound, reads: tuple[Any, ...], results: tuple[Any, ...]) -> None:
        if self._outer is not None:
            self._outer.note(bound, reads, results)
        if any(map(_has_nan, reads)):
            return
        for result in results:
            if _has_nan(result):
                count = int((result != result).sum())
                error = AnomalyError(
                    f"{bound.op.name}: a result must not be NaN where no operand is, got "
                    f"{count} of {result.size} elements"
                )
                error.add_note(f"called at {user_location()}")
                raise error

    def __getattr__(self, name: str) -> Any:
        """The other notes: whoever observes besides takes them."""
        return getattr(self._outer, name) if self._outer is not None else _nobody


def is_watching() -> bool:
    """Whether kernels are watched."""
    return isinstance(recorder(), Watch)


def _nobody(*args: Any, **kwargs: Any) -> None:
    """Takes a note that nobody reads."""


def _has_nan(array: Any) -> bool:
    return is_inexact(array.dtype) and bool((array != array).any())
