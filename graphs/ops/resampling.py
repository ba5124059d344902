"""Images resampled to another size. Resampling is linear: its gradient is its transpose."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..avals import Aval, as_shape, show
from ..dims import Dim, Shape, Size
from ..errors import ArgumentError, ShapeError
from ..kernels import resampling as kernels
from . import promotion
from .core import REQUIRED, Operator, defop, functions_of
from .pooling import folded
from .windows import check_floats, spatial_rank

_LINEAR = {1: "linear", 2: "bilinear"}


def _factors(scale_factor: Any, rank: int) -> tuple[Any, ...]:
    """One factor per axis, None where the sizes alone decide."""
    given = scale_factor if isinstance(scale_factor, tuple | list) else (scale_factor,) * rank
    right = all(
        f is None or (isinstance(f, int | float) and not isinstance(f, bool) and f > 0)
        for f in given
    )
    if len(given) != rank or not right:
        raise ArgumentError(
            f"scale_factor must be a number above 0 per spatial axis, got {scale_factor!r}"
        )
    return tuple(given)


def _scaled(length: Size, factor: float) -> Size:
    if not isinstance(length, Dim):
        return int(length * factor)
    if factor == int(factor):
        return length * int(factor)
    raise ShapeError(f"a symbolic length takes whole factors alone, got {length} and {factor}")


def _checked_mode(mode: Any, align_corners: Any, rank: int) -> dict[str, Any]:
    if mode not in ("nearest", _LINEAR[rank]):
        raise ArgumentError(f"mode must be 'nearest' or {_LINEAR[rank]!r}, got {mode!r}")
    if mode == "nearest" and align_corners:
        raise ArgumentError("align_corners is for linear modes, got mode 'nearest'")
    return {"mode": mode, "align_corners": bool(align_corners)}


def _sizes(size: Any, rank: int) -> Shape:
    sizes = as_shape((size,) * rank if not isinstance(size, tuple | list) else size)
    if len(sizes) != rank or any(n == 0 for n in sizes):
        raise ShapeError(
            f"size must have an entry above 0 per spatial axis, got {show(sizes)} for {rank}"
        )
    return sizes


def _to_size(
    x: Aval, size: Any, scale_factor: Any, mode: Any, align_corners: Any
) -> dict[str, Any]:
    rank = spatial_rank(x)
    factors = _factors(scale_factor, rank)
    if size is None:
        if None in factors:
            raise ArgumentError("either size or scale_factor must be given, got neither")
        size = tuple(_scaled(n, f) for n, f in zip(x.shape[2:], factors))
    sizes = _sizes(size, rank)
    if any(f is not None and n != _scaled(m, f) for n, m, f in zip(sizes, x.shape[2:], factors)):
        raise ArgumentError(
            f"size and scale_factor must agree, got {show(sizes)} and {scale_factor}"
        )
    return {
        "size": sizes,
        "scale_factor": factors,
        **_checked_mode(mode, align_corners, rank),
    }


def _resized(x: Aval, size: Shape, **attrs: Any) -> Aval:
    check_floats(x)
    if any(n == 0 for n in x.shape[2:]):
        raise ShapeError(f"images must not be empty, got {show(x.shape)}")
    return replace(x, shape=(*x.shape[:2], *size))


interpolate: Operator = defop(
    "interpolate",
    "x -> y",
    attrs={"size": None, "scale_factor": None, "mode": "nearest", "align_corners": False},
    normalise=_to_size,
    infer=_resized,
    kernel=kernels.interpolate,
    promote=promotion.common_float,
    vjp=(
        lambda c, g: interpolate_grad(
            g, c.ins[0].shape[2:], c.scale_factor, c.mode, c.align_corners
        ),
    ),
    saves=("",),
    batch=folded,
    cost=lambda ins, outs, attrs: _places(attrs) * outs[0].size,
    doc="""Images resampled to another size.

    Parameters
    ----------
    x : array, shape (batch, channels, *spatial) with 1 or 2 spatial axes, floats; integers become
        float32
    size : int or tuple of int, optional
        Of the result.
    scale_factor : number or tuple of numbers, optional
        The result's size over the operand's, rounded down, in place of `size`.
    mode : {"nearest", "linear", "bilinear"}
        The number whose place is at or before that of the result, or the mean of its neighbours
        weighted by distance: "linear" with one spatial axis, "bilinear" with two.
    align_corners : bool
        Whether the first and last numbers of both lie on each other; else their outer edges do.

    Returns
    -------
    array, shape (batch, channels, *size)

    Raises
    ------
    ShapeError
        When the operand is no batch of images, or a size is 0.
    ArgumentError
        When an argument is out of its range.

    Examples
    --------
    >>> dt.interpolate(dt.tensor([[[1.0, 3.0]]]), 4)
    tensor([[[1., 1., 3., 3.]]])
    >>> dt.interpolate(dt.tensor([[[1.0, 3.0]]]), 3, mode="linear", align_corners=True)
    tensor([[[1., 2., 3.]]])
    """,
)


def _places(attrs: Any) -> int:
    """FLOP for each number of the larger image."""
    return 1 if attrs["mode"] == "nearest" else 3 * len(attrs["size"])


def _from_size(g: Aval, size: Any, scale_factor: Any, mode: Any, align_corners: Any) -> Any:
    rank = spatial_rank(g)
    return {
        "size": _sizes(size, rank),
        "scale_factor": _factors(scale_factor, rank),
        **_checked_mode(mode, align_corners, rank),
    }


interpolate_grad: Operator = defop(
    "interpolate_grad",
    "g -> gx",
    attrs={"size": REQUIRED, "scale_factor": None, "mode": "nearest", "align_corners": False},
    normalise=_from_size,
    infer=_resized,
    kernel=kernels.interpolate_grad,
    promote=promotion.common_float,
    vjp=(lambda c, h: interpolate(h, c.ins[0].shape[2:], c.scale_factor, c.mode, c.align_corners),),
    saves=("",),
    batch=folded,
    cost=lambda ins, outs, attrs: _places(attrs) * ins[0].size,
    doc="""The gradient of `interpolate`: each cotangent goes to the numbers that it came from.

    Parameters
    ----------
    g : array, shape (batch, channels, *spatial), floats
    size : int or tuple of int
        Of the images that were resampled.
    scale_factor, mode, align_corners
        Of the resampling.

    Returns
    -------
    array, shape (batch, channels, *size)

    Raises
    ------
    ShapeError
        When the cotangent is no batch of images, or a size is 0.
    ArgumentError
        When an argument is out of its range.

    Examples
    --------
    >>> dt.interpolate_grad(dt.tensor([[[1.0, 2.0, 3.0, 4.0]]]), 2)
    tensor([[[3., 7.]]])
    """,
)

__all__ = functions_of(__name__)
