"""Loading native code: the runtime library, and generated programs that call it."""

from __future__ import annotations

import ctypes
import functools
import os
import re
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from ...graphs.kernels.library import FOLDER, tile_sizes
from ...graphs.kernels.library import library as prebuilt
from . import cache
from .toolchain import (
    LIBRARIES,
    NO_LIBRARIES,
    CompileError,
    Compiler,
    Unit,
    require_compiler,
)

# Where the package has no library that was built with it, one is built here, in parts, so that a
# program waits only for those that it calls. Of each part there is a file for float and one for
# double, or one for all types.
_PARTS = {
    "tiles": ("tile", "half_tile", "pack", "row"),
    "convolution": (
        "conv2d_pack",
        "conv2d",
        "conv2d_transpose_pack",
        "conv2d_transpose",
        "conv2d_weight",
    ),
    "attention": ("attention", "attention_grad"),
    "losses": ("cross_entropy", "nll_loss"),
    "pooling": ("max_pool", "max_pool_grad", "max_pool_tangent", "avg_pool", "avg_pool_grad"),
    "places": ("take", "put", "add"),
    "random": ("uniform", "normal"),
    "running": ("running_sum", "running_product", "recurrence"),
    "sorting": ("sort",),
}
_OF_ALL_TYPES = ("places", "running", "sorting")
_PART_OF = {name: part for part, names in _PARTS.items() for name in names}
_CALLS_TILES = ("convolution", "attention")
_BASE = ("threads", "stacks", "launch")
_CALL = re.compile(rf"\bdt_({'|'.join(_PART_OF)})_(float|double|8|16|32|64)\b")

_loaded: dict[str, ctypes.CDLL] = {}
# Who builds or loads an object holds its gate; after a fork nobody does.
_gates: dict[str, threading.Lock] = {}
os.register_at_fork(after_in_child=_gates.clear)


def library() -> ctypes.CDLL:
    """The runtime library, or its base, built once a machine and loaded once a process.

    The base holds the threads; the kernels are in parts that `load` adds as programs call them. A
    library that was built with the package has all of it.

    Raises
    ------
    NoCompilerError
        When there is no C compiler. There is none needed once it is built, but for its version.
    CompileError
        When the library cannot be built or loaded.
    """
    found = prebuilt()
    if found is not None:
        return found
    compiler = require_compiler()
    return _load(compiler, _runtimes(compiler, _BASE))[0]


def prepare() -> None:
    """Build and load every part of the runtime library, for programs that come later.

    Raises
    ------
    NoCompilerError, CompileError
        As `library`.
    """
    compiler = require_compiler()
    stems = dict.fromkeys(_stem(part, kind) for part in _PARTS for kind in ("float", "double"))
    _load(compiler, _runtimes(compiler, _BASE, *((stem,) for stem in stems)))


def load(source: str | Sequence[str]) -> ctypes.CDLL:
    """Build and load a generated program, and what it calls of the runtime library before it.

    Parameters
    ----------
    source : str or sequence of str
        C texts, compiled in parallel and linked into one object. They may include the headers of
        the runtime library and call it. Names that they define stay their own.

    Returns
    -------
    ctypes.CDLL
        The same for the same source, in any thread.

    Raises
    ------
    NoCompilerError
        When there is no C compiler.
    CompileError
        When the compiler refuses the program, or it cannot be loaded.
    """
    compiler = require_compiler()
    texts = [source] if isinstance(source, str) else source
    units = [Unit(f"program{number}", text) for number, text in enumerate(texts)]
    program = _Object(_name(compiler, units), units, ctypes.RTLD_LOCAL)
    parts = [(part,) for part in _parts(texts)]
    return _load(compiler, [*_runtimes(compiler, _BASE, *parts), program])[-1]


def _parts(texts: Sequence[str]) -> list[str]:
    """The files that hold what texts call, each after those that it calls itself."""
    found: set[str] = set()
    for text in texts:
        for name, kind in _CALL.findall(text):
            part = _PART_OF[name]
            found.add(_stem(part, kind))
            found |= {_stem("tiles", kind)} if part in _CALLS_TILES else set()
    return sorted(found, key=lambda stem: (not stem.startswith("tiles"), stem))


def _stem(part: str, kind: str) -> str:
    """The file that holds a part of the library, for one type of numbers."""
    return part if part in _OF_ALL_TYPES else f"{part}_{kind}"


@dataclass(frozen=True, slots=True)
class _Object:
    """A shared object: its entry in the cache, what it is built from, and who sees its names."""

    name: str
    units: Sequence[Unit]
    scope: int

    @property
    def is_lasting(self) -> bool:
        """Whether it is part of the library, and no program."""
        return self.scope == ctypes.RTLD_GLOBAL


def _load(compiler: Compiler, objects: Sequence[_Object]) -> list[ctypes.CDLL]:
    """Load objects in order, after building those of them that the cache lacks together."""
    new = [each for each in objects if each.name not in _loaded]
    with ExitStack() as gates:
        for each in sorted(new, key=lambda each: each.name):  # alike in every thread
            gates.enter_context(_gates.setdefault(each.name, threading.Lock()))
        new = [each for each in new if each.name not in _loaded]  # not loaded meanwhile
        try:
            keeps = {each.name: each.is_lasting or cache.keeps_programs() for each in new}
            found = {each.name: cache.find(each.name) for each in new if keeps[each.name]}
            paths = {name: path for name, path in found.items() if path is not None}
            absent = [each for each in new if each.name not in paths]
            if absent:
                units = [each.units for each in absent]
                libraries = [LIBRARIES if each.is_lasting else NO_LIBRARIES for each in absent]
                built = compiler.build(units, _headers(FOLDER), libraries=libraries)
                for each, content in zip(absent, built):
                    if keeps[each.name]:
                        paths[each.name] = cache.store(each.name, content)
                    else:
                        path = paths[each.name] = gates.enter_context(cache.scratch()) / each.name
                        path.write_bytes(content)
            for each in new:
                _loaded[each.name] = _opened(paths[each.name], each.scope)
        except OSError as error:
            raise CompileError(
                f"load: native code must be stored and loaded, got {error}"
            ) from error
    return [_loaded[each.name] for each in objects]


def _opened(path: Path, scope: int) -> ctypes.CDLL:
    """The shared object in a file. One that does not load goes, or it would stay in the way."""
    try:
        return ctypes.CDLL(str(path), mode=scope)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _runtimes(compiler: Compiler, *parts: tuple[str, ...]) -> list[_Object]:
    """Parts of the runtime library, by their files; none where it was built with the package."""
    return [] if prebuilt() else [_runtime(compiler, FOLDER, part) for part in parts]


@functools.cache
def _runtime(compiler: Compiler, folder: Path, stems: tuple[str, ...]) -> _Object:
    try:
        units = [Unit(stem, (folder / f"{stem}.c").read_text()) for stem in stems]
    except OSError as error:
        raise CompileError(f"load: the package must hold its C files, got {error}") from error
    return _Object(_name(compiler, units), units, ctypes.RTLD_GLOBAL)


def _name(compiler: Compiler, units: Sequence[Unit]) -> str:
    version = sys.modules[__name__.partition(".")[0]].__version__
    texts = [*_headers(FOLDER).items(), *((unit.name, unit.source) for unit in units)]
    return cache.key(version, *compiler.signature, *chain.from_iterable(texts)) + ".so"


@functools.cache
def _headers(folder: Path) -> dict[str, str]:
    texts = {path.name: path.read_text() for path in sorted(folder.glob("*.h"))}
    found = prebuilt()
    if found is not None:
        vector, rows = tile_sizes(found)
        sizes = f"#define DT_VECTOR {vector}\n#define DT_ROWS {rows}\n"
        texts["runtime.h"] = sizes + texts["runtime.h"]
    return texts
