"""Reductions over axes, and the sums that undo broadcasting and gather cotangents."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..avals import Aval, as_shape, show
from ..dims import Shape, Size, product
from ..dtypes import BOOL, DEFAULT_INT, DTYPES
from ..errors import ShapeError
from ..kernels import reductions as kernels
from . import promotion
from .core import REQUIRED, Operator, defop, functions_of
from .elementwise import astype
from .manipulation import broadcast_to, reshape
from .rules import broadcast_shapes, normal_axes, normal_axis

_DOC = """
    Parameters
    ----------
    x : array
    axis : int or tuple of int, optional
        All axes by default.
    keepdims : bool
        Keep the reduced axes with size 1.

    Returns
    -------
    array without the reduced axes{result}

    Raises
    ------
    ShapeError
        When an axis is out of range{raises}.

    Examples
    --------
    >>> dt.{name}(dt.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    {example}
"""


def _axes(x: Aval, axis: Any, keepdims: bool) -> dict[str, Any]:
    return {"axis": normal_axes(axis, x.ndim), "keepdims": bool(keepdims)}


def _reduced(shape: Shape, axis: tuple[int, ...], keepdims: bool) -> Shape:
    if keepdims:
        return tuple(1 if i in axis else d for i, d in enumerate(shape))
    return tuple(d for i, d in enumerate(shape) if i not in axis)


def _sum(x: Aval, axis: tuple[int, ...], keepdims: bool) -> Aval:
    dtype = x.dtype
    if dtype == BOOL or dtype.kind == "i":
        dtype = DEFAULT_INT
    elif dtype.kind == "u":
        dtype = DTYPES["uint64"]
    return Aval(_reduced(x.shape, axis, keepdims), dtype, x.device)


def _not_empty(x: Aval, axis: tuple[int, ...], keepdims: bool) -> Aval:
    if any(x.shape[a] == 0 for a in axis):
        raise ShapeError(f"reduced axes must not be empty, got {show(x.shape)}")
    return Aval(_reduced(x.shape, axis, keepdims), x.dtype, x.device)


def _reads_all(ins: Any, outs: Any, attrs: Any) -> Size:
    return ins[0].size


def _spread(g: Any, x: Aval, axis: tuple[int, ...], keepdims: bool) -> Any:
    """A cotangent of a reduction, broadcast back over the reduced axes."""
    return broadcast_to(_with_axes(g, x, axis, keepdims), x.shape)


def _with_axes(y: Any, x: Aval, axis: tuple[int, ...], keepdims: bool) -> Any:
    return y if keepdims else reshape(y, _reduced(x.shape, axis, True))


def _extremum_vjp(c: Any, g: Any) -> Any:
    """The cotangent shared evenly between the elements that tie."""
    x = c.ins[0]
    hit = astype(c.x == _with_axes(c.y, x, c.axis, c.keepdims), x.dtype)
    share = hit / sum(hit, axis=c.axis, keepdims=True)
    return _with_axes(g, x, c.axis, c.keepdims) * share


_ATTRS = {"axis": None, "keepdims": False}

sum: Operator = defop(
    "sum",
    "x -> y",
    attrs=_ATTRS,
    normalise=_axes,
    infer=_sum,
    kernel=kernels.sum,
    vjp=(lambda c, g: _spread(g, c.ins[0], c.axis, c.keepdims),),
    saves=("",),
    cost=_reads_all,
    doc="Sum of elements over axes; small integers and bools are summed as 64-bit integers."
    + _DOC.format(name="sum", result="", raises="", example="tensor([4., 6.])"),
)

mean: Operator = defop(
    "mean",
    "x -> y",
    attrs=_ATTRS,
    normalise=_axes,
    infer=lambda x, axis, keepdims: replace(x, shape=_reduced(x.shape, axis, keepdims)),
    kernel=kernels.mean,
    promote=promotion.common_float,
    vjp=(
        lambda c, g: (
            _spread(g / product(tuple(c.ins[0].shape[a] for a in c.axis)),
                    c.ins[0], c.axis, c.keepdims)
        ),
    ),
    saves=("",),
    cost=_reads_all,
    doc="Arithmetic mean over axes, as a float."
    + _DOC.format(name="mean", result="", raises="", example="tensor([2., 3.])"),
)  # fmt: skip

max: Operator = defop(
    "max",
    "x -> y",
    attrs=_ATTRS,
    normalise=_axes,
    infer=_not_empty,
    kernel=kernels.max,
    vjp=(_extremum_vjp,),
    saves=("x y",),
    cost=_reads_all,
    doc="Largest element over axes; NaN where there is one. Ties share the gradient evenly."
    + _DOC.format(
        name="max", result="", raises=", or a reduced axis is empty", example="tensor([3., 4.])"
    ),
)

min: Operator = defop(
    "min",
    "x -> y",
    attrs=_ATTRS,
    normalise=_axes,
    infer=_not_empty,
    kernel=kernels.min,
    vjp=(_extremum_vjp,),
    saves=("x y",),
    cost=_reads_all,
    doc="Smallest element over axes; NaN where there is one. Ties share the gradient evenly."
    + _DOC.format(
        name="min", result="", raises=", or a reduced axis is empty", example="tensor([1., 2.])"
    ),
)


def _one_axis(x: Aval, axis: Any, keepdims: bool) -> dict[str, Any]:
    one = axis if axis is None else normal_axis(axis, x.ndim)
    return {"axis": one, "keepdims": bool(keepdims)}


def _argmax(x: Aval, axis: int | None, keepdims: bool) -> Aval:
    axes = tuple(range(x.ndim)) if axis is None else (axis,)
    return replace(_not_empty(x, axes, keepdims), dtype=DEFAULT_INT)


argmax: Operator = defop(
    "argmax",
    "x -> y",
    attrs={"axis": None, "keepdims": False},
    normalise=_one_axis,
    infer=_argmax,
    kernel=kernels.argmax,
    vjp=None,
    cost=_reads_all,
    doc="""Index of the first largest element, along an axis or of all.

    Parameters
    ----------
    x : array
    axis : int, optional
        By default the index is into the elements of all axes in row-major order.
    keepdims : bool
        Keep the reduced axes with size 1.

    Returns
    -------
    array, int64

    Raises
    ------
    ShapeError
        When the axis is out of range or empty.

    Examples
    --------
    >>> dt.argmax(dt.tensor([[1.0, 5.0], [7.0, 2.0]]), axis=1)
    tensor([1, 0])
    """,
)


def _sum_to(x: Aval, shape: Shape) -> Aval:
    if broadcast_shapes(shape, x.shape) != x.shape:
        raise ShapeError(
            f"shape must broadcast to the operand, got {show(x.shape)} to {show(shape)}"
        )
    return replace(x, shape=shape)


sum_to: Operator = defop(
    "sum_to",
    "x -> y",
    attrs={"shape": REQUIRED},
    normalise=lambda x, shape: {"shape": as_shape(shape)},
    infer=_sum_to,
    kernel=kernels.sum_to,
    vjp=(lambda c, g: broadcast_to(g, c.ins[0].shape),),
    saves=("",),
    cost=_reads_all,
    doc="""Sum over the axes that broadcasting `shape` to the operand's shape would repeat.

    Parameters
    ----------
    x : array
    shape : tuple of int

    Returns
    -------
    array of `shape`

    Raises
    ------
    ShapeError
        When `shape` does not broadcast to the shape of `x`.

    Examples
    --------
    >>> dt.sum_to(dt.tensor([[1.0, 2.0], [3.0, 4.0]]), (2,))
    tensor([4., 6.])
    """,
)


def _alike(*xs: Aval) -> Aval:
    if any(x.shape != xs[0].shape for x in xs):
        raise ShapeError(
            f"operands must have one shape, got {' and '.join(show(x.shape) for x in xs)}"
        )
    return xs[0]


accumulate: Operator = defop(
    "accumulate",
    "*xs -> y",
    infer=_alike,
    kernel=kernels.accumulate,
    promote=promotion.common,
    vjp=(lambda c, g, position: g,),
    saves=("",),
    cost=lambda ins, outs, attrs: (len(ins) - 1) * outs[0].size,
    doc="""Sum of arrays of one shape, from left to right: how cotangents meet.

    Parameters
    ----------
    xs : sequence of arrays of one shape

    Returns
    -------
    array of that shape, of the common dtype

    Raises
    ------
    ShapeError
        When the shapes differ.

    Examples
    --------
    >>> dt.accumulate([dt.tensor([1.0]), dt.tensor([2.0]), dt.tensor([3.0])])
    tensor([6.])
    """,
)

__all__ = functions_of(__name__)
