"""jax: the whole step under jit, loops as scans, the state given away and taken back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from ..workloads.tree import MOST_LEAVES
from . import jax_models as models
from .peer import Builders, Peer, Step
from .starting import Weights

Update = Callable[[Any, Any, Any], tuple[Any, Any]]
by_leaf = jax.tree_util.tree_map


def _sgd(parameters: Any, _: Any, gradients: Any) -> tuple[Any, Any]:
    return by_leaf(lambda p, g: p - 0.01 * g, parameters, gradients), None


def _momentum(parameters: Any, velocities: Any, gradients: Any) -> tuple[Any, Any]:
    velocities = by_leaf(lambda v, g: 0.9 * v + g, velocities, gradients)
    return by_leaf(lambda p, v: p - 0.01 * v, parameters, velocities), velocities


def _adam(parameters: Any, slots: Any, gradients: Any) -> tuple[Any, Any]:
    firsts, seconds, count = slots
    count = count + 1
    firsts = by_leaf(lambda m, g: 0.9 * m + 0.1 * g, firsts, gradients)
    seconds = by_leaf(lambda v, g: 0.999 * v + 0.001 * g * g, seconds, gradients)
    rate, scale = 0.001 / (1 - 0.9**count), jnp.sqrt(1 - 0.999**count)
    parameters = by_leaf(
        lambda p, m, v: p - rate * m / (jnp.sqrt(v) / scale + 1e-8), parameters, firsts, seconds
    )
    return parameters, (firsts, seconds, count)


class _Training:
    """A jitted step and its state: parameters, the optimiser's slots, and what the loss carries."""

    def __init__(
        self, loss: Callable[..., Any], weights: Mapping[str, Any], update: Update, slots: Any,
        carried: Any = None,
    ) -> None:  # fmt: skip
        self.state = (by_leaf(jnp.array, dict(weights)), slots, carried)
        differentiate = jax.value_and_grad(loss, has_aux=True)

        def step(state: Any, *batch: Any) -> Any:
            parameters, slots, carried = state
            (value, carried), gradients = differentiate(parameters, carried, *batch)
            return (*update(parameters, slots, gradients), carried), value

        self._step = jax.jit(step, donate_argnums=0)

    def __call__(self, *batch: Any) -> list[Any]:
        self.state, value = self._step(self.state, *batch)
        return [value]


def _zeros(weights: Weights) -> dict[str, Any]:
    return {name: jnp.zeros(array.shape) for name, array in weights.items()}


def _mlp(weights: Weights) -> Step:
    def loss(p: Any, _: Any, x: Any, y: Any) -> Any:
        return models.cross_entropy(models.mlp(p, x), y), None

    return _Training(loss, weights, _momentum, _zeros(weights))


def _lstm(weights: Weights) -> Step:
    return _Training(lambda p, _, xs: (models.lstm_loss(p, xs), None), weights, _sgd, None)


def _cnn(weights: Weights) -> Step:
    def loss(p: Any, running: Any, x: Any, y: Any) -> Any:
        logits, running = models.cnn(p, running, x, True)
        return models.cross_entropy(logits, y), running

    last = models.channels_last(weights)
    return _Training(loss, last, _momentum, _zeros(last), models.first_statistics(weights))


def _transformer(weights: Weights) -> Step:
    def loss(p: Any, _: Any, seen: Any, following: Any) -> Any:
        return models.cross_entropy(models.transformer(p, seen), following), None

    slots = (_zeros(weights), _zeros(weights), jnp.zeros(()))
    return _Training(loss, weights, _adam, slots)


def _inference(function: Callable[..., Any], weights: Mapping[str, Any]) -> Step:
    # What a jitted function closes over is a constant of it.
    compiled = jax.jit(partial(function, by_leaf(jnp.array, dict(weights))))
    return lambda *batch: [compiled(*batch)]


def _operators(weights: Weights) -> Step:
    return _inference(lambda _, *batch: models.small(*batch), weights)


def _operators_with_gradient(weights: Weights) -> Step:
    @jax.jit
    def step(x: Any, a: Any, b: Any) -> Any:
        y, pull = jax.vjp(lambda x: models.small(x, a, b), x)
        return [y, *pull(jnp.ones_like(y))]

    return step


def _cnn_inference(weights: Weights) -> Step:
    running = models.first_statistics(weights)
    return _inference(
        lambda p, x: models.cnn(p, running, x, False)[0], models.channels_last(weights)
    )


def _tree(weights: Weights) -> Step:
    parameters = by_leaf(jnp.array, dict(weights))
    differentiate = jax.jit(jax.value_and_grad(models.tree_loss))

    def step(*tree: Any) -> list[Any]:
        value, gradients = differentiate(parameters, *tree)
        return [value, *(gradients[name] for name in weights)]

    return step


def _padded(words: Any, left: Any, right: Any, label: Any) -> tuple[Any, ...]:
    """A tree in as many places as the largest has, and the place of its root."""
    nodes = len(words)
    space = (0, 2 * MOST_LEAVES - 1 - nodes)
    grown = (np.pad(a, space, constant_values=c) for a, c in ((words, 0), (left, -1), (right, -1)))
    return (*grown, label, np.int64(nodes - 1))


class Jax(Peer):
    """jax under jit."""

    name = "jax"
    package = "jax"
    builders: ClassVar[Builders] = {
        "op-nograd-1": _operators,
        "op-nograd-16": _operators,
        "op-grad-1": _operators_with_gradient,
        "op-grad-16": _operators_with_gradient,
        "chain": partial(_inference, lambda _, x: models.chain(x)),
        "mlp": _mlp,
        "tiny-mlp": _mlp,
        "mlp-infer-1": partial(_inference, models.mlp),
        "mlp-infer-64": partial(_inference, models.mlp),
        "lstm": _lstm,
        "lstm-unrolled": _lstm,
        "lstm-varlen": _lstm,
        "cnn": _cnn,
        "cnn-infer-1": _cnn_inference,
        "transformer": _transformer,
        "transformer-infer-1": partial(_inference, models.transformer),
        "tree": _tree,
    }

    def load(self, batch: Sequence[np.ndarray]) -> tuple[Any, ...]:
        if self.workload == "tree":
            batch = _padded(*batch)
        elif self.workload.startswith("cnn"):
            batch = (batch[0].transpose(0, 2, 3, 1), *batch[1:])
        loaded = tuple(jnp.array(array) for array in batch)
        return jax.block_until_ready(loaded)

    def wait(self, results: Sequence[Any]) -> None:
        jax.block_until_ready((results, getattr(self._step, "state", None)))


PEER = Jax
