"""Arrays made of attributes alone, which are structural as constants are, and of coordinates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..avals import Aval, as_shape, show
from ..devices import CPU, Device
from ..dims import Dim
from ..dtypes import BOOL, DEFAULT_COMPLEX, DEFAULT_FLOAT, as_dtype
from ..errors import ArgumentError, DTypeError, ShapeError
from ..kernels import creation as kernels
from . import dispatch
from .batching import leading
from .core import REQUIRED, Operator, defop, functions_of
from .manipulation import broadcast_to, device_of, named, reshape
from .plain import shaped
from .rules import no_flop


def _placed(device: Any) -> Device:
    return CPU if device is None else Device.of(device)


def _like(x: Any, dtype: Any, device: Any) -> dict[str, Any]:
    """The dtype and device that are asked for, or those of an array."""
    return {
        "dtype": x.dtype if dtype is None else dtype,
        "device": device_of(x) if device is None else device,
    }


def _full_attrs(shape: Any, value: Any, dtype: Any, device: Any) -> dict[str, Any]:
    dtype = as_dtype(dtype)
    if not isinstance(value, Dim):
        try:
            np.array(value, dtype)
        except (OverflowError, ValueError, TypeError):
            raise DTypeError(f"a number must fit the dtype {dtype}, got {value}") from None
    return {
        "shape": as_shape(shape),
        "value": value,
        "dtype": dtype,
        "device": _placed(device),
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
    shape: Any, fill_value: Any, *, dtype: Any = None, device: Device | str | None = None
) -> Any:
    """An array of one number.

    Parameters
    ----------
    shape : int or tuple of int
    fill_value : number or 0-d array
    dtype : dtype, optional
        By default that of the number: float32, int64, bool or complex64.
    device : Device or str, optional

    Returns
    -------
    array of `shape`

    Raises
    ------
    ShapeError
        When a size is negative, or `fill_value` is an array with axes.
    DTypeError
        When `fill_value` is no number, or does not fit the dtype.

    Examples
    --------
    >>> dt.full((2,), 7.0)
    tensor([7., 7.])
    """
    if isinstance(fill_value, Dim):
        return _full(shape, fill_value, int if dtype is None else dtype, device)
    if isinstance(fill_value, np.generic):
        dtype = fill_value.dtype if dtype is None else dtype
        fill_value = fill_value.item()
    if type(fill_value) in (bool, int, float, complex) and not _is_negative_zero(fill_value):
        return _full(shape, fill_value, type(fill_value) if dtype is None else dtype, device)
    return _spread(shape, shaped(fill_value, "full"), dtype)


def _is_negative_zero(value: complex) -> bool:
    """Whether it is a zero that a table of attributes takes for another one."""
    return value == 0 and any(math.copysign(1, part) < 0 for part in (value.real, value.imag))


def _spread(shape: Any, number: Any, dtype: Any) -> Any:
    """A 0-d operand repeated to a shape, in memory of its own."""
    from .elementwise import astype
    from .reductions import accumulate

    if number.shape != ():
        raise ShapeError(f"full: fill_value must have no axes, got {show(number.shape)}")
    if not hasattr(number, "style"):
        number = dispatch.current().constant(number)
    number = number if dtype is None else astype(number, dtype)
    return accumulate([broadcast_to(number, named("full", as_shape, shape))])


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


def empty(shape: Any, *, dtype: Any = None, device: Device | str | None = None) -> Any:
    """An array whose numbers are not promised. They are zeros, so that a run can be repeated.

    For the shape and the rest see `full`.

    Examples
    --------
    >>> dt.empty((2,)).shape
    (2,)
    """
    return zeros(shape, dtype=dtype, device=device)


def full_like(
    x: Any, fill_value: float, *, dtype: Any = None, device: Device | str | None = None
) -> Any:
    """One number in the shape, dtype and device of `x`; see `full`.

    Examples
    --------
    >>> dt.full_like(dt.tensor([1.0, 2.0]), 7)
    tensor([7., 7.])
    """
    return full(x.shape, fill_value, **_like(x, dtype, device))


def zeros_like(x: Any, *, dtype: Any = None, device: Device | str | None = None) -> Any:
    """Zeros of the shape, dtype and device of `x`; see `full`.

    Examples
    --------
    >>> dt.zeros_like(dt.tensor([1.0, 2.0]))
    tensor([0., 0.])
    """
    return zeros(x.shape, **_like(x, dtype, device))


def ones_like(x: Any, *, dtype: Any = None, device: Device | str | None = None) -> Any:
    """Ones of the shape, dtype and device of `x`; see `full`.

    Examples
    --------
    >>> dt.ones_like(dt.tensor([1.0, 2.0]))
    tensor([1., 1.])
    """
    return ones(x.shape, **_like(x, dtype, device))


def empty_like(x: Any, *, dtype: Any = None, device: Device | str | None = None) -> Any:
    """An array like `x` whose numbers are not promised; see `empty`.

    Examples
    --------
    >>> dt.empty_like(dt.tensor([1.0, 2.0])).shape
    (2,)
    """
    return empty(x.shape, **_like(x, dtype, device))


def _arange_attrs(start: Any, stop: Any, step: Any, dtype: Any, device: Any) -> dict[str, Any]:
    if step == 0:
        raise ShapeError("step must not be 0, got 0")
    dtype = as_dtype(dtype)
    if dtype == BOOL:
        raise DTypeError("dtype must be that of numbers, got bool")
    return {
        "start": start,
        "stop": stop,
        "step": step,
        "dtype": dtype,
        "device": _placed(device),
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


def _linspace_attrs(
    start: Any, stop: Any, num: Any, dtype: Any, endpoint: Any, device: Any
) -> dict[str, Any]:
    dtype = as_dtype(dtype)
    if dtype == BOOL:
        raise DTypeError("dtype must be that of numbers, got bool")
    return {
        "start": start,
        "stop": stop,
        "num": as_shape(num)[0],
        "dtype": dtype,
        "endpoint": bool(endpoint),
        "device": _placed(device),
    }


_linspace: Operator = defop(
    "linspace",
    "-> y",
    attrs={
        "start": REQUIRED,
        "stop": REQUIRED,
        "num": REQUIRED,
        "dtype": REQUIRED,
        "endpoint": True,
        "device": None,
    },
    normalise=_linspace_attrs,
    infer=lambda start, stop, num, dtype, endpoint, device: Aval((num,), dtype, device),
    kernel=kernels.linspace,
    vjp=(),
    structural=True,
    cost=no_flop,
    doc="The operator behind `linspace`.",
)


def linspace(
    start: complex,
    stop: complex,
    num: int,
    *,
    dtype: Any = None,
    device: Device | str | None = None,
    endpoint: bool = True,
) -> Any:
    """A number of evenly spaced numbers over an interval.

    Parameters
    ----------
    start, stop : number
    num : int
        How many.
    dtype : dtype, optional
        By default float32, or complex64 where a bound is complex.
    device : Device or str, optional
    endpoint : bool
        Whether `stop` is the last of them, or the first that is left out.

    Returns
    -------
    array, shape (num,)

    Raises
    ------
    ShapeError
        When `num` is negative.
    DTypeError
        When `dtype` is bool.

    Examples
    --------
    >>> dt.linspace(0, 1, 5)
    tensor([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    if dtype is None:
        is_complex = isinstance(start, complex) or isinstance(stop, complex)
        dtype = DEFAULT_COMPLEX if is_complex else DEFAULT_FLOAT
    return _linspace(start, stop, num, dtype, endpoint, device)


def _eye_attrs(n_rows: Any, n_cols: Any, k: Any, dtype: Any, device: Any) -> dict[str, Any]:
    rows, columns = as_shape((n_rows, n_rows if n_cols is None else n_cols))
    return {
        "n_rows": rows,
        "n_cols": columns,
        "k": _diagonal(k),
        "dtype": as_dtype(dtype),
        "device": _placed(device),
    }


def _diagonal(k: Any) -> int:
    if not isinstance(k, int | np.integer) or isinstance(k, bool):
        raise ShapeError(f"k must be a whole number, got {k!r}")
    return int(k)


_eye: Operator = defop(
    "eye",
    "-> y",
    attrs={
        "n_rows": REQUIRED, "n_cols": None, "k": 0, "dtype": DEFAULT_FLOAT, "device": None,
    },
    normalise=_eye_attrs,
    infer=lambda n_rows, n_cols, k, dtype, device: Aval((n_rows, n_cols), dtype, device),
    kernel=kernels.eye,
    vjp=(),
    structural=True,
    cost=no_flop,
    doc="The operator behind `eye`.",
)  # fmt: skip


def eye(
    n_rows: int,
    n_cols: int | None = None,
    /,
    *,
    k: int = 0,
    dtype: Any = None,
    device: Device | str | None = None,
) -> Any:
    """A matrix of ones on a diagonal and zeros elsewhere.

    Parameters
    ----------
    n_rows : int
    n_cols : int, optional
        `n_rows` by default.
    k : int
        Which diagonal: 0 the main one, positive ones above it.
    dtype : dtype, optional
        float32 by default.
    device : Device or str, optional

    Returns
    -------
    array, shape (n_rows, n_cols)

    Raises
    ------
    ShapeError
        When a size is negative, or `k` no whole number.

    Examples
    --------
    >>> dt.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    return _eye(n_rows, n_cols, k, DEFAULT_FLOAT if dtype is None else dtype, device)


def _triangle_attrs(x: Aval, k: Any) -> dict[str, Any]:
    if x.ndim < 2:
        raise ShapeError(f"operand must have at least two axes, got {show(x.shape)}")
    return {"k": _diagonal(k)}


_TRIANGLE = """
    Parameters
    ----------
    x : array, shape (..., m, n)
    k : int
        The diagonal where it ends: 0 the main one, positive ones above it.

    Returns
    -------
    array like `x`, with zeros in the other part

    Raises
    ------
    ShapeError
        When `x` has fewer than two axes, or `k` is no whole number.

    Examples
    --------
    >>> dt.{name}(dt.tensor([[1, 2], [3, 4]]))
    {value}
    """

tril: Operator = defop(
    "tril",
    "x -> y",
    attrs={"k": 0},
    normalise=_triangle_attrs,
    infer=lambda x, k: x,
    kernel=kernels.tril,
    vjp=(lambda c, g: tril(g, c.k),),
    batch=leading,
    in_place=True,
    cost=no_flop,
    doc="The lower triangle of each matrix: what stands on and below a diagonal.\n"
    + _TRIANGLE.format(name="tril", value="tensor([[1, 0],\n            [3, 4]])"),
)
triu: Operator = defop(
    "triu",
    "x -> y",
    attrs={"k": 0},
    normalise=_triangle_attrs,
    infer=lambda x, k: x,
    kernel=kernels.triu,
    vjp=(lambda c, g: triu(g, c.k),),
    batch=leading,
    in_place=True,
    cost=no_flop,
    doc="The upper triangle of each matrix: what stands on and above a diagonal.\n"
    + _TRIANGLE.format(name="triu", value="tensor([[1, 2],\n            [0, 4]])"),
)


def meshgrid(*arrays: Any, indexing: str = "xy") -> tuple[Any, ...]:
    """Coordinates of a grid, from the coordinates along each of its axes.

    Parameters
    ----------
    *arrays : array of one axis
    indexing : {"xy", "ij"}
        Which axis of the grid belongs to which array: as they are given ("ij"), or with the first
        two exchanged ("xy").

    Returns
    -------
    tuple of arrays, one per operand, all of the shape of the grid; read-only views

    Raises
    ------
    ShapeError
        When an operand has not one axis.
    ArgumentError
        When `indexing` is neither of the two.

    Examples
    --------
    >>> x, y = dt.meshgrid(dt.arange(2), dt.arange(3))
    >>> x
    tensor([[0, 1],
            [0, 1],
            [0, 1]])
    """
    if indexing not in ("xy", "ij"):
        raise ArgumentError(f"meshgrid: indexing must be 'xy' or 'ij', got {indexing!r}")
    operands = [shaped(x, "meshgrid") for x in arrays]
    shapes = [x.shape for x in operands]
    if any(len(shape) != 1 for shape in shapes):
        raise ShapeError(
            f"meshgrid: operands must have one axis, got {' and '.join(map(show, shapes))}"
        )
    places = list(range(len(arrays)))
    if indexing == "xy" and len(arrays) > 1:
        places[:2] = 1, 0
    grid = tuple(shapes[place][0] for place in places)
    return tuple(
        broadcast_to(reshape(x, (-1, *[1] * (len(arrays) - 1 - place))), grid)
        for x, place in zip(operands, places)
    )


__all__ = [
    *functions_of(__name__), "empty", "empty_like", "full_like", "meshgrid", "ones", "ones_like",
    "zeros", "zeros_like",
]  # fmt: skip
