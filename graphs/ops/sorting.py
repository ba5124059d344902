"""Order along an axis. NaN comes last, in ascending and in descending order."""

from __future__ import annotations

import operator
from dataclasses import replace
from typing import Any, NamedTuple

from ..avals import Aval
from ..dims import Dim
from ..dtypes import DEFAULT_INT
from ..errors import ShapeError
from ..kernels import sorting as kernels
from .batching import shifted
from .core import REQUIRED, Operator, defop
from .gather import add_along_axis
from .reducing import reads_all
from .rules import normal_axis, one_axis, require_real

_DOC = """{says}

    Parameters
    ----------
    x : array, real
    axis : int
    descending : bool
    stable : bool
        Keep the order of elements that compare as equal.

    Returns
    -------
    array of the shape of `x`{result}

    Raises
    ------
    ShapeError
        When the axis is out of range.
    DTypeError
        When the operand is complex.

    Examples
    --------
    >>> {code}
    {value}
"""


def _order(x: Aval, axis: Any, descending: bool, stable: bool) -> dict[str, Any]:
    return {**one_axis(x, axis), "descending": bool(descending), "stable": bool(stable)}


def _sorted(x: Aval, **attrs: Any) -> Aval:
    require_real(x, "operands")
    return x


def _sort_vjp(c: Any, g: Any) -> Any:
    found = argsort(c.x, axis=c.axis, descending=c.descending, stable=c.stable)
    return add_along_axis(g, found, c.axis, c.ins[0].shape)


sort: Operator = defop(
    "sort",
    "x -> y",
    attrs={"axis": -1, "descending": False, "stable": True},
    normalise=_order,
    infer=_sorted,
    kernel=kernels.sort,
    vjp=(_sort_vjp,),
    saves=("x",),
    in_place=True,
    batch=shifted("axis"),
    doc=_DOC.format(
        says="Elements in order along an axis, NaN last.",
        result="",
        code="dt.sort(dt.tensor([3.0, 1.0, 2.0]))",
        value="tensor([1., 2., 3.])",
    ),
)
argsort: Operator = defop(
    "argsort",
    "x -> indices",
    attrs={"axis": -1, "descending": False, "stable": True},
    normalise=_order,
    infer=lambda x, **attrs: replace(_sorted(x), dtype=DEFAULT_INT),
    kernel=kernels.argsort,
    vjp=None,
    batch=shifted("axis"),
    doc=_DOC.format(
        says="Indices along an axis of the elements in order, NaN last.",
        result=", int64",
        code="dt.argsort(dt.tensor([3.0, 1.0, 2.0]))",
        value="tensor([1, 2, 0])",
    ),
)


def _top_attrs(x: Aval, k: Any, axis: Any, largest: bool) -> dict[str, Any]:
    axis = normal_axis(axis, x.ndim)
    size = x.shape[axis]
    whole = hasattr(k, "__index__") and not isinstance(k, bool)
    count = operator.index(k) if whole else -1
    if count < 0 or (not isinstance(size, Dim) and count > size):
        raise ShapeError(f"k must be in 0..{size}, got {k!r}")
    return {"k": count, "axis": axis, "largest": bool(largest)}


def _top(x: Aval, k: int, axis: int, largest: bool) -> tuple[Aval, Aval]:
    require_real(x, "operands")
    values = replace(x, shape=(*x.shape[:axis], k, *x.shape[axis + 1 :]))
    return values, replace(values, dtype=DEFAULT_INT)


_topk: Operator = defop(
    "topk",
    "x -> values, indices",
    attrs={"k": REQUIRED, "axis": -1, "largest": True},
    normalise=_top_attrs,
    infer=_top,
    kernel=kernels.topk,
    vjp=(lambda c, g, _: add_along_axis(g, c.indices, c.axis, c.ins[0].shape),),
    saves=("indices",),
    batch=shifted("axis"),
    cost=reads_all,
    doc="The operator behind `topk`.",
)


class TopK(NamedTuple):
    """Elements, in order, and where along the axis they were."""

    values: Any
    indices: Any


def topk(x: Any, k: int, axis: int = -1, largest: bool = True) -> TopK:
    """The first `k` elements along an axis in descending or ascending order, and where they are.

    They are those of `sort`: NaN comes last. Which of several equal ones are chosen at the edge is
    left open; those that are stand in the order of their indices.

    Parameters
    ----------
    x : array, real
    k : int
        From 0 up to the size of the axis.
    axis : int
    largest : bool
        In descending order; ascending otherwise.

    Returns
    -------
    TopK
        ``(values, indices)``, of the shape of `x` with `k` on the axis; the indices are int64.

    Raises
    ------
    ShapeError
        When the axis or `k` is out of range.
    DTypeError
        When the operand is complex.

    Examples
    --------
    >>> dt.topk(dt.tensor([3.0, 1.0, 2.0]), 2)
    TopK(values=tensor([3., 2.]), indices=tensor([0, 2]))
    """
    return TopK(*_topk(x, k, axis, largest))


__all__ = ["argsort", "sort", "topk"]
