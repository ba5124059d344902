"""Samples of the random operators."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .base import FLOATS, NO_SIZE, bad_dtype, bad_range, bad_shape, entry, good, sizes

# The formatter would give every sample lines of its own.
# fmt: off

def _uniform(key: Any, offset: Any, shape: Any, dtype: Any) -> np.ndarray:
    count = math.prod(sizes(shape))
    words = np.random.Philox(key=key, counter=[0, 0, int(offset), 0]).random_raw(count).tolist()
    if np.dtype(dtype) == np.float64:
        drawn = [(w >> 11) * 2.0**-53 for w in words]
    else:
        drawn = [(half >> 8) * 2.0**-24 for w in words for half in (w % 2**32, w >> 32)]
    return np.array(drawn[:count]).reshape(shape)

def _normal(key: Any, offset: Any, shape: Any, dtype: Any) -> np.ndarray:
    radius, angle = _uniform(key, offset, (2, *sizes(shape)), dtype)
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
        bad_shape(NO_SIZE + "-2", _KEY, _OFFSET, shape=(-2,)),
        bad_range("offset must be at least 0, got -1", _KEY, np.array(-1), shape=2),
        bad_dtype("must be a float, got int32", _KEY, _OFFSET, shape=2, dtype="int32"),
    ])
