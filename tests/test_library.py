"""The library of native kernels that is built with the package: chosen by CPU, shared, optional."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from diptych.compiler.native.toolchain import find_compiler
from diptych.graphs.kernels import library
from diptych.graphs.kernels.building import LEVELS, file_of

built = pytest.mark.skipif(library.library() is None, reason="the library is not built")
needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler")
x86 = pytest.mark.skipif("x86-64" not in LEVELS, reason="needs a CPU with levels")

# Levels that are built here and run here, the best first.
HERE = [level for level in library._levels("") if (library.FOLDER / file_of(level)).exists()]

# What NumPy calls the features that tell the levels apart.
_NUMPY_NAMES = {
    "avx2": "AVX2", "fma": "FMA3", "f16c": "F16C", "avx512f": "AVX512F", "avx512cd": "AVX512CD",
}  # fmt: skip


def _python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@x86
def test_features_are_those_that_numpy_finds() -> None:
    from numpy._core._multiarray_umath import __cpu_features__ as found

    features = library._cpu_features()
    for ours, numpys in _NUMPY_NAMES.items():
        assert (ours in features) == found[numpys], ours


@x86
@pytest.mark.parametrize("best", LEVELS)
def test_the_highest_level_of_the_cpu_is_chosen(best: str, monkeypatch) -> None:
    needs = LEVELS[best][1]
    monkeypatch.setattr(library, "_cpu_features", lambda: needs | {"sse2"})
    assert library._levels("")[0] == best
    if needs:  # one feature short
        monkeypatch.setattr(library, "_cpu_features", lambda: needs - {min(needs)})
        assert best not in library._levels("")


@x86
def test_a_level_that_the_cpu_lacks_is_never_used(monkeypatch) -> None:
    monkeypatch.setattr(library, "_cpu_features", frozenset)
    assert library._levels("x86-64-v4") == library._levels("none") == []


def test_without_a_library_there_is_none(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(library, "FOLDER", tmp_path)
    for level in LEVELS:
        (tmp_path / file_of(level)).write_text("not a library")
    assert library._open() is None


@built
@pytest.mark.parametrize("level", HERE)
def test_a_level_can_be_named(level: str) -> None:
    code = "from diptych.graphs.kernels.library import library; print(library()._name)"
    assert _python(code, DIPTYCH_LIBRARY=level).endswith(file_of(level))


@built
@needs_compiler
@pytest.mark.parametrize("level", HERE)
def test_programs_call_the_library_and_cut_tiles_as_it_does(level: str, tmp_path) -> None:
    code = """
import numpy as np, diptych as dt
from diptych.compiler.native import library
x = np.arange(70 * 50, dtype=np.float32).reshape(70, 50) / 1000
with dt.static.Graph() as g:
    a = g.placeholder("a", (70, 50))
    y = dt.tanh(a @ dt.matrix_transpose(a)) @ a
    y = dt.conv2d(dt.reshape(y, (1, 1, 70, 50)), dt.ones((4, 1, 3, 3)))
program = g.compile([y], executor="native")
reference = g.compile([y], executor="reference")
[found], [expected] = program.run({"a": x}), reference.run({"a": x})
np.testing.assert_allclose(found, expected, rtol=1e-4)
assert not library._loaded or len(library._loaded) == 1  # the program alone
print("dt_tile_float" in program.source)
"""
    found = _python(code, DIPTYCH_LIBRARY=level, DIPTYCH_CACHE_DIR=str(tmp_path))
    assert found == "True"


@built
def test_all_of_a_process_have_one_pool() -> None:
    from diptych.compiler.native.library import library as of_programs

    assert of_programs() is library.library()


@built
def test_operands_of_steps_are_arrays_and_bytes() -> None:
    from diptych.graphs.compiled import speedups

    with pytest.raises(TypeError, match="run: operands must be arrays, bytes or None, got"):
        speedups.run(1, 1, "text")
    with pytest.raises(TypeError, match="run: must have a pool, a step, threads and up to"):
        speedups.run(1)
