"""Samples of the creation operators."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .base import COMPLEX, DTYPES, NO_SIZE, NUMBERS, bad_dtype, bad_shape, draw, entry, good, kinds

# The formatter would give every sample lines of its own.
# fmt: off

entry("full", lambda shape, value, dtype, device: np.zeros(shape) + value, [
    *(good(shape=(2, 3), value=1, dtype=dtype) for dtype in DTYPES),
    *(good(shape=shape, value=1.5, dtype="float32") for shape in ((), (0, 2), 3)),
    good(shape=(2,), value=math.nan, dtype="float64"), good(shape=(2,), value=2.75, dtype="int32"),
], [
    bad_shape(NO_SIZE + "-1", shape=(2, -1), value=0, dtype="float32"),
    bad_shape(NO_SIZE + "2.5", shape=2.5, value=0, dtype="float32"),
    bad_dtype("dtype: must be one of", shape=(2,), value=0, dtype="object"),
    bad_dtype("a number must fit the dtype uint8, got 300", shape=2, value=300, dtype="uint8"),
])

def _arange(start: Any, stop: Any, step: Any, dtype: Any, device: Any) -> np.ndarray:
    count = max(0, math.ceil((stop - start) / step))
    return np.array([start + i * step for i in range(count)])
_RANGES = (
    (0, 5, 1, "int64"), (5, 0, -2, "int32"), (0, 0, 1, "int64"), (3, 0, 1, "float32"),
    (0.0, 1.0, 0.25, "float64"), (-1.5, 1.0, 0.5, "float32"), (0, 4, 1, "float16"),
    (0, 7, 3, "uint8"), (0, 5, 1, "bfloat16"),
)
entry("arange", _arange, [good(start=a, stop=b, step=c, dtype=d) for a, b, c, d in _RANGES], [
    bad_shape("step must not be 0, got 0", start=0, stop=5, step=0, dtype="int64"),
    bad_dtype("dtype: must be one of", start=0, stop=5, step=1, dtype="object"),
    bad_dtype("dtype must be that of numbers, got bool", start=0, stop=5, step=1, dtype="bool"),
])

def _linspace(
    start: Any, stop: Any, num: int, dtype: Any, endpoint: bool, device: Any
) -> np.ndarray:
    parts = max(1, num - 1 if endpoint else num)
    numbers = np.array([start + i * ((stop - start) / parts) for i in range(num)])
    return np.floor(numbers) if np.dtype(dtype).kind in "iu" else numbers
_SPANS: Any = ((0, 1, 5), (1.5, -2, 4), (3, 3, 2), (0, 1, 1), (0, 1, 0), (-1, 7, 9))
entry("linspace", _linspace, [
    *(good(start=a, stop=b, num=n, dtype="float64") for a, b, n in _SPANS),
    *(good(start=a, stop=b, num=n, dtype="float32", endpoint=False) for a, b, n in _SPANS),
    *(good(start=0, stop=8, num=9, dtype=d) for d in (*NUMBERS, *COMPLEX)),
    good(start=1j, stop=2, num=3, dtype="complex64"),
], [
    bad_shape(NO_SIZE + "-1", start=0, stop=1, num=-1, dtype="float32"),
    bad_shape(NO_SIZE + "2.5", start=0, stop=1, num=2.5, dtype="float32"),
    bad_dtype("dtype must be that of numbers, got bool", start=0, stop=1, num=2, dtype="bool"),
])
_SQUARES: Any = ((3, None, 0), (2, 3, 1), (3, 2, -1), (0, 2, 0), (2, 0, 0), (3, 3, 5), (2, 2, -9))
entry("eye", lambda n_rows, n_cols, k, dtype, device: np.array([
    [column - row == k for column in range(n_rows if n_cols is None else n_cols)]
    for row in range(n_rows)
]).reshape(n_rows, n_rows if n_cols is None else n_cols), [
    *(good(n_rows=m, n_cols=n, k=k, dtype="float32") for m, n, k in _SQUARES),
    *(good(n_rows=2, dtype=d) for d in (*DTYPES, *COMPLEX)),
], [
    bad_shape(NO_SIZE + "-1", n_rows=-1), bad_shape(NO_SIZE + "2.5", n_rows=1, n_cols=2.5),
    bad_shape("k must be a whole number, got 0.5", n_rows=2, k=0.5),
    bad_dtype("dtype: must be one of", n_rows=2, dtype="object"),
])

def _triangle(name: str, keeps: Any) -> None:
    def reference(x: Any, k: int) -> np.ndarray:
        out = x.copy()
        for at in np.ndindex(x.shape):
            out[at] = x[at] if keeps(at[-1] - at[-2], k) else 0
        return out

    shapes: Any = (((3, 3), 0), ((2, 4), 1), ((4, 2), -1), ((2, 2, 3), 0), ((0, 3), 0), ((2, 0), 0),
                   ((3, 3), 9), ((3, 3), -9))
    entry(name, reference, [
        *(good(draw(shape), k=k) for shape, k in shapes), *kinds((3, 4), (*DTYPES, *COMPLEX), k=1),
    ], [
        bad_shape(r"operand must have at least two axes, got \(3,\)", draw((3,))),
        bad_shape(r"operand must have at least two axes, got \(\)", draw()),
        bad_shape("k must be a whole number, got 0.5", draw((2, 2)), k=0.5),
    ], lacks="scalar")
_triangle("tril", lambda place, k: place <= k)
_triangle("triu", lambda place, k: place >= k)
