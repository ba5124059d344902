"""Samples of attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diptych.graphs.errors import ArgumentError

from .base import LAYOUTS, bad, bad_dtype, bad_shape, draw, entry, good

# The formatter would give every sample lines of its own.
# fmt: off

def _weights(query: Any, key: Any, mask: Any, is_causal: bool, scale: Any) -> np.ndarray:
    """Row by row, over the keys that a query may look at."""
    scores = np.einsum("...qc,...kc->...qk", query, key)
    scores *= 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    allowed = np.broadcast_to(mask if mask.dtype == bool else True, scores.shape).copy()
    if mask.dtype != bool:
        scores = scores + mask
    if is_causal:
        allowed &= np.arange(scores.shape[-1]) <= np.arange(scores.shape[-2])[:, None]
    weights = np.zeros(scores.shape)
    for at in np.ndindex(scores.shape[:-1]):
        seen = np.exp(scores[at][allowed[at]])
        weights[at][allowed[at]] = seen / seen.sum() if seen.size else seen
    return weights

def _attention(query: Any, key: Any, value: Any, mask: Any, **attrs: Any) -> np.ndarray:
    return np.einsum("...qk,...kc->...qc", _weights(query, key, mask, **attrs), value)

def _attention_grad(query: Any, key: Any, value: Any, mask: Any, g: Any, is_causal: bool,
                    scale: Any) -> tuple[Any, ...]:
    """By the derivative of the softmax as a matrix."""
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    p = _weights(query, key, mask, is_causal, scale)
    slope = np.einsum("...i,ij->...ij", p, np.eye(p.shape[-1])) - p[..., :, None] * p[..., None, :]
    by_scores = np.einsum("...qc,...kc,...qkj->...qj", g, value, slope) * scale
    return (np.einsum("...qk,...kc->...qc", by_scores, key),
            np.einsum("...qk,...qc->...kc", by_scores, query),
            np.einsum("...qk,...qc->...kc", p, g))

_HALF = np.array([[True, False, True], [False, False, False]])
_CASES: Any = (  # leading axes, queries, keys, width, channels; mask; arguments
    (((2,), 2, 3, 2, 2), True, {}),
    (((1, 2), 3, 3, 1, 2), True, {"is_causal": True}),
    (((), 2, 3, 2, 1), _HALF, {"scale": 0.5}),
    (((2,), 2, 3, 2, 1), draw((2, 3), seed=7), {}),
    (((2,), 2, 2, 1, 1), draw((2, 1, 2), seed=8), {"is_causal": True, "scale": 2}),
    (((1,), 2, 3, 2, 1), _HALF[:, ::2][:, :1] | True, {}),
    (((0,), 2, 1, 2, 1), True, {}),
    (((1,), 0, 2, 2, 1), True, {}),
    (((), 1, 2, 1, 1), 1.5, {}),
)

def _operands(lead: Any, queries: int, keys: int, width: int, channels: int, mask: Any, names: str,
              d: str = "float32", layout: str = "", other: str = "") -> list[Any]:
    shapes = {"query": (queries, width), "key": (keys, width), "value": (keys, channels),
              "g": (queries, channels)}
    return [
        mask if name == "mask" else
        draw((*lead, *shapes[name]), d, -1.0, 1.0, other if name == "key" else layout, seed)
        for seed, name in enumerate(names.split())
    ]

def _samples(names: str) -> list[Any]:
    numbers = draw((2, 3), seed=7)
    return [
        *(good(*_operands(*sizes, mask, names), **attrs) for sizes, mask, attrs in _CASES),
        *(good(*_operands((), 2, 3, 2, 1, numbers.astype(d), names, d))
          for d in ("float16", "float32", "float64")),
        good(*_operands((), 2, 3, 2, 1, False, names, "bfloat16")),
        *(good(*_operands((2,), 2, 3, 2, 1, np.asfortranarray(_HALF), names, "float32", k, m))
          for k, m in zip(LAYOUTS, LAYOUTS[::-1])),
    ]

def _errors(names: str) -> list[Any]:
    sizes = ((2,), 2, 3, 4, 5)

    def wrong(match: str, **changed: Any) -> Any:
        operands = dict(zip(names.split(), _operands(*sizes, True, names)))
        return bad_shape(match, *{**operands, **changed}.values())

    right = _operands(*sizes, True, names)
    no_fit = r"query and key must have shapes \(..., queries, width\) and \(..., keys, width\), .*"
    return [
        bad_dtype("operands must be real, got complex64", right[0].astype("complex64"), *right[1:]),
        wrong(no_fit + r"got \(2, 2, 4\) and \(2, 3, 3\)", key=draw((2, 3, 3))),
        wrong(no_fit + r"got \(2, 2, 4\) and \(3, 3, 4\)", key=draw((3, 3, 4))),
        wrong(no_fit + r"got \(4,\) and \(2, 3, 4\)", query=draw((4,))),
        wrong(no_fit + r"got \(2, 2, 4\) and \(2, 0, 4\)", key=draw((2, 0, 4))),
        wrong("the last axis must have a known size above 0 where no scale is given, got",
              query=draw((2, 2, 0)), key=draw((2, 3, 0))),
        wrong(r"the last axis must have a known size above 0 .* got \(\)", query=draw()),
        wrong(r"mask must broadcast to \(..., queries, keys\), got \(3, 1, 2, 3\) for \(2, 2, 3\)",
              mask=draw((3, 1, 2, 3))),
        wrong(r"shapes must broadcast, got \(4,\) and \(2, 2, 3\)", mask=draw((4,))),
        wrong(r"mask must broadcast to \(..., queries, keys\), got \(2, 2, 3\) for \(1, 2, 3\)",
              mask=draw((2, 2, 3)), **{n: a[:1] for n, a in zip(names.split(), right)
                                       if n != "mask"}),
        *(wrong(r"value must have the shape of key but for the last axis, got \(2, 2, 5\) and "
                r"\(2, 3, 4\)", value=draw((2, 2, 5))) for _ in range("value" in names)),
        *(wrong(r"the cotangent must have the result's shape, got \(2, 2, 4\) for \(2, 2, 5\)",
                g=draw((2, 2, 4))) for _ in range("g" in names.split())),
        bad(ArgumentError, "scale must be a number, got '1'", *right, scale="1"),
        bad(ArgumentError, "scale must be a number, got True", *right, scale=True),
    ]

for _name, _reference, _names in (
    ("attention_weights", _weights, "query key mask"),
    ("scaled_dot_product_attention", _attention, "query key value mask"),
    ("attention_grad", _attention_grad, "query key value mask g"),
):
    entry(_name, _reference, _samples(_names), _errors(_names), lacks="scalar")
