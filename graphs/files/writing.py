"""Writing a container: whole, or not at all."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

import numpy as np

from ..errors import ArgumentError
from .layout import (
    DIGEST_KEY,
    HEAD,
    MOST_HEADER_BYTES,
    NO_DIGEST,
    SUMS_KEY,
    TAG_OF,
    VERSION,
    VERSION_KEY,
    as_bytes,
    digest_of,
)
from .strict_json import dump


def write_container(path: Any, arrays: Mapping[str, np.ndarray], key: str, document: str) -> None:
    """Write arrays and a document to a file, in place of what it held.

    The file is complete on the disk before it takes its name: who reads it meanwhile, or after a
    crash, finds the old one or the new one.

    Parameters
    ----------
    path : str or path
    arrays : mapping
        NumPy arrays of dtypes that safetensors knows, by name.
    key, document : str
        What the metadata hold beside the digests.

    Raises
    ------
    ArgumentError
        When the header would be longer than readers take.
    OSError
        When the file cannot be written. What was there before is there still.
    """
    dense = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    # Holes are forbidden, so only this order puts every number at a multiple of its size.
    names = sorted(dense, key=lambda name: -dense[name].itemsize)
    start = _start({name: dense[name] for name in names}, key, document)
    with _replacing(path) as file:
        file.write(start)
        for name in names:
            file.write(as_bytes(dense[name]))


def _start(arrays: dict[str, np.ndarray], key: str, document: str) -> bytes:
    """The header with its length before it."""
    sums = {name: hashlib.sha256(as_bytes(array)).hexdigest() for name, array in arrays.items()}
    header: dict[str, Any] = {
        "__metadata__": {
            DIGEST_KEY: NO_DIGEST,
            VERSION_KEY: VERSION,
            SUMS_KEY: dump(sums),
            key: document,
        }
    }
    offset = 0
    for name, array in arrays.items():
        header[name] = {
            "dtype": TAG_OF[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    text = dump(header).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MOST_HEADER_BYTES:
        raise ArgumentError(
            f"save: names and structure must take at most {MOST_HEADER_BYTES} bytes, got "
            f"{len(text)}"
        )
    length = len(text).to_bytes(8, "little")
    digest = digest_of(length, text).encode()
    return length + HEAD + digest + text[len(HEAD) + len(digest) :]


@contextmanager
def _replacing(path: Any) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` when the block ends well."""
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    part = os.path.join(folder, f".{secrets.token_hex(8)}.part")
    try:
        with open(part, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            shutil.copymode(target, part)
        os.replace(part, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(part)
        raise
    _sync(folder)


def _sync(folder: str) -> None:
    """Put the folder's new entry on the disk, too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
