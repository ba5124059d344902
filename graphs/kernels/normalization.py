"""Normalisation kernels: means and variances first, then one scale and one shift a number."""

from __future__ import annotations

from math import prod
from typing import Any

from .calls import Description, Lying, call, is_native
from .precision import rounded_once
from .shapes.dense import ROW_PARTS, channels
from .shapes.dense import rows as rows_of
from .shapes.structs import is_dense


@rounded_once
def batch_norm(xp: Any, x: Any, weight: Any, bias: Any, *, eps: float) -> Any:
    y = xp.empty(x.shape, x.dtype)
    if is_native(xp, x, weight, bias):
        mean, variance = (xp.empty(x.shape[1], x.dtype) for _ in range(2))
        if call(_batch_norm, (x, weight, bias, y, mean, variance), eps):
            return y, mean, variance
    rows, scaled = _per_channel(x), _per_channel(y)
    mean = _channel_sums(xp, rows) / _count(x)
    xp.subtract(rows, mean[:, None], out=scaled)
    variance = xp.einsum("ncp,ncp->c", scaled, scaled) / _count(x)
    xp.multiply(scaled, (weight / xp.sqrt(variance + eps))[:, None], out=scaled)
    xp.add(scaled, bias[..., None], out=scaled)
    return y, mean, variance


@rounded_once
def batch_norm_inference(
    xp: Any, x: Any, mean: Any, variance: Any, weight: Any, bias: Any, *, eps: float,
    out: Any = None,
) -> Any:  # fmt: skip
    out = xp.empty(x.shape, x.dtype) if out is None else out
    operands = (x, mean, variance, weight, bias, out)
    if is_native(xp, *operands) and call(_inference, operands, eps):
        return out
    scale = weight / xp.sqrt(variance + eps)
    shift = bias - mean * scale
    rows = _per_channel(out)
    xp.multiply(_per_channel(x), scale[:, None], out=rows)
    xp.add(rows, shift[:, None], out=rows)
    return out


@rounded_once
def batch_norm_grad(
    xp: Any, x: Any, weight: Any, mean: Any, variance: Any, g: Any, g_mean: Any, g_variance: Any,
    *, eps: float,
) -> Any:  # fmt: skip
    operands = (x, weight, mean, variance, g, g_mean, g_variance)
    if is_native(xp, *operands):
        found = tuple([xp.empty(like.shape, x.dtype) for like in (x, mean, mean)])
        if call(_batch_norm_grad, (*operands, *found), eps):
            return found
    rows, cotangents, count = _per_channel(x), _per_channel(g), _count(x)
    rstd = 1 / xp.sqrt(variance + eps)
    away = rows - mean[:, None]
    total = _channel_sums(xp, cotangents)
    slope = xp.einsum("ncp,ncp->c", cotangents, away)
    scale = weight * rstd
    # Per channel the gradient is a sum of the cotangent, the distance from the mean, and 1.
    gx = xp.empty(x.shape, x.dtype)
    found = _per_channel(gx)
    xp.multiply(cotangents, scale[:, None], out=found)
    away *= ((2 * g_variance - scale * rstd * rstd * slope) / count)[:, None]
    found += away
    found += ((g_mean - scale * total) / count)[:, None]
    return gx, slope * rstd, total


@rounded_once
def layer_norm(
    xp: Any, x: Any, weight: Any, bias: Any, *, shape: Any, eps: float, out: Any = None
) -> Any:
    out = xp.empty(x.shape, x.dtype) if out is None else out
    if is_native(xp, x, weight, bias, out) and call(
        _layer_norm, (x, weight, bias, out), prod(shape), eps
    ):
        return out
    rows = out.reshape(-1, prod(shape))
    xp.subtract(x.reshape(rows.shape), _row_means(xp, x.reshape(rows.shape)), out=rows)
    return _scaled(xp, out, rows, weight, bias, eps)


@rounded_once
def rms_norm(xp: Any, x: Any, weight: Any, *, shape: Any, eps: float, out: Any = None) -> Any:
    out = xp.empty(x.shape, x.dtype) if out is None else out
    xp.copyto(out, x)
    return _scaled(xp, out, out.reshape(-1, prod(shape)), weight, None, eps)


@rounded_once
def layer_norm_grad(xp: Any, x: Any, weight: Any, g: Any, *, shape: Any, eps: float) -> Any:
    if is_native(xp, x, weight, g):
        found = tuple([xp.empty(sizes, x.dtype) for sizes in (x.shape, shape, shape)])
        if call(_layer_norm_grad, (x, weight, g, *found), prod(shape), eps):
            return found
    rows = x.reshape(-1, prod(shape))
    gx, gw, total = _row_gradients(xp, rows - _row_means(xp, rows), weight, g, shape, eps, True)
    return gx.reshape(x.shape), gw, total


@rounded_once
def rms_norm_grad(xp: Any, x: Any, weight: Any, g: Any, *, shape: Any, eps: float) -> Any:
    rows = x.reshape(-1, prod(shape)).copy()
    gx, gw, _ = _row_gradients(xp, rows, weight, g, shape, eps, False)
    return gx.reshape(x.shape), gw


# -- as calls of the library ------------------------------------------------------------------


def _batch_norm(
    x: Lying, weight: Lying, bias: Lying, y: Lying, mean: Lying, variance: Lying, eps: float,
    threads: int,
) -> Description | None:  # fmt: skip
    shape = channels(x, y, weight, bias, eps)
    return None if shape is None else Description("batch_norm", shape, (), 7 * prod(x.shape))


def _batch_norm_grad(
    x: Lying, weight: Lying, mean: Lying, variance: Lying, g: Lying, *rest: Any, threads: int
) -> Description | None:
    *vectors, eps = rest
    shape = channels(x, g, weight, weight, eps)
    if shape is None or not _are_dense(mean, variance, *vectors):
        return None
    return Description("batch_norm_grad", shape, (), 11 * prod(x.shape))


def _inference(
    x: Lying, mean: Lying, variance: Lying, weight: Lying, bias: Lying, y: Lying, eps: float,
    threads: int,
) -> Description | None:  # fmt: skip
    shape = channels(x, x, weight, bias, eps)
    if shape is None or not _are_dense(mean, variance, y):
        return None
    return Description("batch_norm_inference", shape, (), 2 * prod(x.shape))


def _layer_norm(
    x: Lying, weight: Lying, bias: Lying, y: Lying, width: int, eps: float, threads: int
) -> Description | None:
    shape = rows_of(x, width, weight, bias, eps)
    if shape is None or not _are_dense(y):
        return None
    return Description("layer_norm", shape, (), 8 * prod(x.shape))


def _layer_norm_grad(
    x: Lying, weight: Lying, g: Lying, gx: Lying, gw: Lying, gb: Lying, width: int, eps: float,
    threads: int,
) -> Description | None:  # fmt: skip
    shape = rows_of(x, width, weight, None, eps)
    if shape is None or not _are_dense(g):
        return None
    room = 2 * ROW_PARTS * width * x.dtype.itemsize
    return Description("layer_norm_grad", shape, (room,), 16 * prod(x.shape))


def _are_dense(*operands: Lying) -> bool:
    return all(map(is_dense, operands))


# -- with NumPy -------------------------------------------------------------------------------


def _scaled(xp: Any, out: Any, rows: Any, weight: Any, bias: Any, eps: float) -> Any:
    """Rows of mean 0 scaled in place to a mean square of 1, then by the weights."""
    squares = xp.einsum("rm,rm->r", rows, rows)[:, None] / rows.shape[1]
    xp.divide(rows, xp.sqrt(squares + eps), out=rows)
    xp.multiply(out, weight, out=out)
    return out if bias is None else xp.add(out, bias, out=out)


def _row_gradients(
    xp: Any, rows: Any, weight: Any, g: Any, shape: Any, eps: float, centred: bool
) -> Any:
    """Gradients of the operand, the weights and the bias; `rows` is overwritten."""
    count = rows.shape[1]
    rstd = 1 / xp.sqrt(xp.einsum("rm,rm->r", rows, rows)[:, None] / count + eps)
    rows *= rstd
    cotangents = g.reshape(rows.shape)
    gw, total = xp.einsum("rm,rm->m", cotangents, rows), cotangents.sum(axis=0)
    gx = xp.multiply(g, weight, out=xp.empty(g.shape, g.dtype)).reshape(rows.shape)
    slopes = xp.einsum("rm,rm->r", gx, rows)[:, None] / count
    if centred:
        gx -= _row_means(xp, gx)
    rows *= slopes
    gx -= rows
    gx *= rstd
    return gx, gw.reshape(shape), total.reshape(shape)


def _per_channel(x: Any) -> Any:
    """(batch, channels, *spatial) as (batch, channels, numbers): a view of dense memory."""
    return x.reshape(*x.shape[:2], prod(x.shape[2:]))


def _channel_sums(xp: Any, rows: Any) -> Any:
    return xp.einsum("ncp->c", rows)


def _count(x: Any) -> int:
    """Numbers in a channel."""
    return x.shape[0] * prod(x.shape[2:])


def _row_means(xp: Any, rows: Any) -> Any:
    return rows.mean(axis=1, keepdims=True)
