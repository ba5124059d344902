"""Functions of neural networks that are no single operator. The others are re-exported."""

from __future__ import annotations

from typing import Any

from ..graphs import ops
from ..graphs.errors import ArgumentError
from ..graphs.generator import Generator, default_generator
from ..graphs.ops import cross_entropy, log_softmax, relu, sigmoid, softmax, tanh
from ..graphs.ops.dispatch import style_of

__all__ = [
    "cross_entropy", "dropout", "linear", "log_softmax", "mse_loss", "relu", "sigmoid",
    "softmax", "tanh",
]  # fmt: skip


def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """``x @ weight.T + bias``.

    Parameters
    ----------
    x : array, shape (..., in_features)
    weight : array, shape (out_features, in_features)
    bias : array, shape (out_features,), optional

    Returns
    -------
    array, shape (..., out_features)

    Raises
    ------
    ShapeError, DTypeError
        As `matmul` and `add` do.

    Examples
    --------
    >>> dt.nn.functional.linear(dt.tensor([1.0, 2.0]), dt.tensor([[3.0, 4.0]]))
    tensor([11.])
    """
    y = ops.matmul(x, ops.permute_dims(weight))
    return y if bias is None else ops.add(y, bias)


def dropout(
    x: Any, p: float = 0.5, training: bool = True, generator: Generator | None = None
) -> Any:
    """Zero each element with probability `p`, and scale the others by ``1 / (1 - p)``.

    Parameters
    ----------
    x : array, floats
    p : float
        In ``0 <= p < 1``.
    training : bool
        Give `x` itself when False.
    generator : Generator, optional
        The default one, which `manual_seed` seeds, otherwise.

    Returns
    -------
    array of the shape of `x`

    Raises
    ------
    ArgumentError
        When `p` is out of range.

    Examples
    --------
    >>> dt.nn.functional.dropout(dt.tensor([1.0, 2.0]), 0.5, training=False)
    tensor([1., 2.])
    """
    if not 0 <= p < 1:
        raise ArgumentError(f"dropout: p must be in 0 <= p < 1, got {p}")
    if not training or p == 0:
        return x
    drawn = (generator or default_generator).uniform(x.shape, style=style_of(x))
    return ops.where(drawn >= p, x * (1 / (1 - p)), 0.0)


def mse_loss(x: Any, target: Any) -> Any:
    """Mean of the squared differences of two arrays.

    Parameters
    ----------
    x, target : array, floats
        Of one shape, or broadcast.

    Returns
    -------
    array, shape ()

    Raises
    ------
    ShapeError, DTypeError
        As `subtract` does.

    Examples
    --------
    >>> dt.nn.functional.mse_loss(dt.tensor([1.0, 3.0]), dt.tensor([1.0, 1.0]))
    tensor(2.)
    """
    difference = ops.subtract(x, target)
    return ops.mean(ops.multiply(difference, difference))
