"""Discrete Fourier transforms. Their numbers are complex, so none has a gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..avals import Aval, show
from ..devices import Device
from ..dims import Dim, Size, product
from ..dtypes import (
    DEFAULT_FLOAT,
    FLOAT32,
    as_dtype,
    complex_of,
    is_complex,
    is_float,
    real_of,
)
from ..errors import ArgumentError, DTypeError, ShapeError
from ..kernels import fft as kernels
from . import promotion
from .axes import roll
from .batching import shifted
from .core import Operator, defop, functions_of
from .creation import arange
from .elementwise import astype
from .joining import concat
from .linalg import is_whole
from .manipulation import named
from .plain import shaped
from .rules import normal_axes, normal_axis

_NORMS = ("backward", "ortho", "forward")

_DOC = """{says}

    Parameters
    ----------
    x : array, {takes}
    {arguments}
    norm : "backward", "ortho" or "forward"
        Which direction is divided by the number of points: this way back, each by its root, or the
        way forth.

    Returns
    -------
    array, {gives}

    Raises
    ------
    ShapeError
        When an axis is out of range{repeated}, or a transform would have no point.
    ArgumentError
        When `norm` is none of these.{dtype}

    Examples
    --------
    >>> {code}
    {value}
"""
_COMPLEX = "complex; floats and integers become so"
_REAL = "floats; integers become float32"
_ONE = """n : int, optional
        Points, by default {default}. {fitted}
    axis : int"""
_MANY = """s : sequence of int, optional
        Points along each of `axes`, -1 for all; by default {default}. {fitted}
    axes : sequence of int, optional
        All axes by default; to be given with `s`."""
_FIT = "A longer axis is cut, a shorter one filled up with zeros."
_NO_COMPLEX = """
    DTypeError
        When the operand is complex."""


def _doc(name: str, says: str, *, many: bool, real: bool, gives: str, default: str,
         example: str) -> str:  # fmt: skip
    code, _, value = example.partition(" -> ")
    return _DOC.format(
        says=says,
        takes=_REAL if real else _COMPLEX,
        arguments=(_MANY if many else _ONE).format(default=default, fitted=_FIT),
        gives=gives,
        repeated=" or repeated" if many else "",
        dtype=_NO_COMPLEX if real else "",
        code=f"dt.fft.{name}({code})",
        value=value,
    )


# -- rules -----------------------------------------------------------------------------------


def _as_complex(*specs: Any) -> list[Aval]:
    [x] = promotion.common_float(*specs)
    return [replace(x, dtype=complex_of(x.dtype))]


def _as_real(*specs: Any) -> list[Aval]:
    [x] = promotion.common_float(*specs)
    if is_complex(x.dtype):
        raise DTypeError(f"the operand must be real, got {x.dtype}")
    return [x if x.dtype.itemsize > 2 else replace(x, dtype=FLOAT32)]


def _points(n: Any, name: str) -> Size:
    """The number of points of a transform.

    Raises
    ------
    ShapeError
        When it is no whole number of at least 1.
    """
    if isinstance(n, Dim):
        return n
    if not is_whole(n) or n < 1:
        raise ShapeError(f"{name} must be a whole number of at least 1, got {n!r}")
    return int(n)


def _norm(norm: Any) -> str:
    if norm not in _NORMS:
        raise ArgumentError(f"norm must be one of {', '.join(_NORMS)}, got {norm!r}")
    return norm


def _one_axis(to_real: bool) -> Callable[..., dict[str, Any]]:
    def normalise(x: Aval, n: Any, axis: Any, norm: Any) -> dict[str, Any]:
        axis = normal_axis(axis, x.ndim)
        if n is None:
            n = _default(x.shape[axis], to_real)
        return {"n": _points(n, "n"), "axis": axis, "norm": _norm(norm)}

    return normalise


def _default(size: Size, to_real: bool) -> Size:
    """The points of an axis; those of a real signal are known by half of their transform."""
    return 2 * (size - 1) if to_real else size


def _many_axes(to_real: bool) -> Callable[..., dict[str, Any]]:
    def normalise(x: Aval, s: Any, axes: Any, norm: Any) -> dict[str, Any]:
        if s is not None and axes is None:
            raise ArgumentError(f"axes must be given with s, got s={s}")
        order = range(x.ndim) if axes is None else axes
        if not isinstance(order, range | tuple | list) or not order:
            raise ShapeError(f"axes must be a sequence of at least one axis, got {axes}")
        found = tuple(normal_axis(a, x.ndim) for a in order)
        if len(set(found)) != len(found):
            raise ShapeError(f"axes must differ, got {axes}")
        whole = [x.shape[a] for a in found]
        whole[-1] = _default(whole[-1], to_real)
        if s is not None and (not isinstance(s, tuple | list) or len(s) != len(found)):
            raise ShapeError(f"s must have a size for every axis, got {s} for axes {found}")
        given = whole if s is None else [w if n == -1 else n for n, w in zip(s, whole)]
        points = tuple(_points(n, "every size") for n in given)
        return {"s": points, "axes": found, "norm": _norm(norm)}

    return normalise


def _half(n: Size) -> Size:
    """How many frequencies of a real signal are not those of another one, conjugated."""
    if isinstance(n, Dim):
        raise ShapeError(f"the number of points must be known, got {n}")
    return n // 2 + 1


def _transformed(to_half: bool, to_real: bool) -> Callable[..., Aval]:
    def infer(x: Aval, norm: str, n: Any = None, axis: Any = None, s: Any = None,
              axes: Any = None) -> Aval:  # fmt: skip
        shape = list(x.shape)
        points, over = ((n,), (axis,)) if s is None else (s, axes)
        for a, size in zip(over, points):
            shape[a] = size
        if to_half:
            shape[over[-1]] = _half(points[-1])
        dtype = real_of(x.dtype) if to_real else complex_of(x.dtype)
        return Aval(tuple(shape), dtype, x.device)

    return infer


def _flop(ins: tuple[Aval, ...], outs: tuple[Aval, ...], attrs: Any) -> Size:
    """``5 n log2(n)``, as of a radix-2 transform, and half of it between real numbers."""
    points: Any = product(attrs["s"]) if "s" in attrs else attrs["n"]
    over_reals = is_float(ins[0].dtype) or is_float(outs[0].dtype)
    size = outs[0].size if is_float(outs[0].dtype) else ins[0].size
    return 5 * size * (points - 1).bit_length() // (2 if over_reals else 1)


def _transform(name: str, says: str, *, example: str, real: bool = False, to_half: bool = False,
               to_real: bool = False) -> Any:  # fmt: skip
    many = name.endswith("n")
    gives = "complex; {}``n // 2 + 1`` long" if to_half else "{}real" if to_real else "{}complex"
    last = "the last of `axes` is " if many else "the axis is "
    default = "the size of the axis"
    if to_real:
        default = "``2 * (m - 1)`` for size ``m``" + (" of the last" if many else "")
    return defop(
        name,
        "x -> y",
        attrs={"s": None, "axes": None, "norm": "backward"} if many else
        {"n": None, "axis": -1, "norm": "backward"},
        normalise=(_many_axes if many else _one_axis)(to_real),
        infer=_transformed(to_half, to_real),
        kernel=kernels.transform(name),
        promote=_as_real if real else _as_complex,
        vjp=None,
        cost=_flop,
        batch=shifted("axes" if many else "axis"),
        doc=_doc(name, says, many=many, real=real, gives=gives.format(last if to_half else ""),
                 default=default, example=example),
    )  # fmt: skip


# -- transforms ------------------------------------------------------------------------------

fft: Operator = _transform(
    "fft",
    "Fourier transform along an axis.",
    example="dt.tensor([1.0, 0.0]) -> tensor([1.+0.j, 1.+0.j], dtype=complex64)",
)
ifft: Operator = _transform(
    "ifft",
    "Inverse of `fft`.",
    example="dt.tensor([1.0, 1.0]) -> tensor([1.+0.j, 0.+0.j], dtype=complex64)",
)
fftn: Operator = _transform(
    "fftn",
    "Fourier transform along several axes.",
    example="dt.ones((1, 2)) -> tensor([[2.+0.j, 0.+0.j]], dtype=complex64)",
)
ifftn: Operator = _transform(
    "ifftn",
    "Inverse of `fftn`.",
    example="dt.ones((1, 2)) -> tensor([[1.+0.j, 0.+0.j]], dtype=complex64)",
)
rfft: Operator = _transform(
    "rfft",
    "Fourier transform of real numbers along an axis: the frequencies from 0 up.",
    real=True,
    to_half=True,
    example="dt.tensor([1.0, 0.0, 0.0]) -> tensor([1.+0.j, 1.+0.j], dtype=complex64)",
)
irfft: Operator = _transform(
    "irfft",
    "Inverse of `rfft`.",
    to_real=True,
    example="dt.tensor([2.0, 0.0]) -> tensor([1., 1.])",
)
rfftn: Operator = _transform(
    "rfftn",
    "Fourier transform of real numbers along several axes: of the last, the frequencies from 0 up.",
    real=True,
    to_half=True,
    example="dt.ones((1, 2)) -> tensor([[2.+0.j, 0.+0.j]], dtype=complex64)",
)
irfftn: Operator = _transform(
    "irfftn",
    "Inverse of `rfftn`.",
    to_real=True,
    example="dt.tensor([[2.0, 0.0]]) -> tensor([[1., 1.]])",
)
hfft: Operator = _transform(
    "hfft",
    "Fourier transform of a Hermitian signal, given by its first half: real frequencies.",
    to_real=True,
    example="dt.tensor([1.0, 0.0]) -> tensor([1., 1.])",
)
ihfft: Operator = _transform(
    "ihfft",
    "Inverse of `hfft`.",
    real=True,
    to_half=True,
    example="dt.tensor([1.0, 1.0]) -> tensor([1.-0.j, 0.-0.j], dtype=complex64)",
)


# -- frequencies -----------------------------------------------------------------------------


def _frequencies(n: Any, d: float, dtype: Any) -> tuple[int, Any]:
    """The number of points, and the dtype of the frequencies."""
    if isinstance(n, Dim):
        raise ShapeError(f"n must be known, got {n}")
    found = DEFAULT_FLOAT if dtype is None else as_dtype(dtype)
    if not is_float(found):
        raise DTypeError(f"dtype must be one of floats, got {found}")
    if d == 0:
        raise ArgumentError(f"d must not be 0, got {d}")
    return int(_points(n, "n")), found


def fftfreq(
    n: int, d: float = 1.0, *, dtype: Any = None, device: Device | str | None = None
) -> Any:
    """The frequencies of `fft`: those from 0 up, then the negative ones.

    Parameters
    ----------
    n : int
        Points.
    d : float
        Distance between points, in the unit whose inverse the frequencies have.
    dtype : dtype, optional
        float32 by default.
    device : Device or str, optional

    Returns
    -------
    array, shape (n,)

    Raises
    ------
    ShapeError
        When `n` is no whole number of at least 1.
    DTypeError
        When `dtype` is no float.
    ArgumentError
        When `d` is 0.

    Examples
    --------
    >>> dt.fft.fftfreq(4)
    tensor([ 0.  ,  0.25, -0.5 , -0.25])
    """
    n, dtype = named("fftfreq", _frequencies, n, d, dtype)
    parts = ((0, (n + 1) // 2), (-(n // 2), 0))
    whole = concat([arange(*part, dtype="int64", device=device) for part in parts])
    return astype(whole, dtype) / (n * d)


def rfftfreq(
    n: int, d: float = 1.0, *, dtype: Any = None, device: Device | str | None = None
) -> Any:
    """The frequencies of `rfft`: those from 0 up.

    Parameters
    ----------
    n : int
        Points.
    d : float
        Distance between points, in the unit whose inverse the frequencies have.
    dtype : dtype, optional
        float32 by default.
    device : Device or str, optional

    Returns
    -------
    array, shape (n // 2 + 1,)

    Raises
    ------
    ShapeError
        When `n` is no whole number of at least 1.
    DTypeError
        When `dtype` is no float.
    ArgumentError
        When `d` is 0.

    Examples
    --------
    >>> dt.fft.rfftfreq(4)
    tensor([0.  , 0.25, 0.5 ])
    """
    n, dtype = named("rfftfreq", _frequencies, n, d, dtype)
    return astype(arange(n // 2 + 1, dtype="int64", device=device), dtype) / (n * d)


# -- the order of frequencies ----------------------------------------------------------------


def fftshift(x: Any, axes: Any = None) -> Any:
    """Frequencies in ascending order: the 0 moves from the beginning to the middle.

    Parameters
    ----------
    x : array
    axes : int or sequence of int, optional
        All axes by default.

    Returns
    -------
    array of the shape of `x`

    Raises
    ------
    ShapeError
        When an axis is out of range or repeated.

    Examples
    --------
    >>> dt.fft.fftshift(dt.tensor([0.0, 1.0, 2.0, -2.0, -1.0]))
    tensor([-2., -1.,  0.,  1.,  2.])
    """
    return _rolled("fftshift", x, axes, lambda size: size // 2)


def ifftshift(x: Any, axes: Any = None) -> Any:
    """Inverse of `fftshift`: the 0 moves from the middle to the beginning.

    Parameters
    ----------
    x : array
    axes : int or sequence of int, optional
        All axes by default.

    Returns
    -------
    array of the shape of `x`

    Raises
    ------
    ShapeError
        When an axis is out of range or repeated.

    Examples
    --------
    >>> dt.fft.ifftshift(dt.tensor([-2.0, -1.0, 0.0, 1.0, 2.0]))
    tensor([ 0.,  1.,  2., -2., -1.])
    """
    return _rolled("ifftshift", x, axes, lambda size: -(size // 2))


def _rolled(name: str, x: Any, axes: Any, shift: Callable[[int], int]) -> Any:
    x = shaped(x, name)
    over = named(name, normal_axes, axes, len(x.shape))
    sizes = [x.shape[a] for a in over]
    if any(isinstance(size, Dim) for size in sizes):
        raise ShapeError(f"{name}: shifted axes must have known sizes, got {show(x.shape)}")
    return roll(x, tuple(map(shift, sizes)), axis=over)


__all__ = sorted([*functions_of(__name__), "fftfreq", "fftshift", "ifftshift", "rfftfreq"])
