"""Kernels that make arrays of attributes, and the triangles of matrices."""

from __future__ import annotations

from typing import Any

from .manipulation import give


def full(xp: Any, *, shape: Any, value: Any, dtype: Any, device: Any, out: Any = None) -> Any:
    if out is None:
        return xp.full(shape, value, dtype)
    out[...] = value
    return out


def arange(
    xp: Any, *, start: Any, stop: Any, step: Any, dtype: Any, device: Any, out: Any = None
) -> Any:
    return give(xp, xp.arange(start, stop, step, dtype), out)


def linspace(
    xp: Any,
    *,
    start: Any,
    stop: Any,
    num: int,
    dtype: Any,
    endpoint: bool,
    device: Any,
    out: Any = None,
) -> Any:
    return give(xp, xp.linspace(start, stop, num, endpoint=endpoint, dtype=dtype), out)


def eye(
    xp: Any, *, n_rows: int, n_cols: int, k: int, dtype: Any, device: Any, out: Any = None
) -> Any:
    return give(xp, xp.eye(n_rows, n_cols, k, dtype), out)


def tril(xp: Any, x: Any, *, k: int, out: Any = None) -> Any:
    return _keep(xp, x, xp.tri(*x.shape[-2:], k, dtype=bool), out)


def triu(xp: Any, x: Any, *, k: int, out: Any = None) -> Any:
    return _keep(xp, x, ~xp.tri(*x.shape[-2:], k - 1, dtype=bool), out)


def _keep(xp: Any, x: Any, mask: Any, out: Any) -> Any:
    """A copy of `x` with zeros where the mask of its last two axes does not hold."""
    if out is None:
        out = x.copy(order="C")
    else:
        xp.copyto(out, x)
    xp.copyto(out, xp.zeros((), x.dtype), where=~mask)
    return out
