"""Loops over many numbers: all threads of the pool, and the bits of one."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import diptych as dt
from diptych.graphs.compiled import universal
from diptych.graphs.kernels.library import library

pytestmark = pytest.mark.skipif(
    not dt.is_compiled() or library() is None, reason="the package was built without a compiler"
)

SIZE = 300_017  # many, and no multiple of any vector
UNARY = [
    np.tanh, np.exp, np.log, np.sin, np.cos, np.expm1, np.log1p, np.sqrt, np.cbrt, np.negative,
    np.square, np.isnan, np.rint, np.arcsinh,
]  # fmt: skip
BINARY = [
    np.add, np.subtract, np.multiply, np.divide, np.power, np.arctan2, np.maximum, np.less,
    np.logaddexp, np.floor_divide, np.remainder, np.hypot, np.copysign,
]  # fmt: skip


def operand(dtype: str, shape: tuple[int, ...] = (SIZE,), seed: int = 0) -> np.ndarray:
    """Numbers of many sizes, with zeros, infinities and NaN among them."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 4, shape)
    if dtype[0] not in "fc":
        return rng.integers(1, 100, shape).astype(dtype)
    for start, value in enumerate((0.0, -0.0, np.inf, -np.inf, np.nan)):
        x.reshape(-1)[start * 7 :: 1009] = value
    with np.errstate(all="ignore"):
        return x.astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "complex64", "int64", "uint8"])
@pytest.mark.parametrize("ufunc", [*UNARY, *BINARY], ids=lambda ufunc: ufunc.__name__)
def test_bits_are_the_ufuncs_on_any_number_of_threads(ufunc: np.ufunc, dtype: str) -> None:
    if ufunc is np.power and dtype[0] not in "fc":
        pytest.skip("integers are checked before")
    kernel = universal(ufunc)
    whole = [operand(dtype, seed=seed) for seed in range(ufunc.nin)]
    for xs in (whole, [x[1:] for x in whole], [whole[0], *(x[3:4] for x in whole[1:])]):
        try:
            with np.errstate(all="ignore"):
                expected = ufunc(*xs)
        except TypeError:
            return
        for threads in (1, 2, 3):
            dt.set_num_threads(threads)
            assert kernel(*xs).tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    "shapes",
    [((501, 601), (601,)), ((501, 601), (501, 1)), ((3, 100_001), (3, 1)), ((2, 3, 50_001), (3, 1)),
     ((1, 300_001), (1,)), ((40, 1, 90), (90, 1))],
    ids=str,
)  # fmt: skip
def test_broadcast_and_strided_operands_are_shared_out(shapes: tuple[tuple[int, ...], ...]) -> None:
    kernel = universal(np.arctan2)
    x, y = (operand("float32", shape, seed) for seed, shape in enumerate(shapes))
    for a, b in [(x, y), (x[..., ::-1], y), (x[::-1], y), (np.repeat(x, 2, -1)[..., ::2], y)]:
        dt.set_num_threads(1)
        expected = kernel(a, b)
        np.testing.assert_allclose(expected, np.arctan2(a, b), rtol=3e-7)
        for threads in (2, 3, 5):
            dt.set_num_threads(threads)
            assert kernel(a, b).tobytes() == expected.tobytes()


def test_results_may_lie_where_operands_lay() -> None:
    kernel = universal(np.multiply)
    x, y = operand("float32"), operand("float32", seed=1)
    expected = x * y
    for threads in (2, 3):
        dt.set_num_threads(threads)
        out = x.copy()
        assert kernel(out, y, out=out) is out
        assert out.tobytes() == expected.tobytes()
        shifted = np.concatenate([x, x[:1]])
        kernel(shifted[:-1], y, out=shifted[1:])  # what is read is written elsewhere first
        assert shifted[1:].tobytes() == expected.tobytes()


def test_all_threads_take_part() -> None:
    script = """
import os, numpy as np, diptych as dt
x = dt.from_numpy(np.ones(1_000_000, np.float32))
dt.set_num_threads(3)
before = len(os.listdir("/proc/self/task"))
(x + x).sum()
print(len(os.listdir("/proc/self/task")) - before)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["2"]


def test_several_callers_take_turns() -> None:
    kernel = universal(np.tanh)
    dt.set_num_threads(2)
    x = operand("float32")
    expected = kernel(x).tobytes()
    wrong: list[int] = []

    def work(number: int) -> None:
        wrong.extend(number for _ in range(20) if kernel(x).tobytes() != expected)

    callers = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_has_threads_of_its_own() -> None:
    kernel = universal(np.tanh)
    dt.set_num_threads(2)
    x = operand("float32")
    expected = kernel(x).tobytes()
    pid = os.fork()
    if pid == 0:
        same = kernel(x).tobytes() == expected
        os._exit(len(list(Path("/proc/self/task").iterdir())) if same else 0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) >= 2


def test_a_thread_that_is_not_pythons_has_an_object_for_each_of_its_calls() -> None:
    script = """
import ctypes
from diptych.graphs.compiled import Local
from diptych.graphs.kernels.library import library

@ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
def step(team, thread, pointers):
    local().append(thread)
    found.append(list(local()))

local, found = Local(list), []
for _ in range(3):
    assert library().dt_run(step, None, 2) == 0
print(*sorted(found))
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    # Python makes a state of the worker anew at each call, and its own thread keeps one.
    assert ran.stdout == "[0] [0, 0] [0, 0, 0] [1] [1] [1]\n"
