"""Samples of element-wise arithmetic."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diptych.graphs.errors import ArgumentError

from .base import (
    ARITHMETIC_ERRORS,
    BINARY_ERRORS,
    COMPLEX,
    DTYPES,
    FLOATS,
    INTS,
    LAYOUTS,
    MIXED,
    NO_BOOL,
    NUMBERS,
    NUMERIC_ERRORS,
    SPECIAL,
    bad,
    bad_dtype,
    bad_shape,
    binary,
    draw,
    entry,
    good,
    lay,
    rough,
    two,
    unary,
)

# The formatter would give every sample lines of its own.
# fmt: off

_POSITIVE, _APART = (0.25, 2.0), (0.5, 2.5)
_REALS = (*FLOATS, "int8", "uint32")
_NUMBERS = (*_REALS, "complex64", "complex128")
_ALL = (*DTYPES, *COMPLEX)
_NO_COMPLEX = bad_dtype("operands must be real, got complex64", draw((2,), "complex64"))
_NOT_REAL = bad_dtype("operands must be real, got complex64", draw((2,), "complex64"), draw((2,)))
_UNLIKE: dict[str, Any] = {"mixed": MIXED[:2], "weak": (1.5,)}

def _quotient(x: Any, y: Any) -> Any:
    """Python's own, with NumPy's results where the divisor is 0."""
    divide = lambda x, y: x // y if y else x * math.inf * math.copysign(1, y)
    if x.dtype.kind != "f":
        return x // y
    return np.vectorize(divide, otypes=[float])(x, y)

def _rest(x: Any, y: Any) -> Any:
    if x.dtype.kind != "f":
        return np.where(y == 0, 0, x - y * (x // y))
    return np.vectorize(lambda x, y: x % y if y else math.nan, otypes=[float])(x, y)

# -- sums to powers --------------------------------------------------------------------------

_NEGATIVE = "integers must have exponents of at least 0, got -1"
for _row in (
    ("add", lambda x, y: x + y, binary(dtypes=_ALL), BINARY_ERRORS),
    ("subtract", lambda x, y: x - y, binary(dtypes=(*NUMBERS, *COMPLEX)), ARITHMETIC_ERRORS),
    ("multiply", lambda x, y: x * y, binary(dtypes=_ALL), BINARY_ERRORS),
    ("divide", lambda x, y: x / y, binary(other=_POSITIVE, dtypes=_ALL), BINARY_ERRORS[:3]),
    ("floor_divide", _quotient, binary(other=_APART, dtypes=_REALS),
     [*ARITHMETIC_ERRORS, _NOT_REAL]),
    ("remainder", _rest, binary(other=_APART, dtypes=_REALS), [*ARITHMETIC_ERRORS, _NOT_REAL]),
    ("square", lambda x: x * x, unary(dtypes=_NUMBERS), NUMERIC_ERRORS),
    ("pow", lambda x, y: np.exp(y * np.log(x)) if x.dtype.kind == "c" else x**y,
     binary(_POSITIVE, (0.0, 2.0), (*NUMBERS, *COMPLEX), weak=(2, 0.5)), [
         *ARITHMETIC_ERRORS, bad(ArgumentError, _NEGATIVE, draw((2,), "int32"), -1),
         bad(ArgumentError, _NEGATIVE, draw((2,), "int32"), np.array([2, -1], np.int32)),
     ]),
    ("maximum", lambda x, y: np.where((x != x) | (x > y), x, y), binary(dtypes=DTYPES),
     [*BINARY_ERRORS, _NOT_REAL]),
    ("minimum", lambda x, y: np.where((x != x) | (x < y), x, y), binary(dtypes=DTYPES),
     [*BINARY_ERRORS, _NOT_REAL]),
    ("copysign", np.vectorize(math.copysign, otypes=[float]),
     binary(dtypes=(*FLOATS, "int32", "bool"), **_UNLIKE), [*BINARY_ERRORS[:3], _NOT_REAL]),
):
    entry(*_row)

# What comes next in a dtype is asked in test_elementwise; here the numbers are wider.
entry("nextafter", lambda x, y: x + np.spacing(x) * np.sign(y - x) * (x != 0), [
    *binary(_POSITIVE, dtypes=("float16", "float32", "float64", "int32"), **_UNLIKE)[:-3],
], [
    *BINARY_ERRORS[:3], _NOT_REAL,
    bad_dtype("operands must be float16, float32 or float64, got bfloat16",
              *two((2,), (2,), "bfloat16", "bfloat16")),
], lacks="half")

def _clipped(x: Any, low: Any, high: Any) -> Any:
    raised = np.where((x != x) | (x > low), x, low)
    return np.where((raised != raised) | (raised < high), raised, high)

_BOUNDS = np.array([(x, low, high) for x in SPECIAL for low in (-1.0, math.nan, -math.inf)
                    for high in (0.5, math.nan, math.inf)]).T
entry("clip", _clipped, [
    *(good(draw(s), draw(low, low=-1.5, high=-0.5), draw(high, low=0.5, high=1.5))
      for s, low, high in (((), (), ()), ((3,), (), (1,)), ((0,), (1,), ()), ((2, 3), (3,), (2, 1)),
                           ((3,), (2, 1), ()))),
    *(good(draw((3, 4), layout=k), draw((3, 4), low=-1.5, high=-0.5, layout=m), 0.75)
      for k, m in zip(LAYOUTS, LAYOUTS[::-1])),
    *(good(draw((2, 3), d), 1, 1) for d in INTS),
    *(good(draw((2, 3), d), -1, 0.5) for d in FLOATS),
    good(draw((2, 3)), draw((3,), "float64", -1, 0), draw((), "int32", 1, 1)),
    good(draw((4,)), 1.5, -1.5), good(0.5, draw((3,)), 1.0),
    *(rough(*_BOUNDS.astype(d)) for d in ("float32", "float64")),
], [
    bad_shape(r"got \(2, 3\) and \(2,\) and \(\)", *two((2, 3), (2,)), 1.0),
    bad_dtype(NO_BOOL, draw((2,), "bool"), False, True),
    bad_dtype("operands must be real, got complex64", draw((2,), "complex64"), 0, 1),
    bad_dtype("must not be of a higher kind than x, got float32 for int32",
              draw((2,), "int32"), 0.5, 1),
    bad_dtype("must not be of a higher kind than x, got complex64 for float32",
              draw((2,)), 0, 1j),
    bad_dtype("a number must fit the dtype uint8, got -1", draw((2,), "uint8"), -1, 1),
])

# -- signs and rounding ----------------------------------------------------------------------

def _sign(x: Any) -> Any:
    if x.dtype.kind == "c":
        return x / np.abs(x)
    return np.where(x != x, x, (x > 0) * 1 - (x < 0) * 1)

def _of_floats(function: Any) -> Any:
    """A rule for floats; integers are what they are."""
    return lambda x: function(x) if x.dtype.kind in "fc" else x

for _row in (
    ("positive", lambda x: x, unary(dtypes=_NUMBERS), NUMERIC_ERRORS),
    ("negative", lambda x: 0 - x, unary(dtypes=(*NUMBERS, *COMPLEX)), NUMERIC_ERRORS),
    ("abs", lambda x: np.hypot(x.real, x.imag) if x.dtype.kind == "c" else np.where(x < 0, -x, x),
     unary(dtypes=(*NUMBERS, *COMPLEX)), NUMERIC_ERRORS),
    ("sign", _sign, unary(dtypes=(*NUMBERS, *COMPLEX)), NUMERIC_ERRORS),
    ("ceil", _of_floats(lambda x: -np.floor(-x)), unary(dtypes=_REALS),
     [*NUMERIC_ERRORS, _NO_COMPLEX]),
    ("floor", _of_floats(lambda x: -np.ceil(-x)), unary(dtypes=_REALS),
     [*NUMERIC_ERRORS, _NO_COMPLEX]),
    ("trunc", _of_floats(lambda x: np.copysign(np.floor(np.abs(x)), x)), unary(dtypes=_REALS),
     [*NUMERIC_ERRORS, _NO_COMPLEX]),
    ("round", _of_floats(np.round), [
        *unary(-3.0, 3.0, dtypes=_NUMBERS), rough(np.array([0.5, 1.5, 2.5, -0.5, -1.5])),
    ], NUMERIC_ERRORS),
):
    entry(*_row)

# -- replacement and conversion --------------------------------------------------------------

def _replaced(x: Any, nan: Any, posinf: Any, neginf: Any) -> Any:
    if x.dtype.kind != "f":
        return x
    bounded = [posinf if v == math.inf else neginf if v == -math.inf else v for v in x.ravel()]
    return np.array([nan if v != v else v for v in bounded]).reshape(x.shape)

_WITH = {"posinf": 5.0, "neginf": -3.0}
entry("nan_to_num", _replaced, [
    *(s for s in unary(dtypes=_REALS) if s.smooth),
    *(rough(np.array(SPECIAL, d), **_WITH) for d in ("float16", "float32", "float64")),
    rough(lay(np.array([SPECIAL, SPECIAL], np.float32), "transposed"), nan=7.0, **_WITH),
], [*NUMERIC_ERRORS, _NO_COMPLEX])

_PAIRS = [
    *((d, e) for d in (*DTYPES, *COMPLEX) for e in ("float32", "int32")
      if not (d in COMPLEX and e != "complex64")),
    *(("float32", e) for e in (*DTYPES, *COMPLEX)), *(("int64", e) for e in (*DTYPES, *COMPLEX)),
    *(("bool", e) for e in ("bfloat16", "complex128")),
    *((d, e) for d in COMPLEX for e in (*COMPLEX, "bool")),
]
entry("astype", lambda x, dtype: np.trunc(x) if np.dtype(dtype).kind in "iu" else x, [
    *(good(draw((2, 3), d, 0.0, 3.0), dtype=e) for d, e in dict.fromkeys(_PAIRS)),
    *(good(draw((3, 4), layout=layout), dtype="float64") for layout in LAYOUTS),
    *(good(draw(shape, low=-3.0), dtype="int64") for shape in ((), (0,), (2, 0), (5,))),
    good(draw((3,)), dtype=float), good(draw((3,)), dtype=np.float64),
], [
    bad_dtype("dtype: must be one of .* got .object.", draw((2,)), dtype="object"),
    bad_dtype("dtype: must be one of .* got 'numbers'", draw((2,)), dtype="numbers"),
    bad_dtype("complex numbers have no one real form, got complex64 to float32",
              draw((2,), "complex64"), dtype="float32"),
])
