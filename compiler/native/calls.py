"""The calls: which operators the library of native kernels computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...graphs.ir import CONSTANT, Node, Value
from ...graphs.kernels.shapes import labels
from ...graphs.kernels.shapes.attention import described
from ...graphs.kernels.shapes.structs import Struct
from .calling import Layouts, LibraryCall, are_floats, call, kind
from .images import CONVOLUTIONS
from .kernel import Kernel
from .layout import Layout
from .lines import LINES
from .places import PLACES
from .pools import POOLS

# -- attention -------------------------------------------------------------------------------


def _mask_of(node: Node, layout: Layout) -> Layout | None:
    """The mask; None where it is the constant True."""
    source = node.inputs[3].node
    is_true = source.op is CONSTANT and source.attrs["array"].dtype == bool
    return None if is_true and bool(source.attrs["array"].all()) else layout


def _takes_attention(node: Node) -> bool:
    q, k, v, mask, *g = node.inputs
    alike = are_floats(q, k, v, *g, *node.outputs) and mask.dtype in (bool, q.dtype)
    return alike and all(n for x in node.inputs for n in x.aval.shape) and q.aval.ndim >= 2


def _attention(node: Node, operands: Layouts, results: Layouts, threads: int) -> Kernel | None:
    q, k, v, given, *g = operands
    mask = _mask_of(node, given)
    y = g[0] if g else results[0]
    found = described(
        q, k, v, mask, y, results if g else (), is_causal=node.attrs["is_causal"],
        scale=float(node.attrs["scale"]), threads=threads,
    )  # fmt: skip
    if found is None:
        return None
    shape, scratch = found
    over = "p3" if mask is not None else "0"
    name = f"dt_attention_{'grad_' if g else ''}{kind(q)}"
    arguments = ("p0", "p1", "p2", over, *(("p4", "q0", "q1", "q2") if g else ("q0",)))
    # Only the gradients of keys and values in parts are added up behind a barrier.
    waits = bool(g) and shape.parts > 1
    return call(
        node, name, "dt_attention", shape, operands, results, arguments, scratch, waits,
        threads=threads, apart=not waits,
    )  # fmt: skip


# -- losses ----------------------------------------------------------------------------------


def _takes_labels(node: Node) -> bool:
    """Whether an operator looks things up by indices of one kind, of which there are some."""
    floats = [v for v in (*node.inputs, *node.outputs) if v.dtype.kind == "f"]
    indices = [v for v in node.inputs if v.dtype.kind != "f"]
    known = all(v.dtype.kind in "iu" and v.dtype.name != "uint64" for v in indices)
    sizes = all(n for v in node.inputs for n in v.aval.shape)
    return are_floats(*floats) and known and len(indices) == 1 and sizes


def _labels_from(node: Node) -> Any:
    """The labels, from which number on they are refused, and which of them never is."""
    attrs = node.attrs
    classes = attrs["classes"] if "classes" in attrs else node.inputs[0].aval.shape[-1]
    return _indices(node), classes, attrs["ignore_index"]


def _indices(node: Node) -> Value:
    """The operand that holds no floats."""
    [indices] = (v for v in node.inputs if v.dtype.kind != "f")
    return indices


def _loss(node: Node, operands: Layouts, results: Layouts, threads: int) -> Kernel | None:
    attrs = node.attrs
    options = {
        "ignore_index": attrs["ignore_index"],
        "reduction": attrs["reduction"],
        "label_smoothing": attrs.get("label_smoothing", 0.0),
    }
    [result] = results
    name, _, _ = node.op.name.partition("_grad")
    if node.op.name == "nll_loss_grad":
        targets, g = operands
        shape = labels.loss(targets, attrs["classes"], None, None, result, g, **options)
        arguments = ("0", "p0", "p1", "0", "q0")
    elif node.op.name.endswith("_grad"):
        x, targets, g = operands
        shape = labels.loss(targets, x.shape[-1], x, None, result, g, **options)
        arguments = ("p0", "p1", "p2", "0", "q0")
    else:
        x, targets = operands
        shape = labels.loss(targets, x.shape[-1], x, result, **options)
        arguments = ("p0", "p1", "0", "q0", "0")
    return call(
        node, f"dt_{name}_{kind(result)}", "dt_loss", shape, operands, results, arguments,
        labels.loss_scratch_bytes(threads), True, True, threads,
    )  # fmt: skip


# Losses that the library computes together with their gradients.
WITH_GRADIENT = ("cross_entropy",)


def with_gradient(node: Node, operands: Layouts, results: Layouts, threads: int) -> Kernel | None:
    """A loss and its gradient; operands are those of the gradient."""
    x, targets, g = operands
    loss, gradient = results
    attrs = node.attrs
    shape = labels.loss(
        targets, x.shape[-1], x, loss, gradient, g, ignore_index=attrs["ignore_index"],
        reduction=attrs["reduction"], label_smoothing=attrs["label_smoothing"],
    )  # fmt: skip
    return call(
        node, f"dt_cross_entropy_{kind(x)}", "dt_loss", shape, operands, results,
        ("p0", "p1", "p2", "q0", "q1"), labels.loss_scratch_bytes(threads), True, True, threads,
    )  # fmt: skip


# -- random numbers --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Draw(Struct):
    """The struct `dt_draw`."""

    count: int


def _takes_draw(node: Node) -> bool:
    key, offset = (v.aval for v in node.inputs)
    dense = key.shape == (2,) and offset.shape == ()
    known = key.dtype.name == "uint64" and offset.dtype.name == "int64"
    return dense and known and are_floats(*node.outputs)


def _draw(node: Node, operands: Layouts, results: Layouts, threads: int) -> Kernel | None:
    [y], key = results, operands[0]
    if not y.is_dense or not key.is_dense:
        return None
    name = node.op.name.removeprefix("random_")
    return call(
        node, f"dt_{name}_{kind(y)}", "dt_draw", _Draw(y.size), operands, results,
        ("p0", "p1", "q0"), refuses=True, threads=threads,
    )  # fmt: skip


CALLS: dict[str, LibraryCall] = {
    **CONVOLUTIONS,
    "scaled_dot_product_attention": LibraryCall(_takes_attention, _attention, over=0),
    "attention_grad": LibraryCall(_takes_attention, _attention),
    "cross_entropy": LibraryCall(_takes_labels, _loss, refuses=_labels_from),
    "cross_entropy_grad": LibraryCall(_takes_labels, _loss, refuses=_labels_from, over=0),
    "nll_loss": LibraryCall(_takes_labels, _loss, refuses=_labels_from),
    "nll_loss_grad": LibraryCall(_takes_labels, _loss, refuses=_labels_from),
    "random_uniform": LibraryCall(_takes_draw, _draw),
    "random_normal": LibraryCall(_takes_draw, _draw),
    **LINES,
    **PLACES,
    **POOLS,
}
