"""The product of matrices: a call of the library where it is large, else NumPy's."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..compiled import universal
from .calls import Description, Lying, call, is_native
from .shapes.matmul import product

# Multiplications up to which OpenBLAS stays on one thread, and is done sooner. Above, it has
# threads of its own, which would look out for work where ours do theirs.
_LARGE = 1 << 18

_of_numpy = universal(np.matmul)


def is_large(x: tuple[int, ...], y: tuple[int, ...]) -> bool:
    """Whether the product of operands of some shapes is worth a call."""
    return len(x) > 1 and len(y) > 1 and prod(x) * y[-1] > _LARGE and min(x[-2], y[-1]) > 1


def matmul(x: Any, y: Any, *, out: Any = None) -> Any:
    """The product of arrays on the CPU."""
    if is_large(x.shape, y.shape) and is_native(np, x, y):
        if out is None:
            stacks = x.ndim > 2 or y.ndim > 2
            lead = np.broadcast_shapes(x.shape[:-2], y.shape[:-2]) if stacks else ()
            out = np.empty((*lead, x.shape[-2], y.shape[-1]), x.dtype)
        if out.dtype == x.dtype and call(_product, (x, y, out)):
            return out
    return _of_numpy(x, y, out=out)


def _product(x: Lying, y: Lying, z: Lying, threads: int) -> Description | None:
    found = product(x, y, z, threads)
    if found is None:
        return None
    shape, room = found
    return Description("matmul", shape, (room,), 2 * prod(z.shape) * x.shape[-1])
