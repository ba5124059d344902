"""Promotion: dtypes of results, and comparisons as NumPy makes them."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import diptych as dt
from diptych import errors
from diptych.graphs.dtypes import DTYPES, as_dtype, promote

FLOATS = ("float16", "float32", "float64")
SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
INTS = (*SIGNED, *UNSIGNED)

COMPARISONS = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")


def in_every_style(function: Any, *operands: Any) -> list[Any]:
    """The dtype of the result from plain arrays, eager, in a graph, and compiled."""
    arrays = [x for x in operands if isinstance(x, np.ndarray)]

    def apply(given: Any) -> Any:
        found = iter(given)
        return function(*(next(found) if isinstance(x, np.ndarray) else x for x in operands))

    with dt.static.Graph() as g:
        fed = [g.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
        y = apply(fed)
    tensors = [dt.asarray(a) for a in arrays]
    return [
        function(*operands).dtype,
        apply(tensors).dtype,
        y.dtype,
        g.compile(y).run(dict(zip(fed, arrays))).dtype,
        dt.compile(lambda *xs: apply(xs))(*tensors).dtype,
    ]


@pytest.mark.parametrize(
    "dtype, scalar, expected",
    [
        *((d, 1, d) for d in (*FLOATS, *INTS)),
        *((d, 1.5, d) for d in FLOATS),
        *((d, True, d) for d in DTYPES),
        *((d, 1.5, "float32") for d in ("bool", *INTS)),
        ("bool", 1, "int64"),
    ],
)
@pytest.mark.parametrize("shape", [(2,), ()], ids=["1-d", "0-d"])
def test_python_scalars_are_weak(dtype: str, scalar: Any, expected: str, shape: Any) -> None:
    array = np.ones(shape, dtype)
    for operands in ((array, scalar), (scalar, array)):
        assert set(in_every_style(dt.add, *operands)) == {np.dtype(expected)}


@pytest.mark.parametrize("one, other", list(product(FLOATS, FLOATS)))
def test_floats_promote_as_in_numpy(one: str, other: str) -> None:
    assert promote([DTYPES[one], DTYPES[other]]) == np.result_type(one, other)


@pytest.mark.parametrize(
    "one, other",
    [p for p in product(INTS, INTS) if not ("uint64" in p and (p[0] in SIGNED or p[1] in SIGNED))],
)
def test_integers_promote_as_in_numpy(one: str, other: str) -> None:
    assert promote([DTYPES[one], DTYPES[other]]) == np.result_type(one, other)


@pytest.mark.parametrize("one, other", list(product(FLOATS, ("bool", *INTS))))
def test_a_float_keeps_its_width_beside_integers_and_bools(one: str, other: str) -> None:
    for pair in permutations((one, other)):
        assert promote([DTYPES[d] for d in pair]) == np.dtype(one)


@pytest.mark.parametrize("dtype", INTS)
def test_an_integer_keeps_its_width_beside_bools(dtype: str) -> None:
    for pair in permutations((dtype, "bool")):
        assert promote([DTYPES[d] for d in pair]) == np.dtype(dtype)


@pytest.mark.parametrize("signed", SIGNED)
@pytest.mark.parametrize(
    "function", [dt.add, dt.less, dt.divide, dt.matmul], ids=lambda f: f.__name__
)
def test_uint64_with_a_signed_integer_is_an_error_everywhere(function: Any, signed: str) -> None:
    for one, other in permutations((np.ones((2, 2), "uint64"), np.ones((2, 2), signed))):
        name = function.op.name
        match = f"^{name}: no integer dtype holds both operands, got {one.dtype} and {other.dtype}$"
        with pytest.raises(errors.DTypeError, match=match):
            function(one, other)
        with pytest.raises(errors.DTypeError, match=match):
            function(dt.asarray(one), dt.asarray(other))
        with pytest.raises(errors.DTypeError, match=match), dt.static.Graph() as g:
            function(g.placeholder("x", (2, 2), one.dtype), g.placeholder("y", (2, 2), other.dtype))
        with pytest.raises(errors.DTypeError, match=match):
            dt.compile(lambda *xs: function(*xs))(dt.asarray(one), dt.asarray(other))


@pytest.mark.parametrize(
    "one, other, expected",
    [
        (np.ones(2, "int64"), np.ones((), "float16"), "float16"),
        (np.ones(2, "float32"), np.ones((), "float64"), "float64"),
        (np.ones((), "float32"), np.ones(2, "float16"), "float32"),
        (np.ones(2, "int8"), np.ones((), "int32"), "int32"),
        (np.ones(2, "bool"), np.ones(2, "uint8"), "uint8"),
    ],
    ids=str,
)
def test_arrays_are_strong_whatever_their_shape(one: Any, other: Any, expected: str) -> None:
    for operands in permutations((one, other)):
        assert set(in_every_style(dt.multiply, *operands)) == {np.dtype(expected)}


def test_numpy_scalars_are_strong() -> None:
    x = dt.tensor([1.0])
    assert (x * np.float64(2)).dtype == np.float64
    assert (np.float64(2) * x).dtype == np.float64
    assert (dt.tensor([1]) * np.int8(2)).dtype == np.int64


@pytest.mark.parametrize(
    "function, operands, expected",
    [
        (dt.divide, (np.ones(2, "int64"), np.ones(2, "int8")), "float32"),
        (dt.divide, (np.ones(2, "bool"), 2), "float32"),
        (dt.divide, (np.ones(2, "float16"), np.ones(2, "int64")), "float16"),
        (dt.exp, (np.ones(2, "int64"),), "float32"),
        (dt.exp, (np.ones(2, "bool"),), "float32"),
        (dt.mean, (np.ones(2, "uint8"),), "float32"),
        (dt.mean, (np.ones(2, "float16"),), "float16"),
        (dt.softmax, (np.ones(2, "int8"),), "float32"),
        (dt.sum, (np.ones(2, "bool"),), "int64"),
        (dt.sum, (np.ones(2, "int8"),), "int64"),
        (dt.sum, (np.ones(2, "uint8"),), "uint64"),
        (dt.sum, (np.ones(2, "float16"),), "float16"),
        (dt.argmax, (np.ones(2, "uint8"),), "int64"),
        (dt.less, (np.ones(2, "uint8"), 2), "bool"),
        (dt.where, (np.ones(2, "bool"), np.ones(2, "int8"), 1.5), "float32"),
        (dt.where, (np.ones(2, "bool"), np.ones(2, "float16"), 1), "float16"),
        (dt.where, (np.ones(2, "bool"), np.ones(2, "int8"), np.ones(2, "int32")), "int32"),
        (lambda x, y: dt.concat([x, y]), (np.ones(2, "int8"), np.ones(2, "float16")), "float16"),
        (lambda x, v: dt.setitem(x, v, 0), (np.ones(2, "int8"), np.ones((), "float64")), "int8"),
    ],
)
def test_results_have_the_dtype_that_the_rule_says(
    function: Any, operands: Any, expected: str
) -> None:
    assert set(in_every_style(function, *operands)) == {np.dtype(expected)}


def test_an_integer_array_with_a_float_keeps_the_fraction() -> None:
    assert (dt.tensor([1, 2]) + 0.5).tolist() == [1.5, 2.5]
    assert (0.5 * dt.tensor([True, False])).tolist() == [0.5, 0.0]


dtypes = st.sampled_from([*DTYPES.values(), bool, int, float])


def _promoted(given: list[Any]) -> Any:
    try:
        return promote(given)
    except errors.DTypeError:
        return None


@given(st.lists(dtypes, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_promotion_does_not_depend_on_order(given: list[Any], random: Any) -> None:
    shuffled = random.sample(given, len(given))
    assert _promoted(given) == _promoted(shuffled)


@given(st.lists(dtypes, min_size=1, max_size=3))
def test_promotion_of_equals_changes_nothing(given: list[Any]) -> None:
    assert _promoted(given + given) == _promoted(given)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", COMPARISONS)
def test_nan_and_signed_zeros_compare_as_in_numpy(name: str, dtype: str) -> None:
    special = [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0]
    x, y = (a.ravel().astype(dtype) for a in np.meshgrid(special, special))
    function, expected = getattr(dt, name), getattr(np, name)(x, y)
    np.testing.assert_array_equal(function(x, y), expected)
    np.testing.assert_array_equal(function(dt.asarray(x), dt.asarray(y)).array, expected)
    np.testing.assert_array_equal(dt.compile(function)(x, y).array, expected)
    for number in special:
        np.testing.assert_array_equal(function(x, number), getattr(np, name)(x, number))
        np.testing.assert_array_equal(function(number, x), getattr(np, name)(number, x))


@given(
    st.sampled_from(COMPARISONS),
    st.lists(st.floats(width=32), min_size=1, max_size=8),
    st.floats(width=32),
)
def test_floats_compare_as_in_numpy(name: str, numbers: list[float], other: float) -> None:
    x = np.array(numbers, np.float32)
    expected = getattr(np, name)(x, np.float32(other))
    np.testing.assert_array_equal(getattr(dt, name)(dt.asarray(x), other).array, expected)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_nan_wins_every_extremum(name: str) -> None:
    x = np.array([np.nan, 1.0, np.nan, np.inf])
    y = np.array([1.0, np.nan, np.nan, -np.inf])
    found = getattr(dt, name)(dt.asarray(x), dt.asarray(y)).array
    np.testing.assert_array_equal(found, getattr(np, name)(x, y))


def test_zeros_keep_their_sign() -> None:
    zeros = dt.tensor([0.0, -0.0])
    assert np.signbit((-zeros).array).tolist() == [True, False]
    assert np.signbit((zeros * 1.0).array).tolist() == [False, True]
    assert np.signbit((zeros + -0.0).array).tolist() == [False, True]
    assert np.signbit((zeros + 0.0).array).tolist() == [False, False]
    assert np.signbit(dt.sqrt(zeros).array).tolist() == [False, True]


@pytest.mark.parametrize(
    "made, expected",
    [
        (lambda: dt.tensor([1.5]), "float32"),
        (lambda: dt.tensor([1]), "int64"),
        (lambda: dt.tensor([True]), "bool"),
        (lambda: dt.tensor(1.5), "float32"),
        (lambda: dt.tensor(np.ones(2)), "float64"),
        (lambda: dt.zeros((2,)), "float32"),
        (lambda: dt.ones((2,)), "float32"),
        (lambda: dt.zeros((2,), dtype=None), "float32"),
        (lambda: dt.full((2,), 1.0), "float32"),
        (lambda: dt.full((2,), 1), "int64"),
        (lambda: dt.full((2,), True), "bool"),
        (lambda: dt.full((2,), np.float64(1.0)), "float64"),
        (lambda: dt.arange(3), "int64"),
        (lambda: dt.arange(3.0), "float32"),
        (lambda: dt.rand(3), "float32"),
    ],
)
def test_what_is_made_has_the_default_dtypes(made: Any, expected: str) -> None:
    assert made().dtype == np.dtype(expected)


def test_a_dtype_may_be_named_in_every_usual_way() -> None:
    for dtype in ("float32", np.float32, np.dtype("float32"), float, dt.float32):
        assert as_dtype(dtype) == np.float32
    assert as_dtype(int) == np.int64
    assert as_dtype(bool) == np.bool_


@pytest.mark.parametrize(
    "dtype", ["complex256", "S3", object, ">f4", "no such", 3, "datetime64[s]"]
)
def test_other_dtypes_are_errors(dtype: Any) -> None:
    with pytest.raises(errors.DTypeError, match=r"dtype: must be one of bool, .*, got"):
        as_dtype(dtype)


@pytest.mark.parametrize("data", [np.array(["a"]), np.array([None])], ids=str)
@pytest.mark.parametrize("function", [dt.add, dt.less, dt.where], ids=lambda f: f.__name__)
def test_operands_of_other_dtypes_are_errors(function: Any, data: Any) -> None:
    operands = (data, data) if function is not dt.where else (np.array([True]), data, data)
    with pytest.raises(errors.DTypeError, match="got"):
        function(*operands)
    with pytest.raises(errors.DTypeError, match="got"):
        function(*operands[:-1], dt.tensor([True]))


@pytest.mark.parametrize("number", [256, -1, 10**30])
@pytest.mark.parametrize("function", [dt.add, dt.less, dt.maximum], ids=lambda f: f.__name__)
def test_a_number_must_fit_the_dtype_that_it_takes(function: Any, number: int) -> None:
    x = np.ones(2, np.uint8)
    match = f"^{function.op.name}: a number must fit the dtype uint8, got {number}$"
    for operand in (x, dt.asarray(x)):
        with pytest.raises(errors.DTypeError, match=match):
            function(operand, number)
    with pytest.raises(errors.DTypeError, match=match), dt.static.Graph() as g:
        function(g.placeholder("x", (2,), "uint8"), number)
