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
from ..graphs.avals import aval_of
from ..graphs.batching import innermost
from ..graphs.errors import DTypeError, unknown
from ..graphs.ir import Graph, Value
from ..graphs.modes import is_grad_enabled
from ..graphs.operand import Operand
from ..graphs.ops import dispatch
from ..graphs.trees import flatten, unflatten
from .decisions import Decisions, Path
from .function import GraphFunction
from .reads import Place, attribute, aval_of_leaf, is_plain, token
from .switch import is_disabled
from .tracer import Tracer


@dataclass(frozen=True, slots=True)
class Entry:
    """One trace: what it computes, what it is fed beside its arguments, and its results' shape."""

    signature: str
    fed: tuple[Place, ...]
    function: GraphFunction
    structure: Any
    constants: tuple[Any, ...]
    notes: tuple[str, ...]


class CompiledFunction:
    """A function that runs as a static program inside eager code. Made by `compile`."""

    def __init__(
        self, function: Callable[..., Any], executor: str, passes: tuple[str, ...] | None
    ) -> None:
        self.function = function
        self._executor, self._passes = executor, passes
        self._entries: dict[Any, Decisions[Entry]] = {}
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
        tensors += [asarray(place.read(place.holder, place.key)) for place in entry.fed]
        results = iter(entry.function(tensors))
        return unflatten(
            entry.structure,
            [next(results) if c is _COMPUTED else _fresh(c) for c in entry.constants],
        )

    def _entry(self, key: Any, leaves: list[Any], structure: Any) -> Entry:
        """The trace for a signature whose guards hold; made, once, if there is none."""
        known = self._entries.get(key)
        entry = None if known is None else known.find()
        if entry is not None:
            return entry
        with self._lock:
            known = self._entries.setdefault(key, Decisions())
            entry = known.find()
            if entry is None:
                start = time.perf_counter()
                path, entry = self._trace(leaves, structure)
                self._trace_s += time.perf_counter() - start
                known.add(path, entry)
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

    def _trace(self, leaves: list[Any], structure: Any) -> tuple[Path, Entry]:
        graph = Graph()
        graph.is_trace = True
        tracer = Tracer(graph)
        tracer.enter(getattr(self.function, "__self__", self.function), self._name)
        inputs: list[Value] = []
        traced = []
        for position, leaf in enumerate(leaves):
            if _is_array(leaf):
                leaf = graph.add_placeholder(f"input{len(inputs)}", aval_of_leaf(leaf))
                inputs.append(leaf)
            elif not _is_equal_by_value(leaf):
                tracer.enter(leaf, f"argument {position}")
            traced.append(leaf)
        args, kwargs = unflatten(structure, traced)
        with tracer.running(), graph.building():
            results, shape = flatten(tracer.settled(tracer.call(self.function, args, kwargs)))
            results = [_result(graph, r) for r in results]
        outputs = [r for r in results if isinstance(r, Value)]
        for parameter in graph.parameters:
            name = f"requires_grad of {parameter.storage.name or 'a parameter'}"
            tracer.found(Place(name, parameter, "requires_grad", attribute))
        inputs += [value for _, value in tracer.fed]
        return tracer.path, Entry(
            signature=", ".join(_show(leaf) for leaf in leaves),
            fed=tuple(place for place, _ in tracer.fed),
            function=GraphFunction(
                graph, inputs, outputs, self._name, self._executor, self._passes
            ),
            structure=shape,
            constants=tuple(_COMPUTED if isinstance(r, Value) else r for r in results),
            notes=tuple(tracer.notes),
        )

    @property
    def traces(self) -> int:
        """How many times the function was traced."""
        return len(self._all())

    @property
    def trace_s(self) -> float:
        """Seconds spent so far on tracing, and on building backward passes."""
        return self._trace_s + sum(f.build_s for f in self._functions())

    @property
    def compile_s(self) -> float:
        """Seconds spent so far on compiling what was traced."""
        return sum(f.compile_s for f in self._functions())

    def _functions(self) -> list[GraphFunction]:
        return [entry.function for entry in self._all()]

    def _all(self) -> list[Entry]:
        return [entry for known in self._entries.values() for entry in known.all()]

    @property
    def _name(self) -> str:
        name = getattr(self.function, "__name__", type(self.function).__name__)
        return name.strip("<>")

    def explain(self) -> str:
        """What was traced for which signature, and what each pass and executor did."""
        lines = []
        for entry in self._all():
            lines.append(f"{self._name}({entry.signature})")
            lines += [f"  {line}" for line in (*entry.notes, *entry.function.explain())]
        return "\n".join(lines) or f"{self._name}: not called yet"

    @property
    def source(self) -> str:
        """The code that was generated for each trace."""
        return "\n\n".join(s for f in self._functions() for s in f.sources())

    def __repr__(self) -> str:
        return f"<compiled {self._name}, {self.traces} traces>"


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


def _key(leaf: Any) -> Any:
    if isinstance(leaf, Tensor):
        return (aval_of(leaf.array), leaf.requires_grad)
    if isinstance(leaf, np.ndarray):
        return (aval_of(leaf), False)
    return (type(leaf), leaf) if _is_equal_by_value(leaf) else token(leaf)


def _is_equal_by_value(leaf: Any) -> bool:
    """Whether an argument is told from others by a rule of its own class."""
    kind = type(leaf)
    return not is_plain(leaf) and kind.__eq__ is not object.__eq__ and kind.__hash__ is not None


def _show(leaf: Any) -> str:
    return str(aval_of_leaf(leaf)) if _is_array(leaf) else repr(leaf)
