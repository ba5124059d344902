"""Trials: whether generated code is slower than the kernels of eager code, seen when it is made.

What code takes is known by running it alone: it may pack, in every call, weights that are the same
in all of them. So it runs a few times on what it is first called with, and so do the kernels that
stand in the graph. The outcome is stored, and no process on this machine tries it again.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from ..compiler.native import cache
from ..graphs.ir import Node
from ..graphs.kernels import recorder
from .costs import entry_name
from .function import GraphFunction

_SLOWER = 1.2  # times; below, one of the two may have been disturbed
_RUNS = 4
_PATIENCE = 0.05  # seconds after which there are no more of them


@dataclass(frozen=True, slots=True)
class Trial:
    """What a forward pass has taken.

    Attributes
    ----------
    kernels_s, compiled_s : float
        By the kernels of its operators, and as compiled.
    """

    kernels_s: float
    compiled_s: float

    @property
    def pays(self) -> bool:
        """Whether calls are to run compiled."""
        return self.compiled_s <= _SLOWER * self.kernels_s

    def __str__(self) -> str:
        how = "compiled" if self.pays else "as eager code"
        return (
            f"runs {how}: its operators were tried, and take {self.kernels_s * 1e6:.1f} us one by "
            f"one and {self.compiled_s * 1e6:.1f} us compiled"
        )


def trial_of(function: GraphFunction, arrays: list[Any], sizes: dict[str, int]) -> Trial | None:
    """The trial of a forward pass where nothing records.

    None where a run would do more than compute, or somebody observes what runs.

    Parameters
    ----------
    function : GraphFunction
    arrays : list
        One for each input.
    sizes : dict
        That of each symbolic dimension.
    """
    if recorder() is not None or not _only_computes(function.nodes):
        return None
    program = function.prepare_plain()
    shapes = str([array.shape for array in arrays])
    name = entry_name("trial", str(program.fingerprint), shapes)
    stored = None if program.fingerprint is None else cache.read(name)
    if stored is not None:
        return Trial(**json.loads(stored))
    found = Trial(
        _seconds(lambda: program.call_kernels(arrays, sizes)),
        _seconds(lambda: program.call(arrays, sizes)),
    )
    if program.fingerprint is not None:
        with suppress(OSError):  # no room for it: the next process tries again
            cache.store(name, json.dumps(asdict(found)).encode())
    return found


def _only_computes(nodes: Sequence[Node]) -> bool:
    for node in nodes:
        if node.op.effect or node.op.foreign:
            return False
        if node.op.region and not all(_only_computes(b.nodes) for b in node.attrs["bodies"]):
            return False
    return True


def _seconds(call: Callable[[], Any]) -> float:
    call()
    best = math.inf
    end = time.perf_counter() + _PATIENCE
    for _ in range(_RUNS):
        start = time.perf_counter()
        call()
        now = time.perf_counter()
        best = min(best, now - start)
        if now > end:
            break
    return best
