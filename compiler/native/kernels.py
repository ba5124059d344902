"""The kernels of fused nodes, each written once: unrolled loops have the same ones many times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ...graphs.ops.core import Bound
from .copies import as_words, copy_of
from .kernel import Kernel
from .layout import Layout
from .nests import nest
from .product import Product, product_of_body


class Kernels:
    """Writes kernels, and gives those that it has written again.

    Two nodes that are bound alike, whose operands and results lie alike, have the same kernel at
    other addresses.

    Parameters
    ----------
    threads : int
        How many run the step.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._written: dict[Any, Kernel] = {}

    def fused(
        self,
        bound: Bound,
        operands: Sequence[Layout],
        results: Sequence[Layout],
        in_loop: bool = False,
        is_packed: bool = False,
    ) -> Kernel:
        """The kernel of a fused node.

        Parameters
        ----------
        bound : Bound
            Of the node.
        operands, results : sequence of Layout
        in_loop : bool
            Whether the node runs in a loop, whose other nodes go by rows.
        is_packed : bool
            Whether the second operand of its product lies in panels.
        """
        layouts = (*operands, *results)
        lies = tuple([(x.dtype, x.shape, x.strides) for x in layouts])
        over = tuple(
            [(i, k) for i, x in enumerate(operands) for k, y in enumerate(results)
             if x.buffer is y.buffer]
        )  # fmt: skip
        key = (bound, lies, over, in_loop, is_packed)
        kernel = self._written.get(key)
        if kernel is None:
            if product_of_body(bound.attrs["bodies"][0]) is None:
                kernel = nest(bound, operands, results, self.threads)
            else:
                made = Product(bound, operands, results, self.threads, in_loop, is_packed)
                kernel = made.kernel
            self._written[key] = kernel
        accesses = [replace(a, layout=x) for a, x in zip(kernel.accesses, layouts, strict=True)]
        return replace(kernel, accesses=accesses)

    def copy(self, source: Layout, target: Layout) -> Kernel:
        """The kernel that copies elements from one layout to another of the same shape."""
        source, target = as_words(source), as_words(target)
        return self.fused(copy_of(source.shape, source.dtype), [source], [target])
