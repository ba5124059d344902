"""What `tools/native.py` measures: each command is a process of its own and prints JSON.

python tools/native_measures.py speed WORKLOAD PEER,... STEPS THREADS
python tools/native_measures.py starts WORKLOAD PEER,... ROUNDS THREADS LIBRARY
python tools/native_measures.py step WORKLOAD THREADS
python tools/native_measures.py gemm numpy|native THREADS
python tools/native_measures.py copy BYTES,... THREADS
python tools/native_measures.py library FOLDER
python tools/native_measures.py peers
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np
import steady
import threadpoolctl
from processes import answer, listed

import diptych as dt
from diptych.bench import modes, peers
from diptych.bench.crew import Handle
from diptych.bench.pinning import pin_busiest, thread_times
from diptych.bench.task import Task
from diptych.bench.workloads import find, numbers
from diptych.compiler.executors import steps as executor_steps
from diptych.compiler.native import library as runtime
from diptych.graphs.kernels import Recorder, recording

GRU = "gru-layer-norm"
OURS = "static"
# Long enough for a clock, short enough that a page has many.
WATCHED_S = 0.5
RATED_S = 1.5
MOST_OF_PEERS = 2  # first calls of each: they take long


# -- a workload that nobody wrote the compiler for -------------------------------------------


def build_gru(steps: int = 50, batch: int = 16, inputs: int = 64, hidden: int = 128) -> Task:
    """A gated recurrent unit whose two products are normalised, in a scan; trained by SGD."""
    rng = np.random.default_rng(0)
    wx = numbers.weight(rng, inputs, inputs, 3 * hidden)
    wh = numbers.weight(rng, hidden, hidden, 3 * hidden)
    scales = [dt.Parameter(np.ones(3 * hidden, np.float32)) for _ in range(2)]
    shifts = [numbers.zeros(3 * hidden) for _ in range(2)]

    def cell(h: Any, x: Any) -> Any:
        p, q = (
            dt.layer_norm(product, scale, shift, (3 * hidden,))
            for product, scale, shift in zip((x @ wx, h @ wh), scales, shifts)
        )
        r, z = (dt.sigmoid(p[:, k : k + hidden] + q[:, k : k + hidden]) for k in (0, hidden))
        n = dt.tanh(p[:, 2 * hidden :] + r * q[:, 2 * hidden :])
        return n + z * (h - n), None

    def loss(xs: Any) -> Any:
        h, _ = dt.scan(cell, dt.zeros((batch, hidden)), xs)
        return dt.mean(h * h)

    return Task(
        loss=loss,
        optimizer=dt.optim.SGD([wx, wh, *scales, *shifts], lr=0.01),
        batches=[(numbers.normal(rng, steps, batch, inputs),)],
    )


def builder(workload: str) -> Callable[[], Task]:
    return build_gru if workload == GRU else find(workload).build


def source(workload: str) -> Any:
    """What a worker is started with: a name where a fresh interpreter can find it."""
    return build_gru if workload == GRU else workload


# -- steady steps ----------------------------------------------------------------------------


def speed(workload: str, names: str, steps: str, threads: str) -> Any:
    return steady.speed(source(workload), workload, [OURS], listed(names), int(steps), int(threads))


# -- first calls -----------------------------------------------------------------------------


def starts(workload: str, names: str, rounds: str, threads: str, built: str) -> Any:
    """First calls in turn: with the library alone in the cache, then with all; and the peers'."""
    found = defaultdict(list)
    for turn in range(int(rounds)):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(built, folder, dirs_exist_ok=True)
            for what in ("cold", "warm"):
                found[what].append(_first_of_ours(workload, threads, folder))
        for peer in listed(names) if turn < MOST_OF_PEERS else ():
            found[peer].append(_first_of_peer(workload, int(threads), peer))
    return found


def _first_of_ours(workload: str, threads: str, folder: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, "first", workload, threads],
        env={**os.environ, "DIPTYCH_CACHE_DIR": folder, "DIPTYCH_PROGRAM_CACHE": "1"},
        stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout)
    return found


def first(workload: str, threads: str) -> Any:
    """Seconds of building, compiling and the first step, with the library's loading."""
    dt.set_num_threads(int(threads))
    task = builder(workload)()
    mode = modes.find(OURS)(task, "native")
    mode.prepare(task.batch(0))
    start = time.perf_counter()
    mode.step(task.batch(0))
    elapsed = time.perf_counter() - start
    return {"build_s": mode.build_s, "compile_s": mode.compile_s, "first_step_s": elapsed}


def _first_of_peer(workload: str, threads: int, peer: str) -> dict[str, float]:
    entry = peers.find(peer)
    options = {"mode": peer, "executor": "native", "threads": threads, "device": "cpu"}
    handle = Handle(workload, options | {"peer": entry.module}, entry.environment(threads))
    try:
        answer = handle.ask("start")
    finally:
        handle.close()
    return {name: answer[name] for name in ("build_s", "compile_s", "first_step_s")}


def library(folder: str) -> Any:
    """Build all parts of the library of native kernels into a folder; how long that takes."""
    os.environ["DIPTYCH_CACHE_DIR"] = folder
    start = time.perf_counter()
    runtime.prepare()
    return {"seconds": time.perf_counter() - start}


# -- one step: memory, work, and where its time goes -----------------------------------------

WITHOUT_CODE = re.compile(r"(\d+) operators without native code")
PLAN = re.compile(
    r"arena (?P<arena>\d+) bytes in \d+ buffers \(liveness bound (?P<bound>\d+)\), "
    r"(?P<returned>\d+) bytes returned"
)


def step(workload: str, threads: str) -> Any:
    # A program with clocks in it is for this process alone.
    os.environ["DIPTYCH_PROGRAM_CACHE"] = "0"
    dt.set_num_threads(int(threads))
    with threadpoolctl.threadpool_limits(int(threads)):
        task, mode = prepared(workload, "reference")
        with recording(Recorder()) as recorder:
            mode.step(task.batch(0))
        with mock.patch.object(executor_steps, "load", _loading(codes := [])):
            task, mode = prepared(workload, "native")
        spent = where_time_goes(task, mode, codes, int(threads))
    return {
        "reference_peak": recorder.peak_bytes,
        "flop": recorder.flop,
        "bytes": compulsory_bytes(mode.program.graph),
        "kernels": spent,
        **plan(mode.program.explain()),
    }


def prepared(workload: str, executor: str) -> tuple[Task, Any]:
    task = builder(workload)()
    mode = modes.find(OURS)(task, executor)
    mode.prepare(task.batch(0))
    return task, mode


def plan(explained: str) -> dict[str, int]:
    """Bytes of the arena, its liveness bound and what a run returns; operators that NumPy runs.

    Examples
    --------
    >>> plan("plan memory: arena 8 bytes in 1 buffers (liveness bound 4), 2 bytes returned a run")
    {'arena': 8, 'bound': 4, 'returned': 2, 'without_code': 0}
    """
    found = PLAN.search(explained)
    if found is None:
        raise ValueError(f"plan: a native program must say what memory it takes, got {explained}")
    numbers = {name: int(n) for name, n in found.groupdict().items()}
    return numbers | {"without_code": sum(map(int, WITHOUT_CODE.findall(explained)))}


def compulsory_bytes(graph: Any) -> int:
    """What a step must read and write whatever it does between: feeds, variables, constants,
    results."""
    read = [v.aval for v in graph.placeholders.values()]
    read += [storage.array for storage, _ in graph.variables]
    read += [node.attrs["array"] for node in graph.nodes if node.op.name == "constant"]
    written = {id(n.attrs["storage"]): n.attrs["storage"].array for n in graph.effects}
    results = [value.aval for value in graph.outputs]
    return sum(int(a.nbytes) for a in (*read, *written.values(), *results))


def where_time_goes(task: Task, mode: Any, codes: list[Any], threads: int) -> dict[str, float]:
    """Seconds of a step by native function, on the first thread; "" is what is outside them."""

    def take(seconds: float) -> tuple[int, float]:
        count, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds:
            mode.step(batch)
            count += 1
        return count, elapsed

    batch = task.batch(0)
    before = thread_times()
    take(WATCHED_S / 2)
    pin_busiest(threads, before)
    for _, _, spent in codes:
        ctypes.memset(spent, 0, ctypes.sizeof(spent))
    count, elapsed = take(WATCHED_S)
    found: dict[str, float] = defaultdict(float)
    for names, _, spent in codes:
        for name, seconds in zip(names, spent):
            found[name] += seconds / count
    found[""] = max(elapsed / count - sum(found.values()), 0.0)
    return found


def _loading(codes: list[Any]) -> Callable[[Any], Any]:
    """What loads programs with a clock behind each call, and keeps where it counts."""

    def load(program: Any) -> Any:
        texts = [program] if isinstance(program, str) else list(program)
        [at] = [i for i, text in enumerate(texts) if _STEP.search(text)]
        names, texts[at] = watched(texts[at])
        code = runtime.load(texts)
        spent = (ctypes.c_double * max(len(names), 1)).in_dll(code, "watch_spent")
        codes.append((names, code, spent))
        return code

    return load


_STEP = re.compile(r"^void step\d+\(.*?^\}", re.DOTALL | re.MULTILINE)
_HEAD = re.compile(r"^void step\d+\(.*?\{$", re.DOTALL | re.MULTILINE)
_CALL = re.compile(r"^( +)(\w+)(\(team\b[^;]*\);)$", re.MULTILINE)
_WATCH = """\
#include <time.h>
__attribute__((visibility("default"))) double watch_spent[{count}];
static double watch_last;
static void watch(int thread, int call) {{
    struct timespec now;
    if (thread) return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const double seconds = now.tv_sec + 1e-9 * now.tv_nsec;
    if (call >= 0) watch_spent[call] += seconds - watch_last;
    watch_last = seconds;
}}
"""


def watched(text: str) -> tuple[list[str], str]:
    """A program that adds up what each function that a step calls takes on the first thread.

    Examples
    --------
    >>> names, _ = watched("void step0(dt_team *team) {\\n    add_1(team, thread, b0);\\n}")
    >>> names
    ['add_1']
    """
    names: list[str] = []

    def call(found: re.Match[str]) -> str:
        indent, name, arguments = found.groups()
        if name not in names:
            names.append(name)
        return f"{indent}{name}{arguments}\n{indent}watch(thread, {names.index(name)});"

    def body(found: re.Match[str]) -> str:
        text = _CALL.sub(call, found.group())
        return _HEAD.sub(lambda head: head.group() + "\n    watch(thread, -1);", text)

    changed = _STEP.sub(body, text)
    return names, _WATCH.format(count=max(len(names), 1)) + changed


# -- what the machine can do -----------------------------------------------------------------


def gemm(by: str, threads: str, size: int = 1024) -> Any:
    """FLOP a second of a product of two square float32 matrices, the fastest of many."""
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((size, size)).astype(np.float32) for _ in range(2))
    dt.set_num_threads(int(threads))
    with threadpoolctl.threadpool_limits(int(threads)):
        if by == "numpy":
            out = np.empty_like(a)
            rate = _rate(lambda: np.matmul(a, b, out=out), int(threads))
        else:
            with dt.static.Graph() as graph:
                product = graph.placeholder("a", a.shape) @ graph.placeholder("b", b.shape)
            program = graph.compile(product, executor="native")
            rate = _rate(lambda: program.run({"a": a, "b": b}), int(threads))
    return {"rate": 2 * size**3 * rate}


def _rate(do: Callable[[], Any], threads: int) -> float:
    """How often a second, by the fastest of many times."""

    def times(seconds: float) -> Iterator[float]:
        end = time.perf_counter() + seconds
        while (start := time.perf_counter()) < end:
            do()
            yield time.perf_counter() - start

    before = thread_times()
    list(times(RATED_S / 2))
    pin_busiest(threads, before)
    return 1 / min(times(RATED_S))


def copy(sizes: str, threads: str) -> Any:
    """Bytes read and written a second by copies of so many bytes, on threads with their own."""
    return {size: _copy_rate(int(size), int(threads)) for size in listed(sizes)}


def _copy_rate(size: int, threads: int) -> float:
    # Of the bytes one half is read, the other written.
    mine = max(size // 2 // threads, 4096)
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    rates = [0.0] * threads
    ready = threading.Barrier(threads)

    def work(number: int) -> None:
        if len(cores) >= threads:
            os.sched_setaffinity(0, {cores[number]})
        there, here = np.ones(mine, np.uint8), np.zeros(mine, np.uint8)
        rounds = max(1, (1 << 22) // mine)
        for turn in range(12):
            ready.wait()
            start = time.perf_counter()
            for _ in range(rounds):
                np.copyto(here, there)
            elapsed = time.perf_counter() - start
            if turn > 1:
                rates[number] = max(rates[number], 2 * mine * rounds / elapsed)

    workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(rates)


# -- the command -----------------------------------------------------------------------------


COMMANDS: dict[str, Callable[..., Any]] = {
    "speed": speed, "starts": starts, "first": first, "step": step, "gemm": gemm, "copy": copy,
    "library": library, "peers": steady.installed,
}  # fmt: skip

if __name__ == "__main__":
    answer(COMMANDS)
