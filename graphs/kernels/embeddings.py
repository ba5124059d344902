"""Kernels that look rows up, and add rows up where they were looked up."""

from __future__ import annotations

from typing import Any

from .manipulation import check_range
from .precision import rounded_once


def embedding(
    xp: Any, indices: Any, weight: Any, *, padding_idx: int | None, out: Any = None
) -> Any:
    check_range("embedding", indices, 0, len(weight))
    return xp.take(weight, indices, axis=0, out=out)


@rounded_once
def embedding_grad(
    xp: Any, g: Any, indices: Any, *, count: int, padding_idx: int | None, out: Any = None
) -> Any:
    check_range("embedding_grad", indices, 0, count)
    out = xp.empty((count, g.shape[-1]), g.dtype) if out is None else out
    out[...] = 0
    if not g.size:
        return out
    flat = indices.reshape(-1)
    order = xp.argsort(flat, kind="stable")
    rows = flat[order]
    starts = xp.flatnonzero(xp.concatenate([rows[:1] >= 0, rows[1:] != rows[:-1]]))
    out[rows[starts]] = xp.add.reduceat(g.reshape(len(flat), -1)[order], starts, axis=0)
    if padding_idx is not None:
        out[padding_idx] = 0
    return out
