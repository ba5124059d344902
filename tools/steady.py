"""Steady steps of modes and peers, interleaved, and which peers there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any

from diptych.bench import peers
from diptych.bench.comparison import Comparison
from diptych.bench.peers.standing import TOLERANCE, ratios
from diptych.bench.task import Task


class SteadySteps(Comparison):
    """The timing stage of a comparison by itself."""

    def run(self) -> dict[str, Any]:
        self._time()
        self._complete = True
        found = self.result()
        rows = {row["mode"]: row for row in found["rows"] if "step_s" in row}
        return {
            "step_s": {name: row["step_s"] for name, row in rows.items()},
            "agrees": {name: _agrees(row) for name, row in rows.items()},
            "skipped": {r["mode"]: r["skipped"] for r in found["rows"] if "skipped" in r},
            "times": {
                mode: {other: self._times(mode, other) for other in rows if other != mode}
                for mode in rows if mode in self.modes
            },
        }  # fmt: skip

    def _times(self, mode: str, other: str) -> dict[str, float]:
        """How many times as fast as another's a mode's steps are, turn by turn."""
        return ratios(self._medians(other), self._medians(mode))[1].to_json()


def _agrees(row: dict[str, Any]) -> bool:
    """Whether a row's numbers are those of the first mode."""
    if "peer" in row:
        return bool(row.get("agrees", False))
    differs = row.get("numeric_diff")
    return differs is not None and differs <= TOLERANCE


def speed(
    source: str | Callable[[], Task], name: str, ours: Sequence[str], theirs: Sequence[str],
    steps: int, threads: int,
) -> Any:  # fmt: skip
    """Steps of some modes and peers; "times" has, per mode, how many times as fast it is as each
    of the others."""
    return SteadySteps(
        source, name=name, title="", modes=ours, peers=theirs, executor="native",
        steps=steps, threads=threads, device="cpu",
    ).run()  # fmt: skip


def installed() -> Any:
    """Per peer its version, or what is missing."""
    packages = metadata.packages_distributions()
    found: dict[str, dict[str, str]] = {"versions": {}, "missing": {}}
    for name, entry in peers.PEERS.items():
        if why := peers.missing(name):
            found["missing"][name] = why
        else:
            package = entry.needs[0]
            found["versions"][name] = f"{package} {metadata.version(packages[package][0])}"
    return found
