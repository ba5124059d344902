"""How modes stand to peers: whether they compute the same, and who is how many times as fast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..statistics import Interval, median_interval

TOLERANCE = 1e-4
# Rounding grows with training; how far it must not have come is said for each workload.
LAST_COMPARED = {"mlp": 50, "tiny-mlp": 50, "lstm": 50, "lstm-unrolled": 50}
LAST_COMPARED_ELSE = 10

Samples = Mapping[str, np.ndarray]


def agreement(workload: str, ours: Samples, theirs: Samples) -> dict[str, Any]:
    """Differences of what a mode and a peer computed, after the first and after some more steps.

    Parameters
    ----------
    workload : str
    ours, theirs : mapping
        From ``step<n>.<position>`` to numbers that were computed in step n.

    Returns
    -------
    dict
        ``relative_diff``, from a number of steps to the largest difference relative to the largest
        number, None where there is none that is finite; and ``agrees``.

    Examples
    --------
    >>> one, other = np.array([1.0, 4.0]), np.array([1.0, 4.001])
    >>> agreement("mlp", {"step1.0": one}, {"step1.0": other})["agrees"]
    False
    """
    last = LAST_COMPARED.get(workload, LAST_COMPARED_ELSE)
    names = [name for name in {**ours, **theirs} if _step(name) <= last]
    found: dict[str, float | None] = {}
    for step in sorted(set(map(_step, names))):
        here = [
            _difference(ours.get(name), theirs.get(name)) for name in names if _step(name) == step
        ]
        largest = float(np.max(here))
        found[str(step)] = largest if np.isfinite(largest) else None
    agrees = bool(found) and all(d is not None and d <= TOLERANCE for d in found.values())
    return {"relative_diff": found, "agrees": agrees}


def _step(name: str) -> int:
    return int(name.removeprefix("step").partition(".")[0])


def _difference(ours: np.ndarray | None, theirs: np.ndarray | None) -> float:
    if ours is None or theirs is None or ours.shape != theirs.shape:
        return np.inf
    scale = np.max(np.abs(ours), initial=0) or 1.0
    return float(np.max(np.abs(theirs - ours), initial=0) / scale)


def best_peer(rows: Sequence[dict[str, Any]]) -> str | None:
    """The peer with the fastest step among those that compute the same, or None."""
    timed = [row for row in rows if row.get("agrees") and "step_s" in row]
    return min(timed, key=lambda row: row["step_s"]["median"])["mode"] if timed else None


def ratios(peer: Sequence[float], mode: Sequence[float]) -> tuple[Interval, Interval]:
    """A mode's steps over the peer's, turn by turn, and the same turned over."""
    found = median_interval([ours / theirs for theirs, ours in zip(peer, mode)])
    return found, Interval(1 / found.median, 1 / found.high, 1 / found.low, found.level)
