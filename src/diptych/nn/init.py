"""Starting values: functions that fill a parameter in place, drawn from a generator.

A draw depends on the generator alone, so the same seed gives the same model. Each function gives
what it filled, so that it can stand around a new parameter.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..graphs.avals import show
from ..graphs.dtypes import FLOAT32, FLOAT64
from ..graphs.errors import ArgumentError, DTypeError, ShapeError, unknown
from ..graphs.generator import Generator, default_generator
from ..graphs.ops.plain import plain
from ..graphs.parameter import Parameter
from ..graphs.storage import Storage

_GAINS = {
    "linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2.0), "selu": 0.75,
}  # fmt: skip
# Beyond this many squared standard deviations a number has a chance below 1e-17.
_REACH = 78.0


def new_parameter(*shape: int) -> Any:
    """A float32 parameter of zeros, for one of the functions below to fill.

    Parameters
    ----------
    *shape : int

    Returns
    -------
    Parameter of `shape`

    Examples
    --------
    >>> dt.nn.init.ones_(dt.nn.init.new_parameter(2)).tolist()
    [1.0, 1.0]
    """
    return Parameter(np.zeros(shape, np.float32))


def constant_(x: Any, value: float) -> Any:
    """Fill with one number.

    Parameters
    ----------
    x : Parameter or Storage
    value : number

    Returns
    -------
    `x`

    Raises
    ------
    DTypeError
        When `x` is something else, or does not hold such numbers.

    Examples
    --------
    >>> dt.nn.init.constant_(dt.nn.Parameter([1.0, 2.0]), 3.0).tolist()
    [3.0, 3.0]
    """
    storage = _storage(x, "constant_")
    return _fill(x, np.full(storage.shape, value, type(value)), "constant_")


def zeros_(x: Any) -> Any:
    """Fill with zeros; see `constant_`."""
    return constant_(x, 0)


def ones_(x: Any) -> Any:
    """Fill with ones; see `constant_`."""
    return constant_(x, 1)


def eye_(x: Any) -> Any:
    """Fill a matrix with ones on its diagonal and zeros elsewhere.

    Parameters
    ----------
    x : Parameter or Storage, shape (n, m)

    Returns
    -------
    `x`

    Raises
    ------
    ShapeError
        When it is no matrix.

    Examples
    --------
    >>> dt.nn.init.eye_(dt.nn.init.new_parameter(2, 2)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    shape = _storage(x, "eye_").shape
    if len(shape) != 2:
        raise ShapeError(f"eye_: must have two axes, got {show(shape)}")
    return _fill(x, np.eye(*shape), "eye_")


def uniform_(x: Any, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Any:
    """Fill with numbers uniform in ``[a, b)``.

    Parameters
    ----------
    x : Parameter or Storage, floats
    a, b : float
    generator : Generator, optional
        The default one, which `manual_seed` seeds, otherwise.

    Returns
    -------
    `x`

    Raises
    ------
    ArgumentError
        When `a` is above `b`.
    DTypeError
        When `x` holds no floats.

    Examples
    --------
    >>> w = dt.nn.init.uniform_(dt.nn.init.new_parameter(100), -0.5, 0.5)
    >>> bool((abs(w.detach()) <= 0.5).numpy().all())
    True
    """
    _require("uniform_", a <= b, "a must be at most b", a=a, b=b)
    drawn = _drawn(x, "uniform_", "uniform", generator)
    return _fill(x, drawn * drawn.dtype.type(b - a) + drawn.dtype.type(a), "uniform_")


def fan_in_uniform_(x: Any, fan_in: int, generator: Generator | None = None) -> Any:
    """Fill with numbers uniform within ``1 / sqrt(fan_in)`` of 0, as most layers start.

    Parameters
    ----------
    x : Parameter or Storage, floats
    fan_in : int
        Number of inputs that each output sums over.
    generator : Generator, optional

    Returns
    -------
    `x`

    Examples
    --------
    >>> w = dt.nn.init.fan_in_uniform_(dt.nn.init.new_parameter(3, 4), 4)
    >>> bool((abs(w.detach()) <= 0.5).numpy().all())
    True
    """
    bound = 1 / math.sqrt(max(fan_in, 1))
    return uniform_(x, -bound, bound, generator)


def normal_(x: Any, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Any:
    """Fill with normal numbers.

    Parameters
    ----------
    x : Parameter or Storage, floats
    mean, std : float
    generator : Generator, optional

    Returns
    -------
    `x`

    Raises
    ------
    ArgumentError
        When `std` is negative.
    DTypeError
        When `x` holds no floats.

    Examples
    --------
    >>> dt.nn.init.normal_(dt.nn.init.new_parameter(3), 5.0, 0.0).tolist()
    [5.0, 5.0, 5.0]
    """
    _require("normal_", std >= 0, "std must be at least 0", std=std)
    drawn = _drawn(x, "normal_", "normal", generator)
    return _fill(x, drawn * drawn.dtype.type(std) + drawn.dtype.type(mean), "normal_")


def trunc_normal_(
    x: Any,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Any:
    """Fill with normal numbers, those outside ``[a, b]`` drawn again.

    Parameters
    ----------
    x : Parameter or Storage, floats
    mean, std : float
        Of the normal distribution that is cut off.
    a, b : float
        As the numbers themselves, not in standard deviations.
    generator : Generator, optional

    Returns
    -------
    `x`

    Raises
    ------
    ArgumentError
        When `std` is not positive or `a` is not below `b`.
    DTypeError
        When `x` holds no floats.

    Examples
    --------
    >>> w = dt.nn.init.trunc_normal_(dt.nn.init.new_parameter(100), std=0.02, a=-0.04, b=0.04)
    >>> bool((abs(w.detach()) <= 0.04).numpy().all())
    True
    """
    _require("trunc_normal_", std > 0, "std must be above 0", std=std)
    _require("trunc_normal_", a < b, "a must be below b", a=a, b=b)
    storage = _storage(x, "trunc_normal_")
    source = generator or default_generator
    low, high = (a - mean) / std, (b - mean) / std
    mode = min(max(0.0, low), high)
    low, high = max(low, -math.sqrt(mode**2 + _REACH)), min(high, math.sqrt(mode**2 + _REACH))
    numbers = np.empty(math.prod(storage.shape))
    left = np.arange(numbers.size)
    while left.size:
        # Uniform proposals, each kept with the density there relative to the highest.
        place, chance = source.uniform((2, left.size), dtype=FLOAT64, style=plain)
        tried = low + (high - low) * place
        kept = np.log1p(-chance) <= (mode**2 - tried**2) / 2
        numbers[left[kept]] = tried[kept]
        left = left[~kept]
    numbers = np.clip(numbers * std + mean, a, b)
    return _fill(x, numbers.reshape(storage.shape), "trunc_normal_")


def xavier_uniform_(x: Any, gain: float = 1.0, generator: Generator | None = None) -> Any:
    """Fill with uniform numbers of variance ``gain**2 * 2 / (fan_in + fan_out)``.

    Parameters
    ----------
    x : Parameter or Storage, shape (out, in, ...), floats
    gain : float
        See `calculate_gain`.
    generator : Generator, optional

    Returns
    -------
    `x`

    Raises
    ------
    ShapeError
        When `x` has fewer than two axes.

    Notes
    -----
    X. Glorot, Y. Bengio: Understanding the difficulty of training deep feedforward neural
    networks (AISTATS 2010).

    Examples
    --------
    >>> w = dt.nn.init.xavier_uniform_(dt.nn.init.new_parameter(3, 3))
    >>> bool((abs(w.detach()) <= 1.0).numpy().all())
    True
    """
    fan_in, fan_out = _fans(x, "xavier_uniform_")
    bound = gain * math.sqrt(6 / max(fan_in + fan_out, 1))
    return uniform_(x, -bound, bound, generator)


def xavier_normal_(x: Any, gain: float = 1.0, generator: Generator | None = None) -> Any:
    """Fill with normal numbers of variance ``gain**2 * 2 / (fan_in + fan_out)``.

    See `xavier_uniform_`.
    """
    fan_in, fan_out = _fans(x, "xavier_normal_")
    return normal_(x, 0.0, gain * math.sqrt(2 / max(fan_in + fan_out, 1)), generator)


def kaiming_uniform_(
    x: Any,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Any:
    """Fill with uniform numbers of variance ``gain**2 / fan``.

    Parameters
    ----------
    x : Parameter or Storage, shape (out, in, ...), floats
    a : float
        Negative slope, of "leaky_relu" alone.
    mode : {"fan_in", "fan_out"}
        Whether the forward or the backward pass keeps its variance.
    nonlinearity : str
        What follows; see `calculate_gain`.
    generator : Generator, optional

    Returns
    -------
    `x`

    Raises
    ------
    ShapeError
        When `x` has fewer than two axes.
    UnknownNameError
        When the mode or the nonlinearity is not known.

    Notes
    -----
    K. He et al.: Delving deep into rectifiers (ICCV 2015).

    Examples
    --------
    >>> w = dt.nn.init.kaiming_uniform_(dt.nn.init.new_parameter(8, 6), nonlinearity="relu")
    >>> bool((abs(w.detach()) <= 1.0).numpy().all())
    True
    """
    bound = math.sqrt(3.0) * _kaiming_std(x, a, mode, nonlinearity, "kaiming_uniform_")
    return uniform_(x, -bound, bound, generator)


def kaiming_normal_(
    x: Any,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Any:
    """Fill with normal numbers of variance ``gain**2 / fan``; see `kaiming_uniform_`."""
    std = _kaiming_std(x, a, mode, nonlinearity, "kaiming_normal_")
    return normal_(x, 0.0, std, generator)


def orthogonal_(x: Any, gain: float = 1.0, generator: Generator | None = None) -> Any:
    """Fill with a random matrix whose rows, or columns if they are fewer, are orthonormal.

    Parameters
    ----------
    x : Parameter or Storage, shape (rows, ...), floats
        The axes after the first count as one.
    gain : float
        Length of the rows or columns.
    generator : Generator, optional

    Returns
    -------
    `x`

    Raises
    ------
    ShapeError
        When `x` has fewer than two axes.

    Notes
    -----
    A. Saxe et al.: Exact solutions to the nonlinear dynamics of learning in deep linear neural
    networks (ICLR 2014).

    Examples
    --------
    >>> w = dt.nn.init.orthogonal_(dt.nn.init.new_parameter(2, 3)).detach().numpy()
    >>> bool(np.allclose(w @ w.T, np.eye(2), atol=1e-6))
    True
    """
    fan_in, _ = _fans(x, "orthogonal_")
    storage = _storage(x, "orthogonal_")
    rows = storage.shape[0]
    source = generator or default_generator
    drawn = source.normal((max(rows, fan_in), min(rows, fan_in)), dtype=FLOAT64, style=plain)
    q, r = np.linalg.qr(drawn)
    q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)  # else the signs would depend on the algorithm
    matrix = q.T if rows < fan_in else q
    return _fill(x, gain * matrix.reshape(storage.shape), "orthogonal_")


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much weights must be larger than for a linear layer before a nonlinearity.

    Parameters
    ----------
    nonlinearity : {"linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"}
    param : float, optional
        The negative slope of "leaky_relu"; 0.01 by default.

    Returns
    -------
    float

    Raises
    ------
    UnknownNameError
        When it is none of these.

    Examples
    --------
    >>> dt.nn.init.calculate_gain("tanh")
    1.6666666666666667
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        raise unknown("nonlinearity", nonlinearity, (*_GAINS, "leaky_relu"))
    return _GAINS[nonlinearity]


def _kaiming_std(x: Any, a: float, mode: str, nonlinearity: str, where: str) -> float:
    fans = dict(zip(("fan_in", "fan_out"), _fans(x, where)))
    if mode not in fans:
        raise unknown("mode", mode, fans)
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fans[mode], 1))


def _fans(x: Any, where: str) -> tuple[int, int]:
    """Numbers of inputs that an output sums over, and of outputs that an input reaches."""
    shape = _storage(x, where).shape
    if len(shape) < 2:
        raise ShapeError(f"{where}: must have at least two axes, got {show(shape)}")
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def _drawn(x: Any, where: str, what: str, generator: Generator | None) -> np.ndarray:
    """Numbers for every element, in the precision that they will be held in, or float32."""
    storage = _storage(x, where)
    dtype = FLOAT64 if storage.dtype == FLOAT64 else FLOAT32
    return getattr(generator or default_generator, what)(storage.shape, dtype=dtype, style=plain)


def _storage(x: Any, where: str) -> Storage:
    if not isinstance(x, Parameter | Storage):
        raise DTypeError(f"{where}: takes a parameter or a storage, got {type(x).__name__}")
    return x.storage


def _fill(x: Any, numbers: np.ndarray, where: str) -> Any:
    storage = _storage(x, where)
    try:
        storage.check(numbers.shape, numbers.dtype)
    except DTypeError as error:
        raise DTypeError(f"{where}: {error}") from None
    storage.write(numbers)
    return x


def _require(where: str, holds: bool, rule: str, **given: float) -> None:
    if not holds:
        values = ", ".join(f"{name}={value}" for name, value in given.items())
        raise ArgumentError(f"{where}: {rule}, got {values}")
