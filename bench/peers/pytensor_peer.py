"""pytensor: the whole step as one function with updates, compiled by numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytensor
import pytensor.tensor as pt

from ..workloads import operators
from .peer import Builders, Peer, Step
from .starting import Weights

Symbols = dict[str, Any]


def _small(x: Any, a: Any, b: Any) -> Any:
    for number in range(operators.OPERATORS):
        turn = number % 3
        x = x + a if turn == 0 else x * b if turn == 1 else pt.tanh(x)
    return x


def _chain(x: Any) -> Any:
    for _ in range(operators.ROUNDS):
        x = pt.exp(pt.tanh(x * np.float32(0.9)) + np.float32(0.1))
    return x


def _logits(p: Symbols, x: Any) -> Any:
    layers = len(p) // 2
    for layer in range(layers):
        x = x @ p[f"w{layer}"] + p[f"b{layer}"]
        x = x if layer == layers - 1 else pt.maximum(x, np.float32(0))
    return x


def _mlp_loss(p: Symbols, x: Any, y: Any) -> Any:
    logs = pt.special.log_softmax(_logits(p, x), axis=1)
    return -logs[pt.arange(y.shape[0]), y].mean(dtype="float32")


def _lstm_loss(p: Symbols, xs: Any) -> Any:
    hidden = p["wh"].shape[0]

    def cell(x: Any, h: Any, c: Any, wx: Any, wh: Any, b: Any) -> Any:
        z = x @ wx + h @ wh + b
        i, f, g, o = (z[:, k * hidden : (k + 1) * hidden] for k in range(4))
        c = pt.sigmoid(f) * c + pt.sigmoid(i) * pt.tanh(g)
        return pt.sigmoid(o) * pt.tanh(c), c

    zero = pt.zeros((xs.shape[1], hidden), dtype="float32")
    hs, _ = pytensor.scan(
        cell, xs, [zero, zero], [p["wx"], p["wh"], p["b"]], return_updates=False
    )  # fmt: skip
    return (hs[-1] ** 2).mean(dtype="float32")


def _function(inputs: list[Any], results: list[Any], updates: Any = None) -> Step:
    return pytensor.function(inputs, results, updates=updates, mode="NUMBA", trust_input=True)


def _training(loss: Callable[..., Any], inputs: list[Any], weights: Any, momentum: float) -> Step:
    parameters = {name: pytensor.shared(array, name) for name, array in weights.items()}
    value = loss(parameters, *inputs)
    updates = {}
    for p, g in zip(parameters.values(), pt.grad(value, [*parameters.values()])):
        if momentum:
            velocity = pytensor.shared(np.zeros_like(p.get_value()))
            g = updates[velocity] = np.float32(momentum) * velocity + g
        updates[p] = p - np.float32(0.01) * g
    return _function(inputs, [value], updates)


def _mlp(weights: Weights) -> Step:
    return _training(_mlp_loss, [pt.fmatrix("x"), pt.lvector("y")], weights, 0.9)


def _lstm(weights: Weights) -> Step:
    return _training(_lstm_loss, [pt.ftensor3("xs")], weights, 0.0)


def _mlp_inference(weights: Weights) -> Step:
    x = pt.fmatrix("x")
    constants = {name: pt.constant(array) for name, array in weights.items()}
    return _function([x], [_logits(constants, x)])


def _chain_alone(weights: Weights) -> Step:
    x = pt.fvector("x")
    return _function([x], [_chain(x)])


def _operators(kind: Callable[[str], Any], weights: Weights) -> Step:
    batch = [kind(name) for name in "xab"]
    return _function(batch, [_small(*batch)])


class PyTensor(Peer):
    """pytensor through numba."""

    name = "pytensor"
    package = "pytensor"
    compiles_ahead = True
    builders: ClassVar[Builders] = {
        "op-nograd-1": lambda weights: _operators(pt.fvector, weights),
        "op-nograd-16": lambda weights: _operators(pt.fmatrix, weights),
        "chain": _chain_alone,
        "mlp": _mlp,
        "tiny-mlp": _mlp,
        "mlp-infer-1": _mlp_inference,
        "mlp-infer-64": _mlp_inference,
        "lstm": _lstm,
        "lstm-unrolled": _lstm,
        "lstm-varlen": _lstm,
    }


PEER = PyTensor
