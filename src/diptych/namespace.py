"""The Array API standard's namespace: constants, dtypes as data, and what the library can do.

https://data-apis.org/array-api/2025.12. The functions on arrays are operators and need nothing
here, but for `asarray`, which makes an operand of the style in force.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from .eager import asarray as _tensor_over
from .graphs.devices import CPU, Device, cuda_device_count
from .graphs.dtypes import (
    BOOL,
    DEFAULT_COMPLEX,
    DEFAULT_FLOAT,
    DEFAULT_INT,
    DTYPES,
    as_dtype,
    is_complex,
    is_float,
    is_inexact,
    is_integer,
    promote,
    real_of,
)
from .graphs.errors import ArgumentError, DTypeError
from .graphs.operand import Operand
from .graphs.ops import accumulate, astype, dispatch
from .graphs.ops.manipulation import placed
from .graphs.storage import Storage

__array_api_version__ = "2025.12"

e, inf, nan, newaxis, pi = math.e, math.inf, math.nan, None, math.pi

_SCALARS = (bool, int, float, complex)

# What the standard knows: float16 and bfloat16 are ours.
_STANDARD = {name: d for name, d in DTYPES.items() if name not in ("float16", "bfloat16")}

_KINDS = {
    "bool": lambda dtype: dtype == BOOL,
    "signed integer": lambda dtype: dtype.kind == "i",
    "unsigned integer": lambda dtype: dtype.kind == "u",
    "integral": is_integer,
    "real floating": is_float,
    "complex floating": is_complex,
    "numeric": lambda dtype: is_integer(dtype) or is_inexact(dtype),
}


def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Any:
    """An operand of the data: a tensor, or a constant where a graph is being built.

    Parameters
    ----------
    obj : number, nested lists of numbers, array, tensor or static value
        Python floats become float32; an array keeps its dtype. Gradients flow through a tensor or
        value.
    dtype : dtype, optional
    device : Device or str, optional
    copy : bool, optional
        True: always in memory of its own. False: never, or an error. By default only where dtype
        or device ask for it. A graph holds constants of its own in any case.

    Returns
    -------
    Tensor or Value

    Raises
    ------
    DTypeError
        When the data are no numbers, or do not fit the dtype.
    ArgumentError
        When `copy` is False and a copy is needed.

    Examples
    --------
    >>> numbers = np.zeros(2)
    >>> x = dt.asarray(numbers)
    >>> numbers[0] = 1
    >>> x
    tensor([1., 0.], dtype=float64)
    """
    if isinstance(obj, Operand):
        return _converted(obj, dtype, device, copy)
    style = dispatch.current()
    made = _tensor_over(obj, dtype=dtype, device=device, copy=copy)
    return made if style is made.style else style.constant(made.array)


def _converted(x: Any, dtype: Any, device: Any, copy: bool | None) -> Any:
    """An operand in another dtype, or on another device, or copied."""
    held = x.style.read(x) if isinstance(x, Storage) else x
    wanted = held.dtype if dtype is None else as_dtype(dtype)
    found = held if wanted == held.dtype else astype(held, wanted)
    found = placed("asarray", found, device)
    if copy is False and found is not held:
        raise ArgumentError(
            f"asarray: a copy must be allowed, got copy=False for {held.dtype} as {wanted}"
        )
    return accumulate([found]) if copy and found is held else found


def can_cast(from_: Any, to: Any, /) -> bool:
    """Whether the promotion of a dtype with another gives that other one.

    Parameters
    ----------
    from_ : dtype or array
    to : dtype

    Returns
    -------
    bool

    Examples
    --------
    >>> dt.can_cast("int8", "int16"), dt.can_cast("int16", "int8")
    (True, False)
    """
    source, target = _dtype_of(from_), as_dtype(to)
    try:
        return promote([source, target]) == target
    except DTypeError:
        return False


def result_type(*arrays_and_dtypes: Any) -> np.dtype:
    """The dtype of a result of arrays, dtypes and numbers; Python's numbers are weak.

    Parameters
    ----------
    *arrays_and_dtypes : array, dtype or number

    Returns
    -------
    dtype

    Raises
    ------
    DTypeError
        When they do not promote.
    ArgumentError
        When there are none.

    Examples
    --------
    >>> dt.result_type("int64", dt.zeros(2), 1.5)
    dtype('float32')
    """
    if not arrays_and_dtypes:
        raise ArgumentError("result_type: there must be an array or a dtype, got none")
    return promote([type(x) if type(x) in _SCALARS else _dtype_of(x) for x in arrays_and_dtypes])


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a dtype is of a kind.

    Parameters
    ----------
    dtype : dtype
    kind : dtype, str, or a tuple of them
        A dtype, or "bool", "signed integer", "unsigned integer", "integral", "real floating",
        "complex floating" or "numeric"; of a tuple, one must hold.

    Returns
    -------
    bool

    Raises
    ------
    ArgumentError
        When a name is that of no kind.

    Examples
    --------
    >>> dt.isdtype(dt.bfloat16, "real floating")
    True
    """
    if isinstance(kind, tuple):
        return any(isdtype(dtype, k) for k in kind)
    if not isinstance(kind, str):
        return as_dtype(dtype) == as_dtype(kind)
    if kind not in _KINDS:
        raise ArgumentError(f"isdtype: kind must be one of {', '.join(_KINDS)}, got {kind!r}")
    return bool(_KINDS[kind](as_dtype(dtype)))


@dataclass(frozen=True)
class FloatInfo:
    """What `finfo` gives: the limits of a floating-point dtype, of its parts if it is complex."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: np.dtype


@dataclass(frozen=True)
class IntegerInfo:
    """What `iinfo` gives: the limits of an integer dtype."""

    bits: int
    max: int
    min: int
    dtype: np.dtype


def finfo(type: Any, /) -> FloatInfo:
    """Limits of a floating-point dtype.

    Parameters
    ----------
    type : dtype or array

    Returns
    -------
    FloatInfo
        With `bits`, `eps`, `max`, `min`, `smallest_normal`, and the real `dtype`.

    Raises
    ------
    DTypeError
        When it is no float and not complex.

    Examples
    --------
    >>> dt.finfo(dt.float32).bits
    32
    """
    dtype = _dtype_of(type)
    if not is_inexact(dtype):
        raise DTypeError(f"finfo: must be a float or complex dtype, got {dtype}")
    info = ml_dtypes.finfo(real_of(dtype))
    numbers = (info.eps, info.max, info.min, info.smallest_normal)
    eps, most, least, normal = map(float, numbers)
    return FloatInfo(int(info.bits), eps, most, least, normal, real_of(dtype))


def iinfo(type: Any, /) -> IntegerInfo:
    """Limits of an integer dtype.

    Parameters
    ----------
    type : dtype or array

    Returns
    -------
    IntegerInfo
        With `bits`, `max`, `min` and `dtype`.

    Raises
    ------
    DTypeError
        When it is no integer dtype.

    Examples
    --------
    >>> dt.iinfo(dt.int8).max
    127
    """
    dtype = _dtype_of(type)
    if not is_integer(dtype):
        raise DTypeError(f"iinfo: must be an integer dtype, got {dtype}")
    info = np.iinfo(dtype)
    return IntegerInfo(info.bits, int(info.max), int(info.min), dtype)


def _dtype_of(x: Any) -> np.dtype:
    """The dtype of an array, or the dtype itself."""
    return as_dtype(x.dtype if isinstance(x, Operand | np.ndarray | np.generic) else x)


class Info:
    """What `__array_namespace_info__` gives: the library's abilities, devices and dtypes."""

    def capabilities(self) -> dict[str, Any]:
        """What the library can do, by the standard's names; graphs lack the first two."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> Device:
        """The CPU."""
        return CPU

    def default_dtypes(self, *, device: Any = None) -> dict[str, np.dtype]:
        """The dtypes of what is made without one, the same on every device."""
        return {
            "real floating": DEFAULT_FLOAT,
            "complex floating": DEFAULT_COMPLEX,
            "integral": DEFAULT_INT,
            "indexing": DEFAULT_INT,
        }

    def devices(self) -> tuple[Device, ...]:
        """The CPU, and the CUDA devices that are here."""
        return (CPU, *(Device("cuda", i) for i in range(cuda_device_count())))

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, np.dtype]:
        """The standard's dtypes by name, of one kind or of several; the same on every device."""
        return {
            name: dtype for name, dtype in _STANDARD.items() if kind is None or isdtype(dtype, kind)
        }


def __array_namespace_info__() -> Info:
    """The library's abilities, devices and dtypes, as the Array API standard asks for them."""
    return Info()
