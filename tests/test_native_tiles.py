"""Native tiles, packing and rows of matrices against NumPy, with vectors of each size."""

from __future__ import annotations

import ctypes
import random
from typing import Any

import numpy as np
import pytest

from diptych.compiler.native.library import FOLDER, load
from diptych.compiler.native.toolchain import find_compiler

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler")

HIDDEN = {"widest": (), "32 bytes": ("__AVX512F__",), "16 bytes": ("__AVX512F__", "__AVX__")}
TYPES = {"float32": "float", "float64": "double"}
UNUSED = -54321
INTEGER = ctypes.c_int64


class Tiles:
    """The functions of one type, compiled for processors that lack some instructions."""

    def __init__(self, hidden: tuple[str, ...], dtype: str) -> None:
        name = TYPES[dtype]
        hide = "".join(f"#undef {macro}\n" for macro in hidden)
        sizes = f"const int most_rows = DT_ROWS, width = DT_WIDTH_{name};\n"
        self.dtype = np.dtype(dtype)
        self._library = load(hide + (FOLDER / f"tiles_{name}.c").read_text() + sizes)
        self._name = name
        self.rows = ctypes.c_int.in_dll(self._library, "most_rows").value
        self.width = ctypes.c_int.in_dll(self._library, "width").value

    def call(self, name: str, *arguments: Any) -> None:
        function = getattr(self._library, f"dt_{name}_{self._name}")
        function.restype = None
        function(*(self._argument(name, i, each) for i, each in enumerate(arguments)))

    def _argument(self, name: str, place: int, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return ctypes.c_void_p(value.ctypes.data)
        if "tile" in name and place in (0, 9):  # rows and accumulate
            return ctypes.c_int(value)
        return INTEGER(value)

    def strides(self, array: np.ndarray) -> tuple[int, ...]:
        return tuple(step // self.dtype.itemsize for step in array.strides)


@pytest.fixture(params=TYPES, scope="module")
def dtype(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=HIDDEN, scope="module")
def tiles(request: pytest.FixtureRequest, dtype: str) -> Tiles:
    return Tiles(HIDDEN[request.param], dtype)


def numbers(*shape: int, dtype: Any) -> np.ndarray:
    """Small whole numbers: all sums of their products are exact."""
    return np.random.default_rng(0).integers(-4, 5, shape).astype(dtype)


def apart(array: np.ndarray, *gaps: int) -> np.ndarray:
    """The same numbers with NaN between each two of an axis."""
    wide = np.full([size * gap for size, gap in zip(array.shape, gaps)], np.nan, array.dtype)
    view = wide[tuple(slice(None, None, gap) for gap in gaps)]
    view[...] = array
    return view


def check_tile(tiles: Tiles, half: bool, rows: int, depth: int, rng: random.Random) -> None:
    """One tile of drawn strides, segments and operands, with all around the result unharmed."""
    width = tiles.width // 2 if half else tiles.width
    segments, accumulate = rng.choice([0, 1, 1, 3]), rng.random() < 0.5
    a = numbers(segments, rows, depth, dtype=tiles.dtype)
    order = rng.choice([(0, 1, 2), (0, 2, 1), (1, 0, 2), (2, 1, 0)])
    a = np.ascontiguousarray(a.transpose(order)).transpose(np.argsort(order))
    a = apart(a, 1, rng.choice([1, 2]), rng.choice([1, 1, 3]))
    b = apart(numbers(segments, depth, width, dtype=tiles.dtype) + 1, 1, rng.choice([1, 2]), 1)
    memory = np.full((rows + 2, width + 3), UNUSED, tiles.dtype)
    c = memory[1:-1, 1 : 1 + width]
    c[...] = before = numbers(rows, width, dtype=tiles.dtype)
    (a_segment, a_row, a_depth), (b_segment, b_depth, _) = tiles.strides(a), tiles.strides(b)
    tiles.call(
        "half_tile" if half else "tile", rows, depth, a, a_row, a_depth, b, b_depth,
        c, memory.shape[1], accumulate, segments, a_segment, b_segment,
    )  # fmt: skip
    product = np.einsum("sik,skj->ij", a.astype(np.float64), b.astype(np.float64))
    expected = product + before if accumulate else product
    assert np.array_equal(c, expected)
    memory[1:-1, 1 : 1 + width] = UNUSED
    assert (memory == UNUSED).all()


@pytest.mark.parametrize("half", [False, True], ids=["tile", "half"])
def test_tiles_of_every_height(tiles: Tiles, half: bool) -> None:
    rng = random.Random(0)
    for rows in range(1, (2 if half else 1) * tiles.rows + 1):
        for depth in (0, 1, 2, 3, 5, 8, 31):
            check_tile(tiles, half, rows, depth, rng)


@pytest.mark.full
@pytest.mark.parametrize("half", [False, True], ids=["tile", "half"])
def test_many_tiles(tiles: Tiles, half: bool) -> None:
    rng = random.Random(1)
    for _ in range(20_000):
        rows = rng.randint(1, (2 if half else 1) * tiles.rows)
        check_tile(tiles, half, rows, rng.randint(0, 70), rng)


def test_a_tile_rounds_as_its_type_does(tiles: Tiles) -> None:
    rng = np.random.default_rng(1)
    a = rng.standard_normal((tiles.rows, 300)).astype(tiles.dtype)
    b = rng.standard_normal((300, tiles.width)).astype(tiles.dtype)
    c = np.empty((tiles.rows, tiles.width), tiles.dtype)
    tiles.call("tile", tiles.rows, 300, a, 300, 1, b, tiles.width, c, tiles.width, 0, 1, 0, 0)
    a, b = a.astype(np.longdouble), b.astype(np.longdouble)
    assert (abs(c - a @ b) <= 300 * np.finfo(tiles.dtype).eps * (abs(a) @ abs(b))).all()


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_tiles_pass_odd_numbers_on(tiles: Tiles, odd: float) -> None:
    for rows in range(1, tiles.rows + 1):
        a = numbers(rows, 9, dtype=tiles.dtype)
        b = np.ones((9, tiles.width), tiles.dtype)
        a[-1, 4], b[8, 3] = odd, odd
        a[:, 8] = 0
        c = np.empty((rows, tiles.width), tiles.dtype)
        tiles.call("tile", rows, 9, a, 9, 1, b, tiles.width, c, tiles.width, 0, 1, 0, 0)
        with np.errstate(invalid="ignore"):
            assert np.array_equal(c, (a[:, :, None] * b).sum(1), equal_nan=True)


def check_packing(tiles: Tiles, depth: int, columns: int, width: int, order: str) -> None:
    b = numbers(depth, columns, dtype=tiles.dtype) + 1
    if order == "columns first":
        b = np.ascontiguousarray(b.T).T
    elif order == "columns apart":
        b = apart(b.T, 2, 1).T
    elif order == "rows apart":
        b = apart(b, 3, 1)
    elif order == "all apart":
        b = apart(b, 2, 2)
    elif order == "rows alike":
        b = np.broadcast_to(b[:1], b.shape)
    elif order == "backwards":
        b = b[::-1, ::-1]
    past = -width % (tiles.width // 2)  # where rows are no whole vectors, the last one goes on
    memory = np.full(depth * width + past + 2, UNUSED, tiles.dtype)
    panel = memory[1 : 1 + depth * width].reshape(depth, width)
    tiles.call("pack", depth, columns, b, *tiles.strides(b), panel, width)
    expected = np.zeros((depth, width), tiles.dtype)
    expected[:, :columns] = b
    assert np.array_equal(panel, expected)
    assert memory[0] == memory[-1] == UNUSED


ORDERS = (
    "rows first", "columns first", "columns apart", "rows apart", "all apart", "rows alike",
    "backwards",
)  # fmt: skip


@pytest.mark.parametrize("order", ORDERS)
def test_packing(tiles: Tiles, order: str) -> None:
    for width in (tiles.width // 2, tiles.width, 3 * tiles.width // 2):
        for columns in range(1, width + 1):
            for depth in (1, 2, 7, 8, 16, 37):
                check_packing(tiles, depth, columns, width, order)


@pytest.mark.parametrize("order", ORDERS)
def test_packing_rows_that_are_no_whole_vectors(tiles: Tiles, order: str) -> None:
    for width in (1, tiles.rows - 1, tiles.rows, tiles.width // 2 + 1, tiles.width + 3):
        for columns in range(1, width + 1):
            for depth in (1, 2, 16, 37):
                check_packing(tiles, depth, columns, width, order)


def test_packing_no_rows_writes_nothing(tiles: Tiles) -> None:
    for order in ("rows first", "columns first", "all apart"):
        check_packing(tiles, 0, 3, tiles.width, order)


def check_row(tiles: Tiles, depth: int, columns: int, apart_by: int, order: str) -> None:
    x = apart(numbers(depth, dtype=tiles.dtype), apart_by)
    b = numbers(depth, columns, dtype=tiles.dtype) - 1
    b = {
        "rows first": lambda: b,
        "rows apart": lambda: apart(b, 2, 1),
        "columns first": lambda: np.ascontiguousarray(b.T).T,
        "columns apart": lambda: apart(b.T, 2, 1).T,
    }[order]()
    memory = np.full(columns + 2, UNUSED, tiles.dtype)
    b_depth, b_column = tiles.strides(b)
    tiles.call("row", depth, columns, x, apart_by, b, b_depth, b_column, memory[1:])
    assert np.array_equal(memory[1:-1], x.astype(np.float64) @ b.astype(np.float64))
    assert memory[0] == memory[-1] == UNUSED


@pytest.mark.parametrize("order", ["rows first", "rows apart", "columns first", "columns apart"])
def test_rows(tiles: Tiles, order: str) -> None:
    few = [1, 2, 3, 7, 8, 15, 16, 17]
    many = [lanes * tiles.width // 2 + more for lanes in (4, 8, 16, 21) for more in (0, 1, 3)]
    for columns in (*few, *many):
        for depth in (0, 1, 2, 7, 16, 33, 130):
            check_row(tiles, depth, columns, random.Random(depth).choice([1, 3]), order)


def test_strides_of_axes_of_length_one_do_not_matter(tiles: Tiles) -> None:
    b = numbers(60, dtype=tiles.dtype)
    x, y = b[::-1].copy(), np.empty(12, tiles.dtype)
    tiles.call("row", 20, 1, x, 1, b, 3, 7, y)
    assert y[0] == x[:20] @ b[::3]
    tiles.call("row", 1, 12, x, 1, b, 7, 5, y)
    assert np.array_equal(y, x[0] * b[::5])


@pytest.mark.parametrize("order", ["rows first", "columns first"])
def test_a_row_longer_than_what_is_gathered_at_a_time(tiles: Tiles, order: str) -> None:
    for apart_by in (1, 2):
        check_row(tiles, 1300, 21, apart_by, order)


@pytest.mark.parametrize("order", ["rows first", "columns first"])
def test_rows_pass_odd_numbers_on(tiles: Tiles, order: str) -> None:
    for columns in (1, 5, tiles.width, 9 * tiles.width + 1):
        x = np.ones(40, tiles.dtype)
        b = np.ones((40, columns), tiles.dtype)
        b[3, -1], b[39, 0] = np.nan, np.inf
        expected = np.full(columns, 40, tiles.dtype)
        expected[0], expected[-1] = np.inf, np.nan
        b = b if order == "rows first" else np.ascontiguousarray(b.T).T
        y = np.empty(columns, tiles.dtype)
        tiles.call("row", 40, columns, x, 1, b, *tiles.strides(b), y)
        assert np.array_equal(y, expected, equal_nan=True)
