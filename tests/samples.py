"""Samples, references and error samples of every operator: one entry an operator.

A reference is plain NumPy, written apart from the kernels. It takes the promoted operands, with
floats widened to float64, and the attributes; its result is compared after a cast to the inferred
dtype.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import permutations, product
from typing import Any

import numpy as np

from diptych.graphs.errors import DTypeError, RangeError, ShapeError

FLOATS = ("float16", "float32", "float64")
INTS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
NUMBERS = (*FLOATS, *INTS)
DTYPES = ("bool", *NUMBERS)
LAYOUTS = ("transposed", "strided", "reversed")
SPECIAL = (math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 2.0)

# The formatter would give every sample lines of its own.
# fmt: off

def _show(arg: Any) -> str:
    if not isinstance(arg, np.ndarray):
        return repr(arg)
    dense = "" if arg.flags.c_contiguous else f"/{[s // arg.itemsize for s in arg.strides]}"
    return f"{arg.dtype}{list(arg.shape)}{dense}".replace(" ", "")

@dataclass(frozen=True, eq=False)
class Sample:
    """A call that is right; not `smooth` at kinks, ties and special values."""

    args: tuple[Any, ...]
    attrs: dict[str, Any]
    smooth: bool = True

    def __str__(self) -> str:
        shown = [*map(_show, self.args), *(f"{k}={v}" for k, v in self.attrs.items())]
        return " ".join(shown) or "nothing"

@dataclass(frozen=True, eq=False)
class ErrorSample(Sample):
    """A call that is wrong, and the error that says so."""

    error: type[Exception] = Exception
    match: str = ""

@dataclass(frozen=True, eq=False)
class Entry:
    reference: Callable[..., Any]
    samples: list[Sample]
    errors: list[ErrorSample]

SAMPLES: dict[str, Entry] = {}

def entry(name: str, reference: Any, samples: Any, errors: Iterable[ErrorSample] = ()) -> None:
    SAMPLES[name] = Entry(reference, list(samples), list(errors))

def good(*args: Any, **attrs: Any) -> Sample:
    return Sample(args, attrs)

def rough(*args: Any, **attrs: Any) -> Sample:
    return Sample(args, attrs, smooth=False)

def _bad(error: type[Exception], match: str, *args: Any, **attrs: Any) -> ErrorSample:
    return ErrorSample(args, attrs, error=error, match=match)

bad_shape, bad_dtype, bad_range = (partial(_bad, e) for e in (ShapeError, DTypeError, RangeError))

# -- arrays ----------------------------------------------------------------------------------
def lay(array: np.ndarray, layout: str) -> np.ndarray:
    """The same numbers under other strides."""
    if layout == "transposed":
        return np.asfortranarray(array)
    if layout == "strided":
        wide = np.zeros([2 * n for n in array.shape], array.dtype)
        every_second = (slice(None, None, 2),) * array.ndim
        wide[every_second] = array
        return wide[every_second]
    if layout == "reversed":
        backwards = (slice(None, None, -1),) * array.ndim
        return array[backwards].copy()[backwards]
    return array

def draw(
    shape: Any = (), dtype: str = "float32", low: float = -2.0, high: float = 2.0,
    layout: str = "dense", seed: int = 0,
) -> np.ndarray:
    """Numbers that depend on the arguments alone, so that entries do not disturb each other."""
    rng = np.random.default_rng([seed, len(shape), *shape])
    if dtype == "bool":
        array = rng.integers(0, 2, shape).astype(bool)
    elif dtype in INTS:
        least = max(0, math.ceil(low)) if dtype[0] == "u" else math.ceil(low)
        array = rng.integers(least, math.floor(high) + 1, shape).astype(dtype)
    else:
        array = np.asarray(rng.uniform(low, high, shape)).astype(dtype)
    return lay(array, layout)

def two(shape: Any, other: Any, dtype: str = "float32", second: str = "float32") -> Any:
    return draw(shape, dtype), draw(other, second, seed=1)

def kinds(size: Any, dtypes: Iterable[str] = DTYPES, **attrs: Any) -> list[Sample]:
    """One operand, in every dtype and every layout."""
    return [
        *(good(draw(size, d), **attrs) for d in dtypes),
        *(good(draw(size, layout=k), **attrs) for k in LAYOUTS),
    ]

def layouts(shape: Any, **attrs: Any) -> list[Sample]:
    """Two operands, in every pair of layouts."""
    pairs = permutations(LAYOUTS, 2)
    return [good(draw(shape, layout=k), draw(shape, layout=m, seed=1), **attrs) for k, m in pairs]

def unary(
    low: float = -2.0, high: float = 2.0, dtypes: Iterable[str] = NUMBERS, main: str = "float32"
) -> list[Sample]:
    shapes = ((), (0,), (3,), (2, 0, 3), (2, 1, 3))
    return [
        *(good(draw(shape, main, low, high)) for shape in shapes),
        *(good(draw((3, 4), main, low, high, layout)) for layout in LAYOUTS),
        *(good(draw((2, 3), dtype, low, high)) for dtype in dtypes),
        *(rough(np.array(SPECIAL, d)) for d in dtypes if d in FLOATS),
    ]
_PAIRS = (
    ((), ()), ((3,), ()), ((0,), (1,)), ((2, 0), (2, 1)), ((2, 3), (3,)), ((3, 1), (1, 2)),
    ((1, 2), (2, 2, 2)),
)
_MIXED = [pair.split() for pair in (
    "float32 float64", "float16 int64", "int32 float32", "int8 bool", "uint8 int16",
)]
_SPECIAL_PAIRS = np.array(list(product(SPECIAL, SPECIAL))).T

def binary(
    one: tuple[float, float] = (-2.0, 2.0), other: tuple[float, float] = (-2.0, 2.0),
    dtypes: Iterable[str] = NUMBERS, main: str = "float32", mixed: Any = _MIXED,
    weak: tuple[Any, ...] = (2, 1.5),
) -> list[Sample]:
    def pair(x: Any, y: Any, d: str = main, e: str = main, lx: str = "", ly: str = "") -> Sample:
        return good(draw(x, d, *one, lx), draw(y, e, *other, ly, seed=1))

    return [
        *(pair(x, y) for x, y in _PAIRS),
        *(pair((3, 3), (3, 3), main, main, x, y) for x, y in permutations(LAYOUTS, 2)),
        *(pair((2, 3), (2, 3), d, d) for d in dtypes),
        *(pair((2, 3), (3,), d, e) for d, e in mixed),
        *(good(draw((2, 3), main, *one), number) for number in weak),
        *(good(number, draw((2, 3), main, *other)) for number in weak),
        *(rough(*_SPECIAL_PAIRS.astype(d)) for d in dtypes if d in FLOATS),
    ]
_NO_OPERAND = "operands must be tensors, arrays or numbers, got str"
_NO_INTEGER = "no integer dtype holds both operands, got uint64 and int8"
_NO_SIZE = "a size must be a whole number of at least 0, got "
_NO_BOOL = "operands must be numbers, got bool"
_NO_NUMBER = "operands must be bool, got float32"
_SIGNED = (draw((2, 2), "uint64"), draw((2, 2), "int8"))
UNARY_ERRORS = [
    bad_dtype(_NO_OPERAND, "a"),
    bad_dtype("nested lists must be of equal length, got", [[1], [2, 3]]),
]
NUMERIC_ERRORS = [*UNARY_ERRORS, bad_dtype(_NO_BOOL, draw((2,), "bool"))]
BINARY_ERRORS = [
    bad_shape(r"must broadcast, got \(2, 3\) and \(2,\)", *two((2, 3), (2,))),
    bad_dtype(_NO_INTEGER, *_SIGNED), bad_dtype(_NO_OPERAND, draw((2,)), "a"),
    bad_dtype("a number must fit the dtype uint8, got 300", draw((2,), "uint8"), 300),
    bad_dtype("a number must fit the dtype uint8, got -1", -1, draw((2,), "uint8")),
]
ARITHMETIC_ERRORS = [*BINARY_ERRORS, bad_dtype(_NO_BOOL, *two((2,), (2,), "bool", "bool"))]

# -- creation --------------------------------------------------------------------------------
def _sizes(shape: Any) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else shape
entry("full", lambda shape, value, dtype, device: np.zeros(shape) + value, [
    *(good(shape=(2, 3), value=1, dtype=dtype) for dtype in DTYPES),
    *(good(shape=shape, value=1.5, dtype="float32") for shape in ((), (0, 2), 3)),
    good(shape=(2,), value=math.nan, dtype="float64"), good(shape=(2,), value=2.75, dtype="int32"),
], [
    bad_shape(_NO_SIZE + "-1", shape=(2, -1), value=0, dtype="float32"),
    bad_shape(_NO_SIZE + "2.5", shape=2.5, value=0, dtype="float32"),
    bad_dtype("dtype: must be one of", shape=(2,), value=0, dtype="complex64"),
    bad_dtype("a number must fit the dtype uint8, got 300", shape=2, value=300, dtype="uint8"),
])

def _arange(start: Any, stop: Any, step: Any, dtype: Any, device: Any) -> np.ndarray:
    count = max(0, math.ceil((stop - start) / step))
    return np.array([start + i * step for i in range(count)])
_RANGES = (
    (0, 5, 1, "int64"), (5, 0, -2, "int32"), (0, 0, 1, "int64"), (3, 0, 1, "float32"),
    (0.0, 1.0, 0.25, "float64"), (-1.5, 1.0, 0.5, "float32"), (0, 4, 1, "float16"),
    (0, 7, 3, "uint8"),
)
entry("arange", _arange, [good(start=a, stop=b, step=c, dtype=d) for a, b, c, d in _RANGES], [
    bad_shape("step must not be 0, got 0", start=0, stop=5, step=0, dtype="int64"),
    bad_dtype("dtype: must be one of", start=0, stop=5, step=1, dtype="complex64"),
])

# -- element-wise ----------------------------------------------------------------------------
_POSITIVE, _ALL = (0.25, 2.0), {"dtypes": DTYPES}
_BOOLS: dict[str, Any] = {"dtypes": ("bool",), "main": "bool"}
_NO_BOOLS = [*UNARY_ERRORS, bad_dtype(_NO_NUMBER, draw((2,)))]
_LOGIC = binary(**_BOOLS, mixed=(), weak=(True, False))
_LOGIC_ERRORS = [
    bad_shape(r"got \(2, 3\) and \(2,\)", *two((2, 3), (2,), "bool", "bool")),
    bad_dtype(_NO_NUMBER, *two((2,), (2,))),
    bad_dtype("operands must be bool, got int64", draw((2,), "bool"), 1),
]
for _row in (
    ("negative", lambda x: 0 - x, unary(), NUMERIC_ERRORS),
    ("abs", lambda x: np.where(x < 0, -x, x), unary(), NUMERIC_ERRORS),
    ("sign", lambda x: np.where(x != x, x, (x > 0) * 1 - (x < 0) * 1), unary(), NUMERIC_ERRORS),
    ("relu", lambda x: np.where(x <= 0, 0, x), unary(), NUMERIC_ERRORS),
    ("exp", lambda x: np.exp2(x / math.log(2)), unary(**_ALL), UNARY_ERRORS),
    ("log", lambda x: np.log2(x) * math.log(2), unary(*_POSITIVE, **_ALL), UNARY_ERRORS),
    ("sqrt", lambda x: np.sqrt(x), unary(*_POSITIVE, **_ALL), UNARY_ERRORS),
    ("sin", lambda x: np.cos(x - np.pi / 2), unary(**_ALL), UNARY_ERRORS),
    ("cos", lambda x: np.sin(x + np.pi / 2), unary(**_ALL), UNARY_ERRORS),
    ("tanh", lambda x: 1 - 2 / (np.exp(2 * x) + 1), unary(**_ALL), UNARY_ERRORS),
    ("sigmoid", lambda x: (1 + np.tanh(x / 2)) / 2, unary(**_ALL), UNARY_ERRORS),
    ("logical_not", lambda x: x ^ True, unary(**_BOOLS), _NO_BOOLS),
    ("logical_and", lambda x, y: x & y, _LOGIC, _LOGIC_ERRORS),
    ("logical_or", lambda x, y: x | y, _LOGIC, _LOGIC_ERRORS),
    ("add", lambda x, y: x + y, binary(**_ALL), BINARY_ERRORS),
    ("subtract", lambda x, y: x - y, binary(), ARITHMETIC_ERRORS),
    ("multiply", lambda x, y: x * y, binary(**_ALL), BINARY_ERRORS),
    ("divide", lambda x, y: x / y, binary(other=_POSITIVE, **_ALL), BINARY_ERRORS[:3]),
    ("power", lambda x, y: x**y, binary(_POSITIVE, (0.0, 2.0), weak=(2, 0.5)), ARITHMETIC_ERRORS),
    ("maximum", lambda x, y: np.where((x != x) | (x > y), x, y), binary(**_ALL), BINARY_ERRORS),
    ("minimum", lambda x, y: np.where((x != x) | (x < y), x, y), binary(**_ALL), BINARY_ERRORS),
    *((name, getattr(np, name), binary((-1, 1), (-1, 1), **_ALL), BINARY_ERRORS) for name in (
        "equal", "not_equal", "less", "less_equal", "greater", "greater_equal",
    )),
):
    entry(*_row)
_MASK = draw((2, 3), "bool", seed=2)
_CHOICES = ((), (), ()), ((3,), (), (3,)), ((2, 1), (3,), ()), ((0,), (1,), ()), ((), (2, 2), (2,))
entry("where", lambda condition, x, y: np.choose(condition, [y, x]), [
    *(good(draw(c, "bool", seed=2), *two(x, y)) for c, x, y in _CHOICES),
    *(good(lay(_MASK, k), *pair.args) for k in LAYOUTS for pair in layouts((2, 3))),
    *(good(_MASK, *two((2, 3), (2, 3), d, d)) for d in DTYPES),
    *(good(_MASK, *two((2, 3), (3,), d, e)) for d, e in _MIXED), good(_MASK, draw((2, 3)), 0.5),
    good(_MASK, 0, draw((2, 3))), good(_MASK, draw((2, 3), "int8"), 0.5),
    rough(_MASK[0], np.array([math.nan] * 3), draw((3,), "float64")),
], [
    bad_dtype("condition must be bool, got float32", draw((2,)), 1.0, 2.0),
    bad_shape(r"got \(2, 3\) and \(2,\) and \(\)", _MASK, draw((2,)), 0.0),
    bad_dtype(_NO_INTEGER, _MASK[:, :2], *_SIGNED),
])
entry("astype", lambda x, dtype: np.trunc(x) if np.dtype(dtype).kind == "i" else x, [
    *(good(draw((2, 3), d, 0.0, 3.0), dtype=e) for d in DTYPES for e in DTYPES),
    *(good(draw((3, 4), layout=layout), dtype="float64") for layout in LAYOUTS),
    *(good(draw(shape, low=-3.0), dtype="int64") for shape in ((), (0,), (2, 0), (5,))),
    good(draw((3,)), dtype=float), good(draw((3,)), dtype=np.float64),
], [
    bad_dtype("dtype: must be one of .* got 'complex64'", draw((2,)), dtype="complex64"),
    bad_dtype("dtype: must be one of .* got 'numbers'", draw((2,)), dtype="numbers"),
])

# -- indexing --------------------------------------------------------------------------------
_WHOLE, _BACK, _PART = slice(None), slice(None, None, -1), (slice(2), slice(3, 1, -1))
_INDICES = (
    ((3, 4), (1, -1)), ((3, 4), 2), ((3, 4), (_WHOLE, slice(3, 0, -2))), ((3, 4), (..., 0)),
    ((3, 4), (None, slice(1, 2), None)), ((3, 4), (_BACK, ..., None)), ((3, 4), (slice(5, 9),)),
    ((3, 4), ()), ((5,), (slice(-1, None, -2),)), ((), ()), ((), (None, ...)),
    ((0, 3), (_WHOLE, 1)), ((2, 3, 4), (0, slice(None, None, 3), slice(1, -1))),
    ((3, 4), (np.int64(1), slice(None, 2))),
)
_NO_INDEX = "an index must be whole numbers, slices, None and one ellipsis, got "
_INDEX_ERRORS: tuple[tuple[Any, str], ...] = (
    ((3,), r"an index must be in -3..2 on axis 0, got 3"),
    ((0, -5), r"an index must be in -4..3 on axis 1, got -5"),
    ((0, 0, 0), "too many indices for 2 axes, got 3"), (([0, 1],), _NO_INDEX + "list"),
    ((1.5,), _NO_INDEX + "float"), ((True,), _NO_INDEX + "bool"),
    ((np.array([0, 1]),), _NO_INDEX + "ndarray"),
    ((slice(0, 2, 0),), "a slice's step must not be 0, got 0"),
    ((slice(0.5, 2),), "a slice must hold whole numbers, got"),
)

def _positions(shape: Any) -> np.ndarray:
    return np.arange(math.prod(_sizes(shape))).reshape(shape)

def _assigned(x: Any, value: Any, index: Any) -> np.ndarray:
    out = x.flatten()
    out[_positions(x.shape)[index]] = value
    return out.reshape(x.shape)
entry("getitem", lambda x, index: np.take(x, _positions(x.shape)[index]), [
    *(good(draw(shape), index=index) for shape, index in _INDICES),
    *kinds((3, 4), index=(1, slice(1, 3))), *kinds((3, 4), index=_PART),
], [bad_shape(match, draw((3, 4)), index=index) for index, match in _INDEX_ERRORS])
_UNSELECTED = r"operand must have the shape that the index selects, got \(3,\) for \(2,\)"
entry("scatter_slice", lambda g, index, shape: _assigned(np.zeros(shape, g.dtype), g, index), [
    *(good(draw(np.zeros(s)[i].shape), index=i, shape=s) for s, i in _INDICES),
    *kinds((2, 2), index=_PART, shape=(3, 4)),
], [
    bad_shape(_UNSELECTED, draw((3,)), index=(slice(2),), shape=(3,)),
    bad_shape(_NO_SIZE + "-3", draw((1,)), index=(0,), shape=(-3,)),
    *(bad_shape(match, draw((3, 4)), index=i, shape=(3, 4)) for i, match in _INDEX_ERRORS),
])
_UNFIT = r"value must broadcast to the shape that the index selects, got \(2, 4\) for \(4,\)"
entry("setitem", _assigned, [
    *(good(*two(s, np.zeros(s)[i].shape), index=i) for s, i in _INDICES),
    *(good(*two((3, 4), (2,), d, d), index=(0, slice(2))) for d in DTYPES),
    *(good(draw((3, 4), layout=k), draw((2, 2), layout=k), index=_PART) for k in LAYOUTS),
    good(*two((3, 4), (1, 4)), index=(slice(2),)), good(*two((3, 4), (3, 4)), index=(...,)),
    good(*two((3, 3), (3, 3)), index=(_BACK,)), good(draw((3, 4)), 7.5, index=(1,)),
    good(draw((3,), "int32"), 7, index=(1,)), good(draw((3,)), draw((), "float64"), index=(1,)),
], [
    bad_shape(r"must broadcast, got \(3,\) and \(4,\)", *two((3, 4), (3,)), index=(0,)),
    bad_shape(_UNFIT, *two((3, 4), (2, 4)), index=(0,)),
    *(bad_shape(match, draw((3, 4)), 0.0, index=i) for i, match in _INDEX_ERRORS),
])
_AT = np.array([2, 0, -1, 0])
_XS = draw((3, 4))
_AXES: Any = ((0, ()), (1, (2,)), (-1, (2, 1)), (0, (0,)), (-2, (3, 2)))
_GATHERED = [(axis, draw(shape, "int64", -3, 2)) for axis, shape in _AXES]

def _take(x: Any, indices: Any, axis: int) -> np.ndarray:
    return x[(*[slice(None)] * (axis % x.ndim), indices)]

def _added(g: Any, positions: Any, shape: Any) -> np.ndarray:
    return np.bincount(positions.ravel(), g.ravel(), math.prod(_sizes(shape))).reshape(shape)
_NO_INDICES = "indices must be integers, got "
entry("take", _take, [
    *(good(_XS, at, axis=axis) for axis, at in _GATHERED),
    *(good(draw((3, 4)), (_AT % 3).astype(d)) for d in INTS),
    *(good(draw((3,), d), _AT) for d in DTYPES),
    *(good(draw((3, 4), layout=k), lay(_AT[:, None], k), axis=1) for k in LAYOUTS),
    good(draw((0, 3)), _AT, axis=1), good(draw((3,)), 1),
], [
    bad_dtype(_NO_INDICES + "float32", *two((3,), (2,))),
    bad_dtype(_NO_INDICES + "bool", draw((3,)), draw((2,), "bool")),
    bad_shape("axis must be in -1..0, got 1", draw((3,)), _AT, axis=1),
    bad_shape("a 0-d operand has no axis, got 0", draw(), _AT),
    bad_range("indices must be in -3..2, got 3", draw((3,)), np.array([0, 3])),
    bad_range("indices must be in -3..2, got -4", draw((3,)), np.array([-4, 1])),
    bad_range("indices must be in .* got 0", draw((0,)), np.array([0])),
])
_UNGATHERED = r"operand must have the shape that the indices gather, got \(3,\) for \(4,\)"
entry("scatter_add", lambda g, indices, axis, shape: _added(
    g, _take(_positions(shape), indices, axis), shape
), [
    *(good(_take(_XS, at, axis), at, axis=axis, shape=(3, 4)) for axis, at in _GATHERED),
    *(good(draw((4,)), (_AT % 3).astype(d), axis=0, shape=(3,)) for d in INTS),
    *(good(draw((4,), d), _AT, axis=0, shape=(3,)) for d in NUMBERS),
    *(good(draw((4, 2), layout=k), lay(_AT, k), axis=0, shape=(3, 2)) for k in LAYOUTS),
], [
    bad_shape(_UNGATHERED, draw((3,)), _AT, axis=0, shape=(3,)),
    bad_dtype(_NO_INDICES + "float32", *two((2,), (2,)), axis=0, shape=(3,)),
    bad_shape("axis must be in -1..0, got 1", draw((4,)), _AT, axis=1, shape=(3,)),
    bad_range("indices must be in -2..1, got 2", draw((4,)), _AT, axis=0, shape=(2,)),
])

# -- manipulation ----------------------------------------------------------------------------
def _moved(op: str, attr: str, cases: Any, errors: Any, reference: Any) -> None:
    """An operator with one attribute: its cases, then every dtype and layout of the first."""
    shape, first = cases[0]
    entry(op, reference, [
        *(good(draw(s), **{attr: value}) for s, value in cases), *kinds(shape, **{attr: first}),
    ], [bad_shape(match, draw(s), **{attr: value}) for s, value, match in errors])
_NO_RESHAPE = "sizes must keep the number of elements, got "
_moved("reshape", "shape",
    (((2, 3, 2), (3, -1)), ((6,), (2, 3)), ((), (1, 1)), ((1,), ()), ((0, 3), (-1, 3)), ((4,), 4),
     ((2, 2), -1), ((0, 3), (3, 0, 5))), (
        ((4,), (3,), _NO_RESHAPE + r"\(4,\) to \(3,\)"),
        ((6,), (-1, 4), _NO_RESHAPE + r"\(6,\) to \(-1, 4\)"),
        ((6,), (-1, 0), _NO_RESHAPE + r"\(6,\) to \(-1, 0\)"),
        ((0, 3), (-1, 0), r"got \(0, 3\) to \(-1, 0\)"), ((6,), (-1, -1), _NO_SIZE + "-1"),
        ((6,), (2.5,), _NO_SIZE + "2.5"), ((6,), 2.5, _NO_SIZE + "2.5"),
    ), lambda x, shape: np.array(list(x.flat), x.dtype).reshape(shape))
_moved("permute_dims", "axes",
    (((2, 3, 4), (2, 0, 1)), ((2, 3), None), ((), ()), ((2, 0), (1, 0)), ((2, 3, 4), (-1, 0, 1))), (
        ((2, 3), (0, 0), r"axes must be a permutation of 2 axes, got \(0, 0\)"),
        ((2, 3), (0,), r"axes must be a permutation of 2 axes, got \(0,\)"),
        ((2, 3), 1, "axes must be a permutation of 2 axes, got 1"),
        ((2, 3), (0, 2), "axis must be in -2..1, got 2"),
    ), lambda x, axes: np.moveaxis(x, range(x.ndim)[::-1] if axes is None else axes, range(x.ndim)))
_moved("broadcast_to", "shape",
    (((3, 1), (2, 3, 4)), ((3,), (3,)), ((), (2, 2)), ((1,), (0,)), ((0, 1), (0, 2)), ((), 3)), (
        ((3,), (2,), r"shapes must broadcast, got \(3,\) and \(2,\)"),
        ((2, 3), (3,), r"operand must broadcast to the shape, got \(2, 3\) to \(3,\)"),
        ((1,), (-1,), _NO_SIZE + "-1"),
    ), lambda x, shape: x + np.zeros(shape, x.dtype))
_moved("expand_dims", "axis",
    (((2, 3), 1), ((2, 3), -1), ((2, 3), -3), ((), 0), ((0,), 1)), (
        ((3,), 2, "axis must be in -2..1, got 2"),
        ((3,), 0.5, "axis must be a whole number, got 0.5"),
        ((3,), (0, 1), r"axis must be a whole number, got \(0, 1\)"),
    ), lambda x, axis: x.reshape(np.insert(x.shape, axis % (x.ndim + 1), 1).astype(int)))

def _squeezed(x: Any, axis: Any) -> np.ndarray:
    axes = range(x.ndim) if axis is None else np.atleast_1d(np.mod(axis, x.ndim))
    return x.reshape([n for i, n in enumerate(x.shape) if n != 1 or i not in axes])
_moved("squeeze", "axis",
    (((2, 1, 3), 1), ((1, 2, 1), None), ((1, 2, 1), (0, -1)), ((), None), ((0, 1), -1)), (
        ((2, 1), 0, r"a squeezed axis must have size 1, got \(2, 1\), axis 0"),
        ((2, 1), 2, "axis must be in -2..1, got 2"),
        ((1, 1), (0, 0), r"axes must differ, got \(0, 0\)"),
    ), _squeezed)
entry("stop_gradient", lambda x: x, unary(dtypes=DTYPES), UNARY_ERRORS)

def _concat(*xs: Any, axis: int) -> np.ndarray:
    rows = [row for x in xs for row in np.moveaxis(x, axis, 0)]
    rest = np.delete(xs[0].shape, axis).astype(int)
    return np.moveaxis(np.array(rows, xs[0].dtype).reshape(len(rows), *rest), 0, axis)
_PIECES: Any = (
    (((2,), (3,), (1,)), 0), (((2, 3), (2, 1)), 1), (((2, 3), (1, 3)), -2), (((0,), (2,)), 0),
    (((2, 0), (2, 0)), 0), (((2,),), 0),
)
_NO_CONCAT = "shapes must agree but for axis 0, got "
entry("concat", _concat, [
    *(good(*(draw(s, seed=i) for i, s in enumerate(xs)), axis=axis) for xs, axis in _PIECES),
    *(good(*two((2, 2), (1, 2), d, d)) for d in DTYPES),
    *(good(*two((2, 2), (1, 2), d, e)) for d, e in _MIXED), *layouts((3, 2), axis=1),
], [
    bad_shape("at least one operand is needed, got none"),
    bad_shape(_NO_CONCAT + r"\(2, 3\) and \(2, 2\)", *two((2, 3), (2, 2)), axis=0),
    bad_shape(_NO_CONCAT + r"\(2,\) and \(2, 1\)", *two((2,), (2, 1))),
    bad_shape("a 0-d operand has no axis, got 0", *two((), ())),
    bad_shape("axis must be in -1..0, got 1", *two((2,), (2,)), axis=1),
    bad_dtype(_NO_INTEGER, *_SIGNED),
])

# -- matrix products -------------------------------------------------------------------------
def _matmul(x: Any, y: Any) -> np.ndarray:
    a = x[None] if x.ndim == 1 else x
    b = y[:, None] if y.ndim == 1 else y
    z = (a[..., :, :, None] * b[..., None, :, :]).sum(-2)
    z = z[..., 0] if y.ndim == 1 else z
    row = z.ndim - (1 if y.ndim == 1 else 2)
    return z.take(0, axis=row) if x.ndim == 1 else z
_PRODUCTS = (
    ((2, 3), (3, 4)), ((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((2, 2, 3), (3, 2)),
    ((2, 1, 2, 3), (3, 3, 2)), ((3,), (2, 3, 2)), ((2, 2, 3), (3,)), ((2, 0), (0, 3)),
    ((0, 2), (2, 3)), ((0, 2, 2), (2, 2)), ((1, 1), (1, 1)),
)
_INNER, _NO_AXES = "inner dimensions must match, got ", "operands must have at least one axis, got "
entry("matmul", _matmul, [
    *(good(*two(x, y)) for x, y in _PRODUCTS), *(good(*two((2, 3), (3, 2), d, d)) for d in NUMBERS),
    *(good(*two((2, 3), (3, 2), d, e)) for d, e in _MIXED), *layouts((3, 3)),
], [
    bad_shape(_INNER + r"\(3, 4\) @ \(5, 2\)", *two((3, 4), (5, 2))),
    bad_shape(_INNER + r"\(3,\) @ \(2,\)", *two((3,), (2,))),
    bad_shape(_NO_AXES + r"\(\) @ \(2, 2\)", *two((), (2, 2))),
    bad_shape(_NO_AXES + r"\(2, 2\) @ \(\)", draw((2, 2)), 2.0),
    bad_shape(r"must broadcast, got \(2, 2, 2\) @ \(3, 2, 2\)", *two((2, 2, 2), (3, 2, 2))),
    bad_dtype(_NO_BOOL, *two((2, 2), (2, 2), "bool", "bool")), bad_dtype(_NO_INTEGER, *_SIGNED),
])

# -- reductions ------------------------------------------------------------------------------
_REDUCED: Any = (
    ((2, 3), {}), ((2, 3), {"axis": 0}), ((2, 3), {"axis": -1, "keepdims": True}), ((), {}),
    ((2, 3, 2), {"axis": (0, 2)}), ((2, 3, 2), {"axis": (-1, 0), "keepdims": True}),
    ((2, 3), {"axis": ()}), ((0, 3), {"axis": 1}), ((1,), {"axis": 0, "keepdims": True}),
)
_EMPTY: Any = (((0,), {}), ((2, 0), {"axis": 1}), ((0, 3), {"axis": 0, "keepdims": True}))
_NO_EMPTY = bad_shape(r"axes must not be empty, got \(2, 0\)", draw((2, 0)), axis=1)
_NAN_ROW = rough(np.array([[math.nan, 1.0], [2.0, math.inf]]), axis=1)
_AXIS_ERRORS = [
    bad_shape("axis must be in -2..1, got 2", draw((2, 3)), axis=2),
    bad_shape("axis must be a whole number, got 0.5", draw((2, 3)), axis=0.5),
    bad_shape("a 0-d operand has no axis, got -1", draw(), axis=-1),
]

for _name, _reduce, _of_nothing, _errors in (
    ("sum", lambda x, **over: np.where(x, x, 0).sum(**over), good, ()),
    # The mean of nothing is NaN, and so is whatever is derived from it.
    ("mean", lambda x, **over: x.sum(**over) / np.ones(x.shape).sum(**over), rough, ()),
    ("max", lambda x, **over: np.maximum.reduce(x, **over), None, (_NO_EMPTY,)),
    ("min", lambda x, **over: np.minimum.reduce(x, **over), None, (_NO_EMPTY,)),
):
    entry(_name, _reduce, [
        *(good(draw(shape), **attrs) for shape, attrs in _REDUCED),
        *(_of_nothing(draw(shape), **attrs) for shape, attrs in _EMPTY if _of_nothing),
        # Three rows of many columns: dividing by a power of two rounds nothing.
        *kinds((3, 20), axis=0), *kinds((3, 4), axis=1), *kinds((3, 4), FLOATS), _NAN_ROW,
    ], [
        *_AXIS_ERRORS, bad_shape(r"axes must differ, got \(0, -2\)", draw((2, 3)), axis=(0, -2)),
        *_errors,
    ])

def _argmax(x: Any, axis: int | None, keepdims: bool) -> np.ndarray:
    if axis is None:
        return _argmax(x.reshape(-1), 0, False).reshape((1,) * x.ndim if keepdims else ())
    rows = np.moveaxis(x, axis, -1)
    first = [list(rows[at]).index(max(rows[at])) for at in np.ndindex(rows.shape[:-1])]
    found = np.array(first, np.int64).reshape(rows.shape[:-1])
    return np.expand_dims(found, axis) if keepdims else found
_ARGMAX = (((3,), 0, False), ((2, 3), 1, True), ((0, 3), -1, False), ((2, 3), None, True))
entry("argmax", _argmax, [
    *(good(draw(shape), axis=axis, keepdims=k) for shape, axis, k in _ARGMAX),
    *kinds((3, 4), axis=0), *kinds((3, 4), axis=1),
], [*_AXIS_ERRORS, _NO_EMPTY])
_moved("sum_to", "shape",
    (((2, 3, 4), (3, 1)), ((2, 3), ()), ((2, 3), (2, 3)), ((2, 3), (1, 1)), ((0, 3), (1, 3)),
     ((), ()), ((2, 0), (0,)), ((2, 3), 3)), (
        ((2, 3), (2,), r"shapes must broadcast, got \(2,\) and \(2, 3\)"),
        ((3,), (2, 3), r"shape must broadcast to the operand, got \(3,\) to \(2, 3\)"),
        ((2, 1), (2, 3), r"shape must broadcast to the operand, got \(2, 1\) to \(2, 3\)"),
        ((3,), (-1,), _NO_SIZE + "-1"),
    ), lambda x, shape: _added(x, np.broadcast_to(_positions(shape), x.shape), shape))
entry("accumulate", lambda *xs: sum(xs[1:], xs[0]), [
    *(good(*(draw(s, seed=i) for i in range(n))) for s in ((), (0,), (2, 3)) for n in (1, 2, 4)),
    *(good(*(draw((2, 3), d, seed=i) for i in range(3))) for d in DTYPES),
    *(good(*two((2, 3), (2, 3), d, e)) for d, e in _MIXED),
    good(*(draw((3, 3), layout=layout, seed=i) for i, layout in enumerate(LAYOUTS))),
], [
    bad_shape("at least one operand is needed, got none"),
    bad_shape(r"operands must have one shape, got \(2,\) and \(\)", *two((2,), ())),
    bad_dtype(_NO_INTEGER, *_SIGNED),
])

# -- neural ----------------------------------------------------------------------------------
def _softmax(x: Any, axis: int = -1) -> np.ndarray:
    rows = np.moveaxis(x, axis, -1)
    ratios = np.exp(rows[..., None, :] - rows[..., :, None])
    return np.moveaxis(1 / ratios.sum(-1), -1, axis)

def _log_softmax(x: Any, axis: int) -> np.ndarray:
    top = np.max(x, axis=axis, keepdims=True, initial=-math.inf)
    return x - top - np.log(np.exp(x - top).sum(axis=axis, keepdims=True))
_OVER = (((3,), 0), ((2, 3), -1), ((2, 3), 0), ((0, 3), 1), ((2, 3, 2), 1))
for _name, _normalised in (("softmax", _softmax), ("log_softmax", _log_softmax)):
    entry(_name, _normalised, [
        *(good(draw(shape), axis=axis) for shape, axis in _OVER),
        *kinds((3, 4), axis=0), *kinds((3, 4), axis=1),
        rough(np.array([[1e4, 0.0, -1e4], [-1e4] * 3])),
    ], [
        *_AXIS_ERRORS, bad_shape("axis must be a whole number, got None", draw((2, 3)), axis=None),
        bad_shape(r"the axis must not be empty, got \(2, 0\)", draw((2, 0))),
    ])

def _cross_entropy(logits: Any, labels: Any) -> np.ndarray:
    p = _softmax(logits).reshape(-1, logits.shape[-1])
    return np.mean([-np.log(row[label]) for row, label in zip(p, labels.ravel())])

def _cross_entropy_grad(logits: Any, labels: Any, g: Any) -> np.ndarray:
    hot = np.arange(logits.shape[-1]) == labels[..., None]
    return (_softmax(logits) - hot) * (g / labels.size)

def _labels(shape: Any, dtype: str = "int64") -> np.ndarray:
    return draw(shape, dtype, 0, 2, seed=3)
_LOGITS = draw((2, 3))
_NO_LABELS = "labels must have the shape of logits without its last axis, got "
for _name, _loss, _g in (
    ("cross_entropy", _cross_entropy, ()),
    ("cross_entropy_grad", _cross_entropy_grad, (draw(),)),
):
    entry(_name, _loss, [
        *(good(draw((*rows, 3)), _labels(rows), *_g) for rows in ((4,), (1,), (2, 2), ())),
        *(good(draw((n, 3), d), _labels((n,)), *(x.astype(d) for x in _g))
          for d in FLOATS for n in (3, 5, 6, 7)),
        *(good(draw((4, 3)), _labels((4,), d), *_g) for d in INTS),
        *(good(draw((4, 3), layout=k), lay(_labels((4,)), k), *_g) for k in LAYOUTS),
        *(good(_LOGITS, _labels((2,)), g) for x in _g for g in (2.0, *map(x.astype, FLOATS))),
    ], [
        bad_shape(_NO_LABELS + r"\(3,\) for \(2, 3\)", _LOGITS, _labels((3,)), *_g),
        bad_shape(_NO_LABELS + r"\(\) for \(\)", draw(), _labels(()), *_g),
        bad_dtype("labels must be integers, got float32", _LOGITS, draw((2,)), *_g),
        bad_dtype("logits must be floats, got int64", _labels((2, 3)), _labels((2,)), *_g),
        bad_shape(r"must not be empty, got \(0, 3\)", draw((0, 3)), _labels((0,)), *_g),
        bad_range("must be in 0..2, got 3", _LOGITS, np.array([0, 3]), *_g),
        bad_range("must be in 0..2, got -1", _LOGITS, np.array([-1, 0]), *_g),
        *(bad_shape(r"got \(2,\)", _LOGITS, _labels((2,)), draw((2,))) for _ in _g),
    ])

# -- random ----------------------------------------------------------------------------------
def _uniform(key: Any, offset: Any, shape: Any, dtype: Any) -> np.ndarray:
    count = math.prod(_sizes(shape))
    words = np.random.Philox(key=key, counter=[0, 0, int(offset), 0]).random_raw(count).tolist()
    if np.dtype(dtype) == np.float64:
        drawn = [(w >> 11) * 2.0**-53 for w in words]
    else:
        drawn = [(half >> 8) * 2.0**-24 for w in words for half in (w % 2**32, w >> 32)]
    return np.array(drawn[:count]).reshape(shape)

def _normal(key: Any, offset: Any, shape: Any, dtype: Any) -> np.ndarray:
    radius, angle = _uniform(key, offset, (2, *_sizes(shape)), dtype)
    return np.sqrt(-2 * np.log(1 - radius)) * np.cos(2 * np.pi * angle)
_KEY, _OFFSET = np.array([7, 2**63 + 5], np.uint64), np.array(3)
_NO_STATE = "key must be two uint64 and offset one int64, got "
for _name, _drawn in (("random_uniform", _uniform), ("random_normal", _normal)):
    entry(_name, _drawn, [
        *(good(_KEY, _OFFSET, shape=s) for s in ((), (0,), 5, (2, 3), (2, 0))),
        *(good(_KEY, _OFFSET, shape=(3, 3), dtype=d) for d in FLOATS),
        good(_KEY[::-1], np.array(2**40), shape=(4,)),
    ], [
        bad_shape(_NO_STATE, _KEY[:1], _OFFSET, shape=(2,)),
        bad_shape(_NO_STATE, _KEY.astype(int), _OFFSET, shape=2),
        bad_shape(_NO_STATE, _KEY, _OFFSET[None], shape=(2,)),
        bad_shape(_NO_SIZE + "-2", _KEY, _OFFSET, shape=(-2,)),
        bad_dtype("must be a float, got int32", _KEY, _OFFSET, shape=2, dtype="int32"),
    ])
