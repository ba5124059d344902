"""Products of matrices: their shape, and the scratch memory they need."""

from __future__ import annotations

from dataclasses import dataclass

from .folding import folded
from .structs import Strided, Struct, aligned, broadcast_strides

# Of graphs/kernels/native/matmul_template.h, for whichever vectors it is compiled.
_DEPTH = 512
_TILE_BYTES = 128  # of the columns of a tile, and of its rows when packed, at most
_TILES = 8  # packed at a time

Strides = tuple[int, ...]


@dataclass(frozen=True)
class Product(Struct):
    """The struct `dt_matmul`, in the order of its fields."""

    stacks: tuple[int, ...]
    rows: int
    columns: int
    depth: int
    x: Strides
    y: Strides
    z: Strides
    panels: int
    room: int


def product(x: Strided, y: Strided, z: Strided, threads: int) -> tuple[Product, int] | None:
    """A product of two matrices or stacks of them.

    Parameters
    ----------
    x, y, z : Strided
        Operands of two axes or more, of which the leading ones broadcast, and the result.
    threads : int

    Returns
    -------
    (Product, int) or None
        The shape and the bytes of scratch memory. None where the kernel cannot read or write a
        tensor as it lies.
    """
    lead = z.shape[:-2]
    steps = [broadcast_strides(v.shape[:-2], v.strides[:-2], len(lead)) for v in (x, y)]
    steps.append(z.strides[:-2])
    rows, depth, columns = x.shape[-2], x.shape[-1], z.shape[-1]
    if 0 in (*z.shape, depth) or (z.strides[-1] != 1 and columns > 1):
        return None
    row = [x.strides[-2], z.strides[-2]]
    if not any(steps[1]):  # all stacks share the right matrix: their rows are those of one matrix
        one = folded((*lead, rows), [(*steps[i], r) for i, r in zip((0, 2), row)], 1)
        if one is not None:
            (rows,), ((row[0],), (row[1],)) = one
            lead, steps = (), [(), (), ()]
    found = folded(lead, steps, 2)
    if found is None:
        return None
    stacks, ((a, b), (c, d), (e, f)) = found
    size = x.dtype.itemsize
    deep = min(depth, _DEPTH)
    panels = deep * -(-columns * size // _TILE_BYTES) * _TILE_BYTES
    room = _TILES * deep * _TILE_BYTES
    alone = stacks[0] * stacks[1] >= threads
    shape = Product(
        stacks, rows, columns, depth, (a, b, row[0], x.strides[-1]),
        (c, d, y.strides[-2], y.strides[-1]), (e, f, row[1], 1),
        0 if alone else aligned(panels), aligned(room + panels if alone else room),
    )  # fmt: skip
    return shape, shape.panels + threads * shape.room
