"""tensorflow: the whole step as a tf.function, loops as tf.while_loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from ..workloads import operators
from .peer import Builders, Peer, Step
from .starting import Weights


def _small(x: Any, a: Any, b: Any) -> Any:
    for number in range(operators.OPERATORS):
        turn = number % 3
        x = x + a if turn == 0 else x * b if turn == 1 else tf.tanh(x)
    return x


def _chain(x: Any) -> Any:
    for _ in range(operators.ROUNDS):
        x = tf.exp(tf.tanh(x * 0.9) + 0.1)
    return x


def _logits(p: dict[str, Any], x: Any) -> Any:
    layers = len(p) // 2
    for layer in range(layers):
        x = tf.nn.bias_add(x @ p[f"w{layer}"], p[f"b{layer}"])
        x = x if layer == layers - 1 else tf.nn.relu(x)
    return x


def _lstm_loss(p: dict[str, Any], xs: Any) -> Any:
    wx, wh, b = p["wx"], p["wh"], p["b"]

    def grow(t: Any, h: Any, c: Any) -> Any:
        i, f, g, o = tf.split(xs[t] @ wx + h @ wh + b, 4, axis=1)
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
        return t + 1, tf.sigmoid(o) * tf.tanh(c), c

    zero = tf.zeros((xs.shape[1], wh.shape[0]))
    length = tf.shape(xs)[0]
    _, h, _ = tf.while_loop(lambda t, h, c: t < length, grow, (0, zero, zero))
    return tf.reduce_mean(h * h)


def _training(loss: Callable[..., Any], weights: Weights, momentum: float) -> Step:
    parameters = {name: tf.Variable(array) for name, array in weights.items()}
    velocities = {name: tf.Variable(tf.zeros_like(p)) for name, p in parameters.items()}

    @tf.function(reduce_retracing=True)
    def step(*batch: Any) -> Any:
        with tf.GradientTape() as tape:
            value = loss(parameters, *batch)
        for (name, p), g in zip(parameters.items(), tape.gradient(value, [*parameters.values()])):
            if momentum:
                g = velocities[name].assign(momentum * velocities[name] + g)
            p.assign_sub(0.01 * g)
        return [value]

    return step


def _mlp(weights: Weights) -> Step:
    def loss(p: dict[str, Any], x: Any, y: Any) -> Any:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=_logits(p, x))
        return tf.reduce_mean(losses)

    return _training(loss, weights, 0.9)


def _lstm(weights: Weights) -> Step:
    return _training(_lstm_loss, weights, 0.0)


def _mlp_inference(weights: Weights) -> Step:
    parameters = {name: tf.constant(array) for name, array in weights.items()}
    return tf.function(lambda x: [_logits(parameters, x)])


def _operators(weights: Weights) -> Step:
    return tf.function(lambda *batch: [_small(*batch)])


def _operators_with_gradient(weights: Weights) -> Step:
    @tf.function
    def step(x: Any, a: Any, b: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = _small(x, a, b)
        return [y, tape.gradient(y, x)]

    return step


class TensorFlow(Peer):
    """tensorflow's graphs."""

    name = "tensorflow"
    package = "tensorflow"
    builders: ClassVar[Builders] = {
        "op-nograd-1": _operators,
        "op-nograd-16": _operators,
        "op-grad-1": _operators_with_gradient,
        "op-grad-16": _operators_with_gradient,
        "chain": lambda weights: tf.function(lambda x: [_chain(x)]),
        "mlp": _mlp,
        "tiny-mlp": _mlp,
        "mlp-infer-1": _mlp_inference,
        "mlp-infer-64": _mlp_inference,
        "lstm": _lstm,
        "lstm-unrolled": _lstm,
        "lstm-varlen": _lstm,
    }

    def load(self, batch: Sequence[np.ndarray]) -> tuple[Any, ...]:
        return tuple(map(tf.constant, batch))


PEER = TensorFlow
