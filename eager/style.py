"""The eager style: check, run the kernel, record."""

from __future__ import annotations

from typing import Any

from ..graphs.bound import Bound, bind_operands
from ..graphs.kernels import shares
from ..graphs.kernels.launch import run_kernel
from ..graphs.modes import mode, note_reads, note_write, readers
from ..graphs.operand import Operand
from ..graphs.ops import astype
from ..graphs.ops.core import Op
from ..graphs.ops.dispatch import DirectStyle
from ..graphs.ops.plain import as_plain
from ..graphs.storage import Storage
from .tape import Recorded, join, made, new_node, new_saved, positions, source_of, storage_of


class Eager(DirectStyle):
    """Applies operators to tensors at once. One instance, `EAGER`, serves every thread."""

    def __init__(self) -> None:
        self.rank = 1
        self.tensor_type: Any = None
        self.parameter_type: Any = None

    def call(self, op: Op, operands: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
        """Apply an operator: check, run the kernel, record."""
        tensors = operands
        arrays: list[Any] = [None] * len(operands)
        records = False
        for i, operand in enumerate(operands):
            if type(operand) is self.tensor_type or isinstance(operand, Recorded):
                records = records or _may_record(operand)
                arrays[i] = _array(operand)
            else:
                if tensors is operands and isinstance(operand, Operand):
                    tensors = tuple(
                        [self.read(x) if isinstance(x, Storage) else x for x in operands]
                    )
                arrays[i] = _plain(op, operand)
        bound: Bound = bind_operands(op, arrays, attrs)
        if readers():
            note_reads(op.name, tensors)
        for i in bound.casts:
            if isinstance(tensors[i], Recorded):
                tensors = self._cast(bound, tensors, arrays, i)
            else:
                arrays[i] = bound.materialise(arrays[i], i)
        computed = run_kernel(bound, arrays)
        records = records and bound.differentiable and mode().enabled
        if type(computed) is not tuple:
            result = made(self.tensor_type, computed)
            if bound.view and _is_view(computed, arrays[0]):
                self.link(tensors[0], result, bound)
            if records:
                self._record(bound, tensors, (result,))
            return result
        results = tuple([made(self.tensor_type, array) for array in computed])
        if records:
            self._record(bound, tensors, results)
        return results

    def _cast(
        self, bound: Bound, tensors: tuple[Any, ...], arrays: list[Any], position: int
    ) -> tuple[Any, ...]:
        """Bring a tensor to the dtype that the operator computes with."""
        cast = astype(tensors[position], bound.ins[position].dtype)
        arrays[position] = cast.array
        return (*tensors[:position], cast, *tensors[position + 1 :])

    def _record(self, bound: Bound, tensors: tuple[Any, ...], results: tuple[Any, ...]) -> None:
        """Put a node on the tape, if a gradient is wanted for an operand."""
        sources: list[Any] = [None] * len(tensors)
        moved = False
        for i, operand in enumerate(tensors):
            source = sources[i] = _source(operand)
            moved = moved or (source is not None and _index(operand) != 0)
        origins = tuple(sources)
        wanted = positions(origins)
        if not wanted:
            return
        saved = []
        for name, position, index in bound.reads(wanted):
            if position is None:
                if not bound.floats[index]:  # it will not know of the node that shares its storage
                    storage_of(results[index])
                saved.append(new_saved(name, results[index], index))
            else:
                operand = tensors[position]
                if not isinstance(operand, Recorded):
                    operand = made(self.tensor_type, bound.materialise(operand, position))
                saved.append(new_saved(name, operand, -1))
        node = new_node(bound, origins, wanted, tuple(saved))
        if moved:
            node.indices = tuple([0 if s is None else _index(x) for s, x in zip(origins, tensors)])
        for index, result in enumerate(results):
            if bound.floats[index]:
                join(result, node, index)

    def link(self, source: Any, view: Any, bound: Bound) -> None:
        """Let a view share its base's storage, so that a change of either shows in the version."""
        if isinstance(source, Recorded):
            _link(source, view, bound)

    def constant(self, array: Any) -> Any:
        return self.tensor_type(array)

    def read(self, storage: Any) -> Any:
        held = made(self.tensor_type, storage.storage.array)
        held._storage = storage.storage
        return held

    def assign(self, storage: Any, value: Any, when: Any = None) -> None:
        note_write(storage.storage)
        storage.storage.write(getattr(value, "array", value))

    def together(self, updates: Any) -> None:
        return None

    def rows(self, x: Any) -> list[Any]:
        """Views along the first axis, with one gradient for all of them."""
        from .rows import rows

        return rows(self.read(x) if isinstance(x, Storage) else x)

    def checkpoint(self, function: Any, args: tuple[Any, ...]) -> Any:
        from .checkpoint import checkpoint

        return checkpoint(function, args)

    def grad(self, outputs: Any, inputs: Any, **options: Any) -> Any:
        from .grad import grad

        return grad(outputs, inputs, **options)


def _is_view(computed: Any, array: Any) -> bool:
    """`shares`, of which the commonest cases are seen at once."""
    base = computed.base
    if base is not None and (base is array or base is array.base):
        return True
    return shares(computed, array)


def _link(source: Recorded, view: Recorded, bound: Bound) -> None:
    held = storage_of(source)
    view._storage = held
    view._base = source if source._base is None else source._base
    view._made = (source, bound)
    view._view_version = held.version


def _may_record(tensor: Recorded) -> bool:
    """Whether a gradient is wanted for a tensor; of a view, whether that has to be looked at."""
    return tensor.requires_grad or tensor._base is not None


def _array(tensor: Recorded) -> Any:
    return tensor.array


def _source(operand: Any) -> Any:
    return source_of(operand) if isinstance(operand, Recorded) else None


def _index(tensor: Recorded) -> int:
    return tensor.index


def _plain(op: Op, operand: Any) -> Any:
    """The array or number that an operand is."""
    if type(operand) is float or type(operand) is int:
        return operand
    return operand.storage.array if isinstance(operand, Storage) else as_plain(operand, op.name)


EAGER = Eager()
