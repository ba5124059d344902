"""Plain operands: arrays, numbers and nested lists, which carry no style of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..bound import bind_operands
from ..dtypes import BFLOAT16, COMPLEX64, DEFAULT_FLOAT
from ..errors import DTypeError, TapeError
from ..kernels import launch
from ..numbers import SCALARS

if TYPE_CHECKING:
    from .core import Op

_DEFAULTS = {np.dtype("float64"): DEFAULT_FLOAT, np.dtype("complex128"): COMPLEX64}


def as_plain(operand: Any, where: str) -> Any:
    """The operand if it is an array or a number, a nested list of numbers as an array.

    Raises
    ------
    DTypeError
        For anything else.
    """
    if isinstance(operand, np.ndarray | np.generic):
        return np.asarray(operand)  # a matrix, for one, would have operators of its own
    if isinstance(operand, float | int | complex):
        return operand
    if hasattr(operand, "__cuda_array_interface__"):
        return operand
    if isinstance(operand, list | tuple):
        return array_of(operand, where)
    raise DTypeError(
        f"{where}: operands must be tensors, arrays or numbers, got {type(operand).__name__}"
    )


def array_of(data: Any, where: str) -> np.ndarray:
    """A new array of nested lists of numbers; Python numbers give the default dtype of their kind.

    Raises
    ------
    DTypeError
        When the lists are ragged or hold anything but numbers.
    """
    try:
        array = np.array(data)
    except ValueError:
        raise DTypeError(f"{where}: nested lists must be of equal length, got {data!r}") from None
    if array.dtype.kind not in "biufc" and array.dtype != BFLOAT16:
        raise DTypeError(f"{where}: data must be numbers, got {data!r}")
    weak = type(data) in (list, tuple, float, complex)
    return array.astype(_DEFAULTS.get(array.dtype, array.dtype)) if weak else array


def shaped(operand: Any, where: str) -> Any:
    """The operand; numbers and nested lists as arrays, so that it has a shape and a dtype.

    Raises
    ------
    DTypeError
        When it is no operand at all.
    """
    if hasattr(operand, "style"):
        return operand
    given = as_plain(operand, where)
    return array_of(given, where) if type(given) in SCALARS else given


class Plain:
    """The style of plain arrays: the kernel runs, the result is a plain array."""

    rank = 0
    parameter_type: Any = None  # there are no parameters without the eager package

    def constant(self, array: Any) -> Any:
        return array

    def call(self, op: Op, operands: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
        given = [as_plain(x, op.name) for x in operands]
        bound = bind_operands(op, given, attrs)
        arrays = [bound.materialise(x, i) for i, x in enumerate(given)]
        results = launch(bound, arrays)
        return results[0] if len(op.results) == 1 else results

    def read(self, storage: Any) -> Any:
        return storage.array

    def assign(self, storage: Any, value: Any, when: Any = None) -> Any:
        storage.write(value)

    def together(self, updates: Any) -> None:
        return None

    def checkpoint(self, function: Any, args: tuple[Any, ...]) -> Any:
        return function(*args)

    def grad(self, outputs: Any, inputs: Any, **options: Any) -> Any:
        raise TapeError("grad: outputs must be tensors or static values, got plain arrays")


plain = Plain()
