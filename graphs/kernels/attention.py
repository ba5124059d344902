"""Attention kernels."""

from __future__ import annotations

from typing import Any

from .precision import rounded_once


@rounded_once
def attention(
    xp: Any, query: Any, key: Any, value: Any, mask: Any, *, is_causal: bool, scale: float,
    out: Any = None,
) -> Any:  # fmt: skip
    weights = _weights(xp, query, key, mask, is_causal, scale)
    if out is None:
        out = xp.empty((*query.shape[:-1], value.shape[-1]), query.dtype)
    return xp.matmul(weights, value, out=out)


@rounded_once
def attention_grad(
    xp: Any, query: Any, key: Any, value: Any, mask: Any, g: Any, *, is_causal: bool, scale: float
) -> Any:
    weights = _weights(xp, query, key, mask, is_causal, scale)
    gv = xp.matmul(weights.swapaxes(-1, -2), g)
    slopes = xp.matmul(g, value.swapaxes(-1, -2))
    slopes -= xp.einsum("...s,...s->...", slopes, weights)[..., None]
    slopes *= weights
    slopes *= slopes.dtype.type(scale)
    return xp.matmul(slopes, key), xp.matmul(slopes.swapaxes(-1, -2), query), gv


@rounded_once
def attention_weights(
    xp: Any, query: Any, key: Any, mask: Any, *, is_causal: bool, scale: float, out: Any = None
) -> Any:
    return _weights(xp, query, key, mask, is_causal, scale, out)


def _weights(
    xp: Any, query: Any, key: Any, mask: Any, is_causal: bool, scale: float, out: Any = None
) -> Any:
    """Softmax of the scores over the keys; zeros where a query may look at none."""
    scores = xp.matmul(query, key.swapaxes(-1, -2), out=out)
    scores *= scores.dtype.type(scale)
    if mask.dtype != bool:
        scores += mask
    elif mask.ndim or not mask:
        xp.copyto(scores, -xp.inf, where=~mask)
    if is_causal:
        later = xp.triu(xp.ones(scores.shape[-2:], bool), 1)
        xp.copyto(scores, -xp.inf, where=later)
    highest = scores.max(axis=-1, keepdims=True)
    highest[highest == -xp.inf] = 0
    scores -= highest
    xp.exp(scores, out=scores)
    total = scores.sum(axis=-1, keepdims=True)
    total[total == 0] = 1
    scores /= total
    return scores
