"""Losses on labels: rows of the last axis against the class that each should name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..avals import Aval, show
from ..dims import Dim, Shape, Size, product
from ..dtypes import is_integer
from ..errors import ArgumentError, DTypeError, ShapeError
from ..kernels import losses as kernels
from . import promotion
from .batching import Results, apply, spread
from .core import REQUIRED, Bound, Operator, defop, functions_of
from .elementwise import astype
from .logic import not_equal, where
from .manipulation import broadcast_to, expand_dims, reshape
from .neural import five_flop, softmax
from .reductions import sum as sum_
from .rules import one_device, require_float
from .windows import whole

_ATTRS = {"ignore_index": None, "reduction": "mean"}


def _options(ignore_index: Any, reduction: Any) -> dict[str, Any]:
    if ignore_index is not None:
        ignore_index = whole(ignore_index, "ignore_index", None)
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
    return {"ignore_index": ignore_index, "reduction": reduction}


def _smoothed(
    *avals: Aval, ignore_index: Any, reduction: Any, label_smoothing: Any
) -> dict[str, Any]:
    right = isinstance(label_smoothing, int | float) and not isinstance(label_smoothing, bool)
    if not right or not 0 <= label_smoothing <= 1:
        raise ArgumentError(f"label_smoothing must be in 0..1, got {label_smoothing!r}")
    return {**_options(ignore_index, reduction), "label_smoothing": float(label_smoothing)}


def _check(rows: Aval, labels: Aval, what: str = "logits") -> None:
    require_float(rows, what)
    _check_labels(labels)
    if not rows.ndim or labels.shape != rows.shape[:-1]:
        raise ShapeError(
            f"labels must have the shape of {what} without its last axis, "
            f"got {show(labels.shape)} for {show(rows.shape)}"
        )
    if 0 in rows.shape:
        raise ShapeError(f"{what} must not be empty, got {show(rows.shape)}")


def _check_labels(labels: Aval) -> None:
    if not is_integer(labels.dtype):
        raise DTypeError(f"labels must be integers, got {labels.dtype}")


def _check_cotangent(g: Aval, labels: Aval, reduction: str) -> None:
    right = ((), labels.shape) if reduction == "none" else ((),)
    if g.shape not in right:
        raise ShapeError(f"the cotangent must have shape {show(right[-1])}, got {show(g.shape)}")


def _reduced(rows: Aval, labels: Aval, reduction: str) -> Aval:
    shape = labels.shape if reduction == "none" else ()
    return Aval(shape, rows.dtype, one_device(rows, labels))


def _per_row(g: Any, c: Any, labels: Shape) -> Any:
    """What each row's gradient is multiplied with, to broadcast over classes."""
    if c.reduction == "mean":
        g = g / _count(c.labels, labels, c.ignore_index, g.dtype)
    if c.ignore_index is not None:
        g = where(not_equal(c.labels, c.ignore_index), g, 0.0)
    return expand_dims(g, -1) if g.ndim else g


def _count(
    labels: Any, shape: Shape, ignore_index: int | None, dtype: Any, axis: Any = None
) -> Any:
    """How many rows count, of those over the axes."""
    if ignore_index is None:
        return product(shape if axis is None else tuple(shape[a] for a in axis))
    return sum_(astype(not_equal(labels, ignore_index), dtype), axis=axis)


# -- batching --------------------------------------------------------------------------------


def _losses_batch(call: Bound, operands: Any, batched: Any) -> Results:
    """The losses of all rows, and then the means of each example's."""
    whole = spread(call, operands, batched)
    losses = apply(call, *whole, reduction="none")
    reduction, labels = call.attrs["reduction"], call.ins[1]
    axes = tuple(range(1, 1 + labels.ndim))
    if reduction == "none":
        return losses
    total = sum_(losses, axis=axes)
    if reduction == "sum":
        return total
    shape = (losses.shape[0], *labels.shape)
    return total / _count(whole[1], shape, call.attrs["ignore_index"], losses.dtype, axes)


def _grads_batch(call: Bound, operands: Any, batched: Any) -> Results:
    """The gradients of all rows, each with its share of the example's cotangent."""
    *rest, g = spread(call, operands, batched)
    aval = call.ins[-2]
    shape = (g.shape[0], *aval.shape)
    if call.attrs["reduction"] == "mean":
        axes = tuple(range(1, len(shape)))
        g = g / _count(rest[-1], shape, call.attrs["ignore_index"], g.dtype, axes)
    if call.ins[-1].ndim == 0:
        g = broadcast_to(reshape(g, (g.shape[0], *[1] * aval.ndim)), shape)
    return apply(call, *rest, g, reduction="none")


# -- cross-entropy -----------------------------------------------------------------------------


def _cross_entropy(logits: Aval, labels: Aval, reduction: str, **attrs: Any) -> Aval:
    _check(logits, labels)
    return _reduced(logits, labels, reduction)


cross_entropy: Operator = defop(
    "cross_entropy",
    "logits, labels -> loss",
    attrs={**_ATTRS, "label_smoothing": 0.0},
    normalise=_smoothed,
    infer=_cross_entropy,
    kernel=kernels.cross_entropy,
    may_raise=True,
    vjp=(
        lambda c, g: cross_entropy_grad(
            c.logits, c.labels, g, c.ignore_index, c.reduction, c.label_smoothing
        ),
        lambda c, g: None,
    ),
    saves=("logits labels", ""),
    batch=_losses_batch,
    cost=five_flop,
    doc="""Cross-entropy between softmax(logits) and integer labels, by default the mean of rows.

    Parameters
    ----------
    logits : array, shape (..., classes), floats
    labels : array, shape (...), integers in ``0..classes - 1``
    ignore_index : int, optional
        The label of rows that do not count; the mean is that of the others.
    reduction : {"mean", "sum", "none"}
    label_smoothing : float
        The share of the target, in 0..1, that is spread evenly over all classes.

    Returns
    -------
    array, shape (), or (...) without a reduction, in nats

    Raises
    ------
    ShapeError
        When the shapes do not fit, or there are no rows.
    DTypeError
        When the logits are no floats or the labels no integers.
    ArgumentError
        When an argument is out of its range.
    RangeError
        When a label is out of range.

    Examples
    --------
    >>> dt.cross_entropy(dt.tensor([[0.0, 0.0]]), dt.tensor([1]))
    tensor(0.6931472)
    """,
)


def _cotangent_as_logits(logits: Any, labels: Any, g: Any) -> list[Aval]:
    logits, labels, g = promotion.as_given(logits, labels, g)
    return [logits, labels, replace(g, dtype=logits.dtype)]


def _cross_entropy_grad(logits: Aval, labels: Aval, g: Aval, reduction: str, **attrs: Any) -> Aval:
    _check(logits, labels)
    _check_cotangent(g, labels, reduction)
    return logits


def _grad_vjp_logits(c: Any, h: Any) -> Any:
    p = softmax(c.logits)
    away = p * h - p * sum_(p * h, axis=-1, keepdims=True)
    return _per_row(c.g, c, c.ins[1].shape) * away


def _grad_vjp_g(c: Any, h: Any) -> Any:
    slopes = cross_entropy_grad(
        c.logits, c.labels, 1.0, c.ignore_index, c.reduction, c.label_smoothing
    )
    return sum_(h * slopes, axis=-1 if c.ins[2].ndim else None)


cross_entropy_grad: Operator = defop(
    "cross_entropy_grad",
    "logits, labels, g -> x",
    attrs={**_ATTRS, "label_smoothing": 0.0},
    normalise=_smoothed,
    infer=_cross_entropy_grad,
    kernel=kernels.cross_entropy_grad,
    may_raise=True,
    promote=_cotangent_as_logits,
    vjp=(_grad_vjp_logits, lambda c, h: None, _grad_vjp_g),
    saves=("logits labels g", "", "logits labels"),
    batch=_grads_batch,
    cost=five_flop,
    doc="""The gradient of `cross_entropy` with respect to its logits, times `g`.

    Parameters
    ----------
    logits : array, shape (..., classes), floats
    labels : array, shape (...), integers
    g : array, shape (), or (...) without a reduction
    ignore_index, reduction, label_smoothing
        Of the loss.

    Returns
    -------
    array of the shape of `logits`

    Raises
    ------
    ShapeError, DTypeError, ArgumentError, RangeError
        As `cross_entropy` does.

    Examples
    --------
    >>> dt.cross_entropy_grad(dt.tensor([[0.0, 0.0]]), dt.tensor([1]), 1.0)
    tensor([[ 0.5, -0.5]])
    """,
)


# -- of logarithms of probabilities ------------------------------------------------------------


def _nll_loss(log_probs: Aval, labels: Aval, reduction: str, **attrs: Any) -> Aval:
    _check(log_probs, labels, "log_probs")
    return _reduced(log_probs, labels, reduction)


nll_loss: Operator = defop(
    "nll_loss",
    "log_probs, labels -> loss",
    attrs=_ATTRS,
    normalise=lambda log_probs, labels, **attrs: _options(**attrs),
    infer=_nll_loss,
    kernel=kernels.nll_loss,
    may_raise=True,
    vjp=(
        lambda c, g: nll_loss_grad(c.labels, g, c.ins[0].shape[-1], c.ignore_index, c.reduction),
        lambda c, g: None,
    ),
    saves=("labels", ""),
    batch=_losses_batch,
    cost=lambda ins, outs, attrs: ins[1].size,
    doc="""Minus the logarithm of the probability of each label, by default the mean of all rows.

    Parameters
    ----------
    log_probs : array, shape (..., classes), floats
        Logarithms of probabilities, such as `log_softmax` gives.
    labels : array, shape (...), integers in ``0..classes - 1``
    ignore_index : int, optional
        The label of rows that do not count; the mean is that of the others.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    array, shape (), or (...) without a reduction

    Raises
    ------
    ShapeError
        When the shapes do not fit, or there are no rows.
    DTypeError
        When the first operand holds no floats or the labels no integers.
    ArgumentError
        When an argument is out of its range.
    RangeError
        When a label is out of range.

    Examples
    --------
    >>> dt.nll_loss(dt.tensor([[-1.0, -2.0], [-3.0, -4.0]]), dt.tensor([0, 1]))
    tensor(2.5)
    """,
)


def _classes(labels: Aval, g: Aval, classes: Any, **attrs: Any) -> dict[str, Any]:
    count = classes if isinstance(classes, Dim) else whole(classes, "classes", 1)
    return {"classes": count, **_options(**attrs)}


def _nll_loss_grad(
    labels: Aval, g: Aval, classes: Size, ignore_index: int | None, reduction: str
) -> Aval:
    require_float(g, "the cotangent")
    _check_labels(labels)
    if 0 in labels.shape:
        raise ShapeError(f"labels must not be empty, got {show(labels.shape)}")
    _check_cotangent(g, labels, reduction)
    return Aval((*labels.shape, classes), g.dtype, one_device(labels, g))


def _nll_grad_vjp(c: Any, h: Any) -> Any:
    losses = nll_loss(h, c.labels, c.ignore_index, c.reduction)
    return losses if losses.shape == c.ins[1].shape else sum_(losses)


nll_loss_grad: Operator = defop(
    "nll_loss_grad",
    "labels, g -> x",
    attrs={"classes": REQUIRED, **_ATTRS},
    normalise=_classes,
    infer=_nll_loss_grad,
    kernel=kernels.nll_loss_grad,
    may_raise=True,
    vjp=(lambda c, h: None, _nll_grad_vjp),
    saves=("", "labels"),
    batch=_grads_batch,
    cost=lambda ins, outs, attrs: ins[0].size,
    doc="""The gradient of `nll_loss` with respect to its first operand, times `g`.

    Parameters
    ----------
    labels : array, shape (...), integers in ``0..classes - 1``
    g : array, shape (), or (...) without a reduction, floats
    classes : int
    ignore_index, reduction
        Of the loss.

    Returns
    -------
    array, shape (..., classes)

    Raises
    ------
    ShapeError, DTypeError, ArgumentError, RangeError
        As `nll_loss` does.

    Examples
    --------
    >>> dt.nll_loss_grad(dt.tensor([1]), dt.tensor(1.0), 2)
    tensor([[ 0., -1.]])
    """,
)

__all__ = functions_of(__name__)
