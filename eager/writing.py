"""Changes straight in a tensor's memory, where nothing records them and nobody observes them.

`ops.setitem` is written in operators, and gives a copy. Where its first operand is a `Target`, the
operator that would make the copy writes over the target instead, after the same checks.
"""

from __future__ import annotations

from typing import Any

from ..graphs import ops
from ..graphs.bound import bind_operands
from ..graphs.kernels import shares, shares_memory
from ..graphs.modes import note_reads, readers
from ..graphs.ops.core import Op
from ..graphs.ops.plain import as_plain
from .style import EAGER

# Operators that change a copy of one operand, and which that is.
_CHANGED = {"setitem": 0, "index_put": 0, "where": 2}


class Target:
    """A tensor to be written to, as an operand; a view of it is one, too."""

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor
        self.shape, self.dtype, self.device = tensor.shape, tensor.dtype, tensor.device
        self.style = WRITING


class Writing:
    """The style of targets."""

    rank = 2  # above the tensors that are written and that say where

    def call(self, op: Op, operands: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
        position = _CHANGED.get(op.name)
        if position is None:
            return self._viewed(op, operands, attrs)
        target = operands[position]
        if op.name == "setitem" and isinstance(operands[1], Target):
            return target  # a part of it, which is written by now
        given = [_plain(x, op.name) for x in operands]
        bound = bind_operands(op, given, attrs)
        if readers():
            note_reads(op.name, list(operands))
        arrays = [
            x if x is target.tensor.array else bound.materialise(x, i) for i, x in enumerate(given)
        ]
        if op.name == "where":
            target.device.xp.copyto(target.tensor.array, arrays[1], where=arrays[0])
        else:
            bound.kernel(*arrays, out=target.tensor.array)
        return target

    def _viewed(self, op: Op, operands: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
        given = [x.tensor if isinstance(x, Target) else x for x in operands]
        result = EAGER.call(op, tuple(given), attrs)
        is_view = isinstance(operands[0], Target) and op.view
        return Target(result) if is_view and shares(result.array, given[0].array) else result


WRITING = Writing()


def write(tensor: Any, index: Any, value: Any) -> None:
    """``tensor[index] = value``, into the very memory."""
    result = ops.setitem(Target(tensor), value, index)
    if not isinstance(result, Target):  # a part that was no view had to be copied
        tensor.array[...] = result.array


def update(tensor: Any, op: Op, other: Any) -> bool:
    """``tensor = op(tensor, other)``, into the very memory.

    Returns
    -------
    bool
        False, with nothing written, where the result has to be made elsewhere first: of another
        shape or dtype, or of memory that would be read after it was written.
    """
    given = [tensor.array, _plain(other, op.name)]
    bound = bind_operands(op, given, ())
    (result,) = bound.outs
    alike = result.shape == tensor.shape and result.dtype == tensor.dtype
    if not (alike and op.in_place and tensor.array.flags.c_contiguous) or bound.may_raise:
        return False
    operand = tensor.array if given[1] is tensor.array else bound.materialise(given[1], 1)
    if operand is not tensor.array and shares_memory(tensor.array, operand):
        return False
    if readers():
        note_reads(op.name, [tensor, other])
    bound.kernel(tensor.array, operand, out=tensor.array)
    return True


def _plain(operand: Any, where: str) -> Any:
    if isinstance(operand, Target):
        return operand.tensor.array
    return operand.array if hasattr(operand, "array") else as_plain(operand, where)
