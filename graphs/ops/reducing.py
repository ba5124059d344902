"""What the reductions share: axes, dtypes, shapes of cotangents, docstrings."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..avals import Aval, show
from ..dims import Shape, Size, product
from ..dtypes import BOOL, DEFAULT_INT, FLOAT32, UINT64, as_dtype, is_complex
from ..errors import DTypeError, ShapeError
from .elementwise import astype
from .manipulation import broadcast_to, reshape
from .rules import normal_axes

_DOC = """{says}

    Parameters
    ----------
    x : array{dtypes}
    axis : int or tuple of int, optional
        All axes by default.
    keepdims : bool
        Keep the reduced axes with size 1.{dtype}

    Returns
    -------
    array without the reduced axes{result}

    Raises
    ------
    ShapeError
        When an axis is out of range{raises}.{errors}

    Examples
    --------
    >>> {code}
    {value}
"""
DTYPE = """
    dtype : dtype, optional
        The operand is cast to it first. By default its own dtype; small integers and bools become
        64-bit integers of the same sign."""
DTYPE_ERRORS = """
    DTypeError
        When `dtype` is bool, or real for a complex operand."""
REAL_ERRORS = """
    DTypeError
        When the operand is complex."""


def doc(says: str, example: str, **parts: str) -> str:
    """The docstring of a reduction; an example is ``code -> value``."""
    code, _, value = example.partition(" -> ")
    optional = dict.fromkeys(("dtypes", "dtype", "result", "raises", "errors"), "")
    return _DOC.format(says=says, code=code, value=value, **{**optional, **parts})


def over_axes(x: Aval, axis: Any, keepdims: bool, **others: Any) -> dict[str, Any]:
    """The attributes `axis`, as a tuple in order, and `keepdims` in normal form."""
    return {"axis": normal_axes(axis, x.ndim), "keepdims": bool(keepdims), **others}


def reduced(shape: Shape, axis: tuple[int, ...], keepdims: bool) -> Shape:
    """The shape that is left."""
    if keepdims:
        return tuple(1 if i in axis else d for i, d in enumerate(shape))
    return tuple(d for i, d in enumerate(shape) if i not in axis)


def count_of(x: Aval, axis: tuple[int, ...]) -> Size:
    """How many elements each result reduces."""
    return product(tuple(x.shape[a] for a in axis))


def reads_all(ins: Any, outs: Any, attrs: Any) -> Size:
    """The cost of one FLOP per element of the first operand."""
    return ins[0].size


def require_elements(x: Aval, axis: tuple[int, ...]) -> None:
    """Raises ShapeError when a reduced axis is empty."""
    if 0 in [x.shape[a] for a in axis]:
        raise ShapeError(f"reduced axes must not be empty, got {show(x.shape)}")


def back(g: Any, x: Aval, axis: tuple[int, ...], keepdims: bool) -> Any:
    """A cotangent of a reduction, broadcast over the reduced axes."""
    return broadcast_to(with_axes(g, x, axis, keepdims), x.shape)


def with_axes(y: Any, x: Aval, axis: tuple[int, ...], keepdims: bool) -> Any:
    """A result of a reduction with the reduced axes of size 1."""
    return y if keepdims else reshape(y, reduced(x.shape, axis, True))


def as_type(x: Any, dtype: np.dtype) -> Any:
    """The operand itself if it has the dtype, else a copy that has it."""
    return x if x.dtype == dtype else astype(x, dtype)


def accumulated_dtype(x: Aval, dtype: Any) -> np.dtype:
    """The dtype in which elements are added or multiplied up; see the Array API's `sum`."""
    if dtype is None:
        if x.dtype == BOOL or x.dtype.kind == "i":
            return DEFAULT_INT
        return UINT64 if x.dtype.kind == "u" else x.dtype
    found = as_dtype(dtype)
    if found == BOOL:
        raise DTypeError("dtype must be one of numbers, got bool")
    if is_complex(x.dtype) and not is_complex(found):
        raise DTypeError(f"dtype must be complex for complex operands, got {found} for {x.dtype}")
    return found


def over_count(g: Any, count: Any) -> Any:
    """``g / count``; of 16-bit floats in float32, for they round or overflow the count itself."""
    if g.dtype.itemsize == 2:
        return astype(astype(g, FLOAT32) / count, g.dtype)
    return g / count
