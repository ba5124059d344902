"""Reductions over axes, and the sums that undo broadcasting and gather cotangents."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..avals import Aval, as_shape, show
from ..dims import Shape, product
from ..dtypes import BOOL, DEFAULT_INT
from ..errors import ShapeError
from ..kernels import reductions as kernels
from . import promotion
from .axes import flip
from .batching import apply, shifted, spread
from .core import REQUIRED, Bound, Operator, defop, functions_of
from .cumulative import before
from .elementwise import astype
from .manipulation import broadcast_to, permute_dims, reshape
from .reducing import (
    DTYPE,
    DTYPE_ERRORS,
    REAL_ERRORS,
    accumulated_dtype,
    as_type,
    back,
    count_of,
    doc,
    over_axes,
    over_count,
    reads_all,
    reduced,
    require_elements,
    with_axes,
)
from .rules import broadcast_shapes, require_real


def _accumulation(x: Aval, axis: Any, keepdims: bool, dtype: Any) -> dict[str, Any]:
    return over_axes(x, axis, keepdims, dtype=accumulated_dtype(x, dtype))


def _accumulated(x: Aval, axis: tuple[int, ...], keepdims: bool, dtype: np.dtype) -> Aval:
    return Aval(reduced(x.shape, axis, keepdims), dtype, x.device)


def _reduced(x: Aval, axis: tuple[int, ...], keepdims: bool) -> Aval:
    return replace(x, shape=reduced(x.shape, axis, keepdims))


def _sum_vjp(c: Any, g: Any) -> Any:
    return back(as_type(g, c.ins[0].dtype), c.ins[0], c.axis, c.keepdims)


sum: Operator = defop(
    "sum",
    "x -> y",
    attrs={"axis": None, "keepdims": False, "dtype": None},
    normalise=_accumulation,
    infer=_accumulated,
    kernel=kernels.sum,
    vjp=(_sum_vjp,),
    saves=("",),
    batch=shifted("axis"),
    cost=reads_all,
    doc=doc(
        "Sum of elements over axes.",
        "dt.sum(dt.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0) -> tensor([4., 6.])",
        dtype=DTYPE,
        errors=DTYPE_ERRORS,
    ),
)


def _others(x: Any, axis: tuple[int, ...]) -> Any:
    """Per element, the product of the others that are reduced with it: exact at zeros, too."""
    kept = tuple(a for a in range(len(x.shape)) if a not in axis)
    moved = permute_dims(x, (*kept, *axis))
    last = len(kept)
    rows = reshape(moved, (*moved.shape[:last], product(moved.shape[last:])))
    after = flip(before(flip(rows, axis=last), last), axis=last)
    others = reshape(before(rows, last) * after, moved.shape)
    return permute_dims(others, tuple(np.argsort((*kept, *axis)).tolist()))


def _prod_vjp(c: Any, g: Any) -> Any:
    x = c.ins[0]
    others = _others(as_type(c.x, c.dtype), c.axis)
    return as_type(with_axes(g, x, c.axis, c.keepdims) * others, x.dtype)


prod: Operator = defop(
    "prod",
    "x -> y",
    attrs={"axis": None, "keepdims": False, "dtype": None},
    normalise=_accumulation,
    infer=_accumulated,
    kernel=kernels.prod,
    vjp=(_prod_vjp,),
    saves=("x",),
    batch=shifted("axis"),
    cost=reads_all,
    doc=doc(
        "Product of elements over axes. That of nothing is 1.",
        "dt.prod(dt.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0) -> tensor([3., 8.])",
        dtype=DTYPE,
        errors=DTYPE_ERRORS,
    ),
)


def _mean_vjp(c: Any, g: Any) -> Any:
    x = c.ins[0]
    return back(over_count(g, count_of(x, c.axis)), x, c.axis, c.keepdims)


mean: Operator = defop(
    "mean",
    "x -> y",
    attrs={"axis": None, "keepdims": False},
    normalise=over_axes,
    infer=_reduced,
    kernel=kernels.mean,
    promote=promotion.common_float,
    vjp=(_mean_vjp,),
    saves=("",),
    batch=shifted("axis"),
    cost=reads_all,
    doc=doc(
        "Arithmetic mean over axes. That of nothing is NaN.",
        "dt.mean(dt.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0) -> tensor([2., 3.])",
        dtypes=", floats or complex; integers become float32",
    ),
)


def _extremum(x: Aval, axis: tuple[int, ...], keepdims: bool) -> Aval:
    require_real(x, "operands")
    require_elements(x, axis)
    return _reduced(x, axis, keepdims)


def _extremum_vjp(c: Any, g: Any) -> Any:
    """The cotangent shared evenly between the elements that tie."""
    x = c.ins[0]
    hit = astype(c.x == with_axes(c.y, x, c.axis, c.keepdims), x.dtype)
    share = hit / sum(hit, axis=c.axis, keepdims=True)
    return with_axes(g, x, c.axis, c.keepdims) * share


def _extremum_op(name: str, kernel: Any, says: str, value: str) -> Operator:
    return defop(
        name,
        "x -> y",
        attrs={"axis": None, "keepdims": False},
        normalise=over_axes,
        infer=_extremum,
        kernel=kernel,
        vjp=(_extremum_vjp,),
        saves=("x y",),
        batch=shifted("axis"),
        cost=reads_all,
        doc=doc(
            f"{says} over axes; NaN where there is one. Ties share the gradient evenly.",
            f"dt.{name}(dt.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0) -> {value}",
            dtypes=", real",
            raises=", or a reduced axis is empty",
            errors=REAL_ERRORS,
        ),
    )


max: Operator = _extremum_op("max", kernels.max, "Largest element", "tensor([3., 4.])")
min: Operator = _extremum_op("min", kernels.min, "Smallest element", "tensor([1., 2.])")


def _truth(name: str, kernel: Any, dtype: np.dtype, says: str, value: str) -> Operator:
    return defop(
        name,
        "x -> y",
        attrs={"axis": None, "keepdims": False},
        normalise=over_axes,
        infer=lambda x, axis, keepdims: replace(_reduced(x, axis, keepdims), dtype=dtype),
        kernel=kernel,
        vjp=None,
        batch=shifted("axis"),
        cost=reads_all,
        doc=doc(
            says,
            f"dt.{name}(dt.tensor([[1.0, 2.0], [0.0, 3.0]]), axis=0) -> {value}",
            result=f", {dtype}",
        ),
    )


all: Operator = _truth(
    "all",
    kernels.all,
    BOOL,
    "Whether all elements over axes differ from 0, as NaN does. All of none do.",
    "tensor([False,  True])",
)
any: Operator = _truth(
    "any",
    kernels.any,
    BOOL,
    "Whether any element over axes differs from 0, as NaN does. None of none does.",
    "tensor([ True,  True])",
)
count_nonzero: Operator = _truth(
    "count_nonzero",
    kernels.count_nonzero,
    DEFAULT_INT,
    "How many elements over axes differ from 0, as NaN does.",
    "tensor([1, 2])",
)


def _sum_to(x: Aval, shape: Shape) -> Aval:
    if broadcast_shapes(shape, x.shape) != x.shape:
        raise ShapeError(
            f"shape must broadcast to the operand, got {show(x.shape)} to {show(shape)}"
        )
    return replace(x, shape=shape)


def _sum_to_batch(call: Bound, operands: Any, batched: Any) -> Any:
    [x], shape = operands, call.attrs["shape"]
    aligned = (x.shape[0], *[1] * (call.ins[0].ndim - len(shape)), *shape)
    return reshape(apply(call, x, shape=aligned), (x.shape[0], *shape))


sum_to: Operator = defop(
    "sum_to",
    "x -> y",
    attrs={"shape": REQUIRED},
    normalise=lambda x, shape: {"shape": as_shape(shape)},
    infer=_sum_to,
    kernel=kernels.sum_to,
    vjp=(lambda c, g: broadcast_to(g, c.ins[0].shape),),
    saves=("",),
    batch=_sum_to_batch,
    cost=reads_all,
    doc="""Sum over the axes that broadcasting `shape` to the operand's shape would repeat.

    Parameters
    ----------
    x : array
    shape : tuple of int

    Returns
    -------
    array of `shape`

    Raises
    ------
    ShapeError
        When `shape` does not broadcast to the shape of `x`.

    Examples
    --------
    >>> dt.sum_to(dt.tensor([[1.0, 2.0], [3.0, 4.0]]), (2,))
    tensor([4., 6.])
    """,
)


def _alike(*xs: Aval) -> Aval:
    if len({x.shape for x in xs}) > 1:
        raise ShapeError(
            f"operands must have one shape, got {' and '.join(show(x.shape) for x in xs)}"
        )
    return xs[0]


accumulate: Operator = defop(
    "accumulate",
    "*xs -> y",
    infer=_alike,
    kernel=kernels.accumulate,
    promote=promotion.common,
    vjp=(lambda c, g, position: g,),
    saves=("",),
    batch=lambda call, operands, batched: apply(call, *spread(call, operands, batched)),
    cost=lambda ins, outs, attrs: (len(ins) - 1) * outs[0].size,
    doc="""Sum of arrays of one shape, from left to right: how cotangents meet.

    Parameters
    ----------
    xs : sequence of arrays of one shape

    Returns
    -------
    array of that shape, of the common dtype

    Raises
    ------
    ShapeError
        When the shapes differ.

    Examples
    --------
    >>> dt.accumulate([dt.tensor([1.0]), dt.tensor([2.0]), dt.tensor([3.0])])
    tensor([6.])
    """,
)

__all__ = functions_of(__name__)
