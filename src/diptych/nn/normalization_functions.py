"""Normalisation as functions. `functional` offers them."""

from __future__ import annotations

from typing import Any

from ..graphs import ops
from ..graphs.avals import show
from ..graphs.dims import Size, product
from ..graphs.errors import ShapeError
from ..graphs.modes import no_grad
from ..graphs.ops.dispatch import style_of

__all__ = ["batch_norm", "group_norm", "layer_norm", "rms_norm"]


def beside(vector: Any, x: Any) -> Any:
    """A number per channel against the axes of (batch, channels, ...)."""
    return ops.reshape(vector, (-1, *[1] * (len(x.shape) - 2)))


def batch_norm(
    x: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None,
    training: bool = False, momentum: Any = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    """Each channel normalised by the batch in training, else by the running mean and variance.

    Parameters
    ----------
    x : array, shape (batch, channels, ...), floats
    running_mean, running_var : Storage, shape (channels,), or None
        Moved towards those of the batch in training, in every style; None for none, then the
        batch's are taken always.
    weight, bias : array, shape (channels,), optional
    training : bool
    momentum : float
        How far the running numbers move. They follow the variance of the whole, which is
        ``n / (n - 1)`` times that of n numbers.
    eps : float
        Added to the variance.

    Returns
    -------
    array of the shape of `x`

    Raises
    ------
    ShapeError
        When the shapes do not fit, or a channel has fewer than 2 numbers in training.
    ArgumentError
        When `eps` is negative.

    Examples
    --------
    >>> mean, variance = dt.Storage([0.0]), dt.Storage([1.0])
    >>> x = dt.tensor([[1.0], [3.0]])
    >>> y = dt.nn.functional.batch_norm(x, mean, variance, training=True, eps=0.0)
    >>> y.tolist(), mean.item(), variance.item()
    ([[-1.0], [1.0]], 0.20000000298023224, 1.100000023841858)
    """
    weight, bias = 1.0 if weight is None else weight, 0.0 if bias is None else bias
    if not training and running_mean is not None:
        return ops.batch_norm_inference(x, running_mean, running_var, weight, bias, eps)
    y, mean, variance = ops.batch_norm(x, weight, bias, eps)
    if running_mean is not None:
        count = product((x.shape[0], *x.shape[2:]))
        _move(running_mean, mean, momentum, y)
        _move(running_var, _of_the_whole(variance, count), momentum, y)
    return y


def _of_the_whole(variance: Any, count: Size) -> Any:
    with no_grad():
        return variance * count / (count - 1)


def _move(running: Any, towards: Any, momentum: Any, when: Any) -> None:
    """Move state in every run that computes `when`."""
    style = style_of(when)
    with no_grad():
        held = style.read(running)
        style.assign(running, held + (towards - held) * momentum, when=when)


def layer_norm(
    x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Rows of the last axes scaled to mean 0 and variance 1, then scaled and shifted.

    Parameters
    ----------
    x : array, shape (..., *normalized_shape), floats
    normalized_shape : int or tuple of int
    weight, bias : array of `normalized_shape`, optional
    eps : float
        Added to the variance.

    Returns
    -------
    array of the shape of `x`

    Raises
    ------
    ShapeError, ArgumentError
        As the operator `layer_norm` does.

    Examples
    --------
    >>> dt.nn.functional.layer_norm(dt.tensor([[1.0, 3.0]]), 2, eps=0.0)
    tensor([[-1.,  1.]])
    """
    weight, bias = 1.0 if weight is None else weight, 0.0 if bias is None else bias
    return ops.layer_norm(x, weight, bias, normalized_shape, eps)


def rms_norm(x: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    """Rows of the last axes scaled to a mean square of 1, then by weights.

    Parameters
    ----------
    x : array, shape (..., *normalized_shape), floats
    normalized_shape : int or tuple of int
    weight : array of `normalized_shape`, optional
    eps : float, optional
        Added to the mean square; the dtype's rounding unit by default.

    Returns
    -------
    array of the shape of `x`

    Raises
    ------
    ShapeError, ArgumentError
        As the operator `rms_norm` does.

    Examples
    --------
    >>> dt.nn.functional.rms_norm(dt.tensor([[1.0, -1.0]]), 2, eps=0.0)
    tensor([[ 1., -1.]])
    """
    return ops.rms_norm(x, 1.0 if weight is None else weight, normalized_shape, eps)


def group_norm(
    x: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Groups of channels of each example scaled to mean 0 and variance 1, then by channel.

    Parameters
    ----------
    x : array, shape (batch, channels, ...), floats
    num_groups : int
        Divides the channels.
    weight, bias : array, shape (channels,), optional
    eps : float
        Added to the variance.

    Returns
    -------
    array of the shape of `x`

    Raises
    ------
    ShapeError
        When the operand has no channels, or the groups do not divide them.
    ArgumentError
        When `eps` is negative.

    Examples
    --------
    >>> x = dt.tensor([[[1.0, 3.0], [2.0, 6.0]]])
    >>> dt.nn.functional.group_norm(x, 2, eps=0.0).tolist()
    [[[-1.0, 1.0], [-1.0, 1.0]]]
    """
    if len(x.shape) < 2 or num_groups < 1 or x.shape[1] % num_groups:
        raise ShapeError(
            f"group_norm: the groups must divide the channels, got {num_groups} for {show(x.shape)}"
        )
    size = x.shape[1] // num_groups * product(x.shape[2:])
    rows = ops.reshape(x, (x.shape[0], num_groups, size))
    y = ops.reshape(ops.layer_norm(rows, 1.0, 0.0, size, eps), x.shape)
    y = y if weight is None else y * beside(weight, x)
    return y if bias is None else y + beside(bias, x)
