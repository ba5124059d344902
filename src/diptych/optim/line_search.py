"""A line search for the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SUFFICIENT_DECREASE = 1e-4
CURVATURE = 0.9
MOST_EVALUATIONS = 26
# A bracket that moves no coordinate further ends the search.
SHORTEST_BRACKET = 1e-9


@dataclass(frozen=True, slots=True)
class Point:
    """What is known of the function at one length along the direction.

    Attributes
    ----------
    step : float
        The length.
    value, slope : float
        The function, and its derivative along the direction.
    gradient : array
    """

    step: float
    value: float
    slope: float
    gradient: Any


Evaluate = Callable[[float], Point]


def strong_wolfe(evaluate: Evaluate, start: Point, step: float, reach: float) -> Point:
    """Find a length where the function is well below its start and much flatter.

    Parameters
    ----------
    evaluate : callable
        From a length to a `Point`.
    start : Point
        At length 0, with a slope below 0.
    step : float
        The first length to try.
    reach : float
        How far the direction of length 1 moves any one coordinate.

    Returns
    -------
    Point
        The start itself where nothing better was found.

    Notes
    -----
    J. Nocedal and S. Wright, Numerical Optimization, 2nd edition, algorithms 3.5 and 3.6, with the
    bounds on extrapolation and the guard against slow brackets of M. Schmidt's minFunc, 2005.
    """
    search = _Search(evaluate, start)
    low, high = search.bracket(step)
    while not search.done and search.evaluations < MOST_EVALUATIONS:
        if abs(high.step - low.step) * reach < SHORTEST_BRACKET:
            break
        low, high = search.narrow(low, high)
    return low


class _Search:
    """One search: counts evaluations, and knows when a point satisfies both conditions."""

    def __init__(self, evaluate: Evaluate, start: Point) -> None:
        self._evaluate, self.start = evaluate, start
        self.evaluations = 0
        self.done = self._stalled = False

    def at(self, step: float) -> Point:
        self.evaluations += 1
        return self._evaluate(step)

    def too_high(self, point: Point) -> bool:
        """Whether the function has not come down enough; what is no number never has."""
        start = self.start
        bound = start.value + SUFFICIENT_DECREASE * point.step * start.slope
        return not point.value <= bound

    def flat(self, point: Point) -> bool:
        return abs(point.slope) <= -CURVATURE * self.start.slope

    def bracket(self, step: float) -> tuple[Point, Point]:
        """Two points with an acceptable one between them, the lower first."""
        before, now = self.start, self.at(step)
        for tried in range(MOST_EVALUATIONS - 1):
            if self.too_high(now) or (tried > 1 and now.value >= before.value):
                return _ordered(before, now)
            if self.flat(now):
                self.done = True
                return now, now
            if now.slope >= 0:
                return _ordered(before, now)
            bounds = (now.step + 0.01 * (now.step - before.step), 10 * now.step)
            before, now = now, self.at(_cubic_minimum(before, now, bounds))
        return _ordered(self.start, now)

    def narrow(self, low: Point, high: Point) -> tuple[Point, Point]:
        """A shorter bracket with one new point, the lower first."""
        point = self.at(self._inside(low, high))
        if self.too_high(point) or point.value >= low.value:
            return _ordered(low, point)
        if self.flat(point):
            self.done = True
        elif point.slope * (high.step - low.step) >= 0:
            high = low
        return point, high

    def _inside(self, low: Point, high: Point) -> float:
        """Where to look within a bracket; away from its ends if it was near one the time before."""
        least, most = sorted((low.step, high.step))
        step = _cubic_minimum(low, high, (least, most))
        margin = 0.1 * (most - least)
        near = min(most - step, step - least) < margin
        if near and (self._stalled or not least < step < most):
            self._stalled = False
            return most - margin if most - step < step - least else least + margin
        self._stalled = near
        return step


def _ordered(a: Point, b: Point) -> tuple[Point, Point]:
    return (b, a) if b.value < a.value else (a, b)


def _cubic_minimum(a: Point, b: Point, bounds: tuple[float, float]) -> float:
    """Where the cubic through two points with their slopes is least, within bounds.

    The middle of the bounds where the cubic has no minimum, or a point is no number.
    """
    left, right = (a, b) if a.step <= b.step else (b, a)
    width = right.step - left.step
    middle = (bounds[0] + bounds[1]) / 2
    if width == 0:
        return middle
    mixed = left.slope + right.slope - 3 * (right.value - left.value) / width
    squared = mixed * mixed - left.slope * right.slope
    if not 0 <= squared < math.inf:
        return middle
    root = math.sqrt(squared)
    below = right.slope - left.slope + 2 * root
    if below == 0:
        return middle
    found = right.step - width * (right.slope + root - mixed) / below
    return min(max(found, bounds[0]), bounds[1])
