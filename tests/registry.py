"""Running the operators of the registry on their samples, in every style."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from ml_dtypes import finfo
from samples import SAMPLES, Sample

import diptych as dt
from diptych.graphs import dtypes, ops
from diptych.graphs.numbers import materialise, spec_of
from diptych.graphs.ops import REGISTRY, Bound, Op, dispatch
from diptych.graphs.ops.plain import as_plain

# What only stands in a graph has no samples: sources have no kernel, an effect is never launched.
# A user's own operators are none of the table.
KERNELS = {
    name: op
    for name, op in REGISTRY.items()
    if op.kernel is not None and not op.effect and op.module.startswith("diptych.graphs")
}


def cases(wanted: Any = lambda op, sample: True) -> Any:
    """A test of every operator and sample, or of those that are wanted."""
    pairs = [(op, s) for name, op in KERNELS.items() for s in SAMPLES[name].samples]
    chosen = [(op, s) for op, s in pairs if wanted(op, s)]
    return pytest.mark.parametrize(
        "op, sample", chosen, ids=[f"{op.name} {sample}" for op, sample in chosen]
    )


def call(op: Op, args: Any, attrs: dict[str, Any]) -> Any:
    """The operator through its public function, where it has one of its own."""
    function = getattr(ops, op.name, None)
    if getattr(function, "op", None) is not op:
        values = tuple(attrs.get(name, default) for name, default in op.attrs.items())
        return dispatch.call(op, tuple(args), values)
    return function(list(args), **attrs) if op.variadic else function(*args, **attrs)


def bind(op: Op, args: Any, attrs: dict[str, Any]) -> tuple[Bound, list[Any]]:
    """The bound operator and the arrays that its kernel takes."""
    operands = [as_plain(x, op.name) for x in args]
    values = tuple(attrs.get(name, default) for name, default in op.attrs.items())
    bound = op.bind(tuple(map(spec_of, operands)), values)
    return bound, [materialise(x, a, op.name) for x, a in zip(operands, bound.ins)]


def is_array(arg: Any) -> bool:
    return isinstance(arg, np.ndarray)


def is_float(arg: Any) -> bool:
    return is_array(arg) and dtypes.is_float(arg.dtype)


def in_float64(sample: Sample) -> Sample:
    args = tuple(a.astype(np.float64) if is_float(a) else a for a in sample.args)
    return Sample(args, sample.attrs)


def results_of(found: Any) -> list[Any]:
    """The results of a call, of one or of several."""
    return list(found) if isinstance(found, tuple) else [found]


def widened(array: Any) -> Any:
    """The numbers in the widest dtype of their kind, where they are inexact."""
    if dtypes.is_inexact(array.dtype):
        return array.astype(np.complex128 if dtypes.is_complex(array.dtype) else np.float64)
    return array


def assert_close(found: Any, expected: Any, dtype: np.dtype, ulp: int) -> None:
    """Within some units in the last place of the largest number, or equal where exact."""
    if not dtypes.is_inexact(dtype):
        np.testing.assert_array_equal(found, expected)
        return
    unit = float(finfo(dtypes.real_of(dtype)).eps)
    found, expected = widened(found), widened(np.asarray(expected))
    scale = np.max(np.abs(expected[np.isfinite(expected)]), initial=1.0)
    np.testing.assert_allclose(found, expected, rtol=ulp * unit, atol=ulp * unit * scale)


def fill(args: Any, operands: Any, wanted: Any = is_array) -> list[Any]:
    """The arguments with the wanted ones replaced, in order."""
    given = iter(operands)
    return [next(given) if wanted(arg) else arg for arg in args]


def run_eager(op: Op, sample: Any) -> list[np.ndarray]:
    operands = fill(sample.args, map(dt.asarray, filter(is_array, sample.args)))
    return [r.array for r in results_of(call(op, operands, sample.attrs))]


def run_static(op: Op, sample: Any, executor: str) -> list[np.ndarray]:
    arrays = list(filter(is_array, sample.args))
    with dt.static.Graph() as g:
        fed = [g.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
        y = results_of(call(op, fill(sample.args, fed), sample.attrs))
    return g.compile(y, executor=executor).run(dict(zip(fed, arrays)))


def run_hybrid(op: Op, sample: Any) -> list[np.ndarray]:
    compiled = dt.compile(lambda *xs: call(op, fill(sample.args, xs), sample.attrs))
    operands = map(dt.asarray, filter(is_array, sample.args))
    return [r.array for r in results_of(compiled(*operands))]


STYLES = {
    "eager": run_eager,
    "reference": partial(run_static, executor="reference"),
    "planned": partial(run_static, executor="planned"),
    "hybrid": run_hybrid,
}


def assert_same_bits(found: Any, expected: Any, what: str = "") -> None:
    assert isinstance(found, np.ndarray), what
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape), what
    assert found.tobytes() == expected.tobytes(), f"{what}: {found} is not {expected}"
