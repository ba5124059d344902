"""Outputs and gradients against torch, on random shapes, wherever both have the function."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest

import diptych as dt

torch = pytest.importorskip("torch")

from against_torch import CASES, Case  # noqa: E402

RELATIVE = {"float64": 1e-10, "float32": 1e-5}
NARROW = {"float32": {"f": np.float32, "c": np.complex64}, "float64": {}}


def _narrowed(args: Any, dtype: str) -> list[Any]:
    """The drawn arguments, with inexact arrays in the precision of `dtype`."""
    narrow: dict[str, Any] = NARROW[dtype]
    return [
        a.astype(narrow.get(a.dtype.kind, a.dtype)) if isinstance(a, np.ndarray) else a
        for a in args
    ]


def _is_float(array: Any) -> bool:
    return isinstance(array, np.ndarray) and array.dtype.kind == "f"


def _tuple(found: Any) -> tuple[Any, ...]:
    return tuple(found) if isinstance(found, tuple | list) else (found,)


def _run_ours(case: Case, args: list[Any], rng: Any) -> tuple[list[Any], list[Any]]:
    """Results and gradients of the sum of the results, each weighted by random cotangents."""
    given = [
        dt.tensor(a, requires_grad=case.gradients and _is_float(a))
        if isinstance(a, np.ndarray) else a
        for a in args
    ]  # fmt: skip
    results = _tuple(case.ours(*given))
    arrays = [np.asarray(r.array) for r in results]
    pairs = [(r, dt.tensor(_cotangent(rng, r.array))) for r in results if r.requires_grad]
    wanted = [t for t, a in zip(given, args) if _is_float(a)]
    if not case.gradients:
        return arrays, []
    assert pairs, "no result records a gradient"
    outputs, cotangents = zip(*pairs, strict=True)
    gradients = dt.grad(list(outputs), wanted, list(cotangents), allow_unused=True)
    return arrays, [None if g is None else g.array for g in gradients]


def _run_theirs(case: Case, args: list[Any], rng: Any) -> tuple[list[Any], list[Any]]:
    given = [
        torch.tensor(a, requires_grad=case.gradients and _is_float(a))
        if isinstance(a, np.ndarray) else a
        for a in args
    ]  # fmt: skip
    results = _tuple(case.theirs(*given))
    arrays = [r.detach().resolve_conj().numpy() for r in results]
    if not case.gradients:
        return arrays, []
    pairs = [
        (r, torch.tensor(_cotangent(rng, a))) for r, a in zip(results, arrays) if r.requires_grad
    ]
    wanted = [t for t, a in zip(given, args) if _is_float(a)]
    outputs, cotangents = zip(*pairs, strict=True)
    gradients = torch.autograd.grad(outputs, wanted, cotangents, allow_unused=True)
    return arrays, [None if g is None else g.numpy() for g in gradients]


def _cotangent(rng: Any, array: np.ndarray) -> np.ndarray:
    return np.asarray(rng.uniform(-1, 1, array.shape)).astype(array.dtype)


def _difference(ours: list[Any], theirs: list[Any], what: str) -> float:
    """The largest difference, relative to the largest number in all arrays.

    No gradient and zeros are one and the same. A gradient that was summed over broadcast axes may
    be small by cancellation, so it is not measured by its own size alone.
    """
    finite = [np.abs(e[np.isfinite(e)]) for e in theirs if e is not None]
    largest = max((float(np.max(numbers, initial=0.0)) for numbers in finite), default=0.0)
    worst = np.float64(0)
    for found, expected in zip(ours, theirs, strict=True):
        if found is None or expected is None:
            known = expected if found is None else found
            assert known is None or not known.any(), what
            continue
        assert found.shape == expected.shape, what
        assert found.dtype == expected.dtype or expected.dtype.kind not in "fc", what
        wide = np.complex128 if expected.dtype.kind == "c" else np.float64
        found, expected = found.astype(wide), expected.astype(wide)
        odd = ~np.isfinite(expected)
        np.testing.assert_array_equal(found[odd], expected[odd], err_msg=what)
        # NaN where a number should be stays NaN, which is within no tolerance.
        gap = np.max(np.abs(found[~odd] - expected[~odd]), initial=0.0)
        worst = np.maximum(worst, gap)
    return float(worst / largest) if worst else 0.0


def difference(name: str, dtype: str, draw: int) -> float:
    """The largest relative difference of results and gradients, on one draw of arguments."""
    case = CASES[name]
    seed = [zlib.crc32(name.encode()), draw]
    args = _narrowed(case.draw(np.random.default_rng(seed)), dtype)
    ours, our_gradients = _run_ours(case, args, np.random.default_rng([*seed, 1]))
    theirs, their_gradients = _run_theirs(case, args, np.random.default_rng([*seed, 1]))
    what = f"draw {draw} of {[getattr(a, 'shape', a) for a in args]}"
    results = [_difference([f], [e], what) for f, e in zip(ours, theirs, strict=True)]
    gradients = _difference(our_gradients, their_gradients, f"gradient, {what}")
    return float(np.max([*results, gradients]))


@pytest.mark.parametrize("draws", [10, pytest.param(100, marks=pytest.mark.full)])
@pytest.mark.parametrize("dtype", RELATIVE)
@pytest.mark.parametrize("name", CASES)
def test_outputs_and_gradients_agree(name: str, dtype: str, draws: int) -> None:
    for draw in range(draws):
        assert difference(name, dtype, draw) <= RELATIVE[dtype], f"draw {draw}"
