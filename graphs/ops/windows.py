"""What the operators on sliding windows share: their arguments in normal form, and their errors."""

from __future__ import annotations

import operator
from typing import Any

from ..avals import Aval, show
from ..dims import Shape, Size
from ..dtypes import is_float
from ..errors import ArgumentError, DTypeError, ShapeError
from ..kernels.windows import Pads, count

AXES = {1: "length", 2: "height, width"}

Sizes = tuple[int, ...]


def whole(value: Any, what: str, least: int | None) -> int:
    """A whole number, of at least `least`.

    Raises
    ------
    ArgumentError
        When it is none.
    """
    number = None
    if not isinstance(value, bool) and hasattr(value, "__index__"):
        number = operator.index(value)
    if number is None or (least is not None and number < least):
        bound = "" if least is None else f" of at least {least}"
        raise ArgumentError(f"{what} must be a whole number{bound}, got {value!r}")
    return number


def per_axis(value: Any, rank: int, what: str, least: int = 1) -> Sizes:
    """One whole number per spatial axis, from one for all or from a sequence.

    Raises
    ------
    ArgumentError
        When they are too many or too few, too small or no whole numbers.
    """
    if not isinstance(value, tuple | list):
        return (whole(value, what, least),) * rank
    if len(value) != rank:
        raise ArgumentError(f"{what} must have an entry per spatial axis, got {value} for {rank}")
    return tuple(whole(v, what, least) for v in value)


def pads(padding: Any, rank: int) -> Pads:
    """Padding as pairs: from a number for all, a number per axis, or pairs themselves.

    Raises
    ------
    ArgumentError
        When the padding is none of these.
    """
    if isinstance(padding, tuple | list) and any(isinstance(p, tuple | list) for p in padding):
        if len(padding) != rank or any(not _is_pair(p) for p in padding):
            raise ArgumentError(f"padding must have a pair per spatial axis, got {padding}")
        return tuple(
            (whole(before, "padding", None), whole(after, "padding", None))
            for before, after in padding
        )
    return tuple((p, p) for p in per_axis(padding, rank, "padding", 0))


def _is_pair(entry: Any) -> bool:
    return isinstance(entry, tuple | list) and len(entry) == 2


def filter_pads(padding: Any, size: Sizes, stride: Sizes, dilation: Sizes) -> Pads:
    """`pads`, or those that "valid" and "same" name.

    Raises
    ------
    ArgumentError
        When the padding is none of these, or "same" meets a stride.
    """
    if padding == "valid":
        return ((0, 0),) * len(size)
    if padding == "same":
        if stride != (1,) * len(size):
            raise ArgumentError(f"padding 'same' needs a stride of 1, got {stride}")
        totals = [d * (k - 1) for k, d in zip(size, dilation)]
        return tuple((t // 2, t - t // 2) for t in totals)
    if isinstance(padding, str):
        raise ArgumentError(f"padding must be numbers, 'same' or 'valid', got {padding!r}")
    return pads(padding, len(size))


def check_floats(*avals: Aval) -> None:
    """Raises DTypeError unless the operands, promoted already, are real."""
    if not is_float(avals[0].dtype):
        raise DTypeError(f"operands must be real, got {avals[0].dtype}")


def check_images(x: Aval, rank: int, what: str = "operand") -> None:
    """Raises ShapeError unless the operand has a batch, channels, and `rank` spatial axes."""
    if x.ndim != rank + 2:
        raise ShapeError(
            f"{what} must have shape (batch, channels, {AXES[rank]}), got {show(x.shape)}"
        )


def spatial_rank(x: Aval) -> int:
    """The number of spatial axes.

    Raises
    ------
    ShapeError
        When there are neither 1 nor 2.
    """
    if x.ndim - 2 not in AXES:
        raise ShapeError(
            f"operand must have a batch, channels, and 1 or 2 spatial axes, got {show(x.shape)}"
        )
    return x.ndim - 2


def counts(
    lengths: Shape, size: Sizes, stride: Sizes, dilation: Sizes, padding: Pads, ceil: bool = False
) -> tuple[Size, ...]:
    """How many windows each spatial axis holds.

    Raises
    ------
    ShapeError
        When one holds none.
    """
    axes = zip(lengths, size, stride, dilation, padding)
    return tuple(count(*of, ceil) for of in axes)
