"""Kernels that make arrays of nothing but attributes."""

from __future__ import annotations

from typing import Any


def full(xp: Any, *, shape: Any, value: Any, dtype: Any, device: Any, out: Any = None) -> Any:
    if out is None:
        return xp.full(shape, value, dtype)
    out[...] = value
    return out


def arange(
    xp: Any, *, start: Any, stop: Any, step: Any, dtype: Any, device: Any, out: Any = None
) -> Any:
    array = xp.arange(start, stop, step, dtype)
    if out is None:
        return array
    xp.copyto(out, array)
    return out
