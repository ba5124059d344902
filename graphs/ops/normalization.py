"""Normalisation over batches: each channel by the mean and variance of the numbers that it has.

The gradient is an operator of its own with several results, so that the sums which they share are
taken once. Its own rules come from the projection of these results on cotangents, which is written
beside them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..avals import Aval, show
from ..dims import Dim, Size, product
from ..errors import ArgumentError, ShapeError
from ..kernels import normalization as kernels
from . import promotion
from .batching import Results, apply, batch_size
from .core import Bound, Operator, defop, functions_of
from .functions import sqrt
from .gradients import each
from .manipulation import broadcast_to, permute_dims, reshape
from .reductions import sum as sum_
from .rules import one_device
from .windows import check_floats


def eps_of(*avals: Aval, eps: Any, **attrs: Any) -> dict[str, Any]:
    if not isinstance(eps, int | float) or isinstance(eps, bool) or eps < 0:
        raise ArgumentError(f"eps must be a number of at least 0, got {eps!r}")
    return {**attrs, "eps": float(eps)}


def flop(per_number: int) -> Any:
    return lambda ins, outs, attrs: per_number * ins[0].size


# -- over batches ------------------------------------------------------------------------------


def _check_channels(x: Aval, **vectors: Aval) -> None:
    """Raises ShapeError unless the operand has channels and each vector one number for each."""
    check_floats(x)
    if x.ndim < 2:
        raise ShapeError(f"operand must have a batch and channels, got {show(x.shape)}")
    for name, vector in vectors.items():
        scalar = vector.ndim == 0 and name in ("weight", "bias")
        if vector.shape != (x.shape[1],) and not scalar:
            raise ShapeError(
                f"{name} must have a number per channel, got {show(vector.shape)} for "
                f"{show(x.shape)}"
            )


def _check_numbers(x: Aval) -> None:
    count = _per_channel(x)
    if not isinstance(count, Dim) and count < 2:
        raise ShapeError(f"each channel must have at least 2 numbers, got {show(x.shape)}")


def _per_channel(x: Aval) -> Size:
    return product((x.shape[0], *x.shape[2:]))


def _channel_axes(x: Any) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def _beside(vector: Any, x: Any) -> Any:
    """A number per channel, or one for all, against the axes of the operand."""
    return reshape(vector, (-1, *[1] * (x.ndim - 2))) if vector.ndim else vector


def like(gradient: Any, aval: Aval) -> Any:
    """The gradient of weights that may be one number for all."""
    return gradient if aval.ndim else sum_(gradient)


def _batch_norm(x: Aval, weight: Aval, bias: Aval, eps: float) -> tuple[Aval, Aval, Aval]:
    _check_channels(x, weight=weight, bias=bias)
    _check_numbers(x)
    y = replace(x, device=one_device(x, weight, bias))
    per_channel = replace(y, shape=(x.shape[1],))
    return y, per_channel, per_channel


def _batch_norm_grads(c: Any, *cotangents: Any) -> tuple[Any, ...]:
    found = batch_norm_grad(c.x, c.weight, c.mean, c.variance, *cotangents, c.eps)
    return found[0], like(found[1], c.ins[1]), like(found[2], c.ins[2])


def _example_channels(call: Bound, operands: Any, batched: Any) -> list[Any]:
    """Operands whose examples stand next to each other as channels."""
    size = batch_size(operands, batched)
    found = []
    for x, aval, is_batched in zip(operands, call.ins, batched):
        if not is_batched:
            x = broadcast_to(x, (size, *aval.shape))
        if aval.ndim == 0:  # one weight for all channels of an example
            x = broadcast_to(reshape(x, (size, 1)), (size, call.ins[0].shape[1]))
        if aval.ndim > 1:
            x = permute_dims(x, (1, 0, *range(2, aval.ndim + 1)))
            found.append(reshape(x, (x.shape[0], x.shape[1] * x.shape[2], *x.shape[3:])))
        else:
            found.append(reshape(x, (-1,)))
    return found


def _over_examples(call: Bound, operands: Any, batched: Any) -> Results:
    size = batch_size(operands, batched)
    results = apply(call, *_example_channels(call, operands, batched))
    several = isinstance(results, tuple)
    found = []
    for y, aval in zip(results if several else (results,), call.outs):
        if aval.ndim > 1:
            y = reshape(y, (y.shape[0], size, y.shape[1] // size, *y.shape[2:]))
            found.append(permute_dims(y, (1, 0, *range(2, y.ndim))))
        else:
            y = reshape(y, (size, -1))
            found.append(y if aval.ndim else sum_(y, axis=1))
    return tuple(found) if several else found[0]


batch_norm: Operator = defop(
    "batch_norm",
    "x, weight, bias -> y, mean, variance",
    attrs={"eps": 1e-5},
    normalise=eps_of,
    infer=_batch_norm,
    kernel=kernels.batch_norm,
    promote=promotion.common_float,
    vjp=each(_batch_norm_grads, 3),
    saves=("x weight mean variance",) * 3,
    batch=_over_examples,
    cost=flop(7),
    doc="""Each channel scaled to mean 0 and variance 1 over the batch, then scaled and shifted.

    Parameters
    ----------
    x : array, shape (batch, channels, ...), floats; integers become float32
    weight, bias : array, shape (channels,), or number
    eps : float
        Added to the variance.

    Returns
    -------
    y : array of the shape of `x`
    mean, variance : array, shape (channels,)
        Of the batch; the variance is the mean squared distance from the mean.

    Raises
    ------
    ShapeError
        When the shapes do not fit, or a channel has fewer than 2 numbers.
    ArgumentError
        When `eps` is negative.

    Examples
    --------
    >>> y, mean, variance = dt.batch_norm(dt.tensor([[1.0], [3.0]]), 1.0, 0.0, eps=0.0)
    >>> y.tolist(), mean, variance
    ([[-1.0], [1.0]], tensor([2.]), tensor([1.]))
    """,
)


def _batch_norm_grad(
    x: Aval, weight: Aval, mean: Aval, variance: Aval, g: Aval, g_mean: Aval, g_variance: Aval,
    eps: float,
) -> tuple[Aval, Aval, Aval]:  # fmt: skip
    vectors = {"mean": mean, "variance": variance, "g_mean": g_mean, "g_variance": g_variance}
    _check_channels(x, weight=weight, **vectors)
    _check_numbers(x)
    check_like(g, x)
    return x, mean, mean


def check_like(g: Aval, x: Aval) -> None:
    if g.shape != x.shape:
        raise ShapeError(
            f"the cotangent must have the operand's shape, got {show(g.shape)} for {show(x.shape)}"
        )


def _batch_norm_second(c: Any, h: Any, h_weight: Any, h_bias: Any) -> tuple[Any, ...]:
    """Gradients of all seven operands, from the projection

        weight r (sum(h g) - sum(h) sum(g) / n) - weight r^3 sum(h d) sum(g d) / n
        + g_mean sum(h) / n + 2 g_variance sum(h d) / n + h_weight r sum(g d) + h_bias sum(g)

    with d = x - mean, r = 1 / sqrt(variance + eps), n numbers in a channel, and sums over each.
    """
    axes, n = _channel_axes(c.x), _per_channel(c.ins[0])
    d, r = c.x - _beside(c.mean, c.x), 1 / sqrt(c.variance + c.eps)
    sum_h, sum_gd, sum_hd = sum_(h, axes), sum_(c.g * d, axes), sum_(h * d, axes)
    covariance = sum_(h * c.g, axes) - sum_h * sum_(c.g, axes) / n
    scale = c.weight * r
    cubic = scale * r * r / n
    mixed = h_weight * r - cubic * sum_hd
    by_g = (
        h * _beside(scale, c.x) + d * _beside(mixed, c.x)
        + _beside(h_bias - scale * sum_h / n, c.x)
    )  # fmt: skip
    by_d = c.g * _beside(mixed, c.x) + h * _beside(2 * c.g_variance / n - cubic * sum_gd, c.x)
    by_r = c.weight * covariance - 3 * cubic / r * sum_hd * sum_gd + h_weight * sum_gd
    by_weight = r * covariance - r * r * r * sum_hd * sum_gd / n
    return (
        by_d, like(by_weight, c.ins[1]), -sum_(by_d, axes), by_r * (-0.5 * r * r * r), by_g,
        sum_h / n, 2 * sum_hd / n,
    )  # fmt: skip


batch_norm_grad: Operator = defop(
    "batch_norm_grad",
    "x, weight, mean, variance, g, g_mean, g_variance -> gx, gweight, gbias",
    attrs={"eps": 1e-5},
    normalise=eps_of,
    infer=_batch_norm_grad,
    kernel=kernels.batch_norm_grad,
    promote=promotion.common_float,
    vjp=each(_batch_norm_second, 7),
    saves=("x weight mean variance g g_variance",) * 7,
    batch=_over_examples,
    cost=flop(11),
    doc="""The gradients of `batch_norm`.

    Parameters
    ----------
    x : array, shape (batch, channels, ...), floats
    weight : array, shape (channels,), or number
    mean, variance : array, shape (channels,)
        What `batch_norm` gave.
    g, g_mean, g_variance : array
        The cotangents of its three results.
    eps : float

    Returns
    -------
    gx : array of the shape of `x`
    gweight, gbias : array, shape (channels,)

    Raises
    ------
    ShapeError
        When the shapes do not fit, or a channel has fewer than 2 numbers.
    ArgumentError
        When `eps` is negative.

    Examples
    --------
    >>> x = dt.tensor([[1.0], [3.0]])
    >>> y, mean, variance = dt.batch_norm(x, 1.0, 0.0, eps=0.0)
    >>> zero = dt.zeros(1)
    >>> gx, gweight, gbias = dt.batch_norm_grad(x, 1.0, mean, variance, y, zero, zero, eps=0.0)
    >>> gx.tolist(), gweight, gbias
    ([[0.0], [0.0]], tensor([2.]), tensor([0.]))
    """,
)


def _inference(
    x: Aval, mean: Aval, variance: Aval, weight: Aval, bias: Aval, eps: float
) -> Aval:  # fmt: skip
    _check_channels(x, mean=mean, variance=variance, weight=weight, bias=bias)
    return replace(x, device=one_device(x, mean))


def _inference_grads(c: Any, g: Any) -> tuple[Any, ...]:
    axes, r = _channel_axes(c.x), 1 / sqrt(c.variance + c.eps)
    scale, total = c.weight * r, sum_(g, _channel_axes(c.x))
    slope = sum_(g * (c.x - _beside(c.mean, c.x)), axes)
    by_variance = -0.5 * scale * r * r * slope
    return (
        g * _beside(scale, c.x), -scale * total, by_variance, like(slope * r, c.ins[3]),
        like(total, c.ins[4]),
    )  # fmt: skip


batch_norm_inference: Operator = defop(
    "batch_norm_inference",
    "x, mean, variance, weight, bias -> y",
    attrs={"eps": 1e-5},
    normalise=eps_of,
    infer=_inference,
    kernel=kernels.batch_norm_inference,
    promote=promotion.common_float,
    vjp=each(_inference_grads, 5),
    saves=("x mean variance weight",) * 5,
    batch=_over_examples,
    in_place=True,
    cost=flop(2),
    doc="""Each channel shifted and scaled by a given mean and variance, then by weights and biases.

    Parameters
    ----------
    x : array, shape (batch, channels, ...), floats; integers become float32
    mean, variance : array, shape (channels,)
    weight, bias : array, shape (channels,), or number
    eps : float
        Added to the variance.

    Returns
    -------
    array of the shape of `x`

    Raises
    ------
    ShapeError
        When the shapes do not fit.
    ArgumentError
        When `eps` is negative.

    Examples
    --------
    >>> one = dt.ones(1)
    >>> dt.batch_norm_inference(dt.tensor([[1.0], [3.0]]), 2 * one, one, 1.0, 0.0, eps=0.0).tolist()
    [[-1.0], [1.0]]
    """,
)

__all__ = functions_of(__name__)
