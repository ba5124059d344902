"""Kernels of the losses on labels, whose rows are the last axis."""

from __future__ import annotations

from math import prod
from typing import Any

from .calls import Description, Lying, call, is_native
from .manipulation import check_range
from .neural import softmax
from .precision import rounded_once
from .shapes import labels as shapes


@rounded_once
def cross_entropy(
    xp: Any, logits: Any, labels: Any, *, label_smoothing: float, ignore_index: int | None,
    reduction: str, out: Any = None,
) -> Any:  # fmt: skip
    if is_native(xp, logits):
        found = _room(xp, logits, labels, reduction, out)
        options = (logits.shape[-1], ignore_index, reduction, label_smoothing)
        if call(_loss, (logits, labels, None, found, None), "cross_entropy", *options):
            return found
    labels, kept = _checked(xp, "cross_entropy", labels, ignore_index, logits.shape[-1])
    shifted = logits - logits.max(axis=-1, keepdims=True)
    losses = -_picked(xp, shifted, labels)
    if label_smoothing:
        losses *= 1 - label_smoothing
        losses -= label_smoothing * shifted.mean(axis=-1)
    total = xp.exp(shifted, out=shifted).sum(axis=-1)
    losses += xp.log(total)
    return _reduced(xp, losses, kept, reduction, out)


@rounded_once
def cross_entropy_grad(
    xp: Any, logits: Any, labels: Any, g: Any, *, label_smoothing: float,
    ignore_index: int | None, reduction: str, out: Any = None,
) -> Any:  # fmt: skip
    classes = logits.shape[-1]
    out = xp.empty(logits.shape, logits.dtype) if out is None else out
    if is_native(xp, logits, g, out):
        options = (classes, ignore_index, reduction, label_smoothing)
        if call(_loss, (logits, labels, g, None, out), "cross_entropy", *options):
            return out
    labels, kept = _checked(xp, "cross_entropy_grad", labels, ignore_index, classes)
    out = softmax(xp, logits, axis=-1, out=out)
    rows = out.reshape(-1, classes)
    rows[xp.arange(len(rows)), labels.reshape(-1)] -= 1 - label_smoothing
    if label_smoothing:
        out -= label_smoothing / classes
    return xp.multiply(out, _row_cotangents(xp, g, labels, kept, reduction), out=out)


@rounded_once
def nll_loss(
    xp: Any, log_probs: Any, labels: Any, *, ignore_index: int | None, reduction: str,
    out: Any = None,
) -> Any:  # fmt: skip
    if is_native(xp, log_probs):
        found = _room(xp, log_probs, labels, reduction, out)
        options = (log_probs.shape[-1], ignore_index, reduction, 0.0)
        if call(_loss, (log_probs, labels, None, found, None), "nll_loss", *options):
            return found
    labels, kept = _checked(xp, "nll_loss", labels, ignore_index, log_probs.shape[-1])
    return _reduced(xp, -_picked(xp, log_probs, labels), kept, reduction, out)


@rounded_once
def nll_loss_grad(
    xp: Any, labels: Any, g: Any, *, classes: int, ignore_index: int | None, reduction: str,
    out: Any = None,
) -> Any:  # fmt: skip
    out = xp.empty((*labels.shape, classes), g.dtype) if out is None else out
    if is_native(xp, g, out):
        options = (classes, ignore_index, reduction, 0.0)
        if call(_loss, (None, labels, g, None, out), "nll_loss", *options):
            return out
    labels, kept = _checked(xp, "nll_loss_grad", labels, ignore_index, classes)
    out[...] = 0
    share = xp.broadcast_to(_row_cotangents(xp, g, labels, kept, reduction), (*labels.shape, 1))
    rows = out.reshape(-1, classes)
    rows[xp.arange(len(rows)), labels.reshape(-1)] = -share.reshape(-1)
    return out


def _room(xp: Any, rows: Any, labels: Any, reduction: str, out: Any) -> Any:
    """Where a loss goes."""
    if out is not None:
        return out
    return xp.empty(labels.shape if reduction == "none" else (), rows.dtype)


def _loss(
    rows: Lying | None, labels: Lying, g: Lying | None, each: Lying | None,
    gradient: Lying | None, name: str, classes: int, ignore_index: int | None, reduction: str,
    label_smoothing: float, threads: int,
) -> Description | None:  # fmt: skip
    """A loss, or its gradient; labels out of range are refused."""
    tensors = [x for x in (rows, g, each, gradient) if x is not None]
    if 0 in (*labels.shape, classes) or len({x.dtype for x in tensors}) > 1:
        return None
    shape = shapes.loss(
        labels, classes, rows, each, gradient, g, ignore_index=ignore_index, reduction=reduction,
        label_smoothing=label_smoothing,
    )  # fmt: skip
    if shape is None:
        return None
    flop = 10 * prod(labels.shape) * classes
    return Description(name, shape, (shapes.loss_scratch_bytes(threads),), flop)


def _checked(
    xp: Any, operator: str, labels: Any, ignore_index: int | None, classes: int
) -> tuple[Any, Any]:
    """Labels with 0 in place of ignored ones, and where they count; None for everywhere."""
    if ignore_index is None:
        check_range(operator, labels, 0, classes)
        return labels, None
    kept = labels != ignore_index
    labels = xp.where(kept, labels, labels.dtype.type(0))
    check_range(operator, labels, 0, classes)
    return labels, kept


def _picked(xp: Any, rows: Any, labels: Any) -> Any:
    """The number of each row that its label names."""
    return xp.take_along_axis(rows, labels[..., None], axis=-1)[..., 0]


def _reduced(xp: Any, losses: Any, kept: Any, reduction: str, out: Any) -> Any:
    if kept is not None:
        losses = xp.where(kept, losses, losses.dtype.type(0))
    if reduction == "sum":
        losses = losses.sum()
    elif reduction == "mean" and kept is None:
        losses = xp.mean(losses)
    elif reduction == "mean":
        with xp.errstate(invalid="ignore"):  # the mean of nothing is NaN
            losses = losses.sum() / kept.sum(dtype=losses.dtype)
    if out is None:
        return losses
    xp.copyto(out, losses)
    return out


def _row_cotangents(xp: Any, g: Any, labels: Any, kept: Any, reduction: str) -> Any:
    """What each row's gradient is multiplied with, to broadcast over classes."""
    if reduction == "mean":
        with xp.errstate(divide="ignore", invalid="ignore"):
            g = g / (g.dtype.type(labels.size) if kept is None else kept.sum(dtype=g.dtype))
    if kept is not None:
        g = xp.where(kept, g, g.dtype.type(0))
    return g[..., None] if g.ndim else g
