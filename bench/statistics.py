"""Medians with intervals from order statistics, and the break-even between two modes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Interval:
    """A median with an interval that holds it at a level, whatever the distribution.

    Attributes
    ----------
    median, low, high : float
    level : float
        The probability that the interval covers; below the level asked for where there are too
        few values to reach it, when `low` and `high` are the extremes.
    """

    median: float
    low: float
    high: float
    level: float

    def to_json(self) -> dict[str, float]:
        return asdict(self)


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the two in the middle."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def median_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """The median of independent values with a distribution-free interval.

    Parameters
    ----------
    values : sequence of float
        At least one.
    level : float
        Coverage asked for.

    Returns
    -------
    Interval

    Notes
    -----
    The interval between the k-th smallest and the k-th largest of n values covers the median with
    probability ``1 - 2 P(Binomial(n, 1/2) < k)``: H. David and H. Nagaraja, Order Statistics, 7.1.

    Examples
    --------
    >>> median_interval([3.0, 1.0, 2.0]).median
    2.0
    """
    ordered = sorted(values)
    n = len(ordered)
    # Whole numbers until the last division: 0.5**n underflows for long lists.
    k, tail = 1, 2
    while k < n - k:
        following = tail + 2 * math.comb(n, k)
        if 1 - following / 2**n < level:
            break
        k, tail = k + 1, following
    return Interval(median(ordered), ordered[k - 1], ordered[n - k], max(0.0, 1 - tail / 2**n))


def difference(point: float, a: Sequence[float], b: Sequence[float]) -> Interval:
    """A difference that is reported, with the interval of the median of paired differences.

    The interval is widened to hold the reported difference where the two disagree.

    Examples
    --------
    >>> difference(3.0, [3.0, 4.0, 5.0], [1.0, 1.0, 1.0]).median
    3.0
    """
    paired = median_interval([x - y for x, y in zip(a, b)])
    return Interval(point, min(paired.low, point), max(paired.high, point), paired.level)


def break_even(extra: Interval, gain: Interval) -> dict[str, Any]:
    """After how many steps a fixed extra cost has been paid by a gain a step.

    Parameters
    ----------
    extra : Interval
        Seconds that building, compiling and the first step cost more than eager's first step.
    gain : Interval
        Seconds that a steady step costs less than eager's.

    Returns
    -------
    dict
        ``steps``, ``low``, ``high`` (None: never) and ``verdict``: "pays", "never", or "open"
        where the interval of the gain includes zero.

    Examples
    --------
    >>> ten, two = Interval(10.0, 9.0, 11.0, 0.95), Interval(2.0, 1.0, 3.0, 0.95)
    >>> break_even(ten, two)
    {'steps': 6, 'low': 4, 'high': 12, 'verdict': 'pays'}
    """

    def after(cost: float, saved: float) -> int | None:
        return None if saved <= 0 else 1 + max(0, math.ceil(cost / saved))

    if gain.high <= 0:
        verdict = "never"
    else:
        verdict = "pays" if gain.low > 0 else "open"
    return {
        "steps": after(extra.median, gain.median) if verdict != "never" else None,
        "low": after(extra.low, gain.high),
        "high": after(extra.high, gain.low),
        "verdict": verdict,
    }
