"""Pooling over windows: its shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .structs import Strided, Struct, image_strides, pair

Pair = tuple[int, ...]
Strides = tuple[int, ...]


@dataclass(frozen=True)
class Pool(Struct):
    """The struct `dt_pool`, in the order of its fields. One axis is two of which the first has
    length 1."""

    images: int
    channels: int
    size: Pair
    windows: Pair
    kernel: Pair
    stride: Pair
    before: Pair
    dilation: Pair
    low: Pair
    high: Pair
    x: Strides
    y: Strides
    gx: Strides
    g: Strides


def pool(
    attrs: Mapping[str, Any], images: Strided, windows: Strided, slopes: Sequence[Strided]
) -> Pool:
    """Pooling with an operator's attributes.

    Parameters
    ----------
    attrs : mapping
    images, windows : Strided
        Of x and y, or lie like them.
    slopes : (Strided, Strided)
        Their cotangents or tangents.
    """
    padding, size = pair(attrs["padding"], (0, 0)), pair(images.shape[2:], 1)
    beyond = attrs.get("count_include_pad", False)
    pads = [(before, after) if beyond else (0, 0) for before, after in padding]
    count, channels = images.shape[:2]
    return Pool(
        count, channels, size, pair(windows.shape[2:], 1), pair(attrs["kernel_size"], 1),
        pair(attrs["stride"], 1), tuple(before for before, _ in padding),
        pair(attrs.get("dilation", (1, 1)), 1),
        tuple(-before for before, _ in pads), tuple(n + after for n, (_, after) in zip(size, pads)),
        image_strides(images), image_strides(windows), *map(image_strides, slopes),
    )  # fmt: skip
