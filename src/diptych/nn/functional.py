"""Functions of neural networks: those that are no single operator, and the others by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..graphs import ops
from ..graphs.avals import show
from ..graphs.dims import Dim
from ..graphs.errors import ArgumentError, ShapeError
from ..graphs.generator import Generator, default_generator
from ..graphs.ops import (
    avg_pool1d,
    avg_pool2d,
    elu,
    embedding,
    gelu,
    interpolate,
    leaky_relu,
    log_softmax,
    max_pool1d,
    max_pool2d,
    relu,
    sigmoid,
    silu,
    softmax,
    tanh,
)
from ..graphs.ops.dispatch import style_of
from .loss_functions import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)
from .normalization_functions import batch_norm, beside, group_norm, layer_norm, rms_norm

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "avg_pool1d", "avg_pool2d", "batch_norm",
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "conv1d", "conv2d",
    "conv_transpose1d", "conv_transpose2d", "cross_entropy", "dropout", "elu", "embedding", "gelu",
    "group_norm", "hardtanh", "huber_loss", "interpolate", "kl_div", "l1_loss", "layer_norm",
    "leaky_relu", "linear", "log_softmax", "logsigmoid", "max_pool1d", "max_pool2d", "mse_loss",
    "nll_loss", "prelu", "relu", "relu6", "rms_norm", "scaled_dot_product_attention", "selu",
    "sigmoid", "silu", "smooth_l1_loss", "softmax", "softplus", "tanh",
]  # fmt: skip

# Of a standard normal variable, selu keeps mean and variance.
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


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


# -- convolution -------------------------------------------------------------------------------


def conv1d(
    x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Any:  # fmt: skip
    """The operator `conv1d` with a bias per filter; see `conv2d`.

    Examples
    --------
    >>> x, weight = dt.tensor([[[1.0, 2.0, 4.0]]]), dt.tensor([[[-1.0, 1.0]]])
    >>> dt.nn.functional.conv1d(x, weight, dt.tensor([0.5]))
    tensor([[[1.5, 2.5]]])
    """
    return _biased(ops.conv1d(x, weight, stride, padding, dilation, groups), bias)


def conv2d(
    x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Any:  # fmt: skip
    """The operator `conv2d` with a bias per filter.

    Parameters
    ----------
    x : array, shape (batch, channels, height, width), floats
    weight : array, shape (filters, channels / groups, height, width)
    bias : array, shape (filters,), optional
    stride, padding, dilation, groups
        Of the operator.

    Returns
    -------
    array, shape (batch, filters, height, width)

    Raises
    ------
    ShapeError, ArgumentError
        As the operator does.

    Examples
    --------
    >>> dt.nn.functional.conv2d(dt.ones((1, 1, 3, 3)), dt.ones((1, 1, 3, 3)), dt.tensor([1.0]))
    tensor([[[[10.]]]])
    """
    return _biased(ops.conv2d(x, weight, stride, padding, dilation, groups), bias)


def conv_transpose1d(
    x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Any:  # fmt: skip
    """The operator `conv_transpose1d` with a bias per filter; see `conv_transpose2d`."""
    options = (stride, padding, output_padding, groups, dilation)
    return _biased(ops.conv_transpose1d(x, weight, *options), bias)


def conv_transpose2d(
    x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Any:  # fmt: skip
    """The operator `conv_transpose2d` with a bias per filter.

    Parameters
    ----------
    x : array, shape (batch, channels, height, width), floats
    weight : array, shape (channels, filters / groups, height, width)
    bias : array, shape (filters,), optional
    stride, padding, output_padding, groups, dilation
        Of the operator.

    Returns
    -------
    array, shape (batch, filters, height, width)

    Raises
    ------
    ShapeError, ArgumentError
        As the operator does.

    Examples
    --------
    >>> y = dt.nn.functional.conv_transpose2d(dt.ones((1, 1, 2, 2)), dt.ones((1, 1, 2, 2)))
    >>> y[0, 0, 1]
    tensor([2., 4., 2.])
    """
    options = (stride, padding, output_padding, groups, dilation)
    return _biased(ops.conv_transpose2d(x, weight, *options), bias)


def _biased(y: Any, bias: Any) -> Any:
    return y if bias is None else y + beside(bias, y)


# -- pooling -----------------------------------------------------------------------------------


def adaptive_avg_pool1d(x: Any, output_size: Any) -> Any:
    """Means over as many windows as the result has numbers; see `adaptive_avg_pool2d`.

    Examples
    --------
    >>> dt.nn.functional.adaptive_avg_pool1d(dt.tensor([[[1.0, 2.0, 6.0]]]), 2)
    tensor([[[1.5, 4. ]]])
    """
    return _adaptive_avg_pool("adaptive_avg_pool1d", x, output_size, 1)


def adaptive_avg_pool2d(x: Any, output_size: Any) -> Any:
    """Means over as many windows as the result has numbers.

    Window i of n over a length m covers the numbers from ``floor(i * m / n)`` up to, without it,
    ``ceil((i + 1) * m / n)``.

    Parameters
    ----------
    x : array, shape (batch, channels, height, width), floats
    output_size : int or tuple of int or None
        None keeps the size of an axis.

    Returns
    -------
    array, shape (batch, channels, *output_size)

    Raises
    ------
    ShapeError
        When the operand is no batch of images, or the length of an axis is neither known nor to
        become 1.
    ArgumentError
        When an output size is no whole number above 0.

    Examples
    --------
    >>> dt.nn.functional.adaptive_avg_pool2d(dt.ones((2, 3, 5, 7)), 1).shape
    (2, 3, 1, 1)
    """
    return _adaptive_avg_pool("adaptive_avg_pool2d", x, output_size, 2)


def _adaptive_avg_pool(name: str, x: Any, output_size: Any, rank: int) -> Any:
    given = output_size if isinstance(output_size, tuple | list) else (output_size,) * rank
    if len(given) != rank or not all(n is None or (type(n) is int and n > 0) for n in given):
        raise ArgumentError(
            f"{name}: output_size must be a whole number above 0 or None per spatial axis, got "
            f"{output_size}"
        )
    if len(x.shape) != rank + 2:
        raise ShapeError(
            f"{name}: operand must have a batch, channels and {rank} spatial axes, got "
            f"{show(x.shape)}"
        )
    for axis, n in enumerate(given, 2):
        length = x.shape[axis]
        if n == 1:
            x = ops.mean(x, axis=axis, keepdims=True)
        elif n is not None and n != length:
            if isinstance(length, Dim) or length == 0:
                raise ShapeError(f"{name}: a length must be known and above 0, got {show(x.shape)}")
            moved = (*(a for a in range(rank + 2) if a != axis), axis)
            y = ops.matmul(ops.permute_dims(x, moved), _window_means(length, n, x.dtype))
            x = ops.permute_dims(y, tuple(sorted(range(rank + 2), key=moved.__getitem__)))
    return x


def _window_means(length: int, n: int, dtype: Any) -> np.ndarray:
    """The matrix, shape (length, n), that takes the mean of each window."""
    means = np.zeros((length, n))
    for i in range(n):
        start, stop = i * length // n, -(-(i + 1) * length // n)
        means[start:stop, i] = 1 / (stop - start)
    return means.astype(dtype)


# -- activations -------------------------------------------------------------------------------


def hardtanh(x: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """Element-wise `x` within two bounds, and the nearer bound outside of them.

    Examples
    --------
    >>> dt.nn.functional.hardtanh(dt.tensor([-3.0, 0.5]))
    tensor([-1. ,  0.5])
    """
    return ops.clip(x, min_val, max_val)


def relu6(x: Any) -> Any:
    """Element-wise min(max(x, 0), 6).

    Examples
    --------
    >>> dt.nn.functional.relu6(dt.tensor([-3.0, 9.0]))
    tensor([0., 6.])
    """
    return ops.clip(x, 0.0, 6.0)


def selu(x: Any) -> Any:
    """Element-wise scaled `elu`, which drives activations to mean 0 and variance 1.

    Notes
    -----
    G. Klambauer et al.: Self-normalizing neural networks (NeurIPS 2017).

    Examples
    --------
    >>> dt.nn.functional.selu(dt.tensor([0.0]))
    tensor([0.])
    """
    return elu(x, _SELU_ALPHA) * _SELU_SCALE


def prelu(x: Any, weight: Any) -> Any:
    """`leaky_relu` with a slope that is learnt, one for all channels or one for each.

    Parameters
    ----------
    x : array, shape (batch, channels, ...), floats
    weight : array, shape (1,) or (channels,)

    Returns
    -------
    array of the shape of `x`

    Raises
    ------
    ShapeError
        When the weight fits neither.

    Examples
    --------
    >>> dt.nn.functional.prelu(dt.tensor([[2.0, -2.0]]), dt.tensor([1.0, 0.25]))
    tensor([[ 2. , -0.5]])
    """
    channels = x.shape[1] if len(x.shape) > 1 else 1
    if weight.shape not in ((1,), (channels,)):
        raise ShapeError(
            f"prelu: weight must have one number or one per channel, got {show(weight.shape)} for "
            f"{show(x.shape)}"
        )
    return leaky_relu(x, beside(weight, x) if weight.shape != (1,) else weight)


def softplus(x: Any, beta: float = 1.0) -> Any:
    """Element-wise ``log(1 + exp(beta * x)) / beta``, without overflow.

    Parameters
    ----------
    x : array, floats
    beta : float
        Not 0: how sharp the bend is.

    Returns
    -------
    array of the shape of `x`

    Raises
    ------
    ArgumentError
        When `beta` is 0.

    Examples
    --------
    >>> dt.nn.functional.softplus(dt.tensor([0.0]))
    tensor([0.6931472])
    """
    if not beta:
        raise ArgumentError(f"softplus: beta must not be 0, got {beta}")
    return ops.softplus(x) if beta == 1 else ops.softplus(x * beta) / beta


def logsigmoid(x: Any) -> Any:
    """Element-wise logarithm of the logistic function, without overflow.

    Examples
    --------
    >>> dt.nn.functional.logsigmoid(dt.tensor([0.0, -200.0]))
    tensor([  -0.6931472, -200.       ])
    """
    return -ops.softplus(-x)


# -- attention ---------------------------------------------------------------------------------


def scaled_dot_product_attention(
    query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, generator: Generator | None = None,
) -> Any:  # fmt: skip
    """The mean of the values for each query, weighted by ``softmax(query @ key.mT * scale)``.

    Parameters
    ----------
    query : array, shape (..., queries, width), floats
    key : array, shape (..., keys, width)
    value : array, shape (..., keys, channels)
    attn_mask : array, optional
        Broadcasts to (..., queries, keys). Bools: where a query may look at a key; numbers are
        added to the scores.
    dropout_p : float
        Probability of zeroing a weight, in ``0 <= p < 1``; as in `dropout`.
    is_causal : bool
        Whether query i may look at the keys up to i alone.
    scale : float, optional
        ``1 / sqrt(width)`` by default.
    generator : Generator, optional
        Of the dropout.

    Returns
    -------
    array, shape (..., queries, channels)
        Zeros where a query may look at no key.

    Raises
    ------
    ShapeError
        When the shapes do not fit, or there are no keys.
    ArgumentError
        When `dropout_p` is out of range.

    Examples
    --------
    >>> value = dt.tensor([[1.0], [3.0]])
    >>> attend = dt.nn.functional.scaled_dot_product_attention
    >>> attend(dt.ones((2, 4)), dt.ones((2, 4)), value, is_causal=True)
    tensor([[1.],
            [2.]])
    """
    mask = True if attn_mask is None else attn_mask
    if not dropout_p:
        return ops.scaled_dot_product_attention(query, key, value, mask, is_causal, scale)
    weights = ops.attention_weights(query, key, mask, is_causal, scale)
    return ops.matmul(dropout(weights, dropout_p, generator=generator), value)
