"""``x[index]``, read and assigned: from what users write to operators.

An index is parted in two. Integers, slices, an ellipsis and new axes make a view (`indexing`); the
index arrays then select along axes of that view (`advanced`). Where the arrays stand side by side
in the index, their axes take the place of the axes that they index; else they come first. An
integer counts as an index array here, where there is one. These are NumPy's rules.

A 0-d tensor is an index array, too: its number is data, which a graph can change from run to run.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import EllipsisType, NoneType
from typing import Any

import numpy as np

from ..avals import Aval, show
from ..dims import Shape, product
from ..dtypes import BOOL, INT64, is_integer
from ..errors import DTypeError, ShapeError
from ..numbers import materialise
from . import advanced, indexing
from .advanced import index_put, take
from .elementwise import astype
from .indexing import WHOLE, hashable, value_as_first
from .joining import stack
from .logic import where
from .manipulation import broadcast_to, device_of, named, reshape
from .plain import array_of, shaped
from .rules import broadcast_shapes
from .searching import nonzero

_BASIC = frozenset((int, slice, NoneType, EllipsisType))
_NUMBERS = frozenset((bool, int, float, complex))


def getitem(x: Any, index: Any) -> Any:
    """The elements that an index selects, as ``x[index]``.

    Parameters
    ----------
    x : array
    index : int, slice, None, Ellipsis, array of integers, mask, or a tuple of them
        Without arrays and masks the result is a view. Index arrays broadcast against each other.
        A mask, of bools, stands for the positions where it holds; how many those are depends on
        data, which eager code can have and a graph cannot.

    Returns
    -------
    array

    Raises
    ------
    ShapeError
        When there are too many indices, one is out of range or of another kind, index arrays do
        not broadcast, or a mask has not the shape of the axes it selects from.
    DTypeError
        When an index array holds neither integers nor bools.
    RangeError
        When the kernel meets an index out of range in an array.
    StaticValueError
        In a graph, when a mask is no constant.

    Examples
    --------
    >>> x = dt.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> x[:, 0]
    tensor([1., 3.])
    >>> x[[1, 0], [0, 1]]
    tensor([3., 2.])
    >>> x[x > 1.5]
    tensor([2., 3., 4.])
    """
    if _is_basic(index):
        return indexing.getitem(x, hashable(index))
    x = shaped(x, "getitem")
    parts = _parted("getitem", x.shape, index)
    view = x if parts.is_whole else indexing.getitem(x, parts.basic)
    if not parts.arrays:
        return view
    lines, rows, axes = parts.rows(view)
    if axes == (parts.at,):
        return take(lines, rows[0], parts.at)
    return advanced.index(lines, parts.stacked(rows), axes, parts.at)


def setitem(x: Any, value: Any, index: Any) -> Any:
    """A copy of an array in which ``x[index]`` is a value.

    Parameters
    ----------
    x : array
    value : array or number
        Broadcast to the shape of ``x[index]``, and cast to the dtype of `x`. Where an index array
        selects a position twice, the last value stays.
    index : as for `getitem`
        A graph takes any mask, as long as the value does not depend on how many elements are true.

    Returns
    -------
    array like `x`

    Raises
    ------
    ShapeError
        As `getitem` does, and when the value does not broadcast.
    DTypeError
        As `getitem` does, and when the value is complex and `x` is not.
    RangeError
        When the kernel meets an index out of range in an array.
    StaticValueError
        In a graph, when the value has one element per true one of a mask.

    Examples
    --------
    >>> dt.setitem(dt.tensor([1.0, 2.0, 3.0]), 9.0, 0)
    tensor([9., 2., 3.])
    >>> x = dt.tensor([1.0, 2.0, 3.0])
    >>> x[x > 1.5] = 0.0
    >>> x
    tensor([1., 0., 0.])
    """
    if _is_basic(index):
        return indexing.setitem(x, value, hashable(index))
    x = shaped(x, "setitem")
    value = value if type(value) in _NUMBERS else shaped(value, "setitem")
    parts = _parted("setitem", x.shape, index)
    if not parts.arrays:
        return indexing.setitem(x, value, parts.basic)
    view = x if parts.is_whole else indexing.getitem(x, parts.basic)
    chosen = parts.choice(view.shape, getattr(value, "shape", ()))
    if chosen is None:
        lines, rows, axes = parts.rows(view)
        put = index_put(lines, value, parts.stacked(rows), axes, parts.at)
        put = put if lines is view else reshape(put, view.shape)
    else:
        put = where(parts.mask(view.shape), reshape(_cast(value, view), chosen), view)
    return put if parts.is_whole else indexing.setitem(x, put, parts.basic)


@dataclass(frozen=True, eq=False)
class _Mask:
    """A mask among the entries of an index.

    A 0-d one takes none of the axes: it selects along a new axis of size 1.
    """

    operand: Any
    ndim: int


@dataclass(frozen=True, eq=False)
class _Parts:
    """An index, parted.

    Attributes
    ----------
    name : str
        What errors begin with.
    basic : tuple
        For `indexing`: the index with whole slices for arrays and masks.
    arrays : list
        Index arrays and masks.
    axes : tuple of int
        The axes of the view that `basic` gives along which they select: one per array, one per
        axis of a mask.
    at : int
        Where their own axes stand among the view's other axes.
    """

    name: str
    basic: tuple[Any, ...]
    arrays: list[Any]
    axes: tuple[int, ...]
    at: int

    @property
    def is_whole(self) -> bool:
        """Whether `basic` selects everything."""
        return all(entry == WHOLE for entry in self.basic)

    def rows(self, view: Any) -> tuple[Any, list[Any], tuple[int, ...]]:
        """The view with the axes of each mask made one, and index arrays along axes of it.

        The positions where a mask holds are then indices as any others.
        """
        shape, rows, axes = list(view.shape), [], []
        joined = 0
        given = iter(self.axes)
        for array in self.arrays:
            first = next(given) - joined
            axes.append(first)
            if not isinstance(array, _Mask):
                rows.append(array)
                continue
            mask = array.operand
            for _ in range(mask.ndim - 1):
                next(given)
            joined += mask.ndim - 1
            behind = first + mask.ndim
            shape[first:behind] = [product(tuple(shape[first:behind]))]
            rows.extend(nonzero(mask if mask.ndim == 1 else reshape(mask, -1)))
        lines = reshape(view, tuple(shape)) if joined else view
        return lines, rows, tuple(axes)

    def stacked(self, rows: list[Any]) -> Any:
        """Index arrays as the rows of one, broadcast."""
        shapes = [row.shape for row in rows]
        try:
            shape = broadcast_shapes(*shapes)
        except ShapeError:
            raise ShapeError(
                f"{self.name}: index arrays must broadcast, got {' and '.join(map(show, shapes))}"
            ) from None
        if any(row.dtype != rows[0].dtype for row in rows):
            rows = [astype(row, INT64) for row in rows]
        return stack([row if row.shape == shape else broadcast_to(row, shape) for row in rows])

    def choice(self, view: Shape, value: Shape) -> Shape | None:
        """The shape in which a value is chosen where one mask holds.

        None where there are index arrays, too, or the value depends on how many elements are true.
        """
        if len(self.arrays) > 1 or not isinstance(self.arrays[0], _Mask):
            return None
        first, ndim = self.axes[0], len(self.axes)
        rest = (*view[:first], *view[first + ndim :])
        full = (*[1] * (len(rest) + 1 - len(value)), *value)
        if len(full) > len(rest) + 1 or full[self.at] != 1:
            return None
        if self.arrays[0].operand.shape != view[first : first + ndim]:
            return None
        others = (*full[: self.at], *full[self.at + 1 :])
        if named(self.name, broadcast_shapes, others, rest) != rest:
            raise ShapeError(
                f"{self.name}: value must broadcast to the shape that the index selects, got "
                f"{show(value)} for {show(rest)}"
            )
        return (*others[:first], *[1] * ndim, *others[first:])

    def mask(self, view: Shape) -> Any:
        """The one mask, in a shape that broadcasts to that of the view."""
        operand = self.arrays[0].operand
        behind = len(view) - self.axes[-1] - 1
        return reshape(operand, (*operand.shape, *[1] * behind))


def _is_basic(given: Any) -> bool:
    if type(given) is tuple:
        return _BASIC.issuperset(map(type, given))
    return type(given) in _BASIC


def _parted(name: str, shape: Shape, given: Any) -> _Parts:
    """Walk through an index: over the axes of the operand, and over those of its view."""
    entries = [_entry(name, e) for e in (given if isinstance(given, tuple) else (given,))]
    consumed = sum(map(_taken, entries))
    ellipses = sum(e is Ellipsis for e in entries)
    if consumed > len(shape):
        raise ShapeError(f"{name}: too many indices for {len(shape)} axes, got {consumed}")
    if ellipses > 1:
        raise ShapeError(f"{name}: there must be at most one ellipsis, got {ellipses}")
    basic: list[Any] = []
    arrays: list[Any] = []
    axes: list[int] = []
    spots: list[tuple[int, int]] = []
    axis = place = 0
    for spot, entry in enumerate(entries if ellipses else [*entries, Ellipsis]):
        taken = len(shape) - consumed if entry is Ellipsis else _taken(entry)
        made = 0
        if entry is Ellipsis:
            basic.extend([WHOLE] * taken)
            made = taken
        elif isinstance(entry, slice | NoneType):
            basic.append(entry)
            made = 1
        else:
            spots.append((spot, place))
            if hasattr(entry, "dtype") or isinstance(entry, _Mask):
                _check_mask(name, entry, shape[axis : axis + taken])
                basic.extend([WHOLE] * taken or [None])
                made = max(taken, 1)
                arrays.append(entry)
                axes.extend(range(place, place + made))
            else:
                basic.append(entry)
        axis, place = axis + taken, place + made
    together = not spots or spots[-1][0] - spots[0][0] == len(spots) - 1
    at = spots[0][1] if spots and together else 0
    return _Parts(name, _keyed(basic), arrays, tuple(axes), at)


def _keyed(basic: list[Any]) -> tuple[Any, ...]:
    normal = hashable(tuple(basic))
    return tuple(WHOLE if entry == (None, None, None) else entry for entry in normal)


def _entry(name: str, entry: Any) -> Any:
    """An entry of an index: arrays and masks as operands, numbers as ints, the others as given."""
    if isinstance(entry, list | tuple):
        entry = array_of(entry, name)
        entry = entry if entry.size else entry.astype(INT64)
    elif isinstance(entry, bool):
        entry = np.asarray(entry)
    if not hasattr(entry, "dtype"):
        return entry
    if entry.dtype == BOOL:
        entry = np.asarray(entry) if isinstance(entry, np.bool_) else entry
        return _Mask(entry if entry.ndim else reshape(entry, (1,)), entry.ndim)
    if not is_integer(entry.dtype):
        raise DTypeError(f"{name}: index arrays must be integers or bools, got {entry.dtype}")
    is_number = isinstance(entry, np.ndarray | np.integer) and not entry.ndim
    return int(entry) if is_number else entry


def _taken(entry: Any) -> int:
    """How many axes an entry takes; an ellipsis takes what is left."""
    if isinstance(entry, _Mask):
        return entry.ndim
    return 0 if entry is None or entry is Ellipsis else 1


def _check_mask(name: str, entry: Any, shape: Shape) -> None:
    """Raises ShapeError unless a mask has the shape of its axes, or selects nothing on one."""
    if isinstance(entry, _Mask) and entry.ndim:
        got = entry.operand.shape
        if any(size not in (0, full) for size, full in zip(got, shape)):
            raise ShapeError(
                f"{name}: a mask must have the shape of the axes it selects from, got {show(got)} "
                f"for {show(shape)}"
            )


def _cast(value: Any, view: Any) -> Any:
    """A value in the dtype of what it is written into."""
    aval = Aval((), view.dtype, device_of(view))
    if type(value) in _NUMBERS:
        named("setitem", value_as_first, aval, type(value))
        return materialise(value, aval, "setitem")
    named("setitem", value_as_first, aval, Aval(value.shape, value.dtype))
    return value if value.dtype == view.dtype else astype(value, view.dtype)


__all__ = ["getitem", "setitem"]
