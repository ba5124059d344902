"""The models of the workloads in torch, as its users write them, and their losses."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ..workloads import cnn as _cnn
from ..workloads import operators
from ..workloads import transformer as _transformer
from .starting import Weights

# -- operators -------------------------------------------------------------------------------


def small(x: Any, a: Any, b: Any) -> Any:
    """The operators of op-nograd and op-grad."""
    for number in range(operators.OPERATORS):
        turn = number % 3
        x = x + a if turn == 0 else x * b if turn == 1 else torch.tanh(x)
    return x


def chain(x: Any) -> Any:
    """The operators of chain."""
    for _ in range(operators.ROUNDS):
        x = torch.exp(torch.tanh(x * 0.9) + 0.1)
    return x


# -- mlp -------------------------------------------------------------------------------------


def mlp(weights: Weights) -> nn.Module:
    """Linear layers with relu between them."""
    arrays = list(weights.values())
    layers: list[nn.Module] = []
    for w in arrays[::2]:
        layers += [nn.Linear(*w.shape), nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    return filled(model, (a.T if a.ndim == 2 else a for a in arrays))


def filled(model: nn.Module, arrays: Iterable[Any]) -> nn.Module:
    """A model with its parameters set, in their order."""
    with torch.no_grad():
        for parameter, array in zip(model.parameters(), arrays, strict=True):
            parameter.copy_(torch.from_numpy(array))
    return model


# -- lstm ------------------------------------------------------------------------------------


def cell(h: Any, c: Any, x: Any, wx: Any, wh: Any, b: Any) -> tuple[Any, Any]:
    """The cell written by hand."""
    i, f, g, o = (x @ wx + h @ wh + b).chunk(4, 1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def lstm_loss(xs: Any, parameters: Iterable[Any], cell: Any = cell) -> Any:
    """Mean square of the last output, in a loop of Python."""
    wx, wh, b = parameters
    h = c = torch.zeros(xs.shape[1], wh.shape[0])
    for x in xs:
        h, c = cell(h, c, x, wx, wh, b)
    return (h * h).mean()


# -- cnn -------------------------------------------------------------------------------------


class Block(nn.Module):
    """conv3x3, batch norm, relu, conv3x3, batch norm, plus the shortcut, relu."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = BatchNorm(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = BatchNorm(outside)
        changes = stride != 1 or inside != outside
        self.shortcut: nn.Module = (
            nn.Conv2d(inside, outside, 1, stride, bias=False) if changes else nn.Identity()
        )

    def forward(self, x: Any) -> Any:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class BatchNorm(nn.BatchNorm2d):
    """Without torch's count of batches, which the workload does not have."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.num_batches_tracked = None


class ResNet(nn.Module):
    """A convolution, three blocks, the mean over space, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        first = _cnn.CHANNELS[0][0]
        self.conv = nn.Conv2d(3, first, 3, 1, 1, bias=False)
        self.bn = BatchNorm(first)
        self.blocks = nn.Sequential(*(Block(*sizes) for sizes in _cnn.CHANNELS))
        self.head = nn.Linear(_cnn.CHANNELS[-1][1], _cnn.CLASSES)

    def forward(self, x: Any) -> Any:
        x = self.blocks(F.relu(self.bn(self.conv(x))))
        return self.head(x.mean((2, 3)))


def cnn(weights: Weights) -> nn.Module:
    return filled(ResNet(), weights.values())


# -- transformer -----------------------------------------------------------------------------


def explicit_attention(q: Any, k: Any, v: Any) -> Any:
    """softmax(q k^T / sqrt(d), causal) v, operator by operator."""
    length = q.shape[2]
    scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[3])
    hidden = torch.ones(length, length, dtype=torch.bool).triu(1)
    return scores.masked_fill(hidden, -math.inf).softmax(-1) @ v


def fused_attention(q: Any, k: Any, v: Any) -> Any:
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


class Attention(nn.Module):
    """Causal attention of several heads, from one projection."""

    def __init__(self, attend: Any) -> None:
        super().__init__()
        width = _transformer.WIDTH
        self.project = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.attend = attend

    def forward(self, x: Any) -> Any:
        batch, length, width = x.shape
        parts = self.project(x).view(batch, length, 3, _transformer.HEADS, -1)
        y = self.attend(*parts.permute(2, 0, 3, 1, 4).unbind())
        return self.out(y.transpose(1, 2).reshape(batch, length, width))


class TransformerBlock(nn.Module):
    """Attention, then a perceptron, each behind a layer norm and beside a shortcut."""

    def __init__(self, attend: Any) -> None:
        super().__init__()
        width = _transformer.WIDTH
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(attend)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Any) -> Any:
        x = x + self.attention(self.ln1(x))
        return x + self.down(F.gelu(self.up(self.ln2(x)), approximate="tanh"))


class Transformer(nn.Module):
    """Embeddings of tokens and places, the blocks, a layer norm, logits."""

    def __init__(self, attend: Any) -> None:
        super().__init__()
        t = _transformer
        self.tokens = nn.Embedding(t.VOCABULARY, t.WIDTH)
        self.places = nn.Embedding(t.LENGTH, t.WIDTH)
        self.blocks = nn.Sequential(*(TransformerBlock(attend) for _ in range(t.BLOCKS)))
        self.norm = nn.LayerNorm(t.WIDTH)
        self.head = nn.Linear(t.WIDTH, t.VOCABULARY, bias=False)

    def forward(self, tokens: Any) -> Any:
        x = self.tokens(tokens) + self.places.weight[: tokens.shape[1]]
        return self.head(self.norm(self.blocks(x)))


def transformer(weights: Weights, attend: Any = explicit_attention) -> nn.Module:
    return filled(Transformer(attend), weights.values())


def token_loss(logits: Any, following: Any) -> Any:
    """Mean cross-entropy over all positions."""
    return F.cross_entropy(logits.flatten(0, 1), following.flatten())


# -- tree ------------------------------------------------------------------------------------


def node(h_left: Any, c_left: Any, h_right: Any, c_right: Any, w: Any, b: Any) -> tuple[Any, Any]:
    """The state of a node from those of its children."""
    i, f1, f2, g, o = (torch.cat([h_left, h_right]) @ w + b).chunk(5)
    c = torch.sigmoid(i) * torch.tanh(g)
    c = c + torch.sigmoid(f1) * c_left + torch.sigmoid(f2) * c_right
    return torch.sigmoid(o) * torch.tanh(c), c


def tree_loss(
    p: Any, words: Any, left: Any, right: Any, label: Any, *, node: Any = node
) -> Any:  # fmt: skip
    """The loss of a tree, walked in Python from the leaves to the root."""
    states: list[tuple[Any, Any]] = []
    for word, a, b in zip(words.tolist(), left.tolist(), right.tolist()):
        if a < 0:
            c = p["embedding"][word]
            states.append((torch.tanh(c), c))
        else:
            states.append(node(*states[a], *states[b], p["w"], p["b"]))
    return F.cross_entropy((states[-1][0] @ p["wo"] + p["bo"])[None], label)
