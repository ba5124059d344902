"""torch-compile: the whole step of torch, compiled into one function.

Gradients are torch.func's, so that forward, backward and update are one graph. Where lengths vary,
or the shape of a tree, a compiled loop would be compiled anew for each: there the cell is compiled,
and Python walks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import torch
from torch import nn
from torch.func import functional_call, grad_and_value
from torch.nn import functional as F

from . import torch_models as models
from .peer import Builders, Step
from .starting import Weights
from .torch_peer import TorchPeer, gradients, leaf, training

Tensors = dict[str, torch.Tensor]
Update = Callable[[Tensors, Tensors], None]


def _sgd(parameters: Tensors, momentum: float) -> Update:
    velocities = {name: torch.zeros_like(p) for name, p in parameters.items()}

    def update(parameters: Tensors, gradients: Tensors) -> None:
        for name, gradient in gradients.items():
            if momentum:
                gradient = velocities[name].mul_(momentum).add_(gradient)
            parameters[name].sub_(gradient, alpha=0.01)

    return update


def _adam(parameters: Tensors) -> Update:
    firsts = {name: torch.zeros_like(p) for name, p in parameters.items()}
    seconds = {name: torch.zeros_like(p) for name, p in parameters.items()}
    count = torch.zeros(())

    def update(parameters: Tensors, gradients: Tensors) -> None:
        count.add_(1)
        rate, scale = 0.001 / (1 - 0.9**count), torch.sqrt(1 - 0.999**count)
        for name, g in gradients.items():
            m = firsts[name].lerp_(g, 0.1)
            v = seconds[name].mul_(0.999).add_(g * g, alpha=0.001)
            parameters[name].sub_(rate * m / (v.sqrt() / scale + 1e-8))

    return update


def _whole_step(loss: Callable[..., Any], parameters: Tensors, update: Update) -> Step:
    """A step as one compiled function of the batch; it changes the parameters in place."""
    differentiate = grad_and_value(loss)

    @torch.compile
    def step(*batch: Any) -> list[Any]:
        gradients, value = differentiate(parameters, *batch)
        update(parameters, gradients)
        return [value]

    def undisturbed(*batch: Any) -> list[Any]:
        with torch.no_grad():
            return step(*batch)

    return undisturbed


def _parameters(model: nn.Module) -> Tensors:
    return {name: p.detach() for name, p in model.named_parameters()}


def _operators_with_gradient(weights: Weights) -> Step:
    @torch.compile
    def step(x: Any, a: Any, b: Any) -> list[Any]:
        y, pull, *_ = torch.func.vjp(lambda x: models.small(x, a, b), x)
        return [y, *pull(torch.ones_like(y))]

    return step


def _mlp(weights: Weights) -> Step:
    model = models.mlp(weights)
    parameters = _parameters(model)

    def loss(parameters: Tensors, x: Any, y: Any) -> Any:
        return F.cross_entropy(functional_call(model, parameters, (x,)), y)

    return _whole_step(loss, parameters, _sgd(parameters, 0.9))


def _lstm(weights: Weights) -> Step:
    parameters = {name: torch.from_numpy(array) for name, array in weights.items()}

    def loss(parameters: Tensors, xs: Any) -> Any:
        return models.lstm_loss(xs, parameters.values())

    return _whole_step(loss, parameters, _sgd(parameters, 0.0))


def _lstm_of_any_length(weights: Weights) -> Step:
    parameters = list(map(leaf, weights.values()))
    cell = torch.compile(models.cell)
    optimizer = torch.optim.SGD(parameters, lr=0.01, fused=True)
    return training(lambda xs: models.lstm_loss(xs, parameters, cell), optimizer)


def _cnn(weights: Weights) -> Step:
    model = models.cnn(weights)
    parameters = _parameters(model)
    statistics = dict(model.named_buffers())

    def loss(parameters: Tensors, statistics: Tensors, x: Any, y: Any) -> Any:
        return F.cross_entropy(functional_call(model, (parameters, statistics), (x,)), y)

    differentiate = _whole_step(loss, parameters, _sgd(parameters, 0.9))
    return lambda x, y: differentiate(statistics, x, y)


def _transformer(weights: Weights) -> Step:
    model = models.transformer(weights, models.fused_attention)
    parameters = _parameters(model)

    def loss(parameters: Tensors, seen: Any, following: Any) -> Any:
        return models.token_loss(functional_call(model, parameters, (seen,)), following)

    return _whole_step(loss, parameters, _adam(parameters))


def _tree(weights: Weights) -> Step:
    parameters = {name: leaf(array) for name, array in weights.items()}
    loss = partial(models.tree_loss, node=torch.compile(models.node))
    return gradients(loss, parameters)


def _inference(function: Callable[..., Any]) -> Step:
    compiled = torch.compile(function, options={"freezing": True})

    @torch.inference_mode()
    def step(*batch: Any) -> list[Any]:
        return [compiled(*batch)]

    return step


class TorchCompile(TorchPeer):
    """torch, compiled."""

    name = "torch-compile"
    builders: ClassVar[Builders] = {
        "op-nograd-1": lambda weights: _inference(models.small),
        "op-nograd-16": lambda weights: _inference(models.small),
        "op-grad-1": _operators_with_gradient,
        "op-grad-16": _operators_with_gradient,
        "chain": lambda weights: _inference(models.chain),
        "mlp": _mlp,
        "tiny-mlp": _mlp,
        "mlp-infer-1": lambda weights: _inference(models.mlp(weights)),
        "mlp-infer-64": lambda weights: _inference(models.mlp(weights)),
        "lstm": _lstm,
        "lstm-unrolled": _lstm,
        "lstm-varlen": _lstm_of_any_length,
        "cnn": _cnn,
        "cnn-infer-1": lambda weights: _inference(models.cnn(weights).eval()),
        "transformer": _transformer,
        "transformer-infer-1": lambda weights: _inference(
            models.transformer(weights, models.fused_attention)
        ),
        "tree": _tree,
    }


PEER = TorchCompile
