"""Operators that move elements, or put zeros among them, in slices, joins and choices."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...graphs.dims import Dim, Shape
from ...graphs.ir import Value
from ...graphs.ops.indexing import getitem
from ...graphs.ops.joining import concat, stack
from ...graphs.ops.logic import where
from .reductions import filled


def full(*, shape: Shape, value: Any, dtype: np.dtype, device: Any) -> Any:
    return None if isinstance(value, Dim) else filled(shape, value, dtype)


def roll(x: Value, *, shift: tuple[int, ...], axis: tuple[int, ...]) -> Any:
    for step, along in zip(shift, axis):
        count = x.shape[along]
        if isinstance(count, Dim):
            return None
        if count and step % count:
            cut = count - step % count
            before: list[Any] = [slice(None)] * along
            first, last = (getitem(x, (*before, s)) for s in (slice(cut), slice(cut, None)))
            x = concat([last, first], along)
    return x


def _triangle(x: Value, k: int, compare: Any) -> Any:
    rows, columns = x.shape[-2:]
    if isinstance(rows, Dim) or isinstance(columns, Dim):
        return None
    # No diagonal is further off than one beyond the matrix, so these numbers are small.
    diagonal = np.clip(k, -rows - 1, columns + 1)
    right = np.arange(columns, dtype=np.int32)
    below = np.arange(rows, dtype=np.int32)[:, None] + np.int32(diagonal)
    return where(compare(right, below), x, filled((), 0, x.dtype))


def tril(x: Value, *, k: int) -> Any:
    return _triangle(x, k, np.less_equal)


def triu(x: Value, *, k: int) -> Any:
    return _triangle(x, k, np.greater_equal)


def cross(x: Value, y: Value, *, axis: int) -> Any:
    def part(v: Value, number: int) -> Any:
        return getitem(v, (*[slice(None)] * (axis % len(v.shape)), number))

    turns = ((1, 2), (2, 0), (0, 1))
    found = [part(x, i) * part(y, j) - part(x, j) * part(y, i) for i, j in turns]
    return stack(found, axis)


def _itself(x: Value) -> Any:
    return x


def imag(x: Value) -> Any:
    return filled(x.shape, 0, x.dtype)


MOVES = {
    **{rule.__name__: rule for rule in (cross, full, imag, roll, tril, triu)},
    "conj": _itself,
    "real": _itself,
}
