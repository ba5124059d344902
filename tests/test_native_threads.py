"""The pool of threads that runs native steps: shares, barriers, launches, sleep and forks."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from diptych.compiler.native.library import library, load
from diptych.compiler.native.toolchain import find_compiler

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler")

STEPS = """
#define _GNU_SOURCE
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime.h"

/* Add 1 to each piece of work. */
void add_one(dt_team *team, int thread, char *const *p) {
    dt_int begin, end = dt_share(team, thread, *(const dt_int *)p[0], &begin);
    for (dt_int i = begin; i < end; i++) ((dt_int *)p[1])[i]++;
}

/* In each round all say what they did, then look at what the others said. */
void exchange(dt_team *team, int thread, char *const *p) {
    const dt_int rounds = *(const dt_int *)p[0];
    volatile dt_int *said = (dt_int *)p[1];
    dt_int wrong = 0;
    for (dt_int round = 1; round <= rounds; round++) {
        said[thread] = round;
        dt_barrier(team);
        for (int other = 0; other < team->threads; other++) wrong += said[other] != round;
        dt_barrier(team);
    }
    ((dt_int *)p[2])[thread] = wrong;
}

void fail(dt_team *team, int thread, char *const *p) {
    if (thread == *(const dt_int *)p[0]) dt_fail(team);
    dt_barrier(team);
    ((dt_int *)p[1])[thread] = team->failed;
}

void whereabouts(dt_team *team, int thread, char *const *p) {
    (void)team;
    ((dt_int *)p[0])[thread] = syscall(SYS_gettid);
    ((dt_int *)p[1])[thread] = sched_getcpu();
}

void linger(dt_team *team, int thread, char *const *p) {
    *(volatile dt_int *)p[0] = 1;
    usleep(50000);
    dt_barrier(team);
    ((dt_int *)p[1])[thread]++;
}
"""


@pytest.fixture(scope="module")
def steps() -> ctypes.CDLL:
    return load(STEPS)


def run(step: Any, threads: int, *operands: Any) -> int:
    arrays = [np.asarray(each, np.int64) for each in operands]
    pointers = (ctypes.c_void_p * len(arrays))(*(each.ctypes.data for each in arrays))
    return int(library().dt_run(step, pointers, threads))


def exchanged(steps: ctypes.CDLL, threads: int, rounds: int) -> bool:
    """Whether all threads saw in each round what all others had written."""
    wrong = np.full(threads, -1)
    failed = run(steps.exchange, threads, rounds, np.zeros(threads, np.int64), wrong)
    return failed == 0 and not wrong.any()


@pytest.mark.parametrize("threads", [1, 2, 3, 4])
def test_each_piece_of_work_is_done_once(steps: ctypes.CDLL, threads: int) -> None:
    for count in (0, 1, 2, 3, 5, 1000):
        done = np.zeros(count + 1, np.int64)
        assert run(steps.add_one, threads, count, done) == 0
        assert done[:count].tolist() == [1] * count
        assert done[count] == 0


def test_thousands_of_launches_lose_nothing(steps: ctypes.CDLL) -> None:
    done = np.zeros(7, np.int64)
    for launch in range(2000):
        run(steps.add_one, 1 + launch % 3, 7, done)
    assert done.tolist() == [2000] * 7


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_barriers_let_nobody_through_early(steps: ctypes.CDLL, threads: int) -> None:
    assert exchanged(steps, threads, 5000)


@pytest.mark.full
@pytest.mark.parametrize("threads", [2, 4, 7])
def test_many_barriers(steps: ctypes.CDLL, threads: int) -> None:
    assert exchanged(steps, threads, 200_000)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_refusal_reaches_all_and_ends_with_its_step(steps: ctypes.CDLL, threads: int) -> None:
    for who in range(threads):
        seen = np.zeros(threads, np.int64)
        assert run(steps.fail, threads, who, seen) == 1
        assert seen.all()
        assert run(steps.fail, threads, -1, seen) == 0
        assert not seen.any()


@pytest.mark.parametrize("threads", [0, -1, 100_000])
def test_no_step_runs_on_threads_that_cannot_be_had(steps: ctypes.CDLL, threads: int) -> None:
    done = np.zeros(1, np.int64)
    assert run(steps.add_one, threads, 1, done) == 1
    assert done[0] == 0


def test_many_callers_at_once(steps: ctypes.CDLL) -> None:
    correct = []

    def launch_often(threads: int) -> None:
        done = np.zeros(50, np.int64)
        for _ in range(100):
            run(steps.add_one, threads, 50, done)
        correct.append((done == 100).all() and exchanged(steps, threads, 50))

    callers = [threading.Thread(target=launch_often, args=[1 + i % 4]) for i in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert correct == [True] * 8


# -- sleep ------------------------------------------------------------------------------------


def sleeps(thread: int) -> bool:
    with open(f"/proc/self/task/{thread}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "S"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_idle_workers_sleep_and_wake(steps: ctypes.CDLL) -> None:
    for _ in range(3):
        threads = np.zeros(3, np.int64)
        assert run(steps.whereabouts, 3, threads, np.zeros(3, np.int64)) == 0
        deadline = time.monotonic() + 60
        while not all(sleeps(each) for each in threads[1:]):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        assert exchanged(steps, 3, 10)


# -- places -----------------------------------------------------------------------------------


@pytest.fixture
def cpus() -> Iterator[list[int]]:
    """The cpus of this thread, which a test may bind to some of them."""
    before = os.sched_getaffinity(0)
    yield sorted(before)
    os.sched_setaffinity(0, before)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cannot bind threads")
def test_workers_stay_off_the_cpu_of_the_caller(steps: ctypes.CDLL, cpus: list[int]) -> None:
    if len(cpus) < 2:
        pytest.skip("needs two cpus")
    assert exchanged(steps, 2, 1)  # the pool exists, and knows all of them
    for caller in cpus * 2:
        os.sched_setaffinity(0, {caller})
        places = np.zeros(2, np.int64)
        run(steps.whereabouts, 2, np.zeros(2, np.int64), places)
        assert places[0] == caller
        assert places[1] in set(cpus) - {caller}
        assert exchanged(steps, 2, 100)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cannot bind threads")
def test_the_caller_is_never_bound(steps: ctypes.CDLL, cpus: list[int]) -> None:
    for threads in (2, 4):
        assert exchanged(steps, threads, 10)
        assert sorted(os.sched_getaffinity(0)) == cpus


# -- processes --------------------------------------------------------------------------------


def succeeds_in_child(work: Callable[[], bool]) -> bool:
    """Whether work succeeds in a fork of this process, which then ends in time."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if work() else 2
        finally:
            os._exit(status)
    deadline = time.monotonic() + 60
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status) == 0
        if time.monotonic() > deadline:
            os.kill(child, 9)
            os.waitpid(child, 0)
            return False
        time.sleep(0.001)


forks = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@forks
def test_a_child_has_a_pool_of_its_own(steps: ctypes.CDLL) -> None:
    assert exchanged(steps, 2, 10)

    def work() -> bool:
        inner = succeeds_in_child(lambda: exchanged(steps, 2, 100))
        return exchanged(steps, 3, 100) and inner and succeeds_in_child(
            lambda: exchanged(steps, 4, 100)
        )  # fmt: skip

    assert succeeds_in_child(work)
    assert exchanged(steps, 2, 10)


@forks
def test_a_fork_amid_a_launch_of_another_thread(steps: ctypes.CDLL) -> None:
    begun, done = np.zeros(1, np.int64), np.zeros(2, np.int64)
    other = threading.Thread(target=run, args=[steps.linger, 2, begun, done])
    other.start()
    while not begun[0]:
        time.sleep(0.0001)
    assert succeeds_in_child(lambda: exchanged(steps, 2, 100))
    other.join()
    assert done.tolist() == [1, 1]


@forks
@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cannot bind threads")
def test_threads_that_share_one_cpu(steps: ctypes.CDLL, cpus: list[int]) -> None:
    def work() -> bool:
        os.sched_setaffinity(0, cpus[:1])
        return all(exchanged(steps, threads, 200) for threads in (2, 3, 2))

    assert succeeds_in_child(work)


@pytest.mark.parametrize("rest", [0.0, 0.05], ids=["awake", "asleep"])
def test_a_process_ends_while_workers_wait(steps: ctypes.CDLL, rest: float) -> None:
    program = f"""
import ctypes, time
library = ctypes.CDLL({library()._name!r}, mode=ctypes.RTLD_GLOBAL)
count, done = ctypes.c_int64(3), (ctypes.c_int64 * 3)()
pointers = (ctypes.c_void_p * 2)(ctypes.addressof(count), ctypes.addressof(done))
failed = library.dt_run(ctypes.CDLL({steps._name!r}).add_one, pointers, 3)
time.sleep({rest})
print(failed, *done)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout.split() == ["0", "1", "1", "1"]
