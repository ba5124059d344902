"""Joining arrays, splitting them, and repeating and padding what they hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..avals import Aval, as_shape, show
from ..dims import Dim, Shape, Size
from ..dtypes import INT64, is_integer
from ..errors import ArgumentError, DTypeError, ShapeError
from ..kernels import manipulation as kernels
from . import promotion
from .batching import apply, spread
from .core import REQUIRED, Operator, defop
from .creation import full
from .indexing import WHOLE, getitem, scatter_slice, setitem
from .manipulation import broadcast_to, device_of, expand_dims, named, reshape
from .plain import shaped
from .rules import no_flop, normal_axis


def _concat(*xs: Aval, axis: int) -> Aval:
    first = xs[0]
    total: Size = 0
    for x in xs:
        if x.ndim != first.ndim or any(
            a != b for i, (a, b) in enumerate(zip(x.shape, first.shape)) if i != axis
        ):
            shapes = " and ".join(show(x.shape) for x in xs)
            raise ShapeError(f"shapes must agree but for axis {axis}, got {shapes}")
        total = total + x.shape[axis]
    return replace(first, shape=(*first.shape[:axis], total, *first.shape[axis + 1 :]))


def _concat_axis(*xs: Aval, axis: Any) -> dict[str, Any]:
    return {"axis": normal_axis(axis, xs[0].ndim)}


def _piece(c: Any, g: Any, position: int) -> Any:
    start: Size = 0
    for x in c.ins[:position]:
        start = start + x.shape[c.axis]
    stop = start + c.ins[position].shape[c.axis]
    return getitem(g, (*[WHOLE] * c.axis, (start, stop, None)))


def _spread_batch(call: Any, operands: Any, batched: Any) -> Any:
    """Every operand gets the batch, behind which the axis moves."""
    return apply(call, *spread(call, operands, batched), axis=call.attrs["axis"] + 1)


_joined: Operator = defop(
    "concat",
    "*xs -> y",
    attrs={"axis": 0},
    normalise=_concat_axis,
    infer=_concat,
    kernel=kernels.concat,
    promote=promotion.common,
    vjp=(_piece,),
    saves=("",),
    batch=_spread_batch,
    cost=no_flop,
    doc="The operator behind `concat`.",
)


def concat(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    """Arrays joined along an axis that they have.

    Parameters
    ----------
    arrays : sequence of arrays
    axis : int, optional
        None: each array is flattened first.

    Returns
    -------
    array of the common dtype

    Raises
    ------
    ShapeError
        When there is no operand, or the other axes differ.

    Examples
    --------
    >>> dt.concat([dt.tensor([1.0]), dt.tensor([2.0, 3.0])])
    tensor([1., 2., 3.])
    """
    if axis is None:
        return _joined([reshape(x, -1) for x in arrays], 0)
    return _joined(arrays, axis)


def _stacked(*xs: Aval, axis: int) -> Aval:
    if any(x.shape != xs[0].shape for x in xs):
        raise ShapeError(f"shapes must agree, got {' and '.join(show(x.shape) for x in xs)}")
    shape = xs[0].shape
    return replace(xs[0], shape=(*shape[:axis], len(xs), *shape[axis:]))


stack: Operator = defop(
    "stack",
    "*arrays -> y",
    attrs={"axis": 0},
    normalise=lambda *xs, axis: {"axis": normal_axis(axis, xs[0].ndim + 1)},
    infer=_stacked,
    kernel=kernels.stack,
    promote=promotion.common,
    vjp=(lambda c, g, position: getitem(g, (*[WHOLE] * c.axis, position)),),
    saves=("",),
    batch=_spread_batch,
    cost=no_flop,
    doc="""Arrays of one shape joined along a new axis.

    Parameters
    ----------
    arrays : sequence of arrays
    axis : int
        Where the new axis stands in the result.

    Returns
    -------
    array of the common dtype

    Raises
    ------
    ShapeError
        When there is no operand, the shapes differ, or the axis is out of range.

    Examples
    --------
    >>> dt.stack([dt.tensor([1.0, 2.0]), dt.tensor([3.0, 4.0])])
    tensor([[1., 2.],
            [3., 4.]])
    """,
)


def unstack(x: Any, axis: int = 0) -> tuple[Any, ...]:
    """Views of an array, one per index on an axis, which they lack.

    Parameters
    ----------
    x : array
    axis : int

    Returns
    -------
    tuple of arrays

    Raises
    ------
    ShapeError
        When the axis is out of range, or symbolic.

    Examples
    --------
    >>> dt.unstack(dt.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    (tensor([1., 3.]), tensor([2., 4.]))
    """
    x = shaped(x, "unstack")
    axis, size = named("unstack", _known, x.shape, axis)
    return tuple(getitem(x, (*[WHOLE] * axis, i)) for i in range(size))


def split(x: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> tuple[Any, ...]:
    """Views of parts of an array that follow each other along an axis.

    Parameters
    ----------
    x : array
    indices_or_sections : int or sequence of int
        How many parts of one size there are; or where the second part begins, the third, and so
        on.
    axis : int

    Returns
    -------
    tuple of arrays

    Raises
    ------
    ShapeError
        When the axis is out of range or symbolic, or does not divide into equal parts.

    Examples
    --------
    >>> dt.split(dt.tensor([1, 2, 3, 4]), 2)
    (tensor([1, 2]), tensor([3, 4]))
    """
    x = shaped(x, "split")
    place, size = named("split", _known, x.shape, axis)
    parts = indices_or_sections
    if isinstance(parts, int) and parts > 0 and size % parts:
        raise ShapeError(
            f"split: parts must be of one size, got {parts} of {size}; array_split allows parts "
            "that differ"
        )
    return _parts("split", x, parts, place, size)


def array_split(x: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> tuple[Any, ...]:
    """Views of parts of an array, as `split`; the first parts may be longer by one.

    Parameters
    ----------
    x : array
    indices_or_sections : int or sequence of int
    axis : int

    Returns
    -------
    tuple of arrays

    Raises
    ------
    ShapeError
        When the axis is out of range or symbolic, or there are no parts.

    Examples
    --------
    >>> dt.array_split(dt.tensor([1, 2, 3]), 2)
    (tensor([1, 2]), tensor([3]))
    """
    x = shaped(x, "array_split")
    place, size = named("array_split", _known, x.shape, axis)
    return _parts("array_split", x, indices_or_sections, place, size)


def _parts(name: str, x: Any, given: Any, axis: int, size: int) -> tuple[Any, ...]:
    if isinstance(given, int):
        if given < 1:
            raise ShapeError(f"{name}: there must be at least one part, got {given}")
        least, longer = divmod(size, given)
        lengths = [least + (part < longer) for part in range(given)]
        starts = [sum(lengths[:part]) for part in range(1, given)]
    else:
        starts = list(given)
    bounds = zip([None, *starts], [*starts, None])
    return tuple(getitem(x, (*[WHOLE] * axis, (start, stop, None))) for start, stop in bounds)


def _known(shape: Shape, axis: Any) -> tuple[int, int]:
    """An axis counted from 0, and its size, which must be known."""
    axis = normal_axis(axis, len(shape))
    size = shape[axis]
    if isinstance(size, Dim):
        raise ShapeError(f"the size of the axis must be known, got {show(shape)}, axis {axis}")
    return axis, size


def tile(x: Any, repetitions: int | tuple[int, ...], /) -> Any:
    """An array repeated as a whole along its axes.

    Parameters
    ----------
    x : array
    repetitions : int or tuple of int
        How often, per axis; aligned with the last axes of `x`, which gets new ones in front where
        there are more.

    Returns
    -------
    array

    Raises
    ------
    ShapeError
        When a number of repetitions is negative.

    Examples
    --------
    >>> dt.tile(dt.tensor([1, 2]), (2, 2))
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    x = shaped(x, "tile")
    shape, times = x.shape, named("tile", _counts, repetitions)
    ndim = max(len(shape), len(times))
    times = (1,) * (ndim - len(times)) + times
    shape = (1,) * (ndim - len(shape)) + shape
    # Each axis becomes two, of which the first is repeated.
    apart = tuple(n for size in shape for n in (1, size))
    repeated = tuple(n for pair in zip(times, shape) for n in pair)
    whole = tuple(t * size for t, size in zip(times, shape))
    return reshape(broadcast_to(reshape(x, apart), repeated), whole)


def _counts(repetitions: Any) -> tuple[int, ...]:
    given = repetitions if isinstance(repetitions, tuple | list) else (repetitions,)
    if any(not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 0 for n in given):
        raise ShapeError(f"repetitions must be whole numbers of at least 0, got {repetitions}")
    return tuple(map(int, given))


def _repeat_size(repeats: Aval, size: Any) -> dict[str, Any]:
    return {"size": as_shape(size)[0]}


def _sources(repeats: Aval, size: Size) -> Aval:
    if not is_integer(repeats.dtype):
        raise DTypeError(f"repeats must be integers, got {repeats.dtype}")
    if repeats.shape not in ((), (1,), (size,)):
        raise ShapeError(
            f"repeats must be one number or one per element, got {show(repeats.shape)} for {size} "
            "elements"
        )
    return Aval((Dim.of_data("repeated"),), INT64, repeats.device)


repeat_positions: Operator = defop(
    "repeat_positions",
    "repeats -> indices",
    attrs={"size": REQUIRED},
    normalise=_repeat_size,
    infer=_sources,
    kernel=kernels.repeat_positions,
    vjp=None,
    may_raise=True,
    dynamic=True,
    cost=no_flop,
    doc="""Where the elements of a repeated axis come from: the indices for `take`.

    Parameters
    ----------
    repeats : array of integers, shape (), (1,) or (size,)
        How often each element is repeated, at least 0.
    size : int
        How many elements there are.

    Returns
    -------
    array, shape (sum of repeats,), int64

    Raises
    ------
    DTypeError
        When `repeats` are no integers.
    ShapeError
        When there is not one of them per element.
    RangeError
        When the kernel meets a negative one.
    StaticValueError
        In a graph: the shape depends on data.

    Examples
    --------
    >>> dt.repeat_positions(dt.tensor([2, 0, 1]), 3)
    tensor([0, 0, 2])
    """,
)


def repeat(x: Any, repeats: Any, /, axis: int | None = None) -> Any:
    """Each element repeated in its place.

    Parameters
    ----------
    x : array
    repeats : int or array of integers
        How often: one number for all, or one per element of the axis. The size of the result then
        depends on data, which eager code can have and a graph cannot.
    axis : int, optional
        By default `x` is flattened first.

    Returns
    -------
    array

    Raises
    ------
    ShapeError
        When the axis is out of range, or the number of repetitions is negative.
    RangeError
        When one among several is.
    DTypeError
        When `repeats` are no integers.
    StaticValueError
        In a graph, when `repeats` is no constant.

    Examples
    --------
    >>> dt.repeat(dt.tensor([1, 2, 3]), 2)
    tensor([1, 1, 2, 2, 3, 3])
    >>> dt.repeat(dt.tensor([1, 2, 3]), dt.tensor([0, 1, 3]))
    tensor([2, 3, 3, 3])
    """
    x = shaped(x, "repeat")
    if axis is None:
        x, axis = reshape(x, -1), 0
    shape = x.shape
    axis = named("repeat", normal_axis, axis, len(shape))
    if not isinstance(repeats, int | np.integer):
        from .advanced import take

        return take(x, repeat_positions(repeats, shape[axis]), axis)
    [times] = named("repeat", _counts, repeats)
    apart = expand_dims(x, axis + 1)
    each = broadcast_to(apart, (*shape[: axis + 1], times, *shape[axis + 1 :]))
    return reshape(each, (*shape[:axis], shape[axis] * times, *shape[axis + 1 :]))


_EXTENSIONS = ("edge", "reflect", "symmetric", "wrap")


def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: float = 0) -> Any:
    """An array with elements added before and after those it has.

    Parameters
    ----------
    x : array
    pad_width : int, (before, after), or one such pair per axis
    mode : {"constant", "edge", "reflect", "symmetric", "wrap"}
        What is added: `constant_values`; the last element; the mirror image without or with the
        last element; what stands at the other end.
    constant_values : number

    Returns
    -------
    array

    Raises
    ------
    ShapeError
        When there is not one pair per axis, a width is negative, or an axis that is empty or
        symbolic should be extended by its own elements.
    ArgumentError
        When the mode is none of these.

    Examples
    --------
    >>> dt.pad(dt.tensor([1, 2, 3]), (1, 2))
    tensor([0, 1, 2, 3, 0, 0])
    >>> dt.pad(dt.tensor([1, 2, 3]), (1, 2), mode="reflect")
    tensor([2, 1, 2, 3, 2, 1])
    """
    x = shaped(x, "pad")
    shape = x.shape
    widths = named("pad", _widths, pad_width, len(shape))
    if mode == "constant":
        return _surrounded(x, widths, constant_values)
    if mode not in _EXTENSIONS:
        raise ArgumentError(
            f"pad: mode must be one of constant, {', '.join(_EXTENSIONS)}, got {mode!r}"
        )
    from .advanced import take

    for axis, width in enumerate(widths):
        if width != (0, 0):
            if isinstance(shape[axis], Dim) or not shape[axis]:
                raise ShapeError(
                    f"pad: an axis must have elements to extend it by, got {show(shape)}, "
                    f"axis {axis}"
                )
            # NumPy's rules for what stands where, applied to positions.
            x = take(x, np.pad(np.arange(shape[axis]), width, mode), axis)  # type: ignore[call-overload]
    return x


def _widths(pad_width: Any, ndim: int) -> list[tuple[int, int]]:
    wrong = ShapeError(
        f"widths must be whole numbers of at least 0, a pair per axis, got {pad_width} for "
        f"{ndim} axes"
    )
    try:
        given = np.asarray(pad_width)
        pairs = np.broadcast_to(given, (ndim, 2))
    except ValueError:
        raise wrong from None
    if (given.dtype.kind not in "iu" and given.size) or (given < 0).any():
        raise wrong
    return [(int(before), int(after)) for before, after in pairs]


def _surrounded(x: Any, widths: list[tuple[int, int]], value: Any) -> Any:
    inside = tuple((before, before + size, None) for size, (before, _) in zip(x.shape, widths))
    outer = tuple(before + size + after for size, (before, after) in zip(x.shape, widths))
    if value == 0 and math.copysign(1, value) > 0:
        return scatter_slice(x, inside, outer)
    frame = full(outer, value, dtype=x.dtype, device=device_of(x))
    return setitem(frame, x, inside)


__all__ = [
    "array_split", "concat", "pad", "repeat", "repeat_positions", "split", "stack", "tile",
    "unstack",
]  # fmt: skip
