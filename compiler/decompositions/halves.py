"""Floats of 16 bits: computed in float32, and rounded once, as the kernels do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...graphs.dtypes import BFLOAT16, FLOAT16, FLOAT32
from ...graphs.ops.core import Bound

_HALVES = (FLOAT16, BFLOAT16)
# What moves numbers computes nothing.
_MOVES = {
    "astype", "concat", "embedding", "index", "index_put", "one_hot", "put_along_axis", "roll",
    "scatter_diagonal", "scatter_slice", "setitem", "stack", "take", "take_along_axis",
}  # fmt: skip


def widened(bound: Bound) -> Bound | None:
    """The same operator on float32 where it computes with floats of 16 bits; None where not."""
    op = bound.op
    if op.view or op.effect or op.name in _MOVES:
        return None
    if not any(aval.dtype in _HALVES for aval in bound.ins):
        return None
    attrs = {name: FLOAT32 if _is_half(value) else value for name, value in bound.attrs.items()}
    return Bound(op, attrs, _wide(bound.ins), _wide(bound.outs))


def _is_half(value: Any) -> bool:
    return any(value is dtype for dtype in _HALVES)


def _wide(avals: Any) -> Any:
    return tuple(replace(a, dtype=FLOAT32) if a.dtype in _HALVES else a for a in avals)
