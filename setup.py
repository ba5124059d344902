"""What pyproject.toml cannot say: the compiled parts, which a machine without a compiler omits.

A module with a ``.pxd`` file beside it is compiled by Cython as it stands; the ``.pxd`` says which
types its names have. Cython finds these files by the package's names, so the folders are linked
together as they will be installed. All parts are built, or none: they know each other's layouts.

The library of native kernels is built once for each level of instructions that a CPU may have; the
package loads the one that suits the CPU it runs on.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import shutil
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

HERE = Path(__file__).resolve().parent
STAGE = HERE / "build" / "stage"
KERNELS = HERE / "graphs" / "kernels"


class BuildWhereThereIsACompiler(build_ext):
    """Compiles in parallel; without a compiler, the package runs as plain Python.

    An editable install is one to edit: there a compiled module would hide the changes to its file.
    """

    def run(self) -> None:
        if self.editable_mode:
            self.extensions = []
            return
        self.parallel = os.cpu_count()
        try:
            super().run()
        except (BaseError, CCompilerError, OSError) as error:
            print(f"diptych: no compiled parts, eager code will be slower: {error}")
            for extension in self.extensions:
                with contextlib.suppress(FileNotFoundError):
                    os.remove(self.get_ext_fullpath(extension.name))
            self.extensions = []
        else:
            self.build_library()

    def build_library(self) -> None:
        """Compile the library of native kernels for each level that the compiler knows."""
        building = runpy.run_path(str(KERNELS / "building.py"))
        sources = [str(path.relative_to(HERE)) for path in sorted(KERNELS.glob("native/*.c"))]
        folder = Path(self.get_ext_fullpath("diptych.graphs.kernels.native")).with_name("native")
        folder.mkdir(parents=True, exist_ok=True)
        for level, (flags, _) in building["LEVELS"].items():
            # Vectors that a level lacks pass between functions of one file alone.
            options = [*building["FLAGS"], *flags, "-g0", "-Wno-psabi"]
            output = os.path.join(self.build_temp, level)

            def translated(source: str, options=options, output=output) -> list[str]:
                return self.compiler.compile([source], output, extra_postargs=options)

            try:
                with ThreadPoolExecutor(os.cpu_count()) as pool:
                    objects = [o for found in pool.map(translated, sources) for o in found]
                self.compiler.link_shared_object(
                    objects,
                    str(folder / building["file_of"](level)),
                    libraries=["m"],
                    extra_postargs=[*options, *building["LINK_FLAGS"]],
                )
            except (BaseError, CCompilerError, OSError) as error:
                print(f"diptych: no library of native kernels for {level}: {error}")


def link_folders() -> None:
    """Put the folders of the package under its own name."""
    shutil.rmtree(STAGE, ignore_errors=True)
    tool = tomllib.loads((HERE / "pyproject.toml").read_text())["tool"]["setuptools"]
    for name, folder in tool["package-dir"].items():
        for source in (HERE / folder).iterdir():
            link = STAGE.joinpath(*name.split("."), source.name)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(source)


def compiled_modules() -> list[Extension]:
    """An extension for every module with a ``.pxd`` file."""
    link_folders()
    sources = [
        Path(folder, name).with_suffix(".py")
        for folder, _, names in os.walk(STAGE, followlinks=True)
        for name in sorted(names)
        if name.endswith(".pxd")
    ]
    with contextlib.chdir(STAGE):  # the tracebacks of compiled code name files as they are given
        names = [source.relative_to(STAGE) for source in sources]
        extensions = cythonize(
            [Extension(".".join(n.with_suffix("").parts), [str(n)]) for n in names],
            include_path=["."],
            build_dir="../cython",
            compiler_directives={
                "language_level": 3,
                "annotation_typing": False,
                "c_api_binop_methods": True,
            },
            quiet=True,
        )
        for extension in extensions:
            extension.sources = [os.path.relpath(s, HERE) for s in extension.sources]
    return extensions


EXTENSION = Extension(
    "diptych.graphs.speedups",
    [str(path.relative_to(HERE)) for path in sorted(HERE.glob("graphs/extension/*.c"))],
    depends=[
        "graphs/extension/speedups.h",
        "graphs/extension/walk.h",
        "graphs/kernels/native/runtime.h",
    ],
    include_dirs=[numpy.get_include()],
)

setup(
    ext_modules=[EXTENSION, *compiled_modules()],
    cmdclass={"build_ext": BuildWhereThereIsACompiler},
)
