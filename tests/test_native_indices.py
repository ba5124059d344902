"""Elements at indices in native code: large enough for threads to share, in any order in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from native_results import run_graph

import diptych as dt
from diptych.compiler.native.toolchain import find_compiler
from diptych.graphs.ops import setitem
from diptych.graphs.storage import Storage

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler")

DTYPES = ("float32", "float64", "int32", "uint8", "complex64", "complex128", "bfloat16", "bool")


def whole(*shape: int, dtype: str = "float32", seed: int = 0) -> np.ndarray:
    """Small whole numbers, of which every sum is exact."""
    array = np.random.default_rng(seed).integers(0, 5, shape)
    return array.astype(dt.ones(1, dtype=dtype).dtype)


def places(count: int, *shape: int, seed: int = 9) -> np.ndarray:
    """Indices, some of which count from the end, and some of which are there more than once."""
    return np.random.default_rng(seed).integers(-count, count, shape)


def check(build: Any, **feeds: np.ndarray) -> None:
    """What `build` makes of placeholders, natively and by the kernels."""
    with dt.static.Graph() as g:
        fetches = build(**{k: g.placeholder(k, a.shape, a.dtype) for k, a in feeds.items()})
    for found, expected in zip(*run_graph(g, fetches, feeds), strict=True):
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(found, expected)


# -- every way of sharing --------------------------------------------------------------------


@pytest.mark.usefixtures("threads", "unaided")
def test_look_ups_of_rows_columns_and_numbers() -> None:
    def build(x: Any, y: Any, i: Any) -> Any:
        turned = dt.permute_dims(y, (2, 0, 1))
        return [
            *(dt.take(x, i, axis) for axis in (0, 1)),
            *(dt.take(y, i, axis) for axis in (0, 1, 2)),
            *(dt.take(turned, i, axis) for axis in (0, 1, 2)),
            dt.take(x, i[0, 0], 0), dt.take(x[::2], i % 5, 0), dt.take(x[:, ::3], i % 5, 0),
            dt.index(y, dt.stack([i, i]), axes=(0, 2), at=1),
            dt.take_along_axis(x, i[:1, :1], 0), dt.take_along_axis(x, i[:1, :40].T % 5, 1),
            dt.embedding(i % 7, x),
        ]  # fmt: skip

    check(build, x=whole(40, 300), y=whole(33, 20, 31), i=places(20, 7, 60))


@pytest.mark.usefixtures("threads", "unaided")
def test_sums_of_rows_columns_and_numbers() -> None:
    """Threads share columns, another axis, or the array itself."""

    def build(g: Any, v: Any, i: Any) -> Any:
        flat = dt.reshape(i, (-1,))
        rows = dt.permute_dims(dt.reshape(g, (7, 60, 300)), (1, 0, 2))
        return [
            dt.scatter_add(g, flat, 0, (20, 300)),
            dt.scatter_add(g[:, :5], flat, 0, (20, 5)),
            dt.scatter_add(g.T, flat, 1, (300, 20)),
            dt.scatter_add(v, flat, 0, (20,)),
            dt.index_add(v, dt.stack([flat, flat]), (20, 20)),
            dt.index_add(g[:, :4], dt.stack([flat, flat]), (20, 4, 20), axes=(0, 2)),
            dt.add_along_axis(g[:60, :7], i.T, 1, (60, 20)),
            dt.add_along_axis(g[:7, :60], i, 0, (20, 60)),
            *(
                dt.embedding_grad(rows[..., :width], i.T % 20, 20, padding)
                for width in (300, 16, 5)
                for padding in (None, 0, -3)
            ),
        ]

    check(build, g=whole(420, 300), v=whole(420), i=places(20, 7, 60))


@pytest.mark.usefixtures("threads", "unaided")
@pytest.mark.parametrize("dtype", DTYPES)
def test_elements_of_any_dtype(dtype: str) -> None:
    def build(x: Any, v: Any, i: Any) -> Any:
        sums = dtype[:3] in ("flo", "int", "uin")
        return [
            dt.take(x, i, 1), dt.index(x, dt.stack([i, i])), dt.take_along_axis(x, i[:, None], 0),
            dt.index_put(x, v, dt.stack([i, i])), dt.put_along_axis(x, i[None], v[0], 1),
            dt.one_hot(i + 8, 20, dtype), dt.roll(x, 3, 1),
            *([dt.scatter_add(x[: i.shape[0]], i, 0, x.shape)] if sums else []),
        ]  # fmt: skip

    check(build, x=whole(9, 11, dtype=dtype), v=whole(6, dtype=dtype), i=places(8, 6))


@pytest.mark.usefixtures("threads", "unaided")
def test_of_several_values_for_one_place_the_last_one_stays() -> None:
    with dt.static.Graph() as g:
        x, v = g.placeholder("x", (5, 30, 4)), g.placeholder("v", (60, 30, 4))
        i = g.placeholder("i", (60,), "int64")
        fetches = [dt.index_put(x, v, dt.stack([i])), dt.index_put(x[:, 0, 0], v[:, 0, 0], i[None])]
    feeds = {"x": whole(5, 30, 4), "v": np.arange(7200.0, dtype="f4").reshape(60, 30, 4),
             "i": places(5, 60)}  # fmt: skip
    whole_rows, numbers = g.compile(fetches, executor="native").run(feeds)
    for row in range(5):
        last = np.flatnonzero(feeds["i"] % 5 == row)[-1]
        np.testing.assert_array_equal(whole_rows[row], feeds["v"][last])
        assert numbers[row] == feeds["v"][last, 0, 0]


@pytest.mark.usefixtures("unaided")
@pytest.mark.parametrize("mode", ["reflect", "edge", "wrap", "symmetric", "constant"])
def test_padding_needs_no_look_at_data(mode: str) -> None:
    """Indices that are constants are known to be in range: no thread waits to hear of it."""
    with dt.static.Graph() as g:
        x = g.placeholder("x", (2, 3, 5, 6))
        y = dt.pad(x, ((0, 0), (0, 0), (2, 1), (1, 3)), mode=mode)
        fetches = [y, *g.grad(dt.sum(y * y), [x])]
    program = g.compile(fetches, executor="native")
    assert "failed" not in program.source
    feeds = {"x": whole(2, 3, 5, 6)}
    wanted = g.compile(fetches, executor="reference").run(feeds)
    for found, expected in zip(program.run(feeds), wanted, strict=True):
        np.testing.assert_array_equal(found, expected)


# -- indices that are refused ----------------------------------------------------------------

REFUSED: dict[str, Any] = {
    "take": lambda x, i: dt.take(x, i, 0),
    "scatter_add": lambda x, i: dt.scatter_add(x[:3], i, 0, (8, 4)),
    "index": lambda x, i: dt.index(x, dt.stack([i, i * 0])),
    "index_put": lambda x, i: dt.index_put(x, 1.0, dt.stack([i, i * 0])),
    "index_add": lambda x, i: dt.index_add(x[:3, 0], dt.stack([i, i * 0]), (8, 4)),
    "take_along_axis": lambda x, i: dt.take_along_axis(x, i[:, None], 0),
    "put_along_axis": lambda x, i: dt.put_along_axis(x, i[:, None], 1.0, 0),
    "add_along_axis": lambda x, i: dt.add_along_axis(x[:3], i[:, None], 0, (8, 4)),
    "one_hot": lambda x, i: dt.one_hot(i, 8),
    "embedding": lambda x, i: dt.embedding(i, x),
    "embedding_grad": lambda x, i: dt.embedding_grad(x[:3], i, 8, None),
}
FROM_0 = ("embedding", "embedding_grad", "one_hot")


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("dtype", ["int64", "int8", "uint64"])
@pytest.mark.parametrize("name", REFUSED)
def test_indices_out_of_range_change_nothing(name: str, dtype: str) -> None:
    held = Storage(whole(8, 4))
    with dt.static.Graph() as g:
        x, i = g.variable(held), g.placeholder("i", (3,), dtype)
        y = REFUSED[name](x, i)
        fetches = [y, g.assign(held, x + 1)]
    program = g.compile(fetches, executor="native")
    reference = g.compile(fetches, executor="reference")
    before = held.array.copy()
    largest = np.iinfo(dtype).max
    for wrong in (8, -9, largest, *([-1] if name in FROM_0 else [])):
        if wrong < 0 and dtype == "uint64":
            continue
        feeds = {"i": np.array([1, wrong, 2], dtype)}
        with pytest.raises(IndexError) as wanted:
            reference.run(feeds)
        with pytest.raises(IndexError) as found:
            program.run(feeds)
        assert str(found.value) == str(wanted.value)
        np.testing.assert_array_equal(held.array, before)
    program.run({"i": np.array([1, 0, 2], dtype)})
    np.testing.assert_array_equal(held.array, before + 1)


# -- slices ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("threads", "unaided")
def test_parts_are_set_in_copies_and_in_place() -> None:
    with dt.static.Graph() as g:
        x, v = g.placeholder("x", (6, 5)), g.placeholder("v", (5,))
        rows = slice(None, None, 2)
        fetches = [
            -setitem(x, v, rows),
            -setitem(dt.tanh(x), v, rows),  # nothing else reads it: its memory is the result's
            -setitem(dt.exp(x), 0.0, (-1, slice(None, None, -1))),
        ]
    feeds = {"x": whole(6, 5), "v": whole(5, seed=3)}
    found = g.compile(fetches, executor="native").run(feeds)
    wanted = g.compile(fetches, executor="reference").run(feeds)
    for f, w in zip(found, wanted, strict=True):
        np.testing.assert_allclose(f, w, rtol=1e-6)
