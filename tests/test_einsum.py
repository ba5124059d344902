"""`einsum` against NumPy's, in every style, with gradients; what it builds and what it refuses."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from every_style import in_every_style
from hypothesis import given, settings
from hypothesis import strategies as st

import diptych as dt
from diptych.errors import ArgumentError, DTypeError, ShapeError


def draw(*shape: int, dtype: str = "float64", seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng([seed, *shape])
    numbers = np.asarray(rng.uniform(-3, 3, shape))
    if np.dtype(dtype).kind == "c":
        numbers = numbers + 1j * rng.uniform(-3, 3, shape)
    return numbers.astype(dtype)


def operands(shapes: Any, dtype: str = "float64") -> list[np.ndarray]:
    return [draw(*shape, dtype=dtype, seed=i) for i, shape in enumerate(shapes)]


CASES: list[tuple[str, Any]] = [
    ("ij,jk->ik", ((2, 3), (3, 4))),
    ("ij,jk", ((2, 3), (3, 4))),
    ("ij,kj->ki", ((2, 3), (4, 3))),
    ("ba,b", ((2, 3), (2,))),
    ("i,i", ((3,), (3,))),
    ("i,j->ij", ((2,), (3,))),
    ("ij,ij->ij", ((2, 3), (2, 3))),
    ("ij,ij->i", ((2, 3), (2, 3))),
    ("bij,bjk->bik", ((2, 3, 4), (2, 4, 2))),
    ("bhqd,bhkd->bhqk", ((2, 1, 3, 2), (2, 1, 4, 2))),
    ("ii", ((3, 3),)),
    ("ii->i", ((3, 3),)),
    ("iji->j", ((2, 3, 2),)),
    ("iii->i", ((2, 2, 2),)),
    ("ijj,jk->ik", ((2, 3, 3), (3, 2))),
    ("ij->ji", ((2, 3),)),
    ("ij->", ((2, 3),)),
    ("ji", ((2, 3),)),
    ("...", ((2, 3),)),
    ("i...->...i", ((2, 3, 4),)),
    ("...ij,...jk->...ik", ((2, 1, 2, 3), (4, 3, 2))),
    ("...ij,jk", ((2, 2, 3), (3, 2))),
    ("i...,i->...", ((3, 2), (3,))),
    ("...i,...i->...", ((3,), (2, 3))),
    ("...->", ((),)),
    (",i->i", ((), (3,))),
    (" i j , j -> i ", ((2, 3), (3,))),
    ("ij,jk,kl->il", ((2, 3), (3, 4), (4, 2))),
    ("ij,jk,kl,lm->mi", ((2, 3), (3, 2), (2, 4), (4, 3))),
    ("i,i,i->i", ((3,), (3,), (3,))),
    ("i,j,k->kij", ((2,), (3,), (2,))),
    ("ab,bc,ca", ((2, 3), (3, 2), (2, 2))),
    ("ij,jk->ik", ((2, 1), (3, 4))),
    ("ij,ij->j", ((2, 3), (1, 3))),
    ("ij,jk->ik", ((2, 0), (0, 3))),
    ("ij,jk->ik", ((0, 2), (2, 3))),
    ("ij->i", ((2, 0),)),
    ("Aa,aB->BA", ((2, 3), (3, 2))),
]


@pytest.mark.parametrize("subscripts, shapes", CASES, ids=[f"{s} {n}" for s, n in CASES])
def test_einsum_is_numpys_and_differentiable_twice(subscripts: str, shapes: Any) -> None:
    arrays = operands(shapes)
    [found] = in_every_style(lambda *xs: dt.einsum(subscripts, *xs), *arrays)
    expected = np.einsum(subscripts, *arrays)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    if len(shapes) <= 3:
        assert dt.gradcheck(lambda *xs: dt.einsum(subscripts, *xs), arrays, order=2, atol=1e-5)


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", "float32", "complex64", "complex128"])
def test_the_dtype_is_kept(dtype: str) -> None:
    for subscripts, shapes in CASES:
        arrays = [np.abs(a) if dtype[0] == "u" else a for a in operands(shapes)]
        if np.dtype(dtype).kind == "c":
            arrays = operands(shapes, dtype)
        arrays = [a.astype(dtype) for a in arrays]
        expected = np.einsum(subscripts, *arrays)
        found = dt.einsum(subscripts, *arrays)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


def test_operands_are_promoted_before_anything_is_summed() -> None:
    small, big = np.full(4, 100, np.int8), np.array([1], np.int64)
    assert dt.einsum("i,j->j", small, big).tolist() == [400]
    half = dt.einsum("i,->i", np.ones(2, np.float16), 2.0)
    assert half.dtype == np.float16 and half.tolist() == [2.0, 2.0]
    assert dt.einsum("i,i->i", [1, 2], [0.5, 1.5]).dtype == np.float32


# -- random expressions ----------------------------------------------------------------------


@st.composite
def expressions(draw: Any) -> tuple[str, list[tuple[int, ...]]]:
    """Subscripts with explicit or implicit results, and shapes that fit."""
    sizes = {letter: draw(st.integers(0, 3)) for letter in "abcde"}
    ellipsis = draw(st.lists(st.integers(1, 3), max_size=2))
    parts, shapes = [], []
    for _ in range(draw(st.integers(1, 4))):
        letters = draw(st.lists(st.sampled_from("abcde"), max_size=3))
        shape = [sizes[letter] for letter in letters]
        text = "".join(letters)
        if draw(st.booleans()):
            at = draw(st.integers(0, len(letters)))
            kept = ellipsis[draw(st.integers(0, len(ellipsis))) :]
            shape[at:at] = [1 if draw(st.booleans()) else size for size in kept]
            text = text[:at] + "..." + text[at:]
        parts.append(text)
        shapes.append(tuple(shape))
    subscripts = ",".join(parts)
    if draw(st.booleans()):
        known = sorted(set(subscripts) - set(",."))
        output = "".join(draw(st.permutations(known))[: draw(st.integers(0, len(known)))])
        subscripts += "->" + ("..." if "..." in subscripts else "") + output
    return subscripts, shapes


def _check(expression: tuple[str, list[tuple[int, ...]]], optimize: Any) -> None:
    subscripts, shapes = expression
    arrays = operands(shapes)
    found = dt.einsum(subscripts, *arrays, optimize=optimize)
    expected = np.einsum(subscripts, *arrays)
    assert np.shape(found) == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


STRATEGIES = st.sampled_from([True, False, "greedy", "optimal"])


@given(expressions(), STRATEGIES)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_random_expressions(expression: Any, optimize: Any) -> None:
    _check(expression, optimize)


@pytest.mark.full
@given(expressions(), STRATEGIES)
@settings(max_examples=3000, deadline=None)
def test_many_random_expressions(expression: Any, optimize: Any) -> None:
    _check(expression, optimize)


# -- what is built ---------------------------------------------------------------------------


def nodes_of(subscripts: str, *shapes: Any, **options: Any) -> list[str]:
    with dt.static.Graph() as g:
        fed = [g.placeholder(f"x{i}", s, "float32") for i, s in enumerate(shapes)]
        dt.einsum(subscripts, *fed, **options)
    return [node.op.name for node in g.nodes if node.op.name != "placeholder"]


def test_a_matrix_product_is_one_matrix_product() -> None:
    assert nodes_of("ij,jk->ik", (2, 3), (3, 4)) == ["matmul"]
    assert nodes_of("bij,bjk->bik", (5, 2, 3), (5, 3, 4)) == ["matmul"]
    assert nodes_of("ij,kj->ik", (2, 3), (4, 3)) == ["permute_dims", "matmul"]
    assert nodes_of("ij,ij->ij", (2, 3), (2, 3)) == ["multiply"]
    assert "matmul" not in nodes_of("i,j->ij", (2,), (3,))


def test_the_path_decides_how_much_is_computed() -> None:
    shapes = ((2, 300), (300, 300), (300, 1))

    def flop(**options: Any) -> int:
        with dt.static.Graph() as g:
            fed = [g.placeholder(f"x{i}", s, "float32") for i, s in enumerate(shapes)]
            dt.einsum("ij,jk,kl->il", *fed, **options)
        return sum(node.bound.flop for node in g.nodes if node.op.name == "matmul")

    left_first, right_first = 2 * (2 * 300 * 300 + 2 * 300), 2 * (300 * 300 + 2 * 300)
    assert flop(optimize=False) == flop(optimize=[(0, 1), (0, 1)]) == left_first
    assert flop() == flop(optimize="optimal") == flop(optimize=[(1, 2), (0, 1)]) == right_first


def test_one_step_may_take_several_operands() -> None:
    arrays = operands(((2, 3), (3, 4), (4, 2)))
    found = dt.einsum("ij,jk,kl->il", *arrays, optimize=[(0, 1, 2)])
    np.testing.assert_allclose(found, np.einsum("ij,jk,kl->il", *arrays), rtol=1e-12)


def test_symbolic_sizes_meet_from_left_to_right() -> None:
    with dt.static.Graph() as g:
        fed = [
            g.placeholder("x", ("b", 3), "float64"),
            g.placeholder("y", (3, "n"), "float64"),
            g.placeholder("z", ("b", "n"), "float64"),
        ]
        y = dt.einsum("bi,in,bn->b", *fed)
        slope = dt.grad(dt.sum(y * y), fed[1])[0]
    assert y.shape == (fed[0].shape[0],)
    program = g.compile([y, slope])
    for b, n in ((2, 4), (3, 1), (0, 2)):
        arrays = operands(((b, 3), (3, n), (b, n)))
        found, gradient = program.run(dict(zip(fed, arrays)))
        np.testing.assert_allclose(found, np.einsum("bi,in,bn->b", *arrays), rtol=1e-12)
        assert gradient.shape == (3, n)


def test_opt_einsum_is_loaded_when_a_path_is_asked_for() -> None:
    code = (
        "import sys, numpy as np, diptych as dt; x = np.ones((2, 2)); dt.einsum('ij,jk', x, x); "
        "assert 'opt_einsum' not in sys.modules; dt.einsum('ij,jk,kl', x, x, x); "
        "assert 'opt_einsum' in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# -- errors ----------------------------------------------------------------------------------

ERRORS: list[tuple[Any, Any, dict[str, Any], type[Exception], str]] = [
    ("ij,jk->ik", ((2, 3), (4, 5)), {}, ShapeError,
     "an axis must have one size, got 'ij,jk->ik' for (2, 3) and (4, 5), letter 'j'"),
    ("ii", ((2, 3),), {}, ShapeError, "must have one size, got 'ii' for (2, 3), letter 'i'"),
    ("...,...", ((2,), (3,)), {}, ShapeError, "got '...,...' for (2,) and (3,), ellipsis"),
    ("ij", ((2, 3), (3,)), {}, ShapeError,
     "there must be subscripts for every operand, got 'ij' for (2, 3) and (3,)"),
    ("ij,j", ((2, 3),), {}, ShapeError, "subscripts for every operand, got 'ij,j' for (2, 3)"),
    ("", (), {}, ShapeError, "subscripts for every operand, got '' for no operand"),
    ("i", ((2, 3),), {}, ShapeError, "a letter for every axis, got 'i' for (2, 3)"),
    ("ijk", ((2, 3),), {}, ShapeError, "a letter for every axis, got 'ijk' for (2, 3)"),
    ("ijk...", ((2, 3),), {}, ShapeError, "a letter for every axis, got 'ijk...' for (2, 3)"),
    ("i1", ((2, 3),), {}, ShapeError, "must be letters and at most one ellipsis each, got 'i1'"),
    ("i..", ((2, 3),), {}, ShapeError, "must be letters and at most one ellipsis each, got 'i..'"),
    ("......", ((2, 3),), {}, ShapeError, "must be letters and at most one ellipsis each"),
    ("iß", ((2, 3),), {}, ShapeError, "must be letters and at most one ellipsis each"),
    ("ij->i->j", ((2, 3),), {}, ShapeError, "must be letters and at most one ellipsis each"),
    ("ij->ii", ((2, 3),), {}, ShapeError, "letters must be of the operands, once each"),
    ("ij->k", ((2, 3),), {}, ShapeError, "letters must be of the operands, once each"),
    ("i...->i", ((2, 3),), {}, ShapeError, "the result must have the axes of the ellipsis"),
    (["ij"], ((2, 3),), {}, ShapeError, "subscripts must be a string, got ['ij']"),
    ("i,i,i", ((2,),) * 3, {"optimize": "best"}, ArgumentError, "one of auto, auto-hq, greedy"),
    ("i,i,i", ((2,),) * 3, {"optimize": None}, ArgumentError, "a path or one of auto"),
    ("i,i,i", ((2,),) * 3, {"optimize": [(0, 1)]}, ArgumentError,
     "optimize must be a path for 3 operands, got [(0, 1)]"),
    ("i,i", ((2,),) * 2, {"optimize": [(0, 2)]}, ArgumentError, "for 2 operands, got [(0, 2)]"),
    ("i,i", ((2,),) * 2, {"optimize": [(0, 0)]}, ArgumentError, "for 2 operands, got [(0, 0)]"),
    ("i,i", ((2,),) * 2, {"optimize": 1}, ArgumentError, "a path or one of auto"),
    ("i,i", ((2,),) * 2, {"optimize": [([0], 1)]}, ArgumentError, "for 2 operands, got [([0], 1)]"),
    ("i,i", ((2,),) * 2, {"optimize": [0, 1]}, ArgumentError, "a path for 2 operands, got [0, 1]"),
]  # fmt: skip


@pytest.mark.parametrize("subscripts, shapes, options, error, match", ERRORS)
def test_what_is_wrong_is_refused_with_subscripts_and_shapes(
    subscripts: Any, shapes: Any, options: Any, error: Any, match: str
) -> None:
    arrays = operands(shapes)
    with pytest.raises(error, match="^einsum: .*" + re.escape(match)):
        dt.einsum(subscripts, *map(dt.asarray, arrays), **options)
    with dt.static.Graph() as g, pytest.raises(error, match="^einsum: .*" + re.escape(match)):
        fed = [g.placeholder(f"x{i}", a.shape, "float32") for i, a in enumerate(arrays)]
        dt.einsum(subscripts, *fed, **options)


def test_bools_and_dtypes_that_do_not_promote_are_refused() -> None:
    with pytest.raises(DTypeError, match="einsum: operands must be numbers, got bool"):
        dt.einsum("i->", np.array([True]))
    with pytest.raises(DTypeError, match="einsum: no integer dtype holds both operands"):
        dt.einsum("i,i", np.ones(2, np.uint64), np.ones(2, np.int8))
