"""Attention: queries that take the mean of values, weighted by how well the keys fit."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from ..avals import Aval, show
from ..dims import Dim, Size
from ..dtypes import BOOL
from ..errors import ArgumentError, ShapeError
from ..kernels import attention as kernels
from . import promotion
from .batching import Results, aligned, apply, spread
from .core import Bound, Operator, defop, functions_of
from .gradients import each
from .linalg import matmul
from .manipulation import permute_dims
from .reductions import sum as sum_
from .rules import broadcast_shapes, one_device, unbroadcast
from .windows import check_floats

_ATTRS = {"is_causal": False, "scale": None}


def _promoted(*operands: Any, mask: int) -> list[Aval]:
    """All operands in their common float, but for a mask of bools at its position."""
    given = operands[mask]
    if given is not bool and getattr(given, "dtype", None) != BOOL:
        return promotion.common_float(*operands)
    others = promotion.common_float(*operands[:mask], *operands[mask + 1 :])
    return [*others[:mask], promotion.as_given(given)[0], *others[mask:]]


def _normal(query: Aval, *others: Aval, is_causal: Any, scale: Any) -> dict[str, Any]:
    if scale is None:
        width = query.shape[-1] if query.ndim else 0
        if isinstance(width, Dim) or width == 0:
            raise ShapeError(
                "the last axis must have a known size above 0 where no scale is given, got "
                f"{show(query.shape)}"
            )
        scale = 1 / math.sqrt(width)
    if not isinstance(scale, int | float) or isinstance(scale, bool):
        raise ArgumentError(f"scale must be a number, got {scale!r}")
    return {"is_causal": bool(is_causal), "scale": float(scale)}


def _scores(query: Aval, key: Aval, mask: Aval) -> Aval:
    """One number for each query and key."""
    check_floats(query)
    fits = query.ndim == key.ndim >= 2 and query.shape[:-2] == key.shape[:-2]
    if not fits or query.shape[-1] != key.shape[-1] or key.shape[-2] == 0:
        raise ShapeError(
            "query and key must have shapes (..., queries, width) and (..., keys, width), with at "
            f"least one key, got {show(query.shape)} and {show(key.shape)}"
        )
    shape = (*query.shape[:-1], key.shape[-2])
    if len(mask.shape) > len(shape) or broadcast_shapes(mask.shape, shape) != shape:
        raise ShapeError(
            f"mask must broadcast to (..., queries, keys), got {show(mask.shape)} for {show(shape)}"
        )
    return Aval(shape, query.dtype, one_device(query, key, mask))


def _attended(
    query: Aval, key: Aval, value: Aval, mask: Aval, is_causal: bool, scale: float
) -> Aval:
    scores = _scores(query, key, mask)
    if value.ndim != key.ndim or value.shape[:-1] != key.shape[:-1]:
        raise ShapeError(
            "value must have the shape of key but for the last axis, got "
            f"{show(value.shape)} and {show(key.shape)}"
        )
    return replace(scores, shape=(*query.shape[:-1], value.shape[-1]))


def _batched(call: Bound, operands: Any, batched: Any) -> Results:
    """Examples are a first axis; a mask for all of them broadcasts."""
    whole = spread(call, operands, batched)
    position = call.op.operands.index("mask")
    whole[position] = aligned(call, operands, batched)[position]
    return apply(call, *whole)


def _swapped(x: Any) -> Any:
    return permute_dims(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def _rows(x: Any) -> Any:
    return sum_(x, axis=-1, keepdims=True)


def _through_softmax(weights: Any, g: Any) -> Any:
    """The cotangent of the scores, from that of the weights."""
    return weights * (g - _rows(g * weights))


def _flop(products: int) -> Any:
    """Of so many matrix products over queries, keys and width, and the softmax."""

    def flop(ins: tuple[Aval, ...], outs: tuple[Aval, ...], attrs: Any) -> Size:
        query, key = ins[0], ins[1]
        return (2 * products * query.size + 5 * query.size // query.shape[-1]) * key.shape[-2]

    return flop


# -- the weights -------------------------------------------------------------------------------


def _weights_grads(c: Any, g: Any) -> tuple[Any, ...]:
    slopes = _through_softmax(c.weights, g)
    return (
        matmul(slopes, c.key) * c.scale,
        matmul(_swapped(slopes), c.query) * c.scale,
        unbroadcast(slopes, c.ins[2]),
    )


attention_weights: Operator = defop(
    "attention_weights",
    "query, key, mask -> weights",
    attrs=_ATTRS,
    normalise=_normal,
    infer=lambda query, key, mask, is_causal, scale: _scores(query, key, mask),
    kernel=kernels.attention_weights,
    promote=lambda *operands: _promoted(*operands, mask=2),
    vjp=each(_weights_grads, 3),
    saves=("key query weights",) * 3,
    batch=_batched,
    cost=_flop(1),
    doc="""How much each query takes of each key: ``softmax(query @ key.mT * scale)``.

    Parameters
    ----------
    query : array, shape (..., queries, width), floats; integers become float32
    key : array, shape (..., keys, width)
    mask : array or number
        Broadcasts to (..., queries, keys). Bools: where a query may look at a key; numbers are
        added to the scores. True masks nothing.
    is_causal : bool
        Whether query i may look at the keys up to i alone.
    scale : float, optional
        ``1 / sqrt(width)`` by default.

    Returns
    -------
    array, shape (..., queries, keys)
        Rows of sum 1; of zeros where a query may look at no key.

    Raises
    ------
    ShapeError
        When the shapes do not fit, or there are no keys.

    Examples
    --------
    >>> dt.attention_weights(dt.ones((2, 4)), dt.ones((2, 4)), True, is_causal=True)
    tensor([[1. , 0. ],
            [0.5, 0.5]])
    """,
)


# -- attention ---------------------------------------------------------------------------------


def _attention_grads(c: Any, g: Any) -> tuple[Any, ...]:
    return attention_grad(c.query, c.key, c.value, c.mask, g, c.is_causal, c.scale)


def _mask_grad(c: Any, g: Any) -> Any:
    weights = attention_weights(c.query, c.key, c.mask, c.is_causal, c.scale)
    slopes = _through_softmax(weights, matmul(g, _swapped(c.value)))
    return unbroadcast(slopes, c.ins[3])


scaled_dot_product_attention: Operator = defop(
    "scaled_dot_product_attention",
    "query, key, value, mask -> y",
    attrs=_ATTRS,
    normalise=_normal,
    infer=_attended,
    kernel=kernels.attention,
    promote=lambda *operands: _promoted(*operands, mask=3),
    vjp=(*each(_attention_grads, 3), _mask_grad),
    saves=("query key value mask",) * 4,
    batch=_batched,
    cost=_flop(2),
    doc="""The mean of the values for each query, weighted by `attention_weights`.

    Parameters
    ----------
    query : array, shape (..., queries, width), floats; integers become float32
    key : array, shape (..., keys, width)
    value : array, shape (..., keys, channels)
    mask : array or number
        Broadcasts to (..., queries, keys). Bools: where a query may look at a key; numbers are
        added to the scores. True masks nothing.
    is_causal : bool
        Whether query i may look at the keys up to i alone.
    scale : float, optional
        ``1 / sqrt(width)`` by default.

    Returns
    -------
    array, shape (..., queries, channels)
        Zeros where a query may look at no key.

    Raises
    ------
    ShapeError
        When the shapes do not fit, or there are no keys.

    Examples
    --------
    >>> value = dt.tensor([[1.0], [3.0]])
    >>> dt.scaled_dot_product_attention(dt.ones((2, 4)), dt.ones((2, 4)), value, True)
    tensor([[2.],
            [2.]])
    """,
)


def _attention_grad(
    query: Aval, key: Aval, value: Aval, mask: Aval, g: Aval, is_causal: bool, scale: float
) -> tuple[Aval, Aval, Aval]:
    y = _attended(query, key, value, mask, is_causal, scale)
    if g.shape != y.shape:
        raise ShapeError(
            f"the cotangent must have the result's shape, got {show(g.shape)} for {show(y.shape)}"
        )
    return query, key, value


def _attention_second(c: Any, h_query: Any, h_key: Any, h_value: Any) -> tuple[Any, ...]:
    """Gradients of all operands, from the projection of the three results,

        sum(t dS) + sum(P (g h_value.mT)),  t = scale (h_query key.mT + query h_key.mT)

    with the weights P, the cotangent of the weights dP = g value.mT and that of the scores
    dS = P (dP - sum(dP P)).
    """
    weights = attention_weights(c.query, c.key, c.mask, c.is_causal, c.scale)
    by_weights = matmul(c.g, _swapped(c.value))
    away = by_weights - _rows(by_weights * weights)
    slopes = weights * away
    t = (matmul(h_query, _swapped(c.key)) + matmul(c.query, _swapped(h_key))) * c.scale
    mean = _rows(t * weights)
    u = weights * (t - mean)
    total = t * away - mean * by_weights + matmul(c.g, _swapped(h_value))
    second = _through_softmax(weights, total)
    return (
        (matmul(second, c.key) + matmul(slopes, h_key)) * c.scale,
        (matmul(_swapped(second), c.query) + matmul(_swapped(slopes), h_query)) * c.scale,
        matmul(_swapped(u), c.g),
        unbroadcast(second, c.ins[3]),
        matmul(u, c.value) + matmul(weights, h_value),
    )


attention_grad: Operator = defop(
    "attention_grad",
    "query, key, value, mask, g -> gquery, gkey, gvalue",
    attrs=_ATTRS,
    normalise=_normal,
    infer=_attention_grad,
    kernel=kernels.attention_grad,
    promote=lambda *operands: _promoted(*operands, mask=3),
    vjp=each(_attention_second, 5),
    saves=("query key value mask g",) * 5,
    batch=_batched,
    cost=_flop(5),
    doc="""The gradients of `scaled_dot_product_attention`.

    Parameters
    ----------
    query, key, value, mask, is_causal, scale
        Of the attention.
    g : array, shape (..., queries, channels)
        The cotangent of its result.

    Returns
    -------
    gquery, gkey, gvalue : array
        Of the shapes of `query`, `key` and `value`.

    Raises
    ------
    ShapeError
        When the shapes do not fit, or there are no keys.

    Examples
    --------
    >>> one = dt.ones((2, 1))
    >>> dt.attention_grad(one, one, dt.tensor([[1.0], [3.0]]), True, one)[2]
    tensor([[1.],
            [1.]])
    """,
)

__all__ = functions_of(__name__)
