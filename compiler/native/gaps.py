"""Gaps: rows of whole pages lie a line further apart where tiles read several of them at once.

Else the numbers that a tile reads together would fall on the same places of the first cache, and
would have to be packed before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ...graphs.ir import Node, Value
from ...graphs.kernels.shapes.structs import LINE
from ...graphs.regions import FUSED
from .layout import Layout, dense_strides, viewed
from .product import PAGE, WIDTH, product_of_body


def with_gaps(value: Value, layout: Layout) -> Layout | None:
    """How a value lies with a line between its rows; None where nothing asks for that, or a reader
    could not do with it.

    Parameters
    ----------
    value : Value
    layout : Layout
        How it lies without gaps.
    """
    if len(layout.shape) < 2 or not layout.is_dense or not _is_far(layout):
        return None
    *outer, row = layout.shape
    strides = dense_strides((*outer, row + LINE // layout.dtype.itemsize))
    wide = replace(layout, strides=strides)
    readers = list(_readers(value, layout, wide))
    if None in readers or not any(readers):
        return None
    return wide


def _is_far(layout: Layout) -> bool:
    """Whether rows begin at the same place of their pages."""
    return layout.strides[-1] == 1 and layout.strides[-2] * layout.dtype.itemsize % PAGE == 0


def _readers(value: Value, dense: Layout, wide: Layout) -> Iterator[bool | None]:
    """Whether each reader of a value reads rows by tiles; None of one that needs it dense."""
    for user in value.uses:
        if user.op is FUSED:
            yield _reads_by_tiles(user, value) and len(dense.shape) > 1 and _is_far(dense)
        elif user.op.view:
            shown, spread = viewed(user.bound, dense), viewed(user.bound, wide)
            if shown is None or spread is None:
                yield None
            else:
                yield from _readers(user.outputs[0], shown, spread)
        else:
            yield None


def _reads_by_tiles(node: Node, value: Value) -> bool:
    """Whether a value is the first operand of a product of more columns than a tile has."""
    [body] = node.attrs["bodies"]
    product = product_of_body(body)
    if product is None or product.aval.shape[-1] * product.dtype.itemsize <= WIDTH:
        return False
    inside = zip(node.inputs, body.placeholders.values())
    return any(v is value and inner is product.node.inputs[0] for v, inner in inside)
