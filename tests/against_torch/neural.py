"""Rows of the neural functions."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch

from diptych.nn import functional as ours

from .base import Case, Rng, a_shape, integers, numbers

theirs = torch.nn.functional


def _sizes(rng: Rng, rank: int, low: int, high: int) -> tuple[int, ...]:
    return tuple(rng.integers(low, high + 1, rank).tolist())


def _pick(rng: Rng, *choices: Any) -> Any:
    return choices[int(rng.integers(len(choices)))]


# -- convolution -------------------------------------------------------------------------------


def _convolution(rank: int) -> Any:
    def draw(rng: Rng) -> tuple[Any, ...]:
        groups = int(rng.integers(1, 4))
        channels, filters = (groups * n for n in _sizes(rng, 2, 1, 3))
        size, stride, dilation = (_sizes(rng, rank, 1, 3) for _ in range(3))
        padding = _sizes(rng, rank, 0, 2)
        room = _sizes(rng, rank, 0, 5)
        lengths = [
            max(1, d * (k - 1) + 1 - 2 * p) + r for k, d, p, r in zip(size, dilation, padding, room)
        ]
        options = {"stride": stride, "dilation": dilation, "groups": groups, "padding": padding}
        if rng.random() < 0.2:
            options.update(stride=1, padding="same")
        x = numbers(rng, (int(rng.integers(1, 4)), channels, *lengths))
        weight = numbers(rng, (filters, channels // groups, *size))
        return x, weight, numbers(rng, (filters,)), options

    return draw


def _transposed(rank: int) -> Any:
    def draw(rng: Rng) -> tuple[Any, ...]:
        groups = int(rng.integers(1, 4))
        channels, filters = (groups * n for n in _sizes(rng, 2, 1, 3))
        size, stride, dilation = (_sizes(rng, rank, 1, 3) for _ in range(3))
        lengths, padding = _sizes(rng, rank, 3, 6), _sizes(rng, rank, 0, 1)
        extra = tuple(int(rng.integers(0, max(s, d))) for s, d in zip(stride, dilation))
        x = numbers(rng, (int(rng.integers(1, 4)), channels, *lengths))
        weight = numbers(rng, (channels, filters // groups, *size))
        return x, weight, numbers(rng, (filters,)), {
            "stride": stride, "dilation": dilation, "groups": groups, "padding": padding,
            "output_padding": extra,
        }  # fmt: skip

    return draw


# -- pooling and resampling --------------------------------------------------------------------


def _pooling(rank: int, mean: bool) -> Any:
    def draw(rng: Rng) -> tuple[Any, ...]:
        size, stride = _sizes(rng, rank, 1, 4), _sizes(rng, rank, 1, 4)
        padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in size)
        options = {"stride": stride, "padding": padding, "ceil_mode": bool(rng.random() < 0.5)}
        if mean:
            options["count_include_pad"] = bool(rng.random() < 0.5)
        lengths = [k + int(r) for k, r in zip(size, rng.integers(0, 6, rank))]
        return numbers(rng, (2, 3, *lengths)), size, options

    return draw


def _adaptive(rank: int) -> Any:
    def draw(rng: Rng) -> tuple[Any, ...]:
        return numbers(rng, (2, 3, *_sizes(rng, rank, 1, 7))), _sizes(rng, rank, 1, 7)

    return draw


def _resampling(rng: Rng) -> tuple[Any, ...]:
    rank = int(rng.integers(1, 3))
    mode = _pick(rng, "nearest", ("linear", "bilinear")[rank - 1])
    x = numbers(rng, (2, 3, *_sizes(rng, rank, 2, 6)))
    options: dict[str, Any] = {"mode": mode}
    if mode != "nearest":
        options["align_corners"] = bool(rng.random() < 0.5)
    if rng.random() < 0.5:
        return x, {"size": _sizes(rng, rank, 1, 12), **options}
    return x, {"scale_factor": tuple(_pick(rng, 0.5, 1.5, 2, 3.0) for _ in range(rank)), **options}


# -- normalisation -----------------------------------------------------------------------------


def _images(rng: Rng) -> tuple[Any, ...]:
    return 2 + int(rng.integers(0, 4)), 2 * int(rng.integers(1, 4)), *_sizes(rng, 2, 1, 4)


def _batch(rng: Rng) -> tuple[Any, ...]:
    shape = _images(rng)
    return numbers(rng, shape), numbers(rng, shape[1:2]), numbers(rng, shape[1:2])


def _running(rng: Rng) -> tuple[Any, ...]:
    x, weight, bias = _batch(rng)
    return x, numbers(rng, bias.shape), numbers(rng, bias.shape, 0.5, 2.0), weight, bias


def _rows(rng: Rng) -> tuple[Any, ...]:
    # Rows of a few numbers that lie close together have gradients of few exact digits.
    shape = (*a_shape(rng, 0, 2), *_sizes(rng, int(rng.integers(1, 3)), 3, 6))
    row = shape[-int(rng.integers(1, 3)) :]
    return numbers(rng, shape), row, numbers(rng, row), numbers(rng, row)


def _groups(rng: Rng) -> tuple[Any, ...]:
    x, weight, bias = _batch(rng)
    return np.concatenate([x, x * x], -1), _pick(rng, 1, 2), weight, bias


# -- losses ------------------------------------------------------------------------------------


def _classes(rng: Rng) -> tuple[Any, ...]:
    rows, classes = a_shape(rng, 1, 2), int(rng.integers(2, 6))
    labels = integers(rng, rows, 0, classes)
    options: dict[str, Any] = {"reduction": _pick(rng, "mean", "sum", "none")}
    if rng.random() < 0.5 and (labels != labels.flat[0]).any():
        options["ignore_index"] = int(labels.flat[0])
    return numbers(rng, (*rows, classes)), labels, numbers(rng, (classes,), 0.5, 2.0), options


def _smoothed(rng: Rng) -> tuple[Any, ...]:
    *args, options = _classes(rng)
    return *args, {**options, "label_smoothing": _pick(rng, 0.0, 0.1, 0.6)}


def _flattened(loss: Any, weighted: bool) -> Any:
    """A loss of torch's, whose classes are the second axis, on rows of classes."""

    def call(x: Any, labels: Any, weight: Any, options: Any) -> Any:
        given = {"weight": weight.detach()} if weighted else {}
        y = loss(x.reshape(-1, x.shape[-1]), labels.reshape(-1), **given, **options)
        return y.reshape(labels.shape) if y.ndim else y

    return call


def _labelled(loss: Any, weighted: bool) -> Any:
    def call(x: Any, labels: Any, weight: Any, options: Any) -> Any:
        return loss(x, labels, weight.detach() if weighted else None, **options)

    return call


def _distributions(rng: Rng) -> tuple[Any, ...]:
    rows, classes = int(rng.integers(1, 5)), int(rng.integers(2, 5))
    target = numbers(rng, (rows, classes), 0.1, 1.0)
    options = {"label_smoothing": _pick(rng, 0.0, 0.2), "reduction": _pick(rng, "mean", "none")}
    return numbers(rng, (rows, classes)), target / target.sum(-1, keepdims=True), options


def _two(low: float = -2.0, high: float = 2.0) -> Any:
    def draw(rng: Rng) -> tuple[Any, ...]:
        shape = a_shape(rng, 1)
        options = {"reduction": _pick(rng, "mean", "sum", "none")}
        return numbers(rng, shape, low, high), numbers(rng, shape, low, high), options

    return draw


def _bent(name: str) -> Any:
    def draw(rng: Rng) -> tuple[Any, ...]:
        *args, options = _two()(rng)
        return *args, {**options, name: _pick(rng, 0.5, 1.0, 2.0)}

    return draw


def _weighted(rng: Rng) -> tuple[Any, ...]:
    x, target, options = _two()(rng)
    return x, np.abs(target) / 2, numbers(rng, x.shape, 0.5, 2.0), options


def _divergence(rng: Rng) -> tuple[Any, ...]:
    x, target, _ = _two()(rng)
    log_target = bool(rng.random() < 0.5)
    reduction = _pick(rng, "mean", "batchmean", "sum", "none")
    target = target if log_target else np.abs(target)
    return x, target, {"reduction": reduction, "log_target": log_target}


# -- the rest ----------------------------------------------------------------------------------


def _one(rng: Rng) -> tuple[Any, ...]:
    return (numbers(rng, a_shape(rng)),)


def _with_axis(rng: Rng) -> tuple[Any, ...]:
    shape = a_shape(rng, 1)
    return numbers(rng, shape), int(rng.integers(-len(shape), len(shape)))


def _slopes(rng: Rng) -> tuple[Any, ...]:
    shape = a_shape(rng, 2)
    return numbers(rng, shape), numbers(rng, (_pick(rng, 1, shape[1]),))


def _attention(rng: Rng) -> tuple[Any, ...]:
    lead = a_shape(rng, 1, 2, 3)
    queries, keys, width, channels = _sizes(rng, 4, 1, 5)
    query, key = numbers(rng, (*lead, queries, width)), numbers(rng, (*lead, keys, width))
    value = numbers(rng, (*lead, keys, channels))
    # torch's own masks are either causal or given.
    if rng.random() < 0.3:
        return query, key, value, None, {"is_causal": True, "scale": _pick(rng, None, 0.5)}
    shape = _pick(rng, (queries, keys), (1, keys), (*lead[:-1], 1, queries, keys))
    mask = numbers(rng, shape)
    return query, key, value, mask if rng.random() < 0.5 else mask > 0, {}


def _looked_up(rng: Rng) -> tuple[Any, ...]:
    rows = int(rng.integers(1, 6))
    indices = integers(rng, a_shape(rng), 0, rows)
    return indices, numbers(rng, (rows, 3)), _pick(rng, None, 0, -1)


def _call(function: Any) -> Any:
    """The function with its last argument as options by name, and no advice from torch."""

    def call(*args: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return function(*args[:-1], **args[-1])

    return call


def _both(name: str, draw: Any, options: bool = False) -> Case:
    mine, other = getattr(ours, name), getattr(theirs, name)
    return Case(_call(mine), _call(other), draw) if options else Case(mine, other, draw)


CASES = {
    "conv1d": _both("conv1d", _convolution(1), options=True),
    "conv2d": _both("conv2d", _convolution(2), options=True),
    "conv_transpose1d": _both("conv_transpose1d", _transposed(1), options=True),
    "conv_transpose2d": _both("conv_transpose2d", _transposed(2), options=True),
    "max_pool1d": _both("max_pool1d", _pooling(1, mean=False), options=True),
    "max_pool2d": _both("max_pool2d", _pooling(2, mean=False), options=True),
    "avg_pool1d": _both("avg_pool1d", _pooling(1, mean=True), options=True),
    "avg_pool2d": _both("avg_pool2d", _pooling(2, mean=True), options=True),
    "adaptive_avg_pool1d": _both("adaptive_avg_pool1d", _adaptive(1)),
    "adaptive_avg_pool2d": _both("adaptive_avg_pool2d", _adaptive(2)),
    "interpolate": _both("interpolate", _resampling, options=True),
    "batch_norm": Case(
        lambda x, w, b: ours.batch_norm(x, None, None, w, b, training=True),
        lambda x, w, b: theirs.batch_norm(x, None, None, w, b, training=True),
        _batch,
    ),
    "batch_norm, running": Case(
        lambda x, m, v, w, b: ours.batch_norm(x, m.detach(), v.detach(), w, b),
        lambda x, m, v, w, b: theirs.batch_norm(x, m.detach(), v.detach(), w, b),
        _running,
    ),
    "layer_norm": _both("layer_norm", _rows),
    "rms_norm": Case(
        lambda x, row, w, b: ours.rms_norm(x, row, w) + b,
        lambda x, row, w, b: theirs.rms_norm(x, row, w) + b,
        _rows,
    ),
    "group_norm": _both("group_norm", _groups),
    "cross_entropy": Case(
        _labelled(ours.cross_entropy, False), _flattened(theirs.cross_entropy, False), _smoothed
    ),
    "cross_entropy, weighted": Case(
        _labelled(ours.cross_entropy, True), _flattened(theirs.cross_entropy, True), _smoothed
    ),
    "cross_entropy, distributions": _both("cross_entropy", _distributions, options=True),
    "nll_loss": Case(_labelled(ours.nll_loss, False), _flattened(theirs.nll_loss, False), _classes),
    "nll_loss, weighted": Case(
        _labelled(ours.nll_loss, True), _flattened(theirs.nll_loss, True), _classes
    ),
    "mse_loss": _both("mse_loss", _two(), options=True),
    "l1_loss": _both("l1_loss", _two(), options=True),
    "huber_loss": _both("huber_loss", _bent("delta"), options=True),
    "smooth_l1_loss": _both("smooth_l1_loss", _bent("beta"), options=True),
    "binary_cross_entropy": _both("binary_cross_entropy", _two(0.1, 0.9), options=True),
    "binary_cross_entropy_with_logits": Case(
        lambda x, t, w, o: ours.binary_cross_entropy_with_logits(
            x, t, w.detach(), pos_weight=w.detach() + 1, **o
        ),
        lambda x, t, w, o: theirs.binary_cross_entropy_with_logits(
            x, t, w.detach(), pos_weight=w.detach() + 1, **o
        ),
        _weighted,
    ),
    "kl_div": _both("kl_div", _divergence, options=True),
    "softmax": _both("softmax", _with_axis),
    "log_softmax": _both("log_softmax", _with_axis),
    "gelu": _both("gelu", _one),
    "gelu, tanh": Case(
        lambda x: ours.gelu(x, "tanh"), lambda x: theirs.gelu(x, approximate="tanh"), _one
    ),
    "silu": _both("silu", _one),
    "elu": _both("elu", _one),
    "selu": _both("selu", _one),
    "leaky_relu": _both("leaky_relu", _one),
    "prelu": _both("prelu", _slopes),
    "hardtanh": _both("hardtanh", _one),
    "relu6": _both("relu6", _one),
    "logsigmoid": _both("logsigmoid", _one),
    "softplus, sharp": Case(
        lambda x: ours.softplus(x, 3.0), lambda x: theirs.softplus(x, 3.0), _one
    ),
    "embedding": _both("embedding", _looked_up),
    "scaled_dot_product_attention": Case(
        lambda q, k, v, m, o: ours.scaled_dot_product_attention(q, k, v, m, **o),
        lambda q, k, v, m, o: theirs.scaled_dot_product_attention(q, k, v, m, **o),
        _attention,
    ),
}
