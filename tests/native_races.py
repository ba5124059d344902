"""Makes missing barriers show: threads run one after the other, in one order or the other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from diptych.compiler.executors import native

_LAST_HEADER = '#include "convolution.h"\n'
_STEP = re.compile(r"(void step\d+\(dt_team \*team, int thread, [^)]*\) \{\n)")
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
    real = native.load

    def load(units: Sequence[str]) -> Any:
        slow = [unit.replace(_LAST_HEADER, _LAST_HEADER + pause, 1) for unit in units]
        return real([_STEP.sub(rf"\1    pause_for({turns});\n", unit) for unit in slow])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "load", load)
        yield
