"""Measure where dynamic batching begins to pay, and write docs/batching.md.

`python tools/batching.py` takes some minutes; nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import datetime
import time
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl
from pages import filled, table

import diptych as dt
from diptych.bench import machine
from diptych.bench.modes import Autobatch, Eager, Mode
from diptych.bench.statistics import median_interval
from diptych.bench.workloads.tree import build

PAGE = Path(__file__).parents[1] / "docs" / "batching.md"
HIDDEN = (16, 64, 128, 256, 512)
TREES = (1, 2, 4, 8, 32)
PAYS = "Batching pays (the interval is above 1) for trees × hidden: {sizes}."
COSTS = "It costs (the interval is below 1) for: {sizes}."


def step(mode: Mode, batches: list[Any]) -> float:
    """Seconds of one step."""
    start = time.perf_counter()
    mode.steps(batches)
    return time.perf_counter() - start


def measured(trees: int, hidden: int, rounds: int) -> tuple[float, Any]:
    """Milliseconds of a step one by one, and how many times as fast it is batched."""
    task = build(trees, hidden)
    one_by_one, batched = (kind(task, "reference") for kind in (Eager, Autobatch))
    batches = [task.batch(number) for number in range(trees)]
    pairs = [(step(one_by_one, batches), step(batched, batches)) for _ in range(rounds + 1)][1:]
    times = median_interval([first / second for first, second in pairs])
    return 1e3 * median_interval([first for first, _ in pairs]).median, times


def measured_chain(rounds: int) -> Any:
    """How many times as fast code is batched in which each call waits for the one before."""
    w = dt.tensor(np.full((64, 64), 0.01, np.float32), requires_grad=True)

    def run() -> float:
        start = time.perf_counter()
        h = dt.ones(64)
        for _ in range(100):
            h = dt.tanh(h @ w + 0.5)
        dt.grad(dt.sum(h), w)
        return time.perf_counter() - start

    batched = dt.autobatch(run)
    return median_interval([run() / batched() for _ in range(rounds + 1)][1:])


def cell(ms: float, times: Any) -> str:
    return f"**{times.median:.2f}** ({times.low:.2f}–{times.high:.2f}) of {ms:.1f} ms"


def page(threads: int, rounds: int) -> str:
    found = {(t, h): measured(t, h, rounds) for h in HIDDEN for t in TREES}
    chain, here = measured_chain(rounds), machine.machine()
    columns = ("hidden", *(f"{t} tree{'s' * (t > 1)}" for t in TREES))
    rows = [(str(hidden), *(cell(*found[t, hidden]) for t in TREES)) for hidden in HIDDEN]
    parts = "compiled" if dt.is_compiled() else "in plain Python"
    losses = [f"{t} × {h}" for (t, h), (_, times) in found.items() if times.high < 1]
    gains = [f"{t} × {h}" for (t, h), (_, times) in found.items() if times.low > 1]
    return f"""# Where dynamic batching pays

The workload `tree` with other sizes: a TreeLSTM over random binary trees of 10 to 40 leaves,
forward and backward, float32. Each cell says how many times as fast a step is within `dt.autobatch`
(one gradient of the sum of all losses) as one tree and one call after another, with the interval of
the median, and what the latter takes.

{chr(10).join(table(columns, rows))}

{filled(PAYS, sizes=", ".join(gains) or "none")}

{filled(COSTS, sizes=", ".join(losses) or "none")}

A chain, in which each call waits for the one before (100 steps of a recurrence, hidden 64), has
nothing to batch: {chain.median:.2f} times as fast ({chain.low:.2f}–{chain.high:.2f}).

Measured by `python tools/batching.py` on {datetime.date.today()}: Diptych {dt.__version__},
{parts}, NumPy {np.__version__}; {here["cpu"]}, {here["cores"]} cores, {threads} threads.
Medians of {rounds} steps, in turn.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=machine.cores())
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--print", action="store_true", help="print the page, do not write it")
    arguments = parser.parse_args()
    dt.set_num_threads(arguments.threads)
    with threadpoolctl.threadpool_limits(arguments.threads):
        text = page(arguments.threads, arguments.rounds)
    if arguments.print:
        print(text)
    else:
        PAGE.write_text(text)


if __name__ == "__main__":
    main()
