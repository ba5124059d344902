"""Activation functions as modules."""

from __future__ import annotations

from typing import Any

from ..graphs import ops
from ..graphs.errors import ArgumentError
from . import functional, init
from .checks import check_sizes
from .module import Module


class ReLU(Module):
    """Element-wise max(x, 0)."""

    def forward(self, x: Any) -> Any:
        return ops.relu(x)


class ReLU6(Module):
    """Element-wise min(max(x, 0), 6)."""

    def forward(self, x: Any) -> Any:
        return functional.relu6(x)


class Tanh(Module):
    """Element-wise hyperbolic tangent."""

    def forward(self, x: Any) -> Any:
        return ops.tanh(x)


class Sigmoid(Module):
    """Element-wise logistic function."""

    def forward(self, x: Any) -> Any:
        return ops.sigmoid(x)


class LogSigmoid(Module):
    """Element-wise logarithm of the logistic function."""

    def forward(self, x: Any) -> Any:
        return functional.logsigmoid(x)


class SiLU(Module):
    """Element-wise ``x * sigmoid(x)``."""

    def forward(self, x: Any) -> Any:
        return ops.silu(x)


class SELU(Module):
    """Element-wise scaled `ELU` that keeps mean and variance; see `functional.selu`."""

    def forward(self, x: Any) -> Any:
        return functional.selu(x)


class GELU(Module):
    """Element-wise ``x * P(z < x)`` for a standard normal z; see `gelu`.

    Parameters
    ----------
    approximate : {"none", "tanh"}

    Raises
    ------
    ArgumentError
        When `approximate` is neither.

    Examples
    --------
    >>> dt.nn.GELU()(dt.tensor([0.0, 20.0]))
    tensor([ 0., 20.])
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        if approximate not in ("none", "tanh"):
            raise ArgumentError(f"GELU: approximate must be 'none' or 'tanh', got {approximate!r}")
        self.approximate = approximate

    def forward(self, x: Any) -> Any:
        return ops.gelu(x, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class ELU(Module):
    """Element-wise `x` where it is positive, ``alpha * (exp(x) - 1)`` elsewhere.

    Parameters
    ----------
    alpha : float

    Examples
    --------
    >>> dt.nn.ELU()(dt.tensor([2.0, 0.0]))
    tensor([2., 0.])
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Any) -> Any:
        return ops.elu(x, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


class LeakyReLU(Module):
    """Element-wise `x` where it is positive, ``negative_slope * x`` elsewhere.

    Parameters
    ----------
    negative_slope : float

    Examples
    --------
    >>> dt.nn.LeakyReLU(0.25)(dt.tensor([2.0, -2.0]))
    tensor([ 2. , -0.5])
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, x: Any) -> Any:
        return ops.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class PReLU(Module):
    """`LeakyReLU` with a slope that is learnt, one for all channels or one for each.

    Parameters
    ----------
    num_parameters : int
        1, or the number of channels.
    init : float
        The starting slope.

    Attributes
    ----------
    weight : Parameter, shape (num_parameters,), float32

    Raises
    ------
    ArgumentError
        When the number is no whole number above 0.

    Examples
    --------
    >>> dt.nn.PReLU()(dt.tensor([[2.0, -2.0]])).detach()
    tensor([[ 2. , -0.5]])
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        super().__init__()
        check_sizes("PReLU", num_parameters=num_parameters)
        self.weight = _constant(num_parameters, init)

    def forward(self, x: Any) -> Any:
        return functional.prelu(x, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.weight.shape[0]}"


def _constant(count: int, value: float) -> Any:
    return init.constant_(init.new_parameter(count), value)


class Softplus(Module):
    """Element-wise ``log(1 + exp(beta * x)) / beta``.

    Parameters
    ----------
    beta : float
        Not 0: how sharp the bend is.

    Raises
    ------
    ArgumentError
        When `beta` is 0.

    Examples
    --------
    >>> dt.nn.Softplus()(dt.tensor([0.0]))
    tensor([0.6931472])
    """

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        if not beta:
            raise ArgumentError(f"Softplus: beta must not be 0, got {beta}")
        self.beta = beta

    def forward(self, x: Any) -> Any:
        return functional.softplus(x, self.beta)

    def extra_repr(self) -> str:
        return f"beta={self.beta}"


class Hardtanh(Module):
    """Element-wise `x` within two bounds, and the nearer bound outside of them.

    Parameters
    ----------
    min_val, max_val : float

    Raises
    ------
    ArgumentError
        When the first is not below the second.

    Examples
    --------
    >>> dt.nn.Hardtanh()(dt.tensor([-3.0, 0.5]))
    tensor([-1. ,  0.5])
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        super().__init__()
        if not min_val < max_val:
            raise ArgumentError(
                f"Hardtanh: min_val must be below max_val, got {min_val} and {max_val}"
            )
        self.min_val, self.max_val = min_val, max_val

    def forward(self, x: Any) -> Any:
        return functional.hardtanh(x, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}"


class Softmax(Module):
    """Exponentials along an axis, scaled to sum to 1.

    Parameters
    ----------
    axis : int

    Examples
    --------
    >>> dt.nn.Softmax()(dt.tensor([1.0, 1.0]))
    tensor([0.5, 0.5])
    """

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Any) -> Any:
        return ops.softmax(x, self.axis)

    def extra_repr(self) -> str:
        return f"axis={self.axis}"


class LogSoftmax(Softmax):
    """Logarithm of `Softmax`.

    Examples
    --------
    >>> dt.nn.LogSoftmax()(dt.tensor([0.0]))
    tensor([0.])
    """

    def forward(self, x: Any) -> Any:
        return ops.log_softmax(x, self.axis)
