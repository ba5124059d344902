"""Random kernels: counter-based, so that key and offset alone decide every number.

NumPy's Philox (4x64, ten rounds) makes the bits on every device. The offset is the third word of
the counter and the position in the array its first two, so draws of any size never overlap.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dtypes import BFLOAT16, FLOAT16
from ..errors import RangeError

_BITS = {FLOAT16: 11, BFLOAT16: 8}


def random_uniform(
    xp: Any, key: Any, offset: Any, *, shape: tuple[int, ...], dtype: Any, out: Any = None
) -> Any:
    drawn = _generator("random_uniform", key, offset).random(shape, dtype=_precision(dtype))
    if dtype in _BITS:
        steps = 2 ** _BITS[dtype]
        drawn = np.floor(drawn * steps) / steps  # no more bits than it has, or rounding gives 1
    return _give(xp, drawn, dtype, out)


def random_normal(
    xp: Any, key: Any, offset: Any, *, shape: tuple[int, ...], dtype: Any, out: Any = None
) -> Any:
    # Box and Muller's transform takes two uniforms a number whatever they are, where rejection
    # methods take as many as they need and so cannot be computed out of order.
    radius, angle = _generator("random_normal", key, offset).random(
        (2, *shape), dtype=_precision(dtype)
    )
    normal = np.sqrt(-2 * np.log1p(-radius)) * np.cos(2 * np.pi * angle)
    return _give(xp, normal, dtype, out)


def _precision(dtype: Any) -> Any:
    return np.float64 if dtype == np.float64 else np.float32


def _generator(operator: str, key: Any, offset: Any) -> np.random.Generator:
    if int(offset) < 0:
        raise RangeError(f"{operator}: offset must be at least 0, got {int(offset)}")
    words = np.asarray(key.get() if hasattr(key, "get") else key, np.uint64)
    counter = np.array([0, 0, int(offset), 0], np.uint64)
    return np.random.Generator(np.random.Philox(key=words, counter=counter))


def _give(xp: Any, drawn: Any, dtype: Any, out: Any) -> Any:
    array = xp.asarray(drawn, dtype)
    if out is None:
        return array
    xp.copyto(out, array)
    return out
