"""Kernels that move elements; those that only rearrange axes give views where strides allow it."""

from __future__ import annotations

from typing import Any

from ..errors import RangeError


def reshape(xp: Any, x: Any, *, shape: tuple[int, ...]) -> Any:
    return x.reshape(shape)


def permute_dims(xp: Any, x: Any, *, axes: tuple[int, ...]) -> Any:
    return x.transpose(axes)


def broadcast_to(xp: Any, x: Any, *, shape: tuple[int, ...]) -> Any:
    return xp.broadcast_to(x, shape)


def expand_dims(xp: Any, x: Any, *, axis: tuple[int, ...]) -> Any:
    return xp.expand_dims(x, axis)


def squeeze(xp: Any, x: Any, *, axis: tuple[int, ...]) -> Any:
    return xp.squeeze(x, axis)


def alias(xp: Any, x: Any) -> Any:
    return x[...]


def concat(xp: Any, *xs: Any, axis: int, out: Any = None) -> Any:
    return xp.ascontiguousarray(xp.concatenate(xs, axis=axis, out=out))


def stack(xp: Any, *xs: Any, axis: int, out: Any = None) -> Any:
    return xp.ascontiguousarray(xp.stack(xs, axis=axis, out=out))


def repeat_positions(xp: Any, repeats: Any, *, size: int) -> Any:
    least = int(repeats.min()) if repeats.size else 0
    if least < 0:
        raise RangeError(f"repeat_positions: repeats must be at least 0, got {least}")
    ends = xp.cumsum(xp.broadcast_to(repeats, (size,)).astype(xp.int64))
    total = int(ends[-1]) if size else 0
    return xp.searchsorted(ends, xp.arange(total), side="right")


def roll(xp: Any, x: Any, *, shift: tuple[int, ...], axis: tuple[int, ...], out: Any = None) -> Any:
    rolled = xp.roll(x, shift, axis) if axis else x.copy()
    return give(xp, rolled, out)


def check_range(operator: str, indices: Any, low: int, stop: int, axis: int | None = None) -> None:
    """Raises RangeError unless every index is in ``low..stop - 1``."""
    if indices.size:
        one = indices.item() if indices.size == 1 else None
        least, most = (int(indices.min()), int(indices.max())) if one is None else (one, one)
        if least < low or most >= stop:
            got = least if least < low else most
            where = "" if axis is None else f" on axis {axis} of size {stop}"
            raise RangeError(f"{operator}: indices must be in {low}..{stop - 1}{where}, got {got}")


def give(xp: Any, array: Any, out: Any) -> Any:
    """An array as a kernel gives it: dense and new, or in `out`."""
    if out is None:
        return xp.asarray(array, order="C")
    xp.copyto(out, array)
    return out
