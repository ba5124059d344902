"""What samples are made of: arrays in every size, stride and dtype, and the table of entries.

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

from diptych.graphs.dtypes import as_dtype
from diptych.graphs.errors import DTypeError, RangeError, ShapeError

FLOATS = ("bfloat16", "float16", "float32", "float64")
COMPLEX = ("complex64", "complex128")
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
    """What is known of one operator.

    Attributes
    ----------
    reference : callable
        Plain NumPy, written apart from the kernels; of several results it gives a tuple.
    samples, errors : list
    lacks : set of str
        What no sample can have: "scalar" (0-d operands), "empty" (size 0), "floats" (the operator
        takes none), "half" (neither float16 nor bfloat16), "layouts" (odd strides).
    ulp : int
        How many units in the last place, scaled by the largest result, a kernel may be off.
    """

    reference: Callable[..., Any]
    samples: list[Sample]
    errors: list[ErrorSample]
    lacks: frozenset[str]
    ulp: int

SAMPLES: dict[str, Entry] = {}

def entry(
    name: str, reference: Any, samples: Any, errors: Iterable[ErrorSample] = (), lacks: str = "",
    ulp: int = 8,
) -> None:
    if name in SAMPLES:
        raise ValueError(f"{name} has two entries")
    SAMPLES[name] = Entry(reference, list(samples), list(errors), frozenset(lacks.split()), ulp)

def good(*args: Any, **attrs: Any) -> Sample:
    return Sample(args, attrs)

def rough(*args: Any, **attrs: Any) -> Sample:
    return Sample(args, attrs, smooth=False)

def bad(error: type[Exception], match: str, *args: Any, **attrs: Any) -> ErrorSample:
    return ErrorSample(args, attrs, error=error, match=match)

bad_shape, bad_dtype, bad_range = (partial(bad, e) for e in (ShapeError, DTypeError, RangeError))

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
        array = np.asarray(rng.uniform(low, high, shape))
        if dtype in COMPLEX:
            array = array + 1j * rng.uniform(low, high, shape)
        array = np.asarray(array).astype(as_dtype(dtype))
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
        *(rough(np.array(SPECIAL, as_dtype(d))) for d in dtypes if d in FLOATS),
    ]
PAIRS = (
    ((), ()), ((3,), ()), ((0,), (1,)), ((2, 0), (2, 1)), ((2, 3), (3,)), ((3, 1), (1, 2)),
    ((1, 2), (2, 2, 2)),
)
MIXED = [pair.split() for pair in (
    "float32 float64", "float16 int64", "int32 float32", "int8 bool", "uint8 int16",
)]
SPECIAL_PAIRS = np.array(list(product(SPECIAL, SPECIAL))).T

def binary(
    one: tuple[float, float] = (-2.0, 2.0), other: tuple[float, float] = (-2.0, 2.0),
    dtypes: Iterable[str] = NUMBERS, main: str = "float32", mixed: Any = MIXED,
    weak: tuple[Any, ...] = (2, 1.5),
) -> list[Sample]:
    def pair(x: Any, y: Any, d: str = main, e: str = main, lx: str = "", ly: str = "") -> Sample:
        return good(draw(x, d, *one, lx), draw(y, e, *other, ly, seed=1))

    return [
        *(pair(x, y) for x, y in PAIRS),
        *(pair((3, 3), (3, 3), main, main, x, y) for x, y in permutations(LAYOUTS, 2)),
        *(pair((2, 3), (2, 3), d, d) for d in dtypes),
        *(pair((2, 3), (3,), d, e) for d, e in mixed),
        *(good(draw((2, 3), main, *one), number) for number in weak),
        *(good(number, draw((2, 3), main, *other)) for number in weak),
        *(rough(*SPECIAL_PAIRS.astype(as_dtype(d))) for d in dtypes if d in FLOATS),
    ]
NO_OPERAND = "operands must be tensors, arrays or numbers, got str"
NO_INTEGER = "no integer dtype holds both operands, got uint64 and int8"
NO_SIZE = "a size must be a whole number of at least 0, got "
NO_BOOL = "operands must be numbers, got bool"
NO_NUMBER = "operands must be bool, got float32"
SIGNED = (draw((2, 2), "uint64"), draw((2, 2), "int8"))
UNARY_ERRORS = [
    bad_dtype(NO_OPERAND, "a"),
    bad_dtype("nested lists must be of equal length, got", [[1], [2, 3]]),
]
NUMERIC_ERRORS = [*UNARY_ERRORS, bad_dtype(NO_BOOL, draw((2,), "bool"))]
BINARY_ERRORS = [
    bad_shape(r"must broadcast, got \(2, 3\) and \(2,\)", *two((2, 3), (2,))),
    bad_dtype(NO_INTEGER, *SIGNED), bad_dtype(NO_OPERAND, draw((2,)), "a"),
    bad_dtype("a number must fit the dtype uint8, got 300", draw((2,), "uint8"), 300),
    bad_dtype("a number must fit the dtype uint8, got -1", -1, draw((2,), "uint8")),
]
ARITHMETIC_ERRORS = [*BINARY_ERRORS, bad_dtype(NO_BOOL, *two((2,), (2,), "bool", "bool"))]

# -- shared by families ------------------------------------------------------------------
def sizes(shape: Any) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else shape

def positions(shape: Any) -> np.ndarray:
    return np.arange(math.prod(sizes(shape))).reshape(shape)

def added(g: Any, positions: Any, shape: Any) -> np.ndarray:
    return np.bincount(positions.ravel(), g.ravel(), math.prod(sizes(shape))).reshape(shape)

def moved(op: str, attr: str, cases: Any, errors: Any, reference: Any) -> None:
    """An operator with one attribute: its cases, then every dtype and layout of the first."""
    shape, first = cases[0]
    entry(op, reference, [
        *(good(draw(s), **{attr: value}) for s, value in cases), *kinds(shape, **{attr: first}),
    ], [bad_shape(match, draw(s), **{attr: value}) for s, value, match in errors])

NO_EMPTY = bad_shape(r"axes must not be empty, got \(2, 0\)", draw((2, 0)), axis=1)

AXIS_ERRORS = [
    bad_shape("axis must be in -2..1, got 2", draw((2, 3)), axis=2),
    bad_shape("axis must be a whole number, got 0.5", draw((2, 3)), axis=0.5),
    bad_shape("a 0-d operand has no axis, got -1", draw(), axis=-1),
]
