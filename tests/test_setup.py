"""setup.py: what is built where there is a compiler, and that all else is installed without one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SETUP = Path(__file__).parents[1] / "setup.py"
pytestmark = pytest.mark.skipif(not SETUP.exists(), reason="needs the source tree")
pytest.importorskip("Cython")
pytest.importorskip("setuptools")

# A package as small as can be: one extension, one kernel, and of two levels one that no compiler
# knows.
FILES = {
    "pyproject.toml": """
[project]
name = "diptych"
version = "0"
[tool.setuptools]
packages = ["diptych.graphs"]
[tool.setuptools.package-dir]
"diptych.graphs" = "graphs"
""",
    "graphs/extension/module.c": "int one(void) { return 1; }\n",
    "graphs/kernels/native/kernel.c": "int two(void) { return 2; }\n",
    "graphs/kernels/building.py": """
FLAGS, LINK_FLAGS = ("-O1",), ()
LEVELS = {"unknown": (("-march=unknown",), frozenset()), "plain": ((), frozenset())}
def file_of(level):
    return f"library.{level}.so"
""",
}


def built(folder: Path, **environment: str) -> tuple[list[str], str]:
    """The names of the files that are built, and what is said meanwhile."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    shutil.copy(SETUP, folder)
    ran = subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--build-lib", "out"],
        cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return sorted(p.name.split(".cpython")[0] for p in folder.glob("out/**/*.so")), ran.stdout


@pytest.mark.skipif(os.name != "posix", reason="names a compiler by CC")
def test_without_a_compiler_the_package_is_installed_as_python(tmp_path: Path) -> None:
    names, said = built(tmp_path, CC=str(tmp_path / "nowhere"))
    assert names == [] and "no compiled parts" in said


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_a_level_that_the_compiler_does_not_know_is_left_out(tmp_path: Path) -> None:
    names, said = built(tmp_path)
    assert names == ["library.plain.so", "speedups"]
    assert "no library of native kernels for unknown" in said
