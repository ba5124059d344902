"""Convolution kernels: calls of the library, or windows copied next to each other, and matrix
products.

A few images are taken at a time, so that their windows stay in the cache; how many depends on the
sizes alone, and so does the order of every sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

from .calls import Description, Lying, call, is_native
from .precision import rounded_once
from .shapes.convolution import Convolution, Kind, panel_elements, scratch_bytes
from .shapes.structs import image_strides, pair
from .windows import Pads, count, padded, span, taps, windows

_BLOCK_BYTES = 1 << 20

Sizes = tuple[int, ...]


@rounded_once
def convolution(
    xp: Any, x: Any, weight: Any, *, stride: Sizes, padding: Pads, dilation: Sizes, groups: int,
    out: Any = None,
) -> Any:  # fmt: skip
    size = weight.shape[2:]
    if out is None:
        along = zip(x.shape[2:], size, stride, dilation, padding)
        counts = [count(*of) for of in along]
        out = xp.empty((len(x), len(weight), *counts), x.dtype)
    if is_native(xp, x, weight, out) and call(
        _forward, (x, weight, out), stride, padding, dilation, groups
    ):
        return out
    view = windows(xp, padded(xp, x, padding), size, stride, dilation)
    counts = out.shape[2:]
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
    if out is None:
        out = xp.empty((g.shape[1], x.shape[1] // groups, *size), x.dtype)
    if is_native(xp, x, g, out) and call(
        _weight_gradient, (x, g, out), stride, padding, dilation, groups
    ):
        return out
    view = windows(xp, padded(xp, x, padding), size, stride, dilation)
    outputs = g.shape[1] // groups
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
    full = [s * (n - 1) + span(k, d) for s, n, k, d in zip(stride, lengths, size, dilation)]
    crop = tuple((-before, -after) for before, after in padding)
    channels = groups * weight.shape[1]
    if out is None:
        sizes = [n + before + after for n, (before, after) in zip(full, crop)]
        out = xp.empty((len(x), channels, *sizes), x.dtype)
    if is_native(xp, x, weight, out) and call(
        _transpose, (x, weight, out), stride, padding, dilation, groups
    ):
        return out
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


# -- as calls of the library ------------------------------------------------------------------


def _geometry(
    x: Lying, w: Lying, y: Lying, stride: Sizes, padding: Pads, dilation: Sizes, groups: int
) -> Convolution | None:
    """The convolution from x to y by w."""
    if x.shape[2:] == () or len(x.shape) > 4 or 0 in (*x.shape, *w.shape, *y.shape):
        return None
    (top, _), (left, _) = pair(padding, (0, 0))
    return Convolution(
        images=x.shape[0],
        groups=groups,
        channels=x.shape[1],
        filters=y.shape[1],
        size=pair(x.shape[2:], 1),
        windows=pair(y.shape[2:], 1),
        kernel=pair(w.shape[2:], 1),
        stride=pair(stride, 1),
        before=(top, left),
        dilation=pair(dilation, 1),
        x=image_strides(x),
        w=image_strides(w),
        y=image_strides(y),
    )


def _flop(w: Lying, y: Lying) -> int:
    return 2 * prod(w.shape) * y.shape[0] * prod(y.shape[2:])


def _described(kind: Kind, x: Lying, w: Lying, y: Lying, threads: int, *attrs: Any) -> Any:
    shape = _geometry(x, w, y, *attrs)
    if shape is None:
        return None
    itemsize = x.dtype.itemsize
    panels = 0 if kind == "weight" else panel_elements(kind, shape, itemsize) * itemsize
    room = scratch_bytes(kind, shape, threads, itemsize)
    name = "conv2d" if kind == "forward" else f"conv2d_{kind}"
    rooms = (room,) if kind == "weight" else (panels, room)
    return Description(name, shape, rooms, _flop(w, y))


def _forward(x: Lying, w: Lying, y: Lying, *attrs: Any, threads: int) -> Description | None:
    return _described("forward", x, w, y, threads, *attrs)


def _transpose(y: Lying, w: Lying, x: Lying, *attrs: Any, threads: int) -> Description | None:
    return _described("transpose", x, w, y, threads, *attrs)


def _weight_gradient(x: Lying, y: Lying, w: Lying, *attrs: Any, threads: int) -> Description | None:
    return _described("weight", x, w, y, threads, *attrs)


# -- with NumPy -------------------------------------------------------------------------------


def _flipped(weight: Any, groups: int) -> Any:
    """The weights of the convolution that a transposed one without strides is."""
    shape = weight.shape
    grouped = weight.reshape(groups, shape[0] // groups, *shape[1:]).swapaxes(1, 2)
    backwards = (..., *(slice(None, None, -1) for _ in shape[2:]))
    return grouped.reshape(groups * shape[1], shape[0] // groups, *shape[2:])[backwards]


def _columns(view: Any, groups: int, places: int) -> Iterator[tuple[slice, Any]]:
    """A few images at a time, their windows as matrices: a row per place, a column per window."""
    images = len(view)
    each = view.size // max(images, 1) * view.itemsize
    rows = view.size // max(images * groups * places, 1)
    for block in _blocks(images, each):
        part = view[block]
        yield block, part.reshape(len(part), groups, rows, places)


def _blocks(images: int, bytes_each: int) -> Iterator[slice]:
    step = max(_BLOCK_BYTES // max(bytes_each, 1), 1)
    return (slice(i, min(i + step, images)) for i in range(0, images, step))
