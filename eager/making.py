"""Tensors of numbers, lists and arrays, and over the memory of other libraries."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..graphs.devices import Device, put
from ..graphs.dtypes import as_dtype
from ..graphs.errors import ArgumentError, DTypeError
from ..graphs.ops.plain import array_of
from .dlpack import imported
from .tensor import Tensor, recordable


def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A new tensor with a copy of the data.

    Parameters
    ----------
    data : number, nested lists of numbers, array or Tensor
        Python floats become float32; an array keeps its dtype.
    dtype : dtype, optional
    device : Device or str, optional
    requires_grad : bool

    Returns
    -------
    Tensor

    Raises
    ------
    DTypeError
        When the data are no numbers or do not fit the dtype, or a gradient is asked for and they
        are no floats.

    Examples
    --------
    >>> dt.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    """
    array = array_from(data, "tensor", dtype, device, True)
    return Tensor(array, recordable(array, requires_grad))


def asarray(
    data: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None
) -> Tensor:
    """A tensor of the data, over the same memory where that is possible and `copy` is not True.

    Raises
    ------
    DTypeError
        When the data are no numbers, or do not fit the dtype.
    ArgumentError
        When `copy` is False and a copy is needed.

    Examples
    --------
    >>> numbers = np.zeros(2)
    >>> x = dt.eager.asarray(numbers)
    >>> numbers[0] = 1
    >>> x
    tensor([1., 0.], dtype=float64)
    """
    array = array_from(data, "asarray", dtype, device, copy)
    return data if isinstance(data, Tensor) and array is data.array else Tensor(array)


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor over the memory of a NumPy array.

    Raises
    ------
    DTypeError
        When it is no NumPy array of a dtype that Diptych computes with.

    Examples
    --------
    >>> dt.from_numpy(np.zeros(2, np.float32))
    tensor([0., 0.])
    """
    if not isinstance(array, np.ndarray):
        raise DTypeError(f"from_numpy: must be a NumPy array, got {type(array).__name__}")
    as_dtype(array.dtype)
    return Tensor(np.asarray(array))


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor over the memory of another library's array, by the DLPack protocol.

    Parameters
    ----------
    x : object with ``__dlpack__`` and ``__dlpack_device__``
        An array or tensor of NumPy, CuPy, PyTorch, JAX or another library.
    device : Device or str, optional
        That of `x` by default.
    copy : bool, optional
        True: always in memory of its own. False: never, or an error. By default only where the
        device asks for it.

    Returns
    -------
    Tensor
        It can be written to where `x` can.

    Raises
    ------
    DTypeError
        When `x` knows no DLPack, or holds what Diptych does not compute with.
    ArgumentError
        When `copy` is False and the device needs one.

    Examples
    --------
    >>> numbers = np.zeros(2, np.float32)
    >>> x = dt.from_dlpack(numbers)
    >>> numbers[0] = 1
    >>> x
    tensor([1., 0.])
    """
    array = imported(x)
    placed = array if device is None else put(array, Device.of(device))
    if copy is False and placed is not array:
        raise ArgumentError(
            f"from_dlpack: another device must be allowed a copy, got copy=False for {device}"
        )
    return Tensor(placed.copy() if copy and placed is array else placed)


def array_from(data: Any, where: str, dtype: Any, device: Any, copy: bool | None) -> Any:
    """The data as an array: the very one that holds them where nothing asks for another.

    Raises
    ------
    DTypeError
        When the data are no numbers, or do not fit the dtype.
    ArgumentError
        When `copy` is False and no array of that dtype and device is there.
    """
    if type(data) is np.ndarray and dtype is None and device is None and not copy:
        as_dtype(data.dtype)
        return data
    wanted = None if dtype is None else as_dtype(dtype)
    given = getattr(data, "array", data)
    held = _held(given, where, wanted)
    as_dtype(held.dtype)
    array = held if wanted in (None, held.dtype) else held.astype(wanted)
    array = array if device is None else put(array, Device.of(device))
    is_new = array is not held or (held is not given and held.base is None)
    if copy is False and is_new:
        raise ArgumentError(
            f"{where}: a copy must be allowed, got copy=False for {type(data).__name__} as "
            f"{array.dtype}"
        )
    return array.copy() if copy and not is_new else array


def _held(given: Any, where: str, dtype: np.dtype | None) -> Any:
    """The array that holds the data already, or a new one of Python numbers."""
    if hasattr(given, "__cuda_array_interface__"):
        return given
    if hasattr(given, "__array__") or isinstance(given, memoryview | bytearray):
        return np.asarray(given)
    if dtype is None:
        return array_of(given, where)
    try:
        # At once, for a detour through the default dtype would round.
        return np.array(given, dtype)
    except (TypeError, ValueError, OverflowError) as error:
        array_of(given, where)
        raise DTypeError(f"{where}: numbers must fit the dtype {dtype}, got {error}") from None
