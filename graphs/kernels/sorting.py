"""Sorting kernels.

NaN comes last in either order. Descending order is the ascending one of keys in which the order is
reversed, so that stability and the place of NaN need no second thought.
"""

from __future__ import annotations

from typing import Any

from ..dtypes import is_float


def sort(xp: Any, x: Any, *, axis: int, descending: bool, stable: bool, out: Any = None) -> Any:
    # Elements that compare as equal look alike, but for zeros; a stable sort is slower.
    kind = "stable" if stable and _has_both_zeros(xp, x) else None
    out = xp.empty(x.shape, x.dtype) if out is None else out
    if not descending:
        xp.copyto(out, x)
        out.sort(axis=axis, kind=kind)
        return out
    reverse = _reversing(xp, x)
    reverse(x, out=out)
    out.sort(axis=axis, kind=kind)
    return reverse(out, out=out)


def argsort(xp: Any, x: Any, *, axis: int, descending: bool, stable: bool, out: Any = None) -> Any:
    keys = _reversing(xp, x)(x) if descending else x
    found = xp.argsort(keys, axis=axis, kind="stable" if stable else None)
    if out is None:
        return found.astype(xp.int64, order="C", copy=False)
    xp.copyto(out, found)
    return out


def topk(xp: Any, x: Any, *, k: int, axis: int, largest: bool) -> tuple[Any, Any]:
    keys = _reversing(xp, x)(x) if largest else x
    if 0 < k < x.shape[axis]:
        found = xp.argpartition(keys, k - 1, axis=axis)
        chosen = xp.moveaxis(xp.moveaxis(found, axis, 0)[:k], 0, axis).copy(order="C")
        chosen.sort(axis=axis)
        order = xp.argsort(xp.take_along_axis(keys, chosen, axis), axis=axis, kind="stable")
        indices = xp.take_along_axis(chosen, order, axis)
    else:
        order = xp.argsort(keys, axis=axis, kind="stable")
        indices = xp.moveaxis(xp.moveaxis(order, axis, 0)[:k], 0, axis)
    values = xp.take_along_axis(x, indices, axis)
    return values.copy(order="C"), indices.astype(xp.int64, order="C")


def _reversing(xp: Any, x: Any) -> Any:
    """The ufunc that reverses the order of a dtype, and undoes it; NaN stays NaN."""
    return xp.negative if is_float(x.dtype) else xp.invert


def _has_both_zeros(xp: Any, x: Any) -> bool:
    """Whether 0.0 and -0.0 are among the elements."""
    if not is_float(x.dtype):
        return False
    signs = xp.signbit(x[x == 0])
    return bool(signs.any()) and not bool(signs.all())
