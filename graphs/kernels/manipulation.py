"""Kernels that move elements; all but `concat` give views where the strides allow it."""

from __future__ import annotations

from typing import Any

from ..errors import RangeError


def reshape(xp: Any, x: Any, *, shape: tuple[int, ...]) -> Any:
    return x.reshape(shape)


def permute_dims(xp: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
    return x.transpose(axes)


def broadcast_to(xp: Any, x: Any, *, shape: tuple[int, ...]) -> Any:
    return xp.broadcast_to(x, shape)


def expand_dims(xp: Any, x: Any, *, axis: int) -> Any:
    return xp.expand_dims(x, axis)


def squeeze(xp: Any, x: Any, *, axis: tuple[int, ...]) -> Any:
    return xp.squeeze(x, axis)


def alias(xp: Any, x: Any) -> Any:
    return x[...]


def concat(xp: Any, *xs: Any, axis: int, out: Any = None) -> Any:
    return xp.ascontiguousarray(xp.concatenate(xs, axis=axis, out=out))


def getitem(xp: Any, x: Any, *, index: tuple[Any, ...]) -> Any:
    return x[(*_slices(index), ...)]  # the ellipsis makes a single element a 0-d view, too


def scatter_slice(
    xp: Any, g: Any, *, index: tuple[Any, ...], shape: tuple[int, ...], out: Any = None
) -> Any:
    out = xp.empty(shape, g.dtype) if out is None else out
    out[...] = 0
    out[_slices(index)] = g
    return out


def setitem(xp: Any, x: Any, value: Any, *, index: tuple[Any, ...], out: Any = None) -> Any:
    if out is None:
        out = x.copy(order="C")
    else:
        value = value.copy() if xp.may_share_memory(out, value) else value
        xp.copyto(out, x)
    out[_slices(index)] = value
    return out


def take(xp: Any, x: Any, indices: Any, *, axis: int, out: Any = None) -> Any:
    check_range("take", indices, -x.shape[axis], x.shape[axis])
    return xp.take(x, indices, axis=axis, out=out)


def scatter_add(
    xp: Any, g: Any, indices: Any, *, axis: int, shape: tuple[int, ...], out: Any = None
) -> Any:
    check_range("scatter_add", indices, -shape[axis], shape[axis])
    out = xp.empty(shape, g.dtype) if out is None else out
    out[...] = 0
    xp.add.at(out, (*[slice(None)] * axis, indices), g)
    return out


def check_range(operator: str, indices: Any, low: int, stop: int) -> None:
    """Raises RangeError unless every index is in ``low..stop - 1``."""
    if indices.size:
        least, most = int(indices.min()), int(indices.max())
        if least < low or most >= stop:
            got = least if least < low else most
            raise RangeError(f"{operator}: indices must be in {low}..{stop - 1}, got {got}")


def _slices(index: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(slice(*i) if isinstance(i, tuple) else i for i in index)
