"""Attention kernels."""

from __future__ import annotations

from math import prod
from typing import Any

from .calls import Description, Lying, call, is_native
from .precision import rounded_once
from .shapes.attention import described


@rounded_once
def attention(
    xp: Any, query: Any, key: Any, value: Any, mask: Any, *, is_causal: bool, scale: float,
    out: Any = None,
) -> Any:  # fmt: skip
    if out is None:
        out = xp.empty((*query.shape[:-1], value.shape[-1]), query.dtype)
    if is_native(xp, query, key, value, out) and call(
        _attended, (query, key, value, _given(mask), out), is_causal, scale
    ):
        return out
    weights = _weights(xp, query, key, mask, is_causal, scale)
    return xp.matmul(weights, value, out=out)


@rounded_once
def attention_grad(
    xp: Any, query: Any, key: Any, value: Any, mask: Any, g: Any, *, is_causal: bool, scale: float
) -> Any:
    if is_native(xp, query, key, value, g):
        found = tuple([xp.empty(x.shape, x.dtype) for x in (query, key, value)])
        if call(_gradients, (query, key, value, _given(mask), g, *found), is_causal, scale):
            return found
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


def _given(mask: Any) -> Any:
    """The mask; None where it is the number True."""
    return None if mask.ndim == 0 and mask.dtype == bool and mask else mask


def _attended(
    query: Lying, key: Lying, value: Lying, mask: Lying | None, y: Lying, is_causal: bool,
    scale: float, threads: int,
) -> Description | None:  # fmt: skip
    return _described("attention", 2, (query, key, value, mask, y), (), is_causal, scale, threads)


def _gradients(
    query: Lying, key: Lying, value: Lying, mask: Lying | None, g: Lying, *rest: Any, threads: int
) -> Description | None:
    *found, is_causal, scale = rest
    operands = (query, key, value, mask, g)
    return _described("attention_grad", 5, operands, found, is_causal, scale, threads)


def _described(
    step: str, products: int, operands: Any, gradients: Any, is_causal: bool, scale: float,
    threads: int,
) -> Description | None:  # fmt: skip
    query, key, value, mask, y = operands
    known = [each for each in (*operands, *gradients) if each is not None]
    if any(0 in each.shape for each in known) or (
        mask is not None and mask.dtype not in (bool, query.dtype)
    ):
        return None
    found = described(
        query, key, value, mask, y, gradients, is_causal=is_causal, scale=scale, threads=threads
    )
    if found is None:
        return None
    shape, room = found
    flop = products * prod(query.shape[:-1]) * key.shape[-2] * (query.shape[-1] + y.shape[-1])
    return Description(step, shape, (room,), flop)


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
