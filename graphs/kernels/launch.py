"""The one place where eager code and the interpreters call a kernel, and where it is observed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ..bound import Bound
    from .recorders import Recorder

NDARRAY = np.ndarray
_recorder: Recorder | None = None


def launch(bound: Bound, arrays: list[Any]) -> tuple[Any, ...]:
    """Run the kernel of a bound operator on arrays; the results as a tuple."""
    result = run_kernel(bound, arrays)
    return result if type(result) is tuple else (result,)


def run_kernel(bound: Bound, arrays: list[Any]) -> Any:
    """`launch`, with a single result by itself."""
    result = compute(bound, arrays)
    if _recorder is not None:
        results = result if type(result) is tuple else (result,)
        _recorder.note(bound, tuple(arrays), results)
    return result


def compute(bound: Bound, arrays: list[Any]) -> Any:
    """`run_kernel`, unobserved: what a compiler computes ahead is no part of a run.

    NumPy gives scalars where it should give 0-d arrays; they become arrays here.
    """
    kernel = bound.kernel
    count = len(arrays)
    if count == 2:  # a call with a fixed number of operands needs no tuple of them
        result = kernel(arrays[0], arrays[1])
    elif count == 1:
        result = kernel(arrays[0])
    else:
        result = kernel(*arrays)
    if type(result) is not NDARRAY and isinstance(result, np.generic):
        result = np.asarray(result)
    return result


def recorder() -> Recorder | None:
    """The recorder in force, if any."""
    return _recorder


def copied(array: Any) -> Any:
    """A copy that stands for the array in a certificate."""
    copy = array.copy()
    if _recorder is not None:
        _recorder.note_copy(array, copy)
    return copy


@contextmanager
def recording(recorder: Recorder) -> Iterator[Recorder]:
    """Observe every kernel that this process launches within the block."""
    global _recorder
    before, _recorder = _recorder, recorder
    try:
        yield recorder
    finally:
        _recorder = before
