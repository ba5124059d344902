"""Pooling as calls of the library."""

from __future__ import annotations

from collections.abc import Callable

from ...graphs.ir import Node
from ...graphs.kernels.shapes.pooling import Pool, pool
from .calling import Layouts, LibraryCall, are_floats, as_first, call, kind
from .kernel import Kernel


def _takes(node: Node) -> bool:
    values = (*node.inputs, *node.outputs)
    sizes = all(n for v in values for n in v.aval.shape)
    return are_floats(*values) and sizes


def _pool(
    function: str, describe: Callable[[Node, Layouts, Layouts], Pool]
) -> Callable[[Node, Layouts, Layouts, int], Kernel | None]:
    """The kernel of a function that takes all operands and the result in order."""

    def kernel(node: Node, operands: Layouts, results: Layouts, threads: int) -> Kernel | None:
        arguments = [*(f"p{i}" for i in range(len(operands))), "q0"]
        return call(
            node, f"dt_{function}_{kind(results[0])}", "dt_pool",
            describe(node, operands, results), operands, results, arguments, threads=threads,
        )  # fmt: skip

    return kernel


def _forward(node: Node, operands: Layouts, results: Layouts) -> Pool:
    return pool(node.attrs, operands[0], results[0], (operands[0], results[0]))


def _gradient(node: Node, operands: Layouts, results: Layouts) -> Pool:
    x, y, g = operands
    return pool(node.attrs, x, y, (results[0], g))


def _tangent(node: Node, operands: Layouts, results: Layouts) -> Pool:
    x, y, t = operands
    return pool(node.attrs, x, y, (t, results[0]))


def _backward(node: Node, operands: Layouts, results: Layouts) -> Pool:
    return pool(node.attrs, results[0], operands[0], (results[0], operands[0]))


_MAX = LibraryCall(_takes, _pool("max_pool", _forward), as_first)
_AVG = LibraryCall(_takes, _pool("avg_pool", _forward), as_first)

POOLS: dict[str, LibraryCall] = {
    "max_pool1d": _MAX,
    "max_pool2d": _MAX,
    "max_pool_grad": LibraryCall(_takes, _pool("max_pool_grad", _gradient), as_first),
    "max_pool_tangent": LibraryCall(_takes, _pool("max_pool_tangent", _tangent), as_first),
    "avg_pool1d": _AVG,
    "avg_pool2d": _AVG,
    "avg_pool_grad": LibraryCall(_takes, _pool("avg_pool_grad", _backward), as_first),
}
