"""Cotangents of slices of one value, put together once.

The gradient of ``x[a:b]`` is zeros but for a slice. Where a value is read slice by slice, as the
gates of a recurrent cell are, sums of such would go over all of its numbers for every slice.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..graphs.bound import Bound
from ..graphs.compiled import universal
from ..graphs.dtypes import FLOAT32, FLOAT64
from ..graphs.kernels.indexing import for_view
from ..graphs.ops import REGISTRY
from ..graphs.ops.indexing import WHOLE
from ..graphs.pulling import pull
from .tape import made
from .tensor import Tensor

_GETITEM = REGISTRY["getitem"]
_ZEROS = {dtype: np.zeros((), dtype) for dtype in (FLOAT32, FLOAT64)}
_add = universal(np.add)
_ARRAY = np.ndarray


class Pieces:
    """Cotangents of slices of one value, which lie apart along one axis.

    Attributes
    ----------
    bounds, cotangents : list
        Per slice, the operator that gave it and its cotangent, an array.
    axis : int
    begin, end : int
        Where the first of the slices begins along the axis, and where the last one ends.
    covered : int
        How many places along the axis they fill; negative where one leaves some of another axis.
    """

    bounds: list[Bound]
    cotangents: list[Any]
    axis: int
    begin: int
    end: int
    covered: int


def piece(bound: Bound, cotangent: Any) -> Pieces | None:
    """The cotangent of a slice of floats along one axis; None of what another operator gives."""
    if bound.op is not _GETITEM or bound.ins[0].dtype not in _ZEROS:
        return None
    if type(cotangent) is not _ARRAY:
        return None
    axis = chosen = -1
    fills = True
    begin = end = 0
    for entry in bound.attrs["index"]:
        if entry is None:
            continue
        axis += 1
        if entry == WHOLE:
            continue
        if chosen >= 0:
            fills = False
            continue
        chosen = axis
        if type(entry) is int:
            begin, end = entry, entry + 1
        elif entry[2] == 1:
            begin, end = entry[0], entry[1]
        else:
            return None
    if chosen < 0:
        return None
    found = Pieces()
    found.bounds, found.cotangents = [bound], [cotangent]
    found.axis, found.begin, found.end = chosen, begin, end
    found.covered = end - begin if fills else -int(bound.ins[0].shape[chosen])
    return found


def join_pieces(pieces: Pieces, others: Pieces) -> bool:
    """Take others in, if they lie before or behind all that are there."""
    if others.axis != pieces.axis:
        return False
    if others.end <= pieces.begin:
        pieces.begin = others.begin
    elif others.begin >= pieces.end:
        pieces.end = others.end
    else:
        return False
    pieces.bounds += others.bounds
    pieces.cotangents += others.cotangents
    pieces.covered += others.covered
    return True


def together(pieces: Pieces) -> Any:
    """The cotangent of the value, with the bits of a sum of one for each slice."""
    bound = pieces.bounds[0]
    if len(pieces.bounds) == 1:
        return pull(bound, (0,), {}, [made(Tensor, pieces.cotangents[0])])[0][1].array
    whole = bound.ins[0]
    is_full = pieces.covered == whole.shape[pieces.axis]
    total = (np.empty if is_full else np.zeros)(whole.shape, whole.dtype)
    zero = _ZEROS[whole.dtype]  # what the other slices' have there
    for i, cotangent in enumerate(pieces.cotangents):
        place = total[for_view(pieces.bounds[i].attrs["index"])]
        _add(cotangent, zero, out=place)
    return total
