"""Runs random programs natively, for a process that a sanitizer of the C compiler watches.

    python native_sanitized.py address|thread COUNT

Under "address" each buffer of an arena lies between memory that nobody may touch.
"""

from __future__ import annotations

import ctypes
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from test_native_graphs import a_setting, graph_of, looping, start_of, straight, updates, updating

import diptych as dt
from diptych.compiler.executors import instance
from diptych.compiler.native import build, timeline

GAP = 2048  # bytes around a buffer; less, and NumPy would use the arena again for small arrays


def put_apart() -> None:
    """Plan arenas whose buffers share nothing, and forbid what lies between them."""
    forbid = ctypes.CDLL(None).__asan_poison_memory_region
    forbid.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    make, gaps = instance.aligned_bytes, {}

    def lay_out(buffers: Sequence[Any]) -> tuple[int, int]:
        end = 0
        between = []
        for buffer in buffers:
            buffer.offset = -(-(end + GAP) // 64) * 64
            between.append((end, buffer.offset))
            end = buffer.offset + buffer.nbytes
        size = end + GAP
        gaps[size] = [*between, (end, size)]
        return size, size

    def aligned_bytes(nbytes: int) -> np.ndarray:
        memory = make(nbytes)
        for begin, end in gaps.get(nbytes, ()):
            forbid(memory.ctypes.data + begin, end - begin)
        return memory

    timeline.lay_out, instance.aligned_bytes = lay_out, aligned_bytes


def draws(count: int) -> settings:
    return settings(
        derandomize=True, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck), max_examples=count,
    )  # fmt: skip


def check(count: int) -> None:
    """Run so many times three programs, and one that updates variables."""

    @draws(count)
    @given(st.lists(straight | looping, min_size=3, max_size=3), *a_setting)
    def run_programs(programs: Any, dtype: str, threads: int, passes: Any, held: int) -> None:
        dt.set_num_threads(threads)
        graph, fetches, feeds = graph_of(programs, dtype, held)
        program = graph.compile(fetches, executor="native", passes=passes, freeze=held > 0)
        program.run(feeds)

    @draws(count)
    @given(updates(), st.booleans(), *a_setting[1:3])
    def run_updates(steps: Any, alike: bool, threads: int, passes: Any) -> None:
        dt.set_num_threads(threads)
        graph, fetches = updating(steps, start_of(alike))
        program = graph.compile(fetches, executor="native", passes=passes)
        program.run({"x": np.ones((3, 3), np.float32)})

    run_programs()
    run_updates()


if __name__ == "__main__":
    build.WORTH_THREADS = 0.0
    np.seterr(all="ignore")
    warnings.simplefilter("ignore", RuntimeWarning)
    if sys.argv[1] == "address":
        put_apart()
    check(int(sys.argv[2]))
