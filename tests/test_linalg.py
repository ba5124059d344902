"""Linear algebra beside single operators: compositions, named results, degenerate matrices."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from every_style import in_every_style

import diptych as dt
from diptych.errors import ArgumentError, DTypeError, LinAlgError, ShapeError
from diptych.graphs import ops

lin = dt.linalg


def draw(*shape: int, dtype: str = "float64", seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng([seed, *shape])
    numbers = np.asarray(rng.uniform(-2, 2, shape))
    if np.dtype(dtype).kind == "c":
        numbers = numbers + 1j * rng.uniform(-2, 2, shape)
    return numbers.astype(dtype)


def square(*shape: int, dtype: str = "float64", seed: int = 0) -> np.ndarray:
    """Invertible matrices with distinct singular values."""
    steps = np.diag(np.arange(4.0, 4 * shape[-1] + 1, 4))
    return (draw(*shape, dtype=dtype, seed=seed) * 0.5 + steps).astype(dtype)


def adjoint(x: np.ndarray) -> np.ndarray:
    return x.conj().swapaxes(-1, -2)


def assert_close(found: Any, expected: Any, rtol: float = 1e-11) -> None:
    np.testing.assert_allclose(
        found, expected, rtol=rtol, atol=rtol * np.max(np.abs(expected), initial=1)
    )


# -- compositions ----------------------------------------------------------------------------

INF = math.inf
COMPOSED: dict[str, tuple[Callable[..., Any], Callable[..., Any], list[np.ndarray]]] = {
    "outer": (dt.outer, np.outer, [draw(3), draw(2)]),
    "matrix_transpose": (dt.matrix_transpose, lambda x: x.swapaxes(-1, -2), [draw(2, 3, 4)]),
    **{
        f"tensordot {axes}": (
            lambda x, y, axes=axes: dt.tensordot(x, y, axes=axes),
            lambda x, y, axes=axes: np.tensordot(x, y, axes=axes),
            [draw(*x), draw(*y, seed=1)],
        )
        for axes, x, y in (
            (0, (2, 3), (2,)), (1, (2, 3), (3, 4)), (2, (2, 3, 4), (3, 4, 2)), (0, (), (2,)),
            (([0, 2], [1, 0]), (2, 3, 4), (4, 2, 5)), ((-1, 0), (2, 3), (3, 2)), (1, (3,), (3,)),
            (([], []), (2,), (3,)), (2, (2, 2), (2, 2)), (1, (2, 0), (0, 3)),
            (([1], [0]), (0, 2), (2, 3)),
        )
    },
    **{
        f"diag {shape} {k}": (
            lambda x, k=k: dt.diag(x, k), lambda x, k=k: np.diag(x, k), [draw(*shape)]
        )
        for shape, k in (((3,), 0), ((3,), 2), ((2,), -1), ((0,), 0), ((3, 3), 0), ((2, 3), -1))
    },
    **{
        f"trace {shape} {k}": (
            lambda x, k=k: dt.trace(x, k),
            lambda x, k=k: np.trace(x, k, axis1=-2, axis2=-1),
            [draw(*shape)],
        )
        for shape, k in (((3, 3), 0), ((2, 3, 4), 1), ((3, 2), -1), ((0, 2), 0), ((2, 2), 5))
    },
    **{
        f"matrix_norm {ord} {keepdims}": (
            lambda x, p=ord, k=keepdims: lin.matrix_norm(x, keepdims=k, ord=p),
            lambda x, p=ord, k=keepdims: np.linalg.norm(x, p, axis=(-2, -1), keepdims=k),
            [draw(2, 3, 4)],
        )
        for ord in ("fro", "nuc", 1, -1, 2, -2, INF, -INF)
        for keepdims in (False, True)
    },
    **{
        f"matrix_power {n}": (
            lambda x, n=n: lin.matrix_power(x, n),
            lambda x, n=n: np.linalg.matrix_power(x, n),
            [square(2, 3, 3) / 8],
        )
        for n in (1, 2, 3, 5, 7, -1, -2)
    },
    "pinv": (lin.pinv, np.linalg.pinv, [draw(2, 3, 2)]),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPOSED)
def test_compositions_are_numpys_and_differentiable_twice(name: str) -> None:
    ours, numpys, arrays = COMPOSED[name]
    [found] = in_every_style(ours, *arrays)
    expected = np.asarray(numpys(*arrays))
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert_close(found, expected)
    assert dt.gradcheck(ours, arrays, order=2, atol=1e-5)


@pytest.mark.parametrize("dtype", ["int8", "int64", "float32", "complex64", "complex128"])
def test_products_keep_their_dtype(dtype: str) -> None:
    x, y = draw(2, 3, dtype=dtype), draw(3, 2, dtype=dtype, seed=1)
    for found, expected in (
        (dt.tensordot(x, y, axes=1), x @ y),
        (dt.outer(x[0], y[0]), np.outer(x[0], y[0])),
        (dt.vecdot(x, y.T), (x.conj() * y.T).sum(-1, dtype=x.dtype)),
        (lin.matrix_power(x[:, :2], 2), x[:, :2] @ x[:, :2]),
        (lin.matrix_power(x[:, :2], 0), np.eye(2, dtype=dtype)),
        (dt.diag(x[0], 1), np.diag(x[0], 1)),
    ):
        assert found.dtype == expected.dtype
        assert_close(found, expected, 1e-5)


def test_traces_are_summed_as_sums_are() -> None:
    x = np.full((2, 2), 100, np.int8)
    assert dt.trace(x).dtype == np.int64 and dt.trace(x) == 200
    assert dt.trace(x, dtype="float32").dtype == np.float32
    assert dt.trace(draw(2, 2, dtype="float32"), dtype="float64").dtype == np.float64


def test_integers_of_numpy_are_whole_numbers() -> None:
    x, one = draw(3, 3), np.int64(1)
    for function in (
        lambda n: dt.diag(x, n), lambda n: dt.trace(x, n), lambda n: dt.tensordot(x, x, n),
        lambda n: dt.vecdot(x, x, n), lambda n: lin.matrix_power(x, n),
        lambda n: dt.fft.fft(x, n, n), lambda n: dt.fft.fftfreq(n).array,
    ):  # fmt: skip
        np.testing.assert_array_equal(function(one), function(1))


def test_ranks_count_the_singular_values_above_the_tolerance() -> None:
    x = np.stack([np.diag([4.0, 2.0, 1e-3]), np.diag([1.0, 0.0, 0.0]), np.zeros((3, 3))])
    cases = (
        (None, [3, 1, 0]),
        (1e-2, [2, 1, 0]),
        (0.5, [1, 1, 0]),
        (np.array([1e-2, 0.0, 0.0]), [2, 1, 0]),
    )
    for rtol, ranks in cases:
        [found] = in_every_style(lambda x, rtol=rtol: lin.matrix_rank(x, rtol=rtol), x)
        assert found.dtype == np.int64 and found.tolist() == ranks
    assert lin.matrix_rank(np.zeros((2, 0, 3))).tolist() == [0, 0]
    # A 1 beside 1e-4 is noise in half precision, where it is none in single.
    near = np.diag([1.0, 1e-4])
    assert [int(lin.matrix_rank(near.astype(d))) for d in ("float16", "float32")] == [1, 2]


def test_orders_of_a_norm_by_their_meaning() -> None:
    x = np.array([3.0, -4.0, 0.0])
    orders = {2: 5.0, 1: 7.0, INF: 4.0, -INF: 0.0, 0: 2.0, 3: 91 ** (1 / 3)}
    for order, expected in orders.items():
        assert_close(lin.vector_norm(x, ord=order), expected)


# -- named results ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4), (2, 3, 2), (2, 0), (0, 2, 2)])
def test_factors_multiply_to_the_matrix(shape: tuple[int, ...], dtype: str) -> None:
    x = draw(*shape, dtype=dtype)
    eps = 64 * float(np.finfo(dtype).eps)
    inner = min(shape[-2:])
    for mode in ("reduced", "complete"):
        qr = lin.qr(x, mode=mode)
        assert type(qr).__name__ == "QRResult" and qr._fields == ("Q", "R")
        assert_close(qr.Q @ qr.R, x, eps)
        _assert_orthonormal(qr.Q, eps)
        np.testing.assert_array_equal(np.tril(qr.R, -1), np.zeros_like(qr.R))
    for full in (False, True):
        svd = lin.svd(x, full_matrices=full)
        assert svd._fields == ("U", "S", "Vh") and svd.S.dtype == np.finfo(dtype).dtype
        assert_close((svd.U[..., :inner] * svd.S[..., None, :]) @ svd.Vh[..., :inner, :], x, eps)
        _assert_orthonormal(svd.U, eps)
        _assert_orthonormal(adjoint(svd.Vh), eps)
        assert np.all(svd.S[..., :-1] >= svd.S[..., 1:])
    assert lin.svd(x).U.shape[-1] == shape[-2]


def _assert_orthonormal(x: np.ndarray, eps: float) -> None:
    assert_close(
        adjoint(x) @ x,
        np.broadcast_to(np.eye(x.shape[-1]), (*x.shape[:-2], *[x.shape[-1]] * 2)),
        eps,
    )


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("shape", [(3, 3), (2, 2, 2), (0, 0)])
def test_eigenvectors_belong_to_eigenvalues(shape: tuple[int, ...], dtype: str) -> None:
    x = draw(*shape, dtype=dtype)
    eps = 256 * float(np.finfo(dtype).eps)
    hermitian = x + adjoint(x)
    for found, matrix in ((lin.eigh(hermitian), hermitian), (lin.eig(x), x)):
        assert found._fields == ("eigenvalues", "eigenvectors")
        values, vectors = found
        assert_close(matrix @ vectors, vectors * values[..., None, :], eps)
    assert lin.eigh(hermitian).eigenvalues.dtype == np.finfo(dtype).dtype
    assert lin.eig(x).eigenvalues.dtype == np.result_type(dtype, "complex64")
    assert_close(lin.eigvals(x), lin.eig(x).eigenvalues, eps)


def test_a_determinant_is_its_sign_times_its_size() -> None:
    x = square(2, 3, 3, dtype="complex128")
    sign, logabsdet = found = lin.slogdet(x)
    assert found._fields == ("sign", "logabsdet") and logabsdet.dtype == np.float64
    assert_close(sign * np.exp(logabsdet), lin.det(x))
    big = np.eye(400) * 10
    assert_close(lin.slogdet(big).logabsdet, 400 * math.log(10))
    assert lin.slogdet(np.zeros((2, 2))) == (0, -INF)


def test_results_are_named_in_every_style() -> None:
    x = square(3, 3)
    functions = (lin.qr, lin.svd, lambda x: lin.eigh(x + x.T), lin.eig, lin.slogdet)
    for function in functions:
        in_every_style(function, x)
        names = function(dt.asarray(x))._fields
        assert dt.compile(function)(dt.asarray(x))._fields == names
        with dt.static.Graph() as g:
            assert function(g.placeholder("x", (3, 3), "float64"))._fields == names


# -- only the Hermitian part -----------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_only_the_hermitian_part_counts(dtype: str) -> None:
    x = square(3, 3, dtype=dtype)
    part = (x + adjoint(x)) / 2
    assert_close(lin.cholesky(x), np.linalg.cholesky(part))
    assert_close(lin.cholesky(x, upper=True), adjoint(np.linalg.cholesky(part)))
    assert_close(lin.eigvalsh(x), np.linalg.eigvalsh(part))
    assert_close(lin.eigh(x).eigenvalues, np.linalg.eigvalsh(part))


def test_gradients_by_a_symmetric_matrix_are_symmetric() -> None:
    x = dt.tensor(square(3, 3) + square(3, 3).T, requires_grad=True)
    for function in (lin.cholesky, lin.eigvalsh, lambda x: lin.eigh(x).eigenvectors):
        (gradient,) = dt.grad(dt.sum(function(x) * dt.tensor(draw(3))), x)
        np.testing.assert_allclose(gradient.array, gradient.array.T, rtol=1e-12)


# -- where a gradient is delicate ------------------------------------------------------------

SINGULAR = {
    "rank 2": np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.5], [0.5, 1.0, -1.0]]),
    "rank 1": np.outer([1.0, 2.0, 3.0], [1.0, -1.0, 2.0]),
    "rank 0": np.zeros((3, 3)),
}


@pytest.mark.parametrize("name", SINGULAR)
def test_determinants_of_singular_matrices_have_gradients(name: str) -> None:
    assert dt.gradcheck(lin.det, [SINGULAR[name]])


def test_determinants_are_differentiable_twice_where_singular_values_coincide() -> None:
    assert dt.gradcheck(lin.det, [np.eye(3)], order=2)
    assert dt.gradcheck(lambda x: lin.slogdet(x).logabsdet, [np.eye(3)], order=2)


def test_the_logarithm_of_no_determinant_has_no_gradient() -> None:
    x = dt.tensor([[1.0, 2.0], [2.0, 4.0]], requires_grad=True)
    logarithm = lin.slogdet(x).logabsdet
    assert logarithm.item() == -INF
    with pytest.raises(LinAlgError, match="inv: matrices must be invertible, got a singular one"):
        dt.grad(logarithm, x)


def test_coinciding_singular_and_eigenvalues_leave_finite_gradients() -> None:
    x = dt.tensor(np.eye(3), requires_grad=True)
    weights = dt.tensor([1.0, 2.0, 4.0])
    for function in (lambda x: lin.svd(x).S, lin.svdvals):
        (gradient,) = dt.grad(dt.sum(function(x)), x)
        assert_close(gradient.array, np.eye(3))
    for function in (lambda x: lin.eigh(x).eigenvalues, lin.eigvalsh):
        (gradient,) = dt.grad(dt.sum(function(x) * weights), x)
        assert_close(np.linalg.eigvalsh(gradient.array), [1, 2, 4])
    u, s, vh = lin.svd(dt.tensor(np.zeros((3, 2)), requires_grad=True), full_matrices=False)
    assert np.isfinite((u.sum() + s.sum() + vh.sum()).array)


def test_no_gradient_flows_through_vectors_whose_choice_is_free() -> None:
    x = draw(4, 2)
    weights = draw(4, 4)
    weights[:, :2] = 0
    for function in (lambda x: lin.svd(x).U, lambda x: lin.qr(x, mode="complete").Q):
        t = dt.tensor(x, requires_grad=True)
        (gradient,) = dt.grad(dt.sum(function(t) * dt.tensor(weights)), t)
        assert not gradient.array.any()


def test_pseudo_inverses_are_differentiable_along_matrices_of_one_rank() -> None:
    assert dt.gradcheck(
        lambda u, v: lin.pinv(dt.outer(u, v), rtol=1e-6), [draw(3), draw(2)], order=2
    )


@pytest.mark.parametrize("order", [2, 1, INF, 3, 1.5, 0])
def test_the_gradient_of_a_norm_at_0_is_0(order: float) -> None:
    x = dt.tensor([[0.0, 0.0], [3.0, 4.0]], requires_grad=True)
    (gradient,) = dt.grad(dt.sum(lin.vector_norm(x, axis=1, ord=order)), x)
    assert gradient.tolist()[0] == [0.0, 0.0]
    assert np.isfinite(gradient.array).all()


def test_large_orders_do_not_overflow_in_the_gradient() -> None:
    x = dt.tensor([1e3, 2e3], dtype="float64", requires_grad=True)
    (gradient,) = dt.grad(lin.vector_norm(x, ord=80), x)
    assert_close(gradient.array, [0.5**79, 1.0])


# -- sizes that are symbolic -----------------------------------------------------------------


def test_symbolic_matrices() -> None:
    x, b = square(3, 3), draw(3)
    functions: list[Callable[..., Any]] = [
        lambda x, b: lin.solve(x, b),
        lambda x, b: lin.inv(x) @ b,
        lambda x, b: lin.cholesky(x @ x.T),
        lambda x, b: lin.svd(x).S,
        lambda x, b: lin.qr(x).R,
        lambda x, b: lin.eigh(x).eigenvalues,
        lambda x, b: lin.det(x) + lin.slogdet(x).logabsdet,
        lambda x, b: lin.pinv(x),
        lambda x, b: lin.matrix_rank(x),
        lambda x, b: lin.matrix_norm(x, ord=2),
        lambda x, b: lin.matrix_power(x, 3),
        lambda x, b: dt.outer(b, b) + dt.diag(b) + dt.trace(x),
        lambda x, b: dt.tensordot(x, x, axes=2) + dt.vecdot(b, b),
        lambda x, b: dt.grad(dt.sum(lin.svdvals(x)) + dt.sum(lin.qr(x).Q), x)[0],
    ]
    for function in functions:
        with dt.static.Graph() as g:
            fed = g.placeholder("x", ("n", "n"), "float64"), g.placeholder("b", ("n",), "float64")
            y = function(*fed)
        [found] = g.compile([y]).run({fed[0]: x, fed[1]: b})
        expected = function(dt.tensor(x, requires_grad=True), dt.tensor(b)).array
        assert_close(found, expected)


@pytest.mark.parametrize(
    "call, match",
    [
        (lambda x: lin.svd(x), "svd: the smaller of both sizes must be known, got (n, m)"),
        (lambda x: lin.qr(x), "qr: the smaller of both sizes must be known, got (n, m)"),
        (lambda x: lin.inv(x), "inv: matrices must be square, got (n, m)"),
        (lambda x: dt.diagonal(x), "diagonal: a diagonal's length must be known unless"),
    ],
)
def test_sizes_that_must_be_known(call: Any, match: str) -> None:
    with dt.static.Graph() as g, pytest.raises(ShapeError, match=re.escape(match)):
        call(g.placeholder("x", ("n", "m"), "float32"))


# -- errors ----------------------------------------------------------------------------------

PAIR = "a number or two lists of axes, got "
DIFFER = "axes must be equally many and differ, got "
NUMBERS = "operands must be numbers, got bool"
AXES = "operands must have at least two axes, got (3,)"
ERRORS: list[tuple[Callable[..., Any], Any, type[Exception], str]] = [
    (dt.outer, ((2, 3), (3,)), ShapeError, "outer: operands must be vectors, got (2, 3) and (3,)"),
    (dt.outer, ((), (3,)), ShapeError, "outer: operands must be vectors, got () and (3,)"),
    (dt.matrix_transpose, ((3,),), ShapeError, f"matrix_transpose: {AXES}"),
    (dt.diag, ((),), ShapeError, "diag: the operand must be a vector or a matrix, got ()"),
    (dt.diag, ((2, 2, 2),), ShapeError, "must be a vector or a matrix, got (2, 2, 2)"),
    (lambda x: dt.diag(x, 0.5), ((2,),), ShapeError, "diag: offset must be a whole number, got"),
    (dt.trace, ((3,),), ShapeError, f"trace: {AXES}"),
    (lambda x: dt.trace(x, 1.0), ((2, 2),), ShapeError, "trace: offset must be a whole number,"),
    (dt.tensordot, ((2, 3), (4, 5)), ShapeError,
     "tensordot: contracted axes must have the same sizes, got (2, 3) over [0, 1] and (4, 5) over"),
    (dt.tensordot, ((2,), (2,)), ShapeError, "tensordot: axes must be in 0..1, or two lists of"),
    (lambda x: dt.tensordot(x, x, -1), ((2,),), ShapeError, "0..1, or two lists of axes, got -1"),
    (lambda x: dt.tensordot(x, x, "a"), ((2,),), ShapeError, f"{PAIR}'a'"),
    (lambda x: dt.tensordot(x, x, True), ((2,),), ShapeError, f"{PAIR}True"),
    (lambda x: dt.tensordot(x, x, ([0], [0, 1])), ((2, 2),), ShapeError, DIFFER),
    (lambda x: dt.tensordot(x, x, ([0, 0], [0, 1])), ((2, 2),), ShapeError, DIFFER),
    (lambda x: dt.tensordot(x, x, ([2], [0])), ((2, 2),), ShapeError, "must be in -2..1, got 2"),
    (lambda x: dt.tensordot(x > 0, x > 0, 1), ((2, 2),), DTypeError, f"tensordot: {NUMBERS}"),
    (lambda x: lin.matrix_norm(x, ord=3), ((2, 2),), ArgumentError,
     "matrix_norm: ord must be one of fro, nuc, 1, -1, 2, -2, inf, -inf, got 3"),
    (lambda x: lin.matrix_norm(x, ord="f"), ((2, 2),), ArgumentError, "got 'f'"),
    (lin.matrix_norm, ((3,),), ShapeError, f"matrix_norm: {AXES}"),
    (lambda x: lin.matrix_norm(x, ord=2), ((2, 0),), ShapeError,
     "matrix_norm: matrices must not be empty, got (2, 0) for ord=2"),
    (lambda x: lin.matrix_power(x, 0.5), ((2, 2),), ShapeError,
     "matrix_power: the power must be a whole number, got 0.5"),
    (lambda x: lin.matrix_power(x, 2), ((2, 3),), ShapeError,
     "matrix_power: matrices must be square, got (2, 3)"),
    (lambda x: lin.matrix_power(x > 0, 2), ((2, 2),), DTypeError, f"matrix_power: {NUMBERS}"),
    (lin.matrix_rank, ((3,),), ShapeError, f"matrix_rank: {AXES}"),
    (lin.pinv, ((3,),), ShapeError, f"pinv: {AXES}"),
]  # fmt: skip


@pytest.mark.parametrize("call, shapes, error, match", ERRORS, ids=[e[3] for e in ERRORS])
def test_compositions_refuse_what_is_wrong_by_their_own_name(
    call: Any, shapes: Any, error: Any, match: str
) -> None:
    arrays = [draw(*shape) for shape in shapes]
    with pytest.raises(error, match=re.escape(match)):
        call(*map(dt.asarray, arrays))
    with dt.static.Graph() as g, pytest.raises(error, match=re.escape(match)):
        call(*(g.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)))


def test_singular_matrices_are_refused_as_numpy_users_expect() -> None:
    with pytest.raises(
        np.linalg.LinAlgError, match="inv: matrices must be invertible, got a singu"
    ):
        lin.matrix_power(np.zeros((2, 2)), -1)
    assert issubclass(LinAlgError, ValueError)


# -- the namespace ---------------------------------------------------------------------------


@pytest.mark.parametrize("namespace", ["linalg", "fft"])
def test_namespaces_hold_documented_functions(namespace: str) -> None:
    module = getattr(dt, namespace)
    for name in module.__all__:
        doc = getattr(module, name).__doc__
        assert doc.splitlines()[0].endswith("."), name
        if name[0].islower():
            titles = re.findall(r"^ *(\w+)\n *-{3,}$", doc, re.MULTILINE)
            assert {"Parameters", "Returns", "Examples"} <= set(titles), name


def test_every_function_of_these_families_is_in_a_namespace() -> None:
    assert ops.NAMESPACED.keys() <= {*dt.linalg.__all__, *dt.fft.__all__}


def test_the_front_door_has_products_and_no_decompositions() -> None:
    for name in (
        "matmul",
        "tensordot",
        "vecdot",
        "matrix_transpose",
        "outer",
        "cross",
        "diagonal",
        "trace",
    ):
        assert getattr(dt, name) is getattr(lin, name)
    assert not {"inv", "svd", "vector_norm", "rfft"} & set(dir(dt))
