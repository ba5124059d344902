"""Kernels that call the library of native kernels: they give what their NumPy does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import diptych as dt
from diptych.errors import DiptychError
from diptych.graphs.kernels import (
    activations,
    attention,
    calls,
    convolution,
    elementwise,
    embeddings,
    losses,
    neural,
    normalization,
    pooling,
    products,
)

pytestmark = pytest.mark.skipif(
    not calls.is_native(np, np.zeros(1)), reason="the library is not built"
)

_CLOSE = {"float32": {"rtol": 2e-5, "atol": 2e-5}, "float64": {"rtol": 1e-12, "atol": 1e-12}}
_CONV = {"stride": (2, 1), "padding": ((1, 0), (2, 1)), "dilation": (1, 2), "groups": 1}
_FLAT = {"stride": (1,), "padding": ((1, 1),), "dilation": (1,), "groups": 2}
_POOL = {"kernel_size": (3, 2), "stride": (2, 2), "padding": ((1, 1), (0, 0))}
_MEAN = {**_POOL, "count_include_pad": True}
_ATTENTION = {"is_causal": True, "scale": 0.5}
_EPS = {"eps": 1e-3}
_LOSS = {"label_smoothing": 0.1, "ignore_index": 3, "reduction": "mean"}


def _of_numpy(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arrays, **attrs: function(np, *arrays, **attrs)


@dataclass(frozen=True)
class Case:
    """A kernel, the shapes of its operands (labels below a number: a pair of both), attributes, and
    whether bits are the same however many threads there are."""

    name: str
    kernel: Callable[..., Any]
    shapes: tuple[Any, ...]
    attrs: dict[str, Any] = field(default_factory=dict)
    steady: bool = True


CASES = [
    Case("matmul", products.matmul, ((70, 90), (90, 80))),
    Case("matmul-deep", products.matmul, ((20, 1100), (1100, 33))),
    Case("matmul-shared", products.matmul, ((3, 2, 40, 50), (50, 70))),
    Case("matmul-broadcast", products.matmul, ((3, 1, 40, 50), (2, 50, 70))),
    Case("conv", _of_numpy(convolution.convolution), ((3, 5, 9, 11), (7, 5, 3, 2)), _CONV),
    Case("conv-groups", _of_numpy(convolution.convolution), ((3, 4, 9), (6, 2, 3)), _FLAT),
    Case("conv-weight", _of_numpy(convolution.convolution_weight_grad),
         ((3, 5, 9, 11), (3, 7, 4, 12)), {**_CONV, "size": (3, 2)}, steady=False),
    Case("conv-transpose", _of_numpy(convolution.transposed_convolution),
         ((3, 7, 4, 12), (7, 5, 3, 2)), {**_CONV, "output_padding": (0, 0)}),
    Case("max-pool", _of_numpy(pooling.max_pool), ((2, 5, 8, 9),),
         {**_POOL, "dilation": (1, 1), "ceil_mode": False}),
    Case("avg-pool", _of_numpy(pooling.avg_pool), ((2, 5, 8, 9),), {**_MEAN, "ceil_mode": True}),
    Case("avg-pool-grad", _of_numpy(pooling.avg_pool_grad), ((2, 5, 4, 4),),
         {**_MEAN, "ceil_mode": False, "size": (8, 9)}),
    Case("attention", _of_numpy(attention.attention),
         ((2, 3, 40, 16), (2, 3, 40, 16), (2, 3, 40, 8), (40, 40)), _ATTENTION),
    Case("attention-grad", _of_numpy(attention.attention_grad),
         ((2, 3, 40, 16), (2, 3, 40, 16), (2, 3, 40, 8), (40, 40), (2, 3, 40, 8)), _ATTENTION,
         steady=False),
    Case("cross-entropy", _of_numpy(losses.cross_entropy), ((6, 7, 10), ((6, 7), 10)), _LOSS,
         steady=False),
    Case("cross-entropy-grad", _of_numpy(losses.cross_entropy_grad),
         ((6, 7, 10), ((6, 7), 10), ()), _LOSS),
    Case("nll-loss", _of_numpy(losses.nll_loss), ((6, 10), ((6,), 10)),
         {"ignore_index": None, "reduction": "none"}),
    Case("nll-loss-grad", _of_numpy(losses.nll_loss_grad), (((6,), 10), (6,)),
         {"ignore_index": None, "reduction": "none", "classes": 10}),
    Case("embedding", _of_numpy(embeddings.embedding), (((4, 5), 9), (9, 6)),
         {"padding_idx": None}),
    Case("embedding-grad", _of_numpy(embeddings.embedding_grad), ((4, 5, 6), ((4, 5), 9)),
         {"count": 9, "padding_idx": 2}),
    *(Case(f.__name__, _of_numpy(f), ((3, 50, 7),)) for f in
      (activations.silu, activations.gelu_tanh, activations.gelu_tanh_slope)),
    *(Case(f.__name__, _of_numpy(f), ((3, 50, 7),)) for f in
      (elementwise.relu, elementwise.sigmoid)),
    Case("softmax", _of_numpy(neural.softmax), ((5, 6, 37),), {"axis": 2}),
    Case("log-softmax", _of_numpy(neural.log_softmax), ((5, 6, 37),), {"axis": 2}),
    Case("batch-norm", _of_numpy(normalization.batch_norm), ((4, 5, 6, 7), (5,), ()), _EPS),
    Case("batch-norm-inference", _of_numpy(normalization.batch_norm_inference),
         ((4, 5, 6, 7), (5,), (5,), (), (5,)), {"eps": 1.0}),
    Case("batch-norm-grad", _of_numpy(normalization.batch_norm_grad),
         ((4, 5, 6, 7), (5,), (5,), (5,), (4, 5, 6, 7), (5,), (5,)), {"eps": 1.0}),
    Case("layer-norm", _of_numpy(normalization.layer_norm), ((9, 5, 21), (5, 21), ()),
         {**_EPS, "shape": (5, 21)}),
    Case("layer-norm-grad", _of_numpy(normalization.layer_norm_grad),
         ((70, 21), (21,), (70, 21)), {**_EPS, "shape": (21,)}),
]  # fmt: skip
case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def _operands(case: Case, dtype: str) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    found = []
    for shape in case.shapes:
        if len(shape) == 2 and isinstance(shape[0], tuple):
            found.append(rng.integers(0, shape[1], shape[0]))
        else:
            found.append(np.asarray(rng.normal(0, 0.25, shape)).astype(dtype))
    return found


def _spread(x: np.ndarray) -> np.ndarray:
    """Every second element of each axis of something larger."""
    wide = np.zeros([2 * n for n in x.shape], x.dtype)
    wide[tuple(slice(0, 2 * n, 2) for n in x.shape)] = x
    return wide[tuple(slice(0, 2 * n, 2) for n in x.shape)]


def _backwards(x: np.ndarray) -> np.ndarray:
    flip = (slice(None, None, -1),) * x.ndim
    return x[flip].copy()[flip]


def _shifted(x: np.ndarray) -> np.ndarray:
    """At an address that is no multiple of the size of an element."""
    memory = np.zeros(x.nbytes + 1, np.uint8)[1:]
    found = memory[: x.nbytes].view(x.dtype).reshape(x.shape)
    found[...] = x
    return found


def _channels_last(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1) if x.ndim > 2 else x


_LAYOUTS = [np.ascontiguousarray, np.asfortranarray, _channels_last, _spread, _backwards, _shifted]


@pytest.fixture(autouse=True)
def _all_is_large(monkeypatch) -> Iterator[None]:
    monkeypatch.setattr(products, "_LARGE", 1)
    monkeypatch.setattr(calls, "FEW", 1)
    monkeypatch.setattr(calls, "_WORTH_THREADS", 0.0)
    calls._prepared.cache_clear()
    yield
    calls._prepared.cache_clear()


def _results(case: Case, operands: list[np.ndarray]) -> list[np.ndarray]:
    found = case.kernel(*operands, **case.attrs)
    return [np.asarray(x) for x in (found if isinstance(found, tuple) else (found,))]


def _with_numpy(case: Case, operands: list[np.ndarray]) -> list[np.ndarray]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calls, "_run", None)
        return _results(case, operands)


@pytest.fixture
def ran(monkeypatch) -> list[bool]:
    """What the library said to each call."""
    said: list[bool] = []
    run = calls._run

    def noted(*args: Any) -> bool:
        said.append(run(*args))
        return said[-1]

    monkeypatch.setattr(calls, "_run", noted)
    return said


@case
@pytest.mark.parametrize("dtype", _CLOSE)
@pytest.mark.parametrize("threads", [1, 3])
def test_kernels_give_what_numpy_gives(case: Case, dtype: str, threads: int, ran) -> None:
    dt.set_num_threads(threads)
    operands = _operands(case, dtype)
    expected = _with_numpy(case, operands)
    for layout in _LAYOUTS:
        found = _results(case, [layout(x) if x.ndim else x for x in operands])
        for ours, numpys in zip(found, expected, strict=True):
            assert ours.dtype == numpys.dtype and ours.flags.c_contiguous
            np.testing.assert_allclose(ours, numpys, **_CLOSE[dtype])
    assert any(ran)


@case
def test_bits_repeat(case: Case) -> None:
    operands = _operands(case, "float32")
    by_threads = []
    for threads in (1, 2, 3):
        dt.set_num_threads(threads)
        runs = [[x.tobytes() for x in _results(case, operands)] for _ in range(3)]
        assert runs[0] == runs[1] == runs[2]
        by_threads.append(runs[0])
    if case.steady:
        assert by_threads[0] == by_threads[1] == by_threads[2]


@case
def test_results_go_where_they_are_asked_for(case: Case) -> None:
    operands = _operands(case, "float32")
    expected = _results(case, operands)
    if len(expected) > 1:
        pytest.skip("has several results")
    out = np.full_like(expected[0], np.nan)
    assert case.kernel(*operands, **case.attrs, out=out) is out
    assert out.tobytes() == expected[0].tobytes()


@case
def test_other_dtypes_are_numpys(case: Case, ran) -> None:
    operands = [x.astype("longdouble") if x.dtype.kind == "f" else x for x in
                _operands(case, "float64")]  # fmt: skip
    assert _results(case, operands)[0].dtype == np.longdouble
    assert not ran


def test_sizes_of_zero(ran) -> None:
    assert products.matmul(np.zeros((3, 0)), np.zeros((0, 4))).tolist() == [[0.0] * 4] * 3
    y = convolution.convolution(np, np.zeros((0, 5, 9, 11)), np.ones((7, 5, 3, 2)), **_CONV)
    assert y.shape == (0, 7, 4, 12)
    assert not any(ran)


@pytest.mark.parametrize("label", [-1, 10])
def test_labels_that_the_library_refuses_raise(label: int) -> None:
    logits, labels = np.zeros((4, 10), np.float32), np.array([0, 1, label, 2])
    with pytest.raises(DiptychError, match="cross_entropy: "):
        losses.cross_entropy(
            np, logits, labels, label_smoothing=0.0, ignore_index=None, reduction="mean"
        )


def test_children_of_forks_have_threads_of_their_own() -> None:
    code = """
import os, sys
import numpy as np
from diptych.graphs.kernels.products import matmul
import diptych as dt
dt.set_num_threads(2)
x = np.random.default_rng(0).normal(size=(300, 300))
before = matmul(x, x)
child = os.fork()
if not child:
    os._exit(0 if matmul(x, x).tobytes() == before.tobytes() else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env=os.environ)


def test_several_threads_of_python_take_turns() -> None:
    from concurrent.futures import ThreadPoolExecutor

    dt.set_num_threads(2)
    x = np.random.default_rng(0).normal(size=(200, 200))
    expected = products.matmul(x, x).tobytes()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: products.matmul(x, x).tobytes(), range(40)))
    assert set(found) == {expected}
