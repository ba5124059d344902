"""Which way the loops of a fused node go."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...graphs.ops.core import Bound
from .columns import ColumnNest
from .extents import most
from .kernel import Kernel
from .layout import Layout
from .plan import END
from .rows import RowNest

LONG = 16384  # elements of a whole array that several threads add up


def nest(
    bound: Bound, operands: Sequence[Layout], results: Sequence[Layout], threads: int
) -> Kernel:
    """The kernel of a fused node without a product.

    Parameters
    ----------
    bound : Bound
        Of the node.
    operands, results : sequence of Layout
    threads : int
        How many run the step.
    """
    attrs = bound.attrs
    by_columns = (
        attrs["reduced"] is not None
        and END not in attrs["kinds"]
        and _lies_in_columns(attrs["domain"], attrs["reduced"], operands)
    )
    kind = ColumnNest if by_columns else RowNest
    return kind(bound, operands, results, threads).kernel


def _lies_in_columns(
    shape: tuple[int, ...], reduced: tuple[int, ...], operands: Sequence[Layout]
) -> bool:
    """Whether a row's elements lie apart, or there is but one long row."""
    axes = [a for a, n in enumerate(shape) if n != 1]
    if not axes:
        return False
    if all(a in reduced for a in axes):
        return most(math.prod(shape)) > LONG
    lead = max((x for x in operands if x.shape == shape), key=_steps, default=None)
    if lead is None:
        return max(axes) not in reduced
    return min(axes, key=lambda a: (abs(lead.strides[a]) or 1 << 60, -a)) not in reduced


def _steps(layout: Layout) -> int:
    """How many axes an operand moves along."""
    return sum(s != 0 for s in layout.strides)
