"""Convolutions: their shape, and the scratch memory they need.

The lengths follow those in ../native/convolution_template.h and
convolution_weight_template.h step by step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .structs import Struct, aligned, share

Kind = Literal["forward", "transpose", "weight"]

_BAND_BYTES = 256 << 10
_SUMS_BYTES = 1 << 20
_BLOCK, _BLOCK_BYTES = 16, 1 << 20
_TILE_BYTES = 128  # of its columns, at most

Pair = tuple[int, int]
Strides = tuple[int, int, int, int]


@dataclass(frozen=True)
class Convolution(Struct):
    """The struct `dt_conv`: the forward convolution from x to y, in the order of its fields.

    Its transpose computes x from y. Pairs are (height, width), strides count elements, and what
    is padded behind an axis follows from the number of windows. One axis is two of which the first
    has length 1.

    Examples
    --------
    >>> Convolution(
    ...     images=8, groups=1, channels=3, filters=16, size=(32, 32), windows=(32, 32),
    ...     kernel=(3, 3), stride=(1, 1), before=(1, 1), dilation=(1, 1),
    ...     x=(3072, 1, 96, 3), w=(27, 9, 3, 1), y=(16384, 1, 512, 16),
    ... ).text()
    '{8, 1, 3, 16, {32, 32}, {32, 32}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {3072, 1, 96, 3}, \
{27, 9, 3, 1}, {16384, 1, 512, 16}}'
    """

    images: int
    groups: int
    channels: int
    filters: int
    size: Pair
    windows: Pair
    kernel: Pair
    stride: Pair
    before: Pair
    dilation: Pair
    x: Strides
    w: Strides
    y: Strides


def scratch_bytes(kind: Kind, shape: Convolution, threads: int, itemsize: int) -> int:
    """Bytes that `dt_conv2d` and its relatives need for all threads of a team, aligned to 64,
    beside the panels of weights.

    Parameters
    ----------
    kind : {"forward", "transpose", "weight"}
    shape : Convolution
    threads : int
    itemsize : int
        Of a number.
    """
    lone, groups, channels, filters = _groups(shape)
    down, right = (_axis(shape, i, kind == "transpose") for i in (0, 1))
    across = right.reached(right.units)
    if kind == "weight":
        wide = _room(filters, itemsize)
        x_bytes = across * (wide if lone else channels) * itemsize
        y_bytes = shape.windows[1] * wide * itemsize
        band = down.band(down.step * x_bytes + y_bytes)
        taps = shape.kernel[0] * shape.kernel[1]
        sums = aligned(groups * taps * (1 if lone else channels) * wide * itemsize)
        copies = aligned(down.reached(band) * x_bytes) + aligned(band * y_bytes)
        if not lone and (sums > _SUMS_BYTES or sums * threads > 16 * _SUMS_BYTES):
            return sums + copies * max(1, min(_BLOCK, _BLOCK_BYTES // copies))
        return threads * (sums + copies)
    depth, columns = (filters, channels) if kind == "transpose" else (channels, filters)
    wide = _room(columns, itemsize)
    row = across * (wide if lone else depth) * itemsize
    most = max(1, -(-groups * shape.images * down.units // threads))  # of a thread
    band = min(down.band(down.step * row), most)
    line = right.units * max(wide * itemsize if lone else 0, _TILE_BYTES)
    return threads * (aligned(down.reached(band) * row) + line)


def panel_elements(kind: Kind, shape: Convolution, itemsize: int) -> int:
    """How many numbers packed weights take: filled up to whole vectors, so more than the weights.

    Parameters
    ----------
    kind : {"forward", "transpose"}
    shape : Convolution
    itemsize : int
        Of a number.
    """
    lone, groups, channels, filters = _groups(shape)
    depth, columns = (filters, channels) if kind == "transpose" else (channels, filters)
    taps = shape.kernel[0] * shape.kernel[1]
    return groups * taps * (1 if lone else depth) * _room(columns, itemsize)


# From a row of one image to before a row of another, or of the same one.
Rows = tuple[int, int, int, int]


def shared_rows(kind: Kind, shape: Convolution, threads: int) -> list[tuple[Rows, Rows] | None]:
    """Of each thread, which rows of its source it reads and which of its result it writes; None
    where it has none. Some may lie outside of the images, where these are padded.

    Parameters
    ----------
    kind : {"forward", "transpose"}
    shape : Convolution
    threads : int
    """
    axis = _axis(shape, 0, kind == "transpose")
    step, before = (1, 0) if kind == "forward" else (shape.stride[0], shape.before[0])
    found: list[tuple[Rows, Rows] | None] = []
    for thread in range(threads):
        begin, end = share(shape.images * axis.units, thread, threads)
        (first, u), (last, v) = divmod(begin, axis.units), divmod(end - 1, axis.units)
        u, v = u + axis.begin, v + axis.begin
        reads = first, axis.first(u), last, axis.first(v) + axis.reach
        writes = first, u * step - before, last, (v + 1) * step - before
        found.append((reads, writes) if begin < end else None)
    return found


def _groups(shape: Convolution) -> tuple[bool, int, int, int]:
    """Whether each channel has one filter of its own; groups as the library counts them, and the
    channels and filters of each."""
    lone = shape.groups > 1 and shape.channels == shape.filters == shape.groups
    groups = 1 if lone else shape.groups
    return lone, groups, shape.channels // groups, shape.filters // groups


@dataclass(frozen=True)
class _Axis:
    """Units of outputs, and the places of the source that each reads."""

    begin: int
    units: int
    step: int
    before: int
    reach: int

    def first(self, unit: int) -> int:
        return unit * self.step - self.before

    def reached(self, units: int) -> int:
        return (units - 1) * self.step + self.reach

    def band(self, bytes_each: int) -> int:
        """How many units a thread takes at a time."""
        return max(1, min(_BAND_BYTES // max(bytes_each, 1), self.units))


def _axis(shape: Convolution, i: int, transposed: bool) -> _Axis:
    stride, last = shape.stride[i], (shape.kernel[i] - 1) * shape.dilation[i]
    if not transposed:
        return _Axis(0, shape.windows[i], stride, shape.before[i], last + 1)
    begin = shape.before[i] // stride
    end = (shape.before[i] + shape.size[i] - 1) // stride + 1
    return _Axis(begin, end - begin, 1, last // stride, last // stride + 1)


def _room(columns: int, itemsize: int) -> int:
    whole = 64 // itemsize
    return -(-columns // whole) * whole
