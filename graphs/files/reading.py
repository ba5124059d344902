"""Reading a container: everything is checked, and sizes before anything is allocated."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np

from ..dtypes import BOOL
from ..errors import FileError
from .layout import (
    DIGITS,
    DTYPE_OF,
    HEAD,
    MOST_AXES,
    MOST_HEADER_BYTES,
    SUMS_KEY,
    VERSION,
    VERSION_KEY,
    Entry,
    as_bytes,
    digest_of,
    extent,
    nbytes,
)
from .strict_json import brief, parse

_METADATA = "__metadata__"


@contextmanager
def named(path: Any) -> Iterator[None]:
    """Put the file's name into the errors of the block."""
    try:
        yield
    except FileError as error:
        raise FileError(f"load: {os.fspath(path)!r}: {error}") from error.__cause__


class Container:
    """A container whose header has been checked; its tensors are read when asked for.

    Parameters
    ----------
    file : binary file, at its start
    needs_digest : bool
        Refuse a file that another program wrote.
    most_bytes : int
        Refuse a file whose tensors take more.

    Attributes
    ----------
    entries : dict of str to Entry
        In the order in which they lie in the file.
    metadata : dict of str to str
    has_digest : bool

    Raises
    ------
    FileError
        When the header breaks a rule. Nothing of a tensor's size has been allocated then.
    """

    def __init__(self, file: BinaryIO, needs_digest: bool, most_bytes: int) -> None:
        self._file = file
        size = os.fstat(file.fileno()).st_size
        header, self.has_digest = _header(file, size, needs_digest)
        members = _object(parse(_decoded(header), "header"), "header")
        self.metadata = _metadata(members.pop(_METADATA, {}))
        self._check_version()
        found = (_entry(name, members[name], most_bytes) for name in members)
        entries = sorted(found, key=lambda e: (e.start, e.stop))
        self.entries = {entry.name: entry for entry in entries}
        _check_extents(entries, size - 8 - len(header), most_bytes)
        self._sums = self._tensor_digests() if self.has_digest else {}

    def read(self) -> dict[str, np.ndarray]:
        """All tensors, each against its digest.

        Raises
        ------
        FileError
            When the bytes of a tensor are not those that were written.
        """
        return {name: self._read(entry) for name, entry in self.entries.items()}

    def _read(self, entry: Entry) -> np.ndarray:
        what = f"tensor {brief(entry.name)}"
        array = np.empty(entry.shape, entry.dtype)
        data = as_bytes(array)
        _fill(self._file, data, what)
        if self.has_digest:
            wanted, found = self._sums[entry.name], hashlib.sha256(data).hexdigest()
            if found != wanted:
                raise FileError(
                    f"{what}: must have the digest {brief(wanted)}, got {found!r}: the file is "
                    "damaged"
                )
        if entry.dtype == BOOL and (array.view(np.uint8) > 1).any():
            raise FileError(f"{what}: bool must be 0 or 1, got {array.view(np.uint8).max()}")
        return array

    def _check_version(self) -> None:
        own = [key for key in self.metadata if key.startswith("diptych.")]
        if own and not self.has_digest:
            raise FileError(f"header: must start with the digest, got {brief(own)} without one")
        version = self.metadata.get(VERSION_KEY)
        if self.has_digest and version != VERSION:
            raise FileError(f"version: must be {VERSION!r}, got {brief(version)}")

    def _tensor_digests(self) -> dict[str, Any]:
        sums = _object(parse(self.metadata.get(SUMS_KEY, ""), SUMS_KEY), SUMS_KEY)
        if sums.keys() != self.entries.keys():
            odd = sorted(sums.keys() ^ self.entries.keys())
            raise FileError(f"{SUMS_KEY}: every tensor must have one digest, got {brief(odd)}")
        return sums


def _header(file: BinaryIO, size: int, needs_digest: bool) -> tuple[bytes, bool]:
    """The header's bytes, checked against their digest, and whether they carry one."""
    if size < 8:
        raise FileError(f"file: must have at least 8 bytes, got {size}")
    prefix = bytearray(8)
    _fill(file, memoryview(prefix), "header")
    length = int.from_bytes(prefix, "little")
    if length > MOST_HEADER_BYTES:
        raise FileError(f"header: must have at most {MOST_HEADER_BYTES} bytes, got {length}")
    if 8 + length > size:
        raise FileError(f"header: must lie within the file, got {length} bytes of {size - 8}")
    text = bytearray(length)
    _fill(file, memoryview(text), "header")
    header = bytes(text)
    if not header.startswith(b"{"):
        raise FileError(f"header: must start with a brace, got {header[:8]!r}")
    has_digest = header.startswith(HEAD)
    if not has_digest and needs_digest:
        raise FileError(
            "header: must start with Diptych's digest, got none: the file is damaged, or another "
            "program's"
        )
    if has_digest:
        declared = header[len(HEAD) : len(HEAD) + DIGITS].decode("latin-1")
        found = digest_of(bytes(prefix), header)
        if declared != found:
            raise FileError(
                f"header: must have the digest {declared!r}, got {found!r}: the file is damaged"
            )
    return header, has_digest


def _fill(file: BinaryIO, target: memoryview, what: str) -> None:
    done = 0
    while done < len(target):
        count = file.readinto(target[done:])  # type: ignore[attr-defined]
        if not count:
            raise FileError(f"{what}: must have {len(target)} bytes, got {done}: the file ends")
        done += count


def _decoded(header: bytes) -> str:
    try:
        return header.decode()
    except UnicodeDecodeError as error:
        raise FileError(f"header: must be UTF-8, got {error}") from None


def _object(value: Any, what: str) -> dict[str, Any]:
    if type(value) is not dict:
        raise FileError(f"{what}: must be a JSON object, got {type(value).__name__}")
    return value


def _metadata(value: Any) -> dict[str, str]:
    for key, text in _object(value, _METADATA).items():
        if type(text) is not str:
            raise FileError(f"{_METADATA}: must hold strings, got {brief(text)} for {brief(key)}")
    return value


def _entry(name: str, value: Any, most_bytes: int) -> Entry:
    what = f"tensor {brief(name)}"
    members = _object(value, what)
    if members.keys() != {"dtype", "shape", "data_offsets"}:
        raise FileError(
            f"{what}: must have dtype, shape and data_offsets, got {brief(sorted(members))}"
        )
    tag, shape, offsets = members["dtype"], members["shape"], members["data_offsets"]
    if type(tag) is not str or tag not in DTYPE_OF:
        raise FileError(f"{what}: dtype must be one of {', '.join(DTYPE_OF)}, got {brief(tag)}")
    if not _are_sizes(shape) or len(shape) > MOST_AXES:
        raise FileError(
            f"{what}: shape must be at most {MOST_AXES} whole sizes, got {brief(shape)}"
        )
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise FileError(f"{what}: data_offsets must be two whole numbers, got {brief(offsets)}")
    dtype, (start, stop) = DTYPE_OF[tag], offsets
    if extent(shape, dtype) > most_bytes:
        raise FileError(
            f"{what}: must have at most {most_bytes} bytes, got {dtype} of shape {tuple(shape)}"
        )
    if stop - start != nbytes(shape, dtype):
        raise FileError(
            f"{what}: bytes must be those of its shape, got {stop - start} for {dtype} of shape "
            f"{tuple(shape)}"
        )
    return Entry(name, dtype, tuple(shape), start, stop)


def _are_sizes(value: Any) -> bool:
    return type(value) is list and all(type(size) is int and size >= 0 for size in value)


def _check_extents(entries: list[Entry], size: int, most_bytes: int) -> None:
    """Raises unless the tensors cover the rest of the file, each byte once."""
    end = 0
    for entry in entries:
        what = f"tensor {brief(entry.name)}"
        if entry.start != end:
            raise FileError(
                f"{what}: must start where the one before it ends, got byte {entry.start} for {end}"
            )
        end = entry.stop
        if end > size:
            raise FileError(f"{what}: must lie within the file, got bytes to {end} of {size}")
    if end != size:
        raise FileError(f"file: must end with the last tensor, got {size - end} bytes after it")
    if end > most_bytes:
        raise FileError(f"file: must have at most {most_bytes} bytes of tensors, got {end}")
