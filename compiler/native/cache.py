"""The cache on disk: one self-checking file an entry, named by everything that it was made from.

An entry is its payload and behind that a digest of it. Loaders of shared objects ignore what
follows the last part that an object's header names, so a compiled entry is at once the very file
that `dlopen` takes. Whatever is not whole, not the user's own or no plain file counts as absent:
who asked makes it anew, and the new file takes the old one's name in one step.

The folder is ``$DIPTYCH_CACHE_DIR``, ``$XDG_CACHE_HOME/diptych`` or ``~/.cache/diptych``; it holds
at most ``$DIPTYCH_CACHE_BYTES`` bytes (1 GiB), of which the least recently used go first.
"""

from __future__ import annotations

import atexit
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path

from ...graphs.errors import ArgumentError

MAGIC = b"diptych\x01"
DIGEST_BYTES = 32
TRAILER_BYTES = DIGEST_BYTES + len(MAGIC)
MOST_BYTES = 1 << 30
# No process writes or compiles for so long (seconds): what is older has lost its process.
LEFT_BEHIND = 3600

_ENTRY = re.compile(r"[0-9a-f]{40}\.[a-z]+")
_PART = re.compile(r"\.[0-9a-f]{16}\.part")
_SCRATCH = "diptych-scratch-"

_said: set[Path] = set()
_spare_folders: list[Path] = []


def key(*parts: str) -> str:
    """The name of what is made from these parts: equal only if all of them are.

    Parameters
    ----------
    *parts : str
        Sources, flags, versions: whatever the result depends on.

    Returns
    -------
    str
        40 hexadecimal digits. With a suffix behind, such as ``.so``, it names an entry.
    """
    digest = blake2b(digest_size=20)
    for part in parts:
        data = part.encode()
        # Its length first, or ("ab", "c") would be ("a", "bc").
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def keeps_programs() -> bool:
    """Whether programs are kept from process to process: unless ``$DIPTYCH_PROGRAM_CACHE`` is 0.

    Without them every process starts cold, which is what measurements of that want. The runtime
    library is kept all the same.
    """
    return os.environ.get("DIPTYCH_PROGRAM_CACHE") != "0"


def find(name: str) -> Path | None:
    """The file of an entry, verified just now from its first byte to its last; None if absent."""
    return next((path for path in _places(name) if _payload(path) is not None), None)


def read(name: str) -> bytes | None:
    """The payload of an entry; None if absent."""
    return next((data for path in _places(name) if (data := _payload(path)) is not None), None)


def store(name: str, payload: bytes) -> Path:
    """Write an entry in place of what bears its name, and give its file.

    Processes that store the same entry at once do each other no harm: each replaces the file
    whole, and one that has loaded the former file keeps that.

    Raises
    ------
    OSError
        When neither the folder nor a temporary one can be written.
    """
    place = folder()
    if place is not None:
        try:
            return _write(place, name, payload)
        except OSError as error:
            _say(place, f"the folder must take new entries, got {error.strerror} in {place}")
    return _write(_spare(), name, payload)


def folder() -> Path | None:
    """The folder of all entries, made if need be.

    Returns
    -------
    Path or None
        None where code must not be loaded from it: when others may write to it, or nothing in it
        can be executed. A warning says so once, and entries live as long as the process.
    """
    place = _named()
    try:
        os.makedirs(place, mode=0o700, exist_ok=True)
        info = os.stat(place)
        executable = not os.statvfs(place).f_flag & os.ST_NOEXEC
    except OSError as error:
        _say(place, f"the folder must exist or be made, got {error.strerror} for {place}")
        return None
    if not _private(info):
        mode = stat.S_IMODE(info.st_mode)
        _say(
            place,
            "the folder must be the user's and writable by nobody else, for code is loaded from "
            f"it, got {place} of user {info.st_uid} with mode {mode:o}",
        )
        return None
    if not executable:
        _say(place, f"the folder must be mounted executable, got {place}")
        return None
    return place


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder to compile in, removed with all that is in it when the block ends.

    It lies where the system keeps temporary files: a home may be slow, full or under a quota.
    """
    _sweep_scratch()
    with tempfile.TemporaryDirectory(prefix=_SCRATCH, ignore_cleanup_errors=True) as name:
        yield Path(name)


# -- entries ----------------------------------------------------------------------------------


def _places(name: str) -> Iterator[Path]:
    main = folder()
    if main is not None:
        yield main / name
    for spare in _spare_folders:
        yield spare / name


def _payload(path: Path) -> bytes | None:
    try:
        # Without O_NONBLOCK, opening a pipe that somebody has put here would wait for ever.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode) or not _private(info):
            return None
        data = os.read(handle, info.st_size)
        payload = data[:-TRAILER_BYTES]
        if data[-TRAILER_BYTES:] != _trailer(path.name, payload):
            return None
        with suppress(OSError):  # a folder that is mounted read-only serves, too
            os.utime(handle)  # used just now: what goes first when the cache is full
        return payload
    except OSError:
        return None
    finally:
        os.close(handle)


def _trailer(name: str, payload: bytes) -> bytes:
    # Under the entry's name: a sound entry of another name is foreign here.
    return blake2b(payload, key=name.encode(), digest_size=DIGEST_BYTES).digest() + MAGIC


def _write(place: Path, name: str, payload: bytes) -> Path:
    target = place / name
    part = place / f".{secrets.token_hex(8)}.part"
    try:
        # 0600 whatever the umask, or `_private` would refuse it.
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(handle, "wb") as file:
            file.write(payload)
            file.write(_trailer(name, payload))
        # No fsync: an entry that a crash of the machine leaves torn does not verify.
        os.replace(part, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(part)
        raise
    _tidy(place, target)
    return target


def _private(info: os.stat_result) -> bool:
    return info.st_uid == os.geteuid() and not info.st_mode & 0o022


# -- room -------------------------------------------------------------------------------------


def _tidy(place: Path, newest: Path) -> None:
    """Remove the parts that killed processes left, and the oldest entries beyond the bound."""
    limit = _limit()
    entries = []
    with os.scandir(place) as files:
        for file in files:
            with suppress(OSError):  # another process tidies, too
                info = file.stat(follow_symlinks=False)
                if _ENTRY.fullmatch(file.name) and stat.S_ISREG(info.st_mode):
                    entries.append((info.st_mtime_ns, info.st_size, file.path))
                elif _PART.fullmatch(file.name) and info.st_mtime < time.time() - LEFT_BEHIND:
                    os.unlink(file.path)
    total = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries):
        if total <= limit:
            return
        if path != str(newest):
            with suppress(OSError):
                os.unlink(path)
            total -= size


def _limit() -> int:
    text = os.environ.get("DIPTYCH_CACHE_BYTES") or str(MOST_BYTES)
    if not text.isdecimal():
        raise ArgumentError(f"DIPTYCH_CACHE_BYTES: must be a number of bytes, got {text!r}")
    return int(text)


def _sweep_scratch() -> None:
    with suppress(OSError), os.scandir(tempfile.gettempdir()) as files:
        for file in files:
            if file.name.startswith(_SCRATCH):
                with suppress(OSError):
                    info = file.stat(follow_symlinks=False)
                    if _private(info) and info.st_mtime < time.time() - LEFT_BEHIND:
                        shutil.rmtree(file.path, ignore_errors=True)


# -- where ------------------------------------------------------------------------------------


def _named() -> Path:
    own = os.environ.get("DIPTYCH_CACHE_DIR")
    if own:
        return Path(own).absolute()
    shared = os.environ.get("XDG_CACHE_HOME", "")
    # A relative path there is to be ignored, says the XDG Base Directory Specification.
    root = Path(shared) if os.path.isabs(shared) else Path(os.path.expanduser("~/.cache"))
    return root / "diptych"


def _spare() -> Path:
    """A folder of this process alone, for when the real one cannot serve."""
    if not _spare_folders or not _spare_folders[-1].is_dir():
        _spare_folders[:] = [Path(tempfile.mkdtemp(prefix="diptych-cache-"))]
        atexit.register(_remove_spare, _spare_folders[-1], os.getpid())
    return _spare_folders[-1]


def _remove_spare(path: Path, owner: int) -> None:
    if os.getpid() == owner:  # not at the end of a fork
        shutil.rmtree(path, ignore_errors=True)


def _say(place: Path, what: str) -> None:
    if place not in _said:
        _said.add(place)
        warnings.warn(
            f"cache: {what}; compiled code goes to a temporary folder, for this process alone",
            stacklevel=2,
        )
