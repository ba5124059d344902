"""Plain operands as what kernels take: arrays of the dtype that promotion found."""

from __future__ import annotations

from typing import Any

import numpy as np

from .avals import Aval
from .devices import CPU, device_of, put
from .errors import DTypeError
from .kernels.elementwise import cast

SCALARS = (float, int, bool, complex)
_constants: dict[tuple[Any, ...], Any] = {}


def spec_of(operand: Any) -> tuple[Any, ...] | type:
    """How a plain operand enters `Op.bind`: the fields of its aval, or its type if it is weak."""
    kind = type(operand)
    if kind is np.ndarray:
        return (operand.shape, operand.dtype)
    if kind in SCALARS:
        return kind
    return (operand.shape, operand.dtype, device_of(operand))


def materialise(operand: Any, aval: Aval, where: str) -> Any:
    """A plain operand as the array of `aval`'s dtype and device that a kernel takes."""
    if type(operand) in SCALARS:
        return _constant(operand, aval, where)
    return operand if operand.dtype == aval.dtype else cast(operand, aval.dtype)


def _constant(number: complex, aval: Aval, where: str) -> Any:
    """A 0-d array of a Python scalar, made once: converting it at each call costs more."""
    # Zeros are keyed by their text, for 0.0 == -0.0 == 0 == False.
    device = None if aval.device is CPU else aval.device
    key = (type(number), number or str(number), aval.dtype, device)
    found = _constants.get(key)
    if found is None:
        try:
            array = np.array(number, aval.dtype)
        except (OverflowError, ValueError):
            raise DTypeError(
                f"{where}: a number must fit the dtype {aval.dtype}, got {number}"
            ) from None
        array.flags.writeable = False
        if len(_constants) >= 4096:
            _constants.clear()
        found = _constants[key] = put(array, aval.device)
    return found
