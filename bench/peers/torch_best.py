"""torch-best: torch as an expert writes it without compiling.

Fused recurrences, attention and optimisers, images with their channels last, inference mode,
element-wise operators in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ..workloads import operators
from ..workloads.lstm import HIDDEN, INPUT
from . import torch_models as models
from .peer import Builders, Step
from .starting import Weights
from .torch_peer import TorchPeer, inference, training


def _chain(x: Any) -> Any:
    y = torch.empty_like(x)
    for _ in range(operators.ROUNDS):
        x = torch.mul(x, 0.9, out=y).tanh_().add_(0.1).exp_()
    return x


def _sgd(model: nn.Module, momentum: float = 0.0) -> Any:
    trained = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.SGD(trained, lr=0.01, momentum=momentum, fused=True)


def _mlp(weights: Weights) -> Step:
    model = models.mlp(weights)
    return training(lambda x, y: F.cross_entropy(model(x), y), _sgd(model, 0.9))


def _lstm(weights: Weights) -> Step:
    model = nn.LSTM(INPUT, HIDDEN)
    wx, wh, b = weights.values()
    models.filled(model, [wx.T, wh.T, b, np.zeros_like(b)])
    model.bias_hh_l0.requires_grad_(False)  # torch's second bias; the workload has one
    return training(lambda xs: model(xs)[1][0].square().mean(), _sgd(model))


def _cnn(weights: Weights) -> Any:
    model: Any = models.cnn(weights)
    return model.to(memory_format=torch.channels_last)


def _cnn_training(weights: Weights) -> Step:
    model = _cnn(weights)
    return training(lambda x, y: F.cross_entropy(model(x), y), _sgd(model, 0.9))


def _transformer(weights: Weights) -> nn.Module:
    return models.transformer(weights, models.fused_attention)


def _transformer_training(weights: Weights) -> Step:
    model = _transformer(weights)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, fused=True)
    return training(lambda seen, following: models.token_loss(model(seen), following), optimizer)


class TorchBest(TorchPeer):
    """torch as an expert writes it."""

    name = "torch-best"
    builders: ClassVar[Builders] = {
        "op-nograd-1": lambda weights: inference(models.small),
        "op-nograd-16": lambda weights: inference(models.small),
        "chain": lambda weights: inference(_chain),
        "mlp": _mlp,
        "tiny-mlp": _mlp,
        "mlp-infer-1": lambda weights: inference(models.mlp(weights)),
        "mlp-infer-64": lambda weights: inference(models.mlp(weights)),
        "lstm": _lstm,
        "lstm-unrolled": _lstm,
        "lstm-varlen": _lstm,
        "cnn": _cnn_training,
        "cnn-infer-1": lambda weights: inference(_cnn(weights).eval()),
        "transformer": _transformer_training,
        "transformer-infer-1": lambda weights: inference(_transformer(weights)),
    }

    def load(self, batch: Sequence[np.ndarray]) -> tuple[Any, ...]:
        return tuple(
            t.contiguous(memory_format=torch.channels_last) if t.ndim == 4 else t
            for t in super().load(batch)
        )


PEER = TorchBest
