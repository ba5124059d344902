"""The scalar mathematics of generated code: how exact it is, and that loops over it are vectors."""

from __future__ import annotations

import ctypes
import math
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from registry import KERNELS

from diptych.graphs import kernels

pytestmark = pytest.mark.usefixtures("special_values")

HEADER = Path(kernels.__file__).with_name("native") / "vector_math.h"
FLAGS = [
    "-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", f"-I{HEADER.parent}",
]  # fmt: skip

# Bounds on the distance from the exact result, in units of the result's last place: the largest
# that was measured, of builds with and without fused multiply-adds, rounded up. Measured over every
# float up to atanh, over one in 7 or 31 of the others, and over 50 million pairs or doubles.
BOUNDS = {
    "float": {
        "exp": 1.05, "expm1": 1.7, "log": 0.92, "log2": 0.51, "log10": 0.51, "log1p": 1.5,
        "tanh": 2.6, "sinh": 0.7, "cosh": 0.54, "asinh": 0.51, "acosh": 0.51, "atanh": 0.51,
        "sin": 1.6, "cos": 1.6, "tan": 3.6, "asin": 2.1, "acos": 2.05, "atan": 1.9,
        "erf": 3.2, "erfc": 5.1, "pow": 0.56, "hypot": 0.51, "atan2": 2.0,
    },
    "double": {"exp": 1.04, "expm1": 1.9, "log": 0.82, "log1p": 1.4, "tanh": 2.7},
}  # fmt: skip
OF_TWO = ("atan2", "copysign", "fmod", "hypot", "nextafter", "pow")
TESTS = ("isfinite", "isinf", "signbit")
CASES = [(name, c_type) for c_type, bounds in BOUNDS.items() for name in bounds]

DTYPES = {"float": np.dtype(np.float32), "double": np.dtype(np.float64)}
NUMPY = {
    "acos": np.arccos, "acosh": np.arccosh, "asin": np.arcsin, "asinh": np.arcsinh,
    "atan": np.arctan, "atan2": np.arctan2, "atanh": np.arctanh, "pow": np.power,
    "erf": np.vectorize(math.erf, otypes=[float]), "erfc": np.vectorize(math.erfc, otypes=[float]),
    "round": lambda x: np.trunc(x + np.copysign(0.5, x)), "rsqrt": lambda x: 1 / np.sqrt(x),
}  # fmt: skip

_LOOPS = """
#include <math.h>
#include "vector_math.h"
#define OF_ONE(name, type, result)                                                        \\
    void name##_##type(int64_t n, const type *x, result *out) {                           \\
        for (int64_t i = 0; i < n; i++) out[i] = dt_##name##_##type(x[i]);                \\
    }
#define OF_TWO(name, type, result)                                                        \\
    void name##_##type(int64_t n, const type *x, const type *y, result *out) {            \\
        for (int64_t i = 0; i < n; i++) out[i] = dt_##name##_##type(x[i], y[i]);          \\
    }
"""
# The distance of results from those of a wider type. A wrong kind or sign is infinitely far.
_DISTANCES = """
#define DISTANCE(type, wide, suffix, digits, lowest)                                      \\
    static double from_##type(type value, wide exact) {                                   \\
        type expected = (type)exact;                                                      \\
        if (!isfinite(expected) || !isfinite(value))                                      \\
            return value == expected || (isnan(expected) && isnan(value)) ? 0 : INFINITY; \\
        if (value == expected) /* correctly rounded, as most are: be quick */            \\
            return value != 0 || !signbit(expected) == !signbit(value) ? 0.5 : INFINITY;  \\
        int exponent = exact == 0 ? lowest : ilogb##suffix(exact);                        \\
        if (exponent < lowest) exponent = lowest;                                         \\
        return (double)fabs##suffix(scalbn##suffix((wide)value - exact, digits - exponent)); \\
    }
DISTANCE(float, double, , 23, -126)
DISTANCE(double, long double, l, 52, -1022)
#define FURTHEST(name, type, parameters, exact)                                           \\
    double furthest_##name##_##type parameters {                                          \\
        double furthest = 0;                                                              \\
        for (int64_t i = 0; i < n; i++) {                                                 \\
            double distance = from_##type(out[i], exact);                                 \\
            if (distance > furthest) furthest = distance, *where = i;                     \\
        }                                                                                 \\
        return furthest;                                                                  \\
    }
"""


def _functions() -> list[str]:
    return sorted(set(re.findall(r"DT_\w+LIBM(?:_OF_TWO)?\((\w+)\)", HEADER.read_text()))
                  - {"name"} | set(BOUNDS["float"]) | {"rsqrt", *TESTS})  # fmt: skip


def _source() -> str:
    lines = [_LOOPS, _DISTANCES]
    for name in _functions():
        kind = "OF_TWO" if name in OF_TWO else "OF_ONE"
        lines += [f"{kind}({name}, {t}, {'_Bool' if name in TESTS else t})" for t in DTYPES]
    for name, c_type in CASES:
        wide, suffix = ("double", "") if c_type == "float" else ("long double", "l")
        operands = ["x", "y"] if name in OF_TWO else ["x"]
        pointers = "".join(f"const {c_type} *{operand}, " for operand in operands)
        parameters = f"(int64_t n, {pointers}const {c_type} *out, int64_t *where)"
        exact = f"{name}{suffix}({', '.join(f'({wide}){operand}[i]' for operand in operands)})"
        lines.append(f"FURTHEST({name}, {c_type}, {parameters}, {exact})")
    return "\n".join(lines) + "\n"


def _compiler() -> str:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler named cc")
    return compiler


def _compiled(folder: Path, source: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "loops.c").write_text(source)
    command = [
        _compiler(),
        *FLAGS,
        "-shared",
        "-fPIC",
        *options,
        "loops.c",
        "-o",
        "loops.so",
        "-lm",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module", params=[["-march=native"], []], ids=["native", "oldest"])
def library(request: Any, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """Built for this machine, and for the oldest of its kind: without fused multiply-adds."""
    folder = tmp_path_factory.mktemp("vector_math")
    _compiled(folder, _source(), *request.param)
    built = ctypes.CDLL(str(folder / "loops.so"))
    built.step = 1 if request.param else 31  # of the floats that the largest test goes through
    return built


def _pointers(*arrays: np.ndarray) -> list[ctypes.c_void_p]:
    return [ctypes.c_void_p(array.ctypes.data) for array in arrays]


def _computed(library: ctypes.CDLL, name: str, *operands: np.ndarray) -> np.ndarray:
    [c_type] = (t for t, dtype in DTYPES.items() if dtype == operands[0].dtype)
    out = np.empty(operands[0].shape, bool if name in TESTS else operands[0].dtype)
    library[f"{name}_{c_type}"](ctypes.c_int64(out.size), *_pointers(*operands, out))
    return out


def _check_bound(library: ctypes.CDLL, name: str, *operands: np.ndarray) -> None:
    [c_type] = (t for t, dtype in DTYPES.items() if dtype == operands[0].dtype)
    out, where = _computed(library, name, *operands), ctypes.c_int64()
    furthest = library[f"furthest_{name}_{c_type}"]
    furthest.restype = ctypes.c_double
    distance = furthest(ctypes.c_int64(out.size), *_pointers(*operands, out), ctypes.byref(where))
    at = [operand[where.value] for operand in operands]
    result = out[where.value]
    assert distance <= BOUNDS[c_type][name], f"{name}({at}) = {result!r}: {distance:.3f} units"


def _drawn(name: str, c_type: str, count: int, seed: int = 0) -> list[np.ndarray]:
    """Any bits at all, and numbers where the function is neither flat nor infinite."""
    rng, dtype = np.random.default_rng(seed), DTYPES[c_type]
    shape = (2 if name in OF_TWO else 1, count // 4)
    anything = rng.integers(0, 256, (shape[0], shape[1] * dtype.itemsize), np.uint8).view(dtype)
    near, far = rng.uniform(-3, 3, shape), rng.uniform(-750, 750, shape)
    spread = rng.choice([-1, 1], shape) * np.exp(rng.uniform(-40, 40, shape))
    if name == "pow":  # results of every size
        spread = np.abs(spread)
        spread[1] = rng.uniform(-104, 90, count // 4) / np.log(spread[0])
        near[1] = np.rint(near[1] * 10)
    return list(
        np.concatenate([anything, near, far, spread], axis=1, dtype=dtype, casting="unsafe")
    )


def _skip_without_wider(c_type: str) -> None:
    if c_type == "double" and np.finfo(np.longdouble).nmant <= np.finfo(np.float64).nmant:
        pytest.skip("long double is no wider than double here")


@pytest.mark.parametrize("name, c_type", CASES)
def test_results_are_within_their_bounds(library, name, c_type):
    _skip_without_wider(c_type)
    _check_bound(library, name, *_drawn(name, c_type, 1 << 19))
    if c_type == "float" and name not in OF_TWO:
        # An odd step: what is lost in rounding depends on the last bits.
        bits = np.arange(1 << 20, dtype=np.uint32) * np.uint32(4097)
        _check_bound(library, name, bits.view(np.float32))


@pytest.mark.full
@pytest.mark.parametrize("name, c_type", CASES)
def test_results_are_within_their_bounds_everywhere(library, name, c_type):
    _skip_without_wider(c_type)
    block = 1 << 20

    def check(turn: int) -> None:
        if c_type == "float" and name not in OF_TWO:
            bits = np.arange(turn * block, (turn + 1) * block, library.step, np.uint32)
            _check_bound(library, name, bits.view(np.float32))
        elif turn < 50:
            _check_bound(library, name, *_drawn(name, c_type, block, seed=turn + 1))

    with ThreadPoolExecutor() as pool:
        list(pool.map(check, range((1 << 32) // block)))


def _special(c_type: str) -> np.ndarray:
    limits = np.finfo(DTYPES[c_type])
    sizes = [
        0, limits.smallest_subnormal, limits.tiny * 0.7, limits.tiny, limits.eps, 1e-3, 0.5, 1, 1.5,
        2, 2.5, 3, 4, 10, 87, 89, 104, 709, 711, 746, 2**24 - 1, 2**53 - 1, 1e10, 1e30, limits.max,
        np.inf,
    ]  # fmt: skip
    values = np.array([*sizes, np.nan], DTYPES[c_type])
    return np.concatenate([values, -values])


@pytest.mark.parametrize("c_type", DTYPES)
@pytest.mark.parametrize("name", _functions())
def test_special_values_are_numpys(library, name, c_type):
    operands = [_special(c_type)]
    if name in OF_TWO:
        operands = [grid.ravel() for grid in np.meshgrid(operands[0], operands[0])]
    function = NUMPY.get(name) or getattr(np, name)
    result, expected = _computed(library, name, *operands), function(*operands)
    assert np.array_equal(np.isnan(result), np.isnan(expected))
    known = ~np.isnan(expected)
    assert np.array_equal(np.signbit(result[known]), np.signbit(expected[known]))
    tiny = np.finfo(DTYPES[c_type]).smallest_subnormal
    eps = np.finfo(DTYPES[c_type]).eps
    np.testing.assert_allclose(result, expected.astype(result.dtype), rtol=4 * eps, atol=tiny)


@pytest.mark.parametrize("name, c_type", CASES)
def test_a_result_does_not_depend_on_its_place_in_the_loop(library, name, c_type):
    operands = _drawn(name, c_type, 1 << 12)
    whole = _computed(library, name, *operands)
    single = [
        _computed(library, name, *(operand[i : i + 1] for operand in operands))
        for i in range(0, whole.size, 7)
    ]
    np.testing.assert_array_equal(whole[::7], np.concatenate(single))


def test_loops_are_vectorised(tmp_path):
    version = subprocess.run([_compiler(), "--version"], capture_output=True, text=True).stdout
    if "Free Software Foundation" not in version:
        pytest.skip("the report is GCC's")
    macros = subprocess.run(
        [_compiler(), "-march=native", "-dM", "-E", "-x", "c", "/dev/null"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    if "__AVX2__" not in macros:
        pytest.skip("without AVX2, some functions have no vector instructions")
    plain = ("fabs", "sqrt", "rsqrt", "floor", "ceil", "rint", "trunc", "copysign", *TESTS)
    cases = [*CASES, *((name, c_type) for name in plain for c_type in DTYPES)]
    loops = [
        f"{'OF_TWO' if name in OF_TWO else 'OF_ONE'}({name}, {c_type}, "
        f"{'_Bool' if name in TESTS else c_type})"
        for name, c_type in cases
    ]
    report = _compiled(
        tmp_path, _LOOPS + "\n".join(loops), "-march=native", "-fopt-info-vec-optimized"
    ).stderr
    first = _LOOPS.count("\n") + 1
    lines = {int(line) for line in re.findall(r"loops\.c:(\d+):\d+: optimized: loop vec", report)}
    assert {cases[line - first] for line in lines} == set(cases)


def test_every_function_of_the_operators_is_there():
    called = {
        name
        for op in KERNELS.values()
        if op.expr is not None
        for name in re.findall(r"\b([a-z]\w*)\(", op.expr)
    }
    assert "erfc" in called
    assert called <= set(_functions())


@pytest.mark.parametrize("language", [["-std=c99", "-x", "c"], ["-std=c++11", "-x", "c++"]])
def test_the_header_is_plain_and_stands_alone(language):
    if "c++" in language and shutil.which("c++") is None:
        pytest.skip("there is no C++ compiler")
    strict = ["-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", *language, "-"]
    code = f'#include "{HEADER}"\nfloat f(float x) {{ return dt_exp_float(x); }}\n'
    done = subprocess.run(
        [_compiler(), *FLAGS, *strict], input=code, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.findall(r"#include (\S+)", HEADER.read_text()) == ["<stdint.h>"]
