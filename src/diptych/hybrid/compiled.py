"""`compile`: trace a function once per signature, and run what was traced."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import update_wrapper
from types import FunctionType, MethodType
from typing import Any

import numpy as np

from ..compiler import EXECUTORS, PASSES, RECOMPUTE
from ..eager import Tensor, asarray
from ..graphs.avals import Aval, aval_of
from ..graphs.batching import innermost
from ..graphs.errors import DTypeError, unknown
from ..graphs.guards import watching
from ..graphs.ir import Graph, Value
from ..graphs.modes import is_grad_enabled
from ..graphs.operand import Operand
from ..graphs.ops import dispatch
from ..graphs.trees import flatten, unflatten
from .function import GraphFunction
from .switch import is_disabled


@dataclass(frozen=True, slots=True)
class Entry:
    """One trace: what it read, what it computes, and how its results are put together."""

    signature: str
    guards: tuple[tuple[Any, Any, Any], ...]
    flags: tuple[tuple[Any, bool], ...]
    function: GraphFunction
    structure: Any
    constants: tuple[Any, ...]

    def holds(self) -> bool:
        """Whether everything that the trace read is as it was."""
        return all(table.get(name) is value for table, name, value in self.guards) and all(
            parameter.requires_grad is flag for parameter, flag in self.flags
        )


class CompiledFunction:
    """A function that runs as a static program inside eager code. Made by `compile`."""

    def __init__(
        self, function: Callable[..., Any], executor: str, passes: tuple[str, ...] | None
    ) -> None:
        self.function = function
        self._executor, self._passes = executor, passes
        self._entries: dict[Any, list[Entry]] = {}
        self._trace_s = 0.0
        self._lock = threading.RLock()
        if hasattr(function, "__name__"):
            update_wrapper(self, function, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        leaves, structure = flatten((args, kwargs))
        building = dispatch.is_building()
        mapped = innermost() is not None
        if building or mapped or is_disabled() or any(isinstance(x, Value) for x in leaves):
            return self.function(*args, **kwargs)
        key = (structure, is_grad_enabled(), *map(_key, leaves))
        tensors = [asarray(x) for x in leaves if _is_array(x)]
        entry = self._entry(key, leaves, structure)
        results = iter(entry.function(tensors))
        return unflatten(
            entry.structure,
            [next(results) if c is _COMPUTED else _fresh(c) for c in entry.constants],
        )

    def _entry(self, key: Any, leaves: list[Any], structure: Any) -> Entry:
        """The trace for a signature whose guards hold; made, once, if there is none."""
        for entry in self._entries.get(key, ()):
            if entry.holds():
                return entry
        with self._lock:
            entries = self._entries.setdefault(key, [])
            for entry in entries:
                if entry.holds():
                    return entry
            start = time.perf_counter()
            entry = self._trace(leaves, structure)
            self._trace_s += time.perf_counter() - start
            entries.append(entry)
            return entry

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As a method: bound to its instance, one of the values that a trace is kept for."""
        return self if instance is None else MethodType(self, instance)

    def __getattr__(self, name: str) -> Any:
        """What a compiled module has beside its call: `parameters`, `train`, `state_dict`, ..."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.function, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Attributes of a compiled module are the module's own."""
        own = name.startswith("_") or name == "function"
        if own or isinstance(self.function, FunctionType | MethodType):
            object.__setattr__(self, name, value)
        else:
            setattr(self.function, name, value)

    def __reduce__(self) -> Any:
        # A copy traces anew: what was traced reads the parameters of the original.
        return (CompiledFunction, (self.function, self._executor, self._passes))

    def _trace(self, leaves: list[Any], structure: Any) -> Entry:
        graph = Graph()
        graph.is_trace = True
        inputs: list[Value] = []
        traced = []
        for leaf in leaves:
            if _is_array(leaf):
                leaf = graph.add_placeholder(f"input{len(inputs)}", _aval(leaf))
                inputs.append(leaf)
            traced.append(leaf)
        args, kwargs = unflatten(structure, traced)
        with watching() as reads, graph.building():
            results, shape = flatten(self.function(*args, **kwargs))
            results = [_result(graph, r) for r in results]
        outputs = [r for r in results if isinstance(r, Value)]
        return Entry(
            signature=", ".join(_show(leaf) for leaf in leaves),
            guards=tuple({(id(t), key): (t, key, v) for t, key, v in reads}.values()),
            flags=tuple((p, p.requires_grad) for p in graph.parameters),
            function=GraphFunction(
                graph, inputs, outputs, self._name, self._executor, self._passes
            ),
            structure=shape,
            constants=tuple(_COMPUTED if isinstance(r, Value) else r for r in results),
        )

    @property
    def trace_s(self) -> float:
        """Seconds spent so far on tracing, and on building backward passes."""
        return self._trace_s + sum(f.build_s for f in self._functions())

    @property
    def compile_s(self) -> float:
        """Seconds spent so far on compiling what was traced."""
        return sum(f.compile_s for f in self._functions())

    def _functions(self) -> list[GraphFunction]:
        return [entry.function for entries in self._entries.values() for entry in entries]

    @property
    def _name(self) -> str:
        name = getattr(self.function, "__name__", type(self.function).__name__)
        return name.strip("<>")

    def explain(self) -> str:
        """What was traced for which signature, and what each pass and executor did."""
        lines = []
        for entry in (e for entries in self._entries.values() for e in entries):
            lines.append(f"{self._name}({entry.signature})")
            lines += [f"  {line}" for line in entry.function.explain()]
        return "\n".join(lines) or f"{self._name}: not called yet"

    @property
    def source(self) -> str:
        """The code that was generated for each trace."""
        return "\n\n".join(s for f in self._functions() for s in f.sources())

    def __repr__(self) -> str:
        traces = sum(map(len, self._entries.values()))
        return f"<compiled {self._name}, {traces} traces>"


def compile(
    function: Callable[..., Any] | None = None,
    *,
    executor: str = "planned",
    passes: Iterable[str] | None = None,
) -> Any:
    """Run a function of tensors as a static program, forward and backward.

    The function is traced once per signature: shapes, dtypes, devices and gradient flags of its
    tensors and arrays, the values of its other arguments, the grad mode, and of the modules it
    calls the training mode, parameters and submodules. What it computes becomes one node of the
    tape. Parameters that it reads become variables over their own storage, so a call always sees
    their present numbers.

    Parameters
    ----------
    function : callable
        A function, method or module. Containers of arguments and results may be lists, tuples and
        dicts. Python state other than the above is read when tracing and not again.
    executor : {"planned", "native", "reference"}
    passes : iterable of str, optional
        All by default; pruning always runs. `recompute` chooses what is kept for the backward pass,
        by default with `native` alone: other executors would run kernels twice.

    Returns
    -------
    CompiledFunction

    Raises
    ------
    StaticValueError
        When the function asks for the number behind a traced value (`if`, `print`, `item`).
    GraphError
        When it mixes in a tensor that is neither an argument nor a parameter.
    DTypeError
        When an argument is neither an array nor hashable, or a result is an object of another kind.

    Examples
    --------
    >>> @dt.compile
    ... def f(x, y):
    ...     return dt.tanh(x) * y
    >>> f(dt.tensor([0.0]), dt.tensor([2.0]))
    tensor([0.])
    """
    if executor not in EXECUTORS:
        raise unknown("executor", executor, EXECUTORS)
    if isinstance(passes, str):
        passes = (passes,)
    chosen = None if passes is None else tuple(passes)
    for name in chosen or ():
        if name not in (*PASSES, RECOMPUTE):
            raise unknown("pass", name, (*PASSES, RECOMPUTE))
    if isinstance(function, CompiledFunction):
        function = function.function
    if function is None:
        return lambda function: CompiledFunction(function, executor, chosen)
    if not callable(function):
        raise DTypeError(f"compile: must be callable, got {type(function).__name__}")
    return CompiledFunction(function, executor, chosen)


_COMPUTED = object()


def _result(graph: Graph, result: Any) -> Any:
    """A result of a traced function: a value of its graph, or plain data."""
    if isinstance(result, Operand):
        return graph.lift(result, "compile")
    if result is None or isinstance(result, str | int | float | np.ndarray | np.generic):
        return result
    raise DTypeError(
        "compile: results must be tensors, plain data, or lists, tuples, named tuples and dicts of "
        f"them, got {type(result).__name__}"
    )


def _fresh(constant: Any) -> Any:
    """What a trace found to be no tensor: an array as a new one, like the function would make."""
    return constant.copy() if isinstance(constant, np.ndarray) else constant


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, Tensor | np.ndarray)


def _aval(leaf: Any) -> Aval:
    return aval_of(getattr(leaf, "array", leaf))


def _key(leaf: Any) -> Any:
    if isinstance(leaf, Tensor):
        return (_aval(leaf), leaf.requires_grad)
    if isinstance(leaf, np.ndarray):
        return (_aval(leaf), False)
    if isinstance(leaf, np.generic):
        return (type(leaf), leaf.tobytes())
    try:
        hash(leaf)
    except TypeError:
        raise DTypeError(
            "compile: arguments must be tensors, arrays, hashable values or lists, tuples and "
            f"dicts of them, got {type(leaf).__name__}"
        ) from None
    # Numbers that are equal need not be the same: 0.0 and -0.0 are, NaN is not even itself.
    return (type(leaf), leaf.hex() if isinstance(leaf, float) else leaf)


def _show(leaf: Any) -> str:
    return str(_aval(leaf)) if _is_array(leaf) else repr(leaf)
