"""float16 in the kernels that add many numbers up: computed in float32 and rounded once.

bfloat16 needs nothing here: `ops.core.Bound` does the same for it with every kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from ..dtypes import FLOAT16, FLOAT32


def rounded_once(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """The kernel with its float16 operands as float32, and its results rounded to float16."""

    @wraps(kernel)
    def wrapped(xp: Any, *arrays: Any, out: Any = None, **attrs: Any) -> Any:
        if not any(a.dtype == FLOAT16 for a in arrays):
            if out is not None:
                attrs["out"] = out
            return kernel(xp, *arrays, **attrs)
        results = kernel(xp, *(_wide(a) for a in arrays), **attrs)
        if out is not None:
            xp.copyto(out, results, casting="same_kind")
            return out
        if isinstance(results, tuple):
            return tuple(_narrow(xp, r) for r in results)
        return _narrow(xp, results)

    return wrapped


def _wide(array: Any) -> Any:
    return array.astype(FLOAT32) if array.dtype == FLOAT16 else array


def _narrow(xp: Any, result: Any) -> Any:
    return xp.asarray(result).astype(FLOAT16) if result.dtype == FLOAT32 else result
