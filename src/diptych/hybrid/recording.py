"""`trace`: record one run of a function, and check it against a second one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..eager import asarray
from ..graphs.devices import device_of
from ..graphs.dtypes import is_float
from ..graphs.errors import ArgumentError, DTypeError, GraphError
from ..graphs.storage import Storage
from ..graphs.trees import flatten, unflatten
from .compiled import CompiledFunction, Found, check_passes, compiled_by
from .decisions import Decisions
from .entry import Entry
from .reads import aval_of_leaf
from .signatures import is_array, key_of
from .tracing import Options

_CLOSE = 1e-4  # relative to the largest number: results of other kernels differ by less


class TracedFunction(CompiledFunction):
    """A function of which one run was recorded. Made by `trace`."""

    def _record(self, leaves: list[Any], structure: Any) -> Entry:
        """Trace the one call that others must be like."""
        arrays = [leaf for leaf in leaves if is_array(leaf)]
        path, entry, _ = self._trace(
            leaves, structure, [aval_of_leaf(leaf) for leaf in arrays], "the recorded call"
        )
        self._like = structure, [_kind(leaf) for leaf in leaves]
        self._recorded: Decisions = Decisions()
        self._recorded.add(path, entry)
        self._entries[None] = self._recorded
        return entry

    def _entry(self, key: Any, leaves: list[Any], structure: Any) -> Found:
        like, kinds = self._like
        found = [_kind(leaf) for leaf in leaves]
        if structure != like:
            raise GraphError("trace: arguments must be in containers as recorded, got others")
        for position, (kind, recorded) in enumerate(zip(found, kinds, strict=True)):
            if kind != recorded:
                raise GraphError(
                    f"trace: argument {position} must be as recorded, got {kind!s} for {recorded!s}"
                )
        self._entries[key] = self._recorded
        values: list[Any] = []
        entry = self._recorded.find(values)
        if entry is None:
            raise GraphError(
                "trace: what the recorded run read must be as it was, got another value: "
                f"{self._recorded.difference()}"
            )
        return entry, values

    def __reduce__(self) -> Any:
        raise DTypeError("trace: a recorded function cannot be copied, got a request for a copy")


def _kind(leaf: Any) -> Any:
    return aval_of_leaf(leaf) if is_array(leaf) else key_of(leaf)


def trace(
    function: Callable[..., Any],
    *examples: Any,
    executor: str = "planned",
    passes: Iterable[str] | None = None,
    check: bool = True,
) -> TracedFunction:
    """Record what a function computes of some arguments, as a function of arguments like these.

    Unlike `compile`, which traces again when a call is of another kind, it refuses such a call.

    Parameters
    ----------
    function : callable
    *examples
        Arguments as the function takes them: tensors, arrays, containers of them, other values.
    executor, passes
        As for `compile`.
    check : bool
        Call the function a second time, with other numbers, and compare. State that it changes,
        such as random offsets and running statistics, is put back.

    Returns
    -------
    TracedFunction

    Raises
    ------
    GraphError
        When the results of the second call are others than those of what was recorded: the
        function depends on something that a trace does not see. From a call of the result: when it
        is not like the recorded one.
    StaticValueError
        When the function asks for the number behind a traced value (`if`, `print`, `item`).

    Examples
    --------
    >>> f = dt.hybrid.trace(lambda x: dt.tanh(x) * 2, dt.zeros((3,)))
    >>> f(dt.tensor([0.0, 0.0, 0.0]))
    tensor([0., 0., 0.])
    """
    leaves, structure = flatten((examples, {}))
    if not any(map(is_array, leaves)):
        raise ArgumentError("trace: examples must hold a tensor or an array, got none")
    options = Options(executor, check_passes(executor, passes))
    recorded: TracedFunction = compiled_by(TracedFunction, function, options)
    entry = recorded._record(leaves, structure)
    if check:
        args, kwargs = unflatten(structure, [_altered(leaf) for leaf in leaves])
        storages = [storage for storage, _ in entry.function.graph.variables]
        with _put_back(storages):
            wanted = flatten(recorded.function(*args, **kwargs))
        with _put_back(storages):
            found = flatten(recorded(*args, **kwargs))
        _compare(*wanted, *found)
    return recorded


def _altered(leaf: Any) -> Any:
    """An argument with the same numbers in another order, and floats of the other sign."""
    if not is_array(leaf):
        return leaf
    array = getattr(leaf, "array", leaf)
    turned = array.reshape(-1)[::-1].reshape(array.shape)
    found = asarray(-turned if is_float(array.dtype) else turned.copy())
    return found.requires_grad_(getattr(leaf, "requires_grad", False))


@contextmanager
def _put_back(storages: Sequence[Storage]) -> Iterator[None]:
    """Have storages hold after the block what they held before."""
    held = [storage.array.copy() for storage in storages]
    try:
        yield
    finally:
        for storage, array in zip(storages, held):
            if not device_of(array).xp.array_equal(storage.array, array, equal_nan=True):
                storage.write(array)


def _compare(wanted: list[Any], like: Any, found: list[Any], structure: Any) -> None:
    rule = "trace: two runs must agree, got"
    if like != structure:
        raise GraphError(f"{rule} results in other containers")
    for position, (a, b) in enumerate(zip(wanted, found)):
        if not is_array(a) or not is_array(b):
            alike = key_of(a) == key_of(b)
        else:
            x, y = (np.asarray(getattr(v, "array", v)) for v in (a, b))
            alike = x.shape == y.shape and np.allclose(
                x, y, rtol=_CLOSE, atol=_CLOSE * _largest(x), equal_nan=True
            )
        if not alike:
            raise GraphError(
                f"{rule} another result {position}: the function depends on something that a "
                "trace does not see, such as a number drawn outside Diptych"
            )


def _largest(x: np.ndarray) -> float:
    finite = np.abs(x[np.isfinite(x)], dtype=np.float64) if is_float(x.dtype) else np.empty(0)
    return float(finite.max(initial=0.0))
