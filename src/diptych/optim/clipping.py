"""Gradient clipping: on lists of gradients in any style, and in place on ``.grad``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..graphs import ops
from ..graphs.errors import DTypeError, TapeError
from ..graphs.modes import no_grad
from ..graphs.ops import dispatch
from ..graphs.parameter import Parameter
from .hyperparameters import require


def clip_by_global_norm(gradients: Iterable[Any], max_norm: float) -> tuple[list[Any], Any]:
    """Scale gradients together so that the norm of all of them is at most `max_norm`.

    Each is multiplied by ``min(1, max_norm / (norm + 1e-6))``.

    Parameters
    ----------
    gradients : iterable
        Tensors, values or arrays of any shapes; None stays None.
    max_norm : float
        Above 0.

    Returns
    -------
    clipped : list
        Of the dtypes of `gradients`.
    norm : 0-d operand, float32 or float64
        The square root of the sum of all squares, before clipping.

    Raises
    ------
    ArgumentError
        When `max_norm` is out of range.
    DTypeError
        When there is no gradient at all.

    Notes
    -----
    R. Pascanu, T. Mikolov and Y. Bengio, On the difficulty of training recurrent neural networks,
    ICML 2013.

    Examples
    --------
    >>> clipped, norm = clip_by_global_norm([dt.tensor([3.0]), None, dt.tensor([4.0])], 2.5)
    >>> norm.item(), [None if g is None else round(g.item(), 3) for g in clipped]
    (5.0, [1.5, None, 2.0])
    """
    require("max_norm", max_norm, "above 0", lambda v: v > 0, "clip_by_global_norm")
    given = list(gradients)
    squares = [ops.sum(g * g) for g in map(_widened, given) if g is not None]
    if not squares:
        raise DTypeError("clip_by_global_norm: needs a gradient at least, got none")
    total = squares[0]
    for square in squares[1:]:
        total = total + square
    norm = ops.sqrt(total)
    scale = ops.minimum(max_norm / (norm + 1e-6), 1.0)
    return [None if g is None else g * ops.astype(scale, g.dtype) for g in given], norm


def clip_by_value(gradients: Iterable[Any], limit: float) -> list[Any]:
    """Bring every element of every gradient within ``-limit`` and ``limit``.

    Parameters
    ----------
    gradients : iterable
        Tensors, values or arrays of any shapes; None stays None.
    limit : float
        At least 0.

    Returns
    -------
    list
        Of the dtypes of `gradients`.

    Raises
    ------
    ArgumentError
        When `limit` is out of range.

    Examples
    --------
    >>> clip_by_value([dt.tensor([3.0, -4.0, 0.5])], 1.0)
    [tensor([ 1. , -1. ,  0.5])]
    """
    require("limit", limit, "at least 0", lambda v: v >= 0, "clip_by_value")
    number = float(limit)
    return [None if g is None else ops.minimum(ops.maximum(g, -number), number) for g in gradients]


def clip_grad_norm_(parameters: Iterable[Any], max_norm: float) -> Any:
    """Scale the ``.grad`` of parameters in place, not in static graphs; see `clip_by_global_norm`.

    Parameters
    ----------
    parameters : iterable of Parameter, or one
        Those without a gradient are left out.
    max_norm : float
        Above 0.

    Returns
    -------
    Tensor, shape ()
        The norm of all gradients before clipping.

    Raises
    ------
    TapeError
        When a static graph is being built: there are no ``.grad`` in it.
    DTypeError
        When something is no parameter, or none has a gradient.
    ArgumentError
        When `max_norm` is out of range.

    Examples
    --------
    >>> w = dt.nn.Parameter([3.0, 4.0])
    >>> (w * w).sum().backward()
    >>> clip_grad_norm_([w], 5.0).item(), w.grad.numpy().round(3)
    (10.0, array([3., 4.], dtype=float32))
    """
    gradients = _gradients("clip_grad_norm_", parameters)
    found: list[Any] = []

    def clip(given: list[Any]) -> list[Any]:
        clipped, norm = clip_by_global_norm(given, max_norm)
        found.append(norm)
        return clipped

    _rewrite(gradients, clip)
    return found[0]


def clip_grad_value_(parameters: Iterable[Any], limit: float) -> None:
    """Clip the ``.grad`` of parameters in place, not in static graphs; see `clip_by_value`.

    Parameters
    ----------
    parameters : iterable of Parameter, or one
        Those without a gradient are left out.
    limit : float
        At least 0.

    Raises
    ------
    TapeError
        When a static graph is being built: there are no ``.grad`` in it.
    DTypeError
        When something is no parameter.
    ArgumentError
        When `limit` is out of range.

    Examples
    --------
    >>> w = dt.nn.Parameter([3.0, 0.25])
    >>> (w * w).sum().backward()
    >>> clip_grad_value_([w], 1.0)
    >>> w.grad
    tensor([1. , 0.5])
    """
    _rewrite(_gradients("clip_grad_value_", parameters), lambda given: clip_by_value(given, limit))


def _widened(gradient: Any) -> Any:
    """A gradient in float32 at least: squares leave the range of the half precisions."""
    if gradient is None or gradient.dtype.itemsize >= 4:
        return gradient
    return ops.astype(gradient, "float32")


def _gradients(where: str, parameters: Any) -> list[Any]:
    """The gradients that parameters have, as tensors that do not record."""
    if not dispatch.has_grads():
        raise TapeError(
            f"{where}: a graph has no .grad, got a call while one is built; clip the gradients "
            "themselves"
        )
    given = [parameters] if isinstance(parameters, Parameter) else list(parameters)
    for parameter in given:
        if not isinstance(parameter, Parameter):
            raise DTypeError(f"{where}: takes parameters, got {type(parameter).__name__}")
    return [p.grad.detach() for p in given if p.grad is not None]


def _rewrite(gradients: list[Any], clip: Callable[[list[Any]], list[Any]]) -> None:
    with no_grad():
        for gradient, clipped in zip(gradients, clip(gradients)):
            gradient.copy_(clipped)
