"""Convolution kernels: windows copied next to each other, and matrix products.

A few images are taken at a time, so that their windows stay in the cache; how many depends on the
sizes alone, and so does the order of every sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

from .precision import rounded_once
from .windows import Pads, padded, span, taps, windows

_BLOCK_BYTES = 1 << 20

Sizes = tuple[int, ...]


@rounded_once
def convolution(
    xp: Any, x: Any, weight: Any, *, stride: Sizes, padding: Pads, dilation: Sizes, groups: int,
    out: Any = None,
) -> Any:  # fmt: skip
    view = windows(xp, padded(xp, x, padding), weight.shape[2:], stride, dilation)
    counts = view.shape[-len(stride) :]
    if out is None:
        out = xp.empty((len(x), len(weight), *counts), x.dtype)
    matrices = weight.reshape(groups, len(weight) // groups, -1)
    y = out.reshape(len(x), groups, len(weight) // groups, prod(counts))
    for images, columns in _columns(view, groups, prod(counts)):
        xp.matmul(matrices, columns, out=y[images])
    return out


@rounded_once
def convolution_weight_grad(
    xp: Any, x: Any, g: Any, *, size: Sizes, stride: Sizes, padding: Pads, dilation: Sizes,
    groups: int, out: Any = None,
) -> Any:  # fmt: skip
    view = windows(xp, padded(xp, x, padding), size, stride, dilation)
    outputs = g.shape[1] // groups
    if out is None:
        out = xp.empty((g.shape[1], x.shape[1] // groups, *size), x.dtype)
    total = out.reshape(groups, outputs, -1)
    total[...] = 0
    rows = xp.ascontiguousarray(g).reshape(len(x), groups, outputs, prod(g.shape[2:]))
    for images, columns in _columns(view, groups, prod(g.shape[2:])):
        total += xp.matmul(rows[images], columns.swapaxes(-1, -2)).sum(axis=0)
    return out


@rounded_once
def transposed_convolution(
    xp: Any, x: Any, weight: Any, *, stride: Sizes, padding: Pads, output_padding: Sizes,
    groups: int, dilation: Sizes, out: Any = None,
) -> Any:  # fmt: skip
    # `output_padding` stands in `padding` already.
    lengths, size = x.shape[2:], weight.shape[2:]
    # Without strides it is a convolution, too, which costs less unless it has many more channels.
    if stride == (1,) * len(size) and len(weight) // groups <= 2 * weight.shape[1]:
        around = tuple(
            (span(k, d) - 1 - before, span(k, d) - 1 - after)
            for k, d, (before, after) in zip(size, dilation, padding)
        )
        flipped = _flipped(weight, groups)
        return convolution(
            xp, x, flipped, stride=stride, padding=around, dilation=dilation, groups=groups, out=out
        )
    full = [s * (n - 1) + span(k, d) for s, n, k, d in zip(stride, lengths, size, dilation)]
    crop = tuple((-before, -after) for before, after in padding)
    channels = groups * weight.shape[1]
    if out is None:
        sizes = [n + before + after for n, (before, after) in zip(full, crop)]
        out = xp.empty((len(x), channels, *sizes), x.dtype)
    matrices = weight.reshape(groups, len(weight) // groups, -1).swapaxes(-1, -2)
    rows = xp.ascontiguousarray(x).reshape(len(x), groups, len(weight) // groups, prod(lengths))
    each = matrices.shape[0] * matrices.shape[1] * prod(lengths) * x.itemsize
    for images in _blocks(len(x), each):
        columns = xp.matmul(matrices, rows[images])
        columns = columns.reshape(-1, channels, prod(size), *lengths)
        wide = xp.zeros((len(columns), channels, *full), x.dtype)
        for place, reached in enumerate(taps(wide, size, stride, dilation, lengths)):
            reached += columns[:, :, place]
        out[images] = padded(xp, wide, crop)
    return out


def _flipped(weight: Any, groups: int) -> Any:
    """The weights of the convolution that a transposed one without strides is."""
    shape = weight.shape
    grouped = weight.reshape(groups, shape[0] // groups, *shape[1:]).swapaxes(1, 2)
    backwards = (..., *(slice(None, None, -1) for _ in shape[2:]))
    return grouped.reshape(groups * shape[1], shape[0] // groups, *shape[2:])[backwards]


def _columns(view: Any, groups: int, count: int) -> Iterator[tuple[slice, Any]]:
    """A few images at a time, their windows as matrices: a row per place, a column per window."""
    images = len(view)
    each = view.size // max(images, 1) * view.itemsize
    rows = view.size // max(images * groups * count, 1)
    for block in _blocks(images, each):
        part = view[block]
        yield block, part.reshape(len(part), groups, rows, count)


def _blocks(images: int, bytes_each: int) -> Iterator[slice]:
    step = max(_BLOCK_BYTES // max(bytes_each, 1), 1)
    return (slice(i, min(i + step, images)) for i in range(0, images, step))
