"""Convolutions, their transposes, and the gradient of their weights. The three are each other's
gradients.

Operands have shape (batch, channels, *spatial), weights (filters, channels / groups, *size).
"""

from __future__ import annotations

from math import prod
from typing import Any

from ..avals import Aval, show
from ..dims import Dim, Size
from ..errors import ArgumentError, ShapeError
from ..kernels import convolution as kernels
from ..kernels.windows import Pads, span
from . import promotion
from .batching import Results, apply, spread
from .core import REQUIRED, Bound, Operator, defop, functions_of
from .manipulation import permute_dims, reshape
from .rules import one_device
from .windows import (
    AXES,
    check_floats,
    check_images,
    counts,
    filter_pads,
    pads,
    per_axis,
    spatial_rank,
    whole,
)


def _groups(groups: Any) -> Size:
    return groups if isinstance(groups, Dim) else whole(groups, "groups", 1)


def _filter(weight: Aval, rank: int) -> tuple[int, ...]:
    """The spatial size of the weights.

    Raises
    ------
    ShapeError
        When they have the wrong number of axes, or no size known and above 0.
    """
    if weight.ndim != rank + 2:
        raise ShapeError(
            f"weight must have shape (channels, channels / groups, {AXES[rank]}), got "
            f"{show(weight.shape)}"
        )
    size = weight.shape[2:]
    if any(isinstance(n, Dim) or n == 0 for n in size):
        raise ShapeError(f"weight must have a known size above 0, got {show(weight.shape)}")
    return size  # type: ignore[return-value]


def _over_groups(channels: Size, groups: Size, what: str) -> Size:
    known = isinstance(channels, int) and isinstance(groups, int)
    if channels == 0 or (known and channels % groups):  # type: ignore[operator]
        raise ShapeError(
            f"{what} must be a positive multiple of the groups, got {channels} and {groups}"
        )
    return channels // groups


def _shorter(pair: tuple[int, int], by: Any) -> tuple[int, int]:
    return (pair[0], pair[1] - by)


def _exact(lengths: Any, size: Any, c: Any) -> Pads:
    """The padding without what the last window leaves over of the padded operand."""
    found = counts(lengths, size, c.stride, c.dilation, c.padding)
    return tuple(
        _shorter(pair, n + pair[0] + pair[1] - (s * (m - 1) + span(k, d)))
        for pair, n, m, k, s, d in zip(c.padding, lengths, found, size, c.stride, c.dilation)
    )


def _flop(per_output: Any) -> Any:
    return lambda ins, outs, attrs: 2 * per_output(ins, outs)


# -- batching --------------------------------------------------------------------------------


def _folded(call: Bound, operands: Any, batched: Any) -> Results:
    """Examples that share the weights become images of one batch."""
    x, weight = operands
    y = apply(call, reshape(x, (x.shape[0] * x.shape[1], *x.shape[2:])), weight)
    return reshape(y, (*x.shape[:2], *y.shape[1:]))


def _grouped(call: Bound, operands: Any, batched: Any) -> Results:
    """Examples that have weights of their own become groups of channels."""
    if not batched[1]:
        return _folded(call, operands, batched)
    x, weight = spread(call, operands, batched)
    size = x.shape[0]
    weight = reshape(weight, (size * weight.shape[1], *weight.shape[2:]))
    y = apply(call, _channels_together(x), weight, groups=call.attrs["groups"] * size)
    return _channels_apart(y, size)


def _grouped_weights(call: Bound, operands: Any, batched: Any) -> Results:
    x, g = spread(call, operands, batched)
    size = x.shape[0]
    y = apply(
        call, _channels_together(x), _channels_together(g), groups=call.attrs["groups"] * size
    )
    return reshape(y, (size, y.shape[0] // size, *y.shape[1:]))


def _channels_together(x: Any) -> Any:
    """(examples, batch, channels, ...) as (batch, examples * channels, ...)."""
    x = permute_dims(x, (1, 0, *range(2, x.ndim)))
    return reshape(x, (x.shape[0], x.shape[1] * x.shape[2], *x.shape[3:]))


def _channels_apart(y: Any, size: Size) -> Any:
    y = reshape(y, (y.shape[0], size, y.shape[1] // size, *y.shape[2:]))
    return permute_dims(y, (1, 0, *range(2, y.ndim)))


# -- convolution -----------------------------------------------------------------------------


def _geometry(
    x: Aval, weight: Aval, rank: int, stride: Any, padding: Any, dilation: Any, groups: Any
) -> dict[str, Any]:
    check_images(x, rank)
    size = _filter(weight, rank)
    stride = per_axis(stride, rank, "stride")
    dilation = per_axis(dilation, rank, "dilation")
    return {
        "stride": stride,
        "padding": filter_pads(padding, size, stride, dilation),
        "dilation": dilation,
        "groups": _groups(groups),
    }


def _convolved(
    x: Aval, weight: Aval, stride: Any, padding: Pads, dilation: Any, groups: Size
) -> Aval:
    check_floats(x)
    _over_groups(weight.shape[0], groups, "the weight's first axis")
    if _over_groups(x.shape[1], groups, "the operand's channels") != weight.shape[1]:
        raise ShapeError(
            "weight must take the operand's channels over the groups, got "
            f"{show(weight.shape)} for {show(x.shape)} and {groups} groups"
        )
    found = counts(x.shape[2:], _filter(weight, x.ndim - 2), stride, dilation, padding)
    return Aval((x.shape[0], weight.shape[0], *found), x.dtype, one_device(x, weight))


def _convolution(rank: int) -> Any:
    def normalise(x: Aval, weight: Aval, **attrs: Any) -> dict[str, Any]:
        return _geometry(x, weight, rank, **attrs)

    def vjp_x(c: Any, g: Any) -> Any:
        x, weight = c.ins
        return _transposed(rank)(
            g, c.weight, c.stride, _exact(x.shape[2:], weight.shape[2:], c), 0, c.groups, c.dilation
        )

    def vjp_weight(c: Any, g: Any) -> Any:
        size = c.ins[1].shape[2:]
        return conv_weight_grad(c.x, g, size, c.stride, c.padding, c.dilation, c.groups)

    return defop(
        f"conv{rank}d",
        "x, weight -> y",
        attrs={"stride": 1, "padding": 0, "dilation": 1, "groups": 1},
        normalise=normalise,
        infer=_convolved,
        kernel=kernels.convolution,
        promote=promotion.common_float,
        vjp=(vjp_x, vjp_weight),
        saves=("weight", "x"),
        batch=_grouped,
        cost=_flop(lambda ins, outs: outs[0].size * prod(ins[1].shape[1:])),
        doc=_CONVOLUTION.format(axes=AXES[rank], rank=rank, **_EXAMPLES[rank]),
    )


_CONVOLUTION = """Cross-correlation of images with filters, as the layers of networks compute it.

    Parameters
    ----------
    x : array, shape (batch, channels, {axes}), floats; integers become float32
    weight : array, shape (filters, channels / groups, {axes})
    stride : int or tuple of int
        How far apart the windows start.
    padding : int, tuple, "same" or "valid"
        Zeros before and after each axis: a number, one per axis, or a pair per axis, of which a
        negative number crops. "same" keeps the size and needs a stride of 1; "valid" pads nothing.
    dilation : int or tuple of int
        Distance between the places of a window.
    groups : int
        Parts into which channels and filters are divided; a filter sees the channels of its own.

    Returns
    -------
    array, shape (batch, filters, {axes}) with ``(size + padding - window) // stride + 1`` windows

    Raises
    ------
    ShapeError
        When the ranks or channels do not fit, or no window does.
    ArgumentError
        When an argument is out of its range.

    Examples
    --------
    >>> {code}
    {value}
    """

_EXAMPLES: dict[int, dict[str, str]] = {
    1: {
        "code": "dt.conv1d(dt.tensor([[[1.0, 2.0, 4.0]]]), dt.tensor([[[-1.0, 1.0]]]))",
        "value": "tensor([[[1., 2.]]])",
    },
    2: {
        "code": "dt.conv2d(dt.ones((1, 1, 3, 3)), dt.ones((1, 1, 3, 3)), padding=1)[0, 0, 0]",
        "value": "tensor([4., 6., 4.])",
    },
}


# -- transposed ------------------------------------------------------------------------------


def _geometry_transposed(
    x: Aval, weight: Aval, rank: int, stride: Any, padding: Any, output_padding: Any, groups: Any,
    dilation: Any,
) -> dict[str, Any]:  # fmt: skip
    """Output padding is taken off the padding, which may become negative."""
    check_images(x, rank)
    _filter(weight, rank)
    stride = per_axis(stride, rank, "stride")
    dilation = per_axis(dilation, rank, "dilation")
    extra = per_axis(output_padding, rank, "output_padding", 0)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation)):
        raise ArgumentError(
            "output_padding must be below the stride or the dilation, got "
            f"{extra} for {stride} and {dilation}"
        )
    return {
        "stride": stride,
        "padding": tuple(map(_shorter, pads(padding, rank), extra)),
        "output_padding": (0,) * rank,
        "groups": _groups(groups),
        "dilation": dilation,
    }


def _transposed_shape(
    x: Aval, weight: Aval, stride: Any, padding: Pads, output_padding: Any, groups: Size,
    dilation: Any,
) -> Aval:  # fmt: skip
    check_floats(x)
    _over_groups(x.shape[1], groups, "the operand's channels")
    if weight.shape[0] != x.shape[1]:
        raise ShapeError(
            "weight must have the operand's channels as its first axis, got "
            f"{show(weight.shape)} for {show(x.shape)}"
        )
    size = _filter(weight, x.ndim - 2)
    found = tuple(
        s * (n - 1) + span(k, d) - before - after
        for n, k, s, d, (before, after) in zip(x.shape[2:], size, stride, dilation, padding)
    )
    if any(not isinstance(n, Dim) and n < 1 for n in (*found, *x.shape[2:])):
        raise ShapeError(
            f"the result must not be empty, got {show(found)} from {show(x.shape)} and a padding "
            f"of {padding}"
        )
    shape = (x.shape[0], weight.shape[1] * groups, *found)
    return Aval(shape, x.dtype, one_device(x, weight))


def _transposed_convolution(rank: int) -> Any:
    def normalise(x: Aval, weight: Aval, **attrs: Any) -> dict[str, Any]:
        return _geometry_transposed(x, weight, rank, **attrs)

    def vjp_x(c: Any, g: Any) -> Any:
        return _forward(rank)(g, c.weight, c.stride, c.padding, c.dilation, c.groups)

    def vjp_weight(c: Any, g: Any) -> Any:
        size = c.ins[1].shape[2:]
        return conv_weight_grad(g, c.x, size, c.stride, c.padding, c.dilation, c.groups)

    return defop(
        f"conv_transpose{rank}d",
        "x, weight -> y",
        attrs={"stride": 1, "padding": 0, "output_padding": 0, "groups": 1, "dilation": 1},
        normalise=normalise,
        infer=_transposed_shape,
        kernel=kernels.transposed_convolution,
        promote=promotion.common_float,
        vjp=(vjp_x, vjp_weight),
        saves=("weight", "x"),
        batch=_grouped,
        cost=_flop(lambda ins, outs: ins[0].size * prod(ins[1].shape[1:])),
        doc=_TRANSPOSED.format(axes=AXES[rank], rank=rank, **_TRANSPOSED_EXAMPLES[rank]),
    )


_TRANSPOSED = """Transpose of `conv{rank}d`: each number of `x` adds a filter to the result.

    It is the gradient of `conv{rank}d` with respect to its images.

    Parameters
    ----------
    x : array, shape (batch, channels, {axes}), floats; integers become float32
    weight : array, shape (channels, filters / groups, {axes})
    stride : int or tuple of int
        How far apart the filters are added.
    padding : int or tuple
        What is cut off each end: a number, one per axis, or a pair per axis.
    output_padding : int or tuple of int
        Added to the size at the end of each axis; below the stride or the dilation.
    groups : int
    dilation : int or tuple of int

    Returns
    -------
    array, shape (batch, filters, {axes}) of ``stride * (size - 1) + window - padding`` and the
    output padding

    Raises
    ------
    ShapeError
        When the ranks or channels do not fit, or the result is empty.
    ArgumentError
        When an argument is out of its range.

    Examples
    --------
    >>> {code}
    {value}
    """

_TRANSPOSED_EXAMPLES: dict[int, dict[str, str]] = {
    1: {
        "code": "dt.conv_transpose1d(dt.tensor([[[1.0, 2.0]]]), dt.tensor([[[1.0, 1.0, 1.0]]]))",
        "value": "tensor([[[1., 3., 3., 2.]]])",
    },
    2: {
        "code": "dt.conv_transpose2d(dt.ones((1, 1, 2, 2)), dt.ones((1, 1, 2, 2)))[0, 0, 1]",
        "value": "tensor([2., 4., 2.])",
    },
}


# -- the gradient of the weights ---------------------------------------------------------------


def _geometry_weights(
    x: Aval, g: Aval, size: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> dict[str, Any]:
    rank = spatial_rank(x)
    check_images(g, rank, "cotangent")
    return {
        "size": per_axis(size, rank, "size"),
        "stride": per_axis(stride, rank, "stride"),
        "padding": pads(padding, rank),
        "dilation": per_axis(dilation, rank, "dilation"),
        "groups": _groups(groups),
    }


def _weights(
    x: Aval, g: Aval, size: Any, stride: Any, padding: Pads, dilation: Any, groups: Size
) -> Aval:
    check_floats(x)
    channels = _over_groups(x.shape[1], groups, "the operand's channels")
    _over_groups(g.shape[1], groups, "the cotangent's channels")
    found = counts(x.shape[2:], size, stride, dilation, padding)
    if (g.shape[0], *g.shape[2:]) != (x.shape[0], *found):
        raise ShapeError(
            "the cotangent must have the batch and the windows of the operand, got "
            f"{show(g.shape)} for {show((x.shape[0], g.shape[1], *found))}"
        )
    return Aval((g.shape[1], channels, *size), x.dtype, one_device(x, g))


conv_weight_grad: Operator = defop(
    "conv_weight_grad",
    "x, g -> weight",
    attrs={"size": REQUIRED, "stride": 1, "padding": 0, "dilation": 1, "groups": 1},
    normalise=_geometry_weights,
    infer=_weights,
    kernel=kernels.convolution_weight_grad,
    promote=promotion.common_float,
    vjp=(
        lambda c, h: _transposed(len(c.size))(
            c.g, h, c.stride, _exact(c.ins[0].shape[2:], c.size, c), 0, c.groups, c.dilation
        ),
        lambda c, h: _forward(len(c.size))(c.x, h, c.stride, c.padding, c.dilation, c.groups),
    ),
    saves=("g", "x"),
    batch=_grouped_weights,
    cost=_flop(lambda ins, outs: ins[1].size * prod(outs[0].shape[1:])),
    doc="""The gradient of `conv1d` and `conv2d` with respect to their weights.

    Parameters
    ----------
    x : array, shape (batch, channels, *spatial), floats
    g : array, shape (batch, filters, *windows)
        The cotangent of the convolution's result.
    size : int or tuple of int
        Of the filters.
    stride, padding, dilation, groups
        Of the convolution; the padding in numbers.

    Returns
    -------
    array, shape (filters, channels / groups, *size)

    Raises
    ------
    ShapeError
        When the cotangent has not the shape of the convolution's result.
    ArgumentError
        When an argument is out of its range.

    Examples
    --------
    >>> dt.conv_weight_grad(dt.tensor([[[1.0, 2.0, 4.0]]]), dt.tensor([[[1.0, 1.0]]]), 2)
    tensor([[[3., 6.]]])
    """,
)

conv1d: Operator = _convolution(1)
conv2d: Operator = _convolution(2)
conv_transpose1d: Operator = _transposed_convolution(1)
conv_transpose2d: Operator = _transposed_convolution(2)


def _forward(rank: int) -> Operator:
    return (conv1d, conv2d)[rank - 1]


def _transposed(rank: int) -> Operator:
    return (conv_transpose1d, conv_transpose2d)[rank - 1]


__all__ = functions_of(__name__)
