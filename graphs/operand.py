"""What tensors, static values and storages have in common: Python's operators and the methods.

A method is the operator of the same name on ``self``; nothing is computed here.
"""

from __future__ import annotations

from typing import Any

from . import ops
from .dims import Size, product
from .ops.dispatch import Style
from .ops.indexing import hashable


def sizes_given(given: tuple[Any, ...]) -> Any:
    """``f(2, 3)`` and ``f((2, 3))`` mean the same."""
    return given[0] if len(given) == 1 and isinstance(given[0], tuple | list) else given


class Operand:
    """Base of everything that an operator takes beside plain arrays and numbers."""

    __slots__ = ()
    __array_priority__ = 1000
    # NumPy leaves `array + operand` to the operand, in place of looping over it.
    __array_ufunc__ = None

    @property
    def style(self) -> Style:
        """Who applies operators to it."""
        raise NotImplementedError

    @property
    def shape(self) -> Any:
        """Sizes of its axes, a tuple."""
        raise NotImplementedError

    @property
    def dtype(self) -> Any:
        """Its NumPy dtype."""
        raise NotImplementedError

    @property
    def device(self) -> Any:
        """Where it lives."""
        raise NotImplementedError

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> Size:
        """Number of elements."""
        return product(self.shape)

    @property
    def T(self) -> Any:
        """The transpose: a view with the axes in reverse order."""
        return ops.permute_dims(self)

    @property
    def mT(self) -> Any:
        """A view with the last two axes exchanged."""
        return ops.permute_dims(self, (*range(self.ndim - 2), self.ndim - 1, self.ndim - 2))

    def __add__(self, other: Any) -> Any:
        return ops.add(self, other)

    def __radd__(self, other: Any) -> Any:
        return ops.add(other, self)

    def __sub__(self, other: Any) -> Any:
        return ops.subtract(self, other)

    def __rsub__(self, other: Any) -> Any:
        return ops.subtract(other, self)

    def __mul__(self, other: Any) -> Any:
        return ops.multiply(self, other)

    def __rmul__(self, other: Any) -> Any:
        return ops.multiply(other, self)

    def __truediv__(self, other: Any) -> Any:
        return ops.divide(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return ops.divide(other, self)

    def __pow__(self, other: Any) -> Any:
        return ops.pow(self, other)

    def __rpow__(self, other: Any) -> Any:
        return ops.pow(other, self)

    def __matmul__(self, other: Any) -> Any:
        return ops.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return ops.matmul(other, self)

    def __neg__(self) -> Any:
        return ops.negative(self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return ops.abs(self)

    def __invert__(self) -> Any:
        return ops.logical_not(self)

    def __and__(self, other: Any) -> Any:
        return ops.logical_and(self, other)

    def __or__(self, other: Any) -> Any:
        return ops.logical_or(self, other)

    def __eq__(self, other: object) -> Any:
        return ops.equal(self, other)

    def __ne__(self, other: object) -> Any:
        return ops.not_equal(self, other)

    def __lt__(self, other: Any) -> Any:
        return ops.less(self, other)

    def __le__(self, other: Any) -> Any:
        return ops.less_equal(self, other)

    def __gt__(self, other: Any) -> Any:
        return ops.greater(self, other)

    def __ge__(self, other: Any) -> Any:
        return ops.greater_equal(self, other)

    # Operands are compared element by element, and kept in sets and dicts by identity.
    __hash__ = object.__hash__

    def __getitem__(self, index: Any) -> Any:
        return ops.getitem(self, hashable(index))

    def abs(self) -> Any:
        return ops.abs(self)

    def exp(self) -> Any:
        return ops.exp(self)

    def log(self) -> Any:
        return ops.log(self)

    def sqrt(self) -> Any:
        return ops.sqrt(self)

    def tanh(self) -> Any:
        return ops.tanh(self)

    def sigmoid(self) -> Any:
        return ops.sigmoid(self)

    def relu(self) -> Any:
        return ops.relu(self)

    def sum(self, axis: Any = None, keepdims: bool = False) -> Any:
        return ops.sum(self, axis, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Any:
        return ops.mean(self, axis, keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Any:
        return ops.max(self, axis, keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Any:
        return ops.min(self, axis, keepdims)

    def argmax(self, axis: int | None = None, keepdims: bool = False) -> Any:
        return ops.argmax(self, axis, keepdims)

    def reshape(self, *shape: Any) -> Any:
        return ops.reshape(self, tuple(sizes_given(shape)))

    def transpose(self, *axes: Any) -> Any:
        return ops.permute_dims(self, tuple(sizes_given(axes)) if axes else None)

    def astype(self, dtype: Any) -> Any:
        return ops.astype(self, dtype)

    def softmax(self, axis: int = -1) -> Any:
        return ops.softmax(self, axis)

    def detach(self) -> Any:
        """The same numbers, through which no gradient flows."""
        return ops.stop_gradient(self)
