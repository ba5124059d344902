"""A launch: the operands of many calls brought together, and the operator's batching rule."""

from __future__ import annotations

from typing import Any

from ...graphs.bound import Bound
from ...graphs.devices import device_of
from ...graphs.errors import DiptychError
from ...graphs.kernels import shares
from ...graphs.kernels.indexing import slices
from ...graphs.kernels.launch import copied
from ...graphs.modes import GradMode, is_grad_enabled
from ...graphs.ops import REGISTRY, broadcast_to
from ..style import EAGER
from ..tape import edge_of, join, storage_of, version_of
from ..tensor import Tensor
from .rows import Rows, Taken, joined, selected
from .stacks import Column, Group, Piece, Stack, pieces_of

_GETITEM = REGISTRY["getitem"]

# Different tensors at one position of a launch are copied into one. Where the copy has more
# elements than so many for each of them, as weights of several models have, a launch for each is
# cheaper.
_ELEMENTS_A_LAUNCH = 16384


class Batch:
    """What a launch gave: a row for each call, or one result of all.

    Parameters
    ----------
    value : Tensor
    count : int
        Of calls.
    alone : bool
        Whether `value` is the result of each call, in place of their rows.
    """

    def __init__(self, value: Tensor, count: int, alone: bool) -> None:
        self.value, self.count, self.alone = value, count, alone
        self._taken: Taken | None = None

    def rows(self, rows: Rows, repeated: bool = False) -> tuple[Any, Any]:
        """Rows as an array, and where their gradient flows."""
        array = selected(self.value.array, rows)
        if not (is_grad_enabled() and self.value.requires_grad):
            return array, None
        if self._taken is None:
            self._taken = Taken(self.value)
        return array, (self._taken, self._taken.add(rows, array, repeated))

    def row(self, row: int) -> Tensor:
        """The result of one call, in the memory of all."""
        return self.value if self.alone else _tensor(*self.rows(row))

    def hand_out(self, tensor: Any, row: int, stack: Stack, source: Any) -> None:
        """Let a deferred tensor be the row that it stands for.

        Rows are copied: a change in place of one must not reach what others, or gradients, read.
        A view is one of `source`, which its changes do reach.
        """
        group = stack.group
        with GradMode(group.records):
            found: Any = self.row(row)
            array = None if source is None else group.bound.kernel(source.array)
            is_view = array is not None and shares(array, source.array)
            if not is_view:
                is_own = self.alone and self.count == 1 and source is None
                array = found.array if is_own else copied(found.array)
            elif version_of(source):  # it was written since, and shows that
                found = EAGER.call(group.bound.op, (source,), _attrs(group.bound))
        taken_at = tensor._view_version
        tensor.__class__ = Tensor
        tensor.array, tensor.index, tensor.requires_grad = array, 0, False
        tensor._made = tensor._hooks = None
        if is_view:
            EAGER.link(source, tensor, group.bound)
            if not group.records:  # of what its base became since, it has no history
                tensor._view_version = min(taken_at, tensor._view_version)
        elif array is found.array:
            tensor._storage = storage_of(found)
        if found.requires_grad:
            join(tensor, found.grad_fn, found.index)


class Failed:
    """What a launch gave that raised an error: the error, for everybody who reads a row."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def hand_out(self, *given: Any) -> None:
        raise self.error


def launch(groups: list[Group]) -> BaseException | None:
    """Compute groups of one signature, whose operands are there, together; the error, if any."""
    ready = [group for group in groups if not _inherits(group)]
    if not ready:
        return None
    first, count = ready[0], sum(group.count for group in ready)
    try:
        with GradMode(first.records):
            results, alone = _computed(ready, count)
    except BaseException as error:
        found = _of_one_call(ready, error)
        for group in ready:
            _settle(group, [Failed(found)] * len(group.stacks), 0)
        return found
    batches = [Batch(result, count, alone) for result in results]
    offset = 0
    for group in ready:
        _settle(group, batches, offset)
        offset += group.count
    return None


def _settle(group: Group, batches: list[Any], offset: int) -> None:
    """Say what a group was computed to, and forget what it read."""
    for stack, batch in zip(group.stacks, batches):
        stack.batch, stack.offset, stack.depth = batch, offset, 0
    group.columns = ()


def _inherits(group: Group) -> bool:
    """Whether an operand failed, and the group with it."""
    for column in group.columns:
        if isinstance(column, Column):
            for stack in column.distinct():
                if isinstance(stack.batch, Failed):
                    _settle(group, [stack.batch] * len(group.stacks), 0)
                    return True
    return False


def _computed(groups: list[Group], count: int) -> tuple[tuple[Tensor, ...], bool]:
    """The results of groups' calls, and whether all calls have the same."""
    parts = _parts(groups, count)
    if parts is not None:
        return _in_parts(groups, parts, count), False
    bound = groups[0].bound
    if bound.op is _GETITEM:
        part = _part_of_each(groups)
        if part is not None:
            return (part,), False
    operands, batched = [], []
    for position in range(len(groups[0].columns)):
        operand, is_batch = _operand([g.columns[position] for g in groups], count)
        operands.append(operand)
        batched.append(is_batch)
    if any(batched):
        results = bound.op.batch(bound, operands, batched)  # type: ignore[misc]
    else:
        results = EAGER.call(bound.op, tuple(operands), _attrs(bound))
    return (results if type(results) is tuple else (results,)), not any(batched)


def _part_of_each(groups: list[Group]) -> Tensor | None:
    """The same part of each row of a batch, where the calls read all of it in order.

    It has one node with all other parts, as have rows.
    """
    pieces = pieces_of([group.columns[0] for group in groups])
    batch, rows = pieces[0].batch, pieces[0].rows
    if len(pieces) > 1 or batch is None or not (rows.is_run() and rows.count == batch.count):
        return None
    return _tensor(*batch.rows((slice(None), *slices(groups[0].bound.attrs["index"]))))


def _operand(columns: list[Any], count: int) -> tuple[Any, bool]:
    """What the calls read at one position, and whether it is a batch or common to all."""
    if not isinstance(columns[0], Column):
        return columns[0], False
    pieces = pieces_of(columns)
    first = pieces[0]
    if len(pieces) > 1:
        return _together(pieces, count), True
    if first.batch is None:
        return first.tensor, False
    rows, batch = first.rows, first.batch
    if rows.is_one():
        return batch.row(rows.first), False
    if rows.is_run() and rows.first == 0 and rows.count == batch.count:
        return batch.value, True
    return _tensor(*batch.rows(rows.index(), rows.repeat())), True


def _together(pieces: list[Piece], count: int) -> Tensor:
    """Pieces as one batch."""
    arrays, edges, places = [], [], []
    for piece in pieces:
        place = piece.places.first if piece.places.count == 1 else piece.places.index()
        if piece.batch is not None:
            row = piece.rows.first if piece.rows.count == 1 else piece.rows.index()
            array, edge = piece.batch.rows(row, piece.rows.repeat())
        else:
            tensor = piece.tensor
            if not isinstance(place, int):
                tensor = broadcast_to(tensor, (piece.places.count, *tensor.shape))
            array, edge = tensor.array, edge_of(tensor)
        arrays.append(array)
        edges.append(edge)
        places.append(place)
    shape = arrays[0].shape if isinstance(places[0], int) else arrays[0].shape[1:]
    whole = device_of(arrays[0]).xp.empty((count, *shape), arrays[0].dtype)
    for array, place in zip(arrays, places):
        whole[place] = array
    return joined(whole, edges, places)


def _tensor(array: Any, edge: Any) -> Tensor:
    """A tensor of an array, and where its gradient flows."""
    tensor = Tensor(array)
    if edge is not None:
        join(tensor, *edge)
    return tensor


# -- calls that read different large tensors -----------------------------------------------------


def _parts(groups: list[Group], count: int) -> list[list[int]] | None:
    """The calls by the tensor that they read, where one launch for each of these is cheaper."""
    for position, column in enumerate(groups[0].columns):
        if not isinstance(column, Column):
            continue
        elements = count * column.source.stand.size
        if elements > _ELEMENTS_A_LAUNCH:
            pieces = pieces_of([group.columns[position] for group in groups])
            is_fewer = len(pieces) * _ELEMENTS_A_LAUNCH < elements
            if len(pieces) > 1 and is_fewer and all(piece.batch is None for piece in pieces):
                return [piece.places.listed() for piece in pieces]
    return None


def _in_parts(groups: list[Group], parts: list[list[int]], count: int) -> tuple[Tensor, ...]:
    """The results of calls that are launched in parts."""
    launched: dict[int, tuple[Group, int]] = {}
    for places in parts:
        group = _with_calls(groups, places)
        results, alone = _computed([group], len(places))
        _settle(group, [Batch(result, len(places), alone) for result in results], 0)
        launched |= {place: (group, row) for row, place in enumerate(places)}
    whole = []
    for position in range(len(groups[0].stacks)):
        column = Column()
        for place in range(count):
            group, row = launched[place]
            column.add(group.stacks[position], row)
        whole.append(_together(pieces_of([column]), count))
    return tuple(whole)


def _with_calls(groups: list[Group], places: list[int]) -> Group:
    """A group of some of the calls of groups."""
    first = groups[0]
    columns = []
    for position, given in enumerate(first.columns):
        if isinstance(given, Column):
            lines = [
                line
                for group in groups
                for column in (group.columns[position],)
                for line in zip(column.stacks(), column.rows.listed())
            ]
            given = Column()
            for place in places:
                given.add(*lines[place])
        columns.append(given)
    return Group(first.scope, first.bound, 0, first.records, first.signature, tuple(columns))


# -- errors --------------------------------------------------------------------------------------


def _of_one_call(groups: list[Group], error: BaseException) -> BaseException:
    """The error that one call by itself raises, in place of that of a launch."""
    if not isinstance(error, DiptychError):
        return error
    with GradMode(False):
        for place in range(sum(group.count for group in groups)):
            alone = _with_calls(groups, [place])
            try:
                _computed([alone], 1)
            except DiptychError as own:
                return own
    return error


def _attrs(bound: Bound) -> tuple[Any, ...]:
    return tuple(bound.attrs.values())
