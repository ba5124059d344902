"""Random operators. They read a key and an offset and hold no state: see `graphs.generator`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..avals import Aval, as_shape, show
from ..dims import Shape
from ..dtypes import INT64, UINT64, as_dtype, is_float
from ..errors import DTypeError, ShapeError
from ..kernels import random as kernels
from .core import REQUIRED, Operator, defop, functions_of


def _normal(key: Aval, offset: Aval, shape: Any, dtype: Any) -> dict[str, Any]:
    return {"shape": as_shape(shape), "dtype": as_dtype(dtype)}


def _drawn(key: Aval, offset: Aval, shape: Shape, dtype: np.dtype) -> Aval:
    if key.shape != (2,) or key.dtype != UINT64 or offset.shape != () or offset.dtype != INT64:
        raise ShapeError(
            "key must be two uint64 and offset one int64, got "
            f"{show(key.shape)} {key.dtype} and {show(offset.shape)} {offset.dtype}"
        )
    if not is_float(dtype):
        raise DTypeError(f"dtype must be a float, got {dtype}")
    return Aval(shape, dtype, key.device)


_DOC = """
    Parameters
    ----------
    key : array, shape (2,), uint64
    offset : array, shape (), int64
        Position in the stream of the key, in draws; at least 0.
    shape : tuple of int
    dtype : float dtype

    Returns
    -------
    array of `shape`

    Raises
    ------
    ShapeError
        When key or offset is of another shape or dtype.
    DTypeError
        When `dtype` is no float.
    RangeError
        When the offset is negative.

    Notes
    -----
    Philox 4x64-10: J. Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (SC11).

    Examples
    --------
    >>> key, offset = np.array([1, 2], np.uint64), np.array(0)
    >>> dt.{name}(key, offset, (3,)).shape
    (3,)
"""

random_uniform: Operator = defop(
    "random_uniform",
    "key, offset -> y",
    attrs={"shape": REQUIRED, "dtype": "float32"},
    normalise=_normal,
    infer=_drawn,
    may_raise=True,
    kernel=kernels.random_uniform,
    vjp=None,
    doc="Uniform numbers in [0, 1) from a key and an offset.\n"
    + _DOC.format(name="random_uniform"),
)

random_normal: Operator = defop(
    "random_normal",
    "key, offset -> y",
    attrs={"shape": REQUIRED, "dtype": "float32"},
    normalise=_normal,
    infer=_drawn,
    may_raise=True,
    kernel=kernels.random_normal,
    vjp=None,
    doc="Normal numbers of mean 0 and variance 1 from a key and an offset.\n"
    + _DOC.format(name="random_normal"),
)

__all__ = functions_of(__name__)
