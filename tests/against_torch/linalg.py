"""Rows of linear algebra: products, decompositions, norms and einsum.

Singular and eigenvectors are compared without their signs, which are free. Matrices are drawn by
their singular values, which are apart and near 1, so that all is well conditioned.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import diptych as dt

from .base import Case, Rng, a_shape, numbers

lin = dt.linalg
tlin = torch.linalg


def _orthogonal(rng: Rng, shape: tuple[int, ...], size: int) -> np.ndarray:
    return np.linalg.qr(rng.normal(size=(*shape, size, size)))[0]


def _matrices(rng: Rng, stack: tuple[int, ...], m: int, n: int) -> np.ndarray:
    """Stacks of matrices with singular values of at least 0.7, at least 0.4 apart."""
    k = min(m, n)
    values = 0.7 + 0.6 * np.arange(k) + rng.uniform(0, 0.2, (*stack, k))
    left, right = _orthogonal(rng, stack, m)[..., :k], _orthogonal(rng, stack, n)[..., :k]
    return (left * values[..., None, :]) @ right.swapaxes(-1, -2)


def _square(rng: Rng) -> tuple[np.ndarray]:
    n = int(rng.integers(1, 5))
    return (_matrices(rng, a_shape(rng, 0, 2, 3), n, n),)


def _rectangle(rng: Rng) -> tuple[np.ndarray]:
    m, n = rng.integers(1, 5, 2).tolist()
    return (_matrices(rng, a_shape(rng, 0, 2, 3), m, n),)


def _leading_columns(rng: Rng) -> tuple[np.ndarray]:
    """Rectangles whose first columns are well conditioned by themselves."""
    m, n = rng.integers(1, 5, 2).tolist()
    if m >= n:
        return (_matrices(rng, (), m, n),)
    return (np.concatenate([_matrices(rng, (), m, m), numbers(rng, (m, n - m))], 1),)


def _hermitian(rng: Rng) -> tuple[np.ndarray]:
    """Positive definite matrices with eigenvalues apart."""
    n = int(rng.integers(1, 5))
    stack = a_shape(rng, 0, 1, 3)
    q = _orthogonal(rng, stack, n)
    values = 0.7 + 0.6 * np.arange(n) + rng.uniform(0, 0.2, (*stack, n))
    return ((q * values[..., None, :]) @ q.swapaxes(-1, -2),)


def _symmetric(x: Any) -> Any:
    return (x + x.mT) * 0.5


def _nearly_symmetric(rng: Rng) -> tuple[np.ndarray]:
    [x] = _hermitian(rng)
    turn = numbers(rng, x.shape, -0.2, 0.2)
    return (x + turn - turn.swapaxes(-1, -2),)


def _system(rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    n, k = rng.integers(1, 5, 2).tolist()
    stack = a_shape(rng, 0, 2, 3)
    kept = stack[rng.integers(0, len(stack) + 1) :]
    return _matrices(rng, stack, n, n), numbers(rng, (*kept, n, k))


def _vector_system(rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    n = int(rng.integers(1, 5))
    return _matrices(rng, (), n, n), numbers(rng, (n,))


def _products(rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    n, k, m = rng.integers(1, 5, 3).tolist()
    stack = a_shape(rng, 0, 2, 3)
    kept = stack[rng.integers(0, len(stack) + 1) :]
    x, y = (*stack, n, k), (*kept, k, m)
    x, y = (x if rng.random() < 0.8 else (k,)), (y if rng.random() < 0.8 else (k,))
    return numbers(rng, x), numbers(rng, y)


def _vectors(size: int | None = None) -> Any:
    def draw(rng: Rng) -> tuple[np.ndarray, np.ndarray]:
        n = size or int(rng.integers(1, 5))
        stack = a_shape(rng, 0, 2, 3)
        kept = tuple(1 if rng.random() < 0.3 else s for s in stack)
        return numbers(rng, (*stack, n)), numbers(rng, (*kept, n))

    return draw


def _two_vectors(rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    n, m = rng.integers(1, 5, 2).tolist()
    return numbers(rng, (n,)), numbers(rng, (m,))


def _stack_and_offset(rng: Rng) -> tuple[np.ndarray, int]:
    shape = (*a_shape(rng, 0, 2, 3), *rng.integers(2, 5, 2).tolist())
    return numbers(rng, shape), int(rng.integers(-1, 2))


def _vector_or_matrix(rng: Rng) -> tuple[np.ndarray, int]:
    return numbers(rng, a_shape(rng, 1, 2)), int(rng.integers(-1, 2))


def _contraction(rng: Rng) -> tuple[np.ndarray, np.ndarray, Any]:
    sizes = rng.integers(1, 4, 5).tolist()
    count = int(rng.integers(0, 3))
    x, y = sizes[: count + 1], [*sizes[:count][::-1], sizes[-1]]
    axes = (list(range(count)), list(reversed(range(count))))
    return numbers(rng, tuple(x)), numbers(rng, tuple(y)), axes


def _powered(rng: Rng) -> tuple[np.ndarray, int]:
    return (*_square(rng), int(rng.integers(-3, 5)) or 1)


def _normed(*orders: float) -> Any:
    def draw(rng: Rng) -> tuple[np.ndarray, float, int]:
        shape = a_shape(rng, 1)
        signs = rng.choice([-1.0, 1.0], shape)
        return (
            numbers(rng, shape, 0.3, 2.0) * signs,
            rng.choice(orders),
            int(rng.integers(len(shape))),
        )

    return draw


def _of_order(*orders: Any) -> Any:
    return lambda rng: (*_rectangle(rng), orders[rng.integers(len(orders))])


def _einsum(subscripts: str) -> Case:
    def draw(rng: Rng) -> tuple[np.ndarray, ...]:
        sizes = dict(zip("abcdefghijk", rng.integers(1, 5, 11).tolist()))
        more = a_shape(rng, 0, 2, 3)
        return tuple(
            numbers(rng, sum(((sizes[c],) if c != "." else more for c in part), ()))
            for part in subscripts.partition("->")[0].replace("...", ".").split(",")
        )

    return Case(
        lambda *xs: dt.einsum(subscripts, *xs), lambda *xs: torch.einsum(subscripts, *xs), draw
    )


def _unsigned_svd(svd: Any) -> Any:
    def function(x: Any) -> tuple[Any, ...]:
        u, s, vh = svd(x, full_matrices=False)
        return abs(u), s, abs(vh)

    return function


def _unsigned_eigh(eigh: Any) -> Any:
    def function(x: Any) -> tuple[Any, ...]:
        values, vectors = eigh(_symmetric(x))
        return values, abs(vectors)

    return function


def _unordered(eigvals: Any) -> Any:
    def function(x: Any) -> tuple[Any, ...]:
        values = eigvals(x)
        return abs(values).sum(-1), abs(values - 3.0).sum(-1)

    return function


CASES = {
    "matmul": Case(dt.matmul, torch.matmul, _products),
    "vecdot": Case(dt.vecdot, tlin.vecdot, _vectors()),
    "cross": Case(dt.cross, tlin.cross, _vectors(3)),
    "outer": Case(dt.outer, torch.outer, _two_vectors),
    "tensordot": Case(dt.tensordot, torch.tensordot, _contraction),
    "diagonal": Case(dt.diagonal, lambda x, k: torch.diagonal(x, k, -2, -1), _stack_and_offset),
    "trace": Case(
        dt.trace, lambda x, k: torch.diagonal(x, k, -2, -1).sum(-1), _stack_and_offset
    ),
    "diag": Case(dt.diag, torch.diag, _vector_or_matrix),
    "inv": Case(lin.inv, tlin.inv, _square),
    "solve": Case(lin.solve, tlin.solve, _system),
    "solve of a vector": Case(lin.solve, tlin.solve, _vector_system),
    "det": Case(lin.det, tlin.det, _square),
    "slogdet": Case(lin.slogdet, tlin.slogdet, _square),
    "pinv": Case(lin.pinv, tlin.pinv, _rectangle),
    "matrix_power": Case(lin.matrix_power, tlin.matrix_power, _powered),
    "matrix_rank": Case(lin.matrix_rank, tlin.matrix_rank, _rectangle, gradients=False),
    "cholesky": Case(
        lambda x: lin.cholesky(_symmetric(x)), lambda x: tlin.cholesky(_symmetric(x)), _hermitian
    ),
    "qr": Case(lin.qr, tlin.qr, _leading_columns),
    "svd": Case(_unsigned_svd(lin.svd), _unsigned_svd(tlin.svd), _rectangle),
    "svdvals": Case(lin.svdvals, tlin.svdvals, _rectangle),
    "eigh": Case(_unsigned_eigh(lin.eigh), _unsigned_eigh(tlin.eigh), _hermitian),
    "eigvalsh": Case(
        lambda x: lin.eigvalsh(_symmetric(x)), lambda x: tlin.eigvalsh(_symmetric(x)), _hermitian
    ),
    "eigvals": Case(
        _unordered(lin.eigvals), _unordered(tlin.eigvals), _nearly_symmetric, gradients=False
    ),
    "vector_norm": Case(
        lambda x, p, a: lin.vector_norm(x, axis=a, ord=p),
        lambda x, p, a: tlin.vector_norm(x, p, a),
        _normed(2, 1, 3, 0.5, 2.5, -1, float("inf"), -float("inf")),
    ),
    "matrix_norm": Case(
        lambda x, p: lin.matrix_norm(x, ord=p),
        tlin.matrix_norm,
        _of_order("fro", "nuc", 1, -1, 2, -2, float("inf"), -float("inf")),
    ),
    **{
        f"einsum {subscripts}": _einsum(subscripts)
        for subscripts in (
            "ij,jk->ik", "ij,jk", "bij,bjk->bik", "i,j->ij", "ii", "ii->i", "iij->j", "ij,ij->",
            "...ij,...jk->...ik", "i...->...", "ab,bc,cd->ad", "abc,cd,da->b", "bhi,bgi->bhg",
        )
    },
}  # fmt: skip
