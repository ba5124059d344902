"""Normalisation layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..graphs.avals import show, sizes_of
from ..graphs.errors import ArgumentError, ShapeError
from ..graphs.modes import no_grad
from ..graphs.ops.dispatch import style_of
from . import functional, init
from .checks import check_sizes
from .module import Module


class _BatchNorm(Module):
    """The base of batch normalisation: what the layers for each rank share."""

    ranks: tuple[int, ...]
    axes: str

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        super().__init__()
        check_sizes(type(self).__name__, num_features=num_features)
        if momentum is not None and not 0 <= momentum <= 1:
            raise ArgumentError(
                f"{type(self).__name__}: momentum must be in 0..1 or None, got {momentum}"
            )
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.weight = init.ones_(init.new_parameter(num_features)) if affine else None
        self.bias = init.new_parameter(num_features) if affine else None
        if track_running_stats:
            self.register_buffer("running_mean", np.zeros(num_features, np.float32))
            self.register_buffer("running_var", np.ones(num_features, np.float32))
            self.register_buffer("num_batches_tracked", np.zeros((), np.int64))

    def forward(self, x: Any) -> Any:
        """The normalised operand; in training mode the running numbers move.

        Raises
        ------
        ShapeError
            When the operand has other axes or channels, or too few numbers a channel in training.
        """
        if len(x.shape) not in self.ranks or x.shape[1] != self.num_features:
            raise ShapeError(
                f"{type(self).__name__}: operand must have shape {self.axes} with "
                f"{self.num_features} channels, got {show(x.shape)}"
            )
        mean, variance = None, None
        if self.track_running_stats:
            mean, variance = self.running_mean, self.running_var
        counts = self.training and self.track_running_stats
        momentum, tracked = self.momentum, None
        if counts:
            with no_grad():
                tracked = style_of(x).read(self.num_batches_tracked) + 1
                momentum = 1.0 / tracked if momentum is None else momentum
        y = functional.batch_norm(
            x, mean, variance, self.weight, self.bias, self.training, momentum, self.eps
        )
        if counts:
            style_of(x).assign(self.num_batches_tracked, tracked, when=y)
        return y

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


_BATCH_NORM = """Each channel normalised by its mean and variance over the batch.

    In inference mode, by their running means.

    Parameters
    ----------
    num_features : int
        Channels.
    eps : float
        Added to the variance.
    momentum : float or None
        How far the running numbers move in a step; None for the plain mean over all steps.
    affine : bool
        Whether channels are scaled and shifted.
    track_running_stats : bool
        Whether there are running numbers; without, the batch's are taken in both modes.

    Attributes
    ----------
    weight, bias : Parameter, shape (num_features,), float32, or None
    running_mean, running_var : Storage, shape (num_features,), float32
        Without them none is tracked. The variance is that of the whole, not of the batch.
    num_batches_tracked : Storage, shape (), int64

    Raises
    ------
    ArgumentError
        When `num_features` is no whole number above 0, or the momentum is out of range.

    Notes
    -----
    S. Ioffe, C. Szegedy: Batch normalization (ICML 2015).

    Examples
    --------
    >>> layer = dt.nn.{name}(3)
    >>> layer(dt.ones({images})).shape
    {images}
    >>> layer.num_batches_tracked.item(), layer.running_mean.numpy().round(3).tolist()[0]
    (1, 0.10000000149011612)
    """


class BatchNorm1d(_BatchNorm):
    ranks = (2, 3)
    axes = "(batch, channels) or (batch, channels, length)"
    __doc__ = _BATCH_NORM.format(name="BatchNorm1d", images="(5, 3)")


class BatchNorm2d(_BatchNorm):
    ranks = (4,)
    axes = "(batch, channels, height, width)"
    __doc__ = _BATCH_NORM.format(name="BatchNorm2d", images="(5, 3, 4, 4)")


class LayerNorm(Module):
    """The last axes scaled to mean 0 and variance 1, then scaled and shifted.

    Parameters
    ----------
    normalized_shape : int or tuple of int
        Of these axes.
    eps : float
        Added to the variance.
    elementwise_affine : bool
        Whether each number has a weight.
    bias : bool
        Whether each number has a bias, too.

    Attributes
    ----------
    weight, bias : Parameter, shape `normalized_shape`, float32, or None

    Raises
    ------
    ArgumentError
        When a size is no whole number above 0.

    Notes
    -----
    J. L. Ba et al.: Layer normalization (2016).

    Examples
    --------
    >>> dt.nn.LayerNorm(4)(dt.ones((2, 3, 4))).shape
    (2, 3, 4)
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.normalized_shape = _sizes("LayerNorm", normalized_shape)
        self.eps = eps
        self.weight = self.bias = None
        if elementwise_affine:
            self.weight = init.ones_(init.new_parameter(*self.normalized_shape))
            self.bias = init.new_parameter(*self.normalized_shape) if bias else None

    def forward(self, x: Any) -> Any:
        return functional.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = self.weight is not None
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={affine}"


class RMSNorm(Module):
    """The last axes scaled to a mean square of 1, then by weights.

    Parameters
    ----------
    normalized_shape : int or tuple of int
        Of these axes.
    eps : float, optional
        Added to the mean square; the dtype's rounding unit by default.
    elementwise_affine : bool
        Whether each number has a weight.

    Attributes
    ----------
    weight : Parameter, shape `normalized_shape`, float32, or None

    Raises
    ------
    ArgumentError
        When a size is no whole number above 0.

    Notes
    -----
    B. Zhang, R. Sennrich: Root mean square layer normalization (NeurIPS 2019).

    Examples
    --------
    >>> dt.nn.RMSNorm(4)(dt.ones((2, 3, 4))).shape
    (2, 3, 4)
    """

    def __init__(
        self, normalized_shape: Any, eps: float | None = None, elementwise_affine: bool = True
    ) -> None:
        super().__init__()
        self.normalized_shape = _sizes("RMSNorm", normalized_shape)
        self.eps = eps
        self.weight = None
        if elementwise_affine:
            self.weight = init.ones_(init.new_parameter(*self.normalized_shape))

    def forward(self, x: Any) -> Any:
        return functional.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        affine = self.weight is not None
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={affine}"


class GroupNorm(Module):
    """Groups of channels of each example scaled to mean 0 and variance 1, then by channel.

    Parameters
    ----------
    num_groups : int
        Divides the channels.
    num_channels : int
    eps : float
        Added to the variance.
    affine : bool
        Whether channels are scaled and shifted.

    Attributes
    ----------
    weight, bias : Parameter, shape (num_channels,), float32, or None

    Raises
    ------
    ArgumentError
        When a number is no whole number above 0, or the groups do not divide the channels.

    Notes
    -----
    Y. Wu, K. He: Group normalization (ECCV 2018).

    Examples
    --------
    >>> dt.nn.GroupNorm(2, 4)(dt.ones((5, 4, 3, 3))).shape
    (5, 4, 3, 3)
    """

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True
    ) -> None:
        super().__init__()
        check_sizes("GroupNorm", num_groups=num_groups, num_channels=num_channels)
        if num_channels % num_groups:
            raise ArgumentError(
                f"GroupNorm: num_groups must divide num_channels, got {num_groups} and "
                f"{num_channels}"
            )
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        self.weight = init.ones_(init.new_parameter(num_channels)) if affine else None
        self.bias = init.new_parameter(num_channels) if affine else None

    def forward(self, x: Any) -> Any:
        return functional.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = self.weight is not None
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={affine}"


def _sizes(name: str, shape: Any) -> tuple[int, ...]:
    sizes = sizes_of(shape)
    for size in sizes:
        check_sizes(name, normalized_shape=size)
    return sizes
