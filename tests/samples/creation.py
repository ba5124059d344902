"""Samples of the creation operators."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .base import DTYPES, NO_SIZE, bad_dtype, bad_shape, entry, good

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
    (0, 7, 3, "uint8"),
)
entry("arange", _arange, [good(start=a, stop=b, step=c, dtype=d) for a, b, c, d in _RANGES], [
    bad_shape("step must not be 0, got 0", start=0, stop=5, step=0, dtype="int64"),
    bad_dtype("dtype: must be one of", start=0, stop=5, step=1, dtype="object"),
])
