"""Kernels of Fourier transforms, each the function of that name in NumPy's and CuPy's `fft`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def transform(name: str) -> Callable[..., Any]:
    """The kernel of one transform; its attributes have NumPy's names."""

    def kernel(xp: Any, x: Any, *, out: Any = None, **attrs: Any) -> Any:
        result = getattr(xp.fft, name)(x, **attrs)
        if out is None:
            return xp.ascontiguousarray(result)
        xp.copyto(out, result)
        return out

    return kernel
