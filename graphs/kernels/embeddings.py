"""Kernels that look rows up, and add rows up where they were looked up."""

from __future__ import annotations

from typing import Any

from .calls import Description, Lying, call, is_native
from .manipulation import check_range
from .precision import rounded_once
from .shapes.tables import table


def embedding(
    xp: Any, indices: Any, weight: Any, *, padding_idx: int | None, out: Any = None
) -> Any:
    if is_native(xp, weight):
        found = xp.empty((*indices.shape, weight.shape[1]), weight.dtype) if out is None else out
        if call(_looked_up, (weight, indices, found)):
            return found
    check_range("embedding", indices, 0, len(weight))
    return xp.take(weight, indices, axis=0, out=out)


@rounded_once
def embedding_grad(
    xp: Any, g: Any, indices: Any, *, count: int, padding_idx: int | None, out: Any = None
) -> Any:
    out = xp.empty((count, g.shape[-1]), g.dtype) if out is None else out
    if is_native(xp, g, out) and call(_added_up, (g, indices, out), padding_idx):
        return out
    check_range("embedding_grad", indices, 0, count)
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


def _looked_up(weight: Lying, indices: Lying, rows: Lying, threads: int) -> Description | None:
    return _described("embedding", indices, weight, rows, None, False)


def _added_up(
    g: Lying, indices: Lying, gradient: Lying, padding_idx: int | None, threads: int
) -> Description | None:
    return _described("embedding_grad", indices, gradient, g, padding_idx, True)


def _described(
    step: str, indices: Lying, weight: Lying, rows: Lying, ignored: int | None, is_written: bool
) -> Description | None:
    """The rows of a table that indices name; those out of range are refused."""
    if 0 in (*indices.shape, *weight.shape) or weight.dtype != rows.dtype:
        return None
    shape = table(indices, weight, rows, ignored, is_written)
    return None if shape is None else Description(step, shape)
