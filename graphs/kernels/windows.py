"""Windows that slide over the last axes of an array: how many there are, and the numbers in them.

An operand has shape (batch, channels, *spatial). Sizes, strides, dilations and paddings are tuples
with one entry per spatial axis; a padding is a pair, before and after, and a negative one crops.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from ..dims import Dim, Size
from ..errors import ShapeError

Pads = tuple[tuple[int, int], ...]


def span(size: int, dilation: int) -> int:
    """How far a window reaches along an axis."""
    return dilation * (size - 1) + 1


def count(
    length: Any, size: int, stride: int, dilation: int, pads: tuple[int, int],
    ceil: bool = False,
) -> Size:  # fmt: skip
    """How many windows an axis holds.

    With `ceil`, a last window may reach beyond the padding if it starts before it.

    Raises
    ------
    ShapeError
        When no window fits, or the length is symbolic and no whole number of strides.
    """
    before, after = pads
    room = length + before + after - span(size, dilation)
    if isinstance(room, Dim):
        if stride == 1:
            return room + 1
        try:
            return room // stride + 1
        except ShapeError:
            raise ShapeError(
                f"a symbolic length must hold a whole number of strides, got {length} for a window "
                f"of {span(size, dilation)}, stride {stride} and padding {pads}"
            ) from None
    if room < 0:
        raise ShapeError(
            f"a window must fit into the padded operand, got a window of {span(size, dilation)} "
            f"and a length of {length + before + after}"
        )
    if not ceil:
        return room // stride + 1
    found = -(-room // stride) + 1
    return found - 1 if (found - 1) * stride >= length + before else found


def padded(xp: Any, x: Any, pads: Pads, fill: float = 0) -> Any:
    """The operand with its spatial axes padded and cropped; itself or a view if only cropped."""
    inside: list[Any] = [slice(None)] * (x.ndim - len(pads))
    taken = list(inside)
    shape = list(x.shape[: len(inside)])
    for length, (before, after) in zip(x.shape[len(inside) :], pads):
        # Of an axis that is cropped by more than its length, nothing is left but padding.
        first = min(max(-before, 0), length)
        last = max(length - max(-after, 0), first)
        taken.append(slice(first, last))
        inside.append(slice(max(before, 0), max(before, 0) + last - first))
        shape.append(length + before + after)
    if all(before <= 0 and after <= 0 for before, after in pads):
        return x[tuple(taken)]
    wide = xp.full(shape, fill, x.dtype)
    wide[tuple(inside)] = x[tuple(taken)]
    return wide


def windows(
    xp: Any, x: Any, size: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> Any:
    """A view of shape (batch, channels, *size, *windows): each window's numbers."""
    rank = len(size)
    steps = x.strides[-rank:]
    axes = zip(x.shape[-rank:], size, stride, dilation)
    counts = [count(n, k, s, d, (0, 0)) for n, k, s, d in axes]
    return xp.lib.stride_tricks.as_strided(
        x,
        (*x.shape[:-rank], *size, *counts),
        (
            *x.strides[:-rank],
            *(d * step for d, step in zip(dilation, steps)),
            *(s * step for s, step in zip(stride, steps)),
        ),
    )


def taps(
    x: Any,
    size: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    counts: tuple[int, ...],
) -> Iterator[Any]:
    """For each place in a window, in row-major order, a view of what all windows have there."""
    for at in product(*map(range, size)):
        yield x[
            (
                ...,
                *(
                    slice(i * d, i * d + s * (n - 1) + 1, s)
                    for i, s, d, n in zip(at, stride, dilation, counts)
                ),
            )
        ]
