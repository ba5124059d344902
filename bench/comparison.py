"""The comparison of one task across modes and peers: a certificate, then interleaved timing.

Stage one trains with executor `reference` and no passes and says whether the modes are identical.
Stage two trains with each mode's fastest executor, and in each peer. Whatever has been measured
when it stops, also by Ctrl-C or by a worker that fails, is in the result.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from . import machine, peers
from .crew import Handle, WorkerError, rest
from .modes import find
from .peers.standing import agreement, best_peer, ratios
from .progress import Progress, silent
from .quantities import start_cost
from .statistics import break_even, difference, median, median_interval
from .task import Task

SCHEMA = 1
CERTIFIED_STEPS = 50
COLD_STARTS = 5
# A start that takes longer than this is not repeated: seconds do not hang on one interruption.
LONG_START_S = 5.0
WARMUP_STEPS = 10
MOST_BLOCKS = 30
# The first steps of a block find cold caches, and more so where there is much to find; the second
# half of each counts.
LEAST_STEPS_A_BLOCK = 5
STARTS = ("build_s", "compile_s", "first_step_s")


class Comparison:
    """Measures one task in several modes and peers.

    Parameters
    ----------
    source : str or callable
        Name of a workload, or a function that builds a `Task`, the same one each time.
    name, title : str
    modes : sequence of str
    executor : str
        Of the timing stage.
    steps : int
        Of training in the timing stage; at least 12.
    threads : int
    device : str
    peers : sequence of str
        Of a workload with a name alone.
    absent : mapping, optional
        Peers that were asked for and are not here, with the reason.
    progress : Progress, optional
    """

    def __init__(
        self,
        source: str | Callable[[], Task],
        *,
        name: str,
        title: str,
        modes: Sequence[str],
        executor: str,
        steps: int,
        threads: int,
        device: str,
        peers: Sequence[str] = (),
        absent: Mapping[str, str] | None = None,
        progress: Progress = silent,
    ) -> None:
        self.name, self.title, self.modes, self.steps = name, title, list(modes), steps
        self.peers, self._absent = list(peers), dict(absent or {})
        self._all = self.modes + self.peers
        self._source, self._progress = source, progress
        self._options: dict[str, Any] = {"executor": executor, "threads": threads, "device": device}
        self._skipped: dict[str, str] = {}
        self._certificates: dict[str, dict[str, Any]] = {}
        self._starts: dict[str, list[dict[str, Any]]] = {mode: [] for mode in self._all}
        self._blocks: dict[str, list[list[float]]] = {mode: [] for mode in self._all}
        self._ends: dict[str, dict[str, Any]] = {}
        self._weights: dict[str, list[np.ndarray]] = {}
        self._samples: dict[str, dict[str, np.ndarray]] = {}
        self._complete = False

    def run(self) -> dict[str, Any]:
        """Measure everything; the result."""
        certified = [mode for mode in self.modes if self._is_certified(mode)]
        self._each("certificate", self._certify, certified)
        self._each("cold start", self._cold_start, self._all * COLD_STARTS)
        self._time()
        self._complete = True
        return self.result()

    # -- measuring ---------------------------------------------------------------------------

    def _each(self, title: str, do: Callable[[str], None], modes: Sequence[str]) -> None:
        for mode in self._progress(modes, f"{self.name}: {title}"):
            if mode not in self._skipped:
                self._guard(mode, do, mode)

    def _guard(self, mode: str, do: Callable[..., None], *arguments: Any) -> None:
        """A mode that fails is a row that says why; the others go on."""
        try:
            do(*arguments)
        except WorkerError as error:
            self._skipped[mode] = str(error)

    def _handle(self, mode: str) -> Handle:
        if mode in self.modes:
            return Handle(self._source, self._options | self._run_as(mode))
        entry = peers.find(mode)
        environment = entry.environment(self._options["threads"])
        options = self._options | {"mode": mode, "peer": entry.module}
        return Handle(self._source, options, environment)

    def _is_certified(self, mode: str) -> bool:
        """Whether a mode launches the kernels that the first one does, where no pass runs."""
        return find(mode).is_certified

    def _run_as(self, mode: str) -> dict[str, Any]:
        """What tells a worker how it is to run."""
        return {"mode": mode}

    def _certify(self, mode: str) -> None:
        handle = self._handle(mode)
        try:
            self._certificates[mode] = handle.ask("certify", steps=min(self.steps, CERTIFIED_STEPS))
        finally:
            handle.close()

    def _cold_start(self, mode: str) -> None:
        if any(start_cost(start) > LONG_START_S for start in self._starts[mode]):
            return
        handle = self._handle(mode)
        try:
            self._starts[mode].append(handle.ask("start"))
        finally:
            handle.close()

    def _time(self) -> None:
        crew: dict[str, Handle] = {}
        try:
            for mode in self._all:
                if mode not in self._skipped:
                    crew[mode] = self._handle(mode)
            for mode, handle in crew.items():
                self._guard(mode, _warm_up, handle)
            left = self.steps - 1 - WARMUP_STEPS
            blocks = max(1, min(MOST_BLOCKS, left // LEAST_STEPS_A_BLOCK))
            sizes = [len(block) for block in np.array_split(np.arange(left), blocks)]
            for turn, size in enumerate(self._progress(sizes, f"{self.name}: steps")):
                for mode in self._order(turn):
                    rest(crew.values())
                    self._guard(mode, self._block, mode, crew[mode], size)
            for mode, handle in crew.items():
                if mode not in self._skipped:
                    self._guard(mode, self._finish, mode, handle)
        finally:
            for handle in crew.values():
                handle.close()

    def _order(self, turn: int) -> list[str]:
        """Who goes in which order in a turn: it is drawn, so no mode mostly follows another."""
        alive = [mode for mode in self._all if mode not in self._skipped]
        return Random(turn).sample(alive, len(alive))

    def _block(self, mode: str, handle: Handle, size: int) -> None:
        self._blocks[mode].append(handle.ask("steps", count=size))

    def _finish(self, mode: str, handle: Handle) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "weights.npz"
            self._ends[mode] = handle.ask("finish", weights=str(path))
            with np.load(path, allow_pickle=False) as held:
                arrays = {name: held[name] for name in held.files}
            self._weights[mode] = [a for name, a in arrays.items() if name.startswith("weight")]
            self._samples[mode] = {n: a for n, a in arrays.items() if n.startswith("step")}

    # -- the result --------------------------------------------------------------------------

    def result(self) -> dict[str, Any]:
        """What has been measured so far, as plain data for JSON."""
        rows = [self._row(mode) for mode in self._all]
        best = self._compare_with_best(rows)
        return {
            "schema": SCHEMA,
            "versions": machine.versions(),
            "machine": machine.machine(),
            "threads": self._options["threads"],
            "device": self._options["device"],
            "workload": self.name,
            "title": self.title,
            "identical": None if len(self._certificates) < 2 else not self._differ(),
            "differ": self._differ(),
            "interrupted": not self._complete,
            "certified_steps": max((c["steps"] for c in self._certificates.values()), default=0),
            "break_even_steps": self._break_even(rows),
            "best_peer": best,
            "skipped": self._absent,
            "rows": rows,
            "graph_svg": next((e["graph_svg"] for e in self._ends.values() if e["graph_svg"]), ""),
        }

    def _differ(self) -> list[str]:
        """In what the modes' certificates differ: kernels, numbers, both or nothing."""
        certificates = self._certificates.values()
        return [
            what
            for what, key in (("kernels", "certificate"), ("numbers", "numbers"))
            if len({c[key] for c in certificates}) > 1
        ]

    def _row(self, mode: str) -> dict[str, Any]:
        if mode in self._skipped:
            return {"mode": mode, "skipped": self._skipped[mode]}
        certificate = self._certificates.get(mode)
        row: dict[str, Any] = {"mode": mode}
        if mode in self.peers:
            row["peer"] = True
        if certificate is not None:
            row["certificate"] = certificate["certificate"]
        if not self._blocks[mode]:
            row["skipped"] = "interrupted before its steps were timed"
            return row
        starts = self._starts[mode]
        for name in STARTS:
            row[name] = median([s[name] for s in starts]) if starts else None
        row["executor"] = starts[0]["executor"] if starts else self._options["executor"]
        row["steps"] = 1 + WARMUP_STEPS + sum(map(len, self._blocks[mode]))
        row["step_s"] = median_interval(self._medians(mode)).to_json()
        if self._blocks.get("eager"):
            ratios = [mine / eager for eager, mine in self._pairs(mode)]
            row["ratio_to_eager"] = median_interval(ratios).to_json()
        end = self._ends.get(mode)
        if end is not None:
            kept = {name: value for name, value in end.items() if name != "graph_svg"}
            row |= kept | {"loss_first": end["losses"][0], "loss_last": end["losses"][-1]}
            row["numeric_diff"] = self._difference(mode)
            ours = next((m for m in self.modes if m in self._samples), None)
            if mode in self.peers and ours is not None:
                row |= agreement(self.name, self._samples[ours], self._samples[mode])
        return row

    def _compare_with_best(self, rows: list[dict[str, Any]]) -> dict[str, Any] | None:
        """The best peer, and how many times as fast as it each mode is; the rows say it, too."""
        best = best_peer(rows)
        if best is None:
            return None
        over = {}
        for row in rows:
            if row["mode"] in self.modes and "step_s" in row:
                ratio, times = ratios(self._medians(best), self._medians(row["mode"]))
                row["ratio_to_best_peer"] = ratio.to_json()
                over[row["mode"]] = times.to_json()
        return {"mode": best, "over_ours": over}

    def _medians(self, mode: str) -> list[float]:
        return [median(block[len(block) // 2 :]) for block in self._blocks[mode]]

    def _pairs(self, mode: str) -> list[tuple[float, float]]:
        """Eager's and this mode's median step, turn by turn."""
        return list(zip(self._medians("eager"), self._medians(mode)))

    def _difference(self, mode: str) -> float | None:
        """Largest absolute difference of losses and final weights from the first mode's.

        None where there is none that is finite.
        """
        first = next(iter(self._ends))
        pairs: Iterable[tuple[Any, Any]] = [
            (self._ends[first]["losses"], self._ends[mode]["losses"]),
            *zip(self._weights[first], self._weights[mode]),
        ]
        largest = np.max([np.max(_distance(a, b), initial=0) for a, b in pairs])
        return float(largest) if np.isfinite(largest) else None

    def _break_even(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Per graph mode, the steps after which building it has paid against eager.

        Points are differences of the figures in the rows; intervals come from pairs of turns.
        """
        by_mode = {r["mode"]: r for r in rows if "skipped" not in r and "peer" not in r}
        eager = by_mode.pop("eager", None)
        found: dict[str, Any] = {}
        for mode, row in by_mode.items():
            if eager is not None and self._starts["eager"] and self._starts[mode]:
                extra = start_cost(row) - start_cost(eager)
                gain = eager["step_s"]["median"] - row["step_s"]["median"]
                found[mode] = break_even(
                    difference(extra, self._start_costs(mode), self._start_costs("eager")),
                    difference(gain, self._medians("eager"), self._medians(mode)),
                )
        return found

    def _start_costs(self, mode: str) -> list[float]:
        return [start_cost(start) for start in self._starts[mode]]


def _distance(a: Any, b: Any) -> np.ndarray:
    """Absolute differences; none where both are the same infinity or both no number."""
    a, b = np.asarray(a), np.asarray(b)
    with np.errstate(invalid="ignore"):
        return np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0, np.abs(a - b))


def _warm_up(handle: Handle) -> None:
    handle.ask("start")
    handle.ask("steps", count=WARMUP_STEPS)
    handle.ask("pin")
