"""Dense arrays, rows of them, and channels of images."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from .structs import Strided, Struct, is_dense

ROW_PARTS = 32  # DT_ROW_PARTS in C


@dataclass(frozen=True)
class Dense(Struct):
    """The struct `dt_dense`, in the order of its fields."""

    count: int
    step: tuple[int, ...]


@dataclass(frozen=True)
class Channels(Struct):
    """The struct `dt_channels`, in the order of its fields."""

    images: int
    channels: int
    numbers: int
    x: tuple[int, ...]
    g: tuple[int, ...]
    weight: int
    bias: int
    eps: float


@dataclass(frozen=True)
class Rows(Struct):
    """The struct `dt_rows`, in the order of its fields."""

    rows: int
    width: int
    weight: int
    bias: int
    eps: float


def dense(result: Strided, *operands: Strided) -> Dense | None:
    """Numbers that are computed from those at the same place, or from one.

    None where an operand is neither of the result's shape and dense, nor a single number.
    """
    count = prod(result.shape)
    steps = [_step(x, result.shape) for x in operands]
    if not count or not is_dense(result) or any(step < 0 for step in steps):
        return None
    return Dense(count, (*steps, *[0] * (3 - len(steps))))


def channels(x: Strided, g: Strided, weight: Strided, bias: Strided, eps: float) -> Channels | None:
    """Images, or their cotangents, whose numbers stand side by side in each channel.

    None where they do not, or where there are too few for loops along them.
    """
    numbers = prod(x.shape[2:])
    if 0 in x.shape or numbers < 8 or not (is_dense(x, 2) and is_dense(g, 2)):
        return None
    steps = [v.strides[0] if v.shape else 0 for v in (weight, bias)]
    images, count = x.shape[:2]
    return Channels(images, count, numbers, x.strides[:2], g.strides[:2], steps[0], steps[1], eps)


def rows(
    x: Strided, width: int, weight: Strided | None = None, bias: Strided | None = None,
    eps: float = 0.0,
) -> Rows | None:  # fmt: skip
    """Rows of so many numbers, one after the other, and what is the same for all of them.

    None where they lie otherwise.
    """
    vectors = [v for v in (weight, bias) if v is not None]
    known = all(is_dense(v) and prod(v.shape) in (1, width) for v in vectors)
    if 0 in x.shape or not is_dense(x) or not known:
        return None
    steps = [int(v is not None and prod(v.shape) == width > 1) for v in (weight, bias)]
    return Rows(prod(x.shape) // width, width, steps[0], steps[1], eps)


def _step(x: Strided, shape: tuple[int, ...]) -> int:
    """From a number to the next: 1, or 0 where there is only one; below 0 where it is neither."""
    if prod(x.shape) == 1:
        return 0
    return 1 if x.shape == shape and is_dense(x) else -1
