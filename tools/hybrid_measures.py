"""What `tools/hybrid.py` measures: each command is a process of its own and prints JSON.

python tools/hybrid_measures.py calls TURNS THREADS
python tools/hybrid_measures.py lookups TURNS THREADS
python tools/hybrid_measures.py lstm PEER,... STEPS THREADS
python tools/hybrid_measures.py speed WORKLOAD MODE,... PEER,... STEPS THREADS
python tools/hybrid_measures.py starts WORKLOAD WHO,... ROUNDS THREADS
python tools/hybrid_measures.py epochs PEER,... ROUNDS THREADS
python tools/hybrid_measures.py lengths THREADS
python tools/hybrid_measures.py peers
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import processes
import steady
import threadpoolctl
from processes import answer, listed

import diptych as dt
from diptych.bench import modes, peers
from diptych.bench.crew import Handle
from diptych.bench.peers.standing import ratios
from diptych.bench.pinning import pin_busiest, thread_times
from diptych.bench.statistics import median_interval
from diptych.bench.task import Task
from diptych.bench.workloads import Rung, lstm, numbers
from diptych.compiler.native.library import prepare

HERE = Path(__file__)
OURS = "hybrid"
CALLS_A_TURN = 400
ENTRIES = (1, 4, 16, 64)
LENGTHS = (10, 1000)
DROPPED = 0.2


# -- calls -----------------------------------------------------------------------------------


def calls(turns: str, threads: str) -> Any:
    """Seconds a call of x + 1 on 16 floats, eager and compiled by turns."""

    def increased(x: Any) -> Any:
        return x + 1

    plain = dt.ones((16,))
    leaf = dt.ones((16,)).requires_grad_()
    seed = dt.ones((16,))

    def whole(function: Callable[..., Any]) -> None:
        function(leaf).backward(seed)
        leaf.grad = None

    calls = {
        "without gradient": lambda function: partial(function, plain),
        "recorded": lambda function: partial(function, leaf),
        "forward and backward": lambda function: partial(whole, function),
    }
    dt.set_num_threads(int(threads))
    found = {}
    for what, made in calls.items():
        for gate in (True, False):
            # Of a function so small the gate decides for eager code.
            compiled = dt.compile(increased, executor="native", gate=gate)
            ways = {"eager": made(increased), "compiled": made(compiled)}
            found[what if gate else f"{what}, no gate"] = _paired(ways, int(turns))
    return found


def lookups(turns: str, threads: str) -> Any:
    """Seconds a call, by the number of entries among which the one that holds is found."""
    dt.set_num_threads(int(threads))
    x = dt.ones((16,))
    return {
        how: _by_first({str(n): made(n, x) for n in ENTRIES}, int(turns))
        for how, made in (("signatures", _of_signatures), ("values read", _of_values))
    }


def _of_signatures(entries: int, x: Any) -> Callable[[], Any]:
    """A call of a function that was traced for so many arguments of Python."""
    scaled = dt.compile(lambda x, n: x * n, executor="native", gate=False)
    for n in range(entries):
        scaled(x, n)
    return partial(scaled, x, entries - 1)


def _of_values(entries: int, x: Any) -> Callable[[], Any]:
    """A call of a function that was traced for so many values of a number it closes over."""
    factor = 0

    @dt.compile(executor="native", gate=False)
    def scaled(x: Any) -> Any:
        return x * factor

    for n in range(entries):
        factor = n
        scaled(x)
    return partial(scaled, x)


def _by_first(ways: dict[str, Callable[[], Any]], turns: int) -> Any:
    """Seconds a call of each, and each's over the first's."""
    taken = _by_turns(ways, turns)
    first = next(iter(taken.values()))
    return {
        name: {
            "call_s": median_interval(times).to_json(),
            "of_first": ratios(first, times)[0].to_json(),
        }
        for name, times in taken.items()
    }


def _paired(ways: dict[str, Callable[[], Any]], turns: int) -> Any:
    """Seconds a call of two, and the second's over and beyond the first's."""
    taken = _by_turns(ways, turns)
    first, second = taken.values()
    return {
        **{name: median_interval(times).to_json() for name, times in taken.items()},
        "times": ratios(first, second)[0].to_json(),
        "more_s": median_interval([b - a for a, b in zip(first, second)]).to_json(),
    }


def _by_turns(ways: dict[str, Callable[[], Any]], turns: int) -> dict[str, list[float]]:
    """Seconds a call of each, turn by turn, once warmed up and pinned."""
    before = thread_times()
    for call in ways.values():
        _each(call)
    pin_busiest(1, before)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(turns):
        order = list(ways) if turn % 2 else list(reversed(ways))
        for name in order:
            taken[name].append(_each(ways[name]))
    return taken


def _each(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    for _ in range(CALLS_A_TURN):
        call()
    return (time.perf_counter() - start) / CALLS_A_TURN


# -- a recurrent cell that no library has ----------------------------------------------------


def build_rich(in_cells: bool = False) -> Task:
    """The cell of `lstm` with its gates normalised and its states dropped out, trained by SGD."""
    rng = np.random.default_rng(0)
    width = lstm.HIDDEN
    wx = numbers.weight(rng, lstm.INPUT, lstm.INPUT, 4 * width)
    wh = numbers.weight(rng, width, width, 4 * width)
    scale = dt.Parameter(np.ones(4 * width, np.float32))
    shift = numbers.zeros(4 * width)

    def cell(carry: Any, x: Any) -> Any:
        h, c = carry
        z = dt.layer_norm(x @ wx + h @ wh, scale, shift, (4 * width,))
        i, f, g, o = (z[:, k * width : (k + 1) * width] for k in range(4))
        c = dt.sigmoid(f) * c + dt.sigmoid(i) * dt.nn.functional.dropout(dt.tanh(g), DROPPED)
        return dt.sigmoid(o) * dt.tanh(c), c

    def loss(xs: Any, cell: Callable[..., Any] = cell) -> Any:
        carry = (dt.zeros((lstm.BATCH, width)), dt.zeros((lstm.BATCH, width)))
        for t in range(xs.shape[0]):
            carry = cell(carry, xs[t])
        return dt.mean(carry[0] * carry[0])

    return Task(
        loss=loss,
        optimizer=dt.optim.SGD([wx, wh, scale, shift], lr=0.01),
        batches=[(numbers.normal(rng, lstm.STEPS, lstm.BATCH, lstm.INPUT),)],
        in_pieces=(lambda compile: partial(loss, cell=compile(cell))) if in_cells else None,
    )


class _Rungs(steady.SteadySteps):
    """Rungs of one's own, in processes forked from this one, beside peers that run a workload."""

    def __init__(self, rungs: Sequence[Rung], **options: Any) -> None:
        self._rungs = {rung.name: rung for rung in rungs}
        super().__init__("lstm", name="lstm", title="", modes=list(self._rungs), **options)

    def _handle(self, mode: str) -> Handle:
        rung = self._rungs.get(mode)
        if rung is None:
            return super()._handle(mode)
        return Handle(rung.build, self._options | {"mode": rung.mode})


def lstms(names: str, steps: str, threads: str) -> Any:
    """The cell and the whole loop, as they are and with layer norm and dropout, beside peers."""
    loops = partial(lstm.build, lstm.unrolled)
    rungs = [
        Rung("cell", "", OURS, partial(loops, in_cells=True)),
        Rung("loop", "", OURS, loops),
        Rung("rich cell", "", OURS, partial(build_rich, True)),
        Rung("rich loop", "", OURS, build_rich),
        Rung("eager", "", "eager", loops),
        Rung("rich eager", "", "eager", build_rich),
    ]
    return _Rungs(
        rungs, peers=listed(names), executor="native", steps=int(steps), threads=int(threads),
        device="cpu",
    ).run()  # fmt: skip


def speed(workload: str, ours: str, theirs: str, steps: str, threads: str) -> Any:
    return steady.speed(workload, workload, listed(ours), listed(theirs), int(steps), int(threads))


# -- first calls -----------------------------------------------------------------------------


def starts(workload: str, names: str, rounds: str, threads: str) -> Any:
    """Seconds until the first step is done, tracing and compiling among them, in turn."""
    found = defaultdict(list)
    for _ in range(int(rounds)):
        for who in listed(names):
            found[who].append(_start(workload, who, int(threads)))
    return {who: median_interval(each).to_json() for who, each in found.items()}


def _start(workload: str, who: str, threads: int) -> float:
    options: dict[str, Any] = {"mode": who, "executor": "native", "threads": threads}
    options["device"] = "cpu"
    environment = None
    if who in peers.PEERS:
        entry = peers.find(who)
        options["peer"], environment = entry.module, entry.environment(threads)
    handle = Handle(workload, options, environment)
    try:
        found = handle.ask("start")
    finally:
        handle.close()
    return float(sum(found[name] for name in ("build_s", "compile_s", "first_step_s")))


def epochs(names: str, rounds: str, threads: str) -> Any:
    """Seconds of the first epoch of lstm-varlen: cold, with a program that an earlier process has
    compiled, and of peers."""
    found = defaultdict(list)
    with tempfile.TemporaryDirectory() as library:
        environment = {**os.environ, "DIPTYCH_CACHE_DIR": library}
        subprocess.run([sys.executable, str(HERE), "library"], env=environment, check=True)
        for _ in range(int(rounds)):
            with tempfile.TemporaryDirectory() as folder:
                subprocess.run(["cp", "-a", f"{library}/.", folder], check=True)
                for what in ("cold", "warm"):
                    found[what].append(_first_epoch(folder, threads))
            for peer in listed(names):
                found[peer].append(_start("lstm-varlen", peer, int(threads)))
    return {who: median_interval(each).to_json() for who, each in found.items()}


def _first_epoch(folder: str, threads: str) -> float:
    environment = {**os.environ, "DIPTYCH_CACHE_DIR": folder, "DIPTYCH_PROGRAM_CACHE": "1"}
    command = [sys.executable, str(HERE), "epoch", threads]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return float(done.stdout.splitlines()[-1])


def epoch(threads: str) -> Any:
    """Seconds of the first epoch of this process."""
    dt.set_num_threads(int(threads))
    with threadpoolctl.threadpool_limits(int(threads)):
        task = lstm.build_varlen(lstm.unrolled)
        mode = modes.find(OURS)(task, "native")
        batches = [task.batch(number) for number in range(task.batches_a_step)]
        start = time.perf_counter()
        mode.steps(batches)
        return time.perf_counter() - start


def library() -> Any:
    """Build the library of native kernels."""
    prepare()
    return {}


# -- lengths ---------------------------------------------------------------------------------


def lengths(threads: str) -> Any:
    """Seconds of compiling and characters of code of the lstm's loop, by its number of rounds."""
    return {
        how: {str(n): processes.ask(HERE, "length", how, n, threads) for n in LENGTHS}
        for how in ("captured", "rolled up")
    }


def length(how: str, rounds: str, threads: str) -> Any:
    """One loop, traced, compiled and differentiated in this process."""
    os.environ["DIPTYCH_PROGRAM_CACHE"] = "0"
    dt.set_num_threads(int(threads))
    prepare()
    known = int(rounds)

    def counted(xs: Any, carry: Any, *weights: Any) -> Any:
        for t in range(known):
            carry = lstm.cell(carry, xs[t], *weights)
        return carry[0]

    task = lstm.build(lstm.unrolled if how == "captured" else counted)
    rng = np.random.default_rng(0)
    xs = dt.tensor(numbers.normal(rng, known, lstm.BATCH, lstm.INPUT))
    # Another program leaves memory for this one behind, which a first run finds slow to get.
    _calls_of(dt.compile(lambda xs: 2.0 * task.loss(xs), executor="native", gate=False), xs)
    loss = dt.compile(task.loss, executor="native", gate=False)
    first, second = _calls_of(loss, xs)
    known_s = loss.trace_s + loss.compile_s
    # Code for an open length is compiled in the first run.
    took = first - second if how == "captured" else known_s
    return {"seconds": took, "code": len(loss.source)}


def _calls_of(loss: Callable[..., Any], xs: Any) -> list[float]:
    """Seconds of two calls, forward and backward."""
    took = []
    for _ in range(2):
        start = time.perf_counter()
        loss(xs).backward()
        took.append(time.perf_counter() - start)
    return took


COMMANDS = {
    "calls": calls, "lookups": lookups, "lstm": lstms, "speed": speed, "starts": starts,
    "epochs": epochs, "epoch": epoch, "library": library, "lengths": lengths, "length": length,
    "peers": steady.installed,
}  # fmt: skip

if __name__ == "__main__":
    answer(COMMANDS)
