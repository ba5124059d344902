"""Seeds, hypothesis profiles, the skip of what needs a CUDA device, and native steps."""

from __future__ import annotations

import os
import random
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import hypothesis
import numpy as np
import pytest

import diptych as dt
from diptych.compiler import EXECUTORS
from diptych.compiler.executors import steps
from diptych.compiler.native import build
from diptych.compiler.passes import NATIVE_PASSES, PASSES, Pass
from diptych.hybrid import compiled, costs
from diptych.hybrid.costs import Costs, Line

_PLAIN = hypothesis.settings(deadline=None, derandomize=True, max_examples=100, database=None)
hypothesis.settings.register_profile("plain", _PLAIN)
hypothesis.settings.register_profile("full", _PLAIN, max_examples=2000)


def _is_full(config: pytest.Config) -> bool:
    return config.getoption("markexpr") == "full"


def pytest_configure(config: pytest.Config) -> None:
    hypothesis.settings.load_profile("full" if _is_full(config) else "plain")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than there are cores, for some tests wait for a compiler or another process."""
    return len(os.sched_getaffinity(0)) + 1


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        # Drawn tests run in both modes; only how much they draw differs.
        if _is_full(config) and getattr(item.obj, "is_hypothesis_test", False):  # type: ignore[attr-defined]
            item.add_marker("full")
        if item.get_closest_marker("cuda") and not dt.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device and CuPy"))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    random.seed(0)
    np.random.seed(0)
    dt.manual_seed(0)


@pytest.fixture(autouse=True)
def _same_threads() -> Iterator[None]:
    """However many threads a test sets, the next one begins with as many as there were."""
    before = dt.get_num_threads()
    yield
    dt.set_num_threads(before)


@pytest.fixture
def interrupt_soon() -> Iterator[Callable[[], None]]:
    """Called, it interrupts this process in a moment: one in the background, too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    yield timer.start
    timer.join()
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True, scope="session")
def _passes_are_verified() -> None:
    """What any pass leaves, of any graph that a test compiles, keeps the rules of graphs."""
    for table in (PASSES, NATIVE_PASSES):
        for name, change in table.items():
            table[name] = _verified(change)


def _verified(change: Pass) -> Pass:
    return wraps(change)(lambda graph: change(graph).verify())


@pytest.fixture(autouse=True, scope="session")
def _compiling_pays() -> None:
    """The gate finds that compiled calls cost nothing, so that even the smallest runs compiled.

    What generated code takes is not tried, for it would be another time each time.
    """
    some, none = Line(1.0, 1.0), Line(0.0, 0.0)
    for executor in EXECUTORS:
        costs._known[executor] = Costs(some, none, some, none, byte=1.0)
    compiled.trial_of = lambda function, arrays, sizes: None


@pytest.fixture
def special_values() -> Iterator[None]:
    """Special values are among the samples, and NumPy warns of them."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
        yield


@pytest.fixture(params=[1, 3], ids="{} threads".format)
def threads(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, _same_threads: None
) -> int:
    """How many threads share even the smallest native step."""
    monkeypatch.setattr(build, "WORTH_THREADS", 0.0)
    dt.set_num_threads(request.param)
    return int(request.param)


@pytest.fixture
def unaided(monkeypatch: pytest.MonkeyPatch) -> None:
    """No native step leaves its work to the reference executor."""

    def refused(graph: Any) -> Any:
        pytest.fail("native code has refused right data")

    monkeypatch.setattr(steps, "Reference", refused)


@pytest.fixture(autouse=True, scope="session")
def _doctest_names(doctest_namespace: dict[str, Any]) -> None:
    doctest_namespace.update(dt=dt, np=np)
