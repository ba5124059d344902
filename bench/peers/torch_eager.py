"""torch-eager: torch as a user writes it, operator by operator."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch.nn import functional as F

from . import torch_models as models
from .peer import Builders, Step
from .starting import Weights
from .torch_peer import TorchPeer, gradients, leaf, training


def _without_gradient(function: Any) -> Step:
    @torch.no_grad()
    def step(*batch: Any) -> list[Any]:
        return [function(*batch)]

    return step


def _operators_with_gradient(weights: Weights) -> Step:
    def step(x: Any, a: Any, b: Any) -> list[Any]:
        x.requires_grad_()
        y = models.small(x, a, b)
        return [y, *torch.autograd.grad(y, x, torch.ones_like(y))]

    return step


def _mlp(weights: Weights) -> Step:
    model = models.mlp(weights)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    return training(lambda x, y: F.cross_entropy(model(x), y), optimizer)


def _lstm(weights: Weights) -> Step:
    parameters = list(map(leaf, weights.values()))
    optimizer = torch.optim.SGD(parameters, lr=0.01)
    return training(lambda xs: models.lstm_loss(xs, parameters), optimizer)


def _cnn(weights: Weights) -> Step:
    model = models.cnn(weights)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    return training(lambda x, y: F.cross_entropy(model(x), y), optimizer)


def _transformer(weights: Weights) -> Step:
    model = models.transformer(weights)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    return training(lambda seen, following: models.token_loss(model(seen), following), optimizer)


def _tree(weights: Weights) -> Step:
    parameters = {name: leaf(array) for name, array in weights.items()}
    return gradients(models.tree_loss, parameters)


class TorchEager(TorchPeer):
    """torch as a user writes it."""

    name = "torch-eager"
    builders: ClassVar[Builders] = {
        "op-nograd-1": lambda weights: _without_gradient(models.small),
        "op-nograd-16": lambda weights: _without_gradient(models.small),
        "op-grad-1": _operators_with_gradient,
        "op-grad-16": _operators_with_gradient,
        "chain": lambda weights: _without_gradient(models.chain),
        "mlp": _mlp,
        "tiny-mlp": _mlp,
        "mlp-infer-1": lambda weights: _without_gradient(models.mlp(weights)),
        "mlp-infer-64": lambda weights: _without_gradient(models.mlp(weights)),
        "lstm": _lstm,
        "lstm-unrolled": _lstm,
        "lstm-varlen": _lstm,
        "cnn": _cnn,
        "cnn-infer-1": lambda weights: _without_gradient(models.cnn(weights).eval()),
        "transformer": _transformer,
        "transformer-infer-1": lambda weights: _without_gradient(models.transformer(weights)),
        "tree": _tree,
    }


PEER = TorchEager
