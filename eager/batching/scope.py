"""The style in force where calls are deferred: it notes them, and computes them when it must."""

from __future__ import annotations

import threading
from typing import Any

from ...graphs.avals import aval_of
from ...graphs.bound import Bound, bind_operands
from ...graphs.errors import TapeError
from ...graphs.kernels import recorder
from ...graphs.modes import in_style, mode, readers
from ...graphs.numbers import SCALARS
from ...graphs.ops import REGISTRY
from ...graphs.ops.core import Op
from ...graphs.ops.plain import as_plain
from ...graphs.storage import Storage
from ...graphs.watch import is_watching
from ..style import EAGER, Eager
from ..tape import Recorded, made, source_of, version_of
from .agenda import launches
from .deferred import OUT_OF_SCOPE, Deferred, defer, settle, settled
from .launching import launch
from .stacks import Column, Group, Stack, stand_for

_GETITEM = REGISTRY["getitem"]
_has_rule: dict[Op, bool] = {}


class Scope(Eager):
    """Notes calls of operators in groups of like ones, and computes them when they are read.

    Attributes
    ----------
    parent : Style
        Whose operands come here, too.
    """

    def __init__(self) -> None:
        self.rank = 2
        self.tensor_type, self.parameter_type = EAGER.tensor_type, EAGER.parameter_type
        self.parent: Any = OUT_OF_SCOPE
        self._thread = threading.get_ident()
        self._forget()

    def _forget(self) -> None:
        self._groups: dict[Any, Group] = {}  # by the operator and its operands' kinds
        self._bound: dict[Any, Group] = {}  # by what the operator is bound to
        # By id, the rows of operands that exist; by shape, dtype and device, their stacks.
        self._tensors: dict[int, Any] = {}
        self._stacks: dict[Any, Stack] = {}

    def call(self, op: Op, operands: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
        """Note a call, after the checks of its operands; what it gives stands for the result."""
        waits = _has_rule.get(op)
        if waits is None:
            waits = _has_rule[op] = _can_wait(op)
        if not waits or (recorder() is not None and is_watching()) or readers():
            return self._at_once(op, operands, attrs)
        alike = operands
        for operand in operands:
            if type(operand) is not Deferred:
                if op is _GETITEM:
                    return EAGER.call(op, operands, attrs)  # no other call reads this place
            elif not _has_changed(operand):
                continue
            alike = tuple([self._noted(x, op.name) for x in operands])
            break
        group = self._group(op, alike, attrs)
        columns = group.columns
        for position in range(len(alike)):
            if type(alike[position]) is Deferred:
                tensor: Recorded = alike[position]
                column: Column = columns[position]
                column.add(tensor._made, tensor.index)
        row = group.count
        group.count = row + 1
        outs = group.stacks
        source = _viewed(operands[0]) if group.bound.view else None
        if len(outs) == 1:
            return defer(outs[0], row, group.records, source)
        floats = group.bound.floats
        return tuple(
            [defer(out, row, group.records and floats[i], source) for i, out in enumerate(outs)]
        )

    def _group(self, op: Op, operands: tuple[Any, ...], attrs: tuple[Any, ...]) -> Group:
        """The group of a call. Its calls have the numbers among their operands in common."""
        count = len(operands)
        depth = 0
        records = numbers = False
        for operand in operands:
            if type(operand) is Deferred:
                tensor: Recorded = operand
                stack: Stack = tensor._made
                depth = max(depth, stack.depth)
                records = records or tensor.requires_grad
            else:
                numbers = True
        if records and not mode().enabled:
            records = False
        level = 2 * depth + records
        if attrs or numbers:
            return self._bound_group(op, operands, attrs, level)
        if count == 1:
            key: Any = (op, level, _kind(operands[0]))
        elif count == 2:
            key = (op, level, _kind(operands[0]), _kind(operands[1]))
        else:
            key = (op, level, *[_kind(x) for x in operands])
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = self._bound_group(op, operands, attrs, level)
        return group

    def _bound_group(
        self, op: Op, operands: tuple[Any, ...], attrs: tuple[Any, ...], level: int
    ) -> Group:
        """`_group` by what the operator is bound to, which tells attributes and numbers apart."""
        stands = [_stand(x) for x in operands]
        bound: Bound = bind_operands(op, stands, attrs)
        key = (bound, level, *[_kind(x) if type(x) is Deferred else x or repr(x) for x in operands])
        group = self._bound.get(key)
        if group is None:
            columns = [Column() if type(x) is Deferred else x for x in operands]
            records = bool(level % 2) and bound.differentiable
            numbers = [x or repr(x) for x in operands if type(x) is not Deferred]
            signature = (bound, records, *numbers)
            group = Group(self, bound, level // 2 + 1, records, signature, tuple(columns))
            self._bound[key] = group
        return group

    def _noted(self, operand: Any, where: str) -> Any:
        """An operand as a deferred tensor, or a number."""
        if type(operand) is Deferred:
            if not _has_changed(operand):
                return operand
            settle(operand)
        if not isinstance(operand, Recorded):
            if type(operand) is float or type(operand) is int:
                return operand
            operand = _concrete(operand, where)
            if not isinstance(operand, Recorded):
                return operand
        return self._noted_tensor(operand)

    def _noted_tensor(self, tensor: Recorded) -> Recorded:
        """What stands for a tensor that exists among those of its shape and dtype."""
        if tensor._base is not None and mode().enabled:
            source_of(tensor)  # refuses a view that does not know what its base became
        # What reads a storage is another tensor each time.
        key = id(tensor) if tensor.requires_grad else id(tensor.array)
        found = self._tensors.get(key)
        if found is None:
            array = tensor.array
            like = (array.shape, array.dtype, array.device)
            stack = self._stacks.get(like)
            if stack is None:
                stand = stand_for(aval_of(array))
                stack = self._stacks[like] = Stack(stand, id(stand), 0, None, [])
            stack.rows.append(tensor)
            found = defer(stack, len(stack.rows) - 1, tensor.requires_grad, None)
            self._tensors[key] = found
        return found

    def _at_once(self, op: Op, operands: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
        with in_style(EAGER):
            return EAGER.call(op, settled(operands), attrs)

    def flush(self) -> None:
        """Compute all that waits.

        Raises
        ------
        DiptychError
            Of the first launch that failed. What does not depend on it is computed nevertheless.
        """
        if not self._bound:
            return
        if threading.get_ident() != self._thread:
            raise TapeError(
                "autobatch: a deferred tensor must be read on the thread of its scope, got another"
            )
        groups = list(self._bound.values())
        self._forget()
        error = None
        with in_style(EAGER):
            for together in launches(groups):
                error = launch(together) or error
        if error is not None:
            raise error

    # What is not an operator's call reads what it needs at once.

    def rows(self, x: Any) -> list[Any]:
        return EAGER.rows(*settled((x,)))

    def checkpoint(self, function: Any, args: tuple[Any, ...]) -> Any:
        with in_style(EAGER):
            return EAGER.checkpoint(function, args)


def _can_wait(op: Op) -> bool:
    """Whether calls of an operator can be computed later, and together."""
    now = op.batch is None or op.dynamic or op.effect or op.region or not op.operands
    return not now


def _viewed(operand: Any) -> Any:
    """The tensor that a view of an operand is a view of, if any."""
    if isinstance(operand, Storage):
        return EAGER.read(operand)
    return operand if isinstance(operand, Recorded) else None


def _concrete(operand: Any, where: str) -> Any:
    """An operand that is not deferred: a tensor, or a number."""
    if isinstance(operand, Storage):
        return EAGER.read(operand)
    given = as_plain(operand, where)
    return given if type(given) in SCALARS else made(EAGER.tensor_type, given)


def _has_changed(tensor: Recorded) -> bool:
    """Whether a deferred tensor is a view of one that was written to since."""
    source: Any = tensor._hooks
    return source is not None and type(source) is not Deferred and version_of(source) > 0


def _kind(tensor: Recorded) -> Any:
    """The kind of the stack that a deferred tensor is a row of."""
    stack: Stack = tensor._made
    return stack.kind


def _stand(operand: Any) -> Any:
    """What stands for an operand where an operator is bound; a number for itself."""
    return operand._made.stand if type(operand) is Deferred else operand
