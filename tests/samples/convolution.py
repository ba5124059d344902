"""Samples of the convolutions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from diptych.graphs.errors import ArgumentError

from .base import (
    FLOATS,
    LAYOUTS,
    NO_OPERAND,
    bad,
    bad_dtype,
    bad_shape,
    draw,
    entry,
    good,
    lay,
)

# The formatter would give every sample lines of its own.
# fmt: off

def per_axis(value: Any, rank: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,) * rank

def pads(padding: Any, size: Any, dilation: Any = 1) -> list[tuple[int, int]]:
    rank = len(size)
    if padding == "same":
        reach = [d * (k - 1) for k, d in zip(size, per_axis(dilation, rank))]
        return [(r // 2, (r + 1) // 2) for r in reach]
    given = per_axis(0 if padding == "valid" else padding, rank)
    return [tuple(p) if isinstance(p, tuple | list) else (p, p) for p in given]

def links(lengths: Any, counts: Any, size: Any, stride: Any, before: Any, dilation: Any
          ) -> Iterator[tuple[Any, Any, Any]]:
    """Each window, each place in it, and the position that it has in the unpadded array."""
    rank = len(lengths)
    stride, dilation = per_axis(stride, rank), per_axis(dilation, rank)
    for window in np.ndindex(*counts):
        for place in np.ndindex(*size):
            at = tuple(w * s + p * d - b for w, s, p, d, b in
                       zip(window, stride, place, dilation, before))
            if all(0 <= a < n for a, n in zip(at, lengths)):
                yield (..., *window), (..., *place), (..., *at)

def _counts(lengths: Any, size: Any, stride: Any, around: Any, dilation: Any) -> list[int]:
    rank = len(lengths)
    return [len(range(0, n + b + a - d * (k - 1), s)) for n, k, s, d, (b, a) in
            zip(lengths, size, per_axis(stride, rank), per_axis(dilation, rank), around)]

def _grouped(x: Any, groups: int, axis: int) -> np.ndarray:
    shape = x.shape
    return x.reshape(*shape[:axis], groups, shape[axis] // groups, *shape[axis + 1:])

def _convolved(x: Any, w: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> np.ndarray:
    size = w.shape[2:]
    around = pads(padding, size, dilation)
    counts = _counts(x.shape[2:], size, stride, around, dilation)
    x, w = _grouped(x, groups, 1), _grouped(w, groups, 0)
    y = np.zeros((len(x), groups, w.shape[1], *counts))
    for to, place, at in links(x.shape[3:], counts, size, stride, [b for b, _ in around], dilation):
        y[to] += np.einsum("ngc,goc->ngo", x[at], w[place])
    return y.reshape(len(x), groups * w.shape[1], *counts)

def _transposed(x: Any, w: Any, stride: Any, padding: Any, output_padding: Any, groups: int,
                dilation: Any) -> np.ndarray:
    size, rank = w.shape[2:], w.ndim - 2
    around = pads(padding, size)
    lengths = [s * (n - 1) + d * (k - 1) + 1 + e - b - a for s, n, d, k, e, (b, a) in
               zip(per_axis(stride, rank), x.shape[2:], per_axis(dilation, rank), size,
                   per_axis(output_padding, rank), around)]
    x, w = _grouped(x, groups, 1), _grouped(w, groups, 0)
    y = np.zeros((len(x), groups, w.shape[2], *lengths))
    before = [b for b, _ in around]
    for source, place, at in links(lengths, x.shape[3:], size, stride, before, dilation):
        y[at] += np.einsum("ngc,gco->ngo", x[source], w[place])
    return y.reshape(len(x), groups * w.shape[2], *lengths)

def _weights(x: Any, g: Any, size: Any, stride: Any, padding: Any, dilation: Any, groups: int
             ) -> np.ndarray:
    size = per_axis(size, x.ndim - 2)
    x, g = _grouped(x, groups, 1), _grouped(g, groups, 1)
    w = np.zeros((groups, g.shape[2], x.shape[2], *size))
    before = [b for b, _ in pads(padding, size)]
    for window, place, at in links(x.shape[3:], g.shape[3:], size, stride, before, dilation):
        w[place] += np.einsum("ngc,ngo->goc", x[at], g[window])
    return w.reshape(-1, *w.shape[2:])

_GEOMETRY: Any = {  # shapes of images and weights, and arguments
    1: (
        ((1, 2, 4), (3, 2, 2), {}),
        ((2, 2, 5), (2, 1, 2), {"stride": 2, "padding": 1, "groups": 2}),
        ((1, 1, 6), (1, 1, 3), {"dilation": 2, "padding": (2,)}),
        ((1, 2, 3), (2, 2, 4), {"padding": "same"}),
        ((1, 1, 4), (2, 1, 2), {"padding": [(0, 2)], "stride": 3}),
        ((0, 2, 4), (1, 2, 2), {"padding": "valid"}),
        ((1, 1, 4), (1, 1, 1), {"padding": ((-1, 1),)}),
        ((1, 1, 3), (1, 1, 2), {"padding": ((-5, 4),)}),
        ((1, 1, 3), (1, 1, 2), {"padding": ((4, -5),)}),
    ),
    2: (
        ((1, 1, 3, 3), (2, 1, 2, 2), {}),
        ((1, 2, 3, 4), (2, 1, 2, 1), {"stride": (2, 1), "padding": (1, 0), "groups": 2}),
        ((1, 1, 4, 3), (1, 1, 2, 2), {"dilation": (3, 1), "padding": "same"}),
        ((2, 3, 2, 2), (2, 3, 1, 1), {"stride": 2}),
        ((0, 1, 2, 2), (1, 1, 2, 2), {}),
    ),
}
_TRANSPOSED: Any = {
    1: (
        ((1, 2, 3), (2, 1, 2), {}),
        ((2, 2, 2), (2, 1, 2), {"stride": 3, "padding": 1, "output_padding": 2, "groups": 2}),
        ((1, 1, 3), (1, 2, 2), {"dilation": 3, "output_padding": 2, "padding": ((0, 1),)}),
        ((0, 2, 3), (2, 1, 2), {}),
    ),
    2: (
        ((1, 1, 2, 2), (1, 2, 2, 2), {}),
        ((1, 2, 2, 2), (2, 1, 2, 1), {"stride": (2, 1), "padding": (1, 0), "groups": 2,
                                      "output_padding": (1, 0)}),
        ((1, 1, 2, 3), (1, 1, 1, 2), {"dilation": 2, "stride": (1, 2), "output_padding": 1}),
        ((0, 1, 2, 2), (1, 1, 2, 2), {}),
    ),
}

def _pairs(shapes: Any, attrs: Any) -> list[Any]:
    """Two operands in every dtype and layout."""
    def two(d: str = "float32", e: str = "float32") -> tuple[Any, Any]:
        return draw(shapes[0], d), draw(shapes[1], e, seed=1)

    return [
        *(good(*two(d, d), **attrs) for d in FLOATS), good(*two("int8", "float64"), **attrs),
        *(good(lay(two()[0], k), lay(two()[1], m), **attrs)
          for k, m in zip(LAYOUTS, LAYOUTS[::-1])),
    ]

_NO_STRIDE = "stride must be a whole number of at least 1, got "
for _rank, _images in ((1, "length"), (2, "height, width")):
    _ones = (1,) * _rank
    _x, _w = draw((2, 4, *(3,) * _rank)), draw((6, 2, *(2,) * _rank))
    _shared = [
        bad_dtype(NO_OPERAND, _x, "a"),
        bad_dtype("operands must be real, got complex64", _x.astype("complex64"), _w, groups=2),
        bad_shape(rf"operand must have shape \(batch, channels, {_images}\), got \(2,\)",
                  _x[:, 0].ravel()[:2], _w),
        bad_shape(r"weight must have shape \(channels, channels / groups, .*got \(6,\)",
                  _x, _w.ravel()[:6]),
        bad_shape("weight must have a known size above 0, got", _x, _w[..., :0], groups=2),
        bad(ArgumentError, _NO_STRIDE + "0", _x, _w, stride=0),
        bad(ArgumentError, _NO_STRIDE + "1.5", _x, _w, stride=1.5),
        bad(ArgumentError, _NO_STRIDE + "True", _x, _w, stride=True),
        bad(ArgumentError, rf"stride must have an entry per spatial axis, got .* for {_rank}",
            _x, _w, stride=(1, 1, 1)),
        bad(ArgumentError, "padding must be a whole number of at least 0, got -1",
            _x, _w, padding=-1),
        bad(ArgumentError, r"padding must have a pair per spatial axis, got",
            _x, _w, padding=((1, 2), 3, 4)),
        bad(ArgumentError, "padding must be a whole number, got 0.5",
            _x, _w, padding=((0.5, 1),) * _rank),
        bad(ArgumentError, "dilation must be a whole number of at least 1, got -2",
            _x, _w, dilation=-2),
        bad(ArgumentError, "groups must be a whole number of at least 1, got 0", _x, _w, groups=0),
        bad_shape("the operand's channels must be a positive multiple of the groups, got 4 and 3",
                  _x, _w, groups=3),
    ]
    entry(f"conv{_rank}d", _convolved, [
        *(good(draw(x), draw(w, seed=1), **attrs) for x, w, attrs in _GEOMETRY[_rank]),
        *_pairs(_GEOMETRY[_rank][1][:2], _GEOMETRY[_rank][1][2]),
    ], [
        *_shared,
        bad_shape("weight must take the operand's channels over the groups, got .* and 1 groups",
                  _x, _w),
        bad_shape("the weight's first axis must be a positive multiple of the groups, got 6 and 4",
                  _x, _w, groups=4),
        bad_shape("a window must fit into the padded operand, got a window of 5 and a length of 3",
                  _x, _w, dilation=4, groups=2),
        bad(ArgumentError, "padding 'same' needs a stride of 1, got", _x, _w, padding="same",
            stride=2, groups=2),
        bad(ArgumentError, "padding must be numbers, 'same' or 'valid', got 'full'", _x, _w,
            padding="full", groups=2),
    ], lacks="scalar")
    entry(f"conv_transpose{_rank}d", _transposed, [
        *(good(draw(x), draw(w, seed=1), **attrs) for x, w, attrs in _TRANSPOSED[_rank]),
        *_pairs(_TRANSPOSED[_rank][1][:2], _TRANSPOSED[_rank][1][2]),
    ], [
        *_shared,
        bad_shape("weight must have the operand's channels as its first axis, got", _x, _w),
        bad_shape(r"the result must not be empty, got \(-2", _x, _w[:4], padding=3),
        bad(ArgumentError, "output_padding must be below the stride or the dilation, got",
            _x, _w[:4], output_padding=1),
    ], lacks="scalar")

_GRADS: Any = (
    ((1, 2, 4), (1, 3, 3), {"size": 2}),
    ((2, 2, 5), (2, 2, 2), {"size": (3,), "stride": 3, "padding": 1, "groups": 2}),
    ((1, 1, 3, 3), (1, 2, 2, 2), {"size": 2}),
    ((1, 2, 3, 4), (1, 2, 1, 3), {"size": (2, 1), "stride": (2, 2), "dilation": (2, 1),
                                  "padding": ((0, 1), (1, 0)), "groups": 2}),
    ((0, 1, 3), (0, 2, 2), {"size": 2}),
)
_x, _g = draw((2, 4, 3)), draw((2, 6, 2))
entry("conv_weight_grad", _weights, [
    *(good(draw(x), draw(g, seed=1), **attrs) for x, g, attrs in _GRADS),
    *_pairs(_GRADS[3][:2], _GRADS[3][2]),
], [
    bad_dtype("operands must be real, got complex128", _x.astype(complex), _g, size=2),
    bad_shape(r"operand must have a batch, channels, and 1 or 2 spatial axes, got \(4, 3\)",
              _x[0], _g, size=2),
    bad_shape(r"cotangent must have shape \(batch, channels, length\), got \(6, 2\)",
              _x, _g[0], size=2),
    bad_shape(r"the cotangent must have the batch and the windows of the operand, got "
              r"\(2, 6, 2\) for \(2, 6, 1\)", _x, _g, size=3),
    bad_shape(r"for \(1, 6, 2\)", _x[:1], _g, size=2),
    bad_shape("the operand's channels must be a positive multiple of the groups, got 4 and 3",
              _x, _g, size=2, groups=3),
    bad_shape("the cotangent's channels must be a positive multiple of the groups, got 6 and 4",
              _x, _g, size=2, groups=4),
    bad(ArgumentError, "size must be a whole number of at least 1, got 0", _x, _g, size=0),
], lacks="scalar")
