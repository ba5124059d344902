"""Losses on labels, as generated code describes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .calling import initialiser
from .folding import folded
from .layout import Layout

_TYPES = {"int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"}
_REDUCTIONS = {"none": "DT_EACH", "mean": "DT_MEAN", "sum": "DT_SUM"}


def loss(
    labels: Layout,
    classes: int,
    rows: Layout | None,
    each: Layout | None,
    gradient: Layout | None = None,
    g: Layout | None = None,
    *,
    ignore_index: int | None,
    reduction: str,
    label_smoothing: float = 0.0,
) -> str | None:
    """The initialiser of the struct `dt_loss` in C.

    Parameters
    ----------
    labels : Layout
    classes : int
    rows, gradient : Layout or None
        Of logits or logarithms of probabilities, and of what is computed for them.
    each, g : Layout or None
        The loss, and the cotangent of one.

    Returns
    -------
    str or None
        None where the kernels cannot read the labels or one of the tensors as it lies.
    """
    wide, narrow = (rows, gradient), (each, g)
    found = _along_rows(labels, wide, narrow)
    if found is None:
        return None
    indices, (x, to, loss, cotangent) = found
    # No label is as large as a number that C cannot hold.
    ignores = ignore_index is not None and abs(ignore_index) < 2**63
    ignored = (1, ignore_index) if ignores else (0, 0)
    return initialiser(
        indices, classes, x, to, loss, cotangent, _REDUCTIONS[reduction], *ignored,
        float(label_smoothing),
    )  # fmt: skip


def loss_scratch_bytes(threads: int) -> int:
    """Bytes that a loss needs for all threads of a team, aligned to 64."""
    return 64 * threads


def _along_rows(
    labels: Layout, wide: Sequence[Layout | None], narrow: Sequence[Layout | None]
) -> tuple[tuple[Any, ...], list[tuple[int, ...]]] | None:
    """The struct `dt_indices`, and the strides along its two axes of tensors that have a row and
    of tensors that have a number for each label."""
    if labels.dtype.name not in _TYPES or not all(map(_has_dense_rows, wide)):
        return None
    nothing = (0,) * len(labels.shape)
    strides = [labels.strides]
    strides += [nothing if each is None else each.strides[:-1] for each in wide]
    strides += [each.strides if each is not None and each.shape else nothing for each in narrow]
    found = folded(labels.shape, strides, 2)
    if found is None:
        return None
    sizes, (own, *others) = found
    return (*sizes, own, f"DT_{labels.dtype.name.upper()}"), others


def _has_dense_rows(tensor: Layout | None) -> bool:
    return tensor is None or tensor.size == 0 or 1 in (tensor.shape[-1], tensor.strides[-1])
