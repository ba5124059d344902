"""The layout of the container: a safetensors file whose header vouches for every byte of it."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np

from ..dtypes import DTYPES

# The header starts with these bytes, so the digest's digits are found without reading JSON.
HEAD = b'{"__metadata__":{"diptych.digest":"'
DIGITS = 64
NO_DIGEST = "0" * DIGITS

VERSION = "1"
# Keys of the metadata. What a file is for is known from which of the last two it has.
DIGEST_KEY, VERSION_KEY, SUMS_KEY = "diptych.digest", "diptych.version", "diptych.sha256"
STATE_KEY, GRAPH_KEY = "diptych.state", "diptych.graph"

# safetensors readers refuse longer headers.
MOST_HEADER_BYTES = 100_000_000
MOST_AXES = 64
# No machine holds an array of this size; what declares one is damaged or means harm.
MOST_BYTES = 1 << 40

_TAGS = {
    "bool": "BOOL",
    "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64",
    "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64",
    "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64",
    "complex64": "C64",
}  # fmt: skip
TAG_OF = {DTYPES[name]: tag for name, tag in _TAGS.items()}
DTYPE_OF = {tag: dtype for dtype, tag in TAG_OF.items()}


@dataclass(frozen=True, slots=True)
class Entry:
    """What the header says of one tensor.

    Attributes
    ----------
    name : str
    dtype : numpy.dtype
    shape : tuple of int
    start, stop : int
        Offsets in bytes into what follows the header.
    """

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    start: int
    stop: int


def digest_of(length: bytes, header: bytes) -> str:
    """SHA-256, in hexadecimal, of a file's start, the digits of the digest itself read as zeros.

    Parameters
    ----------
    length : bytes
        The eight bytes before the header.
    header : bytes
        Beginning with `HEAD`. It holds the digest of every tensor, so this one covers all.
    """
    end = len(HEAD) + DIGITS
    blank = header[: len(HEAD)] + NO_DIGEST.encode() + header[end:]
    return hashlib.sha256(length + blank).hexdigest()


def nbytes(shape: tuple[int, ...], dtype: np.dtype) -> int:
    """Bytes of a dense array."""
    return math.prod(shape) * dtype.itemsize


def extent(shape: tuple[int, ...], dtype: np.dtype) -> int:
    """Bytes of a dense array, as if its empty axes had size 1: what NumPy bounds, too."""
    return math.prod(size or 1 for size in shape) * dtype.itemsize


def as_bytes(array: np.ndarray) -> memoryview:
    """The bytes of a C-contiguous array, as a view."""
    return array.reshape(-1).view(np.uint8).data
