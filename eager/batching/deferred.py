"""Tensors whose numbers are computed when somebody reads them."""

from __future__ import annotations

from typing import Any

from ...graphs.compiled import adopt_operators
from ...graphs.devices import Device, device_of
from ...graphs.ops import stop_gradient
from ...graphs.ops.core import Op
from ..style import EAGER, Eager
from ..tape import Recorded, edge_of, version_of
from ..tensor import Tensor
from .stacks import Stack


class OutOfScope(Eager):
    """The style of deferred tensors where nothing is deferred: they are read."""

    def __init__(self) -> None:
        self.rank = 2  # above the tensors that have numbers
        self.tensor_type, self.parameter_type = EAGER.tensor_type, EAGER.parameter_type
        self.parent: Any = EAGER

    def call(self, op: Op, operands: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
        return EAGER.call(op, settled(operands), attrs)


OUT_OF_SCOPE = OutOfScope()


def _read(name: str) -> property:
    """An attribute that is there once the numbers are."""

    def get(self: Any) -> Any:
        return getattr(settle(self), name)

    def put(self: Any, value: Any) -> None:
        setattr(settle(self), name, value)

    return property(get, put)


class Deferred(Tensor):
    """A row of a stack, as long as nobody has asked for its numbers; then it is a `Tensor`.

    Until then `_made` is the stack, `index` the row, and `_hooks`, of a view, what it is a view of;
    `_view_version` is the version at which that was taken.
    """

    __slots__ = ()

    style = OUT_OF_SCOPE

    array, grad, grad_fn = _read("array"), _read("grad"), _read("grad_fn")
    is_leaf, storage = _read("is_leaf"), _read("storage")
    _base, _storage = _read("_base"), _read("_storage")
    _recorded_version = _read("_recorded_version")

    @property
    def shape(self) -> Any:
        return self._made.stand.shape

    @property
    def dtype(self) -> Any:
        return self._made.stand.dtype

    @property
    def device(self) -> Device:
        return device_of(self._made.stand)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return settle(self).__reduce_ex__(protocol)

    def detach(self) -> Tensor:
        return stop_gradient(self)

    def edge(self) -> tuple[Any, int] | None:
        return edge_of(settle(self))


adopt_operators(Deferred, Recorded)


def defer(stack: Stack, row: int, requires_grad: bool, source: Any) -> Deferred:
    """A tensor that stands for a row; of a view, with what it is a view of."""
    tensor: Any = _new(Deferred)
    tensor._made, tensor.index = stack, row
    tensor.requires_grad, tensor._hooks = requires_grad, source
    if source is not None:
        is_waiting = type(source) is Deferred
        tensor._view_version = source._view_version if is_waiting else version_of(source)
    return tensor


def _new(kind: Any) -> Recorded:
    return kind.__new__(kind)


def settle(tensor: Any) -> Any:
    """Compute what a deferred tensor stands for, and let it be a `Tensor` of these numbers."""
    stack, row, source = tensor._made, tensor.index, tensor._hooks
    if stack.batch is None:
        stack.group.scope.flush()
    if type(source) is Deferred:
        settle(source)
    stack.batch.hand_out(tensor, stack.offset + row, stack, source)
    return tensor


def settled(operands: tuple[Any, ...]) -> tuple[Any, ...]:
    """Operands, the deferred ones among them settled."""
    return tuple([settle(x) if type(x) is Deferred else x for x in operands])
