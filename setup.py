"""What pyproject.toml cannot say: the compiled parts, which a machine without a compiler omits.

A module with a ``.pxd`` file beside it is compiled by Cython as it stands; the ``.pxd`` says which
types its names have. Cython finds these by the package's names, so the folders are linked together
as they will be installed.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

HERE = Path(__file__).parent
BUILD = Path("build")


def staged() -> Path:
    """The folders of the package under its own name, as links."""
    tool = tomllib.loads((HERE / "pyproject.toml").read_text())["tool"]["setuptools"]
    stage = BUILD / "stage"
    (stage / "diptych").mkdir(parents=True, exist_ok=True)
    for name, folder in tool["package-dir"].items():
        package = stage.joinpath(*name.split("."))
        sources = (HERE / folder).iterdir() if name == "diptych" else [HERE / folder]
        for source in sources:
            link = package / source.name if name == "diptych" else package
            if not link.is_symlink():
                link.symlink_to(source.resolve())
    return stage


def cython_modules() -> list[Extension]:
    stage = staged()
    sources = sorted(
        Path(folder, name).with_suffix(".py").relative_to(stage)
        for folder, _, names in os.walk(stage, followlinks=True)
        for name in names
        if name.endswith(".pxd")
    )
    return cythonize(
        [
            Extension(".".join(s.with_suffix("").parts), [str(stage / s)], optional=True)
            for s in sources
        ],
        include_path=[str(stage)],
        build_dir=str(BUILD / "cython"),
        compiler_directives={
            "language_level": 3,
            "annotation_typing": False,
            "c_api_binop_methods": True,
        },
    )


EXTENSION = Extension(
    "diptych.graphs.speedups",
    [f"graphs/extension/{name}.c" for name in ("local", "loops", "module", "table")],
    depends=["graphs/extension/speedups.h"],
    include_dirs=[numpy.get_include()],
    optional=True,
)

setup(ext_modules=[EXTENSION, *cython_modules()])
