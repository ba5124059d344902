"""Finding where a NaN began."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .graphs.kernels import recorder, recording
from .graphs.watch import Watch


@contextmanager
def detect_anomaly() -> Iterator[None]:
    """Raise at the first kernel that makes a NaN, forward or backward, in every style.

    The error names the operator and, as notes, the line that called it or, in a gradient, the line
    whose gradient it is. Every result is inspected, so it is slow; programs run node by node within
    the block, whatever their executor.

    Raises
    ------
    AnomalyError
        From within the block, where a result holds NaN and no operand does.

    Examples
    --------
    >>> with np.errstate(invalid="ignore"), dt.detect_anomaly():
    ...     try:
    ...         dt.log(dt.tensor([-1.0]))
    ...     except dt.errors.AnomalyError as error:
    ...         print(error)
    log: a result must not be NaN where no operand is, got 1 of 1 elements
    """
    with recording(Watch(recorder())):  # type: ignore[arg-type]
        yield
