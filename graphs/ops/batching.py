"""Batching rules that several families of operators share: how `vmap` runs a batch at once.

A rule is called as ``rule(call, operands, batched)``. `call` is what one example would compute: the
bound operator, with normalised attributes and the avals of a single example. `operands` are of any
style; where `batched` holds, axis 0 is the batch. The rule gives the result, or a tuple of results,
with the batch on axis 0 of each.
"""

from __future__ import annotations

from typing import Any

from ..dims import Size
from ..numbers import materialise
from . import dispatch
from .core import Bound

Results = Any


def apply(call: Bound, *operands: Any, **changed: Any) -> Results:
    """The operator on other operands, with its attributes as they are but for the changed ones."""
    attrs = {**call.attrs, **changed}
    return dispatch.call(call.op, operands, tuple(attrs.values()))


def batch_size(operands: Any, batched: Any) -> Size:
    """The number of examples."""
    return next(x.shape[0] for x, is_batched in zip(operands, batched) if is_batched)


def elementwise(call: Bound, operands: Any, batched: Any) -> Results:
    """For operators that broadcast: axes of size 1 are put in behind the batch."""
    return apply(call, *aligned(call, operands, batched))


def aligned(call: Bound, operands: Any, batched: Any) -> list[Any]:
    """Operands whose batch axis stands left of every other axis when they broadcast."""
    from .manipulation import reshape

    ndim = max(aval.ndim for aval in call.ins)
    found = []
    for x, aval, is_batched in zip(operands, call.ins, batched):
        if is_batched and aval.ndim < ndim:
            x = reshape(x, (x.shape[0], *[1] * (ndim - aval.ndim), *aval.shape))
        found.append(x)
    return found


def spread(call: Bound, operands: Any, batched: Any) -> list[Any]:
    """All operands with a batch axis, repeated where an operand had none."""
    from .manipulation import broadcast_to

    size = batch_size(operands, batched)
    found = []
    for x, aval, is_batched in zip(operands, call.ins, batched):
        if not is_batched:
            # A number has no dtype of its own; it must not get another one than its example has.
            x = x if hasattr(x, "style") else materialise(x, aval, call.op.name)
            x = broadcast_to(x, (size, *aval.shape))
        found.append(x)
    return found


def shifted(*names: str) -> Any:
    """A rule for one operand: the axes in these attributes move right by the batch axis."""

    def rule(call: Bound, operands: Any, batched: Any) -> Results:
        moved = {name: _shift(call.attrs[name]) for name in names}
        return apply(call, *operands, **moved)

    return rule


def prefixed(name: str) -> Any:
    """A rule for one operand: the shape in this attribute begins with the batch."""

    def rule(call: Bound, operands: Any, batched: Any) -> Results:
        return apply(call, *operands, **{name: (operands[0].shape[0], *call.attrs[name])})

    return rule


def leading(call: Bound, operands: Any, batched: Any) -> Results:
    """For operators on the last axes that take all axes before them as they come."""
    return apply(call, *operands)


def _shift(axis: Any) -> Any:
    return tuple(a + 1 for a in axis) if isinstance(axis, tuple) else axis + 1
