"""Dropout."""

from __future__ import annotations

from typing import Any

from ..graphs.errors import ArgumentError
from ..graphs.generator import Generator
from . import functional
from .module import Module


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

    Examples
    --------
    >>> dt.nn.Dropout(0.5).eval()(dt.tensor([1.0, 2.0]))
    tensor([1., 2.])
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
