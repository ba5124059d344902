"""Which operators have native code: one that has none must be decided to have none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from registry import KERNELS, call, fill, is_array, results_of
from samples import SAMPLES

import diptych as dt
from diptych.compiler.native.support import is_native
from diptych.compiler.native.toolchain import find_compiler
from diptych.compiler.passes import NATIVE_ORDER, NATIVE_PASSES, PASSES
from diptych.graphs.dtypes import is_complex, is_float, is_integer
from diptych.graphs.ops import Op

# LAPACK computes these, by methods that are not loops over elements.
LINEAR_ALGEBRA = {
    "cholesky", "cofactor", "det", "eig", "eigh", "eigvals", "eigvalsh", "inv", "pinv", "qr",
    "slogdet", "solve", "svd", "svdvals",
}  # fmt: skip
# NumPy's transforms are as fast as ours would be, and they are of complex numbers, which generated
# code does not compute with.
TRANSFORMS = {
    "fft", "fftn", "hfft", "ifft", "ifftn", "ihfft", "irfft", "irfftn", "rfft", "rfftn"
}  # fmt: skip
WITHOUT = LINEAR_ALGEBRA | TRANSFORMS
# Products of matrices of integers are not what tiles are for; a power may be refused for its
# exponent; and the distance of integers is none that a sum of floats has.
NOT_OF_INTEGERS = {"isclose", "matmul", "pow"}
# Sums of bools are no numbers.
NOT_OF_BOOLS = {"accumulate", "isclose", "sum_to"}
# Labels as large as no array's size; and draws of floats of 16 bits, whose words are others.
ODD_LABELS = {"cross_entropy", "cross_entropy_grad", "nll_loss", "nll_loss_grad"}
SHORT_DRAWS = {"random_normal", "random_uniform"}


def is_native_throughout(op: Op, sample: Any) -> bool:
    """Whether all that becomes of a call has native code."""
    arrays = list(filter(is_array, sample.args))
    with dt.static.Graph() as g:
        fed = [g.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
        g.outputs = tuple(results_of(call(op, fill(sample.args, fed), sample.attrs)))
    graph = g
    for name in ("fold", *NATIVE_ORDER):
        graph = {**PASSES, **NATIVE_PASSES}[name](graph)
    return all(map(is_native, graph.nodes))


def is_decided(op: Op, sample: Any) -> bool:
    """Whether it is decided that a call has no native code."""
    dtypes = [a.dtype for a in filter(is_array, sample.args)]
    dtypes += [np.dtype(a) for a in sample.attrs.values() if isinstance(a, type | np.dtype)]
    complex_ = any(map(is_complex, dtypes)) or str(sample.attrs.get("dtype", "")).startswith("comp")
    whole = dtypes and not any(map(is_float, dtypes))
    return bool(
        op.name in WITHOUT
        or complex_
        or (op.name in NOT_OF_INTEGERS and whole and any(map(is_integer, dtypes)))
        or (op.name in NOT_OF_BOOLS and all(d.kind == "b" for d in dtypes))
        or (op.name in ODD_LABELS and any(d.name == "uint64" for d in dtypes))
        or (op.name in SHORT_DRAWS and sample.attrs.get("dtype") in ("float16", "bfloat16"))
    )


@pytest.mark.parametrize("op", [op for op in KERNELS.values() if not op.dynamic], ids=str)
def test_what_has_no_native_code_is_decided_to_have_none(op: Op) -> None:
    # Without elements there is hardly anything to compute, whoever does.
    samples = [s for s in SAMPLES[op.name].samples if all(a.size for a in filter(is_array, s.args))]
    for sample in samples:
        assert is_native_throughout(op, sample) or is_decided(op, sample), str(sample)
    assert any(is_native_throughout(op, s) for s in samples) == (op.name not in WITHOUT)


@pytest.mark.skipif(find_compiler() is None, reason="needs a C compiler")
def test_what_has_no_native_code_runs_between_native_parts() -> None:
    twice = dt.custom_op("twice_by_its_kernel", "x -> y", lambda x: x + x, infer=lambda x: x)
    with dt.static.Graph() as g:
        x = g.placeholder("x", (3, 3))
        fetches = [-twice(dt.tanh(x)) * x, dt.linalg.det(x @ x) + 1.0]
    program = g.compile(fetches, executor="native")
    assert " 2 operators without native code" in program.explain()
    feeds = {"x": np.random.default_rng(0).standard_normal((3, 3)).astype("float32")}
    wanted = g.compile(fetches, executor="reference").run(feeds)
    for found, expected in zip(program.run(feeds), wanted, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5)
