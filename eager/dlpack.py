"""DLPack: memory shared with other libraries, by the protocol that they have in common.

NumPy's own export knows no bfloat16. Such an array goes out as the int16 numbers of its bits, with
the dtype in the capsule corrected, and comes in the same way; the numbers stay where they are.
The layout of a capsule is that of dlpack.h, version 1.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from ..graphs.devices import CPU, Device
from ..graphs.dtypes import BFLOAT16, as_dtype
from ..graphs.errors import DTypeError

# Where the code of the dtype lies. In a DLTensor it follows the data pointer, the device (two
# 32-bit numbers) and the number of axes; a versioned capsule begins with a version, a context, a
# deleter and flags.
_CODE_AT = {b"dltensor": 20, b"dltensor_versioned": 32 + 20}
_INT, _BFLOAT = 0, 4
_CUDA_DEVICE = 2


def export(array: Any, **options: Any) -> Any:
    """A capsule of an array's memory; `options` are those of ``__dlpack__``.

    Raises
    ------
    BufferError
        When the memory cannot be handed over, as read-only memory to an old importer.
    """
    if array.dtype != BFLOAT16:
        return array.__dlpack__(**options)
    capsule = array.view(np.int16).__dlpack__(**options)
    _change_code(capsule, _INT, _BFLOAT)
    return capsule


def imported(source: Any) -> Any:
    """The array over a source's memory, on the source's own device.

    Raises
    ------
    DTypeError
        When the source knows no DLPack, or holds what Diptych does not compute with.
    """
    if not hasattr(source, "__dlpack__") or not hasattr(source, "__dlpack_device__"):
        raise DTypeError(
            f"from_dlpack: must be an array that knows DLPack, got {type(source).__name__}"
        )
    kind, index = source.__dlpack_device__()
    device = Device("cuda", index) if int(kind) == _CUDA_DEVICE else CPU
    lender = _Lender(source)
    try:
        array = device.xp.from_dlpack(lender)
    except RuntimeError as error:
        raise DTypeError(f"from_dlpack: the dtype must be known, got {error}") from None
    array = array.view(BFLOAT16) if lender.is_bfloat16 else array
    as_dtype(array.dtype)
    return array


class _Lender:
    """A source that lends bfloat16 numbers as int16, which NumPy and CuPy can take."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.is_bfloat16 = False

    def __dlpack_device__(self) -> Any:
        return self._source.__dlpack_device__()

    def __dlpack__(self, **options: Any) -> Any:
        capsule = self._source.__dlpack__(**options)
        self.is_bfloat16 = _change_code(capsule, _BFLOAT, _INT)
        return capsule


def _change_code(capsule: Any, old: int, new: int) -> bool:
    """Change the code of a capsule's dtype where it is `old`; whether it was."""
    name = _name_of(capsule)
    code = ctypes.c_uint8.from_address(_pointer_of(capsule, name) + _CODE_AT[name])
    if code.value != old:
        return False
    code.value = new
    return True


_name_of = ctypes.pythonapi.PyCapsule_GetName
_name_of.restype, _name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
_pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_of.restype, _pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
