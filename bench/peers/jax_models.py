"""The models of the workloads in jax: pure functions of parameters by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ..workloads import cnn as _cnn
from ..workloads import operators
from ..workloads import transformer as _transformer

Parameters = Mapping[str, Any]


def cross_entropy(logits: Any, labels: Any) -> Any:
    """Mean over all positions."""
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[..., None], axis=-1)
    return -chosen.mean()


# -- operators -------------------------------------------------------------------------------


def small(x: Any, a: Any, b: Any) -> Any:
    """The operators of op-nograd and op-grad."""
    for number in range(operators.OPERATORS):
        turn = number % 3
        x = x + a if turn == 0 else x * b if turn == 1 else jnp.tanh(x)
    return x


def chain(x: Any) -> Any:
    """The operators of chain."""
    for _ in range(operators.ROUNDS):
        x = jnp.exp(jnp.tanh(x * 0.9) + 0.1)
    return x


# -- mlp, lstm -------------------------------------------------------------------------------


def mlp(p: Parameters, x: Any) -> Any:
    """Logits; relu between layers."""
    layers = len(p) // 2
    for layer in range(layers):
        x = x @ p[f"w{layer}"] + p[f"b{layer}"]
        x = x if layer == layers - 1 else jax.nn.relu(x)
    return x


def lstm_loss(p: Parameters, xs: Any) -> Any:
    """Mean square of the last output of the cell, written by hand, in a scan."""
    wx, wh, b = p["wx"], p["wh"], p["b"]

    def cell(carry: Any, x: Any) -> Any:
        h, c = carry
        i, f, g, o = jnp.split(x @ wx + h @ wh + b, 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    zero = jnp.zeros((xs.shape[1], wh.shape[0]))
    (h, _), _ = lax.scan(cell, (zero, zero), xs)
    return (h * h).mean()


# -- cnn -------------------------------------------------------------------------------------

Statistics = dict[str, Any]


def cnn(p: Parameters, running: Statistics, x: Any, training: bool) -> tuple[Any, Statistics]:
    """Logits of images with their channels last, and the new running statistics."""
    after: Statistics = {}

    def conv(name: str, x: Any, stride: int = 1) -> Any:
        w = p[f"{name}.weight"]
        around = w.shape[0] // 2
        return lax.conv_general_dilated(
            x, w, (stride, stride), [(around, around)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip

    def norm(name: str, x: Any) -> Any:
        if training:
            mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
            n = x.size // x.shape[-1]
            seen = (mean, variance * (n / (n - 1)))
            after[name] = tuple(0.9 * r + 0.1 * s for r, s in zip(running[name], seen))
        else:
            mean, variance = running[name]
        scale = p[f"{name}.weight"] * lax.rsqrt(variance + 1e-5)
        return (x - mean) * scale + p[f"{name}.bias"]

    x = jax.nn.relu(norm("bn", conv("conv", x)))
    for position, (inside, outside, stride) in enumerate(_cnn.CHANNELS):
        block = f"blocks.{position}"
        changes = stride != 1 or inside != outside
        y = jax.nn.relu(norm(f"{block}.bn1", conv(f"{block}.conv1", x, stride)))
        y = norm(f"{block}.bn2", conv(f"{block}.conv2", y))
        x = jax.nn.relu(y + (conv(f"{block}.shortcut", x, stride) if changes else x))
    return x.mean((1, 2)) @ p["head.weight"].T + p["head.bias"], after


def channels_last(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Weights of convolutions as height, width, in, out."""
    return {
        name: array.transpose(2, 3, 1, 0).copy() if array.ndim == 4 else array
        for name, array in weights.items()
    }


def first_statistics(weights: Mapping[str, Any]) -> Statistics:
    """Running mean 0 and variance 1 of every batch norm."""
    norms = [n.removesuffix(".weight") for n in weights if "bn" in n and n.endswith(".weight")]
    sizes = [len(weights[f"{name}.weight"]) for name in norms]
    return {name: (jnp.zeros(size), jnp.ones(size)) for name, size in zip(norms, sizes)}


# -- transformer -----------------------------------------------------------------------------


def transformer(p: Parameters, tokens: Any) -> Any:
    """Logits of every position."""

    def linear(name: str, x: Any) -> Any:
        return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    def norm(name: str, x: Any) -> Any:
        mean = x.mean(-1, keepdims=True)
        variance = x.var(-1, keepdims=True)
        return (x - mean) * lax.rsqrt(variance + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]

    def attention(name: str, x: Any) -> Any:
        length = x.shape[1]
        parts = linear(f"{name}.project", x).reshape(*x.shape[:2], 3, _transformer.HEADS, -1)
        q, k, v = parts.transpose(2, 0, 3, 1, 4)
        scores = q @ k.swapaxes(2, 3) / math.sqrt(q.shape[3])
        visible = jnp.tril(jnp.ones((length, length), bool))
        y = jax.nn.softmax(jnp.where(visible, scores, -jnp.inf)) @ v
        return linear(f"{name}.out", y.swapaxes(1, 2).reshape(x.shape))

    x = p["tokens.weight"][tokens] + p["places.weight"][: tokens.shape[1]]
    for position in range(_transformer.BLOCKS):
        block = f"blocks.{position}"
        x = x + attention(f"{block}.attention", norm(f"{block}.ln1", x))
        y = jax.nn.gelu(linear(f"{block}.up", norm(f"{block}.ln2", x)), approximate=True)
        x = x + linear(f"{block}.down", y)
    return norm("norm", x) @ p["head.weight"].T


# -- tree ------------------------------------------------------------------------------------


def tree_loss(p: Parameters, words: Any, left: Any, right: Any, label: Any, root: Any) -> Any:
    """The loss of a tree in post-order, padded after its root, in a scan over its nodes."""

    def grow(carry: Any, node: Any) -> Any:
        hs, cs = carry
        at, word, a, b = node
        z = jnp.concatenate([hs[a], hs[b]]) @ p["w"] + p["b"]
        i, f1, f2, g, o = jnp.split(z, 5)
        grown = jax.nn.sigmoid(i) * jnp.tanh(g)
        grown = grown + jax.nn.sigmoid(f1) * cs[a] + jax.nn.sigmoid(f2) * cs[b]
        c = jnp.where(a < 0, p["embedding"][word], grown)
        h = jnp.where(a < 0, 1.0, jax.nn.sigmoid(o)) * jnp.tanh(c)
        return (hs.at[at].set(h), cs.at[at].set(c)), None

    zero = jnp.zeros((len(words), p["embedding"].shape[1]))
    nodes = (jnp.arange(len(words)), words, left, right)
    (hs, _), _ = lax.scan(grow, (zero, zero), nodes)
    return cross_entropy((hs[root] @ p["wo"] + p["bo"])[None], label)
