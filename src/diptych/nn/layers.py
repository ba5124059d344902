"""Layers."""

from __future__ import annotations

from typing import Any

from ..graphs import ops
from ..graphs.errors import ArgumentError, DTypeError
from ..graphs.generator import Generator
from ..graphs.parameter import Parameter
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
        start = init.fan_in_uniform((out_features, in_features), in_features, generator)
        self.weight = Parameter(start)
        self.bias = (
            Parameter(init.fan_in_uniform((out_features,), in_features, generator))
            if bias
            else None
        )

    def forward(self, x: Any) -> Any:
        return functional.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"


class Dropout(Module):
    """`functional.dropout` in training mode, the identity otherwise.

    Parameters
    ----------
    p : float
        Probability of zeroing an element, in ``0 <= p < 1``.
    generator : Generator, optional

    Raises
    ------
    ArgumentError
        When `p` is out of range.
    """

    def __init__(self, p: float = 0.5, generator: Generator | None = None) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ArgumentError(f"dropout: p must be in 0 <= p < 1, got {p}")
        self.p, self.generator = p, generator

    def forward(self, x: Any) -> Any:
        return functional.dropout(x, self.p, self.training, self.generator)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class ReLU(Module):
    """Element-wise max(x, 0)."""

    def forward(self, x: Any) -> Any:
        return ops.relu(x)


class Tanh(Module):
    """Element-wise hyperbolic tangent."""

    def forward(self, x: Any) -> Any:
        return ops.tanh(x)


class Sigmoid(Module):
    """Element-wise logistic function."""

    def forward(self, x: Any) -> Any:
        return ops.sigmoid(x)


class Sequential(Module):
    """Modules one after another.

    Examples
    --------
    >>> model = dt.nn.Sequential(dt.nn.Linear(3, 4), dt.nn.ReLU(), dt.nn.Linear(4, 2))
    >>> model(dt.ones((5, 3))).shape
    (5, 2)

    Raises
    ------
    DTypeError
        When something else is among the modules.
    """

    def __init__(self, *modules: Module) -> None:
        super().__init__()
        for position, module in enumerate(modules):
            if not isinstance(module, Module):
                raise DTypeError(f"Sequential: takes modules, got {type(module).__name__}")
            setattr(self, str(position), module)

    def forward(self, x: Any) -> Any:
        for module in self._modules.values():
            x = module(x)
        return x

    def __len__(self) -> int:
        return len(self._modules)

    def __getitem__(self, position: int) -> Module:
        return list(self._modules.values())[position]
