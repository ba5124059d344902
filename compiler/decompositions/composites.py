"""Composites written out in simple operators: element-wise ones, sums and maxima over axes.

A reduction keeps its axes with size 1 wherever its result meets the operand again, so that one loop
nest holds both. Rules that share a part (a mean, a spread) write it alike, so that it is computed
once for a function and its gradient.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...graphs.dims import Dim, Shape, product
from ...graphs.dtypes import BOOL
from ...graphs.ir import Value
from ...graphs.kernels.activations import CUBIC, STEEPNESS
from ...graphs.ops.elementwise import abs as abs_
from ...graphs.ops.elementwise import astype
from ...graphs.ops.functions import exp, log, reciprocal, rsqrt, sigmoid, sqrt
from ...graphs.ops.linalg import matrix_transpose
from ...graphs.ops.logic import isfinite, isnan, logical_and, logical_or, where
from ...graphs.ops.manipulation import reshape
from ...graphs.ops.reducing import reduced
from ...graphs.ops.reductions import max as max_
from ...graphs.ops.reductions import min as min_
from ...graphs.ops.reductions import sum as sum_
from .reductions import filled

Axes = tuple[int, ...]


def _count(x: Value, axes: Axes) -> Any:
    return product(tuple(x.shape[a] for a in axes))


def _mean(x: Value, axes: Axes) -> Any:
    return sum_(x, axes, keepdims=True) / _count(x, axes)


# -- reductions ------------------------------------------------------------------------------


def mean(x: Value, *, axis: Axes, keepdims: bool) -> Any:
    return sum_(x, axis, keepdims) / _count(x, axis)


def var(x: Value, *, axis: Axes, correction: float, keepdims: bool) -> Any:
    count = _count(x, axis)
    if isinstance(count, Dim):
        return None
    if not count or count <= correction:
        return filled(reduced(x.shape, axis, keepdims), math.nan, x.dtype)
    d = x - _mean(x, axis)
    return sum_(d * d, axis, keepdims) / (count - correction)


def std(x: Value, *, axis: Axes, correction: float, keepdims: bool) -> Any:
    spread = var(x, axis=axis, correction=correction, keepdims=keepdims)
    return None if spread is None else sqrt(spread)


def logsumexp(x: Value, *, axis: Axes, keepdims: bool) -> Any:
    count = _count(x, axis)
    if isinstance(count, Dim):
        return None
    if not count:
        return filled(reduced(x.shape, axis, keepdims), -math.inf, x.dtype)
    top = max_(x, axis, keepdims=True)
    # An infinite maximum less itself is NaN. Less 0 it gives the right infinity, and so do NaNs.
    top = where(isfinite(top), top, 0.0)
    y = log(sum_(exp(x - top), axis, keepdims=True)) + top
    return reshape(y, reduced(x.shape, axis, keepdims))


def vector_norm(x: Value, *, axis: Axes, keepdims: bool, ord: float) -> Any:
    if ord == 0:
        return sum_(astype(x != 0, x.dtype), axis, keepdims)
    if ord == 2:
        return sqrt(sum_(x * x, axis, keepdims))
    size = abs_(x)
    if math.isinf(ord):
        return (max_ if ord > 0 else min_)(size, axis, keepdims)
    if ord == 1:
        return sum_(size, axis, keepdims)
    return sum_(size**ord, axis, keepdims) ** (1 / ord)


# -- the softmax family ----------------------------------------------------------------------


def softmax(x: Value, *, axis: int) -> Any:
    e = exp(x - max_(x, axis, keepdims=True))
    return e * reciprocal(sum_(e, axis, keepdims=True))


def log_softmax(x: Value, *, axis: int) -> Any:
    d = x - max_(x, axis, keepdims=True)
    return d - log(sum_(exp(d), axis, keepdims=True))


def attention_weights(
    query: Value, key: Value, mask: Value, *, is_causal: bool, scale: float
) -> Any:
    scores = query @ matrix_transpose(key) * scale
    scores = where(mask, scores, -math.inf) if mask.dtype == BOOL else scores + mask
    if is_causal:
        rows, columns = scores.shape[-2:]
        if isinstance(rows, Dim) or isinstance(columns, Dim):
            return None
        earlier = np.arange(columns) <= np.arange(rows)[:, None]
        scores = where(earlier, scores, -math.inf)
    # Of a query that may look at no key all weights are zeros.
    top = max_(scores, -1, keepdims=True)
    e = exp(scores - where(top == -math.inf, 0.0, top))
    total = sum_(e, -1, keepdims=True)
    return e * reciprocal(where(total == 0, 1.0, total))


# -- rows of the last axes -------------------------------------------------------------------


def _row_axes(x: Value, shape: Shape) -> tuple[Axes, Axes]:
    """The axes before those of a row, and the row's."""
    first = len(x.shape) - len(shape)
    return tuple(range(first)), tuple(range(first, len(x.shape)))


def _normal_rows(x: Value, axes: Axes, eps: float, centred: bool) -> tuple[Any, Any]:
    """Rows scaled to a mean square of 1, and what they were multiplied with."""
    d = x - _mean(x, axes) if centred else x
    r = rsqrt(_mean(d * d, axes) + eps)
    return d * r, r


def layer_norm(x: Value, weight: Value, bias: Value, *, shape: Shape, eps: float) -> Any:
    y, _ = _normal_rows(x, _row_axes(x, shape)[1], eps, True)
    return y * weight + bias


def rms_norm(x: Value, weight: Value, *, shape: Shape, eps: float) -> Any:
    y, _ = _normal_rows(x, _row_axes(x, shape)[1], eps, False)
    return y * weight


def _over_rows(v: Any, rows: Axes) -> Any:
    return sum_(v, rows) if rows else v


def layer_norm_grad(x: Value, weight: Value, g: Value, *, shape: Shape, eps: float) -> Any:
    rows, axes = _row_axes(x, shape)
    y, r = _normal_rows(x, axes, eps, True)
    q = g * weight
    gx = (q - _mean(q, axes) - y * _mean(q * y, axes)) * r
    return gx, _over_rows(g * y, rows), _over_rows(g, rows)


def rms_norm_grad(x: Value, weight: Value, g: Value, *, shape: Shape, eps: float) -> Any:
    rows, axes = _row_axes(x, shape)
    y, r = _normal_rows(x, axes, eps, False)
    q = g * weight
    return (q - y * _mean(q * y, axes)) * r, _over_rows(g * y, rows)


# -- channels of a batch ---------------------------------------------------------------------


def _channel_axes(x: Value) -> Axes:
    return (0, *range(2, len(x.shape)))


def _beside(vector: Value, x: Value) -> Any:
    """A number per channel, or one for all, against the axes of the operand."""
    if not vector.shape:
        return vector
    return reshape(vector, (1, x.shape[1], *[1] * (len(x.shape) - 2)))


def _per_channel(v: Any) -> Any:
    return reshape(v, (v.shape[1],))


def batch_norm(x: Value, weight: Value, bias: Value, *, eps: float) -> Any:
    axes = _channel_axes(x)
    centre = _mean(x, axes)
    d = x - centre
    variance = _mean(d * d, axes)
    y = d * (_beside(weight, x) * rsqrt(variance + eps)) + _beside(bias, x)
    return y, _per_channel(centre), _per_channel(variance)


def batch_norm_grad(
    x: Value, weight: Value, mean: Value, variance: Value, g: Value, g_mean: Value,
    g_variance: Value, *, eps: float,
) -> Any:  # fmt: skip
    axes = _channel_axes(x)
    weight, mean, variance, g_mean, g_variance = (
        _beside(v, x) for v in (weight, mean, variance, g_mean, g_variance)
    )
    count, d, r = _count(x, axes), x - mean, rsqrt(variance + eps)
    total, slope = sum_(g, axes, keepdims=True), sum_(g * d, axes, keepdims=True)
    scale = weight * r
    along = (g_variance + g_variance - scale * r * r * slope) / count
    gx = g * scale + d * along + (g_mean - scale * total) / count
    return gx, _per_channel(slope * r), _per_channel(total)


def batch_norm_inference(
    x: Value, mean: Value, variance: Value, weight: Value, bias: Value, *, eps: float
) -> Any:
    mean, variance, weight, bias = (_beside(v, x) for v in (mean, variance, weight, bias))
    scale = weight * rsqrt(variance + eps)
    return x * scale + (bias - mean * scale)


# -- element by element ----------------------------------------------------------------------


def gelu_tanh_slope(x: Value) -> Any:
    squares = x * x
    below = sigmoid((squares * CUBIC + 1.0) * x * STEEPNESS)
    rise = (squares * (3 * CUBIC * STEEPNESS) + STEEPNESS) * x
    return below + rise * (1.0 - below) * below


def isclose(x: Value, y: Value, *, rtol: float, atol: float, equal_nan: bool) -> Any:
    near = logical_and(abs_(x - y) <= abs_(y) * rtol + atol, isfinite(y))
    close = logical_or(x == y, near)  # an infinity is close to itself alone
    return logical_or(close, logical_and(isnan(x), isnan(y))) if equal_nan else close


def nan_to_num(x: Value, *, nan: float, posinf: float, neginf: float) -> Any:
    finite = where(x == math.inf, posinf, where(x == -math.inf, neginf, x))
    return where(isnan(x), nan, finite)


COMPOSITES = {
    rule.__name__: rule
    for rule in (
        attention_weights, batch_norm, batch_norm_grad, batch_norm_inference, gelu_tanh_slope,
        isclose, layer_norm, layer_norm_grad, log_softmax, logsumexp, mean, nan_to_num, rms_norm,
        rms_norm_grad, softmax, std, var, vector_norm,
    )
}  # fmt: skip
