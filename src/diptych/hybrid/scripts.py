"""`script`: a function whose branches and loops on data become part of the graph."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from ..graphs.errors import GraphError
from .compiled import CompiledFunction, checked, compiled_by
from .source import source_of
from .staging import python_function
from .tracing import Options

_SUSPENDED = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


class ScriptedFunction(CompiledFunction):
    """A compiled function with branches and loops on data. Made by `script`."""

    def __init__(self, function: Callable[..., Any], options: Options) -> None:
        super().__init__(function, options)
        found = python_function(function)
        if found is not None and found[0].__code__.co_flags & _SUSPENDED:
            code = found[0].__code__
            raise GraphError(
                "script: the function must run to its end, got a generator or coroutine, "
                f"{self._name} at {code.co_filename}:{code.co_firstlineno}"
            )
        if found is None or source_of(found[0]) is None:
            raise GraphError(
                f"script: the source of the function must be known, got {self._name} without"
            )


def script(
    function: Callable[..., Any] | None = None,
    *,
    executor: str = "planned",
    passes: Iterable[str] | None = None,
    limit: int = 64,
) -> Any:
    """Run a function of tensors as a static program, with its branches and loops on data.

    As `compile`, and what it does not take: the function is rewritten from its source, so that an
    ``if``, a ``while``, a ``for``, ``break``, ``continue``, an early ``return``, ``a if t else b``,
    ``and``, ``or``, ``not``, ``a < b < c``, ``min`` and ``max`` may depend on what tensors hold.
    Then both sides of a branch are traced, and become a `cond`; a loop becomes a `while_loop`, or
    within another loop a `scan` whose rounds ask whether it has ended. Where a condition is plain
    Python, all is as Python does it, and guarded. Functions that are called are rewritten, too.

    What a name stands for after a branch or a loop must be clear: tensors keep their shapes and
    dtypes, numbers that differ become numbers that are known when the program runs (results of the
    function among them are tensors of shape (), in int64 and float64), and all else must be the
    same. What is not clear is an error where it is read. ``float(x)``, ``int(x)`` and ``x.item()``
    are such numbers, ``range(n)`` takes them, and ``assert`` asks in every run.

    Tensors may change in place there; lists, dicts and objects may where the branch has made them.

    Parameters
    ----------
    function : callable
        A function, method or module whose source is known.
    executor, passes, limit
        As for `compile`. There is no gate: a number that is a tensor here is none in eager code.

    Returns
    -------
    ScriptedFunction

    Raises
    ------
    GraphError
        When the source is not known, or is that of a generator; when branches leave different
        things under a name that is read afterwards, or change what outlives them.
    StaticValueError
        When a condition on data stands where it has no place in a graph: in a generator, a
        comprehension, the guard of a `case`, an ``assert`` within ``try``.
    ShapeError
        When a condition has more than one element.

    Examples
    --------
    >>> @dt.hybrid.script
    ... def root(x):
    ...     rounds = 0
    ...     guess = x
    ...     while abs(guess * guess - x) > 1e-4:
    ...         guess = (guess + x / guess) / 2
    ...         rounds += 1
    ...     return guess, rounds
    >>> root(dt.tensor(9.0))
    (tensor(3.), tensor(5))
    """
    options = checked("script", executor, passes, limit, scripts=True)
    if function is None:
        return lambda function: compiled_by(ScriptedFunction, function, options)
    return compiled_by(ScriptedFunction, function, options)
