"""The library of native kernels as it was built with the package, for the CPU that runs it.

setup.py builds it where there is a compiler, once for each level of instructions: nothing waits for
a compiler here. The executor `native` calls the same functions from its programs, so there is one
pool of threads in the process, and one kernel for a convolution, whoever asks for it.
"""

from __future__ import annotations

import ctypes
import functools
import os
from contextlib import suppress
from pathlib import Path

from ..compiled import speedups
from ..threads import get_num_threads
from .building import LEVELS, file_of

FOLDER = Path(__file__).parent / "native"


@functools.cache
def library() -> ctypes.CDLL | None:
    """The library for this CPU, with the names of its functions for all that is loaded later.

    ``DIPTYCH_LIBRARY`` names a level to use instead of the highest that the CPU has, such as
    ``x86-64-v3``, or is ``none`` to do without.

    Returns
    -------
    ctypes.CDLL or None
        None where there is no such library, as in an editable install.
    """
    found = _open()
    if found is not None and speedups is not None:
        speedups.use_pool(ctypes.cast(found.dt_run, ctypes.c_void_p).value)
        get_num_threads()  # the pool's, too, from now on
    return found


def _open() -> ctypes.CDLL | None:
    for level in _levels(os.environ.get("DIPTYCH_LIBRARY", "")):
        with suppress(OSError):  # not built, or for a newer C library
            return ctypes.CDLL(str(FOLDER / file_of(level)), mode=ctypes.RTLD_GLOBAL)
    return None


def tile_sizes(library: ctypes.CDLL) -> tuple[int, int]:
    """Bytes of a vector, and rows of a tile, in which a library computes."""
    sizes = (ctypes.c_int * 2).in_dll(library, "dt_tile_sizes")
    return sizes[0], sizes[1]


def _levels(wanted: str) -> list[str]:
    features = _cpu_features()
    runs = [level for level, (_, needs) in LEVELS.items() if needs <= features]
    return [level for level in runs if wanted in ("", level)]


def _cpu_features() -> frozenset[str]:
    """What Linux says that the first core can do, and the system lets programs use."""
    with suppress(OSError), open("/proc/cpuinfo") as file:
        for line in file:
            name, _, features = line.partition(":")
            if name.strip() == "flags":
                return frozenset(features.split())
    return frozenset()
