"""The ladder of a workload: its rungs in one comparison, and what each brings over the last."""

from __future__ import annotations

from typing import Any

from .comparison import Comparison
from .peers.standing import ratios
from .workloads import Workload


class Ladder(Comparison):
    """A comparison whose modes are the rungs of a workload.

    Parameters
    ----------
    workload : Workload
    options
        Of `Comparison`, but for the modes.
    """

    def __init__(self, workload: Workload, **options: Any) -> None:
        self._rungs = {rung.name: rung for rung in workload.rungs}
        super().__init__(
            workload.name, name=workload.name, title=workload.title, modes=list(self._rungs),
            **options,
        )  # fmt: skip

    def _is_certified(self, mode: str) -> bool:
        return self._rungs[mode].is_certified

    def _run_as(self, mode: str) -> dict[str, Any]:
        rung = self._rungs[mode]
        return {"rung": rung.name, "mode": rung.mode, "without": rung.without}

    def _row(self, mode: str) -> dict[str, Any]:
        row = super()._row(mode)
        rung = self._rungs.get(mode)
        if rung is None:
            return row
        row["brings"] = rung.title
        names = list(self._rungs)
        before = [name for name in names[: names.index(mode)] if self._blocks[name]]
        if before and "step_s" in row:
            row["previous"] = before[-1]
            row["times_previous"] = self._times(before[-1], mode)
            if "eager" in before:
                row["times_eager"] = self._times("eager", mode)
        return row

    def _times(self, before: str, mode: str) -> dict[str, float]:
        """How many times as fast as one rung another is, turn by turn."""
        return ratios(self._medians(before), self._medians(mode))[1].to_json()
