"""transformer, transformer-infer-1: two blocks of attention on random tokens."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ... import nn, optim
from ...graphs.ops import arange, cross_entropy, gelu, permute_dims, reshape, unstack
from ...nn.functional import scaled_dot_product_attention
from ..task import Task
from . import numbers
from .workload import Workload

BATCH, LENGTH, VOCABULARY = 8, 128, 1000
WIDTH, HEADS, BLOCKS = 256, 4, 2


class Attention(nn.Module):
    """Causal attention of several heads, from one projection."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Any) -> Any:
        batch, length, _ = x.shape
        parts = reshape(self.project(x), (batch, length, 3, HEADS, WIDTH // HEADS))
        query, key, value = unstack(permute_dims(parts, (2, 0, 3, 1, 4)))
        y = scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.out(reshape(permute_dims(y, (0, 2, 1, 3)), x.shape))


class Block(nn.Module):
    """Attention, then a perceptron, each behind a layer norm and beside a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attention = Attention()
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Any) -> Any:
        x = x + self.attention(self.ln1(x))
        return x + self.down(gelu(self.up(self.ln2(x)), approximate="tanh"))


class Transformer(nn.Module):
    """Embeddings of tokens and places, the blocks, a layer norm, logits."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.places = nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(BLOCKS)))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)

    def forward(self, tokens: Any) -> Any:
        x = self.tokens(tokens) + self.places(arange(tokens.shape[1]))
        return self.head(self.norm(self.blocks(x)))


def build(batch: int, training: bool) -> Task:
    """Sequences of 128; to train, mean cross-entropy over positions and Adam lr 0.001."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, VOCABULARY, (batch, LENGTH + 1))
    model = numbers.start(Transformer(), rng)
    for embedding in (model.tokens, model.places):
        shape = embedding.weight.shape
        embedding.weight.storage.write(np.float32(0.02) * numbers.normal(rng, *shape))
    seen, following = drawn[:, :-1].copy(), drawn[:, 1:].copy()
    if not training:
        model.eval()
        return Task(loss=model, batches=[(seen,)])
    return Task(
        loss=lambda seen, following: cross_entropy(model(seen), following),
        optimizer=optim.Adam(model.parameters(), lr=0.001),
        batches=[(seen, following)],
    )


TRANSFORMER_WORKLOADS = (
    Workload(
        name="transformer",
        title="2 blocks of 256, 4 heads, 8 sequences of 128, vocabulary 1000, Adam",
        build=partial(build, BATCH, True),
        steps=20,
    ),
    Workload(
        name="transformer-infer-1",
        title="the same model, one sequence, logits alone",
        build=partial(build, 1, False),
        steps=100,
    ),
)
