"""Native code that leaves sizes open: compiled once, right for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import test_batching
from hypothesis import given, settings
from hypothesis import strategies as st
from native_races import check
from registry import KERNELS, assert_close, results_of
from samples import SAMPLES

import diptych as dt
from diptych.compiler.native import build
from diptych.compiler.native.extents import ROOM, OpenSizeError, extents, most, parts
from diptych.compiler.native.toolchain import find_compiler
from diptych.compiler.passes import NATIVE_ORDER, NATIVE_PASSES, PASSES
from diptych.graphs.errors import ShapeError
from diptych.graphs.held import note_move
from diptych.graphs.ops import Op
from diptych.graphs.storage import Storage

needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler")

# From long to short, so what a longer run has left behind would show.
LENGTHS = (ROOM + 1, ROOM, 40, 3, 2, 1, 0, 7)


@pytest.fixture(autouse=True)
def _three_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Even the smallest step is shared among three threads."""
    monkeypatch.setattr(build, "WORTH_THREADS", 0.0)
    before = dt.get_num_threads()
    dt.set_num_threads(3)
    yield
    dt.set_num_threads(before)


def standard(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng((seed, *shape)).standard_normal(shape).astype(np.float32)


def titles(program: Any) -> list[str]:
    """The sizes for which a program was compiled."""
    lines = program.explain().splitlines()
    return [line.partition("] ")[0] + "]" for line in lines if "] lower: " in line]


def recurrent(length: Any, batch: int = 1) -> tuple[Any, list[Any], tuple[Storage, ...]]:
    """A training step of a gated cell over a sequence: its graph, fetches, and state."""
    weights = tuple(Storage(standard(*shape) / 4) for shape in ((5, 24), (8, 24), (24,)))
    with dt.static.Graph() as g:
        wx, wh, b = map(g.variable, weights)

        def cell(h: Any, x: Any) -> Any:
            z = x @ wx + h @ wh + b
            i, f, g = (z[:, k : k + 8] for k in (0, 8, 16))
            return dt.sigmoid(f) * h + dt.sigmoid(i) * dt.tanh(g), None

        xs = g.placeholder("xs", (length, batch, 5))
        h, _ = dt.scan(cell, dt.zeros((batch, 8)), xs)
        loss = dt.sum(h * h)
        slopes = dt.grad(loss, [wx, wh, b, xs])
        updates = [g.assign(w, w - 0.1 * s) for w, s in zip((wx, wh, b), slopes)]
    return g, [loss, slopes[3], *updates], weights


@needs_compiler
@pytest.mark.parametrize("batch", [1, 3])
def test_a_loop_over_any_length_is_compiled_once(batch: int) -> None:
    g, fetches, state = recurrent("time", batch)
    feeds = [{"xs": standard(n, batch, 5, seed=n)} for n in LENGTHS]
    check(g, fetches, feeds, state, repeats=2)
    program = g.compile(fetches, executor="native")
    for fed in feeds:
        assert program.run(fed)[1].shape == fed["xs"].shape
    known = [f"[time=2..{2 * ROOM}]", f"[time=2..{ROOM}]", "[time=1]", "[time=0]"]
    assert titles(program) == known
    assert program.source.count("void step0(") == len(known)


@needs_compiler
@pytest.mark.parametrize("length", [2, 4, 40, ROOM])
def test_results_are_those_of_code_for_the_very_size(length: int) -> None:
    """Where work is split alike, which that of few rows is not: bit for bit."""
    feeds = {"xs": standard(length, 4, 5)}
    found = []
    for size in ("time", length):
        g, fetches, state = recurrent(size, 4)
        found.append([*g.compile(fetches, executor="native").run(feeds)[:2]])
        found[-1] += [s.array.copy() for s in state]
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


@needs_compiler
def test_a_variable_in_other_memory_is_found() -> None:
    g, fetches, state = recurrent("time")
    program = g.compile(fetches[0], executor="native")
    reference = g.compile(fetches[0], executor="reference")
    for n in (9, 5, 9):
        feeds = {"xs": standard(n, 1, 5)}
        np.testing.assert_allclose(program.run(feeds), reference.run(feeds), rtol=1e-4)
        state[0].array = state[0].array * 2
        note_move()
    assert set(titles(program)) == {f"[time=2..{ROOM}]"}


@needs_compiler
def test_a_size_of_two_symbols_is_open() -> None:
    with dt.static.Graph() as g:
        x = g.placeholder("x", ("a", 4))
        y = g.placeholder("y", ("b", 4))
        rows = dt.concat([x, dt.tanh(y)], axis=0)
        found = [rows, dt.mean(rows, axis=0), dt.sum(x, axis=0) @ rows.T[:, :2]]
    feeds = [{"x": standard(a, 4), "y": standard(b, 4)} for a, b in ((3, 200), (90, 2), (4, 150))]
    check(g, found, feeds, repeats=1)


@needs_compiler
def test_what_needs_a_size_is_compiled_for_each() -> None:
    with dt.static.Graph() as g:
        x = g.placeholder("x", ("n", 4))
        found = dt.cumulative_sum(x, axis=0)
    program = g.compile(found, executor="native")
    for n in (3, 5):
        x = standard(n, 4)
        np.testing.assert_allclose(program.run({"x": x}), np.cumsum(x, 0), rtol=1e-5)
    assert "native: compiled for each size, because of " in program.explain()
    assert ", in cumulative_sum" in program.explain()
    assert titles(program) == ["[n=3]", "[n=5]"]


@needs_compiler
@pytest.mark.parametrize("entry", [slice(None, 3), slice(1, 4), 5, -4])
def test_what_is_beyond_an_end_is_refused(entry: Any) -> None:
    with dt.static.Graph() as g:
        x = g.placeholder("x", ("n", 4))
        found = x[entry] * 2
    program = g.compile(found, executor="native")
    x = standard(8, 4)
    np.testing.assert_array_equal(program.run({"x": x}), x[entry] * 2)
    with pytest.raises((ShapeError, IndexError)):
        program.run({"x": standard(2, 4)})


# -- random programs ---------------------------------------------------------------------------


def flat(x: Any) -> Any:
    return dt.reshape(x, (2 * x.shape[0], 4))


def rounds(x: Any, w: Any, reverse: bool = False) -> Any:
    def cell(h: Any, row: Any) -> Any:
        after = dt.tanh(h @ w + row)
        return after, h * row + after

    return dt.scan(cell, dt.zeros((2, 4)), x, reverse=reverse)


# Each makes of two values of one shape, whose first size is open, another one of that shape.
INSTRUCTIONS: list[Callable[..., Any]] = [
    lambda x, y, w: dt.tanh(x) + y,
    lambda x, y, w: x * dt.sigmoid(y),
    lambda x, y, w: dt.reshape(dt.relu(flat(x) @ w), x.shape),
    lambda x, y, w: x @ w + y,
    lambda x, y, w: x - dt.mean(y, axis=0, keepdims=True),
    lambda x, y, w: x * dt.mean(y),
    lambda x, y, w: dt.softmax(x, axis=-1) * y,
    lambda x, y, w: rounds(x, w)[1],
    lambda x, y, w: rounds(x, w)[0] * y,
    lambda x, y, w: rounds(x * 0.5, w, reverse=True)[1] + y,
    lambda x, y, w: rounds(dt.tanh(y), w, reverse=True)[0] + x,
    lambda x, y, w: dt.concat([x[:, :, 2:], y[:, :, :2]], axis=-1),
    lambda x, y, w: dt.concat([x[:, 1:], dt.tanh(y[:, :1])], axis=1),
    lambda x, y, w: dt.concat([dt.tanh(x), y], axis=0)[: x.shape[0]],
    lambda x, y, w: dt.concat([dt.tanh(x), y], axis=0)[x.shape[0] :] * x,
    lambda x, y, w: x + (flat(x).T @ flat(y))[:2] * 0.1,
    lambda x, y, w: dt.flip(x, axis=0) - y,
    lambda x, y, w: dt.sum(x, axis=(1, 2), keepdims=True) * y,
    lambda x, y, w: dt.permute_dims(dt.tanh(dt.permute_dims(x, (2, 1, 0))), (2, 1, 0)) + y,
    lambda x, y, w: dt.layer_norm(x, w[0], w[1], (4,)),
    lambda x, y, w: dt.where(x > y, x, dt.sum(y, axis=0)),
]

number = st.integers(0, 100)
instructions = st.lists(st.tuples(number, number, number), min_size=1, max_size=5)


def graph_of(steps: Any) -> tuple[Any, list[Any]]:
    """A graph of a symbolic size, and what is fetched of it."""
    with dt.static.Graph() as g:
        x, w = g.placeholder("x", ("n", 2, 4)), g.placeholder("w", (4, 4))
        made = [x, dt.cos(x)]
        for which, i, j in steps:
            function = INSTRUCTIONS[which % len(INSTRUCTIONS)]
            made.append(function(made[-1 - i % len(made)], made[-1 - j % len(made)], w))
        loss = dt.sum(dt.sin(made[-1])) + dt.mean(made[-2] * made[-1])
        slopes = dt.grad(loss, [x, w], allow_unused=True)
    return g, [made[-1], loss, *(s for s in slopes if s is not None)]


def run_all(steps: Any, lengths: Any) -> None:
    g, fetches = graph_of(steps)
    reference, native = (g.compile(fetches, executor=e) for e in ("reference", "native"))
    for n in lengths:
        feeds = {"x": standard(n, 2, 4), "w": standard(4, 4) / 2}
        with np.errstate(all="ignore"):
            wanted = reference.run(feeds)
        for f, w in zip(native.run(feeds), wanted, strict=True):
            assert (f.shape, f.dtype) == (w.shape, w.dtype)
            scale = np.abs(w[np.isfinite(w)]).max(initial=1.0)
            np.testing.assert_allclose(f, w, rtol=1e-4, atol=1e-5 * scale)
    assert "compiled for each size" not in native.explain()


@needs_compiler
@pytest.mark.parametrize("which", range(len(INSTRUCTIONS)))
def test_each_instruction_leaves_sizes_open(which: int) -> None:
    run_all([(which, 0, 1)], (ROOM, 5, 2))


@needs_compiler
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # means of nothing
@settings(max_examples=4)
@given(instructions, st.lists(st.sampled_from(LENGTHS), min_size=2, max_size=3))
def test_random_programs_give_what_reference_gives(steps: Any, lengths: Any) -> None:
    run_all(steps, lengths)


@needs_compiler
@pytest.mark.full
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@settings(max_examples=200)
@given(instructions, st.permutations(LENGTHS))
def test_more_random_programs_give_what_reference_gives(steps: Any, lengths: Any) -> None:
    run_all(steps, lengths)


# -- every operator ----------------------------------------------------------------------------

MAPPED = [op for op in KERNELS.values() if op.batch is not None and not op.dynamic]
PARTS = 6


def can_be_open(op: Op, sample: Any) -> bool:
    """Whether there is code for any number of examples of a sample."""
    known = {**PASSES, **NATIVE_PASSES}
    with dt.static.Graph() as g:
        g.outputs = tuple(mapped(g, op, sample, 0)[1])
    passes = [(name, known[name]) for name in NATIVE_ORDER]
    try:
        build.build(g, extents({"n": 5}), 3, passes)
    except OpenSizeError:
        return False
    return True


def mapped(g: Any, op: Op, sample: Any, first: int) -> tuple[dict[str, np.ndarray], list[Any]]:
    """An operator on any number of examples of a sample: feeds of a few, and results."""
    arrays, function = test_batching.arrays_of(sample), test_batching.applied(op, sample)
    batches = test_batching.batches_for(op, arrays, (0,) * len(arrays))
    names = [f"x{first + i}" for i in range(len(arrays))]
    fed = [g.placeholder(name, ("n", *a.shape), a.dtype) for name, a in zip(names, arrays)]
    return dict(zip(names, batches)), results_of(dt.vmap(function)(*fed))


def check_operators(ops: list[Op], count: int) -> None:
    """Samples of operators in one graph, which is one unit to compile."""
    feeds: dict[str, np.ndarray] = {}
    results: list[tuple[Op, list[Any]]] = []
    with dt.static.Graph() as g:
        for op in ops:
            for sample in SAMPLES[op.name].samples[:count]:
                if test_batching.arrays_of(sample) and can_be_open(op, sample):
                    more, made = mapped(g, op, sample, len(feeds))
                    feeds.update(more)
                    results.append((op, made))
    fetches = [made for _, made in results]
    reference, native = (g.compile(fetches, executor=e) for e in ("reference", "native"))
    for n in (ROOM + 2, ROOM, 3, 2):
        fed = {name: np.resize(a, (n, *a.shape[1:])) for name, a in feeds.items()}
        for (op, _), ours, theirs in zip(results, native.run(fed), reference.run(fed)):
            for f, e in zip(ours, theirs, strict=True):
                assert (f.dtype, f.shape) == (e.dtype, e.shape), op.name
                try:
                    assert_close(f, e, e.dtype, max(SAMPLES[op.name].ulp, 8))
                except AssertionError as error:
                    error.add_note(f"{op.name}, n = {n}")
                    raise
    assert "compiled for each size" not in native.explain()


@needs_compiler
@pytest.mark.usefixtures("special_values")
@pytest.mark.parametrize("part", range(0, PARTS, 3))  # all of them are in the full run
def test_operators_are_right_for_any_number_of_examples(part: int) -> None:
    check_operators(MAPPED[part::PARTS], 1)


@needs_compiler
@pytest.mark.full
@pytest.mark.usefixtures("special_values")
@pytest.mark.parametrize("op", MAPPED, ids=str)
def test_all_samples_are_right_for_any_number_of_examples(op: Op) -> None:
    check_operators([op], 1000)


# -- extents -----------------------------------------------------------------------------------


def test_extents_answer_what_holds_for_all_sizes() -> None:
    n = extents({"n": 100})["n"]
    assert most(n) == ROOM and most(3 * n - 1) == 3 * ROOM - 1 and most(5) == 5
    assert n > 1 and not n < 2 and n <= ROOM and 2 * n > n and n - n == 0 and n + 1 != n
    assert (4 * n) // 4 == n and (4 * n) % 2 == 0 and 1 % n == 1 and (6 * n) // n == 6
    assert bool(n) and n != 5
    assert (3 * n + 1).sized({"n": 7}) == 22


def test_extents_refuse_what_depends_on_the_size() -> None:
    n = extents({"n": 100})["n"]
    asks: list[Callable[[], Any]] = [
        lambda: n < 5, lambda: n % 2, lambda: n // 3, lambda: int(n), lambda: float(n),
        lambda: range(n), lambda: n / 2, lambda: bool(n - 3), lambda: 7 % n, lambda: abs(n - 3),
        lambda: np.zeros(n), lambda: [0] * n,
    ]  # fmt: skip
    for ask in asks:
        with pytest.raises(OpenSizeError):
            ask()


def test_extents_print_as_C_computes_them() -> None:
    sizes = extents({"a": 3, "b": 1000, "c": 1})
    a, b = sizes["a"], sizes["b"]
    assert sizes["c"] == 1
    assert (most(a), most(b)) == (ROOM, 1024)
    assert str(a) == "sizes[0]" and str(2 * b + 1) == "(2 * sizes[1] + 1)"
    assert eval(str(a * b - 3 * a + 2), {"sizes": [7, 11]}) == 7 * 11 - 3 * 7 + 2
    assert str(parts(a, 16)) == "((sizes[0] + 15) / 16)"
    assert parts(32 * a, 16) == 2 * a and parts(33, 16) == 3
