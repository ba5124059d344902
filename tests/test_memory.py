"""Memory of large arrays: kept for the next ones, counted, bounded, given back."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest

import diptych as dt
from diptych.graphs.compiled import over_blocks, universal

pytestmark = pytest.mark.skipif(not dt.is_compiled(), reason="the extension is not built")

MIB = 1 << 20
ADD = universal(np.add)


@pytest.fixture(autouse=True)
def _nothing_waits() -> Iterator[None]:
    dt.empty_cache()
    yield
    dt.empty_cache()


def large(mib: float = 1.0, dtype: str = "float32") -> np.ndarray:
    """An array over a block, made by a kernel."""
    size = int(mib * MIB) // np.dtype(dtype).itemsize
    x = np.ones(size, dtype)
    return ADD(x, x)


def address(array: np.ndarray) -> int:
    return int(array.ctypes.data)


def allocated() -> int:
    return dt.memory_stats().allocated_bytes


def run(script: str, *args: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", script, *args], capture_output=True, text=True, check=True
    ).stdout


def test_an_array_takes_the_memory_that_one_of_its_size_left() -> None:
    first = large()
    place = address(first)
    second = large()
    assert address(second) != place
    del first
    third = large()
    assert address(third) == place
    assert address(third) % 64 == 0


def test_counts_are_exact() -> None:
    before = dt.memory_stats()
    dt.reset_peak_memory_stats()
    x, y = large(1), large(3, "float64")
    stats = dt.memory_stats()
    assert stats.allocated_bytes - before.allocated_bytes == 4 * MIB
    assert stats.allocations - before.allocations == 2
    assert stats.reserved_bytes >= stats.allocated_bytes
    del x, y
    after = dt.memory_stats()
    assert after.allocated_bytes == before.allocated_bytes
    assert after.peak_allocated_bytes == stats.peak_allocated_bytes >= 4 * MIB
    assert after.reserved_bytes == stats.reserved_bytes
    x = large(1)
    assert dt.memory_stats().reused == stats.reused + 1
    del x
    dt.empty_cache()
    assert dt.memory_stats().reserved_bytes <= stats.reserved_bytes - 4 * MIB
    dt.reset_peak_memory_stats()
    now = dt.memory_stats()
    assert now.peak_allocated_bytes == now.allocated_bytes
    assert now.peak_reserved_bytes == now.reserved_bytes


def test_small_arrays_are_left_to_numpy() -> None:
    before = dt.memory_stats().allocations
    x = dt.ones(100)
    assert (dt.exp(x) + x).shape == (100,)
    assert dt.memory_stats().allocations == before


def test_arrays_are_ordinary_ones() -> None:
    before = allocated()
    x = large()
    assert x.flags.owndata and x.flags.carray and x.base is None
    content = x.copy()
    for size in (x.size // 2, x.size * 3, 10, x.size):
        x.resize(size, refcheck=False)
        kept = min(size, content.size)
        assert x.size == size and (x[:kept] == content[:kept]).all()
        content = x.copy()
    del x
    assert allocated() == before


def test_an_array_may_change_what_it_shows_before_it_dies() -> None:
    before = allocated()
    x = large()
    x.dtype = np.dtype(np.uint8)
    x.shape = (-1, 2)
    del x
    assert allocated() == before


def test_kernels_that_call_numpy_use_blocks() -> None:
    x = dt.rand(400, 400)
    before = dt.memory_stats().allocations
    y = x @ x
    z = dt.concat([x, x])
    assert dt.memory_stats().allocations >= before + 2
    assert y.array.flags.owndata and z.array.flags.owndata
    plain = np.ones((400, 400)) + 1  # what others make is their own affair
    assert plain.sum() == 2 * 400 * 400


def test_zeros_are_zeros_over_memory_that_was_used() -> None:
    zeros = over_blocks(np.zeros)
    for _ in range(3):
        x = zeros(MIB)
        assert not x.any()
        x[:] = 1
        del x
    assert dt.memory_stats().reused >= 2


def test_a_kernel_that_raises_leaves_the_allocator_as_it_was() -> None:
    def refuse() -> None:
        np.ones(MIB)
        raise KeyError("refused")

    before = np._core.multiarray.get_handler_name()
    with pytest.raises(KeyError, match="refused"):
        over_blocks(refuse)()
    assert np._core.multiarray.get_handler_name() == before
    assert np._core.multiarray.get_handler_name(large()) == "diptych"


def test_little_more_waits_than_was_in_use() -> None:
    for mib in range(1, 40):
        large(mib)  # each of another size
        stats = dt.memory_stats()
        assert stats.reserved_bytes - stats.allocated_bytes <= 2.5 * mib * MIB + 65 * MIB


def test_what_the_system_has_not_is_an_error_and_gives_back_what_waits() -> None:
    script = """
import resource, numpy as np, diptych as dt
from diptych.graphs.compiled import over_blocks, universal
x = np.ones(16 << 20, np.float32)
add = universal(np.add)
add(x, x); add(x, x)
waits = dt.memory_stats().reserved_bytes
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 20),) * 2)
y = add(x[: 15 << 20], x[: 15 << 20])  # there is room only if the other block goes
print(waits >= 64 << 20, dt.memory_stats().reserved_bytes < waits, float(y[-1]))
try:
    add(np.broadcast_to(np.float32(1), (1 << 20, 1 << 10)), np.float32(1))
except MemoryError as error:
    print("Unable to allocate" in str(error))
try:
    over_blocks(np.zeros)(1 << 32)
except MemoryError as error:
    print("MemoryError")
"""
    assert run(script).splitlines() == ["True True 2.0", "True", "MemoryError"]


def test_a_shape_that_no_memory_has_is_an_error() -> None:
    one = np.ones((), np.float32)
    with pytest.raises((MemoryError, ValueError)):
        ADD(np.broadcast_to(one, (1 << 40, 1)), np.broadcast_to(one, (1, 1 << 40)))


def test_threads_share_it() -> None:
    before = allocated()
    wrong: list[int] = []

    def work(number: int) -> None:
        kept: list[np.ndarray] = []
        for turn in range(200):
            x = np.full(20_000 + 3_000 * (turn % 7), number, np.float32)
            kept.append(ADD(x, x))
            if len(kept) > 4:
                wrong.extend(turn for y in kept if (y != 2 * number).any())
                del kept[turn % 3 :]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert allocated() == before


def test_an_array_may_die_on_another_thread_than_it_was_made_on() -> None:
    before = allocated()
    made = [large() for _ in range(8)]
    thread = threading.Thread(target=made.clear)
    thread.start()
    thread.join()
    assert allocated() == before


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_has_it_too() -> None:
    x = large()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        y = ADD(x, x)
        x = ADD(y, y)
        del y
        dt.empty_cache()
        os.write(writer, b"%d" % int(x[-1]))
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert os.read(reader, 10) == b"8"
    assert (x == 2).all()


def test_arrays_outlive_everything() -> None:
    script = """
import os, sys, numpy as np, diptych as dt
class Late:
    def __init__(self): self.x = dt.exp(dt.zeros((1000, 1000))).array
    def __del__(self, write=os.write): write(1, b"%d " % self.x.item(-1))
sys.late = Late()
kept = Late()
"""
    assert run(script).split() == ["1"] * 2


def test_memory_stays_flat_over_many_steps() -> None:
    x = np.ones(20_000, np.float32)
    wide = dt.from_numpy(x)

    def steps(count: int) -> None:
        for turn in range(count):
            y = wide[: 17_000 + turn % 300 * 10] * 0.5
            (y + y).sum()

    steps(500)
    reserved = dt.memory_stats().reserved_bytes
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    steps(10_000)
    assert dt.memory_stats().reserved_bytes <= reserved
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used < 4096  # KiB


def test_training_gives_back_what_it_used() -> None:
    before = allocated()
    model = dt.nn.Linear(300, 300)
    x = dt.rand(300, 300)
    for _ in range(3):
        model(x).tanh().sum().backward()
        kept = allocated()
    assert kept > before
    del model, x
    assert allocated() == before


def test_a_change_in_place_needs_no_memory_of_its_own() -> None:
    x, y = dt.ones((1000, 1000)), dt.ones((1000, 1000))
    memory = x.array
    before = dt.memory_stats().allocations
    x += y
    x *= 2.0
    x -= y
    x /= x
    assert dt.memory_stats().allocations == before
    assert x.array is memory and (memory == 1).all() and x.storage.version == 4


def test_a_backward_pass_lets_go_of_what_it_has_used() -> None:
    leaves = [dt.rand(100_000).requires_grad_() for _ in range(10)]

    def most(**options: bool) -> int:
        y = leaves[0]
        for leaf in leaves:
            y = y * leaf  # the rule reads both
            leaf.grad = None
        total = y.sum()
        del y
        before = allocated()
        dt.reset_peak_memory_stats()
        total.backward(**options)
        return dt.memory_stats().peak_allocated_bytes - before

    # What the last products saved makes room for the gradients of the first leaves.
    assert most() <= most(retain_graph=True) - 6 * leaves[0].array.nbytes
