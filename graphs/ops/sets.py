"""Distinct elements, membership and counts."""

from __future__ import annotations

import operator
from dataclasses import replace
from typing import Any, NamedTuple

from ..avals import Aval, show
from ..dims import Dim
from ..dtypes import BOOL, DEFAULT_INT, is_integer
from ..errors import DTypeError, ShapeError, StaticValueError
from ..kernels import sets as kernels
from . import promotion
from .batching import aligned, apply, spread
from .core import REQUIRED, Bound, Operator, defop
from .gather import take_along_axis
from .logic import equal, logical_not
from .manipulation import reshape
from .plain import shaped
from .reducing import accumulated_dtype, reads_all
from .reductions import any as any_
from .reductions import max as max_
from .rules import broadcast_shapes, unbroadcast

_COUNT = Dim.of_data("unique")


class UniqueAll(NamedTuple):
    """What `unique_all` gives."""

    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


class UniqueCounts(NamedTuple):
    """What `unique_counts` gives."""

    values: Any
    counts: Any


class UniqueInverse(NamedTuple):
    """What `unique_inverse` gives."""

    values: Any
    inverse_indices: Any


def _values(x: Aval) -> Aval:
    return replace(x, shape=(_COUNT,))


def _indices(x: Aval) -> Aval:
    return replace(x, shape=(_COUNT,), dtype=DEFAULT_INT)


def _inverse(x: Aval) -> Aval:
    return replace(x, dtype=DEFAULT_INT)


def _distinct(name: str, results: str, kernel: Any, infer: Any, doc: str = "") -> Operator:
    return defop(
        name,
        f"x -> {results}",
        infer=infer,
        kernel=kernel,
        vjp=None,
        cost=reads_all,
        dynamic=True,
        doc=doc or f"The operator behind `{name}`.",
    )


_unique_all = _distinct(
    "unique_all",
    "values, indices, inverse_indices, counts",
    kernels.unique_all,
    lambda x: (_values(x), _indices(x), _inverse(x), _indices(x)),
)
_unique_counts = _distinct(
    "unique_counts",
    "values, counts",
    kernels.unique_counts,
    lambda x: (_values(x), _indices(x)),
)
_unique_inverse = _distinct(
    "unique_inverse",
    "values, inverse_indices",
    kernels.unique_inverse,
    lambda x: (_values(x), _inverse(x)),
)
unique_values: Operator = _distinct(
    "unique_values",
    "values",
    kernels.unique_values,
    _values,
    """Distinct elements in ascending order. Each NaN is distinct; 0.0 and -0.0 are not.

    Parameters
    ----------
    x : array

    Returns
    -------
    array, shape (count,)

    Raises
    ------
    StaticValueError
        In a graph: the count depends on data.

    Examples
    --------
    >>> dt.unique_values(dt.tensor([3.0, 1.0, 3.0]))
    tensor([1., 3.])
    """,
)


def unique_all(x: Any) -> UniqueAll:
    """Distinct elements as by `unique_values`, where they are, and how many of each there are.

    Parameters
    ----------
    x : array

    Returns
    -------
    UniqueAll
        ``(values, indices, inverse_indices, counts)``: the elements, shape (count,); where in the
        elements of `x` in row-major order each occurs first; which of them each element of `x` is,
        in the shape of `x`; how often each occurs. All but the elements are int64.

    Raises
    ------
    StaticValueError
        In a graph: the count depends on data.

    Examples
    --------
    >>> found = dt.unique_all(dt.tensor([3.0, 1.0, 3.0]))
    >>> found.indices, found.inverse_indices, found.counts
    (tensor([1, 0]), tensor([1, 0, 1]), tensor([1, 2]))
    """
    return UniqueAll(*_unique_all(x))


def unique_counts(x: Any) -> UniqueCounts:
    """Distinct elements as by `unique_values`, and how many of each there are.

    Parameters
    ----------
    x : array

    Returns
    -------
    UniqueCounts
        ``(values, counts)``, both of shape (count,); the counts are int64.

    Raises
    ------
    StaticValueError
        In a graph: the count depends on data.

    Examples
    --------
    >>> dt.unique_counts(dt.tensor([3.0, 1.0, 3.0]))
    UniqueCounts(values=tensor([1., 3.]), counts=tensor([1, 2]))
    """
    return UniqueCounts(*_unique_counts(x))


def unique_inverse(x: Any) -> UniqueInverse:
    """Distinct elements as by `unique_values`, and which of them each element is.

    Parameters
    ----------
    x : array

    Returns
    -------
    UniqueInverse
        ``(values, inverse_indices)``: shape (count,), and int64 in the shape of `x`.

    Raises
    ------
    StaticValueError
        In a graph: the count depends on data.

    Examples
    --------
    >>> dt.unique_inverse(dt.tensor([3.0, 1.0, 3.0]))
    UniqueInverse(values=tensor([1., 3.]), inverse_indices=tensor([1, 0, 1]))
    """
    return UniqueInverse(*_unique_inverse(x))


def _isin_batch(call: Bound, operands: Any, batched: Any) -> Any:
    if not batched[1]:
        return apply(call, *operands)
    x1, x2 = spread(call, operands, batched)
    x1 = reshape(x1, (*x1.shape, 1))
    x2 = reshape(x2, (x2.shape[0], *[1] * call.ins[0].ndim, call.ins[1].size))
    found = any_(equal(x1, x2), axis=-1)
    return logical_not(found) if call.attrs["invert"] else found


isin: Operator = defop(
    "isin",
    "x1, x2 -> y",
    attrs={"invert": False},
    normalise=lambda x1, x2, invert: {"invert": bool(invert)},
    infer=lambda x1, x2, invert: replace(x1, dtype=BOOL),
    kernel=kernels.isin,
    promote=promotion.common,
    vjp=None,
    batch=_isin_batch,
    cost=lambda ins, outs, attrs: ins[0].size + ins[1].size,
    doc="""Whether each element of the first operand equals one of the second. NaN equals nothing.

    Parameters
    ----------
    x1, x2 : array or number
    invert : bool
        Whether none is equal, in place of one.

    Returns
    -------
    array of the shape of `x1`, bool

    Raises
    ------
    DTypeError
        When the dtypes do not promote.

    Examples
    --------
    >>> dt.isin(dt.tensor([1, 2, 3]), dt.tensor([3, 1]))
    tensor([ True, False,  True])
    """,
)


def _bins(x: Aval, weights: Aval, length: Any) -> dict[str, Any]:
    if isinstance(length, Dim):
        return {"length": length}
    if not hasattr(length, "__index__") or isinstance(length, bool) or length < 0:
        raise ShapeError(f"length must be a whole number of at least 0, got {length!r}")
    return {"length": operator.index(length)}


def _counted(x: Aval, weights: Aval, length: Any) -> Aval:
    if not is_integer(x.dtype):
        raise DTypeError(f"the first operand must hold integers, got {x.dtype}")
    if not x.ndim:
        raise ShapeError(f"the first operand must have an axis, got {show(x.shape)}")
    if broadcast_shapes(weights.shape, x.shape) != x.shape:
        raise ShapeError(
            "weights must broadcast to the first operand, got "
            f"{show(weights.shape)} for {show(x.shape)}"
        )
    return Aval((*x.shape[:-1], length), accumulated_dtype(weights, None), x.device)


def _bincount_batch(call: Bound, operands: Any, batched: Any) -> Any:
    _, weights = aligned(call, operands, batched)
    return apply(call, spread(call, operands, batched)[0], weights)


bincount_along: Operator = defop(
    "bincount",
    "x, weights -> counts",
    attrs={"length": REQUIRED},
    normalise=_bins,
    infer=_counted,
    kernel=kernels.bincount,
    vjp=(
        lambda c, g: None,
        lambda c, g: unbroadcast(take_along_axis(g, c.x), c.ins[1]),
    ),
    saves=("", "x"),
    may_raise=True,
    batch=_bincount_batch,
    cost=reads_all,
    doc="The operator behind `bincount`: it counts along the last axis of any number of axes.",
)


def bincount(x: Any, weights: Any = 1, *, length: int | None = None) -> Any:
    """How often each of the whole numbers from 0 occurs, or the sum of weights where it does.

    Parameters
    ----------
    x : array, shape (n,), integers of at least 0
    weights : array, shape (n,), or number
    length : int, optional
        Size of the result, which must exceed every element. By default the smallest that does;
        a graph needs to be told.

    Returns
    -------
    array, shape (length,), of the dtype of the weights; small integers become 64-bit ones

    Raises
    ------
    ShapeError
        When `x` has not one axis, the weights have another shape, or `length` is no size.
    DTypeError
        When the elements are no integers.
    StaticValueError
        In a graph, without `length`.
    RangeError
        When the kernel meets an element out of range.

    Examples
    --------
    >>> dt.bincount(dt.tensor([1, 3, 1]))
    tensor([0, 2, 0, 1])
    >>> dt.bincount(dt.tensor([1, 0, 1]), dt.tensor([0.5, 2.0, 0.25]), length=3)
    tensor([2.  , 0.75, 0.  ])
    """
    x = shaped(x, "bincount")
    if len(x.shape) != 1:
        raise ShapeError(f"bincount: the first operand must have one axis, got {show(x.shape)}")
    return bincount_along(x, weights, _least_length(x) if length is None else length)


def _least_length(x: Any) -> int:
    if x.shape[0] == 0:
        return 0
    try:
        return int(max_(x)) + 1
    except StaticValueError:
        raise StaticValueError("bincount: length must be given in a graph, got None") from None


__all__ = [
    "bincount", "isin", "unique_all", "unique_counts", "unique_inverse", "unique_values"
]  # fmt: skip
