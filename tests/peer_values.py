"""What a peer computes on small workloads against eager mode; run as a program, for some
frameworks leave threads and warnings behind that other tests would meet.

Prints, for each workload that is named after the peer, what `agreement` finds after 1 and 10 steps.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from diptych.bench import Task, modes, peers
from diptych.bench.peers.standing import agreement
from diptych.bench.workloads import cnn, find, operators, transformer


def cut(build: Callable[[], Task], *index: slice) -> Task:
    """A task with a part of each of its first ten batches."""
    task = build()
    batches = [tuple(a[index].copy() for a in task.batch(number)) for number in range(10)]
    return dataclasses.replace(task, batches=batches)


# The weights are the real ones; the batches are cut to what a test has time for.
SMALL: dict[str, Callable[[], Task]] = {
    "chain": lambda: Task(operators.chain, batches=[(np.linspace(-3, 3, 1001, dtype="f4"),)]),
    "lstm": partial(cut, find("lstm").build, slice(12)),
    "lstm-varlen": partial(cut, find("lstm-varlen").build, slice(20)),
    "cnn": partial(cnn.build, 2, True),
    "transformer": partial(cut, partial(transformer.build, 2, True), slice(2), slice(24)),
}


def computed(task: Task, running: Any, load: Any, read: Any) -> dict[str, np.ndarray]:
    """Results of the first and the tenth step, named as a worker names its samples."""
    found = {}
    for step in range(1, 11):
        results = running.step(load(task.batch(step - 1)))
        if step in (1, 10):
            found |= {f"step{step}.{i}": np.array(read(a)) for i, a in enumerate(results)}
    return found


def differences(peer: str, workload: str) -> dict[str, Any]:
    build = SMALL.get(workload, find(workload).build)
    task, other = build(), build()
    ours = computed(task, modes.find("eager")(task, "eager"), tuple, np.asarray)
    running = peers.load(peers.find(peer).module)(workload, other, 1)
    running.prepare()
    return agreement(workload, ours, computed(other, running, running.load, running.read))


if __name__ == "__main__":
    print(json.dumps({name: differences(sys.argv[1], name) for name in sys.argv[2:]}))
