"""Random numbers with explicit state: a key, and an offset that every draw moves by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .errors import DTypeError
from .ops import dispatch, random_normal, random_uniform
from .storage import Storage, load_storages


class Generator:
    """A stream of random numbers whose state two storages hold.

    Eager code, a graph and a compiled function draw the same numbers in the same order, for all
    of them read and advance the same offset.

    Parameters
    ----------
    seed : int
        At least 0 and below 2**64.

    Examples
    --------
    >>> a, b = Generator(0), Generator(0)
    >>> bool((a.uniform((3,)) == b.uniform((3,))).numpy().all())
    True
    """

    def __init__(self, seed: int = 0) -> None:
        self.key = Storage(np.zeros(2, np.uint64), "random key")
        self.offset = Storage(np.zeros((), np.int64), "random offset")
        self.manual_seed(seed)

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of this seed from its beginning.

        Raises
        ------
        DTypeError
            When the seed is no whole number in ``0..2**64 - 1``.
        """
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**64:
            raise DTypeError(f"manual_seed: must be a whole number in 0..2**64-1, got {seed!r}")
        self.key.write(np.array([seed, 0], np.uint64))
        self.offset.write(np.zeros((), np.int64))
        return self

    def uniform(self, shape: Any, *, dtype: Any = "float32", style: Any = None) -> Any:
        """Uniform numbers in [0, 1); see `random_uniform`."""
        return self._draw(random_uniform, shape, dtype, style)

    def normal(self, shape: Any, *, dtype: Any = "float32", style: Any = None) -> Any:
        """Normal numbers of mean 0 and variance 1; see `random_normal`."""
        return self._draw(random_normal, shape, dtype, style)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of the key and the offset as NumPy arrays, by name."""
        return {name: storage.numpy().copy() for name, storage in self._state().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where the generator stood whose state this is.

        Parameters
        ----------
        state : mapping
            What `state_dict` gave.

        Raises
        ------
        UnknownNameError
            When names are missing or unexpected. Nothing is written then.
        ShapeError, DTypeError
            When an array does not fit. Nothing is written then.

        Examples
        --------
        >>> generator = Generator(0)
        >>> state = generator.state_dict()
        >>> first = generator.uniform((3,)).numpy()
        >>> generator.load_state_dict(state)
        >>> bool((generator.uniform((3,)).numpy() == first).all())
        True
        """
        load_storages("load_state_dict", self._state(), state)

    def _state(self) -> dict[str, Storage]:
        return {"key": self.key, "offset": self.offset}

    def _draw(self, op: Any, shape: Any, dtype: Any, style: dispatch.Style | None) -> Any:
        style = style or dispatch.current()
        offset = style.read(self.offset)
        drawn = op(style.read(self.key), offset, shape, dtype)
        style.assign(self.offset, offset + 1, when=drawn)
        return drawn


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Seed the generator that `rand`, `randn` and dropout draw from.

    Parameters
    ----------
    seed : int
        In ``0..2**64 - 1``.

    Returns
    -------
    Generator

    Examples
    --------
    >>> _ = dt.manual_seed(0)
    """
    return default_generator.manual_seed(seed)
