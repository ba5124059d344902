"""`autobatch`: where calls begin to wait, and where all of them are computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any

from ...graphs.collector import paused
from ...graphs.errors import DiptychError
from ...graphs.modes import in_style
from ...graphs.ops import dispatch
from .scope import Scope


def autobatch(function: Callable[..., Any] | None = None) -> Any:
    """Like operators of independent examples are computed together: dynamic batching.

    ``with dt.autobatch():`` around eager code, or ``@dt.autobatch`` on a function. Code for one
    example at a time, each along its own way (trees, sequences of any length, several models), runs
    as it is, but its operators wait: tensors have a shape and a dtype and no numbers yet. When
    numbers are read (`numpy`, `item`, `float`, `bool`, `print`, a gradient), something is changed
    in place, or the scope ends, calls that are alike are computed by one launch each. Alike are
    calls of one operator with the same attributes, numbers, and shapes and dtypes of operands, of
    which none waits for another. What they all read, such as weights, is used as it is; of anything
    else they read, batches are made, without a copy where the rows of an earlier launch are read in
    its order.

    The tape records launches, not calls, so a backward pass is batched, too, and of any order.

    Parameters
    ----------
    function : callable, optional
        What to run within a scope of its own.

    Raises
    ------
    DiptychError
        An operator's own errors of shapes and dtypes, on the line that calls it. Errors of data,
        such as an index out of range, are raised where the numbers are computed.
    TapeError
        When a tensor that waits is read on another thread than its own.

    Notes
    -----
    Results are those of one call after another: to the bit where a kernel computes each element by
    itself, and to rounding where it sums, as products of matrices do. Launches are at most as many
    as signatures of calls times the length of the longest chain of calls.

    Computed at once, as outside, are random numbers and effects, shapes that depend on data,
    operators without a batching rule (such as custom ones), integers that index a tensor which has
    its numbers, `checkpoint`, compiled functions, and calls under `detect_anomaly`. Calls with the
    very same operands are computed once, and the gradient by the result of one is that by all.
    Memory that others write to, as through `Tensor.numpy` of an operand, must be left alone until
    the numbers are read.

    A scope within a scope is part of it, but ends what waits where it ends. While a graph is built
    it has no effect. Each thread has its own. Python's collector of cycles rests in a scope.

    References
    ----------
    Neubig, Goldberg and Dyer, On-the-fly operation batching in dynamic computation graphs, 2017.
    Looks and others, Deep learning with dynamic computation graphs, 2017 (TensorFlow Fold).

    Examples
    --------
    >>> w = dt.tensor([[0.5, 0.25], [0.25, 0.5]], requires_grad=True)
    >>> def last(xs):
    ...     h = dt.zeros(2)
    ...     for x in xs:
    ...         h = dt.tanh(x + h @ w)
    ...     return h
    >>> lengths = [2, 5, 3]
    >>> with dt.autobatch():
    ...     loss = sum(dt.sum(last(dt.ones((n, 2)))) for n in lengths)
    >>> loss.backward()
    >>> w.grad.shape
    (2, 2)
    """
    if function is None:
        return _scope()

    @wraps(function)
    def batched(*args: Any, **kwargs: Any) -> Any:
        with _scope():
            return function(*args, **kwargs)

    return batched


@contextmanager
def _scope() -> Iterator[None]:
    style = dispatch.current()
    if dispatch.is_building():
        yield
    elif isinstance(style, Scope):
        yield
        style.flush()
    else:
        scope = Scope()
        with in_style(scope), paused():
            try:
                yield
            except BaseException:
                with suppress(DiptychError):  # of two errors, the first is the one to show
                    scope.flush()
                raise
            scope.flush()
