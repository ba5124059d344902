"""Structs of C: as initialisers in a text, and as bytes in memory."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, Protocol

import numpy as np

LINE = 64  # bytes: scratch memory is shared out in whole lines


class Strided(Protocol):
    """Where the elements of an operand lie; strides count elements."""

    @property
    def dtype(self) -> np.dtype: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def strides(self) -> tuple[int, ...]: ...


@dataclass(frozen=True)
class Struct:
    """A struct, whose fields a subclass names in order.

    Whole numbers are ``dt_int``, truths ``int``, named numbers enumerations; tuples are arrays and
    structs within.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class Pair(Struct):
    ...     sizes: tuple[int, int]
    ...     scale: float
    >>> Pair((1, 2), 0.5).text()
    '{{1, 2}, 0.5}'
    >>> len(Pair((1, 2), 0.5).packed())
    24
    """

    def text(self) -> str:
        """Its initialiser in C."""
        return text_of(*self._values())

    def packed(self) -> bytes:
        """Its bytes in memory."""
        flat = list(_flat(self._values()))
        return struct.pack("".join(code for code, _ in flat), *(value for _, value in flat))

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, field.name) for field in fields(self))


def aligned(nbytes: int) -> int:
    """The least number of bytes in whole lines that holds so many."""
    return -(-nbytes // LINE) * LINE


def share(count: int, thread: int, threads: int) -> tuple[int, int]:
    """The same as `dt_share` in C: which of so many things are a thread's."""
    return count * thread // threads, count * (thread + 1) // threads


def is_dense(x: Strided, first: int = 0) -> bool:
    """Whether elements along the axes from `first` on follow each other in row-major order."""
    step = 1
    for size, stride in zip(reversed(x.shape[first:]), reversed(x.strides[first:])):
        if size != 1 and stride != step:
            return False
        step *= size
    return True


def broadcast_strides(
    shape: tuple[int, ...], strides: tuple[int, ...], axes: int
) -> tuple[int, ...]:
    """Strides along so many axes of what broadcasts to them."""
    own = [0 if size == 1 else stride for size, stride in zip(shape, strides)]
    return (*[0] * (axes - len(own)), *own)


def pair(value: Any, first: Any) -> tuple[Any, Any]:
    """Of two axes; of one, with another before it that has length 1."""
    return (value[0], value[1]) if len(value) == 2 else (first, value[0])


def image_strides(image: Strided) -> tuple[int, int, int, int]:
    """Of images, channels, rows and columns; see `pair`."""
    images, channel, *rest = image.strides
    height, width = pair(rest, 0)
    return images, channel, height, width


def text_of(*values: Any) -> str:
    """The initialiser of a struct in C, from its fields in order; arrays and structs are tuples."""
    return "{" + ", ".join(map(_text, values)) + "}"


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return text_of(*value)
    if isinstance(value, IntEnum):
        return value.name
    if isinstance(value, float) and not math.isfinite(value):
        return '__builtin_nan("")' if math.isnan(value) else f"{'-' * (value < 0)}__builtin_inf()"
    return str(int(value)) if isinstance(value, bool) else str(value)


def _flat(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, tuple):
        for each in value:
            yield from _flat(each)
    elif isinstance(value, IntEnum | bool):
        yield "i", int(value)
    else:
        yield "d" if isinstance(value, float) else "q", value
