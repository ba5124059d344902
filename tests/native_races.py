"""Makes missing barriers show: threads run one after the other, in one order or the other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from diptych.compiler.executors import steps
from diptych.graphs.storage import Storage

RUNS = 100

_LAST_HEADER = '#include "convolution.h"\n'
_STEP = re.compile(r"(void (?:step\d+|once)\(dt_team \*team, int thread, [^)]*\) \{\n)")
_PAUSE = """\
#include <time.h>
static inline void pause_for(int turns) {{
    const struct timespec time = {{0, {nanoseconds}L * turns}};
    if (turns > 0) nanosleep(&time, 0);
}}
#define dt_barrier(team) do {{ dt_barrier(team); pause_for({turns}); }} while (0)
"""
TURNS = {"ascending": "thread", "descending": "team->threads - 1 - thread"}


@contextmanager
def in_turns(order: str, nanoseconds: int = 150_000) -> Iterator[None]:
    """Programs that are compiled within let a thread wait behind each barrier until those before
    it in the order are well on their way to the next one.

    What a thread reads too early, or overwrites too early, differs then from order to order.
    """
    turns = TURNS[order]
    pause = _PAUSE.format(turns=turns, nanoseconds=nanoseconds)
    real = steps.load

    def load(units: Sequence[str]) -> Any:
        slow = [unit.replace(_LAST_HEADER, _LAST_HEADER + pause, 1) for unit in units]
        return real([_STEP.sub(rf"\1    pause_for({turns});\n", unit) for unit in slow])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "load", load)
        yield


def standard(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def check(
    g: Any,
    fetches: list[Any],
    feeds: dict[str, Any] | Sequence[dict[str, Any]],
    state: tuple[Storage, ...] = (),
    passes: Any = None,
    repeats: int = RUNS,
) -> None:
    """Compare many runs with the first, with threads in turns, and with `reference`; a run of
    several feeds takes them one after the other."""
    start = [s.array.copy() for s in state]

    def results(program: Any) -> list[np.ndarray]:
        for storage, array in zip(state, start):
            storage.array[...] = array
        runs = map(program.run, [feeds] if isinstance(feeds, dict) else feeds)
        found = [a for results in runs for a in results if a is not None]
        return [*found, *(s.array.copy() for s in state)]

    wanted = results(g.compile(fetches, executor="reference"))
    program = g.compile(fetches, executor="native", passes=passes)
    first = results(program)
    for f, w in zip(first, wanted, strict=True):
        np.testing.assert_allclose(f, w, rtol=1e-4, atol=1e-5 * max(np.abs(w).max(initial=0), 1))
    bits = [a.tobytes() for a in first]
    for _ in range(repeats):
        assert [a.tobytes() for a in results(program)] == bits
    for order in TURNS:
        with in_turns(order, nanoseconds=60_000):
            slow = g.compile(fetches, executor="native", passes=passes)
        assert [a.tobytes() for a in results(slow)] == bits
