"""The eager style: check, run the kernel, record."""

from __future__ import annotations

from typing import Any

from ..graphs.dtypes import is_float
from ..graphs.kernels import launch, shares
from ..graphs.modes import mode, note_reads, note_write
from ..graphs.operand import Operand
from ..graphs.ops import astype
from ..graphs.ops.core import Bound, Op
from ..graphs.ops.plain import as_plain, materialise, spec_of
from ..graphs.storage import Storage
from .tape import OpNode, Saved


class Eager:
    """Applies operators to tensors at once. One instance, `EAGER`, serves every thread."""

    rank = 1
    tensor_type: Any = None
    parameter_type: Any = None

    def call(self, op: Op, operands: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
        tensors: list[Any] = []
        arrays: list[Any] = []
        specs: list[Any] = []
        for operand in operands:
            if not isinstance(operand, Operand):
                operand = array = as_plain(operand, op.name)
            else:
                if isinstance(operand, Storage):
                    operand = self.read(operand)
                array = operand.array
            tensors.append(operand)
            arrays.append(array)
            specs.append(spec_of(array))
        bound = op.bind(tuple(specs), attrs)
        if mode.readers:
            note_reads(op.name, tensors)
        for i in bound.casts:
            if isinstance(tensors[i], Operand):
                tensors[i] = astype(tensors[i], bound.ins[i].dtype)
                arrays[i] = tensors[i].array
            else:
                arrays[i] = materialise(arrays[i], bound.ins[i], op.name)
        tensor = self.tensor_type
        results = [tensor(array) for array in launch(bound, arrays)]
        if op.view and shares(results[0].array, arrays[0]):
            self.link(tensors[0], results[0], bound)
        if mode.enabled and bound.differentiable:
            edges = [t.edge() if isinstance(t, tensor) else None for t in tensors]
            if any(edges):
                self._record(bound, tensors, results, tuple(edges))
        return results[0] if len(results) == 1 else tuple(results)

    def _record(
        self, bound: Bound, tensors: list[Any], results: list[Any], edges: tuple[Any, ...]
    ) -> None:
        op = bound.op
        names = {n for i, edge in enumerate(edges) if edge is not None for n in op.reads(i)}
        saved = {}
        for name in names:
            if name in op.results:
                index = op.results.index(name)
                saved[name] = Saved(name, results[index], index)
            else:
                operand = tensors[op.operands.index(name)]
                if not isinstance(operand, self.tensor_type):
                    position = op.operands.index(name)
                    operand = self.tensor_type(materialise(operand, bound.ins[position], op.name))
                saved[name] = Saved(name, operand, None)
        node = OpNode(bound, edges, saved)
        for index, (result, aval) in enumerate(zip(results, bound.outs)):
            if is_float(aval.dtype):
                result.grad_fn, result.index, result.requires_grad = node, index, True

    def link(self, source: Any, view: Any, bound: Bound) -> None:
        """Let a view share its base's storage, so that a change of either shows in the version."""
        if isinstance(source, self.tensor_type):
            view._storage = source.storage
            view._base = source if source._base is None else source._base
            view._made = (source, bound)
            view._view_version = source.storage.version

    def constant(self, array: Any) -> Any:
        return self.tensor_type(array)

    def read(self, storage: Any) -> Any:
        held = self.tensor_type(storage.storage.array)
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


EAGER = Eager()
