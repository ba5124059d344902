"""The scalar expressions of element-wise operators, compiled, compute what the kernels do."""

from __future__ import annotations

import ctypes
import shutil
import string
import subprocess
from typing import Any

import numpy as np
import pytest
from registry import KERNELS
from samples import SPECIAL

import diptych as dt
from diptych.graphs.kernels import launch
from diptych.graphs.numbers import spec_of
from diptych.graphs.ops import Bound, Op

pytestmark = pytest.mark.usefixtures("special_values")


C_TYPES = {"bool": "bool", "float32": "float", "float64": "double", "int64": "int64_t"}


def _expression_cases() -> list[tuple[Op, Bound, dict[str, Any]]]:
    """Element-wise operators on float64, or on bools where they take nothing else."""
    cases = []
    for op in (op for op in KERNELS.values() if op.expr is not None):
        dtypes = C_TYPES if "dtype" in op.attrs else [None]
        for dtype in dtypes:
            attrs = {} if dtype is None else {"dtype": dtype}
            cases.append((op, _bind_first(op, attrs), attrs))
    return cases


def _bind_first(op: Op, attrs: dict[str, Any]) -> Bound:
    count = len(op.operands)
    choices = [
        ["float64"] * count, ["bool", *["float64"] * (count - 1)], ["bool"] * count
    ]  # fmt: skip
    for dtypes in choices:
        try:
            return op.bind(tuple(((4,), np.dtype(d)) for d in dtypes), tuple(attrs.values()))
        except dt.errors.DTypeError:
            continue
    raise AssertionError(f"{op.name} takes neither floats nor bools")


CASES = _expression_cases()


def _c_function(index: int, op: Op, bound: Bound, attrs: dict[str, Any]) -> str:
    names = [name for _, name, _, _ in string.Formatter().parse(op.expr) if name]
    places = {name: f"{name}[i]" for name in op.operands}
    places.update((name, C_TYPES[attrs[name]]) for name in set(names) - set(op.operands))
    operands = "".join(
        f"const {C_TYPES[aval.dtype.name]} *{name}, " for name, aval in zip(op.operands, bound.ins)
    )
    [result], [out] = op.results, bound.outs
    return (
        f"void f{index}(int64_t n, {operands}{C_TYPES[out.dtype.name]} *{result}) {{\n"
        f"    for (int64_t i = 0; i < n; i++) {result}[i] = {op.expr.format(**places)};\n}}\n"
    )


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler named cc")
    folder = tmp_path_factory.mktemp("expressions")
    includes = "".join(f"#include <{h}.h>\n" for h in ("math", "stdbool", "stdint"))
    functions = [_c_function(i, *case) for i, case in enumerate(CASES)]
    (folder / "all.c").write_text(includes + "\n".join(functions))
    built = subprocess.run(
        [compiler, "-O2", "-shared", "-fPIC", "all.c", "-o", "all.so", "-lm"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return ctypes.CDLL(str(folder / "all.so"))


def _expression_inputs(bound: Bound) -> list[np.ndarray]:
    """Every combination of special and ordinary numbers."""
    axes = []
    for position, aval in enumerate(bound.ins):
        rng = np.random.default_rng(position)
        numbers = np.array([*SPECIAL, -3.0, 0.5, 700.0, -700.0, *rng.uniform(-4, 4, 12)])
        axes.append(np.array([False, True]) if aval.dtype == bool else numbers)
    return [np.ascontiguousarray(a.ravel()) for a in np.meshgrid(*axes, indexing="ij")]


@pytest.mark.parametrize(
    "index", range(len(CASES)), ids=[" ".join([c[0].name, *c[2].values()]) for c in CASES]
)
def test_expression_computes_what_the_kernel_computes(library: ctypes.CDLL, index: int) -> None:
    op, bound, attrs = CASES[index]
    arrays = _expression_inputs(bound)
    if bound.outs[0].dtype.kind == "i":
        # C leaves the conversion of what does not fit open.
        arrays = [a[np.isfinite(a)] for a in arrays]
    size = arrays[0].size
    [expected] = launch(op.bind(tuple(map(spec_of, arrays)), tuple(attrs.values())), arrays)
    found = np.empty_like(expected)
    pointers = [ctypes.c_void_p(a.ctypes.data) for a in (*arrays, found)]
    library[f"f{index}"](ctypes.c_int64(size), *pointers)
    if found.dtype.kind == "f":
        np.testing.assert_array_max_ulp(
            found[~np.isnan(expected)], expected[~np.isnan(expected)], 4
        )
        np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    else:
        np.testing.assert_array_equal(found, expected)
