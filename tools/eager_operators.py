"""What one small operator costs: chains of 200 in turn with torch's, on one pinned thread.

python tools/eager_operators.py time CASE,... TURNS
python tools/eager_operators.py count CASE,... CHAINS
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from processes import answer, listed

import diptych as dt
from diptych.bench.statistics import median_interval
from diptych.bench.workloads.operators import OPERATORS, small

WARM_UP = 20
SCALARS = (0.5, 0.9)


@dataclass(frozen=True)
class Case:
    """A chain: x + a, x * b and tanh(x) in turn.

    Attributes
    ----------
    shape : tuple of int
        Of x.
    gradient : bool
        Then the chain is followed by the way back, to x.
    operands : {"tensors", "scalars", "broadcast"}
        What a and b are: as large as x; numbers of Python; or, to be broadcast, a row, to which a
        gradient flows where there is any, and a column.
    """

    shape: tuple[int, ...]
    gradient: bool
    operands: str


CASES = {
    f"{'grad' if gradient else 'nograd'}-{operands}-{shape[0]}": Case(shape, gradient, operands)
    for gradient, kinds in (
        (False, ("tensors", "scalars")),
        (True, ("tensors", "scalars", "broadcast")),
    )
    for operands in kinds
    for shape in ((1,), (16, 16))
}


def arrays(case: Case) -> list[np.ndarray]:
    """x, a and b where these are tensors, and the cotangent of the result."""
    rng = np.random.default_rng(0)
    x, a, b = (rng.standard_normal(case.shape).astype(np.float32) for _ in range(3))
    if case.operands == "broadcast":
        a, b = np.array(a[0]), b[..., :1].copy()
    return [x, a, b, np.ones(case.shape, np.float32)]


def chain(
    case: Case, tensors: list[Any], run: Callable[[Any, Any, Any], Any]
) -> Callable[[], None]:
    """One chain over the tensors of a framework, forward, and backward where a case has that."""
    x, a, b, ones = tensors
    leaves = [x, a] if case.operands == "broadcast" else [x]
    if case.operands == "scalars":
        a, b = SCALARS
    if not case.gradient:
        return lambda: run(x, a, b)
    for leaf in leaves:
        leaf.requires_grad = True

    def there_and_back() -> None:
        for leaf in leaves:
            leaf.grad = None
        run(x, a, b).backward(ones)

    return there_and_back


def ours(case: Case) -> Callable[[], None]:
    return chain(case, [dt.from_numpy(array) for array in arrays(case)], small)


def theirs(case: Case) -> Callable[[], None]:
    import torch

    from diptych.bench.peers import torch_models

    torch.set_num_threads(1)
    return chain(case, [torch.from_numpy(array) for array in arrays(case)], torch_models.small)


def pair(case: Case, turns: int) -> dict[str, Any]:
    """Seconds an operator, ours and torch's turn by turn, and how many times as fast ours is."""
    chains = [ours(case)] + ([theirs(case)] if find_spec("torch") else [])
    found: list[list[float]] = [[] for _ in chains]
    for run in chains * WARM_UP:
        run()
    for turn in range(turns):
        # Neither always follows the other.
        for which in sorted(range(len(chains)), reverse=bool(turn % 2)):
            start = time.perf_counter()
            chains[which]()
            found[which].append((time.perf_counter() - start) / OPERATORS)
    intervals = [median_interval(each).to_json() for each in found]
    if len(chains) == 1:
        return {"ours": intervals[0]}
    ratios = median_interval([there / here for here, there in zip(*found)])
    return {"ours": intervals[0], "torch": intervals[1], "times": ratios.to_json()}


def timed(names: str, turns: str) -> Any:
    return {name: pair(CASES[name], int(turns)) for name in listed(names)}


def count(names: str, chains: str) -> Any:
    """Go through chains so many times each, for whoever counts this process's instructions.

    `os.getpgrp` is called before and after each: callgrind can part its counts there.
    """
    for name in listed(names):
        run = ours(CASES[name])
        for _ in range(WARM_UP):
            run()
        os.getpgrp()
        for _ in range(int(chains)):
            run()
        os.getpgrp()


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    dt.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    answer({"time": timed, "count": count})
