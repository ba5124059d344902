"""Measure what native code on the CPU is to be, and write docs/native.md.

`python tools/native.py` measures everything, which takes about ten minutes on a machine that has
nothing else to do. `--short` and `--only` measure a part and print the page instead of writing it.
Peers that are installed for another interpreter join by `--also PYTHON`, each interpreter in an
interleaved run of its own, with our steps beside its peers'.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import native_page
import pages
import processes

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "native.md"
MEASURES = Path(__file__).with_name("native_measures.py")
GRU = "gru-layer-norm"
LEAST_COPIED = 1_000_000  # bytes: below, what is measured is the call

TORCH, COMPILED, JAX = "torch-best", "torch-compile", "jax"
TENSORFLOW, PYTENSOR, ONNX = "tensorflow", "pytensor", "onnxruntime"


@dataclass(frozen=True)
class Work:
    """How a workload is measured, and what it is to reach.

    Attributes
    ----------
    goals : dict
        From a peer, or "" for the best of all, to how many times as fast as it to be.
    peers : tuple of str
        Who takes part.
    steps : int
        Of each, in up to 30 blocks.
    first_s : float
        The most seconds of a first call.
    """

    goals: dict[str, float]
    peers: tuple[str, ...]
    steps: int
    first_s: float = 1.0


WORK = {
    "chain": Work({"": 2.0}, (TORCH, JAX, TENSORFLOW, ONNX), 86),
    "mlp": Work({"": 1.6}, (TORCH, COMPILED, JAX, TENSORFLOW, PYTENSOR), 1211),
    "tiny-mlp": Work({PYTENSOR: 4.0, JAX: 8.0}, (JAX, PYTENSOR), 6011),
    "lstm": Work({TORCH: 1.5, JAX: 3.5}, (TORCH, JAX), 461),
    "lstm-unrolled": Work({TORCH: 1.5, JAX: 3.5}, (TORCH, JAX), 461),
    "cnn": Work({TORCH: 1.3}, (TORCH, JAX), 161, 2.0),
    "transformer": Work({"": 1.25}, (TORCH, COMPILED, JAX), 71, 2.0),
    "mlp-infer-1": Work({"": 1.2}, (TORCH, JAX, PYTENSOR, ONNX), 6011),
    "mlp-infer-64": Work({"": 1.1}, (TORCH, JAX, ONNX), 1511),
    "cnn-infer-1": Work({"": 1.0}, (TORCH, JAX, ONNX), 911),
    "transformer-infer-1": Work({"": 1.1}, (TORCH, JAX, ONNX), 311),
}
SHORT = ("tiny-mlp",)
SHORT_STEPS = 161


ask = partial(processes.ask, MEASURES)


def measure(names: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """All that the page needs, as plain data."""
    begin = time.perf_counter()
    rounds = 1 if options.short else options.rounds
    pythons = [sys.executable, *options.also]
    known = [ask("peers", python=python) for python in pythons]
    here = [set(each.get("versions", ())) for each in known]
    wanted = {name: _wanted(name, here, options) for name in names}
    steady: dict[str, list[Any]] = {name: [] for name in names}
    starts, steps = {}, {}
    with tempfile.TemporaryDirectory() as built:
        library = ask("library", built)
        for name in names:
            count = SHORT_STEPS if options.short else WORK[name].steps
            for number, python in enumerate(pythons):
                peers = _first_here(wanted[name], here, number)
                if peers or number == 0:
                    steady[name].append(
                        ask("speed", name, ",".join(peers), count, options.threads, python=python)
                    )
        for name in (*names, GRU):
            starts[name] = ask(
                "starts", name, JAX if name != GRU and JAX in here[0] else "",
                rounds, options.threads, built,
            )  # fmt: skip
    steady[GRU] = [ask("speed", GRU, "", SHORT_STEPS, options.threads)]
    for name in (*names, GRU):
        steps[name] = ask("step", name, options.threads)
    sizes = {max(s["bytes"], LEAST_COPIED) for s in steps.values() if "bytes" in s}
    gemm = {by: ask("gemm", by, options.threads) for by in ("numpy", "native")}
    copies = ask("copy", ",".join(map(str, sorted(sizes))), options.threads)
    asked, all_here = set().union(*wanted.values()), set().union(*here)
    versions = {p: v for each in reversed(known) for p, v in each.get("versions", {}).items()}
    absent = {p: why for p, why in known[0].get("missing", {}).items() if p not in all_here}
    return {
        "threads": options.threads, "rounds": rounds, "library": library,
        "steady": steady, "starts": starts, "steps": steps, "gemm": gemm, "copies": copies,
        "versions": {p: v for p, v in versions.items() if p in asked},
        "absent": {p: why for p, why in absent.items() if p in asked},
        "minutes": (time.perf_counter() - begin) / 60,
    }  # fmt: skip


def _wanted(name: str, here: list[set[str]], options: argparse.Namespace) -> list[str]:
    if options.peers == "all":
        return sorted(set().union(*here))
    if options.peers:
        return options.peers.split(",")
    return [JAX] if options.short else list(WORK[name].peers)


def _first_here(wanted: list[str], here: list[set[str]], number: int) -> list[str]:
    """The peers that an interpreter runs: those that none before it has."""
    before = set().union(*here[:number])
    return [peer for peer in wanted if peer in here[number] and peer not in before]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a sample only; print the page")
    parser.add_argument("--only", nargs="+", choices=WORK, metavar="WORKLOAD", help=", ".join(WORK))
    parser.add_argument("--peers", default="", help="with commas between, or all that are here")
    parser.add_argument("--also", action="append", default=[], metavar="PYTHON",
                        help="another interpreter with Diptych and more peers")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=3, help="first calls of each; 3")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    names = options.only or list(SHORT if options.short else WORK)
    found = measure(names, options)
    processes.progress("")
    goals = native_page.goals(WORK, found)
    shown = ["PYTHON" if argument in options.also else argument for argument in sys.argv[1:]]
    text = native_page.page(goals, found, " ".join(["python tools/native.py", *shown]))
    pages.deliver(text, None if options.short or options.only else PAGE, goals)


if __name__ == "__main__":
    main()
