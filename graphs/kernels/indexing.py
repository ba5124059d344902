"""Kernels that read and write parts of an array: by slices, by index arrays, along an axis.

Sums at repeated indices run over flat positions: NumPy's `add.at` is several times as fast in one
dimension as in more, and adds in the order of the positions in any.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from ..compiled import loop
from .manipulation import check_range, give

# Rows that are added up sooner one by one than by the positions of all their elements.
_FEW = 16


def getitem(xp: Any, x: Any, *, index: tuple[Any, ...]) -> Any:
    return x[for_view(index)]


def scatter_slice(
    xp: Any, g: Any, *, index: tuple[Any, ...], shape: tuple[int, ...], out: Any = None
) -> Any:
    out = _zeros(xp, shape, g.dtype, out)
    out[slices(index)] = g
    return out


def setitem(xp: Any, x: Any, value: Any, *, index: tuple[Any, ...], out: Any = None) -> Any:
    out, value = _copied(xp, x, value, out)
    out[slices(index)] = value
    return out


def take(xp: Any, x: Any, indices: Any, *, axis: int, out: Any = None) -> Any:
    check_range("take", indices, -x.shape[axis], x.shape[axis], axis)
    return xp.take(x, indices, axis=axis, out=out)


def scatter_add(
    xp: Any, g: Any, indices: Any, *, axis: int, shape: tuple[int, ...], out: Any = None
) -> Any:
    check_range("scatter_add", indices, -shape[axis], shape[axis], axis)
    out = _zeros(xp, shape, g.dtype, out)
    if xp is np and axis == 0 and len(shape) > 1 and indices.size <= _FEW:
        add = loop(np.add)
        for row, line in zip(indices.reshape(-1).tolist(), g.reshape(indices.size, *shape[1:])):
            add(out[row], line, out=out[row])
        return out
    rows = _counted(xp, indices, shape[axis])
    return _add_at_rows(xp, out, g, (rows,), (axis,), axis)


def index(xp: Any, x: Any, indices: Any, *, axes: tuple[int, ...], at: int, out: Any = None) -> Any:
    _check_rows("index", indices, x.shape, axes)
    found = _first(x, axes)[tuple(indices)]
    return give(xp, _to_place(found, indices.ndim - 1, at), out)


def index_put(
    xp: Any, x: Any, values: Any, indices: Any, *, axes: tuple[int, ...], at: int, out: Any = None
) -> Any:
    _check_rows("index_put", indices, x.shape, axes)
    indices = _apart(xp, indices, out)
    out, values = _copied(xp, x, values, out)
    target = _first(out, axes)
    count = indices.ndim - 1
    rest = target.shape[len(axes) :]
    selected = (*rest[:at], *indices.shape[1:], *rest[at:])
    target[tuple(indices)] = _to_front(xp.broadcast_to(values, selected), count, at)
    return out


def index_add(
    xp: Any,
    g: Any,
    indices: Any,
    *,
    axes: tuple[int, ...],
    at: int,
    shape: tuple[int, ...],
    out: Any = None,
) -> Any:
    _check_rows("index_add", indices, shape, axes)
    rows = tuple(_counted(xp, row, shape[axis]) for row, axis in zip(indices, axes))
    out = _zeros(xp, shape, g.dtype, out)
    return _add_at_rows(xp, out, g, rows, axes, at)


def take_along_axis(xp: Any, x: Any, indices: Any, *, axis: int, out: Any = None) -> Any:
    check_range("take_along_axis", indices, -x.shape[axis], x.shape[axis], axis)
    return give(xp, x[_grid(xp, x.shape, indices, axis)], out)


def put_along_axis(
    xp: Any, x: Any, indices: Any, values: Any, *, axis: int, out: Any = None
) -> Any:
    check_range("put_along_axis", indices, -x.shape[axis], x.shape[axis], axis)
    indices = _apart(xp, indices, out)
    out, values = _copied(xp, x, values, out)
    out[_grid(xp, x.shape, indices, axis)] = values
    return out


def add_along_axis(
    xp: Any, g: Any, indices: Any, *, axis: int, shape: tuple[int, ...], out: Any = None
) -> Any:
    check_range("add_along_axis", indices, -shape[axis], shape[axis], axis)
    out = _zeros(xp, shape, g.dtype, out)
    return _add_at(xp, out, _grid(xp, shape, _counted(xp, indices, shape[axis]), axis), g)


def one_hot(xp: Any, x: Any, *, num_classes: int, dtype: Any, out: Any = None) -> Any:
    check_range("one_hot", x, 0, num_classes)
    out = _zeros(xp, (*x.shape, num_classes), dtype, out)
    out.reshape(x.size, num_classes)[xp.arange(x.size), x.reshape(-1)] = 1
    return out


@lru_cache(maxsize=4096)
def slices(index: tuple[Any, ...]) -> tuple[Any, ...]:
    """An index in normal form as NumPy takes it."""
    return tuple([slice(*i) if isinstance(i, tuple) else i for i in index])


@lru_cache(maxsize=4096)
def for_view(index: tuple[Any, ...]) -> tuple[Any, ...]:
    """`slices`, for a view of even a single element."""
    return (*slices(index), ...)


def _zeros(xp: Any, shape: tuple[int, ...], dtype: Any, out: Any) -> Any:
    if out is None:
        return xp.zeros(shape, dtype)
    out[...] = 0
    return out


def _copied(xp: Any, x: Any, value: Any, out: Any) -> tuple[Any, Any]:
    """A copy of `x` to write to, and a value that the copying has not overwritten."""
    if out is None:
        return x.copy(order="C"), value
    value = _apart(xp, value, out)
    if out is not x:
        xp.copyto(out, x)
    return out, value


def _apart(xp: Any, array: Any, out: Any) -> Any:
    """The array, or a copy where it may lie in the memory that is written to."""
    return array.copy() if out is not None and xp.may_share_memory(out, array) else array


def _check_rows(operator: str, indices: Any, shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    for row, axis in zip(indices, axes):
        check_range(operator, row, -shape[axis], shape[axis], axis)


def _counted(xp: Any, indices: Any, size: int) -> Any:
    """Indices counted from 0, also where they were counted from the end."""
    whole = indices.astype(xp.int64, copy=False)
    return xp.where(whole < 0, whole + size, whole)


def _first(x: Any, axes: tuple[int, ...]) -> Any:
    """A view with some axes, in the order given, before all others."""
    return x.transpose((*axes, *(a for a in range(x.ndim) if a not in axes)))


def _to_place(x: Any, count: int, at: int) -> Any:
    """A view with the first `count` axes moved to stand at `at`."""
    rest = range(count, x.ndim)
    return x.transpose((*rest[:at], *range(count), *rest[at:]))


def _to_front(x: Any, count: int, at: int) -> Any:
    """A view with the `count` axes that stand at `at` before all others."""
    rest = [a for a in range(x.ndim) if not at <= a < at + count]
    return x.transpose((*range(at, at + count), *rest))


def _grid(xp: Any, shape: tuple[int, ...], indices: Any, axis: int) -> tuple[Any, ...]:
    """Per axis the positions of an array that indices along one axis select; they broadcast."""
    ndim = len(shape)
    grid = [
        xp.arange(size).reshape([-1 if a == b else 1 for b in range(ndim)])
        for a, size in enumerate(shape)
    ]
    grid[axis] = indices
    return tuple(grid)


def _add_at_rows(
    xp: Any, out: Any, g: Any, rows: tuple[Any, ...], axes: tuple[int, ...], at: int
) -> Any:
    """Add, where `rows` index `axes`; their own axes stand at `at` in `g`."""
    count = rows[0].ndim
    rest = [a for a in range(out.ndim) if a not in axes]
    grid: list[Any] = [None] * out.ndim
    for row, axis in zip(rows, axes):
        grid[axis] = row.reshape((*row.shape, *[1] * len(rest)))
    for place, axis in enumerate(rest):
        grid[axis] = xp.arange(out.shape[axis]).reshape((-1, *[1] * (len(rest) - 1 - place)))
    return _add_at(xp, out, grid, _to_front(g, count, at))


def _add_at(xp: Any, out: Any, grid: Any, g: Any) -> Any:
    """Add the elements of `g` at the positions that a broadcasting grid gives."""
    positions: Any = 0
    for axis, along in enumerate(grid):
        positions = positions + along * math.prod(out.shape[axis + 1 :])
    positions = xp.broadcast_to(positions, g.shape)
    xp.add.at(out.reshape(-1), positions.reshape(-1), g.reshape(-1))
    return out
