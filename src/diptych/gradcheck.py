"""Checking gradients against finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .eager import Tensor, grad, tensor
from .graphs.dtypes import FLOAT64
from .graphs.errors import ArgumentError, DTypeError, GradientError
from .graphs.trees import flatten


def gradcheck(
    function: Callable[..., Any],
    inputs: Any,
    *,
    order: int = 1,
    step: float = 1e-6,
    rtol: float = 1e-5,
    atol: float = 1e-7,
    seed: int = 0,
) -> bool:
    """Check the gradients of a function against central finite differences.

    Every element of every input is moved, so the inputs should be small.

    Parameters
    ----------
    function : callable
        Of tensors; what it gives may be in lists, tuples and dicts.
    inputs : array or sequence of arrays
        Where; the float64 ones are differentiated by.
    order : {1, 2}
        With 2, the gradient's own gradient is checked as well.
    step : float
        How far an element is moved.
    rtol, atol : float
        A gradient may differ by ``atol + rtol * abs(slope)``.
    seed : int
        Of the random cotangents.

    Returns
    -------
    True

    Raises
    ------
    GradientError
        When a gradient is not the slope; it names input, element and both numbers.
    DTypeError
        When no input is float64: other floats are too coarse to tell.
    ArgumentError
        When `order` is neither 1 nor 2.

    Examples
    --------
    >>> dt.gradcheck(lambda x: dt.sin(x) * x, np.array([0.5, 1.5]), order=2)
    True
    """
    if order not in (1, 2):
        raise ArgumentError(f"gradcheck: order must be 1 or 2, got {order!r}")
    given = list(inputs) if isinstance(inputs, Sequence) else [inputs]
    arrays = [np.array(getattr(x, "array", x)) for x in given]
    moved = [i for i, a in enumerate(arrays) if a.dtype == FLOAT64]
    if not moved:
        kinds = ", ".join(str(a.dtype) for a in arrays) or "none"
        raise DTypeError(f"gradcheck: some input must be float64, got {kinds}")
    rng = np.random.default_rng(seed)
    _check(function, arrays, moved, "gradient", rng, step, rtol, atol)
    if order == 2:
        results = _results(function, [tensor(a) for a in arrays])
        cotangents = [rng.uniform(-1, 1, r.shape) for r in results]
        count = len(arrays)

        def gradient(*points: Tensor) -> Any:
            watched = [
                p if p.requires_grad or i not in moved else p.requires_grad_()
                for i, p in enumerate(points[:count])
            ]
            outputs = _results(function, watched)
            pairs = [(y, c) for y, c in zip(outputs, points[count:]) if y.requires_grad]
            if not pairs:
                return ()
            return grad(
                [y for y, _ in pairs], [watched[i] for i in moved], [c for _, c in pairs],
                create_graph=True, allow_unused=True,
            )  # fmt: skip

        both = [*moved, *range(count, count + len(cotangents))]
        _check(
            gradient, [*arrays, *cotangents], both, "second gradient", rng, step, rtol, atol
        )  # fmt: skip
    return True


def _check(
    function: Callable[..., Any],
    arrays: list[np.ndarray],
    moved: list[int],
    what: str,
    rng: np.random.Generator,
    step: float,
    rtol: float,
    atol: float,
) -> None:
    """Compare the gradient of a random projection of the results with its slopes."""
    points = [tensor(a, requires_grad=i in moved) for i, a in enumerate(arrays)]
    results = _results(function, points)
    weights = [rng.uniform(-1, 1, r.shape) for r in results]
    recorded = [(r, w) for r, w in zip(results, weights) if r.requires_grad]
    found: Any = [None] * len(moved)
    if recorded:
        found = grad(
            [r for r, _ in recorded], [points[i] for i in moved],
            [tensor(w, dtype=r.dtype) for r, w in recorded], allow_unused=True,
        )  # fmt: skip

    def projected() -> float:
        given = [tensor(a, requires_grad=i in moved) for i, a in enumerate(arrays)]
        values = _results(function, given)
        return sum(float((r.detach().numpy() * w).sum()) for r, w in zip(values, weights))

    for i, gradient in zip(moved, found):
        for at in np.ndindex(arrays[i].shape):
            here = arrays[i][at]
            sides = []
            for side in (here + step, here - step):
                arrays[i][at] = side
                sides.append(projected())
            arrays[i][at] = here
            slope = (sides[0] - sides[1]) / (2 * step)
            value = 0.0 if gradient is None else float(gradient.array[at])
            if not abs(value - slope) <= atol + rtol * abs(slope):
                raise GradientError(
                    f"gradcheck: the {what} must be the slope, got {value:.9g} for {slope:.9g} at "
                    f"input {i}, element {at}"
                )


def _results(function: Callable[..., Any], points: list[Tensor]) -> list[Tensor]:
    """The float results of a call."""
    leaves, _ = flatten(function(*points))
    return [r for r in leaves if isinstance(r, Tensor) and r.dtype.kind == "f"]
