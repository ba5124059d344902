"""Axes moved, exchanged, joined and reversed, and elements moved along them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..avals import Aval
from ..dims import Size, product
from ..errors import ShapeError
from ..kernels import manipulation as kernels
from .batching import shifted
from .core import REQUIRED, Operator, defop
from .indexing import WHOLE, getitem
from .manipulation import named, permute_dims, reshape
from .plain import shaped
from .rules import no_flop, normal_axes, normal_axis


def _shifts(x: Aval, shift: Any, axis: Any) -> dict[str, Any]:
    """One shift per axis, in order of the axes; within the size where that is known."""
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    shifts = shift if isinstance(shift, tuple | list) else (shift,) * len(axes)
    if len(shifts) != len(axes):
        raise ShapeError(f"shifts must be one per axis, got {shift} for {axis}")
    normal_axes(axis, x.ndim)
    pairs = sorted((normal_axis(a, x.ndim), s) for a, s in zip(axes, shifts))
    return {
        "shift": tuple(_within(s, x.shape[a]) for a, s in pairs),
        "axis": tuple(a for a, _ in pairs),
    }


def _within(shift: Any, size: Size) -> int:
    if not isinstance(shift, int | np.integer) or isinstance(shift, bool):
        raise ShapeError(f"a shift must be a whole number, got {shift!r}")
    return int(shift) % size if isinstance(size, int) and size else int(shift)


_roll: Operator = defop(
    "roll",
    "x -> y",
    attrs={"shift": REQUIRED, "axis": REQUIRED},
    normalise=_shifts,
    infer=lambda x, shift, axis: x,
    kernel=kernels.roll,
    vjp=(lambda c, g: _roll(g, tuple(-s for s in c.shift), c.axis),),
    batch=shifted("axis"),
    cost=no_flop,
    doc="The operator behind `roll`.",
)


def roll(x: Any, shift: int | tuple[int, ...], axis: int | tuple[int, ...] | None = None) -> Any:
    """Elements moved along axes; those that leave at one end enter at the other.

    Parameters
    ----------
    x : array
    shift : int or tuple of int
        How many places they move, towards higher indices: one per axis, or one for all.
    axis : int or tuple of int, optional
        By default the elements move as if `x` had one axis, in row-major order.

    Returns
    -------
    array of the shape of `x`

    Raises
    ------
    ShapeError
        When an axis is out of range or given twice, or shifts and axes do not match.

    Examples
    --------
    >>> dt.roll(dt.tensor([1, 2, 3]), 1)
    tensor([3, 1, 2])
    """
    if axis is not None:
        return _roll(x, shift, axis)
    x = shaped(x, "roll")
    return reshape(_roll(reshape(x, -1), shift, 0), x.shape)


def moveaxis(x: Any, source: int | tuple[int, ...], destination: int | tuple[int, ...], /) -> Any:
    """A view with axes moved to new places; the others keep their order.

    Parameters
    ----------
    x : array
    source : int or tuple of int
        The axes to move.
    destination : int or tuple of int
        Where each of them stands in the result.

    Returns
    -------
    array

    Raises
    ------
    ShapeError
        When axes are out of range, repeated, or not as many here as there.

    Examples
    --------
    >>> dt.moveaxis(dt.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    x = shaped(x, "moveaxis")
    return permute_dims(x, named("moveaxis", _moved, source, destination, x.ndim))


def _moved(source: Any, destination: Any, ndim: int) -> tuple[int, ...]:
    normal_axes(source, ndim), normal_axes(destination, ndim)
    sources = [normal_axis(a, ndim) for a in _as_axes(source)]
    places = [normal_axis(a, ndim) for a in _as_axes(destination)]
    if len(sources) != len(places):
        raise ShapeError(f"each axis must have one place, got {source} to {destination}")
    order = [a for a in range(ndim) if a not in sources]
    for place, a in sorted(zip(places, sources)):
        order.insert(place, a)
    return tuple(order)


def _as_axes(axis: Any) -> Any:
    return axis if isinstance(axis, tuple | list) else (axis,)


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """A view with two axes exchanged.

    Parameters
    ----------
    x : array
    axis1, axis2 : int

    Returns
    -------
    array

    Raises
    ------
    ShapeError
        When an axis is out of range.

    Examples
    --------
    >>> dt.swapaxes(dt.zeros((2, 3, 4)), 0, 2).shape
    (4, 3, 2)
    """
    x = shaped(x, "swapaxes")
    one, other = (named("swapaxes", normal_axis, a, x.ndim) for a in (axis1, axis2))
    order = list(range(x.ndim))
    order[one], order[other] = other, one
    return permute_dims(x, tuple(order))


def flatten(x: Any, start_axis: int = 0, end_axis: int = -1) -> Any:
    """Some axes that follow each other made one. A view where possible.

    Parameters
    ----------
    x : array
    start_axis, end_axis : int
        The first and the last of them; all by default. A 0-d array gets one axis.

    Returns
    -------
    array

    Raises
    ------
    ShapeError
        When an axis is out of range, or the last stands before the first.

    Examples
    --------
    >>> dt.flatten(dt.zeros((2, 3, 4)), 1).shape
    (2, 12)
    """
    x = shaped(x, "flatten")
    shape = x.shape or (1,)
    first, last = (named("flatten", normal_axis, a, len(shape)) for a in (start_axis, end_axis))
    if last < first:
        raise ShapeError(
            f"flatten: start_axis must not be after end_axis, got {start_axis} and {end_axis}"
        )
    return reshape(x, (*shape[:first], product(shape[first : last + 1]), *shape[last + 1 :]))


def flip(x: Any, axis: int | tuple[int, ...] | None = None) -> Any:
    """A view with the elements along axes in reverse order.

    Parameters
    ----------
    x : array
    axis : int or tuple of int, optional
        All axes by default.

    Returns
    -------
    array of the shape of `x`

    Raises
    ------
    ShapeError
        When an axis is out of range or given twice.

    Examples
    --------
    >>> dt.flip(dt.tensor([1, 2, 3]))
    tensor([3, 2, 1])
    """
    x = shaped(x, "flip")
    axes = named("flip", normal_axes, axis, x.ndim)
    return getitem(x, tuple((None, None, -1) if a in axes else WHOLE for a in range(x.ndim)))


__all__ = ["flatten", "flip", "moveaxis", "roll", "swapaxes"]
