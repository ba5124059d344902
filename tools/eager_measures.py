"""What `tools/eager.py` measures beside operators: each command prints JSON from its own process.

python tools/eager_measures.py speed WORKLOAD MODE,... PEER,... STEPS THREADS
python tools/eager_measures.py tree HIDDEN STEPS THREADS
python tools/eager_measures.py memory WORKLOAD PEER,... ROUNDS THREADS
python tools/eager_measures.py imports ROUNDS
python tools/eager_measures.py instructions CASE,... CHAINS
python tools/eager_measures.py profile WORKLOAD SECONDS THREADS
python tools/eager_measures.py peers
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import eager_parts
import processes
import steady
import threadpoolctl
from processes import answer, listed

import diptych as dt
from diptych.bench import modes, peers
from diptych.bench.statistics import median
from diptych.bench.workloads import find, tree
from diptych.bench.workloads.operators import OPERATORS

HERE = Path(__file__)
CHAINS = HERE.with_name("eager_operators.py")
OURS, BATCHED = "eager", "autobatch"
FIRST_STEPS = 5
SAMPLES_A_SECOND = 1999


# -- steady steps ----------------------------------------------------------------------------


def speed(workload: str, ours: str, theirs: str, steps: str, threads: str) -> Any:
    return steady.speed(workload, workload, listed(ours), listed(theirs), int(steps), int(threads))


def trees(hidden: str, steps: str, threads: str) -> Any:
    """Trees with states of a size, one by one and batched."""
    build = partial(tree.build, hidden=int(hidden))
    return steady.speed(build, "tree", [OURS, BATCHED], [], int(steps), int(threads))


# -- memory ----------------------------------------------------------------------------------


def memory(workload: str, names: str, rounds: str, threads: str) -> Any:
    """Bytes by which resident memory grows in a few steps, in a new process for each figure."""
    return {
        who: median(
            [
                processes.ask(HERE, "grown", workload, who, threads)["bytes"]
                for _ in range(int(rounds))
            ]
        )
        for who in (OURS, *listed(names))
    }


def grown(workload: str, who: str, threads: str) -> Any:
    """The peak of what is resident during the first steps, beyond what was before them."""
    dt.set_num_threads(int(threads))
    with threadpoolctl.threadpool_limits(int(threads)):
        task = find(workload).build()
        if who == OURS:
            mode: Any = modes.find(OURS)(task, "native")
            mode.prepare(task.batch(0))
            batch = task.batch(0)
        else:
            mode = peers.load(peers.find(who).module)(workload, task, int(threads))
            mode.prepare()
            batch = mode.load(task.batch(0))
        # 5 sets the peak back to what is resident now: proc_pid_clear_refs(5).
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmHWM")
        for _ in range(FIRST_STEPS):
            mode.step(batch)
        return {"bytes": _status("VmHWM") - before}


def _status(field: str) -> int:
    """Bytes that the system's status of this process says."""
    [kib] = re.findall(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.M)
    return 1024 * int(kib)


# -- import ----------------------------------------------------------------------------------

TOUCHED = """
import sys, diptych
maps = open("/proc/self/maps").read() if sys.platform == "linux" else ""
print(int("cupy" in sys.modules or "libcuda" in maps))
"""


def imports(rounds: str) -> Any:
    """Seconds of new interpreters with and without the import, in turn; if CUDA was touched."""
    programs = {"with": "import diptych", "without": "pass"}
    # What users import has its bytecode beside it.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    taken: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(1 + int(rounds)):
        for name, program in programs.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], env=environment, check=True)
            if turn:  # the first reads files that the others find in memory, and compiles them
                taken[name].append(time.perf_counter() - start)
    touched = subprocess.run(
        [sys.executable, "-c", TOUCHED], capture_output=True, text=True, check=True
    )
    return {
        **{name: median(each) for name, each in taken.items()},
        "import": median([a - b for a, b in zip(*taken.values())]),
        "cuda": bool(int(touched.stdout)),
    }


# -- instructions ----------------------------------------------------------------------------


def instructions(names: str, chains: str) -> Any:
    """Instructions an operator, and who counted them."""
    if shutil.which("valgrind"):
        counted, by = _by_callgrind(listed(names), int(chains)), "valgrind --tool=callgrind"
    elif shutil.which("perf"):
        counted, by = _by_perf(listed(names), int(chains)), "perf stat -e instructions:u"
    else:
        raise RuntimeError("instructions: need valgrind or perf, got neither")
    return {
        "by": by,
        "each": {name: n / (int(chains) * OPERATORS) for name, n in counted.items()},
    }


def _by_callgrind(names: list[str], chains: int) -> dict[str, int]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "counts")
        _chains(
            names, chains, "valgrind", "--tool=callgrind", f"--callgrind-out-file={out}",
            "--dump-before=getpgrp",
        )  # fmt: skip
        # Parts are before, within, between and after chains: every second is one.
        parts = [Path(f"{out}.{2 * number + 2}").read_text() for number in range(len(names))]
    return {
        name: int(re.findall(r"^totals: (\d+)", part, re.M)[-1]) for name, part in zip(names, parts)
    }


def _by_perf(names: list[str], chains: int) -> dict[str, int]:
    """What a process with the chains needs more than one with none."""

    def counted(name: str, chains: int) -> int:
        done = _chains([name], chains, "perf", "stat", "-x,", "-e", "instructions:u")
        count = done.stderr.strip().splitlines()[-1].partition(",")[0]
        if not count.isdecimal():
            raise RuntimeError(f"perf stat: must count instructions, got {count}")
        return int(count)

    return {name: counted(name, chains) - counted(name, 0) for name in names}


def _chains(names: list[str], chains: int, *counter: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*counter, sys.executable, str(CHAINS), "count", ",".join(names), str(chains)],
        env={**os.environ, "PYTHONHASHSEED": "0"}, capture_output=True, text=True, check=True,
    )  # fmt: skip


# -- where a step goes -----------------------------------------------------------------------


def profile(workload: str, seconds: str, threads: str) -> Any:
    """Samples of the first thread by part and function, while steps are taken."""
    dt.set_num_threads(int(threads))
    with threadpoolctl.threadpool_limits(int(threads)), tempfile.TemporaryDirectory() as folder:
        task = find(workload).build()
        mode, batch = modes.find(OURS)(task, "native"), task.batch(0)
        for _ in range(FIRST_STEPS):
            mode.step(batch)
        data = str(Path(folder, "samples"))
        recorder = subprocess.Popen(
            [
                "perf", "record", "-q", "-e", "cpu-clock:u", "-F", str(SAMPLES_A_SECOND),
                "-t", str(threading.get_native_id()), "-o", data, "--", "sleep", seconds,
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while recorder.poll() is None:
            mode.step(batch)
        script = subprocess.run(
            ["perf", "script", "-i", data, "-F", "ip,sym,dso"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for sample in map(eager_parts.SAMPLE.fullmatch, script.stdout.splitlines()):
        if sample is not None:
            function = sample["function"]
            found[eager_parts.part(function, Path(sample["library"]).name)][function] += 1
    return found


COMMANDS = {
    "speed": speed, "tree": trees, "memory": memory, "grown": grown, "imports": imports,
    "instructions": instructions, "profile": profile, "peers": steady.installed,
}  # fmt: skip

if __name__ == "__main__":
    answer(COMMANDS)
