"""Spread, log-sum-exp and order statistics over axes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from ..avals import Aval
from ..dims import Dim
from ..dtypes import DEFAULT_FLOAT, FLOAT64, INT64, is_float
from ..errors import ArgumentError, DiptychError
from ..kernels import statistics as kernels
from . import promotion
from .advanced import take
from .batching import shifted
from .core import Operator, defop, functions_of
from .creation import full
from .elementwise import astype, minimum
from .functions import exp
from .logic import where
from .manipulation import named, permute_dims, reshape
from .plain import shaped
from .reducing import (
    REAL_ERRORS,
    as_type,
    count_of,
    doc,
    over_axes,
    over_count,
    reduced,
    require_elements,
    with_axes,
)
from .reductions import mean
from .rules import normal_axes, require_real
from .sorting import sort

_FLOATS = ", real; integers become float32"


def _corrected(x: Aval, axis: Any, correction: Any, keepdims: bool) -> dict[str, Any]:
    if not isinstance(correction, int | float) or not math.isfinite(correction):
        raise ArgumentError(f"correction must be a finite number, got {correction!r}")
    axes = normal_axes(axis, x.ndim)
    return {"axis": axes, "correction": correction, "keepdims": bool(keepdims)}


def _spread(x: Aval, axis: tuple[int, ...], correction: float, keepdims: bool) -> Aval:
    require_real(x, "operands")
    return replace(x, shape=reduced(x.shape, axis, keepdims))


def _deviation(c: Any) -> Any:
    return c.x - mean(c.x, axis=c.axis, keepdims=True)


def _over_freedom(g: Any, c: Any) -> Any:
    """``g / (count - correction)``; NaN where that is not above 0, as the result is."""
    count = count_of(c.ins[0], c.axis)
    if isinstance(count, Dim):
        freedom = full((), count, dtype=FLOAT64) - c.correction
        freedom = where(freedom > 0, freedom, math.nan)
        return as_type(g / freedom, g.dtype)
    freedom = count - c.correction
    return over_count(g, freedom if freedom > 0 else math.nan)


def _var_vjp(c: Any, g: Any) -> Any:
    g = with_axes(g, c.ins[0], c.axis, c.keepdims)
    return _over_freedom(g + g, c) * _deviation(c)


def _std_vjp(c: Any, g: Any) -> Any:
    g, y = (with_axes(v, c.ins[0], c.axis, c.keepdims) for v in (g, c.y))
    return _over_freedom(g / where(y == 0, math.inf, y), c) * _deviation(c)


_SPREAD = doc(
    "{says}",
    "dt.{name}(dt.tensor([1.0, 3.0])) -> tensor(1.)",
    dtypes=_FLOATS,
    errors="""
    ArgumentError
        When `correction` is no finite number."""
    + REAL_ERRORS,
).replace(
    "    keepdims : bool",
    """    correction : number
        Taken from the count of elements that the sum of squares is divided by: 0 for a population,
        1 for a sample.
    keepdims : bool""",
)


def _spread_op(name: str, kernel: Any, vjp: Any, saves: str, says: str) -> Operator:
    return defop(
        name,
        "x -> y",
        attrs={"axis": None, "correction": 0.0, "keepdims": False},
        normalise=_corrected,
        infer=_spread,
        kernel=kernel,
        promote=promotion.common_float,
        vjp=(vjp,),
        saves=(saves,),
        batch=shifted("axis"),
        cost=lambda ins, outs, attrs: 4 * ins[0].size,
        doc=_SPREAD.format(name=name, says=says),
    )


var: Operator = _spread_op(
    "var",
    kernels.var,
    _var_vjp,
    "x",
    "Mean square distance from the mean over axes; NaN unless the count exceeds `correction`.",
)
std: Operator = _spread_op(
    "std",
    kernels.std,
    _std_vjp,
    "x y",
    "Square root of `var`; where that is 0, so is its gradient.",
)


def _logsumexp_vjp(c: Any, g: Any) -> Any:
    g, y = (with_axes(v, c.ins[0], c.axis, c.keepdims) for v in (g, c.y))
    return g * exp(c.x - where(y == -math.inf, 0.0, y))


def _logsumexp(x: Aval, axis: tuple[int, ...], keepdims: bool) -> Aval:
    require_real(x, "operands")
    return replace(x, shape=reduced(x.shape, axis, keepdims))


logsumexp: Operator = defop(
    "logsumexp",
    "x -> y",
    attrs={"axis": None, "keepdims": False},
    normalise=over_axes,
    infer=_logsumexp,
    kernel=kernels.logsumexp,
    promote=promotion.common_float,
    vjp=(_logsumexp_vjp,),
    saves=("x y",),
    batch=shifted("axis"),
    cost=lambda ins, outs, attrs: 4 * ins[0].size,
    doc=doc(
        "Logarithm of the sum of exponentials over axes. None overflows; that of nothing is -inf.",
        "dt.logsumexp(dt.tensor([1000.0, -1000.0])) -> tensor(1000.)",
        dtypes=_FLOATS,
        errors=REAL_ERRORS,
    ),
)


def median(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Middle of the elements over axes in order; the mean of the middle two where there are two.

    Parameters
    ----------
    x : array, real; integers become float32
    axis : int or tuple of int, optional
        All axes by default.
    keepdims : bool
        Keep the reduced axes with size 1.

    Returns
    -------
    array without the reduced axes; NaN where there is one

    Raises
    ------
    ShapeError
        When an axis is out of range, or a reduced axis is empty.
    DTypeError
        When the operand is complex.

    Examples
    --------
    >>> dt.median(dt.tensor([[1.0, 9.0, 2.0], [4.0, 3.0, 8.0]]), axis=1)
    tensor([2., 4.])
    """
    return _quantiles("median", x, np.array(0.5), axis, keepdims)


def quantile(x: Any, q: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Numbers below which given fractions of the elements over axes lie, between two linearly.

    Parameters
    ----------
    x : array, real; integers become float32
    q : float or sequence of float
        Fractions in 0..1, known when the function is called.
    axis : int or tuple of int, optional
        All axes by default.
    keepdims : bool
        Keep the reduced axes with size 1.

    Returns
    -------
    array, shape of `q` followed by the axes that are left; NaN where there is one

    Raises
    ------
    ShapeError
        When an axis is out of range, or a reduced axis is empty.
    ArgumentError
        When a fraction is out of range or no number.
    DTypeError
        When the operand is complex.

    Examples
    --------
    >>> dt.quantile(dt.tensor([1.0, 2.0, 3.0]), [0.0, 0.25])
    tensor([1. , 1.5])
    """
    try:
        fractions = np.asarray(q, FLOAT64)
    except (TypeError, ValueError, DiptychError):
        fractions = np.array(math.nan)
    if not np.all((fractions >= 0) & (fractions <= 1)):
        raise ArgumentError(f"quantile: q must be known numbers in 0..1, got {q!r}")
    return _quantiles("quantile", x, fractions, axis, keepdims)


def _quantiles(name: str, x: Any, fractions: np.ndarray, axis: Any, keepdims: bool) -> Any:
    x = shaped(x, name)
    aval = Aval(tuple(x.shape), x.dtype)
    axes = named(name, normal_axes, axis, aval.ndim)
    named(name, require_elements, aval, axes)
    named(name, require_real, aval, "operands")
    x = x if is_float(x.dtype) else astype(x, DEFAULT_FLOAT)
    left = tuple(a for a in range(aval.ndim) if a not in axes)
    moved = permute_dims(x, (*left, *axes))
    rows = reshape(moved, (*moved.shape[: len(left)], count_of(aval, axes)))
    found = _interpolated(sort(rows, axis=-1), fractions)
    order = (*range(len(left), len(left) + fractions.ndim), *range(len(left)))
    found = permute_dims(found, order)
    shape = (*fractions.shape, *reduced(aval.shape, axes, keepdims))
    return reshape(found, shape) if keepdims else found


def _interpolated(rows: Any, fractions: np.ndarray) -> Any:
    """Numbers at fractions of the last axis, which is in order."""
    axis = len(rows.shape) - 1
    last = rows.shape[axis] - 1
    if isinstance(last, Dim):
        last = full((), last, dtype=FLOAT64)
    place = fractions * last
    low = astype(place, INT64)
    share = astype(place - low, rows.dtype)
    at, after = (take(rows, i, axis=axis) for i in (low, minimum(low + 1, astype(last, INT64))))
    # Nothing of what may be infinite, where its share is nothing.
    found = at * (1 - share) + where(share == 0, 0.0, after) * share
    # NaN is the last in order.
    highest = take(rows, np.array([-1]), axis=axis)
    highest = reshape(highest, (*rows.shape[:axis], *[1] * fractions.ndim))
    return where(highest != highest, highest, found)


__all__ = [*functions_of(__name__), "median", "quantile"]
