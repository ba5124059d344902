"""contract: bring every product of matrices to its simplest form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from ...graphs.dims import Shape, Size, product
from ...graphs.ir import Graph, Node, Value
from ...graphs.ops import matmul, permute_dims, reshape
from .terms import readers

# From a node, its operands in the new graph, and whether it alone reads the first of them.
Rule = Callable[[Node, tuple[Value, ...], bool], "Value | None"]


def contract(graph: Graph) -> Graph:
    """Before: any graph. After: a `matmul` whose batch belongs to one side alone, or is summed
    over, is one product of two matrices; a vector is a matrix of one row or column; the transpose
    of a product that reads a transpose is a product; chains of `reshape`, `permute_dims`,
    `expand_dims`, `squeeze` and `stop_gradient` are at most one of the first two each.

    A rule that merges axes leaves operands alone that would be copied for it. Results agree to
    rounding: sums over a batch are taken in another order.
    """
    reads = readers(graph)

    def visit(new: Graph, node: Node, inputs: tuple[Value, ...]) -> tuple[Value] | None:
        rule = RULES.get(node.op.name)
        found = rule(node, inputs, reads[node.inputs[0]] == 1) if rule is not None else None
        return None if found is None else (found,)

    return graph.rebuild(visit, bodies=contract)


# -- views -----------------------------------------------------------------------------------


def reshaped(x: Value, shape: Shape) -> Value:
    """A reshape, merged with those before it but for one that copies, which happens once."""
    while x.node.op.name == "reshape" and x.shape != shape:
        [source] = x.node.inputs
        if source.shape != shape and not _is_dense(source):
            break
        x = source
    return x if x.shape == shape else reshape(x, shape)


def permuted(x: Value, axes: tuple[int, ...]) -> Value:
    """A permutation of axes, merged with the one before it."""
    if x.node.op.name == "permute_dims":
        before = x.node.attrs["axes"]
        x, axes = x.node.inputs[0], tuple(before[a] for a in axes)
    return x if axes == tuple(range(len(axes))) else permute_dims(x, axes)


def transposed(x: Value) -> Value:
    """The last two axes swapped."""
    first = len(x.shape) - 2
    return permuted(x, (*range(first), first + 1, first))


def is_transposed(x: Value) -> bool:
    """Whether a matrix is the transpose of another."""
    return x.node.op.name == "permute_dims" and x.node.attrs["axes"] == (1, 0)


def _strides(x: Value) -> tuple[Size, ...]:
    """Strides in elements, with whatever is no view laid out without gaps, and every reshape."""
    node = x.node
    if node.op.name == "permute_dims":
        source = _strides(node.inputs[0])
        return tuple(source[a] for a in node.attrs["axes"])
    if node.op.name == "broadcast_to":
        before = node.inputs[0].shape
        source = (0,) * (len(x.shape) - len(before)) + _strides(node.inputs[0])
        kept = (1,) * (len(x.shape) - len(before)) + before
        return tuple(0 if n == 1 else s for n, s in zip(kept, source))
    if node.op.name == "getitem":
        return tuple(_sliced(node.attrs["index"], _strides(node.inputs[0])))
    return _dense(x.shape)


def _dense(shape: Shape) -> tuple[Size, ...]:
    return tuple(product(shape[i + 1 :]) for i in range(len(shape)))


def _sliced(index: tuple[Any, ...], strides: tuple[Size, ...]) -> Iterator[Size]:
    rest = iter(strides)
    for entry in index:
        if entry is None:
            yield 0
            continue
        stride = next(rest)
        if isinstance(entry, tuple):
            yield stride * (1 if entry[2] is None else entry[2])


def _is_dense(x: Value) -> bool:
    axes = zip(x.shape, _strides(x), _dense(x.shape))
    return all(stride == dense for size, stride, dense in axes if size != 1)


def is_mergeable(x: Value) -> bool:
    """Whether a view shows all axes but the last as one."""
    axes = [(n, s) for n, s in zip(x.shape[:-1], _strides(x)) if n != 1]
    return all(outer == n * inner for (_, outer), (n, inner) in pairwise(axes))


def merged(x: Value) -> Value:
    """All axes but the last as one."""
    return reshaped(x, (product(x.shape[:-1]), x.shape[-1]))


# -- rules -----------------------------------------------------------------------------------


def _reshape(node: Node, inputs: tuple[Value, ...], alone: bool) -> Value:
    return reshaped(inputs[0], node.bound.outs[0].shape)


def _alias(node: Node, inputs: tuple[Value, ...], alone: bool) -> Value:
    return inputs[0]


def _permute(node: Node, inputs: tuple[Value, ...], alone: bool) -> Value | None:
    [x] = inputs
    if alone and node.attrs["axes"] == (1, 0) and x.node.op.name == "matmul":
        left, right = x.node.inputs
        if is_transposed(left) or is_transposed(right):
            return matmul(transposed(right), transposed(left))
    return permuted(x, node.attrs["axes"])


def _product(node: Node, inputs: tuple[Value, ...], alone: bool) -> Value | None:
    x, y = inputs
    if len(x.shape) == 1:
        x = reshaped(x, (1, *x.shape))
    if len(y.shape) == 1:
        y = reshaped(y, (*y.shape, 1))
    if len(x.shape) > 2 and len(y.shape) == 2 and is_mergeable(x):
        x = merged(x)
    if x is inputs[0] and y is inputs[1]:
        return None
    return reshaped(matmul(x, y), node.bound.outs[0].shape)


def _sum_of_products(node: Node, inputs: tuple[Value, ...], alone: bool) -> Value | None:
    """The sum over the batch of a product as one product, in which the batch is contracted."""
    [z] = inputs
    if not alone or z.node.op.name != "matmul" or not _sums_batch(node, z):
        return None
    x, y = z.node.inputs
    rows = transposed(x)
    if x.shape[:-2] != y.shape[:-2] or not (is_mergeable(rows) and is_mergeable(y)):
        return None
    return matmul(transposed(merged(rows)), merged(y))


def _sums_batch(node: Node, z: Value) -> bool:
    """Whether a sum goes over all axes but the last two."""
    if len(z.shape) < 3 or node.bound.outs[0].shape != z.shape[-2:]:
        return False
    return node.op.name == "sum_to" or node.attrs["axis"] == tuple(range(len(z.shape) - 2))


RULES: dict[str, Rule] = {
    "expand_dims": _reshape,
    "matmul": _product,
    "permute_dims": _permute,
    "reshape": _reshape,
    "squeeze": _reshape,
    "stop_gradient": _alias,
    "sum": _sum_of_products,
    "sum_to": _sum_of_products,
}
