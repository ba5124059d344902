"""onnxruntime: inference alone, from models built node by node."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from ..workloads import cnn as _cnn
from ..workloads import operators
from ..workloads import transformer as _transformer
from .peer import Builders, Peer, Step
from .starting import Weights

# GELU came with 20; older runtimes know neither later operators nor a later file format.
OPERATORS, FORMAT = 20, 10


class Model:
    """A graph under construction; names stand for values."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def __getattr__(self, kind: str) -> Callable[..., str]:
        """A function that adds a node of that kind: ``model.MatMul(x, w)``."""
        return partial(self._add, kind)

    def constant(self, value: Any, dtype: str = "float32") -> str:
        name = f"c{len(self._constants)}"
        array = np.ascontiguousarray(np.asarray(value, dtype))
        self._constants.append(numpy_helper.from_array(array.reshape(np.shape(value)), name))
        return name

    def split(self, x: str, parts: int, **attributes: Any) -> list[str]:
        names = [f"n{len(self._nodes)}.{part}" for part in range(parts)]
        self._nodes.append(
            helper.make_node("Split", [x], names, num_outputs=parts, **attributes)
        )  # fmt: skip
        return names

    def _add(self, kind: str, *operands: str, **attributes: Any) -> str:
        name = f"n{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(operands), [name], **attributes))
        return name

    def serialized(self, names: Sequence[str], types: Sequence[int], result: str) -> bytes:
        """The bytes of the model with these inputs."""
        inputs = [helper.make_tensor_value_info(n, t, None) for n, t in zip(names, types)]
        outputs = [helper.make_tensor_value_info(result, onnx.TensorProto.FLOAT, None)]
        graph = helper.make_graph(self._nodes, "workload", inputs, outputs, self._constants)
        operators = [helper.make_opsetid("", OPERATORS)]
        built = helper.make_model(graph, opset_imports=operators, ir_version=FORMAT)
        return built.SerializeToString()


def _small(model: Model, weights: Weights, x: str, a: str, b: str) -> str:
    for number in range(operators.OPERATORS):
        turn = number % 3
        x = model.Add(x, a) if turn == 0 else model.Mul(x, b) if turn == 1 else model.Tanh(x)
    return x


def _chain(model: Model, weights: Weights, x: str) -> str:
    scale, shift = model.constant(0.9), model.constant(0.1)
    for _ in range(operators.ROUNDS):
        x = model.Exp(model.Add(model.Tanh(model.Mul(x, scale)), shift))
    return x


def _mlp(model: Model, weights: Weights, x: str) -> str:
    layers = len(weights) // 2
    for layer in range(layers):
        w, b = (model.constant(weights[f"{kind}{layer}"]) for kind in "wb")
        x = model.Gemm(x, w, b)
        x = x if layer == layers - 1 else model.Relu(x)
    return x


def _cnn_logits(model: Model, weights: Weights, x: str) -> str:
    def conv(name: str, x: str, stride: int = 1) -> str:
        w = weights[f"{name}.weight"]
        around = w.shape[2] // 2
        return model.Conv(x, model.constant(w), strides=[stride] * 2, pads=[around] * 4)

    def norm(name: str, x: str) -> str:
        scale, shift = weights[f"{name}.weight"], weights[f"{name}.bias"]
        running = (np.zeros_like(shift), np.ones_like(shift))
        return model.BatchNormalization(x, *map(model.constant, (scale, shift, *running)))

    x = model.Relu(norm("bn", conv("conv", x)))
    for position, (inside, outside, stride) in enumerate(_cnn.CHANNELS):
        block = f"blocks.{position}"
        changes = stride != 1 or inside != outside
        y = model.Relu(norm(f"{block}.bn1", conv(f"{block}.conv1", x, stride)))
        y = norm(f"{block}.bn2", conv(f"{block}.conv2", y))
        x = model.Relu(model.Add(y, conv(f"{block}.shortcut", x, stride) if changes else x))
    x = model.Flatten(model.GlobalAveragePool(x))
    w, b = (model.constant(weights[f"head.{kind}"]) for kind in ("weight", "bias"))
    return model.Gemm(x, w, b, transB=1)


def _transformer_logits(model: Model, weights: Weights, tokens: str) -> str:
    length, width, heads = _transformer.LENGTH, _transformer.WIDTH, _transformer.HEADS
    hidden = np.triu(np.full((length, length), -np.inf), 1)
    mask = model.constant(hidden)
    scale = model.constant(1 / math.sqrt(width // heads))
    apart = model.constant([0, 0, heads, width // heads], "int64")
    together = model.constant([0, 0, width], "int64")

    def linear(name: str, x: str) -> str:
        w, b = weights[f"{name}.weight"], weights[f"{name}.bias"]
        return model.Add(model.MatMul(x, model.constant(w.T)), model.constant(b))

    def norm(name: str, x: str) -> str:
        w, b = (model.constant(weights[f"{name}.{kind}"]) for kind in ("weight", "bias"))
        return model.LayerNormalization(x, w, b, epsilon=1e-5)

    def attention(name: str, x: str) -> str:
        parts = model.split(linear(f"{name}.project", x), 3, axis=2)
        q, k, v = (model.Reshape(part, apart) for part in parts)
        q, v = (model.Transpose(part, perm=[0, 2, 1, 3]) for part in (q, v))
        k = model.Transpose(k, perm=[0, 2, 3, 1])
        scores = model.Add(model.Mul(model.MatMul(q, k), scale), mask)
        y = model.MatMul(model.Softmax(scores), v)
        return linear(f"{name}.out", model.Reshape(model.Transpose(y, perm=[0, 2, 1, 3]), together))

    x = model.Gather(model.constant(weights["tokens.weight"]), tokens)
    x = model.Add(x, model.constant(weights["places.weight"]))
    for position in range(_transformer.BLOCKS):
        block = f"blocks.{position}"
        x = model.Add(x, attention(f"{block}.attention", norm(f"{block}.ln1", x)))
        y = model.Gelu(linear(f"{block}.up", norm(f"{block}.ln2", x)), approximate="tanh")
        x = model.Add(x, linear(f"{block}.down", y))
    return model.MatMul(norm("norm", x), model.constant(weights["head.weight"].T))


class OnnxRuntime(Peer):
    """onnxruntime on models built node by node."""

    name = "onnxruntime"
    package = "onnxruntime"
    compiles_ahead = True
    builders: ClassVar[Builders] = {
        "op-nograd-1": _small,
        "op-nograd-16": _small,
        "chain": _chain,
        "mlp-infer-1": _mlp,
        "mlp-infer-64": _mlp,
        "cnn-infer-1": _cnn_logits,
        "transformer-infer-1": _transformer_logits,
    }

    def build(self) -> Step:
        batch = self.task.batch(0)
        names = [f"input{position}" for position in range(len(batch))]
        types = [helper.np_dtype_to_tensor_dtype(array.dtype) for array in batch]
        model = Model()
        result = self.builders[self.workload](model, self.weights, *names)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        session = onnxruntime.InferenceSession(
            model.serialized(names, types, result), options, providers=["CPUExecutionProvider"]
        )
        return lambda *batch: session.run(None, dict(zip(names, batch)))


PEER = OnnxRuntime
