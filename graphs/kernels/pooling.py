"""Pooling kernels: one pass over the operand for each place in a window."""

from __future__ import annotations

from functools import reduce
from math import prod
from typing import Any

from .calls import Description, Lying, call, is_native
from .precision import rounded_once
from .shapes.pooling import pool
from .windows import Pads, count, padded, span, taps

Sizes = tuple[int, ...]


def max_pool(
    xp: Any, x: Any, *, kernel_size: Sizes, stride: Sizes, padding: Pads, dilation: Sizes,
    ceil_mode: bool, out: Any = None,
) -> Any:  # fmt: skip
    counts = _counts(x.shape[2:], kernel_size, stride, dilation, padding, ceil_mode)
    out = xp.empty((*x.shape[:2], *counts), x.dtype) if out is None else out
    if is_native(xp, x, out) and call(_max, (x, out), kernel_size, stride, padding, dilation):
        return out
    wide = padded(xp, x, _reach(x.shape[2:], counts, kernel_size, stride, dilation, padding),
                  -xp.inf)  # fmt: skip
    places = taps(wide, kernel_size, stride, dilation, counts)
    xp.copyto(out, next(places))
    for values in places:
        xp.maximum(out, values, out=out)
    return out


@rounded_once
def max_pool_grad(
    xp: Any, x: Any, y: Any, g: Any, *, kernel_size: Sizes, stride: Sizes, padding: Pads,
    dilation: Sizes, out: Any = None,
) -> Any:  # fmt: skip
    if is_native(xp, x, y, g):
        found = xp.empty(x.shape, x.dtype) if out is None else out
        if call(_max_grad, (x, y, g, found), kernel_size, stride, padding, dilation):
            return found
    geometry = (kernel_size, stride, dilation, y.shape[2:])
    reach = _reach(x.shape[2:], y.shape[2:], kernel_size, stride, dilation, padding)
    wide = padded(xp, x, reach, xp.nan)
    largest = [values == y for values in taps(wide, *geometry)]
    share = g / _ties(xp, largest, g.dtype)
    wide_g = xp.zeros(wide.shape, g.dtype)
    for hit, reached in zip(largest, taps(wide_g, *geometry)):
        reached += xp.where(hit, share, share.dtype.type(0))
    return _cropped(xp, wide_g, reach, x.shape, out)


@rounded_once
def max_pool_tangent(
    xp: Any, x: Any, y: Any, t: Any, *, kernel_size: Sizes, stride: Sizes, padding: Pads,
    dilation: Sizes, out: Any = None,
) -> Any:  # fmt: skip
    out = xp.empty(y.shape, t.dtype) if out is None else out
    if is_native(xp, x, y, t, out) and call(
        _max_tangent, (x, y, t, out), kernel_size, stride, padding, dilation
    ):
        return out
    geometry = (kernel_size, stride, dilation, y.shape[2:])
    reach = _reach(x.shape[2:], y.shape[2:], kernel_size, stride, dilation, padding)
    wide, wide_t = padded(xp, x, reach, xp.nan), padded(xp, t, reach)
    largest = [values == y for values in taps(wide, *geometry)]
    out[...] = 0
    for hit, moved in zip(largest, taps(wide_t, *geometry)):
        out += xp.where(hit, moved, moved.dtype.type(0))
    return xp.divide(out, _ties(xp, largest, t.dtype), out=out)


@rounded_once
def avg_pool(
    xp: Any, x: Any, *, kernel_size: Sizes, stride: Sizes, padding: Pads, ceil_mode: bool,
    count_include_pad: bool, out: Any = None,
) -> Any:  # fmt: skip
    ones = (1,) * len(kernel_size)
    counts = _counts(x.shape[2:], kernel_size, stride, ones, padding, ceil_mode)
    out = xp.empty((*x.shape[:2], *counts), x.dtype) if out is None else out
    if is_native(xp, x, out) and call(
        _mean, (x, out), kernel_size, stride, padding, count_include_pad
    ):
        return out
    wide = padded(xp, x, _reach(x.shape[2:], counts, kernel_size, stride, ones, padding))
    places = taps(wide, kernel_size, stride, ones, counts)
    xp.copyto(out, next(places))
    for values in places:
        xp.add(out, values, out=out)
    divisors = _divisors(
        xp, x.dtype, x.shape[2:], counts, kernel_size, stride, padding, count_include_pad
    )
    return xp.divide(out, divisors, out=out)


@rounded_once
def avg_pool_grad(
    xp: Any, g: Any, *, size: Sizes, kernel_size: Sizes, stride: Sizes, padding: Pads,
    ceil_mode: bool, count_include_pad: bool, out: Any = None,
) -> Any:  # fmt: skip
    if is_native(xp, g):
        found = xp.empty((*g.shape[:2], *size), g.dtype) if out is None else out
        if call(_mean_grad, (g, found), kernel_size, stride, padding, count_include_pad):
            return found
    ones, counts = (1,) * len(kernel_size), g.shape[2:]
    reach = _reach(size, counts, kernel_size, stride, ones, padding)
    share = g / _divisors(
        xp, g.dtype, size, counts, kernel_size, stride, padding, count_include_pad
    )
    lengths = [n + before + after for n, (before, after) in zip(size, reach)]
    wide = xp.zeros((*g.shape[:2], *lengths), g.dtype)
    for reached in taps(wide, kernel_size, stride, ones, counts):
        reached += share
    return _cropped(xp, wide, reach, (*g.shape[:2], *size), out)


# -- as calls of the library ------------------------------------------------------------------


def _max(x: Lying, y: Lying, *attrs: Any, threads: int) -> Description | None:
    return _described("max_pool", _max_attrs(*attrs), x, y, (x, y))


def _max_grad(
    x: Lying, y: Lying, g: Lying, gx: Lying, *attrs: Any, threads: int
) -> Description | None:
    return _described("max_pool_grad", _max_attrs(*attrs), x, y, (gx, g))


def _max_tangent(
    x: Lying, y: Lying, t: Lying, to: Lying, *attrs: Any, threads: int
) -> Description | None:
    return _described("max_pool_tangent", _max_attrs(*attrs), x, y, (t, to))


def _mean(x: Lying, y: Lying, *attrs: Any, threads: int) -> Description | None:
    return _described("avg_pool", _mean_attrs(*attrs), x, y, (x, y))


def _mean_grad(g: Lying, gx: Lying, *attrs: Any, threads: int) -> Description | None:
    return _described("avg_pool_grad", _mean_attrs(*attrs), gx, g, (gx, g))


def _max_attrs(*attrs: Any) -> dict[str, Any]:
    return dict(zip(("kernel_size", "stride", "padding", "dilation"), attrs))


def _mean_attrs(*attrs: Any) -> dict[str, Any]:
    return dict(zip(("kernel_size", "stride", "padding", "count_include_pad"), attrs))


def _described(
    step: str, attrs: dict[str, Any], x: Lying, y: Lying, slopes: tuple[Lying, Lying]
) -> Description | None:
    if not 3 <= len(x.shape) <= 4 or 0 in (*x.shape, *y.shape) or x.dtype != y.dtype:
        return None
    flop = 2 * prod(y.shape) * prod(attrs["kernel_size"])
    return Description(step, pool(attrs, x, y, slopes), (), flop)


# -- with NumPy -------------------------------------------------------------------------------


def _counts(
    lengths: Sizes, size: Sizes, stride: Sizes, dilation: Sizes, padding: Pads, ceil: bool
) -> Any:
    return tuple(count(*of, ceil) for of in zip(lengths, size, stride, dilation, padding))


def _reach(
    lengths: Sizes, counts: Sizes, size: Sizes, stride: Sizes, dilation: Sizes, padding: Pads
) -> Pads:
    """The padding up to where the last window ends: beyond what was asked for, or short of it."""
    return tuple(
        (before, max(s * (n - 1) + span(k, d) - before - length, 0))
        for length, n, k, s, d, (before, _) in zip(lengths, counts, size, stride, dilation, padding)
    )


def _ties(xp: Any, largest: list[Any], dtype: Any) -> Any:
    """How many numbers of each window are its largest; 1 where that is NaN."""
    ties = xp.zeros(largest[0].shape, xp.uint8 if len(largest) < 256 else xp.int32)
    for hit in largest:
        ties += hit
    return xp.maximum(ties, 1, out=ties).astype(dtype)


def _divisors(
    xp: Any, dtype: Any, lengths: Sizes, counts: Sizes, size: Sizes, stride: Sizes, padding: Pads,
    include_pad: bool,
) -> Any:  # fmt: skip
    """How many numbers of each window count."""
    along = []
    for length, n, k, s, (before, after) in zip(lengths, counts, size, stride, padding):
        low, high = (-before, length + after) if include_pad else (0, length)
        starts = xp.arange(n) * s - before
        along.append(xp.minimum(starts + k, high) - xp.maximum(starts, low))
    if all(int(a.min()) == k for a, k in zip(along, size)):
        return dtype.type(prod(size))
    return reduce(xp.multiply.outer, along).astype(dtype)


def _cropped(xp: Any, wide: Any, reach: Pads, shape: Sizes, out: Any) -> Any:
    """The numbers of the operand itself, without its padding."""
    inside = wide[(..., *(slice(before, before + n) for n, (before, _) in zip(shape[2:], reach)))]
    if out is None:
        return xp.ascontiguousarray(inside)
    xp.copyto(out, inside)
    return out
