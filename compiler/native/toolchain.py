"""The C compiler: which one this machine has, its flags, and running it on units in parallel."""

from __future__ import annotations

import functools
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ...graphs.errors import DiptychError
from ...graphs.kernels.building import FLAGS as PORTABLE_FLAGS
from ...graphs.kernels.building import LINK_FLAGS
from . import cache

TIME_LIMIT = 600.0  # seconds for one build, after which the compiler counts as hung

# This machine's vectors, and what every compilation asks for. Only x86 spells it -march.
_MACHINE = "-march=native" if platform.machine() in ("x86_64", "AMD64", "i686") else "-mcpu=native"
FLAGS = (*PORTABLE_FLAGS, _MACHINE)
LIBRARIES = ("-lm",)
# For what is loaded where all that it calls is there: a linker takes longer to look through the C
# library and libm than to link a program.
NO_LIBRARIES = ("-nostdlib",)

# What generated code needs: the headers of the C library, and a linker.
_PROBE = """\
#include <math.h>
#include <pthread.h>
#include <stdint.h>
double dt_probe(double x) { return exp(x); }
"""


class CompileError(DiptychError, RuntimeError):
    """Native code could not be built or loaded.

    Attributes
    ----------
    output : str
        All that the compiler said.
    """

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(f"{message}\n{output}" if output else message)
        self.output = output


class NoCompilerError(CompileError):
    """There is no C compiler that works, or ``DIPTYCH_CC`` forbids to use one."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One C text.

    Parameters
    ----------
    name : str
        What the compiler's messages call it: letters, digits and underscores.
    source : str
    """

    name: str
    source: str


@dataclass(frozen=True, slots=True)
class Compiler:
    """A C compiler that has built a shared object on this machine.

    Parameters
    ----------
    command : tuple of str
        Its program and first arguments.
    identity : str
        What it says to ``--version``.
    """

    command: tuple[str, ...]
    identity: str

    @property
    def signature(self) -> tuple[str, ...]:
        """What else but source the code that it makes depends on: parts of a key."""
        link = (*LINK_FLAGS, *LIBRARIES, *NO_LIBRARIES)
        return (*self.command, self.identity, *FLAGS, *link, machine())

    def build(
        self,
        objects: Sequence[Sequence[Unit]],
        headers: Mapping[str, str] | None = None,
        time_limit: float = TIME_LIMIT,
        libraries: Sequence[Sequence[str]] | None = None,
    ) -> list[bytes]:
        """Build shared objects, their units in parallel on the cores that we may use.

        Parameters
        ----------
        objects : sequence of sequences of Unit
            The units of each object.
        headers : mapping, optional
            What the units may include: texts by the names of their files.
        time_limit : float
            In seconds, for all of it.
        libraries : sequence of sequences of str, optional
            What each object is linked with. `LIBRARIES` by default.

        Returns
        -------
        list of bytes
            The content of each object's file.

        Raises
        ------
        CompileError
            When the compiler refuses a unit, cannot link, or takes too long.
        """
        numbers = range(len(objects))
        with_ = [LIBRARIES] * len(objects) if libraries is None else libraries
        stems = [[f"{unit.name}.{n}" for unit in objects[n]] for n in numbers]
        # The same flags for linking: without, zig links for debugging.
        start = (*self.command, *FLAGS)
        with cache.scratch() as scratch:
            # Next to the units: what is compiled is what went into the key, whoever edits a file.
            for name, text in (headers or {}).items():
                (scratch / name).write_text(text)
            for n in numbers:
                for stem, unit in zip(stems[n], objects[n]):
                    (scratch / f"{stem}.c").write_text(unit.source)
            children = _Children(scratch, time_limit)
            children.run_all(
                (*start, "-c", f"{stem}.c", "-o", f"{stem}.o") for n in numbers for stem in stems[n]
            )
            link = (*start, *LINK_FLAGS)
            children.run_all(
                (*link, *(f"{stem}.o" for stem in stems[n]), "-o", f"{n}.so", *with_[n])
                for n in numbers
            )
            return [(scratch / f"{n}.so").read_bytes() for n in numbers]


def find_compiler() -> Compiler | None:
    """The C compiler of this machine.

    ``DIPTYCH_CC`` names the command; empty or ``none``, there is to be none. Otherwise the first
    that works of ``cc``, ``gcc``, ``clang`` on the path and the `ziglang` package. That it works,
    and its version, is known from the cache on disk as long as its file does not change: a process
    that compiles nothing starts no other.

    Returns
    -------
    Compiler or None
    """
    return _search(os.environ.get("DIPTYCH_CC"), os.environ.get("PATH", ""))[0]


def require_compiler() -> Compiler:
    """The C compiler of this machine.

    Raises
    ------
    NoCompilerError
        When there is none that works. It tells why.
    """
    compiler, why = _search(os.environ.get("DIPTYCH_CC"), os.environ.get("PATH", ""))
    if compiler is None:
        raise NoCompilerError(why)
    return compiler


@functools.cache
def machine() -> str:
    """The processor and C library that code is compiled for."""
    # Its features and name; what is left out differs between cores or from hour to hour.
    telling = (
        "vendor_id", "cpu family", "model", "model name", "stepping", "flags",
        "Features", "CPU implementer", "CPU architecture", "CPU variant", "CPU part",
    )  # fmt: skip
    lines = []
    # Of the first core alone: hundreds of them take the kernel milliseconds to list.
    with suppress(OSError), open("/proc/cpuinfo") as file:
        for line in file:
            if not line.strip():
                break
            if line.partition(":")[0].strip() in telling:
                lines.append(line.strip())
    return "\n".join([platform.machine(), *lines, os.confstr("CS_GNU_LIBC_VERSION") or ""])


# -- which compiler ---------------------------------------------------------------------------


@functools.cache
def _search(chosen: str | None, path: str) -> tuple[Compiler | None, str]:
    """The compiler, or why there is none."""
    if chosen is not None and chosen.strip() in ("", "none"):
        return None, f"DIPTYCH_CC: must be a C compiler to run native code, got {chosen!r}"
    try:
        commands = list(_commands()) if chosen is None else [tuple(shlex.split(chosen))]
    except ValueError as error:
        return None, f"DIPTYCH_CC: must be a command, got {chosen!r} ({error})"
    failures = []
    for command in commands:
        try:
            return _verified(command), ""
        except (CompileError, OSError) as error:
            failures.append(f"{shlex.join(command)}: {error}")
    if chosen is not None:
        return None, f"DIPTYCH_CC: must be a C compiler that works, got {failures[0]}"
    return None, "\n".join(
        ["compile: cc, gcc, clang or the ziglang package must be installed, got none", *failures]
    )


def _commands() -> Iterator[tuple[str, ...]]:
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            yield (name,)
    if find_spec("ziglang"):
        yield (sys.executable, "-m", "ziglang", "cc")


def _verified(command: tuple[str, ...]) -> Compiler:
    program = shutil.which(command[0])
    if program is None:
        raise FileNotFoundError("no such program")
    command = (os.path.abspath(program), *command[1:])
    name = cache.key("compiler", *command, *FLAGS, machine(), *_stamps(command)) + ".txt"
    known = cache.read(name)
    if known is not None:
        return Compiler(command, known.decode())
    with cache.scratch() as scratch:
        identity = _Children(scratch, 60.0).run((*command, "--version")).strip()
    compiler = Compiler(command, identity)
    compiler.build([[Unit("probe", _PROBE)]])
    cache.store(name, identity.encode())
    return compiler


def _stamps(command: Sequence[str]) -> Iterator[str]:
    """Which files the programs of a command are: of a wrapper such as ccache, both."""
    programs = [shutil.which(word) for word in command]
    if "ziglang" in command and (spec := find_spec("ziglang")) and spec.origin:
        programs.append(os.path.join(os.path.dirname(spec.origin), "zig"))
    for program in programs:
        if program:
            with suppress(OSError):
                info = os.stat(program)
                yield f"{program} {info.st_mtime_ns} {info.st_size}"


# -- running it -------------------------------------------------------------------------------


class _Children:
    """The processes of one build, which all end by its deadline or when it stops.

    Parameters
    ----------
    folder : Path
        Where they work and keep their temporary files.
    time_limit : float
        In seconds, for all of them together.
    """

    def __init__(self, folder: Path, time_limit: float) -> None:
        self._folder = folder
        self._limit = time_limit
        self._deadline = time.monotonic() + time_limit
        self._environment = {**os.environ, "TMPDIR": str(folder), "LC_ALL": "C"}
        self._lock = threading.Lock()
        self._alive: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def run(self, command: Sequence[str]) -> str:
        """Run a command to its end, and give what it said.

        Raises
        ------
        CompileError
        """
        with self._lock:
            if self._stopped:
                raise CompileError("compile: was stopped")
            child = subprocess.Popen(
                command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,  # a compiler starts processes of its own: kill all
            )
            self._alive.add(child)
        try:
            output, _ = child.communicate(timeout=max(0.0, self._deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.stop()
            child.communicate()
            raise CompileError(
                f"compile: must end within {self._limit:g} seconds, got no end of "
                f"{shlex.join(command)}"
            ) from None
        finally:
            with self._lock:
                self._alive.discard(child)
        if child.returncode:
            raise CompileError(
                f"compile: the C compiler must accept its input, got status {child.returncode} "
                f"from {shlex.join(command)}",
                output.strip(),
            )
        return output

    def run_all(self, commands: Iterable[Sequence[str]]) -> None:
        """Run commands in parallel; the first that fails, or Ctrl-C, ends them all.

        Raises
        ------
        CompileError
        """
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            try:
                for _ in pool.map(self.run, commands):
                    pass
            except BaseException:
                self.stop()
                raise

    def stop(self) -> None:
        """Kill all that run, and let no other start."""
        with self._lock:
            self._stopped = True
            for child in self._alive:
                if child.poll() is None:
                    with suppress(ProcessLookupError):
                        os.killpg(child.pid, signal.SIGKILL)
