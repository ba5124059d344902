"""Abstract values: what is known of an array before it exists."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .devices import CPU, Device, device_of
from .dims import Dim, Shape, Size, product, substitute
from .errors import ShapeError


@dataclass(frozen=True, slots=True)
class Aval:
    """Shape, dtype and device of an array that an operator takes or gives.

    Parameters
    ----------
    shape : tuple of int or Dim
    dtype : numpy.dtype
    device : Device
    """

    shape: Shape
    dtype: np.dtype
    device: Device = CPU

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> Size:
        """Number of elements."""
        return product(self.shape)

    @property
    def nbytes(self) -> Size:
        """Bytes of a dense array of this shape and dtype."""
        return self.size * self.dtype.itemsize

    @property
    def is_symbolic(self) -> bool:
        return any(isinstance(d, Dim) for d in self.shape)

    def substitute(self, binding: dict[str, int]) -> Aval:
        """The same with every symbolic dimension replaced by its size."""
        return replace(self, shape=substitute(self.shape, binding))

    def __str__(self) -> str:
        dims = ", ".join(map(str, self.shape))
        return f"{self.dtype}[{dims}]" + ("" if self.device == CPU else f"@{self.device}")


def aval_of(array: Any) -> Aval:
    """The aval of a NumPy or CuPy array."""
    return Aval(array.shape, array.dtype, device_of(array))


def as_shape(shape: Any) -> Shape:
    """Read a shape: a size, or a sequence of sizes, each a whole number or a `Dim`.

    Raises
    ------
    ShapeError
        When a size is negative or no whole number.
    """
    return tuple(_size(s) for s in sizes_of(shape))


def sizes_of(shape: Any) -> tuple[Any, ...]:
    """The entries of a shape that is given as a tuple, a list or a single size."""
    return tuple(shape) if isinstance(shape, tuple | list) else (shape,)


def show(shape: Shape) -> str:
    """A shape as error messages print it: ``(3, 4)``, ``(batch,)``."""
    inner = ", ".join(map(str, shape))
    return f"({inner},)" if len(shape) == 1 else f"({inner})"


def _size(size: Any) -> Size:
    if isinstance(size, Dim):
        return size
    if not isinstance(size, int | np.integer) or isinstance(size, bool) or size < 0:
        raise ShapeError(f"a size must be a whole number of at least 0, got {size!r}")
    return int(size)
