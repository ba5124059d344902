"""Operators that move elements, or put zeros among them, in slices, joins, choices and look-ups."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any

import numpy as np

from ...graphs.dims import Dim, Shape
from ...graphs.dtypes import BOOL, is_integer
from ...graphs.ir import Value
from ...graphs.kernels.resampling import axes_of, reads_of
from ...graphs.ops.advanced import scatter_add, take
from ...graphs.ops.indexing import getitem
from ...graphs.ops.joining import concat, stack
from ...graphs.ops.logic import logical_not, where
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


def nan_to_num(x: Value, *, nan: float, posinf: float, neginf: float) -> Any:
    return x if is_integer(x.dtype) else None


def bitwise_invert(x: Value) -> Any:
    return logical_not(x) if x.dtype == BOOL else None


def imag(x: Value) -> Any:
    return filled(x.shape, 0, x.dtype)


# -- images of another size ------------------------------------------------------------------


def _weighed(v: Any, weights: Any, axis: int) -> Any:
    """Multiplied with numbers along an axis; None is all ones."""
    if weights is None:
        return v
    return v * weights.astype(v.dtype).reshape(
        [-1 if a == axis else 1 for a in range(len(v.shape))]
    )


def interpolate(x: Value, *, size: Any, scale_factor: Any, mode: str, align_corners: bool) -> Any:
    if any(isinstance(n, Dim) for n in (*x.shape, *size)):
        return None
    y: Any = x
    for axis, length, n, scale in axes_of(x.shape, size, scale_factor):
        reads = reads_of(length, n, scale, mode, align_corners)
        parts = [_weighed(take(y, indices, axis), weights, axis) for indices, weights in reads]
        y = reduce(add, parts)
    return y


def interpolate_grad(
    g: Value, *, size: Any, scale_factor: Any, mode: str, align_corners: bool
) -> Any:
    if any(isinstance(n, Dim) for n in (*g.shape, *size)):
        return None
    y: Any = g
    for axis, n, length, scale in axes_of(g.shape, size, scale_factor):
        shape = (*y.shape[:axis], length, *y.shape[axis + 1 :])
        reads = reads_of(length, n, scale, mode, align_corners)
        parts = [scatter_add(_weighed(y, weights, axis), i, axis, shape) for i, weights in reads]
        y = reduce(add, parts)
    return y


MOVES = {
    **{
        rule.__name__: rule
        for rule in (
            bitwise_invert, cross, full, imag, interpolate, interpolate_grad, nan_to_num, roll,
            tril, triu,
        )
    },
    "conj": _itself,
    "real": _itself,
}  # fmt: skip
