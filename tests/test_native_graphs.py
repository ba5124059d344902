"""Random programs: the native executor gives what `reference` gives, to rounding."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import native_programs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native_races import TURNS, in_turns

import diptych as dt
from diptych.compiler.native import build
from diptych.compiler.native.toolchain import find_compiler
from diptych.compiler.passes import NATIVE_PASSES, PASSES
from diptych.graphs.storage import Storage

pytestmark = [
    pytest.mark.usefixtures("small_steps"),
    pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler"),
]

UNIT = 3  # programs that are compiled together
# How far native results may be from those in float64: so many units in the last place of the
# largest number, and so many times what `reference` is off in the same dtype.
ULP = {"float32": 1024, "float64": 1e5}
ILL_CONDITIONED = 32


@pytest.fixture(scope="module")
def small_steps() -> Iterator[None]:
    """Even the smallest step is shared among all threads."""
    with pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
        patch.setattr(build, "WORTH_THREADS", 0.0)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
            yield


def draws(plain: int, each: int = 1) -> Any:
    """So many draws of so many programs by default, 1,000 programs in a full run."""
    count = plain if settings().max_examples <= 100 else 1000 // each
    return settings(max_examples=count)


def graph_of(programs: Sequence[Any], dtype: str, held: int = 0) -> tuple[Any, Any, dict[str, Any]]:
    """Programs in one graph: last results and gradients of their weighted sum; and the feeds.

    An input is a variable and no feed where `held` has its bit.
    """
    fetches, feeds = [], {}
    with dt.static.Graph() as g:
        for number, program in enumerate(programs):
            arrays = native_programs.arrays_for(program, dtype)
            fed = []
            for i, array in enumerate(arrays):
                if held >> i & 1:
                    fed.append(g.variable(array))
                    continue
                feeds[name := f"x{number}_{i}"] = array
                fed.append(g.placeholder(name, array.shape, array.dtype))
            made = native_programs.run(program, fed)[-3:]
            weighted = [dt.sum(v * native_programs.drawn(v, v.shape)) for v in made]
            gradients = g.grad(dt.accumulate(weighted), fed, allow_unused=True)
            fetches.append([*made, *(v for v in gradients if v is not None)])
    return g, fetches, feeds


def assert_near(found: Any, wanted: Any, exact: Any, dtype: str) -> None:
    """Compare a result with `reference`, in the same dtype and in float64."""
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    known = np.isfinite(wanted) & np.isfinite(exact)
    if (np.isfinite(wanted) == np.isfinite(exact)).all():  # no overflow in one of the two alone
        np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
        np.testing.assert_array_equal(found[np.isinf(wanted)], wanted[np.isinf(wanted)])
    largest = max(np.abs(exact[known]).max(initial=0), 1)
    usual = np.abs(wanted[known].astype(float) - exact[known]).max(initial=0)
    off = np.abs(found[known].astype(float) - exact[known]).max(initial=0)
    assert off <= ULP[dtype] * np.finfo(dtype).eps * largest + ILL_CONDITIONED * usual


def check(programs: Sequence[Any], dtype: str, threads: int, passes: Any, held: int) -> None:
    dt.set_num_threads(threads)
    g, fetches, feeds = graph_of(programs, dtype, held)
    wanted = g.compile(fetches, executor="reference", passes=()).run(feeds)
    wide, same, more = graph_of(programs, "float64", held)
    exact = wide.compile(same, executor="reference", passes=()).run(more)
    program = g.compile(fetches, executor="native", passes=passes, freeze=held > 0)
    found, again = program.run(feeds), program.run(feeds)
    assert "runs by planned" not in program.explain()
    for number, results in enumerate(zip(found, wanted, exact, again, strict=True)):
        for position, (f, w, e, a) in enumerate(zip(*results, strict=True)):
            try:
                assert f.tobytes() == a.tobytes()
                assert_near(f, w, e, dtype)
            except AssertionError as error:
                error.add_note(f"result {position} of {programs[number]}")
                raise


some_passes = st.none() | st.sets(st.sampled_from([*PASSES, *NATIVE_PASSES])).map(tuple)
some_held = st.integers(0, 7)  # inputs that are constants, by bits
a_setting = (
    st.sampled_from(["float32", "float32", "float64"]), st.integers(1, 3), some_passes, some_held,
)  # fmt: skip
straight = native_programs.programs()
looping = native_programs.programs(native_programs.WITH_LOOPS, most=5)


def unit(programs: Any) -> Any:
    return st.lists(programs, min_size=UNIT, max_size=UNIT)


@draws(8, UNIT)
@given(unit(straight), *a_setting)
def test_random_programs(programs: Any, dtype: str, threads: int, passes: Any, held: int) -> None:
    check(programs, dtype, threads, passes, held)


@draws(6, UNIT)
@given(unit(looping), *a_setting)
def test_random_loops(programs: Any, dtype: str, threads: int, passes: Any, held: int) -> None:
    check(programs, dtype, threads, passes, held)


@draws(4, UNIT)
@given(unit(straight | looping), st.integers(2, 3), some_held)
def test_no_barrier_is_missing(programs: Any, threads: int, held: int) -> None:
    dt.set_num_threads(threads)
    g, fetches, feeds = graph_of(programs, "float32", held)
    found = []
    for order in TURNS:
        with in_turns(order):
            program = g.compile(fetches, executor="native", freeze=held > 0)
            found.append(program.run(feeds))
    for instructions, one, other in zip(programs, *found, strict=True):
        for position, (a, b) in enumerate(zip(one, other, strict=True)):
            assert a.tobytes() == b.tobytes(), f"result {position} of {instructions}"


# -- updates -----------------------------------------------------------------------------------


@st.composite
def updates(draw: Any) -> Any:
    """Instructions on variables and a feed: compute, assign, read again."""
    kinds = ["add", "scale", "view", "flip", "set", "sum", "product", "assign", "assign", "read"]
    index = st.integers(0, 20)
    return draw(st.lists(st.tuples(st.sampled_from(kinds), index, index), min_size=3, max_size=14))


def start_of(alike: bool) -> list[Storage]:
    """Variables of every layout. Two show one array's memory, unless all are alike."""
    numbers = np.linspace(-1, 1, 9, dtype=np.float32).reshape(3, 3)
    shared = numbers.copy() if alike else np.zeros((4, 3), np.float32)
    arrays = [
        numbers.copy(),
        np.asfortranarray(numbers) * 2,
        np.ones((3, 6), np.float32)[:, ::2],
        shared[:3],
        numbers - 1 if alike else shared[1:],
    ]
    return [Storage(array) for array in arrays]


def updating(steps: Any, storages: list[Storage]) -> tuple[Any, Any]:
    """A graph; fetched are some of its values, variables among them, and all updates."""
    assigned = []
    with dt.static.Graph() as g:
        made = [*map(g.variable, storages), g.placeholder("x", (3, 3))]
        for kind, i, j in steps:
            x, y = made[i % len(made)], made[j % len(made)]
            storage = storages[j % len(storages)]
            if kind == "assign":
                assigned.append(g.assign(storage, x))
            elif kind == "read":
                made.append(g.read(storage))
            elif kind == "view":
                made.append(x.T)
            elif kind == "flip":
                made.append(x[::-1])
            elif kind == "sum":
                made.append(x + dt.mean(x, axis=j % 2, keepdims=True) * 0.5)
            elif kind == "product":
                made.append(dt.matmul(x, y) * 0.5 - x)
            elif kind == "set":
                made.append(dt.setitem(x, y, (slice(None, None, -1),)))
            elif kind == "add":
                made.append(x * 0.5 + y)
            else:
                made.append(x * 0.5)
    return g, [[made[-2], made[len(steps) % len(made)]], assigned]


@draws(20)
@given(updates(), st.booleans(), st.integers(1, 3), some_passes)
def test_random_updates(steps: Any, alike: bool, threads: int, passes: Any) -> None:
    dt.set_num_threads(threads)
    states = []
    for executor in ("reference", "native"):
        storages = start_of(alike)
        graph, fetches = updating(steps, storages)
        chosen = () if executor == "reference" else passes
        program = graph.compile(fetches, executor=executor, passes=chosen)
        state = []
        for run in range(3):
            # The last feed lies in a variable's own memory.
            feed = np.full((3, 3), 0.5, np.float32) if run < 2 else storages[0].array
            outputs, _ = program.run({"x": feed})
            state += [a.copy() for a in (*outputs, *(s.array for s in storages))]
        states.append((state, [s.version > 0 for s in storages]))
    (wanted, written), (found, noted) = states
    assert noted == written
    for f, w in zip(found, wanted, strict=True):
        np.testing.assert_allclose(f, w, rtol=1e-4, atol=1e-5 * max(np.abs(w).max(), 1))
