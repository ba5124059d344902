"""The compiled parts and their twins in Python: one behaviour."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import diptych as dt
from diptych.graphs import compiled
from diptych.graphs.compiled import Local, Table, universal
from diptych.graphs.dtypes import BFLOAT16

compiled_only = pytest.mark.skipif(not dt.is_compiled(), reason="the extension is not built")

_UFUNCS = [
    np.add, np.subtract, np.multiply, np.divide, np.tanh, np.exp, np.log, np.sqrt, np.negative,
    np.maximum, np.less, np.equal, np.logical_and, np.isnan, np.floor_divide, np.arctan2,
]  # fmt: skip
_ROUNDING = {"float16": 2e-3, "float32": 3e-7, "complex64": 3e-7, "float64": 5e-16}
_DTYPES = ["float32", "float64", "int64", "bool", "complex64", "float16"]


def _operands(shape: tuple[int, ...], dtype: str, count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(len(shape))
    numbers = [rng.integers(-3, 4, shape) + (0.25 if dtype[0] in "fc" else 0) for _ in range(count)]
    return [n.astype(dtype) for n in numbers]


@pytest.mark.parametrize("ufunc", _UFUNCS, ids=lambda ufunc: ufunc.__name__)
@pytest.mark.parametrize("dtype", _DTYPES)
def test_kernels_give_the_bits_of_the_ufunc(ufunc: np.ufunc, dtype: str) -> None:
    kernel = universal(ufunc)
    for shapes in [((3, 4),) * 2, ((), (5,)), ((2, 1, 3), (4, 1)), ((0, 2), (1, 2)), ((1, 1), (3,)),
                   ((), ()), ((1,), (1, 1, 1))]:  # fmt: skip
        xs = [_operands(shape, dtype, 1)[0] for shape in shapes[: ufunc.nin]]
        for views in (xs, [x.T for x in xs], [x[..., ::-1] if x.ndim else x for x in xs]):
            try:
                with np.errstate(all="ignore"):
                    expected = np.asarray(ufunc(*views, order="C"))
            except (TypeError, ValueError) as error:
                with pytest.raises(type(error)):
                    kernel(*views)
                continue
            found = np.asarray(kernel(*views))
            assert found.dtype == expected.dtype and found.shape == expected.shape
            assert found.flags.c_contiguous
            if views is xs:
                assert found.tobytes() == expected.tobytes()
            else:  # NumPy may step through these in another order, and so in other blocks
                np.testing.assert_allclose(found, expected, rtol=_ROUNDING.get(dtype, 0), atol=0)


def test_a_kernel_fills_out_where_it_may_share_memory() -> None:
    kernel = universal(np.add)
    x = np.arange(12.0).reshape(3, 4)
    expected = x + x[::-1]
    assert kernel(x, x[::-1], out=x) is x  # each row is still to be read when another is written
    assert (x == expected).all()
    out = np.zeros((4, 3)).T
    assert kernel(x, x, out=out) is out
    assert (out == x + x).all()
    with pytest.raises(ValueError):
        kernel(x, x, out=np.zeros(3))


def test_dtypes_of_others_are_left_to_the_ufunc() -> None:
    x = np.array([1.0, 2.0, -3.0, 0.0]).astype(BFLOAT16)  # its number in NumPy ends as that of bool
    for ufunc, operands in [(np.add, (x, x)), (np.isnan, (x,))]:
        expected, found = ufunc(*operands), universal(ufunc)(*operands)
        assert found.dtype == expected.dtype and found.tobytes() == expected.tobytes()


def test_a_kernel_does_not_warn() -> None:
    big = np.full(5, 1e30, np.float32)
    assert np.isinf(universal(np.multiply)(big, big)).all()
    assert np.isnan(universal(np.matmul)(big * 0 + np.inf, big * 0)).all()


def test_an_object_for_each_thread() -> None:
    local = Local(list)
    local().append("main")
    found: list[list[str]] = []

    def other() -> None:
        local().append("other")
        found.append(local())

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert found == [["other"]] and local() == ["main"]


@compiled_only
def test_a_table_tells_operands_and_attributes_apart() -> None:
    table = Table()
    x, y = np.zeros((2, 3), np.float32), np.zeros((3, 2), np.float32)
    keys = [
        ([x], ()), ([y], ()), ([x, x], ()), ([x.astype(np.float64)], ()), ([x, 1], ()),
        ([x, 1.0], ()), ([x, True], ()), ([x], (1,)), ([x], (1.0,)), ([x], (True,)),
        ([x], (0.0,)), ([x], (-0.0,)), ([x], ((1, (2.0,)),)), ([x], ((1, (2,)),)), ([], ()),
    ]  # fmt: skip
    for position, (operands, attrs) in enumerate(keys):
        assert table(operands, attrs) is None
        table.add(operands, attrs, position)
    for position, (operands, attrs) in enumerate(keys):
        assert table([*operands], attrs) == position
    assert table([x + 1], ()) == 0


@compiled_only
def test_a_table_leaves_out_what_is_no_key() -> None:
    table = Table()
    for operands, attrs in [([np.float32(1)], ()), ([[1]], ()), ([np.zeros(1)], ([1],))]:
        table.add(operands, attrs, "found")
        assert table(operands, attrs) is None


@compiled_only
def test_a_table_starts_again_when_it_is_full() -> None:
    table = Table()
    for number in range(10_000):
        table.add([], (number,), number)
    assert table([], (9_999,)) == 9_999
    assert table([], (0,)) is None


@compiled_only
@pytest.mark.parametrize("adds", [False, True])
def test_a_table_may_be_filled_while_it_compares(adds: bool) -> None:
    table = Table()
    numbers = iter(range(9000))  # more than a table holds

    class Attribute:
        def __hash__(self) -> int:
            return 7

        def __eq__(self, other: object) -> bool:
            for number in numbers:
                table.add([], (number,), number)
            return True

    table.add([], (Attribute(),), ["found"])
    assert (table.add([], (Attribute(),), []) if adds else table([], (Attribute(),))) is None
    assert table([], (8999,)) == 8999


@compiled_only
@pytest.mark.parametrize("wrong", [(), ([],), ((), ()), ([], [])], ids=repr)
def test_a_table_refuses_other_arguments(wrong: tuple[object, ...]) -> None:
    with pytest.raises(TypeError):
        Table()(*wrong)


def test_every_declaration_has_its_module() -> None:
    root = Path(compiled.__file__).parents[1]
    declared = list(root.rglob("*.pxd"))
    assert all(path.with_suffix(".py").exists() for path in declared)


_STEP = """
import diptych as dt, numpy as np
dt.manual_seed(0)
model = dt.nn.Sequential(dt.nn.Linear(4, 8), dt.nn.Tanh(), dt.nn.Linear(8, 2))
optimizer = dt.optim.Adam(model.parameters(), lr=0.1)
x = dt.from_numpy(np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4))
for _ in range(5):
    optimizer.zero_grad()
    ((model(x) * 2 - 0.5) ** 2 / 3.0).mean().backward()
    optimizer.step()
print(dt.is_compiled(), *(p.detach().numpy().tobytes().hex() for p in model.parameters()))
"""


def test_plain_python_trains_to_the_same_bits() -> None:
    ran = [
        subprocess.run(
            [sys.executable, "-c", _STEP],
            env={**os.environ, "DIPTYCH_PURE_PYTHON": pure},
            capture_output=True, text=True, check=True,
        ).stdout.split()
        for pure in ("", "1")
    ]  # fmt: skip
    assert ran[1][0] == "False"
    assert ran[0][0] == str(dt.is_compiled())
    assert ran[0][1:] == ran[1][1:]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "float16"])
def test_products_have_the_bits_of_matmul(dtype: str) -> None:
    kernel = universal(np.matmul)
    for rows, inner, columns in [(3, 5, 4), (1, 1, 1), (16, 32, 10), (2, 0, 3), (0, 2, 1)]:
        x, y = _operands((rows, 2 * inner), dtype, 1)[0], _operands((inner, columns), dtype, 1)[0]
        for left in (x[:, :inner].copy(), x[:, ::2], np.asfortranarray(x[:, inner:]), x[::-1, ::2]):
            for right in (y, np.asfortranarray(y), y[:, ::-1]):
                expected = np.matmul(left, right)
                found = kernel(left, right)
                assert found.dtype == expected.dtype and found.flags.c_contiguous
                assert found.tobytes() == expected.tobytes()
                out = np.empty_like(expected)
                assert kernel(left, right, out=out) is out and (out == expected).all()
    stacked = kernel(np.ones((2, 3, 4), dtype), np.ones(4, dtype))
    assert stacked.shape == (2, 3) and (stacked == 4).all()
    with pytest.raises(ValueError):
        kernel(np.ones((2, 3), dtype), np.ones((2, 3), dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_products_are_computed_into_out_where_it_lies_apart(dtype: str) -> None:
    kernel = universal(np.matmul)
    rng = np.random.default_rng(1)
    memory = rng.integers(-3, 4, 60).astype(dtype)
    x, y = memory[:12].reshape(3, 4), memory[20:40].reshape(4, 5)
    rooms = [
        np.empty((3, 5), dtype), np.empty((5, 3), dtype).T, np.empty((3, 10), dtype)[:, ::2],
        memory[:15].reshape(3, 5), memory[39:54].reshape(3, 5), memory[40:55].reshape(3, 5),
        np.empty((3, 5), "float64"),
    ]  # fmt: skip
    for left, right in ((x, y), (x[::-1], y[:, ::-1]), (x, y.copy(order="F"))):
        for room in rooms:
            kept = memory.copy()
            expected = np.matmul(left, right)
            assert kernel(left, right, out=room) is room
            assert np.array_equal(room, expected)
            memory[:] = kept
    assert np.array_equal(kernel(x, y, out=None), np.matmul(x, y))
    assert np.array_equal(kernel(x, y[:, 0], out=np.empty(3, dtype)), np.matmul(x, y[:, 0]))
    with pytest.raises(ValueError):
        kernel(x, y, out=np.empty((3, 4), dtype))
    with pytest.raises(TypeError):
        kernel(x, y, room=rooms[0])
