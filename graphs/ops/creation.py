"""Operators without operands: arrays made of attributes. They are structural, as constants are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..avals import Aval, as_shape
from ..devices import CPU, Device
from ..dims import Dim
from ..dtypes import DEFAULT_FLOAT, as_dtype, promote
from ..errors import DTypeError, ShapeError
from ..kernels import creation as kernels
from .core import REQUIRED, Operator, defop
from .rules import no_flop


def _full_attrs(shape: Any, value: Any, dtype: Any, device: Any) -> dict[str, Any]:
    dtype = as_dtype(dtype)
    if not isinstance(value, Dim):
        try:
            np.array(value.item() if isinstance(value, np.generic) else value, dtype)
        except (OverflowError, ValueError, TypeError):
            raise DTypeError(f"a number must fit the dtype {dtype}, got {value}") from None
    return {
        "shape": as_shape(shape),
        "value": value,
        "dtype": dtype,
        "device": CPU if device is None else Device.of(device),
    }


_full: Operator = defop(
    "full",
    "-> y",
    attrs={"shape": REQUIRED, "value": REQUIRED, "dtype": REQUIRED, "device": None},
    normalise=_full_attrs,
    infer=lambda shape, value, dtype, device: Aval(shape, dtype, device),
    kernel=kernels.full,
    vjp=(),
    structural=True,
    cost=no_flop,
    doc="The operator behind `full`, `zeros` and `ones`.",
)


def full(
    shape: Any, fill_value: float | Dim, *, dtype: Any = None, device: Device | str | None = None
) -> Any:
    """An array of one number.

    Parameters
    ----------
    shape : int or tuple of int
    fill_value : number
    dtype : dtype, optional
        By default that of the number: float32, int64 or bool.
    device : Device or str, optional

    Returns
    -------
    array of `shape`

    Raises
    ------
    ShapeError
        When a size is negative.

    Examples
    --------
    >>> dt.full((2,), 7.0)
    tensor([7., 7.])
    """
    if dtype is None and isinstance(fill_value, np.generic):
        dtype = fill_value.dtype
    elif dtype is None:
        dtype = promote([int if isinstance(fill_value, Dim) else type(fill_value)])
    if not isinstance(fill_value, Dim) and fill_value == 0 and math.copysign(1, fill_value) < 0:
        return -_full(shape, 0, dtype, device)  # -0.0 and 0.0 are one key of the table of bounds
    return _full(shape, fill_value, dtype, device)


def zeros(shape: Any, *, dtype: Any = None, device: Device | str | None = None) -> Any:
    """An array of zeros; see `full`.

    Examples
    --------
    >>> dt.zeros((2,))
    tensor([0., 0.])
    """
    return _full(shape, 0, DEFAULT_FLOAT if dtype is None else dtype, device)


def ones(shape: Any, *, dtype: Any = None, device: Device | str | None = None) -> Any:
    """An array of ones; see `full`.

    Examples
    --------
    >>> dt.ones((2,))
    tensor([1., 1.])
    """
    return _full(shape, 1, DEFAULT_FLOAT if dtype is None else dtype, device)


def zeros_like(x: Any, *, dtype: Any = None) -> Any:
    """Zeros of the shape, dtype and device of `x`; see `full`.

    Examples
    --------
    >>> dt.zeros_like(dt.tensor([1.0, 2.0]))
    tensor([0., 0.])
    """
    return zeros(x.shape, dtype=dtype or x.dtype, device=x.device)


def ones_like(x: Any, *, dtype: Any = None) -> Any:
    """Ones of the shape, dtype and device of `x`; see `full`.

    Examples
    --------
    >>> dt.ones_like(dt.tensor([1.0, 2.0]))
    tensor([1., 1.])
    """
    return ones(x.shape, dtype=dtype or x.dtype, device=x.device)


def _arange_attrs(start: Any, stop: Any, step: Any, dtype: Any, device: Any) -> dict[str, Any]:
    if step == 0:
        raise ShapeError("step must not be 0, got 0")
    return {
        "start": start,
        "stop": stop,
        "step": step,
        "dtype": as_dtype(dtype),
        "device": CPU if device is None else Device.of(device),
    }


def _arange_aval(start: Any, stop: Any, step: Any, dtype: np.dtype, device: Device) -> Aval:
    if isinstance(stop, Dim) and start == 0 and step == 1:
        return Aval((stop,), dtype, device)
    return Aval((max(0, math.ceil((stop - start) / step)),), dtype, device)


_arange: Operator = defop(
    "arange",
    "-> y",
    attrs={
        "start": REQUIRED,
        "stop": REQUIRED,
        "step": REQUIRED,
        "dtype": REQUIRED,
        "device": None,
    },
    normalise=_arange_attrs,
    infer=_arange_aval,
    kernel=kernels.arange,
    vjp=(),
    structural=True,
    cost=no_flop,
    doc="The operator behind `arange`.",
)


def arange(
    start: float | Dim,
    stop: float | Dim | None = None,
    step: float = 1,
    *,
    dtype: Any = None,
    device: Device | str | None = None,
) -> Any:
    """Evenly spaced numbers, from `start` up to but without `stop`.

    Parameters
    ----------
    start, stop, step : number
        ``arange(n)`` is ``arange(0, n)``.
    dtype : dtype, optional
        By default int64, or float32 where a number is a float.

    Returns
    -------
    array, shape (ceil((stop - start) / step),)

    Raises
    ------
    ShapeError
        When `step` is 0.

    Examples
    --------
    >>> dt.arange(3)
    tensor([0, 1, 2])
    """
    first, last = (0, start) if stop is None else (start, stop)
    if dtype is None:
        dtype = "float32" if any(isinstance(v, float) for v in (first, last, step)) else "int64"
    return _arange(first, last, step, dtype, device)


__all__ = ["arange", "full", "ones", "ones_like", "zeros", "zeros_like"]
