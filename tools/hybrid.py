"""Measure what compiled parts of eager programs are to be, and write docs/hybrid.md.

`python tools/hybrid.py` measures everything, which takes under ten minutes on a machine that has
nothing else to do. `--short` and `--only` measure a part and print the page instead of writing it.
What is measured is the compiled package, as `pip install .` builds it; where its modules run as
plain Python, the page says so and is printed, too.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import hybrid_page as page
import pages
import processes
from hybrid_page import BEST, COMPILED, EAGER, HYBRID, JAX, STATIC, STEP

import diptych as dt

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "hybrid.md"
HERE = Path(__file__)

MODES = (EAGER, STATIC, HYBRID, STEP)
PEERS = (BEST, COMPILED, JAX)
WORK = {
    "op-nograd-1": 61, "op-nograd-16": 61, "op-grad-1": 61, "op-grad-16": 61, "chain": 31,
    "mlp": 311, "tiny-mlp": 611, "lstm": 131, "lstm-unrolled": 131, "cnn": 61, "transformer": 36,
    "tree": 76, "mlp-infer-1": 611, "mlp-infer-64": 311, "cnn-infer-1": 161,
    "transformer-infer-1": 131,
}  # fmt: skip
FUNCTIONS = ("tiny-mlp", "mlp", "lstm", "cnn", "transformer")
SECTIONS = ("calls", "lookups", "lstm", "varlen", "workloads", "functions", "lengths")


@dataclass(frozen=True)
class Effort:
    """How often things are repeated."""

    turns: int = 120
    lstm_steps: int = 161
    epochs: int = 26
    rounds: int = 3
    most_steps: int = 10_000


FULL = Effort()
SAMPLE = Effort(11, 21, 12, 1, 21)

ask = partial(processes.ask, HERE.with_name("hybrid_measures.py"))


def measure(sections: list[str], names: list[str], effort: Effort, threads: int) -> dict[str, Any]:
    """All that the page needs, as plain data."""
    begin = time.perf_counter()
    known = ask("peers")
    here = [peer for peer in PEERS if peer in known.get("versions", {})]
    timed = {name: min(WORK[name], effort.most_steps) for name in names}
    measures = {
        "calls": lambda: ask("calls", effort.turns, threads),
        "lookups": lambda: ask("lookups", effort.turns, threads),
        "lstm": lambda: ask("lstm", _of(here, BEST, COMPILED), effort.lstm_steps, threads),
        "varlen": lambda: {
            "first": ask("epochs", _of(here, BEST, JAX), effort.rounds, threads),
            "later": ask(
                "speed", "lstm-varlen", HYBRID, _of(here, BEST, JAX), effort.epochs, threads
            ),
        },
        "workloads": lambda: {
            name: ask("speed", name, ",".join(MODES), "", steps, threads)
            for name, steps in timed.items()
        },
        "functions": lambda: {
            name: ask("starts", name, f"{HYBRID},{_of(here, JAX)}", effort.rounds, threads)
            for name in FUNCTIONS
            if name in names
        },
        "lengths": lambda: ask("lengths", threads),
    }
    return {
        "compiled": dt.is_compiled(),
        "threads": threads,
        **{name: measures[name]() if name in sections else {} for name in SECTIONS},
        "versions": {peer: known["versions"][peer] for peer in here},
        "absent": {p: why for p, why in known.get("missing", {}).items() if p in PEERS},
        "minutes": (time.perf_counter() - begin) / 60,
    }


def _of(here: list[str], *peers: str) -> str:
    return ",".join(peer for peer in peers if peer in here)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a sample only; print the page")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, help=", ".join(SECTIONS))
    parser.add_argument("--workloads", nargs="+", choices=WORK, metavar="WORKLOAD")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if not dt.is_compiled():
        print(page.NOT_COMPILED, file=sys.stderr)
    found = measure(
        options.only or list(SECTIONS), options.workloads or list(WORK),
        SAMPLE if options.short else FULL, options.threads,
    )  # fmt: skip
    processes.progress("")
    goals = page.goals(found)
    text = page.page(goals, found, " ".join(["python tools/hybrid.py", *sys.argv[1:]]))
    whole = dt.is_compiled() and not (options.short or options.only or options.workloads)
    pages.deliver(text, PAGE if whole else None, goals)


if __name__ == "__main__":
    main()
