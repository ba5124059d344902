"""The starting weights of a workload by name, from the task that the modes train."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import numpy as np

from ..task import Task
from ..workloads import cnn, mlp, transformer

Weights = Mapping[str, np.ndarray]

# A task that only infers does not list its weights; the one that trains draws the same numbers.
_TRAINING: dict[str, Callable[[], Task]] = {
    "mlp-infer-1": partial(mlp.build, mlp.SIZES, 1, True),
    "mlp-infer-64": partial(mlp.build, mlp.SIZES, 64, True),
    "cnn-infer-1": partial(cnn.build, 1, True),
    "transformer-infer-1": partial(transformer.build, 1, True),
}


def starting_weights(workload: str, task: Task) -> Weights:
    """Copies of the weights that a workload starts with, by name, in the order of the task.

    Names are ``w0``, ``b0``, ``w1``, ... of an MLP, those of the modules in the cnn and the
    transformer, and those of the formulas in the rest.
    """
    training = _TRAINING.get(workload)
    arrays = [s.numpy().copy() for s in (task if training is None else training()).storages]
    return dict(zip(_names(workload, len(arrays)), arrays, strict=True))


def _names(workload: str, count: int) -> Iterable[str]:
    if workload.startswith("cnn"):
        return [name for name, _ in cnn.ResNet().named_parameters()]
    if workload.startswith("transformer"):
        return [name for name, _ in transformer.Transformer().named_parameters()]
    if workload.startswith("lstm"):
        return ["wx", "wh", "b"]
    if workload == "tree":
        return ["embedding", "w", "b", "wo", "bo"]
    return [f"{kind}{layer}" for layer in range(count // 2) for kind in "wb"]
