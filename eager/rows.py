"""The rows of a tensor as views that share one node, whose gradient is their stack.

Taken one by one, each would have a gradient of the whole tensor's size.
"""

from __future__ import annotations

from typing import Any

from ..graphs.autodiff import zeros_of
from ..graphs.kernels import launch
from ..graphs.modes import is_grad_enabled
from ..graphs.ops import REGISTRY, stack
from .style import EAGER
from .tape import Node, join
from .tensor import Tensor

_GETITEM = REGISTRY["getitem"]


class RowsNode(Node):
    """The node of all rows; its gradient needs nothing but theirs."""

    def pull(self, cotangents: list[Any], wanted: tuple[int, ...]) -> list[tuple[int, Any]]:
        rows = [zeros_of(a) if g is None else g for a, g in zip(self.outputs, cotangents)]
        return [(0, stack(rows))]


def rows(x: Tensor) -> list[Tensor]:
    """Views of a tensor along its first axis.

    Raises
    ------
    DTypeError
        When it has none.
    """
    spec = (x.array.shape, x.array.dtype, x.device)
    found, avals = [], []
    for position in range(len(x)):
        bound = _GETITEM.bind((spec,), ((position,),))
        view = Tensor(launch(bound, [x.array])[0])
        EAGER.link(x, view, bound)
        found.append(view)
        avals.append(bound.outs[0])
    edge = x.edge() if is_grad_enabled() else None
    if edge is not None and found:
        node = RowsNode("rows", (edge,), tuple(avals), ())
        for index, view in enumerate(found):
            join(view, node, index)
    return found
