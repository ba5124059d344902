"""Random arrays in the style in force."""

from __future__ import annotations

from typing import Any

from .graphs.generator import default_generator
from .graphs.operand import sizes_given


def rand(*shape: int, dtype: Any = "float32") -> Any:
    """Uniform numbers in [0, 1) from the default generator.

    Parameters
    ----------
    *shape : int, or one tuple of int
    dtype : float dtype

    Returns
    -------
    Tensor, or a value where a graph is being built

    Examples
    --------
    >>> dt.rand(2, 3).shape
    (2, 3)
    """
    return default_generator.uniform(sizes_given(shape), dtype=dtype)


def randn(*shape: int, dtype: Any = "float32") -> Any:
    """Normal numbers of mean 0 and variance 1 from the default generator; see `rand`.

    Examples
    --------
    >>> dt.randn(2, 3).shape
    (2, 3)
    """
    return default_generator.normal(sizes_given(shape), dtype=dtype)
