"""Every operator of the registry, on its samples, in every style."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from registry import (
    KERNELS,
    STYLES,
    assert_close,
    assert_same_bits,
    bind,
    cases,
    is_array,
    results_of,
    widened,
)
from samples import SAMPLES, ErrorSample, Sample

import diptych as dt
from diptych.graphs.avals import aval_of
from diptych.graphs.kernels import Recorder, launch, recording
from diptych.graphs.ops import REGISTRY, Op

pytestmark = pytest.mark.usefixtures("special_values")

FLOATS = {"bfloat16", "float16", "float32", "float64"}


def test_samples_match_the_registry() -> None:
    assert SAMPLES.keys() == KERNELS.keys()
    assert all(entry.samples for entry in SAMPLES.values())


@pytest.mark.parametrize(
    "op",
    [op for op in KERNELS.values() if op.operands and not op.name.startswith("random")],
    ids=str,
)
def test_samples_cover_sizes_strides_and_dtypes(op: Op) -> None:
    lacks = SAMPLES[op.name].lacks
    arrays = [a for s in SAMPLES[op.name].samples for a in s.args if is_array(a)]
    filled = [a for a in arrays if a.size > 1 and a.ndim]
    assert any(a.ndim == 0 for a in arrays) or "scalar" in lacks
    assert any(a.size == 0 for a in arrays) or "empty" in lacks
    assert any(min(a.strides) < 0 for a in filled) or "layouts" in lacks
    assert any(a.strides[-1] > a.itemsize for a in filled) or "layouts" in lacks
    floats = FLOATS - {"bfloat16", "float16"} if "half" in lacks else FLOATS
    assert "floats" in lacks or {a.dtype.name for a in arrays} >= floats


# -- values ----------------------------------------------------------------------------------


@cases()
def test_kernel_gives_what_was_inferred_and_what_numpy_gives(op: Op, sample: Sample) -> None:
    bound, arrays = bind(op, sample.args, sample.attrs)
    results = launch(bound, arrays)
    for result, aval in zip(results, bound.outs, strict=True):
        found = aval_of(result)
        shape = found.shape if op.dynamic else aval.shape
        assert found == replace(aval, shape=shape)
    attrs = {name: sample.attrs.get(name, default) for name, default in op.attrs.items()}
    entry = SAMPLES[op.name]
    wanted = results_of(entry.reference(*map(widened, arrays), **attrs))
    for result, expected in zip(results, map(np.asarray, wanted), strict=True):
        assert expected.shape == result.shape
        assert_close(result, expected.astype(result.dtype), result.dtype, entry.ulp)


@cases()
def test_styles_agree_bit_for_bit(op: Op, sample: Sample) -> None:
    bound, arrays = bind(op, sample.args, sample.attrs)
    expected = launch(bound, arrays)
    for name, run in STYLES.items():
        if op.dynamic and name != "eager":
            with pytest.raises(dt.errors.StaticValueError, match="depends on data is eager's"):
                run(op, sample)
            continue
        for found, result in zip(run(op, sample), expected, strict=True):
            assert_same_bits(found, result, name)


@cases(lambda op, sample: not op.view and len(op.results) == 1 and not op.dynamic)
def test_kernel_fills_out_with_the_same_bits(op: Op, sample: Sample) -> None:
    bound, arrays = bind(op, sample.args, sample.attrs)
    [expected] = launch(bound, arrays)
    out = np.full(expected.shape, 77, expected.dtype)
    before = [a.copy() for a in arrays]
    assert bound.kernel(*arrays, out=out) is out
    assert_same_bits(out, expected)
    for array, copy in zip(arrays, before):
        assert_same_bits(array, copy, "operand")


@cases(lambda op, sample: op.in_place)
def test_kernel_works_in_place_of_any_operand_that_fits(op: Op, sample: Sample) -> None:
    bound, arrays = bind(op, sample.args, sample.attrs)
    # NumPy's loops for dense and for strided memory may differ in the last bit.
    [expected] = launch(bound, [a.copy() for a in arrays])
    for position, aval in enumerate(bound.ins):
        if aval == bound.outs[0]:
            copies = [a.copy() for a in arrays]
            bound.kernel(*copies, out=copies[position])
            assert_same_bits(copies[position], expected, f"over operand {position}")


@cases(lambda op, sample: any(is_array(a) and not a.flags.c_contiguous for a in sample.args))
def test_strides_do_not_matter(op: Op, sample: Sample) -> None:
    bound, arrays = bind(op, sample.args, sample.attrs)
    strided = launch(bound, arrays)
    dense = launch(bound, [np.ascontiguousarray(a).reshape(a.shape) for a in arrays])
    for s, d in zip(strided, dense, strict=True):
        assert_close(s, d, s.dtype, 2 * SAMPLES[op.name].ulp)


# -- errors ----------------------------------------------------------------------------------

ERRORS = [(op, e) for name, op in KERNELS.items() for e in SAMPLES[name].errors]


@pytest.mark.parametrize("op, wrong", ERRORS, ids=[f"{op.name} {e}" for op, e in ERRORS])
def test_errors_are_the_same_in_every_style(op: Op, wrong: ErrorSample) -> None:
    for name, run in STYLES.items():
        with recording(Recorder()) as recorder, pytest.raises(wrong.error) as caught:
            run(op, wrong)
        message = str(caught.value)
        assert type(caught.value) is wrong.error, name
        assert message.startswith(f"{op.name}: "), name
        assert re.search(wrong.match, message), (name, message)
        assert "got " in message, name
        assert not recorder.launches, name


@pytest.mark.parametrize(
    "right, wrong",
    [
        (lambda x: dt.sum(x, axis=1), lambda x: dt.sum(x, axis=True)),
        (lambda x: dt.sum(x, axis=1), lambda x: dt.sum(x, axis=1.0)),
        (lambda x: dt.expand_dims(x, 1), lambda x: dt.expand_dims(x, True)),
        (lambda x: dt.reshape(x, (1, 6)), lambda x: dt.reshape(x, (True, 6))),
    ],
    ids=["axis True", "axis 1.0", "new axis True", "size True"],
)
def test_attributes_that_equal_right_ones_are_still_refused(right: Any, wrong: Any) -> None:
    x = dt.tensor(np.arange(6.0).reshape(2, 3))
    right(x)
    with pytest.raises(dt.errors.ShapeError, match="got"):
        wrong(x)


def test_a_rule_reads_only_what_it_saves() -> None:
    for op in REGISTRY.values():
        names = {*op.operands, *op.results}
        assert all(set(saved) <= names for saved in op.saves), op


# -- random ----------------------------------------------------------------------------------

WORD = 2**64


def _philox(key: list[int], counter: list[int]) -> list[int]:
    """Four words of Philox 4x64-10, after Salmon et al. (SC11)."""
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(10):
        high0, low0 = divmod(0xD2E7470EE14C6C93 * c0, WORD)
        high1, low1 = divmod(0xCA5A826395121157 * c2, WORD)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) % WORD, (k1 + 0xBB67AE8584CAA73B) % WORD
    return [c0, c1, c2, c3]


def test_random_bits_are_those_of_philox() -> None:
    key, offset = [7, 2**63 + 5], 11
    words = [w for block in range(1, 4) for w in _philox(key, [block, 0, offset, 0])]
    drawn = dt.random_uniform(np.array(key, np.uint64), np.array(offset), (12,), "float64")
    assert drawn.tolist() == [(word >> 11) * 2.0**-53 for word in words]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_uniform_numbers_are_below_one(dtype: str) -> None:
    drawn = dt.random_uniform(np.array([1, 2], np.uint64), np.array(0), (50_000,), dtype)
    assert drawn.min() >= 0 and drawn.max() < 1
