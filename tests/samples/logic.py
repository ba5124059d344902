"""Samples of comparison, logical and bitwise operators, predicates and selection."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .base import (
    BINARY_ERRORS,
    COMPLEX,
    DTYPES,
    FLOATS,
    LAYOUTS,
    MIXED,
    NO_INTEGER,
    NO_NUMBER,
    NUMERIC_ERRORS,
    SIGNED,
    SPECIAL_PAIRS,
    UNARY_ERRORS,
    bad_dtype,
    bad_shape,
    binary,
    draw,
    entry,
    good,
    lay,
    layouts,
    rough,
    two,
    unary,
)

# The formatter would give every sample lines of its own.
# fmt: off

_COMPARED = ("bool", *FLOATS, "int8", "uint64")
_UNORDERED = bad_dtype("operands must be real, got complex64", *two((2,), (2,), "complex64"))
for _name in ("equal", "not_equal"):
    entry(_name, getattr(np, _name), binary((-1, 1), (-1, 1), (*_COMPARED, *COMPLEX)),
          BINARY_ERRORS)
for _name in ("less", "less_equal", "greater", "greater_equal"):
    entry(_name, getattr(np, _name), binary((-1, 1), (-1, 1), _COMPARED), [
        *BINARY_ERRORS, _UNORDERED,
    ])

# -- logical and bitwise ---------------------------------------------------------------------

_BOOLS: dict[str, Any] = {"dtypes": ("bool",), "main": "bool", "mixed": ()}
_LOGIC = binary(**_BOOLS, weak=(True, False))
_LOGIC_ERRORS = [
    bad_shape(r"got \(2, 3\) and \(2,\)", *two((2, 3), (2,), "bool", "bool")),
    bad_dtype(NO_NUMBER, *two((2,), (2,))),
    bad_dtype("operands must be bool, got int64", draw((2,), "bool"), 1),
]
entry("logical_not", lambda x: x ^ True, unary(dtypes=("bool",), main="bool"), [
    *UNARY_ERRORS, bad_dtype(NO_NUMBER, draw((2,))),
], lacks="floats")
entry("logical_and", lambda x, y: x & y, _LOGIC, _LOGIC_ERRORS, lacks="floats")
entry("logical_or", lambda x, y: x | y, _LOGIC, _LOGIC_ERRORS, lacks="floats")
entry("logical_xor", lambda x, y: (x | y) & ~(x & y), _LOGIC, _LOGIC_ERRORS, lacks="floats")

_WHOLE = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_BITS: dict[str, Any] = {"main": "int32", "dtypes": ("bool", *_WHOLE)}
_BITWISE = binary((-90, 90), (-90, 90), **_BITS, mixed=(["int8", "int16"],), weak=(5,))
_WHOLE_ERRORS = [
    bad_shape(r"must broadcast, got \(2, 3\) and \(2,\)", *two((2, 3), (2,), "int8", "int8")),
    *BINARY_ERRORS[1:],
]
_BITWISE_ERRORS = [
    *_WHOLE_ERRORS,
    bad_dtype("operands must be integers or bools, got float32", *two((2,), (2,))),
    bad_dtype("operands must be integers or bools, got float32", draw((2,), "int32"), 1.5),
]
entry("bitwise_and", lambda x, y: ~(~x | ~y), _BITWISE, _BITWISE_ERRORS, lacks="floats")
entry("bitwise_or", lambda x, y: ~(~x & ~y), _BITWISE, _BITWISE_ERRORS, lacks="floats")
entry("bitwise_xor", lambda x, y: (x | y) & ~(x & y), _BITWISE, _BITWISE_ERRORS, lacks="floats")
entry("bitwise_invert", lambda x: x ^ True if x.dtype == bool else 0 - x - 1,
      unary(-90, 90, **_BITS), [
          *UNARY_ERRORS,
          bad_dtype("operands must be integers or bools, got float32", draw((2,))),
      ], lacks="floats")

_SHIFTED = binary((-90, 90), (0, 7), _WHOLE, "int32", (["int8", "int16"],), (3,))
_SHIFT_ERRORS = [
    *_WHOLE_ERRORS,
    bad_dtype("operands must be integers, got float32", *two((2,), (2,))),
    bad_dtype("operands must be integers, got bool", *two((2,), (2,), "bool", "bool")),
]
entry("bitwise_left_shift", lambda x, y: x * 2**y, _SHIFTED, _SHIFT_ERRORS, lacks="floats")
entry("bitwise_right_shift", lambda x, y: np.floor(x / 2.0**y), _SHIFTED, _SHIFT_ERRORS,
      lacks="floats")

# -- predicates ------------------------------------------------------------------------------

_NUMBERS = unary(dtypes=(*FLOATS, "int32", "uint8", *COMPLEX))
_ODD = rough(np.array([complex(math.nan, 1), complex(1, -math.inf), 1 + 1j], np.complex64))
entry("isfinite", lambda x: x - x == 0, [*_NUMBERS, _ODD], NUMERIC_ERRORS)
entry("isinf", lambda x: (x == x) & (x - x != 0), [
    s for s in _NUMBERS if s.args[0].dtype.kind != "c"  # inf - inf is NaN in either part
], NUMERIC_ERRORS)
entry("isnan", lambda x: x != x, [*_NUMBERS, _ODD], NUMERIC_ERRORS)
entry("signbit", lambda x: np.copysign(1, x) < 0, unary(dtypes=(*FLOATS, "int32", "bool")), [
    *UNARY_ERRORS, bad_dtype("operands must be real, got complex64", draw((2,), "complex64")),
])

def _near(x: Any, y: Any, rtol: float, atol: float, equal_nan: bool) -> Any:
    def near(x: Any, y: Any) -> bool:
        if x != x and y != y:
            return equal_nan
        if abs(x) == math.inf or abs(y) == math.inf:
            return x == y
        return abs(x - y) <= atol + rtol * abs(y)

    return np.vectorize(near, otypes=[bool])(x, y)

_CLOSE: Any = {"rtol": 0.25, "atol": 0.125}
entry("isclose", _near, [
    *binary(dtypes=(*FLOATS, "int8", "uint8", "bool", "complex64"), weak=(1.5,)),
    *(good(*two((4, 5), (4, 5), d, d), **_CLOSE) for d in ("float32", "uint8", "complex128")),
    *(rough(*SPECIAL_PAIRS, equal_nan=nan, **_CLOSE) for nan in (False, True)),
    good(np.array([2**62, 2**62]), np.array([2**62, 2**62 + 1]), rtol=0.0, atol=0.0),
], BINARY_ERRORS[:3])

# -- selection -------------------------------------------------------------------------------

_MASK = draw((2, 3), "bool", seed=2)
_CHOICES = ((), (), ()), ((3,), (), (3,)), ((2, 1), (3,), ()), ((0,), (1,), ()), ((), (2, 2), (2,))
entry("where", lambda condition, x, y: np.choose(condition, [y, x]), [
    *(good(draw(c, "bool", seed=2), *two(x, y)) for c, x, y in _CHOICES),
    *(good(lay(_MASK, k), *pair.args) for k in LAYOUTS for pair in layouts((2, 3))[:2]),
    *(good(_MASK, *two((2, 3), (2, 3), d, d)) for d in (*DTYPES, *COMPLEX)),
    *(good(_MASK, *two((2, 3), (3,), d, e)) for d, e in MIXED), good(_MASK, draw((2, 3)), 0.5),
    good(_MASK, 0, draw((2, 3))), good(_MASK, draw((2, 3), "int8"), 0.5),
    good(_MASK, 1.5, 0.5), rough(SPECIAL_PAIRS[0] > 0, *SPECIAL_PAIRS),
], [
    bad_dtype("condition must be bool, got float32", draw((2,)), 1.0, 2.0),
    bad_shape(r"got \(2, 3\) and \(2,\) and \(\)", _MASK, draw((2,)), 0.0),
    bad_dtype(NO_INTEGER, _MASK[:, :2], *SIGNED),
])
