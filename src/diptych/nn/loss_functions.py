"""Losses as functions. `functional` offers them."""

from __future__ import annotations

from typing import Any

from ..graphs import ops
from ..graphs.avals import show
from ..graphs.dtypes import is_integer
from ..graphs.errors import ArgumentError, ShapeError

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "huber_loss",
    "kl_div", "l1_loss", "mse_loss", "nll_loss", "smooth_l1_loss",
]  # fmt: skip

# Where a probability is 0 its logarithm counts as this.
_LEAST_LOG = -100.0


def cross_entropy(
    logits: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Cross-entropy between softmax(logits) and labels, or distributions.

    Parameters
    ----------
    logits : array, shape (..., classes), floats
    target : array, shape (...), integers in ``0..classes - 1``; or shape (..., classes), floats
        Labels, or what the probabilities should be.
    weight : array, shape (classes,), optional
        How much each class counts. The mean over labels is weighted by those of the labels.
    ignore_index : int, optional
        The label of rows that do not count.
    reduction : {"mean", "sum", "none"}
    label_smoothing : float
        The share of the target, in 0..1, that is spread evenly over all classes.

    Returns
    -------
    array, shape (), or (...) without a reduction, in nats

    Raises
    ------
    ShapeError, DTypeError, ArgumentError, RangeError
        As the operator `cross_entropy` does.

    Examples
    --------
    >>> logits = dt.zeros((1, 2))
    >>> dt.nn.functional.cross_entropy(logits, dt.tensor([1]))
    tensor(0.6931472)
    >>> dt.nn.functional.cross_entropy(logits, dt.tensor([[0.5, 0.5]]))
    tensor(0.6931472)
    """
    _check_reduction("cross_entropy", reduction)
    if weight is None and _are_labels(target):
        return ops.cross_entropy(logits, target, ignore_index, reduction, label_smoothing)
    logs = ops.log_softmax(logits)
    if not _are_labels(target):
        return _soft_cross_entropy(logs, target, weight, reduction, label_smoothing)
    losses = _weighted_nll(logs, target, weight, ignore_index, reduction)
    if not label_smoothing:
        return losses
    classes = logits.shape[-1]
    even = -ops.sum(logs * weight, axis=-1) / classes
    if ignore_index is not None:
        even = ops.where(ops.not_equal(target, ignore_index), even, 0.0)
    if reduction == "sum":
        even = ops.sum(even)
    elif reduction == "mean":
        even = ops.sum(even) / ops.sum(_label_weights(target, weight, ignore_index))
    return (1 - label_smoothing) * losses + label_smoothing * even


def _are_labels(target: Any) -> bool:
    return is_integer(target.dtype) if hasattr(target, "dtype") else True


def _soft_cross_entropy(
    logs: Any, target: Any, weight: Any, reduction: str, label_smoothing: float
) -> Any:
    if target.shape != logs.shape:
        raise ShapeError(
            "cross_entropy: distributions must have the shape of logits, got "
            f"{show(target.shape)} for {show(logs.shape)}"
        )
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / logs.shape[-1]
    weighted = target if weight is None else target * weight
    return _reduced(-ops.sum(weighted * logs, axis=-1), reduction)


def nll_loss(
    log_probs: Any,
    labels: Any,
    weight: Any = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Any:
    """Minus the logarithm of the probability of each label.

    Parameters
    ----------
    log_probs : array, shape (..., classes), floats
    labels : array, shape (...), integers in ``0..classes - 1``
    weight : array, shape (classes,), optional
        How much each class counts. The mean is weighted by those of the labels.
    ignore_index : int, optional
        The label of rows that do not count.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    array, shape (), or (...) without a reduction

    Raises
    ------
    ShapeError, DTypeError, ArgumentError, RangeError
        As the operator `nll_loss` does.

    Examples
    --------
    >>> logs = dt.tensor([[-1.0, -2.0], [-3.0, -4.0]])
    >>> dt.nn.functional.nll_loss(logs, dt.tensor([0, 1]), weight=dt.tensor([1.0, 3.0]))
    tensor(3.25)
    """
    if weight is None:
        return ops.nll_loss(log_probs, labels, ignore_index, reduction)
    return _weighted_nll(log_probs, labels, weight, ignore_index, reduction)


def _weighted_nll(
    logs: Any, labels: Any, weight: Any, ignore_index: int | None, reduction: str
) -> Any:
    losses = ops.nll_loss(logs, labels, ignore_index, "none")
    weights = _label_weights(labels, weight, ignore_index)
    if reduction == "mean":
        return ops.sum(losses * weights) / ops.sum(weights)
    return _reduced(losses * weights, reduction)


def _label_weights(labels: Any, weight: Any, ignore_index: int | None) -> Any:
    if ignore_index is None:
        return ops.take(weight, labels)
    kept = ops.not_equal(labels, ignore_index)
    return ops.where(kept, ops.take(weight, ops.where(kept, labels, 0)), 0.0)


def mse_loss(x: Any, target: Any, reduction: str = "mean") -> Any:
    """Squared differences of two arrays.

    Parameters
    ----------
    x, target : array, floats
        Of one shape, or broadcast.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    array, shape (), or the broadcast shape without a reduction

    Raises
    ------
    ShapeError, DTypeError
        As `subtract` does.
    ArgumentError
        When the reduction is none of these.

    Examples
    --------
    >>> dt.nn.functional.mse_loss(dt.tensor([1.0, 3.0]), dt.tensor([1.0, 1.0]))
    tensor(2.)
    """
    _check_reduction("mse_loss", reduction)
    difference = ops.subtract(x, target)
    return _reduced(ops.multiply(difference, difference), reduction)


def l1_loss(x: Any, target: Any, reduction: str = "mean") -> Any:
    """Sizes of the differences of two arrays; see `mse_loss`.

    Examples
    --------
    >>> dt.nn.functional.l1_loss(dt.tensor([1.0, 4.0]), dt.tensor([1.0, 1.0]))
    tensor(1.5)
    """
    _check_reduction("l1_loss", reduction)
    return _reduced(ops.abs(ops.subtract(x, target)), reduction)


def huber_loss(x: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    """Half the squared differences up to `delta`, and beyond as a line of slope `delta`.

    Parameters
    ----------
    x, target : array, floats
        Of one shape, or broadcast.
    reduction : {"mean", "sum", "none"}
    delta : float
        Above 0.

    Returns
    -------
    array, shape (), or the broadcast shape without a reduction

    Raises
    ------
    ShapeError, DTypeError
        As `subtract` does.
    ArgumentError
        When an argument is out of its range.

    Examples
    --------
    >>> x, target = dt.tensor([1.0, 4.0]), dt.tensor([1.0, 1.0])
    >>> dt.nn.functional.huber_loss(x, target, "none", delta=2.0)
    tensor([0., 4.])
    """
    _check_reduction("huber_loss", reduction)
    if not delta > 0:
        raise ArgumentError(f"huber_loss: delta must be above 0, got {delta}")
    size = ops.abs(ops.subtract(x, target))
    losses = ops.where(size < delta, 0.5 * size * size, delta * (size - 0.5 * delta))
    return _reduced(losses, reduction)


def smooth_l1_loss(x: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """`huber_loss` over `beta`: beyond it the slope is 1. A `beta` of 0 gives `l1_loss`.

    Parameters
    ----------
    x, target : array, floats
        Of one shape, or broadcast.
    reduction : {"mean", "sum", "none"}
    beta : float
        At least 0.

    Returns
    -------
    array, shape (), or the broadcast shape without a reduction

    Raises
    ------
    ShapeError, DTypeError
        As `subtract` does.
    ArgumentError
        When an argument is out of its range.

    Examples
    --------
    >>> x, target = dt.tensor([1.0, 4.0]), dt.tensor([1.0, 1.0])
    >>> dt.nn.functional.smooth_l1_loss(x, target, "none", beta=2.0)
    tensor([0., 2.])
    """
    _check_reduction("smooth_l1_loss", reduction)
    if not beta >= 0:
        raise ArgumentError(f"smooth_l1_loss: beta must be at least 0, got {beta}")
    size = ops.abs(ops.subtract(x, target))
    if beta:
        size = ops.where(size < beta, size * size * (0.5 / beta), size - 0.5 * beta)
    return _reduced(size, reduction)


def binary_cross_entropy(x: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """Cross-entropy between probabilities and targets in 0..1, element by element.

    From logits, `binary_cross_entropy_with_logits` keeps more digits.

    Parameters
    ----------
    x : array, floats in 0..1
    target : array, floats in 0..1
    weight : array, optional
        How much each element counts; broadcast.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    array, shape (), or the broadcast shape without a reduction, in nats
        The logarithm of a probability counts as at least -100.

    Raises
    ------
    ShapeError, DTypeError
        When the operands do not broadcast or promote.
    ArgumentError
        When the reduction is none of these.

    Examples
    --------
    >>> dt.nn.functional.binary_cross_entropy(dt.tensor([0.5]), dt.tensor([1.0]))
    tensor(0.6931472)
    """
    _check_reduction("binary_cross_entropy", reduction)
    losses = -(target * _bounded_log(x) + (1 - target) * _bounded_log(1 - x))
    return _reduced(losses if weight is None else losses * weight, reduction)


def _bounded_log(x: Any) -> Any:
    positive = x > 0
    logs = ops.log(ops.where(positive, x, 1.0))
    return ops.where(positive, ops.maximum(logs, _LEAST_LOG), _LEAST_LOG)


def binary_cross_entropy_with_logits(
    x: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """`binary_cross_entropy` of ``sigmoid(x)``, without forming it.

    Parameters
    ----------
    x : array, floats
    target : array, floats in 0..1
    weight : array, optional
        How much each element counts; broadcast.
    reduction : {"mean", "sum", "none"}
    pos_weight : array, optional
        How much the positive part of a target counts over the negative one; broadcast.

    Returns
    -------
    array, shape (), or the broadcast shape without a reduction, in nats

    Raises
    ------
    ShapeError, DTypeError
        When the operands do not broadcast or promote.
    ArgumentError
        When the reduction is none of these.

    Examples
    --------
    >>> loss = dt.nn.functional.binary_cross_entropy_with_logits
    >>> loss(dt.tensor([0.0]), dt.tensor([1.0]))
    tensor(0.6931472)
    """
    _check_reduction("binary_cross_entropy_with_logits", reduction)
    rise = ops.softplus(-x)
    if pos_weight is not None:
        rise = rise * (1 + (pos_weight - 1) * target)
    losses = (1 - target) * x + rise
    return _reduced(losses if weight is None else losses * weight, reduction)


def kl_div(x: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """Kullback-Leibler divergence of the targets from a model, element by element.

    Parameters
    ----------
    x : array, floats
        Logarithms of the model's probabilities.
    target : array, floats
        Probabilities, or their logarithms with `log_target`.
    reduction : {"mean", "batchmean", "sum", "none"}
        "mean" divides by the number of elements; "batchmean" by the size of the first axis, which
        gives the mean divergence of its rows.
    log_target : bool

    Returns
    -------
    array, shape (), or the broadcast shape without a reduction, in nats

    Raises
    ------
    ShapeError, DTypeError
        When the operands do not broadcast or promote.
    ArgumentError
        When the reduction is none of these.

    Examples
    --------
    >>> logs = dt.log(dt.tensor([[0.5, 0.5]]))
    >>> dt.nn.functional.kl_div(logs, dt.tensor([[1.0, 0.0]]), "batchmean")
    tensor(0.6931472)
    """
    _check_reduction("kl_div", reduction, ("mean", "batchmean", "sum", "none"))
    if log_target:
        losses = ops.exp(target) * (target - x)
    else:
        positive = target > 0
        logs = ops.log(ops.where(positive, target, 1.0))
        losses = ops.where(positive, target * (logs - x), 0.0)
    if reduction == "batchmean":
        return ops.sum(losses) / losses.shape[0]
    return _reduced(losses, reduction)


def _check_reduction(
    name: str, reduction: Any, known: tuple[str, ...] = ("mean", "sum", "none")
) -> None:
    if reduction not in known:
        *others, last = map(repr, known)
        raise ArgumentError(
            f"{name}: reduction must be {', '.join(others)} or {last}, got {reduction!r}"
        )


def _reduced(losses: Any, reduction: str) -> Any:
    if reduction == "none":
        return losses
    return ops.mean(losses) if reduction == "mean" else ops.sum(losses)
