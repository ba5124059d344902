"""Dimensions: polynomials in normal form, against their values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from diptych.graphs.dims import Dim, divide_exactly, product, substitute, symbols
from diptych.graphs.errors import ShapeError, StaticValueError

NAMES = ("a", "b", "c")
A, B, C = map(Dim.symbol, NAMES)

numbers = st.integers(-9, 9)
bindings = st.fixed_dictionaries({name: st.integers(0, 50) for name in NAMES})
monomials = st.builds(
    lambda scale, factors: product((scale, *factors)),
    numbers.filter(bool),
    st.lists(st.sampled_from([A, B, C]), max_size=3),
)
polynomials = st.lists(monomials, max_size=4).map(lambda terms: sum(terms))


def value(size: Any, binding: dict[str, int]) -> int:
    return size.evaluate(binding) if isinstance(size, Dim) else size


@given(polynomials, polynomials, bindings)
def test_arithmetic_is_that_of_the_values(x: Any, y: Any, binding: dict[str, int]) -> None:
    at_x, at_y = value(x, binding), value(y, binding)
    assert value(x + y, binding) == at_x + at_y
    assert value(x - y, binding) == at_x - at_y
    assert value(x * y, binding) == at_x * at_y
    assert value(-x, binding) == -at_x


@given(polynomials, polynomials, polynomials)
def test_equal_polynomials_have_one_normal_form(x: Any, y: Any, z: Any) -> None:
    for one, other in (
        (x + y, y + x),
        (x * y, y * x),
        ((x + y) + z, x + (y + z)),
        ((x + y) * z, x * z + y * z),
        (x - y, -(y - x)),
        ((x + y) * (x - y), x * x - y * y),
    ):
        assert one == other
        assert hash(one) == hash(other)
        assert repr(one) == repr(other)
        assert type(one) is type(other)


@given(polynomials, polynomials, st.lists(bindings, min_size=8, max_size=8))
def test_different_polynomials_differ_somewhere(x: Any, y: Any, points: Any) -> None:
    assume(any(value(x, p) != value(y, p) for p in points))
    assert x != y
    assert repr(x) != repr(y)


@given(polynomials)
def test_what_cancels_is_a_number(x: Any) -> None:
    assert type(x - x) is int
    assert x - x == 0
    assert type((x + A) * 0) is int
    assert type(A + x - A - x + 3) is int


@given(polynomials, monomials)
def test_division_undoes_multiplication(x: Any, m: Any) -> None:
    assert divide_exactly(x * m, m) == x
    if isinstance(x, Dim):
        assert (x * m) // m == x


@given(polynomials.filter(lambda x: isinstance(x, Dim) or x != 0))
def test_division_by_itself_is_one(x: Any) -> None:
    assert divide_exactly(x, x) == 1


@given(polynomials, monomials, bindings)
def test_division_is_exact_or_an_error(x: Any, m: Any, binding: dict[str, int]) -> None:
    try:
        quotient = divide_exactly(x, m)
    except ShapeError:
        return
    assert value(quotient, binding) * value(m, binding) == value(x, binding)


@pytest.mark.parametrize(
    "top, bottom",
    [
        (A + 1, 2),
        (A, B),
        (A, A * A),
        (3, A),
        (A * A - B * B, A - B),
        (5, 2),
        (A, 0),
        (0, 0),
    ],
    ids=str,
)
def test_division_that_is_not_exact_is_an_error(top: Any, bottom: Any) -> None:
    with pytest.raises(ShapeError, match=r"a size must divide exactly, got .* / "):
        divide_exactly(top, bottom)


@pytest.mark.parametrize(
    "size, text",
    [
        (A, "a"),
        (2 * A + 1, "2*a + 1"),
        (A - 1, "a - 1"),
        (1 - A, "-a + 1"),
        (A * A * B - 3 * C, None),
        (-2 * A, "-2*a"),
        (A * A, "a**2"),
        (B * A, "a*b"),
    ],
)
def test_text_reads_as_arithmetic(size: Dim, text: str | None) -> None:
    if text is not None:
        assert repr(size) == text
    at = {"a": 7, "b": 11, "c": 13}
    assert eval(repr(size), {}, dict(at)) == size.evaluate(at)


@given(polynomials, bindings)
def test_text_evaluates_to_the_value(x: Any, binding: dict[str, int]) -> None:
    assert eval(repr(x), {}, dict(binding)) == value(x, binding)


@pytest.mark.parametrize(
    "ask",
    [int, bool, float, range, lambda n: [0][n]],
    ids=["int", "bool", "float", "range", "an index"],
)
def test_a_dimension_has_no_number_before_a_run(ask: Any) -> None:
    with pytest.raises(StaticValueError, match=r"dimension: 2\*a is known only when .*, got"):
        ask(2 * A)


@pytest.mark.parametrize(
    "operation",
    [lambda n: n + 0.5, lambda n: 0.5 * n, lambda n: n - "1", lambda n: n + None, lambda n: n < 3],
    ids=["n + 0.5", "0.5 * n", "n - '1'", "n + None", "n < 3"],
)
def test_dimensions_combine_with_whole_numbers_alone(operation: Any) -> None:
    with pytest.raises(TypeError):
        operation(A)


def test_a_dimension_equals_no_number() -> None:
    assert A != 3
    assert A != "a"
    assert Dim.symbol("a") == A
    assert len({A, Dim.symbol("a"), A + B - B, B}) == 2


@given(polynomials)
def test_symbols_are_those_that_matter(x: Any) -> None:
    found = x.symbols if isinstance(x, Dim) else frozenset()
    assert symbols((1, (x,), None)) == found
    at = dict.fromkeys(NAMES, 1)
    for name in set(NAMES) - found:
        assert value(x, {**at, name: 1000}) == value(x, at)


@given(polynomials, polynomials, bindings)
def test_substitution_reaches_through_tuples(x: Any, y: Any, binding: dict[str, int]) -> None:
    tree = (x, (y, "text", None), 3)
    expected = (value(x, binding), (value(y, binding), "text", None), 3)
    assert substitute(tree, binding) == expected


@given(st.lists(polynomials, max_size=4), bindings)
def test_product_is_that_of_the_values(sizes: Any, binding: dict[str, int]) -> None:
    expected = 1
    for size in sizes:
        expected *= value(size, binding)
    assert value(product(tuple(sizes)), binding) == expected


def test_nothing_divides_into_nothing_along_a_symbol() -> None:
    assert divide_exactly(0, A) == 0
    assert divide_exactly(0, 5) == 0
