"""Samples of the elementwise operators."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .base import (
    ARITHMETIC_ERRORS,
    BINARY_ERRORS,
    DTYPES,
    LAYOUTS,
    MIXED,
    NO_INTEGER,
    NO_NUMBER,
    NUMERIC_ERRORS,
    SIGNED,
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

_POSITIVE, _ALL = (0.25, 2.0), {"dtypes": DTYPES}
_BOOLS: dict[str, Any] = {"dtypes": ("bool",), "main": "bool"}
_NO_BOOLS = [*UNARY_ERRORS, bad_dtype(NO_NUMBER, draw((2,)))]
_LOGIC = binary(**_BOOLS, mixed=(), weak=(True, False))
_LOGIC_ERRORS = [
    bad_shape(r"got \(2, 3\) and \(2,\)", *two((2, 3), (2,), "bool", "bool")),
    bad_dtype(NO_NUMBER, *two((2,), (2,))),
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
    ("pow", lambda x, y: x**y, binary(_POSITIVE, (0.0, 2.0), weak=(2, 0.5)), ARITHMETIC_ERRORS),
    ("maximum", lambda x, y: np.where((x != x) | (x > y), x, y), binary(**_ALL), BINARY_ERRORS),
    ("minimum", lambda x, y: np.where((x != x) | (x < y), x, y), binary(**_ALL), BINARY_ERRORS),
    *((name, getattr(np, name), binary((-1, 1), (-1, 1), **_ALL), BINARY_ERRORS) for name in (
        "equal", "not_equal", "less", "less_equal", "greater", "greater_equal",
    )),
):
    entry(*_row, lacks="floats" if _row[0].startswith("logical") else "")
_MASK = draw((2, 3), "bool", seed=2)
_CHOICES = ((), (), ()), ((3,), (), (3,)), ((2, 1), (3,), ()), ((0,), (1,), ()), ((), (2, 2), (2,))
entry("where", lambda condition, x, y: np.choose(condition, [y, x]), [
    *(good(draw(c, "bool", seed=2), *two(x, y)) for c, x, y in _CHOICES),
    *(good(lay(_MASK, k), *pair.args) for k in LAYOUTS for pair in layouts((2, 3))),
    *(good(_MASK, *two((2, 3), (2, 3), d, d)) for d in DTYPES),
    *(good(_MASK, *two((2, 3), (3,), d, e)) for d, e in MIXED), good(_MASK, draw((2, 3)), 0.5),
    good(_MASK, 0, draw((2, 3))), good(_MASK, draw((2, 3), "int8"), 0.5),
    rough(_MASK[0], np.array([math.nan] * 3), draw((3,), "float64")),
], [
    bad_dtype("condition must be bool, got float32", draw((2,)), 1.0, 2.0),
    bad_shape(r"got \(2, 3\) and \(2,\) and \(\)", _MASK, draw((2,)), 0.0),
    bad_dtype(NO_INTEGER, _MASK[:, :2], *SIGNED),
])
entry("astype", lambda x, dtype: np.trunc(x) if np.dtype(dtype).kind == "i" else x, [
    *(good(draw((2, 3), d, 0.0, 3.0), dtype=e) for d in DTYPES for e in DTYPES),
    *(good(draw((3, 4), layout=layout), dtype="float64") for layout in LAYOUTS),
    *(good(draw(shape, low=-3.0), dtype="int64") for shape in ((), (0,), (2, 0), (5,))),
    good(draw((3,)), dtype=float), good(draw((3,)), dtype=np.float64),
], [
    bad_dtype("dtype: must be one of .* got .object.", draw((2,)), dtype="object"),
    bad_dtype("dtype: must be one of .* got 'numbers'", draw((2,)), dtype="numbers"),
])
