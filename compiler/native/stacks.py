"""Stacks: what a loop keeps of each round, where running it tells how many rounds there are.

An entry of a stack holds all that its loop keeps of one round. In the graph that is a value for
each result, whose first axis has a size that depends on data; its layout shows the first entry.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...graphs.avals import Aval
from ...graphs.ir import Value
from ...graphs.kernels.shapes.structs import LINE, aligned
from .buffers import Entries, Stack
from .kernel import Access, Kernel, Span
from .layout import Layout, dense_strides

_COUNT = np.dtype("int64")


def stack_of(values: Sequence[Value], label: str) -> tuple[Stack, list[Layout]]:
    """A stack that holds these results of a loop, and where each lies in it."""
    shapes = [tuple(int(n) for n in v.shape[1:]) for v in values]
    nbytes = [int(np.prod(s, dtype=np.int64)) * v.dtype.itemsize for s, v in zip(shapes, values)]
    offsets: dict[int, int] = {}
    end = 0
    for i in sorted(range(len(values)), key=lambda i: -nbytes[i]):
        # The largest go first, so small ones are aligned where the one before them ends.
        end = aligned(end) if nbytes[i] >= LINE else end
        width = values[i].dtype.itemsize
        offsets[i] = end = -(-end // width) * width
        end += nbytes[i]
    widest = max(v.dtype.itemsize for v in values)
    stack = Stack(aligned(end) if end >= LINE else -(-end // widest) * widest, label)
    entries = Entries(stack)
    layouts = []
    for i, (value, shape) in enumerate(zip(values, shapes)):
        width = value.dtype.itemsize
        strides = (stack.nbytes // width, *dense_strides(shape))
        layouts.append(Layout(entries, value.dtype, (1, *shape), strides, offsets[i] // width))
    return stack, layouts


def given_stack(aval: Aval, label: str) -> Layout:
    """A stack that a run hands over: an array without gaps along its first axis."""
    shape = tuple(int(n) for n in aval.shape[1:])
    strides = dense_strides((1, *shape))
    entries = Entries(Stack(math.prod(shape) * aval.dtype.itemsize, label))
    return Layout(entries, aval.dtype, (1, *shape), strides)


def count_of(stack: Stack) -> Layout:
    """The number of a stack's entries."""
    return Layout(stack, _COUNT, (), ())


def sized_like(count: Layout, stack: Stack, threads: int) -> Kernel:
    """The kernel that gives a stack as many entries as a number in memory says."""
    spans: list[Span] = [(0, _COUNT.itemsize)] + [(0, 0)] * (threads - 1)
    return Kernel(
        "hold",
        f"room for entries of {stack.nbytes} bytes",
        ["const int64_t *p0", "int64_t *q0"],
        ["dt_barrier(team);", f"dt_hold(team, thread, (dt_stack *)q0, *p0, {stack.nbytes});"],
        [Access(count, False, spans), Access(count_of(stack), True, spans)],
        waits=True,
        refuses=True,
    )
