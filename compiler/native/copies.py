"""Copies, and values that lie within others: what is joined, and numbers that C has no type for."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np

from ...graphs.avals import Aval
from ...graphs.ir import Graph, Node
from ...graphs.ops.core import REGISTRY, Bound
from ...graphs.regions import FUSED
from .buffers import Constant
from .layout import Layout, viewed
from .plan import FULL
from .scalars import C_TYPES

JOINS = ("concat", "stack")
# Copies of their first operand, or zeros, but for what a view shows, which is their last operand.
FILLED = {"scatter_diagonal": "diagonal", "scatter_slice": "getitem", "setitem": "getitem"}
_STOP_GRADIENT = REGISTRY["stop_gradient"]


@functools.lru_cache(256)
def copy_of(shape: tuple[int, ...], dtype: np.dtype) -> Bound:
    """The fused operator that copies."""
    body, aval = Graph(), Aval(shape, dtype)
    value = body.add_placeholder("x", aval)
    bound = _STOP_GRADIENT.bind(((aval.shape, aval.dtype),), ())
    body.outputs = body.append(bound, (value,)).outputs
    attrs = {
        **FUSED.attrs, "bodies": (body,), "feeds": ((0,),), "domain": aval.shape, "reduced": None,
        "kinds": ("", FULL),
    }  # fmt: skip
    return Bound(FUSED, attrs, (aval,), (aval,))


def as_words(layout: Layout) -> Layout:
    """The same bytes as numbers that C has, to be copied."""
    if layout.dtype in C_TYPES:
        return layout
    size = layout.dtype.itemsize
    if size < 16:
        return replace(layout, dtype=np.dtype(f"uint{8 * size}"))
    return replace(
        layout,
        dtype=np.dtype("uint64"),
        shape=(*layout.shape, 2),
        strides=(*(2 * s for s in layout.strides), 1),
        offset=2 * layout.offset,
        moving=tuple((name, 2 * step) for name, step in layout.moving),
    )


def zeros_like(layout: Layout) -> Layout:
    """One zero, seen as an array like another."""
    zero = Constant(np.zeros((), layout.dtype), "zero")
    return Layout(zero, layout.dtype, layout.shape, (0,) * len(layout.shape))


def filled(node: Node, layout: Layout) -> Layout | None:
    """The part of a result that one of `FILLED` fills with its last operand: what a view shows."""
    [aval], view = node.bound.outs, REGISTRY[FILLED[node.op.name]]
    attrs = tuple(node.attrs[name] for name in view.attrs)
    return viewed(view.bind(((aval.shape, aval.dtype),), attrs), layout)


def part_of(join: Node, layout: Layout, position: int) -> Layout:
    """The part of a joined value that one operand is.

    Parameters
    ----------
    join : Node
        A `concat` or `stack`.
    layout : Layout
        Of its result.
    position : int
        Of the operand.
    """
    axis = join.attrs["axis"]
    step = layout.strides[axis]
    if join.op.name == "stack":
        shape = layout.shape[:axis] + layout.shape[axis + 1 :]
        strides = layout.strides[:axis] + layout.strides[axis + 1 :]
        return replace(layout, shape=shape, strides=strides, offset=layout.offset + position * step)
    lengths = [v.aval.shape[axis] for v in join.inputs]
    shape = (*layout.shape[:axis], lengths[position], *layout.shape[axis + 1 :])
    return replace(layout, shape=shape, offset=layout.offset + sum(lengths[:position]) * step)
