"""What samples cannot say of element-wise operators: exact values, kinks, Python's operators."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
import pytest
from ml_dtypes import bfloat16, finfo

import diptych as dt
from diptych import errors

NAN, INF = math.nan, math.inf

SPECIAL = {
    "atan2": [((0.0, -0.0), math.pi), ((-0.0, -1.0), -math.pi), ((INF, -INF), 3 * math.pi / 4)],
    "copysign": [((1.0, -0.0), -1.0), ((-INF, 1.0), INF), ((0.0, -1.0), -0.0)],
    "exp": [((-INF,), 0.0), ((INF,), INF)],
    "expm1": [((-0.0,), -0.0), ((-INF,), -1.0)],
    "floor_divide": [((7.0, -2.0), -4.0), ((-1.0, INF), -1.0), ((1.0, 0.0), INF), ((INF, 2.0), NAN),
                     ((1.0, 0.1), 9.0), ((-0.0, 2.0), -0.0)],
    "hypot": [((INF, NAN), INF), ((NAN, 1.0), NAN), ((3e300, 4e300), 5e300)],
    "log1p": [((-1.0,), -INF), ((-0.0,), -0.0), ((-2.0,), NAN)],
    "logaddexp": [((-INF, -INF), -INF), ((INF, INF), INF), ((INF, -INF), INF), ((NAN, INF), NAN)],
    "maximum": [((NAN, INF), NAN), ((1.0, NAN), NAN)],
    "pow": [((0.0, 0.0), 1.0), ((NAN, 0.0), 1.0), ((1.0, NAN), 1.0), ((0.0, -1.0), INF),
            ((-0.0, -3.0), -INF), ((-8.0, 1 / 3), NAN), ((-1.0, INF), 1.0)],
    "remainder": [((-7.0, 2.0), 1.0), ((7.0, -2.0), -1.0), ((-1.0, INF), INF), ((1.0, 0.0), NAN),
                  ((-4.0, 2.0), 0.0), ((4.0, -2.0), -0.0)],
    "round": [((0.5,), 0.0), ((1.5,), 2.0), ((-0.5,), -0.0), ((2.5,), 2.0), ((INF,), INF)],
    "sign": [((-0.0,), 0.0), ((NAN,), NAN), ((-INF,), -1.0)],
    "signbit": [((-0.0,), True), ((0.0,), False), ((-INF,), True)],
    "softplus": [((INF,), INF), ((-INF,), 0.0), ((1000.0,), 1000.0)],
    "sqrt": [((-0.0,), -0.0), ((-1.0,), NAN)],
    "trunc": [((-0.5,), -0.0), ((-1.5,), -1.0), ((NAN,), NAN)],
}  # fmt: skip


@pytest.mark.parametrize(
    "name, args, expected",
    [(name, args, expected) for name, cases in SPECIAL.items() for args, expected in cases],
)
def test_special_values(name: str, args: tuple[float, ...], expected: float) -> None:
    with np.errstate(all="ignore"):
        found = getattr(dt, name)(*(np.array(a) for a in args)).item()
    assert found == pytest.approx(expected, rel=1e-15, nan_ok=True)
    if expected == 0 and name != "sign":
        assert math.copysign(1, found) == math.copysign(1, expected)


def _ulp(found: np.ndarray, exact: list[float]) -> float:
    """How many units in the last place of its dtype an array is off, at most."""
    rounded = np.array(exact).astype(found.dtype)
    unit = np.maximum(np.abs(np.spacing(rounded)), float(finfo(found.dtype).smallest_normal))
    return float(np.max(np.abs(found.astype(float) - np.array(exact)) / unit.astype(float)))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name, bound", [("erf", 2), ("erfc", 6)])
def test_error_functions_are_right_to_a_few_units(name: str, bound: int, dtype: str) -> None:
    rng = np.random.default_rng(0)
    ranges = (rng.uniform(-7, 7, 20_000), rng.uniform(-1.1, 1.1, 10_000), 10 ** rng.uniform(-5, 0))
    x = np.hstack(ranges).astype(dtype)
    x = x[(x < 5) | (dtype != "float16")]
    exact = [getattr(math, name)(v) for v in x.tolist()]
    assert _ulp(getattr(dt, name)(x), exact) <= bound
    assert _ulp(getattr(dt, name)(x[::-2]), exact[::-2]) <= bound


def test_error_functions_at_their_ends() -> None:
    x = np.array([NAN, INF, -INF, 0.0, -0.0, 30.0, -30.0])
    np.testing.assert_array_equal(dt.erf(x), [NAN, 1, -1, 0, -0.0, 1, -1])
    assert math.copysign(1, dt.erf(np.array(-0.0)).item()) == -1
    np.testing.assert_array_equal(dt.erfc(x), [NAN, 0, 2, 1, 1, 0, 2])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_nextafter_is_the_neighbour_in_the_dtype(dtype: str) -> None:
    x = np.array([1.0, 0.0, -1.0, INF, 5.0], dtype)
    y = np.array([2.0, -1.0, -1.0, 0.0, -INF], dtype)
    expected = [1 + np.finfo(dtype).eps, -np.finfo(dtype).smallest_subnormal, -1.0,
                np.finfo(dtype).max, np.nextafter(x[4], y[4])]  # fmt: skip
    assert dt.nextafter(x, y).tolist() == [float(e) for e in expected]


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64"])
def test_shifts_by_the_width_and_more_push_all_bits_out(dtype: str) -> None:
    width = 8 * np.dtype(dtype).itemsize
    x, y = np.array([1, 5, 100], dtype), np.array([width - 1, width, width + 3], dtype)
    assert dt.bitwise_left_shift(x, y).tolist() == [(np.array(1, dtype) << width - 1).item(), 0, 0]
    assert dt.bitwise_right_shift(x, y).tolist() == [0, 0, 0]


@pytest.mark.parametrize("dtype", [bfloat16, "float16", "float32", "float64"])
def test_infinities_become_the_largest_number_of_the_dtype(dtype: Any) -> None:
    largest = float(finfo(dtype).max)
    x = np.array([NAN, INF, -INF, 2.0]).astype(dtype)
    assert dt.nan_to_num(x).astype(float).tolist() == [0.0, largest, -largest, 2.0]
    assert dt.nan_to_num(x, 1.0, 3.0).astype(float).tolist() == [1.0, 3.0, -largest, 2.0]


# -- kinks -----------------------------------------------------------------------------------


def _slopes(function: Any, *numbers: float) -> list[list[float]]:
    """First and second derivative with respect to each number."""
    xs = [dt.tensor(np.array(v), requires_grad=True) for v in numbers]
    first = dt.grad(function(*xs), xs, create_graph=True)
    second = [dt.grad(g, x, allow_unused=True, retain_graph=True)[0] if g.requires_grad else None
              for g, x in zip(first, xs)]  # fmt: skip
    return [[g.item(), 0.0 if s is None else s.item()] for g, s in zip(first, second)]


@pytest.mark.parametrize(
    "function, numbers, first",
    [
        (dt.abs, (0.0,), (0.0,)),
        (dt.hypot, (0.0, 0.0), (0.0, 0.0)),
        (dt.hypot, (1e200, 0.0), (1.0, 0.0)),
        (dt.atan2, (0.0, 0.0), (0.0, 0.0)),
        (dt.atan2, (0.0, 1e-200), (1e200, 0.0)),
        (dt.copysign, (0.0, -1.0), (0.0, 0.0)),
        (dt.maximum, (1.0, 1.0), (0.5, 0.5)),
        (dt.minimum, (1.0, 1.0), (0.5, 0.5)),
        (dt.clip, (1.0, 1.0, 2.0), (0.5, 0.5, 0.0)),
        (dt.clip, (2.0, 1.0, 2.0), (0.5, 0.0, 0.5)),
        (dt.clip, (0.0, 1.0, 2.0), (0.0, 1.0, 0.0)),
        (dt.clip, (0.0, 3.0, 2.0), (0.0, 0.0, 1.0)),
        (dt.logaddexp, (-INF, -INF), (0.5, 0.5)),
        (dt.logaddexp, (INF, INF), (0.5, 0.5)),
        (dt.logaddexp, (INF, 1.0), (1.0, 0.0)),
        (dt.logaddexp, (-INF, 1.0), (0.0, 1.0)),
        (dt.logaddexp, (1.0, 1.0), (0.5, 0.5)),
        (dt.floor, (1.0,), (0.0,)),
        (dt.asinh, (1e200,), (1e-200,)),
        (dt.nan_to_num, (NAN,), (0.0,)),
        (dt.nan_to_num, (INF,), (0.0,)),
        (dt.expm1, (-40.0,), (math.exp(-40.0),)),
    ],
    ids=lambda v: getattr(v, "__name__", str(v)),
)
def test_slopes_at_kinks_and_far_out(function: Any, numbers: Any, first: Any) -> None:
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        found = _slopes(function, *numbers)
    assert [slope for slope, _ in found] == pytest.approx(list(first), rel=1e-14)
    if max(map(abs, first)) < 2:
        assert all(math.isfinite(second) for _, second in found)


def test_the_second_slope_of_logaddexp_at_a_tie() -> None:
    assert [second for _, second in _slopes(dt.logaddexp, 1.0, 1.0)] == [0.25, 0.25]


# -- bounds and powers -----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int8", "uint64", "float16", "float32"])
def test_a_bound_may_be_left_out(dtype: str) -> None:
    x = dt.tensor(np.array([1, 2, 3], dtype))
    assert dt.clip(x).tolist() == [1, 2, 3]
    assert dt.clip(x, 2).tolist() == [2, 2, 3]
    assert dt.clip(x, max=2).tolist() == [1, 2, 2]
    assert x.clip(min=np.array([0, 5, 0], dtype)).tolist() == [1, 5, 3]
    assert all(y.dtype == dtype for y in (dt.clip(x), dt.clip(x, 2), dt.clip(x, max=2)))


def test_what_has_no_dtype_can_be_clipped() -> None:
    assert dt.clip([1, 5], max=3).tolist() == [1, 3]
    assert dt.clip(2.5, 0.0, 1.0).item() == 1.0
    with pytest.raises(errors.DTypeError, match=r"^clip: operands must be tensors, .*, got str$"):
        dt.clip("a", 0, 1)


def test_integers_have_no_negative_powers() -> None:
    match = "^pow: integers must have exponents of at least 0, got -2"
    with dt.static.Graph() as g:
        fed = g.placeholder("x", (2,), "int64")
        with pytest.raises(errors.ArgumentError, match=match):
            fed**-2  # known before anything runs
        y = dt.pow(fed, np.array([1, -2]))
    with pytest.raises(errors.ArgumentError, match=match):
        g.compile(y).run({fed: np.array([3, 4])})
    for x in (dt.tensor([3, 4]), dt.tensor([True, False]), [3, 4], 3):
        with pytest.raises(errors.ArgumentError, match=match):
            dt.pow(x, -2)
    with pytest.raises(errors.ArgumentError, match=match):
        2 ** dt.tensor([3, -2])
    assert (dt.tensor([2.0]) ** -2).tolist() == [0.25]
    assert (dt.tensor([2]) ** -2.0).tolist() == [0.25]


@pytest.mark.parametrize("number", [NAN, INF, -INF, 1e30])
@pytest.mark.parametrize("dtype", ["int8", "uint32", "int64"])
def test_numbers_that_no_integer_holds_are_cast_without_a_word(number: float, dtype: str) -> None:
    x = np.array([number, 1.0])
    zeros = np.zeros(2, dtype)
    assert dt.astype(x, dtype)[1] == 1
    assert dt.astype(dt.tensor(x), dtype).tolist()[1] == 1
    assert dt.setitem(zeros, x, slice(None))[1] == 1
    match = f"^setitem: a number must fit the dtype {dtype}, got "
    with pytest.raises(errors.DTypeError, match=match):
        dt.setitem(zeros, number, 0)


def test_astype_copies_unless_told_otherwise() -> None:
    x = dt.tensor([1.0])
    assert dt.astype(x, "float32") is not x and dt.astype(x, "float32").array is not x.array
    assert dt.astype(x, "float32", copy=False) is x
    assert dt.astype(x, "float64", copy=False).dtype == "float64"


def test_closeness_of_arrays() -> None:
    x = dt.tensor([1.0, NAN, INF])
    assert dt.allclose(x, x).tolist() is False
    assert dt.allclose(x, x, equal_nan=True).tolist() is True
    assert dt.isclose(x, [1.0 + 1e-6, NAN, -INF]).tolist() == [True, False, False]
    assert dt.isclose(np.uint8(3), np.uint8(5), atol=2.0, rtol=0.0).item()
    assert not dt.isclose(np.int8(127), np.int8(-128), atol=2.0, rtol=0.0).item()
    with pytest.raises(errors.ShapeError, match=r"^isclose: shapes must broadcast, got"):
        dt.allclose(x, [1.0, 2.0])


# -- Python's operators ----------------------------------------------------------------------

OF_INTEGERS = (
    operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod, operator.pow,
    operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift, operator.eq,
    operator.ne, operator.lt, operator.le, operator.gt, operator.ge, divmod,
)  # fmt: skip
OF_FLOATS = (operator.truediv, operator.floordiv, operator.mod, operator.pow, divmod)
OF_BOOLS = (operator.and_, operator.or_, operator.xor, operator.add, operator.mul)
OF_ONE = (operator.neg, operator.pos, operator.abs, operator.invert)

X, Y = np.array([7, 2, 5, 1]), np.array([2, 3, 1, 6])
OPERATIONS = [
    *((op, x, y) for op in OF_INTEGERS for x, y in ((X, Y), (X, 3), (3, Y))),
    *((op, x, y) for op in OF_FLOATS for x, y in ((X / 2, Y / 1), (X / 2, 3), (3.5, Y / 2))),
    *((op, x, y) for op in OF_BOOLS for x, y in ((X > 2, Y > 2), (X > 2, True), (False, Y > 2))),
    *((op, x) for op in OF_ONE for x in (X, -X)),
    (operator.invert, X > 2), (operator.abs, X / -2), (operator.matmul, X, Y),
]  # fmt: skip


def _parts(found: Any) -> list[np.ndarray]:
    return [np.asarray(f) for f in (found if isinstance(found, tuple) else (found,))]


@pytest.mark.parametrize("op, args", [(op, args) for op, *args in OPERATIONS])
def test_python_operators_are_those_of_numpy(op: Any, args: list[Any]) -> None:
    arrays = [a for a in args if isinstance(a, np.ndarray)]
    expected = _parts(op(*args))
    eager = op(*(dt.tensor(a) if isinstance(a, np.ndarray) else a for a in args))
    with dt.static.Graph() as g:
        fed = iter(values := [g.placeholder(f"x{i}", a.shape, a.dtype)
                              for i, a in enumerate(arrays)])  # fmt: skip
        built = op(*(next(fed) if isinstance(a, np.ndarray) else a for a in args))
    static = g.compile(list(built) if isinstance(built, tuple) else [built]).run(
        dict(zip(values, arrays))
    )
    for found in (_parts(eager), static):
        for f, e in zip(found, expected, strict=True):
            assert f.dtype == e.dtype
            np.testing.assert_array_equal(f, e)


IN_PLACE = {
    "add": (operator.iadd, 2.0, "+"), "subtract": (operator.isub, 2.0, "-"),
    "multiply": (operator.imul, 2.0, "*"), "divide": (operator.itruediv, 2.0, "/"),
    "floor_divide": (operator.ifloordiv, 2.0, "//"), "remainder": (operator.imod, 2.0, "%"),
    "pow": (operator.ipow, 2.0, "**"), "bitwise_and": (operator.iand, 3, "&"),
    "bitwise_or": (operator.ior, 3, "|"), "bitwise_xor": (operator.ixor, 3, "^"),
    "bitwise_left_shift": (operator.ilshift, 3, "<<"),
    "bitwise_right_shift": (operator.irshift, 3, ">>"),
}  # fmt: skip


@pytest.mark.parametrize("name", IN_PLACE)
def test_operators_in_place(name: str) -> None:
    change, other, symbol = IN_PLACE[name]
    numbers = np.array([7, 2, 5], np.float32 if isinstance(other, float) else np.int64)
    expected = getattr(dt, name)(numbers, other)
    x = dt.tensor(numbers)
    alias, version = x[...], x.storage.version
    assert change(x, other) is x
    assert x.tolist() == alias.tolist() == expected.tolist()
    assert x.dtype == numbers.dtype and x.storage.version == version + 1
    with dt.static.Graph() as g:
        fed = g.placeholder("x", (3,), numbers.dtype)
    match = rf"^{name}: a static value cannot change in place, got .*; write x = x \{symbol[0]}"
    with pytest.raises(errors.GraphError, match=match):
        change(fed, other)


@pytest.mark.parametrize(
    "change, other", [(operator.itruediv, 2), (operator.iadd, 1.5), (operator.imul, 1j)]
)
def test_no_operator_in_place_changes_the_kind_of_dtype(change: Any, other: Any) -> None:
    x = dt.tensor([1, 2])
    with pytest.raises(errors.DTypeError, match=r"must keep the kind of dtype, got .* for int64"):
        change(x, other)
    assert x.tolist() == [1, 2] and x.storage.version == 0


def test_methods_are_the_operators() -> None:
    x = dt.tensor([[1.0, 4.0], [9.0, 16.0]])
    assert x.sqrt().tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert x.clip(2, max=10).tolist() == [[2.0, 4.0], [9.0, 10.0]]
    assert x.sum(axis=0).tolist() == [10.0, 20.0]
    assert dt.Tensor.sqrt.__doc__ == dt.sqrt.__doc__
    z = dt.tensor([1 + 2j])
    assert z.real.tolist() == [1.0] and z.imag.tolist() == [2.0] and z.conj().tolist() == [1 - 2j]


def test_complex_numbers_have_no_order() -> None:
    z = dt.tensor([1 + 2j])
    for function in (dt.less, dt.maximum, dt.remainder, dt.hypot, dt.logaddexp, dt.copysign):
        with pytest.raises(
            errors.DTypeError, match=f"^{function.op.name}: operands must be real, got complex64$"
        ):
            function(z, 1.0)
