"""Gradients of every operator to second order: all styles agree, and finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from registry import (
    assert_close,
    assert_same_bits,
    bind,
    call,
    cases,
    fill,
    in_float64,
    is_array,
    is_float,
    results_of,
)
from samples import SAMPLES, Sample

import diptych as dt
from diptych.graphs import dtypes
from diptych.graphs.avals import aval_of
from diptych.graphs.ops import Op

pytestmark = pytest.mark.usefixtures("special_values")


def _is_differentiable(op: Op, sample: Sample) -> bool:
    if not op.vjp or not any(map(is_float, sample.args)):
        return False
    bound, _ = bind(op, sample.args, sample.attrs)
    return bound.differentiable


def _direction(aval: Any, seed: int) -> np.ndarray:
    return np.asarray(np.random.default_rng(seed).uniform(-1, 1, aval.shape)).astype(aval.dtype)


def _floats_of(found: Any) -> list[Any]:
    """The results of a call that gradients flow through."""
    return [r for r in results_of(found) if dtypes.is_float(r.dtype)]


class Derivatives:
    """First- and second-order derivatives of one sample, on operands of any style.

    The second order differentiates the first one's projection on `directions`, also with respect
    to the cotangent.
    """

    def __init__(self, op: Op, sample: Sample) -> None:
        self.op, self.sample = op, sample
        self.arrays = list(filter(is_array, sample.args))
        bound, _ = bind(op, sample.args, sample.attrs)
        outs = [aval for aval in bound.outs if dtypes.is_float(aval.dtype)]
        self.cotangents = [_direction(aval, 50 + i) for i, aval in enumerate(outs)]
        self.floats = list(filter(is_float, sample.args))
        self.directions = [_direction(a, 2 + i) for i, a in enumerate(self.floats)]
        self.feeds = [*self.arrays, *self.cotangents, *self.directions]

    def apply(self, *operands: Any) -> Any:
        return call(self.op, fill(self.sample.args, operands), self.sample.attrs)

    def __call__(self, operands: list[Any], apply: Any = None) -> tuple[Any, ...]:
        count, seeds = len(self.arrays), len(self.cotangents)
        xs, cotangents = operands[:count], operands[count : count + seeds]
        directions = operands[count + seeds :]
        wanted = [x for x, a in zip(xs, self.arrays) if is_float(a)]
        ys = _floats_of((apply or self.apply)(*xs))
        first = dt.grad(ys, wanted, cotangents, create_graph=True)
        terms = [dt.astype(dt.sum(g * v), "float64") for g, v in zip(first, directions)]
        projection = dt.accumulate(terms)
        second = dt.grad(projection, [*wanted, *cotangents], allow_unused=True)
        return (*first, *second)

    def tensors(self) -> list[dt.Tensor]:
        tensors = [dt.asarray(a) for a in self.feeds]
        for t, a in zip(tensors[: len(self.arrays)], self.arrays):
            t.requires_grad_(is_float(a))
        for t in tensors[len(self.arrays) : len(self.arrays) + len(self.cotangents)]:
            t.requires_grad_()
        return tensors

    def eager(self) -> list[np.ndarray | None]:
        return [None if g is None else g.array for g in self(self.tensors())]

    def hybrid(self) -> list[np.ndarray | None]:
        compiled = dt.compile(self.apply)
        return [None if g is None else g.array for g in self(self.tensors(), compiled)]

    def static(self, executor: str) -> list[np.ndarray | None]:
        with dt.static.Graph() as g:
            fed = [g.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(self.feeds)]
            found = self(fed)
        program = g.compile([v for v in found if v is not None], executor=executor)
        results = iter(program.run(dict(zip(fed, self.feeds))))
        return [None if v is None else next(results) for v in found]


@cases(_is_differentiable)
def test_gradients_agree_bit_for_bit_and_have_their_operands_avals(op: Op, sample: Sample) -> None:
    derivatives = Derivatives(op, sample)
    expected = derivatives.eager()
    count = len(derivatives.floats)
    wanted = [*derivatives.floats, *derivatives.floats, *derivatives.cotangents]
    for gradient, operand in zip(expected, wanted, strict=True):
        assert gradient is None or aval_of(gradient) == aval_of(operand)
    for name, found in (
        ("reference", derivatives.static("reference")),
        ("planned", derivatives.static("planned")),
        ("hybrid", derivatives.hybrid()),
    ):
        for order, (f, e) in enumerate(zip(found, expected, strict=True)):
            if f is None or e is None:
                # A style may know by its bookkeeping what another one computes: that it is 0.
                known = e if f is None else f
                assert known is None or not known.any(), (name, order)
            elif name == "hybrid" and order >= count:
                # The second order passes the bridge as one node, which adds in an order of its own.
                assert_close(f, e, e.dtype, SAMPLES[op.name].ulp)
            else:
                assert_same_bits(f, e, f"{name}, gradient {order}")


def _has_finite_differences(op: Op, sample: Sample) -> bool:
    if not sample.smooth or not _is_differentiable(op, sample):
        return False
    if any(is_float(a) and a.dtype.itemsize == 2 for a in sample.args):
        return False  # its values repeat, and ties are kinks
    bound, _ = bind(op, in_float64(sample).args, sample.attrs)
    return all(aval.dtype == np.float64 for aval in bound.outs if dtypes.is_float(aval.dtype))


STEP = 1e-5


def _differences(f: Any, points: list[np.ndarray]) -> list[np.ndarray]:
    """Central finite differences of a scalar function, with respect to every element."""
    gradients = []
    for position, point in enumerate(points):
        gradient = np.zeros(point.shape)
        for at in np.ndindex(point.shape):
            values = []
            for step in (STEP, -STEP):
                moved = point.copy()
                moved[at] += step
                values.append(f(*points[:position], moved, *points[position + 1 :]))
            gradient[at] = (values[0] - values[1]) / (2 * STEP)
        gradients.append(gradient)
    return gradients


def _assert_close(found: Any, expected: Any) -> None:
    for f, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.zeros_like(e) if f is None else f, e, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("style", ["eager", "static"])
@cases(_has_finite_differences)
def test_gradients_are_finite_differences(op: Op, sample: Sample, style: str) -> None:
    derivatives = Derivatives(op, in_float64(sample))
    floats, cotangents = derivatives.floats, derivatives.cotangents
    count = len(floats)
    found = derivatives.eager() if style == "eager" else derivatives.static("reference")

    def projected(*points: Any) -> float:
        ys = call(op, fill(derivatives.sample.args, points, is_float), sample.attrs)
        return sum(float((y * g).sum()) for y, g in zip(_floats_of(ys), cotangents))

    _assert_close(found[:count], _differences(projected, floats))

    def slope(*points: Any) -> float:
        """The projection of the first-order gradient, which was checked above."""
        xs = [dt.tensor(p, requires_grad=True) for p in points[:count]]
        given = fill(derivatives.sample.args, xs, is_float)
        ys = _floats_of(call(op, given, sample.attrs))
        gradients = dt.grad(ys, xs, [dt.tensor(p) for p in points[count:]])
        return sum(float((g.array * v).sum()) for g, v in zip(gradients, derivatives.directions))

    _assert_close(found[count:], _differences(slope, [*floats, *cotangents]))


@cases(lambda op, sample: any(map(is_float, sample.args)))
def test_a_result_records_exactly_where_a_gradient_can_flow(op: Op, sample: Sample) -> None:
    tensors = [dt.asarray(a).requires_grad_(is_float(a)) for a in sample.args if is_array(a)]
    results = results_of(call(op, fill(sample.args, tensors), sample.attrs))
    recorded = [r.requires_grad for r in results]
    assert recorded == [_is_differentiable(op, sample) and is_float(r.array) for r in results]


def test_pow_of_zero_has_a_finite_gradient() -> None:
    x = dt.tensor([0.0, 2.0], requires_grad=True)
    for exponent, slope in ((0, [0.0, 0.0]), (1, [1.0, 1.0]), (2, [0.0, 4.0])):
        (gradient,) = dt.grad(dt.sum(x**exponent), x)
        assert gradient.tolist() == slope, exponent
