"""Measure what eager code is to be, and write docs/eager.md with the picture of a step.

`python tools/eager.py` measures everything, which takes about ten minutes on a machine that has
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

import eager_page
import pages
import processes
from eager_operators import CASES
from eager_parts import picture

import diptych as dt

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "eager.md"
PICTURE = ROOT / "docs" / eager_page.PICTURE
HERE = Path(__file__)

TORCH, BEST = "torch-eager", "torch-best"


@dataclass(frozen=True)
class Work:
    """How a workload is measured, and what it is to reach.

    Attributes
    ----------
    goals : dict
        From a peer to how many times as fast as it to be.
    steps : int
        Of each, in up to 30 blocks.
    trained : bool
        Whether a step's memory is to be at most torch's.
    """

    goals: dict[str, float]
    steps: int
    trained: bool = True


WORK = {
    "chain": Work({TORCH: 4.0}, 71, trained=False),
    "tiny-mlp": Work({TORCH: 5.0}, 3011),
    "mlp": Work({TORCH: 1.15}, 911),
    "lstm": Work({TORCH: 2.5}, 236),
    "lstm-unrolled": Work({TORCH: 2.5}, 236),
    "cnn": Work({BEST: 1.1}, 161),
    "transformer": Work({BEST: 1.1}, 71),
    "tree": Work({TORCH: 4.0}, 86, trained=False),
}
PEERS = (TORCH, BEST)
HIDDEN = (32, 64, 128, 256, 512)
LSTM = "lstm-unrolled"
SHORT = ("tiny-mlp",)


@dataclass(frozen=True)
class Effort:
    """How often things are repeated."""

    turns: int = 400
    chains: int = 10
    most_steps: int = 10_000
    tree_steps: int = 46
    rounds: int = 3
    imports: int = 10
    sampled_s: float = 8.0


FULL = Effort()
SAMPLE = Effort(21, 1, 61, 21, 1, 2, 1.0)

ask = partial(processes.ask, HERE.with_name("eager_measures.py"))


def measure(names: list[str], effort: Effort, short: bool, threads: int) -> dict[str, Any]:
    """All that the page needs, as plain data."""
    begin = time.perf_counter()
    known = ask("peers")
    here = [peer for peer in PEERS if peer in known.get("versions", {})]
    cases = ",".join(list(CASES)[:1] if short else CASES)
    trained = [name for name in names if WORK[name].trained]
    memory_peers = ",".join(peer for peer in here if peer == TORCH)
    return {
        "compiled": dt.is_compiled(),
        "threads": threads,
        "operators": processes.ask(HERE.with_name("eager_operators.py"), "time", cases,
                                   effort.turns),
        "instructions": ask("instructions", cases, effort.chains),
        "steady": {
            name: [ask("speed", name, "eager,autobatch" if name == eager_page.TREE else "eager",
                       ",".join(here), min(WORK[name].steps, effort.most_steps), threads)]
            for name in names
        },
        "trees": {
            hidden: ask("tree", hidden, effort.tree_steps, threads)
            for hidden in (HIDDEN if eager_page.TREE in names else ())
        },
        "memory": {
            name: ask("memory", name, memory_peers, effort.rounds, threads) for name in trained
        },
        "import": ask("imports", effort.imports),
        "profile": ask("profile", LSTM, effort.sampled_s, threads),
        "versions": {peer: known["versions"][peer] for peer in here},
        "absent": {p: why for p, why in known.get("missing", {}).items() if p in PEERS},
        "minutes": (time.perf_counter() - begin) / 60,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a sample only; print the page")
    parser.add_argument("--only", nargs="+", choices=WORK, metavar="WORKLOAD", help=", ".join(WORK))
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if not dt.is_compiled():
        print(eager_page.NOT_COMPILED, file=sys.stderr)
    names = options.only or list(SHORT if options.short else WORK)
    found = measure(names, SAMPLE if options.short else FULL, options.short, options.threads)
    processes.progress("")
    goals = eager_page.goals(WORK, found)
    text = eager_page.page(goals, found, " ".join(["python tools/eager.py", *sys.argv[1:]]))
    whole = dt.is_compiled() and not (options.short or options.only)
    if whole and "failed" not in found["profile"]:
        PICTURE.write_text(picture(found["profile"], "Where a step of the LSTM goes"))
    pages.deliver(text, PAGE if whole else None, goals)


if __name__ == "__main__":
    main()
