"""A table of vectors, looked up by index."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..graphs.errors import ArgumentError
from ..graphs.generator import Generator
from . import functional, init
from .checks import check_sizes
from .module import Module


class Embedding(Module):
    """A row of a table for each index, with normal starting values.

    Parameters
    ----------
    num_embeddings : int
        Rows.
    embedding_dim : int
        Numbers in a row.
    padding_idx : int, optional
        A row that starts as zeros and gets no gradient.
    generator : Generator, optional
        Where the starting values come from.

    Attributes
    ----------
    weight : Parameter, shape (num_embeddings, embedding_dim), float32

    Raises
    ------
    ArgumentError
        When a size is no whole number above 0, or `padding_idx` is no row.

    Examples
    --------
    >>> dt.nn.Embedding(10, 3)(dt.tensor([[1, 2], [3, 4]])).shape
    (2, 2, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        check_sizes("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ArgumentError(
                    f"Embedding: padding_idx must be in -{num_embeddings}..{num_embeddings - 1}, "
                    f"got {padding_idx}"
                )
            padding_idx %= num_embeddings
        self.padding_idx = padding_idx
        self.weight = init.normal_(
            init.new_parameter(num_embeddings, embedding_dim), generator=generator
        )
        if padding_idx is not None:
            rows = self.weight.storage.numpy().copy()
            rows[padding_idx] = np.float32(0)
            self.weight.storage.write(rows)

    def forward(self, indices: Any) -> Any:
        return functional.embedding(indices, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
