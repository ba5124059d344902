"""Losses on labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from .folding import folded
from .structs import LINE, Strided, Struct

Pair = tuple[int, ...]

IndexType = IntEnum(  # type: ignore[misc]
    "IndexType",
    [f"DT_{n}" for n in ("INT8", "UINT8", "INT16", "UINT16", "INT32", "UINT32", "INT64")],
    start=0,
)


def index_type(dtype: np.dtype) -> IndexType | None:
    """The type of labels or indices; None for one that losses and tables do not read."""
    found: IndexType | None = IndexType.__members__.get(f"DT_{dtype.name.upper()}")
    return found


_Reduction = IntEnum("_Reduction", ["DT_EACH", "DT_MEAN", "DT_SUM"], start=0)
_REDUCTIONS = dict(zip(("none", "mean", "sum"), _Reduction))


@dataclass(frozen=True)
class Loss(Struct):
    """The struct `dt_loss`, in the order of its fields."""

    labels: tuple[Any, ...]
    classes: int
    x: Pair
    gradient: Pair
    loss: Pair
    g: Pair
    reduction: IntEnum
    ignores: bool
    ignored: int
    smoothing: float


def loss(
    labels: Strided,
    classes: int,
    rows: Strided | None,
    each: Strided | None,
    gradient: Strided | None = None,
    g: Strided | None = None,
    *,
    ignore_index: int | None,
    reduction: str,
    label_smoothing: float = 0.0,
) -> Loss | None:
    """A loss, or its gradient, for the native kernels.

    Parameters
    ----------
    labels : Strided
    classes : int
    rows, gradient : Strided or None
        Of logits or logarithms of probabilities, and of what is computed for them.
    each, g : Strided or None
        The loss, and the cotangent of one.

    Returns
    -------
    Loss or None
        None where the kernels cannot read the labels or one of the tensors as it lies.
    """
    wide, narrow = (rows, gradient), (each, g)
    found = _along_rows(labels, wide, narrow)
    if found is None:
        return None
    indices, (x, to, loss, cotangent) = found
    # No label is as large as a number that C cannot hold.
    ignores = ignore_index is not None and abs(ignore_index) < 2**63
    ignored = ignore_index if ignore_index is not None and ignores else 0
    return Loss(
        indices, classes, x, to, loss, cotangent, _REDUCTIONS[reduction], ignores, ignored,
        float(label_smoothing),
    )  # fmt: skip


def loss_scratch_bytes(threads: int) -> int:
    """Bytes that a loss needs for all threads of a team, aligned to 64."""
    return LINE * threads


def _along_rows(
    labels: Strided, wide: Sequence[Strided | None], narrow: Sequence[Strided | None]
) -> tuple[tuple[Any, ...], list[tuple[int, ...]]] | None:
    """The struct `dt_indices`, and the strides along its two axes of tensors that have a row and
    of tensors that have a number for each label."""
    kind = index_type(labels.dtype)
    if kind is None or not all(map(_has_dense_rows, wide)):
        return None
    nothing = (0,) * len(labels.shape)
    strides = [labels.strides]
    strides += [nothing if each is None else each.strides[:-1] for each in wide]
    strides += [each.strides if each is not None and each.shape else nothing for each in narrow]
    found = folded(labels.shape, strides, 2)
    if found is None:
        return None
    sizes, (own, *others) = found
    return (*sizes, own, kind), others


def _has_dense_rows(tensor: Strided | None) -> bool:
    return tensor is None or 0 in tensor.shape or 1 in (tensor.shape[-1], tensor.strides[-1])
