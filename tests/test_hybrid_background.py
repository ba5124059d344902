"""Compiling in the background: calls go on as eager code until it is done."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import diptych as dt
from diptych.errors import ArgumentError
from diptych.hybrid import function

X = np.linspace(-1, 1, 6, dtype=np.float32)


def f(x):
    return dt.tanh(x) * 2


def leaf(numbers=X):
    return dt.tensor(numbers, requires_grad=True)


def is_compiled(result):
    return result.grad_fn.name == "f"


@pytest.fixture
def held_back(monkeypatch):
    """The compiler waits until this event is set."""
    event = threading.Event()
    compile_graph = function.compile_graph

    def wait_and_compile(*args, **options):
        assert event.wait(60)
        return compile_graph(*args, **options)

    monkeypatch.setattr(function, "compile_graph", wait_and_compile)
    yield event
    event.set()


def finish(*functions):
    end = time.monotonic() + 60
    while any(g.is_compiling for g in functions):
        assert time.monotonic() < end
        time.sleep(0.001)


@pytest.mark.parametrize("executor", ["planned", "native"])
def test_calls_change_over_when_it_is_done(held_back, executor):
    g = dt.compile(f, executor=executor, background=True)
    results = [g(leaf()) for _ in range(3)]
    assert g.is_compiling and not any(map(is_compiled, results)) and g.compile_s == 0
    held_back.set()
    finish(g)
    x = leaf()
    y = g(x)
    assert is_compiled(y) and g.traces == 1
    np.testing.assert_allclose(y.tolist(), results[0].tolist(), rtol=1e-6)
    spent = g.compile_s
    y.sum().backward()
    assert g.compile_s == spent  # the backward pass was there, too
    np.testing.assert_allclose(x.grad.tolist(), 2 - 2 * np.tanh(X) ** 2, rtol=1e-5)


def test_sizes_are_compiled_ahead(held_back):
    g = dt.compile(f, executor="native", background=True)
    for n in (4, 5, 6):
        assert not is_compiled(g(leaf(np.ones(n, np.float32))))
    held_back.set()
    finish(g)
    spent = g.compile_s
    for n in (4, 5, 6):
        assert is_compiled(g(leaf(np.ones(n, np.float32))))
    assert g.compile_s == spent and g.traces == 2


def test_what_fails_goes_on_as_eager_code(monkeypatch):
    def fail(*args, **options):
        raise RuntimeError("no more room")

    monkeypatch.setattr(function, "compile_graph", fail)
    g = dt.compile(f, background=True)
    with pytest.warns(RuntimeWarning, match="f must be compiled, got RuntimeError: no more room"):
        g(leaf())
        finish(g)
    assert not is_compiled(g(leaf()))
    assert "failed: RuntimeError: no more room" in g.explain()


def test_another_trace_is_compiled_in_its_turn(held_back):
    scale = [1.0]

    def f(x):
        return dt.tanh(x) * scale[0]

    g = dt.compile(f, background=True)
    g(leaf())
    held_back.set()
    finish(g)
    held_back.clear()
    assert is_compiled(g(leaf()))
    scale[0] = 3.0
    assert not is_compiled(g(leaf())) and g.is_compiling
    scale[0] = 1.0
    np.testing.assert_allclose(g(leaf()).tolist(), np.tanh(X), rtol=1e-6)
    held_back.set()
    finish(g)
    for scale[0] in (3.0, 1.0):
        y = g(leaf())
        assert is_compiled(y)
        np.testing.assert_allclose(y.tolist(), np.tanh(X) * scale[0], rtol=1e-6)


def test_threads_may_call_meanwhile(held_back):
    g = dt.compile(f, background=True)
    wrong = []

    def call():
        for _ in range(200):
            x = leaf()
            y = g(x)
            y.sum().backward()
            if not np.allclose(y.tolist(), 2 * np.tanh(X)) or x.grad is None:
                wrong.append(y)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    held_back.set()
    for thread in threads:
        thread.join()
    finish(g)
    assert not wrong and g.traces == 1 and is_compiled(g(leaf()))


def test_what_is_deterministic_does_not_change_over():
    with pytest.raises(ArgumentError, match="must not change from eager to compiled code"):
        dt.compile(f, background=True, deterministic=True)
    assert is_compiled(dt.compile(f, deterministic=True)(leaf()))


START = """
import os, time
import diptych as dt
from diptych.hybrid import function
compile_graph = function.compile_graph
def slowly(*args, **options):
    print('compiling', flush=True)
    time.sleep(0.3)
    return compile_graph(*args, **options)
function.compile_graph = slowly
def run():
    f = dt.compile(lambda x: dt.tanh(x) * 2, gate=False, background=True)
    f(dt.ones((3,)))
    return f
fs = [run() for _ in range(20)]
"""


def _run(source):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", START + source],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_a_process_that_ends_waits_for_one_job_at_most():
    done = _run("")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("compiling") < 20


def test_a_process_that_ends_does_not_complain_of_code_that_it_has_no_more_time_for():
    code = """
import diptych as dt
f = dt.compile(lambda x: dt.tanh(x) @ x, executor="native", gate=False, background=True)
f(dt.ones((7, 7)))
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "DIPTYCH_PROGRAM_CACHE": "0"}, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_compiles_for_itself():
    done = _run("""
child = os.fork()
if child == 0:
    x = dt.ones((3,))
    assert not fs[-1].is_compiling
    for _ in range(3000):
        fs[-1](x)
    while fs[-1].is_compiling:
        time.sleep(0.01)
    print(fs[-1].compile_s > 0, fs[-1](x).tolist() == (dt.tanh(x) * 2).tolist(), flush=True)
    os._exit(0)
os.waitpid(child, 0)
""")
    assert done.returncode == 0 and "True True" in done.stdout, done.stderr
