"""Samples of pooling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diptych.graphs.errors import ArgumentError

from .base import FLOATS, LAYOUTS, SPECIAL, bad, bad_dtype, bad_shape, draw, entry, good, lay, rough
from .convolution import links, pads, per_axis

# The formatter would give every sample lines of its own.
# fmt: off

def _windows(lengths: Any, size: Any, stride: Any, around: Any, dilation: Any, ceil: bool
             ) -> list[int]:
    """How many windows each axis holds, found by trying."""
    rank, found = len(lengths), []
    for n, k, s, d, (b, a) in zip(lengths, size, per_axis(stride, rank), per_axis(dilation, rank),
                                  around):
        starts = range(-b, n + a, s)
        fits = [i for i in starts if i + d * (k - 1) < n + a]
        more = ceil and len(fits) < len(starts) and starts[len(fits)] < n
        found.append(len(fits) + (more and fits[-1] + d * (k - 1) + 1 < n + a))
    return found

def _pooled(x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil: bool) -> Any:
    """Shape of the result, and the links of its windows."""
    size = per_axis(kernel_size, x.ndim - 2)
    stride = kernel_size if stride is None else stride
    around = pads(padding, size)
    counts = _windows(x.shape[2:], size, stride, around, dilation, ceil)
    found = links(x.shape[2:], counts, size, stride, [b for b, _ in around], dilation)
    return (*x.shape[:2], *counts), found

def _max_pool(x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
              ) -> np.ndarray:
    shape, found = _pooled(x, kernel_size, stride, padding, dilation, ceil_mode)
    y = np.full(shape, -math.inf)
    for window, _, at in found:
        y[window] = np.maximum(y[window], x[at])
    return y

def _shares(x: Any, y: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    """For each link the share that the number has of its window's maximum."""
    _, found = _pooled(x, kernel_size, stride, padding, dilation, False)
    size = per_axis(kernel_size, x.ndim - 2)
    around = pads(padding, size)
    found = list(links(x.shape[2:], y.shape[2:], size, kernel_size if stride is None else stride,
                       [b for b, _ in around], dilation))
    ties = np.zeros(y.shape)
    for window, _, at in found:
        ties[window] += x[at] == y[window]
    return [(window, at, (x[at] == y[window]) / ties[window]) for window, _, at in found]

def _max_pool_grad(x: Any, y: Any, g: Any, **window: Any) -> np.ndarray:
    gx = np.zeros(x.shape)
    for to, at, share in _shares(x, y, **window):
        gx[at] += np.where(share > 0, share * g[to], 0)
    return gx

def _max_pool_tangent(x: Any, y: Any, t: Any, **window: Any) -> np.ndarray:
    ty = np.zeros(y.shape)
    for to, at, share in _shares(x, y, **window):
        ty[to] += np.where(share > 0, share * t[at], 0)
    return ty

def _means(x: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool,
           count_include_pad: bool) -> Any:
    """Shape of the result, and for each link the part of the mean."""
    shape, found = _pooled(x, kernel_size, stride, padding, 1, ceil_mode)
    around = pads(padding, per_axis(kernel_size, x.ndim - 2))
    found = list(found)
    count = np.zeros(shape)
    if count_include_pad:
        wide = np.zeros((*x.shape[:2], *(n + b + a for n, (b, a) in zip(x.shape[2:], around))))
        for window, _, _ in _pooled(wide, kernel_size, stride or kernel_size, 0, 1, ceil_mode)[1]:
            if all(i < n for i, n in zip(window[1:], shape[2:])):
                count[window] += 1
    else:
        for window, _, _ in found:
            count[window] += 1
    return shape, [(window, at, 1 / count[window]) for window, _, at in found]

def _avg_pool(x: Any, **window: Any) -> np.ndarray:
    shape, found = _means(x, **window)
    y = np.zeros(shape)
    for to, at, part in found:
        y[to] += x[at] * part
    return y

def _avg_pool_grad(g: Any, size: Any, **window: Any) -> np.ndarray:
    gx = np.zeros((*g.shape[:2], *per_axis(size, g.ndim - 2)))
    for to, at, part in _means(gx, **window)[1]:
        gx[at] += g[to] * part
    return gx

_COMMON: Any = {
    1: (
        ((2, 1, 4), {"kernel_size": 2}),
        ((1, 2, 5), {"kernel_size": 3, "stride": 2, "padding": 1}),
        ((1, 1, 5), {"kernel_size": (2,), "stride": (3,), "ceil_mode": True}),
        ((1, 1, 6), {"kernel_size": 4, "stride": 3, "padding": ((1, 2),), "ceil_mode": True}),
        ((0, 1, 4), {"kernel_size": 2}),
    ),
    2: (
        ((1, 2, 4, 3), {"kernel_size": 2}),
        ((1, 1, 3, 4), {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0)}),
        ((1, 1, 4, 4), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
        ((2, 0, 2, 2), {"kernel_size": 2}),
    ),
}
_BEYOND: Any = {"kernel_size": 2, "dilation": 3, "stride": 1, "padding": 1}  # both of its numbers
_WIDE: Any = {1: ((1, 1, 6), {"kernel_size": 2, "dilation": 3, "stride": 1}),
              2: ((1, 1, 4, 3), {"kernel_size": 2, "dilation": (2, 1), "stride": 1, "padding": 1})}
_BARE: Any = {1: ((1, 1, 5), {"kernel_size": 3, "padding": 1, "count_include_pad": False}),
              2: ((1, 1, 3, 4), {"kernel_size": (2, 3), "stride": 2, "padding": 1,
                                 "ceil_mode": True, "count_include_pad": False})}

def _window_errors(*operands: Any, **attrs: Any) -> list[Any]:
    def wrong(match: str, **changed: Any) -> Any:
        return bad(ArgumentError, match, *operands, **{**attrs, "kernel_size": 2, **changed})

    return [
        wrong("kernel_size must be a whole number of at least 1, got 0", kernel_size=0),
        wrong("kernel_size must be a whole number of at least 1, got 2.0", kernel_size=2.0),
        wrong("kernel_size must have an entry per spatial axis, got", kernel_size=(2, 2, 2)),
        wrong("stride must be a whole number of at least 1, got -1", stride=-1),
        wrong("padding must be at least 0 and below the window, got 2 for 2", padding=2),
    ]

def _kinds(shape: Any, **attrs: Any) -> list[Any]:
    return [
        *(good(draw(shape, d), **attrs) for d in (*FLOATS, "int32", "uint8", "bool")),
        *(good(draw(shape, layout=k), **attrs) for k in LAYOUTS),
    ]

for _rank, _images in ((1, "length"), (2, "height, width")):
    _x = draw((1, 1, *(3,) * _rank))
    _errors = [
        bad_dtype("operands must be real, got complex64", _x.astype("complex64"), kernel_size=2),
        bad_shape(rf"operand must have shape \(batch, channels, {_images}\), got", _x[0],
                  kernel_size=2),
        bad_shape("a window must fit into the padded operand, got a window of 4 and a length of 3",
                  _x, kernel_size=4),
        *_window_errors(_x),
    ]
    _specials = np.where(_x > 0, _x, -math.inf)
    _specials[0, 0, 0] = math.nan
    entry(f"max_pool{_rank}d", _max_pool, [
        *(good(draw(shape), **attrs) for shape, attrs in (*_COMMON[_rank], _WIDE[_rank])),
        *_kinds(_COMMON[_rank][1][0], **_COMMON[_rank][1][1]),
        rough(_specials, kernel_size=2, stride=1), rough(np.zeros_like(_x), kernel_size=2),
        *(rough(draw((1, 3, *n)), **_BEYOND) for n in ((2,), (3, 2))[_rank - 1 : _rank]),
    ], [*_errors, bad(ArgumentError, "dilation must be a whole number of at least 1, got 0", _x,
                      kernel_size=2, dilation=0)], lacks="scalar")
    entry(f"avg_pool{_rank}d", _avg_pool, [
        *(good(draw(shape), **attrs) for shape, attrs in (*_COMMON[_rank], _BARE[_rank])),
        *_kinds(_COMMON[_rank][1][0], **_COMMON[_rank][1][1]),
        rough(_specials, kernel_size=2, stride=1),
    ], _errors, lacks="scalar")

def _with_maxima(shape: Any, attrs: Any, tangent: bool, d: str = "float32", layout: str = ""
                 ) -> Any:
    """Operands of the gradient or the tangent; the maxima must be those of the numbers."""
    full = {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False, **attrs}
    x = draw(shape, d)
    y = _max_pool(x, **full).astype(x.dtype)
    given = (lay(a, layout) for a in (x, y, draw((x if tangent else y).shape, d, seed=1)))
    # Moved alone, the operand no longer has these maxima.
    return rough(*given, **{k: v for k, v in attrs.items() if k != "ceil_mode"})

_ACROSS: Any = {"kernel_size": (2, 3), "stride": 1, "padding": (1, 1)}  # of many channels
_POOLS = [*_COMMON[1], _WIDE[1], *_COMMON[2][:3], _WIDE[2]]
_x, _y = draw((2, 3, 4)), draw((2, 3, 2))
for _name, _reference, _tangent in (
    ("max_pool_grad", _max_pool_grad, False), ("max_pool_tangent", _max_pool_tangent, True),
):
    _t = _x if _tangent else _y
    _ties = np.repeat(draw((1, 1, 4)), 2, axis=-1)
    _tied = _ties[..., ::2].copy()
    entry(_name, _reference, [
        *(_with_maxima(shape, attrs, _tangent) for shape, attrs in _POOLS),
        *(_with_maxima(*_COMMON[1][1], _tangent, d) for d in FLOATS),
        *(_with_maxima(*_COMMON[2][1], _tangent, layout=k) for k in LAYOUTS),
        rough(_ties, _tied, draw((1, 1, 8 if _tangent else 4)), kernel_size=2),
        rough(_ties, _tied, np.resize(np.array(SPECIAL, "float32"), (1, 1, 8 if _tangent else 4)),
              kernel_size=2),
        _with_maxima((1, 3, 2), _BEYOND, _tangent), _with_maxima((1, 20, 5, 3), _ACROSS, _tangent),
    ], [
        bad_dtype("operands must be real, got complex64", _x.astype("complex64"), _y, _t,
                  kernel_size=2),
        bad_shape("operand must have a batch, channels, and 1 or 2 spatial axes, got",
                  _x[0], _y, _t, kernel_size=2),
        bad_shape(r"the maxima must have the windows of the operand, got \(2, 3, 2\) for "
                  r"\(2, 3, 4\)", _x, _y, _t, kernel_size=1),
        bad_shape(r"the maxima must have the windows of the operand, got \(1, 3, 2\)",
                  _x, _y[:1], _t, kernel_size=2),
        bad_shape(r"the (cotangent|tangent) must have the shape of the (maxima|operand), got "
                  r"\(2, 3, 1\)", _x, _y, _t[..., :1], kernel_size=2),
        *_window_errors(_x, _y, _t),
    ], lacks="scalar")

def _gradient_of(shape: Any, attrs: Any, **drawn: Any) -> Any:
    windows = _avg_pool(np.zeros(shape), **{"stride": None, "padding": 0, "ceil_mode": False,
                                            "count_include_pad": True, **attrs}).shape
    return good(draw(windows, **drawn), size=shape[2:], **attrs)

entry("avg_pool_grad", _avg_pool_grad, [
    *(_gradient_of(*case) for case in (*_COMMON[1], _BARE[1], *_COMMON[2][:3], _BARE[2])),
    *(_gradient_of(*_COMMON[1][1], dtype=d) for d in FLOATS),
    *(_gradient_of(*_COMMON[2][1], layout=k) for k in LAYOUTS),
], [
    bad_dtype("operands must be real, got complex64", _y.astype("complex64"), size=4,
              kernel_size=2),
    bad_shape("operand must have a batch, channels, and 1 or 2 spatial axes, got", _y[0], size=4,
              kernel_size=2),
    bad_shape(r"the cotangent must have the windows of the images, got \(2, 3, 2\) for "
              r"\(2, 3, 3\)", _y, size=6, kernel_size=2),
    bad_shape(r"size must have an entry per spatial axis, got \(4, 4\) for 1", _y, size=(4, 4),
              kernel_size=2),
    *_window_errors(_y, size=4),
], lacks="scalar")
