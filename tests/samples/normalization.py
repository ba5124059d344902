"""Samples of normalisation, over batches and over rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diptych.graphs.errors import ArgumentError

from .base import FLOATS, LAYOUTS, NO_SIZE, bad, bad_dtype, bad_shape, draw, entry, good

# The formatter would give every sample lines of its own.
# fmt: off

def _slope(normalise: Any, x: Any, g: Any) -> np.ndarray:
    """The gradient of a function of one vector, by differences in the complex plane."""
    step = 1e-200
    return np.array([(normalise(x + 1j * step * e) * g).sum().imag / step for e in np.eye(x.size)])

def _normal(x: Any, eps: float) -> np.ndarray:
    return (x - x.mean()) / np.sqrt(((x - x.mean()) ** 2).mean() + eps)

def _unit(x: Any, eps: float) -> np.ndarray:
    return x / np.sqrt((x * x).mean() + eps)

# -- over batches ------------------------------------------------------------------------------
def _channels(x: Any) -> list[Any]:
    """Each channel as a vector."""
    return [channel.ravel() for channel in np.moveaxis(x, 1, 0)]

def _joined(channels: Any, like: Any) -> np.ndarray:
    shape = np.moveaxis(like, 1, 0).shape[1:]
    return np.stack([c.reshape(shape) for c in channels], 1) if channels else np.zeros(like.shape)

def _wide(vector: Any, x: Any) -> Any:
    return np.broadcast_to(vector, x.shape[1:2]).reshape(-1, *[1] * (x.ndim - 2))

def _batch_norm(x: Any, weight: Any, bias: Any, eps: float) -> tuple[Any, ...]:
    y = _joined([_normal(c, eps) for c in _channels(x)], x)
    mean = np.array([c.mean() for c in _channels(x)])
    variance = np.array([np.square(c - c.mean()).mean() for c in _channels(x)])
    return y * _wide(weight, x) + _wide(bias, x), mean, variance

def _batch_norm_grad(x: Any, weight: Any, mean: Any, variance: Any, g: Any, g_mean: Any,
                     g_variance: Any, eps: float) -> tuple[Any, ...]:
    """As the rules define it for any mean and variance, which the batch need not have."""
    gx, gweight, gbias = [], [], []
    weights = np.broadcast_to(weight, mean.shape)
    for c, h, w, m, v, gm, gv in zip(_channels(x), _channels(g), weights, mean, variance, g_mean,
                                     g_variance):
        y = (c - m) / math.sqrt(v + eps)
        by_mean, by_variance = -h.sum() * w / math.sqrt(v + eps), -(h @ y) * w / (v + eps) / 2
        gx.append(h * w / math.sqrt(v + eps) + (by_mean + gm) / c.size
                  + (by_variance + gv) * 2 * (c - m) / c.size)
        gweight.append(h @ y)
        gbias.append(h.sum())
    return _joined(gx, x), np.array(gweight), np.array(gbias)

def _inference(x: Any, mean: Any, variance: Any, weight: Any, bias: Any, eps: float) -> np.ndarray:
    return ((x - _wide(mean, x)) / np.sqrt(_wide(variance, x) + eps) * _wide(weight, x)
            + _wide(bias, x))

_IMAGES: Any = ((2, 3), (3, 2, 2), (2, 1, 2, 2), (1, 2, 3))

def _with_vectors(shape: Any, names: str, d: str = "float32", layout: str = "", other: str = ""
                  ) -> list[Any]:
    """Images and a vector, a number or images for each name."""
    found = []
    for seed, name in enumerate(names.split()):
        size = {"x": shape, "g": shape, "number": ()}.get(name, shape[1:2])
        low = 0.5 if name == "variance" else -2.0
        found.append(draw(size, d, low, 2.0, layout if name in "xg" else other, seed))
    return found

def _samples(names: str, numbers: str, **attrs: Any) -> list[Any]:
    return [
        *(good(*_with_vectors(shape, names), **attrs) for shape in _IMAGES),
        good(*_with_vectors((2, 2, 2), numbers), eps=0.25),
        *(good(*_with_vectors((3, 2), names, d), **attrs) for d in FLOATS),
        *(good(*_with_vectors((2, 2, 3), names, "float32", k, m))
          for k, m in zip(LAYOUTS, LAYOUTS[::-1])),
        good(*_with_vectors((4, 0, 2), names)),
    ]

def _channel_errors(names: str, several: bool) -> list[Any]:
    def wrong(match: str, shape: Any = (2, 3), name: str = "", size: Any = ()) -> Any:
        operands = _with_vectors(shape, names)
        if name:
            operands[names.split().index(name)] = draw(size)
        return bad_shape(match, *operands)

    operands = _with_vectors((2, 3), names)
    few = [wrong(r"each channel must have at least 2 numbers, got \(1, 3\)", (1, 3)),
           wrong(r"each channel must have at least 2 numbers, got \(0, 3, 2\)", (0, 3, 2))]
    return [
        bad_dtype("operands must be real, got complex64", operands[0].astype("complex64"),
                  *operands[1:]),
        wrong(r"operand must have a batch and channels, got \(3,\)", (2, 3), "x", (3,)),
        *(wrong(rf"{name} must have a number per channel, got \(2,\) for \(2, 3\)", (2, 3), name,
                (2,)) for name in names.split() if name not in ("x", "g")),
        *(wrong(rf"{name} must have a number per channel, got \(\)", (2, 3), name)
          for name in names.split() if name not in ("x", "g", "weight", "bias")),
        *(few if several else []),
        bad(ArgumentError, "eps must be a number of at least 0, got -1.0", *operands, eps=-1.0),
        bad(ArgumentError, "eps must be a number of at least 0, got None", *operands, eps=None),
    ]

entry("batch_norm", _batch_norm, [
    *_samples("x weight bias", "x number number"), good(draw((3, 2), "int32"), 2.0, 0),
], _channel_errors("x weight bias", True))
_GRAD = "x weight mean variance g g_mean g_variance"
entry("batch_norm_grad", _batch_norm_grad, _samples(_GRAD, _GRAD.replace("weight", "number")), [
    *_channel_errors(_GRAD, True),
    bad_shape(r"the cotangent must have the operand's shape, got \(2, 2\) for \(2, 3\)",
              *_with_vectors((2, 3), "x weight mean variance"), draw((2, 2)), *draw((2, 3))),
])
_GIVEN = "x mean variance weight bias"
entry("batch_norm_inference", _inference, [
    *_samples(_GIVEN, "x mean variance number number"), good(*_with_vectors((1, 3), _GIVEN)),
    good(*_with_vectors((0, 3, 2), _GIVEN)),
], _channel_errors(_GIVEN, False))

# -- over rows ---------------------------------------------------------------------------------
def _rows(x: Any, shape: Any) -> np.ndarray:
    return x.reshape(-1, math.prod(shape if isinstance(shape, tuple) else (shape,)))

def _layer_norm(x: Any, weight: Any, bias: Any, shape: Any, eps: float) -> np.ndarray:
    return np.reshape([_normal(r, eps) for r in _rows(x, shape)], x.shape) * weight + bias

def _rms_norm(x: Any, weight: Any, shape: Any, eps: Any) -> np.ndarray:
    return np.reshape([_unit(r, eps) for r in _rows(x, shape)], x.shape) * weight

def _row_grads(normalise: Any) -> Any:
    def grads(x: Any, weight: Any, g: Any, shape: Any, eps: Any) -> tuple[Any, ...]:
        shape = shape if isinstance(shape, tuple) else (shape,)
        pulled = [_slope(lambda r: normalise(r, eps), r, h)
                  for r, h in zip(_rows(x, shape), _rows(g * weight, shape))]
        y = np.reshape([normalise(r, eps) for r in _rows(x, shape)], x.shape)
        found = np.reshape(pulled, x.shape), (g * y).reshape(-1, *shape).sum(0)
        return found if normalise is _unit else (*found, g.reshape(-1, *shape).sum(0))

    return grads

_SHAPES: Any = (((3, 3), 3), ((2, 2, 2), (2, 2)), ((4,), (4,)), ((2, 1, 3), (1, 3)))

def _row_operands(shape: Any, row: Any, names: str, d: str = "float32", k: str = "", m: str = ""
                  ) -> list[Any]:
    sizes = {"x": shape, "g": shape, "number": ()}
    row = row if isinstance(row, tuple) else (row,)
    return [draw(sizes.get(name, row), d, layout=k if name in "xg" else m, seed=seed)
            for seed, name in enumerate(names.split())]

def _row_samples(names: str, numbers: str, eps: float) -> list[Any]:
    return [
        *(good(*_row_operands(x, row, names), shape=row, eps=eps) for x, row in _SHAPES),
        good(*_row_operands((2, 3), 3, numbers), shape=3, eps=0.25),
        *(good(*_row_operands((3, 2), 2, names, d), shape=2, eps=eps) for d in FLOATS),
        *(good(*_row_operands((2, 2, 3), (2, 3), names, "float32", k, m), shape=(2, 3), eps=eps)
          for k, m in zip(LAYOUTS, LAYOUTS[::-1])),
        good(*_row_operands((0, 3), 3, names), shape=3, eps=eps),
    ]

def _row_errors(names: str) -> list[Any]:
    def wrong(match: str, shape: Any, **changed: Any) -> Any:
        return bad_shape(match, *(changed.get(n, v) for n, v in zip(names.split(), operands)),
                         shape=shape)

    operands = _row_operands((2, 3), 3, names)
    no_row = "the operand's last axes must have the shape and hold numbers, got "
    return [
        bad_dtype("operands must be real, got complex64", operands[0].astype("complex64"),
                  *operands[1:], shape=3),
        wrong(no_row + r"\(2, 3\) and \(2,\)", 2), wrong(no_row + r"\(2, 3\) and \(\)", ()),
        wrong(no_row + r"\(2, 3\) and \(1, 2, 3\)", (1, 2, 3)),
        wrong(no_row + r"\(2, 0\) and \(0,\)", 0, x=draw((2, 0))), wrong(NO_SIZE + "1.5", 1.5),
        wrong(r"weight must have the shape or be one number, got \(1,\) for \(3,\)", 3,
              weight=draw((1,))),
        *(wrong(r"bias must have the shape or be one number, got \(2, 3\)", 3, bias=draw((2, 3)))
          for _ in range("bias" in names)),
        *(wrong(r"the cotangent must have the operand's shape, got \(3,\) for \(2, 3\)", 3,
                g=draw((3,))) for _ in range("g" in names.split())),
        bad(ArgumentError, "eps must be a number of at least 0, got '1'", *operands, shape=3,
            eps="1"),
    ]

def _unrounded(reference: Any) -> Any:
    """With the rounding unit of float32 where no `eps` is given."""
    def filled(*operands: Any, eps: Any, **attrs: Any) -> Any:
        return reference(*operands, eps=2.0**-23 if eps is None else eps, **attrs)

    return filled

for _name, _reference, _names, _eps in (
    ("layer_norm", _layer_norm, "x weight bias", 1e-5),
    ("layer_norm_grad", _row_grads(_normal), "x weight g", 1e-3),
    ("rms_norm", _unrounded(_rms_norm), "x weight", 1e-5),
    ("rms_norm_grad", _unrounded(_row_grads(_unit)), "x weight g", 1e-3),
):
    _numbers = _names.replace("weight", "number").replace("bias", "number")
    _few = _row_operands((3, 3), 3, _names)
    entry(_name, _reference, [
        *_row_samples(_names, _numbers, _eps), good(*_few, shape=3),
        good(_few[0].astype("int64"), 2.0, *(a if n == "g" else 1.0 for n, a in
             list(zip(_names.split(), _few))[2:]), shape=(3,), eps=0.5),
    ], _row_errors(_names))
