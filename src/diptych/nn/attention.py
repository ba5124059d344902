"""Multi-head attention."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

from ..graphs import ops
from ..graphs.avals import show
from ..graphs.dtypes import BOOL, is_float
from ..graphs.errors import ArgumentError, DTypeError, ShapeError
from ..graphs.generator import Generator
from . import functional, init
from .checks import check_sizes
from .linear import Linear
from .module import Module


class MultiheadAttention(Module):
    """Attention in several heads, each over features of its own, with projections around it.

    Parameters
    ----------
    embed_dim : int
        Features of queries and of the result.
    num_heads : int
        Divides `embed_dim`.
    dropout : float
        Probability of zeroing an attention weight in training mode, in ``0 <= p < 1``.
    bias : bool
        Of all projections.
    kdim, vdim : int, optional
        Features of keys and values; `embed_dim` by default.
    batch_first : bool
        Whether arrays are of shape (batch, length, features).
    generator : Generator, optional
        Where the starting values and dropout come from.

    Attributes
    ----------
    in_proj_weight : Parameter, shape (3 * embed_dim, embed_dim), float32
        Of queries, keys and values. None where their features differ, which have
        `q_proj_weight`, `k_proj_weight` and `v_proj_weight` then.
    in_proj_bias : Parameter, shape (3 * embed_dim,), float32, or None
    out_proj : Linear

    Raises
    ------
    ArgumentError
        When a size is no whole number above 0, `num_heads` does not divide `embed_dim`, or
        `dropout` is out of range.

    Notes
    -----
    A. Vaswani et al.: Attention is all you need (NeurIPS 2017).

    Examples
    --------
    >>> attention = dt.nn.MultiheadAttention(8, 2, batch_first=True)
    >>> x = dt.ones((3, 5, 8))
    >>> y, weights = attention(x, x, x)
    >>> y.shape, weights.shape
    ((3, 5, 8), (3, 5, 5))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        *,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        kdim, vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        check_sizes(
            "MultiheadAttention", embed_dim=embed_dim, num_heads=num_heads, kdim=kdim, vdim=vdim
        )
        if embed_dim % num_heads:
            raise ArgumentError(
                f"MultiheadAttention: num_heads must divide embed_dim, got {num_heads} and "
                f"{embed_dim}"
            )
        if not 0 <= dropout < 1:
            raise ArgumentError(f"MultiheadAttention: dropout must be in 0 <= p < 1, got {dropout}")
        self.embed_dim, self.num_heads, self.kdim, self.vdim = embed_dim, num_heads, kdim, vdim
        self.dropout, self.batch_first, self.generator = dropout, batch_first, generator
        widths = (embed_dim, kdim, vdim)
        self._is_joint = len(set(widths)) == 1
        names = ("q_proj_weight", "k_proj_weight", "v_proj_weight")
        shapes = {name: (embed_dim, width) for name, width in zip(names, widths)}
        if self._is_joint:
            shapes = {"in_proj_weight": (3 * embed_dim, embed_dim)}
        for name in ("in_proj_weight", *names):
            start = None
            if name in shapes:
                start = init.xavier_uniform_(init.new_parameter(*shapes[name]), generator=generator)
            self.register_parameter(name, start)
        self.in_proj_bias = init.new_parameter(3 * embed_dim) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, generator=generator)
        if bias:
            init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Any, Any]:
        """What each query takes of the values, and how much of each.

        Parameters
        ----------
        query : array, shape (queries, batch, embed_dim) or (queries, embed_dim)
            (batch, queries, embed_dim) if `batch_first`.
        key : array, shape (keys, batch, kdim), like `query`
        value : array, shape (keys, batch, vdim), like `query`
        key_padding_mask : array, shape (batch, keys) or (keys,), optional
            Bools: True for a key that no query may look at. Numbers are added to the scores.
        need_weights : bool
            Give the weights, too. Without them less memory is needed.
        attn_mask : array, shape (queries, keys) or (batch * num_heads, queries, keys), optional
            Bools: True where a query may not look at a key. Numbers are added to the scores.
        average_attn_weights : bool
            Give the mean of the heads' weights.
        is_causal : bool
            Whether query i may look at the keys up to i alone, on top of the masks.

        Returns
        -------
        y : array like `query`
            Where a query may look at no key it takes nothing.
        weights : array, shape (batch, queries, keys), or None
            (batch, num_heads, queries, keys) if they are not averaged; without batch if `query`
            is.

        Raises
        ------
        ShapeError
            When shapes do not fit each other.
        DTypeError
            When a mask holds neither bools nor floats.
        """
        self._check(query, key, value)
        q, k, v = (self._heads(x, i) for i, x in enumerate((query, key, value)))
        mask = self._mask(attn_mask, key_padding_mask, q.shape, k.shape[-2])
        if need_weights or (self.dropout and self.training):
            weights = ops.attention_weights(q, k, mask, is_causal)
            weights = functional.dropout(weights, self.dropout, self.training, self.generator)
            y = weights @ v
        else:
            weights, y = None, ops.scaled_dot_product_attention(q, k, v, mask, is_causal)
        y = self.out_proj(ops.reshape(ops.permute_dims(y, self._axes(y)), query.shape))
        if not need_weights:
            return y, None
        return y, (ops.mean(weights, axis=-3) if average_attn_weights else weights)

    def _heads(self, x: Any, which: int) -> Any:
        """Projected queries (0), keys (1) or values (2), shape (..., heads, length, width)."""
        rows = slice(which * self.embed_dim, (which + 1) * self.embed_dim)
        if self._is_joint:
            weight = self.in_proj_weight[rows]
        else:
            weight = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)[which]
        bias = None if self.in_proj_bias is None else self.in_proj_bias[rows]
        y = functional.linear(x, weight, bias)
        y = ops.reshape(y, (*y.shape[:-1], self.num_heads, self.embed_dim // self.num_heads))
        axes = self._axes(y)
        return ops.permute_dims(y, tuple(sorted(range(len(axes)), key=axes.__getitem__)))

    def _axes(self, x: Any) -> tuple[int, ...]:
        """From (..., heads, length, width) to the order of the arrays given."""
        if len(x.shape) == 3:
            return (1, 0, 2)
        return (0, 2, 1, 3) if self.batch_first else (2, 0, 1, 3)

    def _mask(self, attn_mask: Any, padding: Any, queries: Any, keys: Any) -> Any:
        """Both masks as the one that attention takes: where to look, or what to add."""
        *batch, heads, length, _ = queries
        masks = []
        if attn_mask is not None:
            every = (math.prod(batch) * heads, length, keys)
            if attn_mask.shape not in (every, every[1:]):
                raise ShapeError(
                    f"MultiheadAttention: attn_mask must have shape {show(every[1:])} or "
                    f"{show(every)}, got {show(attn_mask.shape)}"
                )
            if len(attn_mask.shape) == 3:
                attn_mask = ops.reshape(attn_mask, (*batch, heads, length, keys))
            masks.append(attn_mask)
        if padding is not None:
            if padding.shape != (*batch, keys):
                raise ShapeError(
                    "MultiheadAttention: key_padding_mask must have shape "
                    f"{show((*batch, keys))}, got {show(padding.shape)}"
                )
            masks.append(ops.reshape(padding, (*batch, 1, 1, keys)))
        for mask in masks:
            if mask.dtype != BOOL and not is_float(mask.dtype):
                raise DTypeError(
                    f"MultiheadAttention: masks must be bools or floats, got {mask.dtype}"
                )
        if not masks:
            return True
        if all(mask.dtype == BOOL for mask in masks):
            return ops.logical_not(reduce(ops.logical_or, masks))
        added = [ops.where(m, -math.inf, 0.0) if m.dtype == BOOL else m for m in masks]
        return reduce(ops.add, added)

    def _check(self, query: Any, key: Any, value: Any) -> None:
        given = {"query": query, "key": key, "value": value}
        widths = (self.embed_dim, self.kdim, self.vdim)
        for (name, x), width in zip(given.items(), widths):
            if (
                len(x.shape) not in (2, 3)
                or len(x.shape) != len(query.shape)
                or x.shape[-1] != width
            ):
                raise ShapeError(
                    f"MultiheadAttention: {name} must have {width} features and as many axes as "
                    f"query, 2 or 3, got {show(x.shape)}"
                )
        batch = 0 if self.batch_first else 1
        same = len(query.shape) == 2 or query.shape[batch] == key.shape[batch]
        if not same or key.shape[:-1] != value.shape[:-1]:
            raise ShapeError(
                "MultiheadAttention: key and value must be of one length, and batches equal, got "
                + ", ".join(f"{name} {show(x.shape)}" for name, x in given.items())
            )

    def extra_repr(self) -> str:
        return f"{self.embed_dim}, {self.num_heads}"
