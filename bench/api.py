"""`compare`: the comparison as a function, and its report."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..compiler import EXECUTORS
from ..graphs.devices import CPU, Device
from ..graphs.errors import ArgumentError, DTypeError, unknown
from . import machine, workloads
from . import modes as _modes
from . import peers as _peers
from .comparison import WARMUP_STEPS, Comparison
from .ladder import Ladder
from .progress import on_terminal
from .table import render_text
from .task import Task

LEAST_STEPS = WARMUP_STEPS + 2


@dataclass(frozen=True, slots=True)
class Report:
    """Results of a comparison; a notebook shows it as a page.

    Attributes
    ----------
    results : list of dict
        One per workload, as the JSON has them.
    interrupted : bool
        Whether Ctrl-C ended it early.
    """

    results: list[dict[str, Any]]
    interrupted: bool = False

    def save_json(self, path: str | Path) -> None:
        """Write the results: an object for one workload, a list for several."""
        plain = self.results[0] if len(self.results) == 1 else self.results
        text = json.dumps(_finite(plain), indent=1, allow_nan=False)
        Path(path).write_text(text + "\n", encoding="utf-8")

    def save_html(self, path: str | Path) -> None:
        """Write a page that stands alone."""
        Path(path).write_text(self._repr_html_(), encoding="utf-8")

    def _repr_html_(self) -> str:
        from .report import render_html

        return render_html(self.results)

    def __str__(self) -> str:
        absent = {name: why for result in self.results for name, why in result["skipped"].items()}
        said = "\n".join(f"{name}: skipped, {why}" for name, why in absent.items())
        return "\n\n".join(filter(None, [*map(render_text, self.results), said]))


def compare(
    what: str | Callable[[], Task] | Sequence[str] = "digits-mlp",
    *,
    modes: Sequence[str] | None = None,
    peers: Sequence[str] = (),
    executor: str = "native",
    steps: int | None = None,
    threads: int = 1,
    device: str = "cpu",
    name: str = "model",
    ladder: bool = False,
) -> Report:
    """Train one model in several modes on the same kernels, and say what each mode costs.

    Parameters
    ----------
    what : str, sequence of str, or callable
        Names of workloads; or a function without arguments that builds a `bench.Task`, with the
        same numbers at each call. It is called in processes forked from this one.
    modes : sequence of str
        Of "eager", "static", "hybrid", "hybrid-step", which compiles the update with the loss, and
        "autobatch", whose kernels are others; by default the first three.
    peers : sequence of str
        Other frameworks that run the same workloads in turn with the modes, from the same numbers;
        see `diptych peers`. One that is not installed is left out and named in the report.
    executor : str
        Of the static and hybrid mode in the timing stage.
    steps : int, optional
        Of training. By default the workload's own number, or 200.
    threads : int
        For every mode alike; each is pinned to a core.
    device : str
    name : str
        What to call a model of one's own.
    ladder : bool
        Run the rungs of a workload in place of modes: from eager code to the fastest, and what each
        brings over the one before.

    Returns
    -------
    Report

    Raises
    ------
    UnknownNameError
        When a workload, mode, peer or executor is not known.
    ArgumentError
        When there are too few steps, no mode, or not a core for each thread; or peers are to run a
        model of one's own, or on another device than the CPU; or a ladder is asked for together
        with modes, or of what has none.
    DTypeError
        When `what` is none of the above.
    DeviceError
        When the device is not here.

    Examples
    --------
    >>> def build():
    ...     model = dt.nn.Linear(4, 2, generator=dt.Generator(0))
    ...     x, y = np.ones((8, 4), np.float32), np.zeros(8, np.int64)
    ...     return dt.bench.Task(
    ...         loss=lambda x, y: dt.cross_entropy(model(x), y),
    ...         optimizer=dt.optim.SGD(model.parameters(), lr=0.1),
    ...         batches=[(x, y)],
    ...     )
    >>> dt.compare(build, modes=["eager", "static"], steps=20).results[0]["identical"]
    True
    """
    if ladder and modes is not None:
        raise ArgumentError(f"compare: a ladder has modes of its own, got modes {modes}")
    modes = _modes.STANDARD if modes is None else modes
    modes = [modes] if isinstance(modes, str) else list(dict.fromkeys(modes))
    for mode in modes:
        _modes.find(mode)
    peers = [peers] if isinstance(peers, str) else list(dict.fromkeys(peers))
    absent = {name: why for name in peers if (why := _peers.missing(name)) is not None}
    if executor not in EXECUTORS:
        raise unknown("executor", executor, EXECUTORS)
    if not modes:
        raise ArgumentError("compare: needs at least one mode, got none")
    if not 1 <= threads <= machine.cores():
        raise ArgumentError(
            f"compare: threads must be in 1..{machine.cores()}, a core each, got {threads}"
        )
    if steps is not None and steps < LEAST_STEPS:
        raise ArgumentError(f"compare: steps must be at least {LEAST_STEPS}, got {steps}")
    Device.of(device).xp  # noqa: B018 - raises before anything runs
    if peers and Device.of(device) != CPU:
        raise ArgumentError(f"compare: peers run on the CPU alone, got device {device}")
    if peers and callable(what):
        raise ArgumentError(
            "compare: peers know the workloads by name and not a model of one's own, "
            f"got peers {', '.join(peers)}"
        )
    options: dict[str, Any] = {
        "peers": [name for name in peers if name not in absent], "absent": absent,
        "executor": executor, "threads": threads, "device": device,
    }  # fmt: skip
    with on_terminal() as progress:
        options["progress"] = progress
        if ladder:
            return _run([Ladder(w, steps=steps or w.steps, **options) for w in _with_rungs(what)])
        return _run(
            [
                Comparison(
                    source, name=name, title=title, steps=steps or usual, modes=modes, **options
                )
                for source, name, title, usual in _sources(what, name)
            ]
        )


def _finite(data: Any) -> Any:
    """Plain data with None for numbers that JSON cannot write."""
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def _sources(what: Any, name: str) -> list[tuple[Any, str, str, int]]:
    """What to build, its name, its title and its number of steps, for each."""
    if callable(what):
        title = (getattr(what, "__doc__", None) or "a model of one's own").strip().splitlines()[0]
        return [(what, name, title, 200)]
    return [(w.name, w.name, w.title, w.steps) for w in _named(what)]


def _named(what: Any) -> list[workloads.Workload]:
    """The workloads of some names."""
    names = [what] if isinstance(what, str) else what
    if not isinstance(names, Sequence) or not all(isinstance(n, str) for n in names):
        raise DTypeError(f"compare: must be names or a function that builds a Task, got {what!r}")
    return [workloads.find(n) for n in dict.fromkeys(names)]


def _with_rungs(what: Any) -> list[workloads.Workload]:
    """The workloads of some names, each of which has a ladder."""
    found = [] if callable(what) else _named(what)
    if not found or not all(workload.rungs for workload in found):
        known = ", ".join(w.name for w in workloads.WORKLOADS.values() if w.rungs)
        got = "a model of one's own" if callable(what) else ", ".join(w.name for w in found)
        raise ArgumentError(f"compare: a ladder is one of {known}, got {got}")
    return found


def _run(comparisons: Iterable[Comparison]) -> Report:
    results = []
    for comparison in comparisons:
        try:
            results.append(comparison.run())
        except KeyboardInterrupt:
            return Report([*results, comparison.result()], interrupted=True)
    return Report(results)
