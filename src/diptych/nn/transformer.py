"""Transformer blocks: attention and a feed-forward network, with residuals and normalisation.

What the positions are is for the user to add to the embedded input.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from ..graphs.errors import DTypeError, unknown
from ..graphs.generator import Generator
from . import functional
from .attention import MultiheadAttention
from .checks import check_sizes
from .containers import ModuleList
from .dropout import Dropout
from .linear import Linear
from .module import Module
from .normalization import LayerNorm

ACTIVATIONS = {"relu": functional.relu, "gelu": functional.gelu}


class _Layer(Module):
    """What layers of encoder and decoder share: the feed-forward network, and how parts join."""

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Any], Any] = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        check_sizes(type(self).__name__, d_model=d_model, dim_feedforward=dim_feedforward)
        if not callable(activation) and activation not in ACTIVATIONS:
            raise unknown("activation", activation, ACTIVATIONS)
        self.activation = activation if callable(activation) else ACTIVATIONS[activation]
        self.norm_first, self.generator = norm_first, generator

        def attention() -> MultiheadAttention:
            return MultiheadAttention(
                d_model, nhead, dropout, bias, batch_first=batch_first, generator=generator
            )

        self._add_attention(attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias, generator=generator)
        self.dropout = Dropout(dropout, generator)
        self.linear2 = Linear(dim_feedforward, d_model, bias, generator=generator)
        parts = range(1, self._parts + 1)
        for i in parts:
            self.add_module(f"norm{i}", LayerNorm(d_model, layer_norm_eps, bias=bias))
        for i in parts:
            self.add_module(f"dropout{i}", Dropout(dropout, generator))

    _parts = 2

    def _add_attention(self, attention: Callable[[], MultiheadAttention]) -> None:
        self.self_attn = attention()

    def _join(self, x: Any, part: int, compute: Callable[[Any], Any]) -> Any:
        """Add what a part computes, normalised before or after."""
        norm, dropout = getattr(self, f"norm{part}"), getattr(self, f"dropout{part}")
        if self.norm_first:
            return x + dropout(compute(norm(x)))
        return norm(x + dropout(compute(x)))

    def _feed_forward(self, x: Any) -> Any:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))


class TransformerEncoderLayer(_Layer):
    """Self-attention, then a feed-forward network at every position.

    Parameters
    ----------
    d_model : int
        Features.
    nhead : int
        Heads of attention; divides `d_model`.
    dim_feedforward : int
        Width of the network's hidden layer.
    dropout : float
        In ``0 <= p < 1``: after each part, between the network's layers and on attention weights.
    activation : {"relu", "gelu"} or callable
        Of the network.
    layer_norm_eps : float
    batch_first : bool
        Whether arrays are of shape (batch, length, features).
    norm_first : bool
        Normalise what enters each part, instead of each sum.
    bias : bool
        Of all projections and normalisations.
    generator : Generator, optional
        Where the starting values and dropout come from.

    Raises
    ------
    ArgumentError
        When a size or `dropout` is out of range, or `nhead` does not divide `d_model`.
    UnknownNameError
        When the activation is not known.

    Examples
    --------
    >>> layer = dt.nn.TransformerEncoderLayer(8, 2, dim_feedforward=16, batch_first=True)
    >>> layer(dt.ones((3, 5, 8)), is_causal=True).shape
    (3, 5, 8)
    """

    def forward(
        self,
        src: Any,
        src_mask: Any = None,
        src_key_padding_mask: Any = None,
        is_causal: bool = False,
    ) -> Any:
        """The layer's result, an array like `src`.

        Parameters
        ----------
        src : array, shape (length, batch, d_model) or (length, d_model)
            (batch, length, d_model) if `batch_first`.
        src_mask, src_key_padding_mask : array, optional
            As `attn_mask` and `key_padding_mask` of `MultiheadAttention`.
        is_causal : bool
            Whether position i may look at those up to i alone.

        Raises
        ------
        ShapeError, DTypeError
            As `MultiheadAttention` does.
        """

        def attend(x: Any) -> Any:
            return self.self_attn(
                x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal
            )[0]

        return self._join(self._join(src, 1, attend), 2, self._feed_forward)


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to what an encoder gave, then a feed-forward network.

    Parameters
    ----------
    d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, \
bias, generator
        As for `TransformerEncoderLayer`.

    Raises
    ------
    ArgumentError, UnknownNameError
        As `TransformerEncoderLayer` does.

    Examples
    --------
    >>> layer = dt.nn.TransformerDecoderLayer(8, 2, dim_feedforward=16, batch_first=True)
    >>> layer(dt.ones((3, 5, 8)), dt.ones((3, 7, 8)), tgt_is_causal=True).shape
    (3, 5, 8)
    """

    _parts = 3

    def _add_attention(self, attention: Callable[[], MultiheadAttention]) -> None:
        self.self_attn, self.multihead_attn = attention(), attention()

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Any:
        """The layer's result, an array like `tgt`.

        Parameters
        ----------
        tgt : array, shape (length, batch, d_model) or (length, d_model)
            (batch, length, d_model) if `batch_first`.
        memory : array, shape (keys, batch, d_model), like `tgt`
            What the encoder gave.
        tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask : array, optional
            As `attn_mask` and `key_padding_mask` of `MultiheadAttention`, for either attention.
        tgt_is_causal, memory_is_causal : bool
            Whether position i may look at those up to i alone.

        Raises
        ------
        ShapeError, DTypeError
            As `MultiheadAttention` does.
        """

        def attend(x: Any) -> Any:
            return self.self_attn(
                x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal
            )[0]

        def look(x: Any) -> Any:
            return self.multihead_attn(
                x, memory, memory, memory_key_padding_mask, False, memory_mask,
                is_causal=memory_is_causal,
            )[0]  # fmt: skip

        x = self._join(self._join(tgt, 1, attend), 2, look)
        return self._join(x, 3, self._feed_forward)


class _Stack(Module):
    """Copies of one layer, one after another, and a normalisation at the end."""

    def __init__(self, layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        if not isinstance(layer, Module):
            raise DTypeError(
                f"{type(self).__name__}: the layer must be a Module, got {type(layer).__name__}"
            )
        check_sizes(type(self).__name__, num_layers=num_layers)
        # All of them draw from the one generator: copies of it would drop the same everywhere.
        shared = getattr(layer, "generator", None)
        self.layers = ModuleList(
            copy.deepcopy(layer, {id(shared): shared}) for _ in range(num_layers)
        )
        self.norm = norm

    def _through(self, x: Any, *args: Any) -> Any:
        for layer in self.layers:
            x = layer(x, *args)
        return x if self.norm is None else self.norm(x)


class TransformerEncoder(_Stack):
    """A stack of encoder layers.

    Parameters
    ----------
    encoder_layer : Module
        Such as a `TransformerEncoderLayer`. The stack holds copies of it.
    num_layers : int
    norm : Module, optional
        Applied to the last layer's result.

    Raises
    ------
    DTypeError
        When the layer is no module.
    ArgumentError
        When `num_layers` is no whole number above 0.

    Examples
    --------
    >>> layer = dt.nn.TransformerEncoderLayer(8, 2, dim_feedforward=16, norm_first=True)
    >>> dt.nn.TransformerEncoder(layer, 2, dt.nn.LayerNorm(8))(dt.ones((5, 3, 8))).shape
    (5, 3, 8)
    """

    def forward(
        self,
        src: Any,
        mask: Any = None,
        src_key_padding_mask: Any = None,
        is_causal: bool = False,
    ) -> Any:
        """An array like `src`; see `TransformerEncoderLayer`. Masks are for every layer."""
        return self._through(src, mask, src_key_padding_mask, is_causal)


class TransformerDecoder(_Stack):
    """A stack of decoder layers.

    Parameters
    ----------
    decoder_layer : Module
        Such as a `TransformerDecoderLayer`. The stack holds copies of it.
    num_layers : int
    norm : Module, optional
        Applied to the last layer's result.

    Raises
    ------
    DTypeError
        When the layer is no module.
    ArgumentError
        When `num_layers` is no whole number above 0.

    Examples
    --------
    >>> layer = dt.nn.TransformerDecoderLayer(8, 2, dim_feedforward=16)
    >>> dt.nn.TransformerDecoder(layer, 2)(dt.ones((5, 3, 8)), dt.ones((7, 3, 8))).shape
    (5, 3, 8)
    """

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Any:
        """An array like `tgt`; see `TransformerDecoderLayer`. Masks are for every layer."""
        return self._through(
            tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask,
            tgt_is_causal, memory_is_causal,
        )  # fmt: skip
