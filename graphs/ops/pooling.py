"""Pooling over windows: the largest number, and the mean.

The gradient of a maximum is shared evenly between the numbers that tie, so it depends on the
operand; it and its transpose, `max_pool_tangent`, are each other's gradients.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

from ..avals import Aval, as_shape, show
from ..dims import Shape, Size
from ..errors import ArgumentError, ShapeError
from ..kernels import pooling as kernels
from ..kernels.windows import Pads, count, span
from . import promotion
from .batching import Results, apply, spread
from .core import REQUIRED, Bound, Operator, defop, functions_of
from .gradients import flat
from .manipulation import reshape
from .windows import AXES, check_floats, check_images, counts, pads, per_axis, spatial_rank


def folded(call: Bound, operands: Any, batched: Any) -> Results:
    """The batching rule of operators that treat images alike: examples join the batch."""
    whole = spread(call, operands, batched)
    examples, images = whole[0].shape[:2]
    y = apply(call, *(reshape(x, (examples * images, *x.shape[2:])) for x in whole))
    return reshape(y, (examples, images, *y.shape[1:]))


def _window(
    rank: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any = 1
) -> dict[str, Any]:
    size = per_axis(kernel_size, rank, "kernel_size")
    pairs = pads(padding, rank)
    dilation = per_axis(dilation, rank, "dilation")
    for pair, k, d in zip(pairs, size, dilation):
        if min(pair) < 0 or max(pair) >= span(k, d):
            raise ArgumentError(
                f"padding must be at least 0 and below the window, got {max(pair)} for {span(k, d)}"
            )
    return {
        "kernel_size": size,
        "stride": size if stride is None else per_axis(stride, rank, "stride"),
        "padding": pairs,
        "dilation": dilation,
    }


def _reads_windows(ins: Any, outs: Any, attrs: Any) -> Size:
    return outs[0].size * prod(attrs["kernel_size"])


_DOC = """{says} of each window that slides over images.

    Parameters
    ----------
    x : array, shape (batch, channels, {axes}), floats; integers become float32
    kernel_size : int or tuple of int
    stride : int or tuple of int, optional
        The kernel size by default.
    padding : int or tuple
        Before and after each axis: a number, one per axis, or a pair per axis. {padding}{dilation}
    ceil_mode : bool
        Whether a last window may reach beyond the padding.{include}

    Returns
    -------
    array, shape (batch, channels, {axes})

    Raises
    ------
    ShapeError
        When the operand is no batch of images, or no window fits.
    ArgumentError
        When an argument is out of its range.

    Examples
    --------
    >>> dt.{name}(dt.tensor({data}), 2)
    {value}
    """

_DATA = {1: "[[[1.0, 2.0, 5.0, 3.0]]]", 2: "[[[[1.0, 2.0], [5.0, 4.0]]]]"}


# -- the largest number ------------------------------------------------------------------------


def _max_pool(rank: int) -> Any:
    def normalise(x: Aval, ceil_mode: Any, **window: Any) -> dict[str, Any]:
        check_images(x, rank)
        return {**_window(rank, **window), "ceil_mode": bool(ceil_mode)}

    def infer(
        x: Aval, kernel_size: Any, stride: Any, padding: Pads, dilation: Any, ceil_mode: bool
    ) -> Aval:
        check_floats(x)
        found = counts(x.shape[2:], kernel_size, stride, dilation, padding, ceil_mode)
        return replace(x, shape=(*x.shape[:2], *found))

    return defop(
        f"max_pool{rank}d",
        "x -> y",
        attrs={
            "kernel_size": REQUIRED,
            "stride": None,
            "padding": 0,
            "dilation": 1,
            "ceil_mode": False,
        },
        normalise=normalise,
        infer=infer,
        kernel=kernels.max_pool,
        promote=promotion.common_float,
        vjp=(
            lambda c, g: max_pool_grad(c.x, c.y, g, c.kernel_size, c.stride, c.padding, c.dilation),
        ),
        saves=("x y",),
        batch=folded,
        cost=_reads_windows,
        doc=_DOC.format(
            says="The largest number",
            axes=AXES[rank],
            padding="It never is the largest.",
            dilation="\n    dilation : int or tuple of int\n        "
            "Distance between the places of a window.",
            include="",
            name=f"max_pool{rank}d",
            data=_DATA[rank],
            value={1: "tensor([[[2., 5.]]])", 2: "tensor([[[[5.]]]])"}[rank],
        ),
    )


def _pooled(
    x: Aval, y: Aval, t: Aval, kernel_size: Any, stride: Any, padding: Pads, dilation: Any
) -> None:
    """Raises ShapeError unless `y` has the batch, the channels and the windows of `x`."""
    check_floats(x)
    few = counts(x.shape[2:], kernel_size, stride, dilation, padding)
    # A window more than fits is one that `ceil_mode` adds.
    fits = all(n == m or n == m + 1 for n, m in zip(y.shape[2:], few))
    if y.ndim != x.ndim or y.shape[:2] != x.shape[:2] or not fits:
        raise ShapeError(
            "the maxima must have the windows of the operand, got "
            f"{show(y.shape)} for {show((*x.shape[:2], *few))}"
        )


def _max_pool_grad(x: Aval, y: Aval, g: Aval, **window: Any) -> Aval:
    _pooled(x, y, g, **window)
    if g.shape != y.shape:
        raise ShapeError(
            f"the cotangent must have the shape of the maxima, got {show(g.shape)} for "
            f"{show(y.shape)}"
        )
    return x


def _max_pool_tangent(x: Aval, y: Aval, t: Aval, **window: Any) -> Aval:
    _pooled(x, y, t, **window)
    if t.shape != x.shape:
        raise ShapeError(
            f"the tangent must have the shape of the operand, got {show(t.shape)} for "
            f"{show(x.shape)}"
        )
    return y


def _pooled_window(x: Aval, y: Aval, t: Aval, **window: Any) -> dict[str, Any]:
    return _window(spatial_rank(x), **window)


_WINDOW = {"kernel_size": REQUIRED, "stride": None, "padding": 0, "dilation": 1}

max_pool_grad: Operator = defop(
    "max_pool_grad",
    "x, y, g -> gx",
    attrs=_WINDOW,
    normalise=_pooled_window,
    infer=_max_pool_grad,
    kernel=kernels.max_pool_grad,
    promote=promotion.common_float,
    vjp=(
        flat(0),
        flat(1),
        lambda c, h: max_pool_tangent(c.x, c.y, h, c.kernel_size, c.stride, c.padding, c.dilation),
    ),
    saves=("", "", "x y"),
    batch=folded,
    cost=lambda ins, outs, attrs: 4 * ins[1].size * prod(attrs["kernel_size"]),
    doc="""The gradient of `max_pool1d` and `max_pool2d`.

    Each window's cotangent goes to its largest number, evenly to those that tie.

    Parameters
    ----------
    x : array, shape (batch, channels, *spatial), floats
    y : array, shape (batch, channels, *windows)
        What pooling gave.
    g : array of the shape of `y`
    kernel_size, stride, padding, dilation
        Of the pooling.

    Returns
    -------
    array of the shape of `x`

    Raises
    ------
    ShapeError
        When the shapes do not fit.
    ArgumentError
        When an argument is out of its range.

    Examples
    --------
    >>> x = dt.tensor([[[1.0, 2.0, 5.0, 5.0]]])
    >>> dt.max_pool_grad(x, dt.max_pool1d(x, 2), dt.ones((1, 1, 2)), 2)
    tensor([[[0. , 1. , 0.5, 0.5]]])
    """,
)

max_pool_tangent: Operator = defop(
    "max_pool_tangent",
    "x, y, t -> ty",
    attrs=_WINDOW,
    normalise=_pooled_window,
    infer=_max_pool_tangent,
    kernel=kernels.max_pool_tangent,
    promote=promotion.common_float,
    vjp=(
        flat(0),
        flat(1),
        lambda c, h: max_pool_grad(c.x, c.y, h, c.kernel_size, c.stride, c.padding, c.dilation),
    ),
    saves=("", "", "x y"),
    batch=folded,
    cost=lambda ins, outs, attrs: 4 * outs[0].size * prod(attrs["kernel_size"]),
    doc="""How `max_pool1d` and `max_pool2d` change when their operand does.

    It is the transpose of their gradient.

    Parameters
    ----------
    x : array, shape (batch, channels, *spatial), floats
    y : array, shape (batch, channels, *windows)
        What pooling gave.
    t : array of the shape of `x`
        The tangent.
    kernel_size, stride, padding, dilation
        Of the pooling.

    Returns
    -------
    array of the shape of `y`

    Raises
    ------
    ShapeError
        When the shapes do not fit.
    ArgumentError
        When an argument is out of its range.

    Examples
    --------
    >>> x = dt.tensor([[[1.0, 2.0, 5.0, 5.0]]])
    >>> t = dt.tensor([[[1.0, 2.0, 3.0, 4.0]]])
    >>> dt.max_pool_tangent(x, dt.max_pool1d(x, 2), t, 2)
    tensor([[[2. , 3.5]]])
    """,
)

max_pool1d: Operator = _max_pool(1)
max_pool2d: Operator = _max_pool(2)


# -- the mean ----------------------------------------------------------------------------------


def _mean_window(rank: int, ceil_mode: Any, count_include_pad: Any, **window: Any) -> Any:
    found = _window(rank, **window)
    del found["dilation"]
    return {
        **found, "ceil_mode": bool(ceil_mode), "count_include_pad": bool(count_include_pad)
    }  # fmt: skip


def _means(
    lengths: Shape, kernel_size: Any, stride: Any, padding: Pads, ceil_mode: bool
) -> tuple[Size, ...]:
    axes = zip(lengths, kernel_size, stride, padding)
    return tuple(count(n, k, s, 1, pair, ceil_mode) for n, k, s, pair in axes)


_MEAN_WINDOW = {
    "kernel_size": REQUIRED,
    "stride": None,
    "padding": 0,
    "ceil_mode": False,
    "count_include_pad": True,
}


def _avg_pool(rank: int) -> Any:
    def normalise(x: Aval, **window: Any) -> dict[str, Any]:
        check_images(x, rank)
        return _mean_window(rank, **window)

    def infer(
        x: Aval, kernel_size: Any, stride: Any, padding: Pads, ceil_mode: bool,
        count_include_pad: bool,
    ) -> Aval:  # fmt: skip
        check_floats(x)
        found = _means(x.shape[2:], kernel_size, stride, padding, ceil_mode)
        return replace(x, shape=(*x.shape[:2], *found))

    return defop(
        f"avg_pool{rank}d",
        "x -> y",
        attrs=_MEAN_WINDOW,
        normalise=normalise,
        infer=infer,
        kernel=kernels.avg_pool,
        promote=promotion.common_float,
        vjp=(
            lambda c, g: avg_pool_grad(
                g, c.ins[0].shape[2:], c.kernel_size, c.stride, c.padding, c.ceil_mode,
                c.count_include_pad,
            ),
        ),
        saves=("",),
        batch=folded,
        cost=_reads_windows,
        doc=_DOC.format(
            says="The mean",
            axes=AXES[rank],
            padding="Zeros.",
            dilation="",
            include="\n    count_include_pad : bool\n        "
            "Whether padding counts as numbers of a window.",
            name=f"avg_pool{rank}d",
            data=_DATA[rank],
            value={1: "tensor([[[1.5, 4. ]]])", 2: "tensor([[[[3.]]]])"}[rank],
        ),
    )  # fmt: skip


def _avg_pool_grad(
    g: Aval, size: Shape, kernel_size: Any, stride: Any, padding: Pads, ceil_mode: bool,
    count_include_pad: bool,
) -> Aval:  # fmt: skip
    check_floats(g)
    found = _means(size, kernel_size, stride, padding, ceil_mode)
    if g.shape[2:] != found:
        raise ShapeError(
            f"the cotangent must have the windows of the images, got {show(g.shape)} for "
            f"{show((*g.shape[:2], *found))}"
        )
    return replace(g, shape=(*g.shape[:2], *size))


def _sized_window(g: Aval, size: Any, **window: Any) -> dict[str, Any]:
    rank = spatial_rank(g)
    sizes = as_shape(size)
    if len(sizes) != rank:
        raise ShapeError(f"size must have an entry per spatial axis, got {show(sizes)} for {rank}")
    return {"size": sizes, **_mean_window(rank, **window)}


avg_pool_grad: Operator = defop(
    "avg_pool_grad",
    "g -> gx",
    attrs={"size": REQUIRED, **_MEAN_WINDOW},
    normalise=_sized_window,
    infer=_avg_pool_grad,
    kernel=kernels.avg_pool_grad,
    promote=promotion.common_float,
    vjp=(
        lambda c, h: (avg_pool1d, avg_pool2d)[len(c.size) - 1](
            h, c.kernel_size, c.stride, c.padding, c.ceil_mode, c.count_include_pad
        ),
    ),
    saves=("",),
    batch=folded,
    cost=lambda ins, outs, attrs: ins[0].size * prod(attrs["kernel_size"]),
    doc="""The gradient of `avg_pool1d` and `avg_pool2d`: each cotangent spread over its window.

    Parameters
    ----------
    g : array, shape (batch, channels, *windows), floats
    size : tuple of int
        Of the images, one per spatial axis.
    kernel_size, stride, padding, ceil_mode, count_include_pad
        Of the pooling.

    Returns
    -------
    array, shape (batch, channels, *size)

    Raises
    ------
    ShapeError
        When the cotangent has not the shape of the pooling's result.
    ArgumentError
        When an argument is out of its range.

    Examples
    --------
    >>> dt.avg_pool_grad(dt.tensor([[[1.0, 2.0]]]), 4, 2)
    tensor([[[0.5, 0.5, 1. , 1. ]]])
    """,
)

avg_pool1d: Operator = _avg_pool(1)
avg_pool2d: Operator = _avg_pool(2)

__all__ = functions_of(__name__)
