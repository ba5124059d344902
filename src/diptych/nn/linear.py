"""Linear maps, and what only moves numbers."""

from __future__ import annotations

from typing import Any

from ..graphs import ops
from ..graphs.avals import show
from ..graphs.dims import product
from ..graphs.errors import ShapeError
from ..graphs.generator import Generator
from . import functional, init
from .module import Module


class Linear(Module):
    """``y = x @ weight.T + bias``, with weights uniform within ``1 / sqrt(in_features)``.

    Parameters
    ----------
    in_features, out_features : int
    bias : bool
    generator : Generator, optional
        Where the starting values come from.

    Attributes
    ----------
    weight : Parameter, shape (out_features, in_features), float32
    bias : Parameter, shape (out_features,), float32, or None

    Examples
    --------
    >>> dt.nn.Linear(3, 2)(dt.ones((5, 3))).shape
    (5, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = _drawn((out_features, in_features), in_features, generator)
        self.bias = _drawn((out_features,), in_features, generator) if bias else None

    def forward(self, x: Any) -> Any:
        return functional.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"


def _drawn(shape: Any, fan_in: int, generator: Generator | None) -> Any:
    return init.fan_in_uniform_(init.new_parameter(*shape), fan_in, generator)


class Identity(Module):
    """Gives what it is given.

    Examples
    --------
    >>> dt.nn.Identity()(dt.tensor([1.0]))
    tensor([1.])
    """

    def forward(self, x: Any) -> Any:
        return x


class Flatten(Module):
    """Several axes joined to one.

    Parameters
    ----------
    start_dim, end_dim : int
        The first and the last of them; by default all but the batch.

    Examples
    --------
    >>> dt.nn.Flatten()(dt.ones((2, 3, 4))).shape
    (2, 12)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Any) -> Any:
        """The operand under its new shape.

        Raises
        ------
        ShapeError
            When it has not these axes, or they are in the wrong order.
        """
        ndim = len(x.shape)
        first, last = (d + ndim if d < 0 else d for d in (self.start_dim, self.end_dim))
        if not 0 <= first <= last < ndim:
            raise ShapeError(
                f"Flatten: axes must be in order and of the operand, got {self.start_dim}.."
                f"{self.end_dim} for {show(x.shape)}"
            )
        joined = product(x.shape[first : last + 1])
        return ops.reshape(x, (*x.shape[:first], joined, *x.shape[last + 1 :]))

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"
