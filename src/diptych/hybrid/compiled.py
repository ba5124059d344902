"""`compile`: trace a function once per signature, and run what was traced."""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from functools import update_wrapper
from types import FunctionType, MethodType
from typing import Any, TypeVar

import numpy as np

from ..compiler import EXECUTORS, RECOMPUTE, passes_of
from ..eager import asarray
from ..graphs.avals import Aval, show
from ..graphs.batching import innermost
from ..graphs.errors import ArgumentError, DiptychError, DTypeError, StaticValueError, unknown
from ..graphs.ir import Value
from ..graphs.modes import is_grad_enabled
from ..graphs.operand import Operand
from ..graphs.ops import dispatch
from ..graphs.trees import flatten, unflatten
from .decisions import Decisions, Path
from .entry import COMPUTED, Entry, Input
from .front import Front
from .function import GraphFunction
from .graph import Trace
from .loops import ROLL
from .reads import Place, attribute, aval_or_none, token
from .signatures import (
    Axis,
    Family,
    Shapes,
    family_of,
    is_array,
    is_equal_by_value,
    key_of,
    resized,
)  # fmt: skip
from .staging import LookedInto
from .switch import is_disabled
from .tracer import Tracer

C = TypeVar("C", bound="CompiledFunction")
# A trace that holds, and what stands where it has read.
Found = tuple[Entry, list[Any]]

_MOST_KEYS = 4096  # of calls, beside the traces that serve them

_log = logging.getLogger(__name__)


class CompiledFunction(Front, LookedInto):
    """A function that runs as a static program inside eager code. Made by `compile`."""

    def __init__(
        self,
        function: Callable[..., Any],
        executor: str,
        passes: tuple[str, ...] | None,
        limit: int,
    ) -> None:
        super().__init__(function)
        self._executor, self._passes, self._limit = executor, passes, limit
        # The loops of Python sum cotangents in another order, and are what eager code runs.
        self._rolls = executor != "reference" if passes is None else ROLL in passes
        # By the key of a call, and by that of a family with symbols for sizes.
        self._entries: dict[Any, Decisions] = {}
        self._families: dict[Any, Family] = {}
        self._is_over = False
        self._trace_s = 0.0
        self._lock = threading.RLock()
        if hasattr(function, "__name__"):
            update_wrapper(self, function, updated=())

    def is_off(self) -> bool:
        return dispatch.is_building() or innermost() is not None or is_disabled()

    def call(self, key: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        leaves, structure = flatten((args, kwargs))
        if any(isinstance(x, Value) for x in leaves):
            return self.function(*args, **kwargs)
        whole = (structure, is_grad_enabled(), *map(key_of, leaves))
        found = self._entry(whole, leaves, structure)
        if found is None:
            return self.function(*args, **kwargs)
        if key is not None:
            self.note(key, self._entries[whole])
        entry, values = found
        return entry.run([leaf for leaf in leaves if is_array(leaf)], values)

    def _entry(self, key: tuple[Any, ...], leaves: list[Any], structure: Any) -> Found | None:
        """The trace for a call; made if there is none, and None where there are too many."""
        known = self._entries.get(key)
        found = None if known is None else _found(known, leaves)
        if found is not None:
            return found
        with self._lock:
            start = time.perf_counter()
            try:
                return self._known_or_traced(key, leaves, structure)
            finally:
                self._trace_s += time.perf_counter() - start

    def _known_or_traced(
        self, key: tuple[Any, ...], leaves: list[Any], structure: Any
    ) -> Found | None:
        arrays = [leaf for leaf in leaves if is_array(leaf)]
        shapes = [leaf.shape for leaf in arrays]
        family = self._families.setdefault(family_of(key), Family())
        reason = self._reason(key, family, shapes)
        family.meet(shapes)
        found = self._symbolic(key, family, leaves, structure, reason)
        if found is not None:
            return found
        known = self._entries.setdefault(key, Decisions())
        found = _found(known, leaves)
        if found is not None or self._is_full():
            return found
        path, entry, looped = self._trace(leaves, structure, resized(arrays, shapes), reason)
        if not looped <= family.axes and not family.refusal:
            # A loop goes along an argument: how far is a symbol from the first call on.
            family.axes |= looped
            found = self._symbolic(key, family, leaves, structure, reason)
            if found is not None:
                return found
        self._keep(known, path, entry)
        return entry, entry.read()

    def _symbolic(
        self, key: Any, family: Family, leaves: list[Any], structure: Any, reason: str
    ) -> Found | None:
        """The trace that serves all sizes which a family's calls have had, if there can be one."""
        arrays = [leaf for leaf in leaves if is_array(leaf)]
        shapes = family.symbolic([leaf.shape for leaf in arrays])
        if shapes is None:
            return None
        known = self._entries.setdefault((family_of(key), tuple(shapes)), Decisions())
        found = _found(known, leaves)
        if found is None:
            if self._is_full():
                return None
            avals = resized(arrays, shapes)
            try:
                path, entry, _ = self._trace(leaves, structure, avals, reason)
            except (DiptychError, TypeError, ValueError) as error:
                family.refusal = str(error)
                return None
            self._keep(known, path, entry)
            found = entry, entry.read()
        if len(self._entries) >= _MOST_KEYS:
            self._forget_sizes()
        self._entries[key] = known
        return found

    def _keep(self, known: Decisions, path: Path, entry: Entry) -> None:
        entry.instead = known.find([])
        known.add(path, entry)
        _log.info("traced %s(%s): %s", self._name, entry.signature, entry.reason)

    def _forget_sizes(self) -> None:
        """Drop the keys of calls whose trace is found again by their family."""
        kept = {k: known for k, known in self._entries.items() if k[0] in self._families}
        found = set(map(id, kept.values()))
        self._entries = kept | {k: d for k, d in self._entries.items() if id(d) not in found}

    def _reason(self, key: Any, family: Family, shapes: Shapes) -> str:
        """Why no trace holds, for a call whose family has been met or not."""
        known = self._entries.get(key)
        if known is not None:
            return known.difference()
        if family.first is not None:
            pairs = zip(family.first, shapes)
            changed = [f"{show(a)} was {show(b)}" for b, a in pairs if a != b]
            return f"another size: {', '.join(changed)}"
        return "arguments of other kinds" if len(self._families) > 1 else "the first call"

    def _is_full(self) -> bool:
        """Whether there are as many traces as there may be; the first time, a warning says so."""
        if self.traces < self._limit:
            return False
        if not self._is_over:
            self._is_over = True
            last = self._all()[-1].reason
            warnings.warn(
                f"compile: at most {self._limit} traces are made, got more of {self._name}, the "
                f"last one for {last}; other calls run as eager code",
                RuntimeWarning,
                stacklevel=5,
            )
        return True

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
        return (CompiledFunction, (self.function, self._executor, self._passes, self._limit))

    def _trace(
        self, leaves: list[Any], structure: Any, avals: list[Aval], reason: str
    ) -> tuple[Path, Entry, set[Axis]]:
        """A trace, the reads that it rests on, and the axes of arguments that loops go along."""
        try:
            return self._traced(leaves, structure, avals, reason, feeds=True)
        except StaticValueError as error:
            # It may be an array found outside whose numbers are asked for: a mask, for one.
            try:
                return self._traced(leaves, structure, avals, reason, feeds=False)
            except StaticValueError:
                raise error from None

    def _traced(
        self, leaves: list[Any], structure: Any, avals: list[Aval], reason: str, feeds: bool
    ) -> tuple[Path, Entry, set[Axis]]:
        graph = Trace()
        tracer = Tracer(graph, self._rolls, feeds)
        tracer.enter(getattr(self.function, "__self__", self.function), self._name)
        arrays = [leaf for leaf in leaves if is_array(leaf)]
        given = [graph.add_input(asarray(x), aval) for x, aval in zip(arrays, avals)]
        traced = []
        remaining = iter(given)
        for position, leaf in enumerate(leaves):
            if is_array(leaf):
                leaf = next(remaining)
            elif not is_equal_by_value(leaf):
                tracer.enter(leaf, f"argument {position}")
            traced.append(leaf)
        args, kwargs = unflatten(structure, traced)
        for key, arg in (*enumerate(args), *kwargs.items()):
            tracer.give(arg, f"argument {key}")
        with tracer.running(), graph.building():
            results, shape = flatten(tracer.loops.settled(tracer.call(self.function, args, kwargs)))
            results = [_result(graph, r) for r in results]
            outputs = [r for r in results if isinstance(r, Value)]
            effects = graph.effects_on_tensors(outputs)
        for parameter in graph.parameters:
            tracer.found(_place_of(parameter, "requires_grad"))
        for parameter in graph.gradients_read:
            tracer.found(_place_of(parameter, "grad", aval_or_none))
        graph.tensors = {}  # they are of this call alone
        changed = [] if effects is None else [graph.inputs[c.input] for c in effects.changed]
        shown = iter(avals)
        entry = Entry(
            signature=", ".join(str(next(shown)) if is_array(x) else repr(x) for x in leaves),
            reason=reason,
            path=tracer.path,
            fed=[place for place, _ in tracer.fed],
            function=GraphFunction(
                graph, graph.inputs, outputs, self._name, self._executor, self._passes, changed
            ),
            structure=shape,
            constants=[COMPUTED if isinstance(r, Value) else r for r in results],
            notes=tuple(tracer.notes),
            effects=effects,
        )
        return tracer.path, entry, tracer.loops.axes_of(given)

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
        held = {id(known): known for known in self._entries.values()}
        return [e for known in held.values() for first in known.all() for e in first.chain()]

    @property
    def _name(self) -> str:
        name = getattr(self.function, "__name__", type(self.function).__name__)
        return name.strip("<>")

    def explain(self) -> str:
        """What was traced for which signature, and what each pass and executor did."""
        lines = []
        for entry in self._all():
            lines.append(f"{self._name}({entry.signature})")
            said = [f"traced for {entry.reason}", *entry.notes, *entry.function.explain()]
            lines += [f"  {line}" for line in said]
        refusals = {family.refusal for family in self._families.values() if family.refusal}
        lines += [f"sizes are no symbols: {refusal}" for refusal in sorted(refusals)]
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
    limit: int = 64,
) -> Any:
    """Run a function of tensors as a static program, forward and backward.

    The function is traced once per signature: shapes, dtypes, devices and gradient flags of its
    tensors and arrays, its other arguments, and the grad mode. What it computes becomes one node of
    the tape. Parameters, and tensors and arrays that it finds elsewhere, are read at each call.

    A trace holds for as long as all that it read of Python's state is as it was: globals, names of
    the closure, attributes, items, lengths; else the function is traced again, and `explain` says
    why. What it reads beside that, as the environment and Python's random numbers, is as it was in
    the trace; `dt.hybrid.trace` finds such by a second run. Results share no memory with
    arguments, unless they are arguments that were changed in place.

    When a size changes for the first time, it becomes a symbol, and so does from the first
    call on the size that a loop goes along.

    A ``for`` over a tensor, over ``range`` of its size, and over ``enumerate``, ``zip`` and
    ``reversed`` of these is traced once and becomes a `scan`, and so is a ``range`` of many known
    numbers; a list to which it appends can be stacked, concatenated and gone through. Other loops
    unroll.

    Parameters
    ----------
    function : callable
        A function, method or module. Containers of arguments and results may be lists, tuples,
        dicts and dataclasses.
    executor : {"planned", "native", "reference"}
    passes : iterable of str, optional
        All by default; pruning always runs. Beside those of graphs there are "recompute", which
        chooses what is kept for the backward pass, by default with `native` alone, as other
        executors would run kernels twice; and "roll", which makes loops of Python loops of the
        graph, by default with all but `reference`.
    limit : int
        The most traces to make; a RuntimeWarning says so, and further calls run as eager code.

    Returns
    -------
    CompiledFunction

    Raises
    ------
    StaticValueError
        When the function asks for the number behind a traced value (`if`, `print`, `item`).
    GraphError
        When it changes Python state that outlives the call.
    DTypeError
        When a result is an object of another kind.
    ArgumentError
        When `limit` is no whole number of at least 1.
    UnknownNameError
        When an executor or a pass is not known.

    Examples
    --------
    >>> @dt.compile
    ... def f(x, y):
    ...     return dt.tanh(x) * y
    >>> f(dt.tensor([0.0]), dt.tensor([2.0]))
    tensor([0.])
    """
    if not isinstance(limit, int) or limit < 1:
        raise ArgumentError(f"compile: limit must be a whole number of at least 1, got {limit!r}")
    if function is None:
        _check_options(executor, passes)
        return lambda function: compiled_by(CompiledFunction, function, executor, passes, limit)
    return compiled_by(CompiledFunction, function, executor, passes, limit)


def compiled_by(
    kind: type[C],
    function: Callable[..., Any],
    executor: str,
    passes: Iterable[str] | None,
    limit: int = 1,
) -> C:
    """A function as one of a kind of compiled functions, with checked options."""
    chosen = _check_options(executor, passes)
    if isinstance(function, CompiledFunction):
        function = function.function
    if not callable(function):
        raise DTypeError(f"compile: must be callable, got {type(function).__name__}")
    return kind(function, executor, chosen, limit)


def _check_options(executor: str, passes: Iterable[str] | None) -> tuple[str, ...] | None:
    if executor not in EXECUTORS:
        raise unknown("executor", executor, EXECUTORS)
    if isinstance(passes, str):
        passes = (passes,)
    chosen = None if passes is None else tuple(passes)
    known = (*passes_of(executor), RECOMPUTE, ROLL)
    for name in chosen or ():
        if name not in known:
            raise unknown("pass", name, known)
    return chosen


def _found(known: Decisions, leaves: list[Any]) -> Found | None:
    """The entry that holds now for such arguments, and what it reads."""
    values: list[Any] = []
    first = known.find(values)
    if first is None:
        return None
    entry = first.of([leaf for leaf in leaves if is_array(leaf)], values)
    return None if entry is None else (entry, values)


def _place_of(parameter: Any, key: str, tell: Callable[[Any], Any] = token) -> Place:
    name = f"{key} of {parameter.storage.name or 'a parameter'}"
    return Place(name, parameter, key, attribute, tell)


def _result(graph: Trace, result: Any) -> Any:
    """A result of a traced function: a value of its graph, an argument, or plain data."""
    if isinstance(result, Operand):
        value = graph.lift(result, "compile")
        position = graph.input_of(value)
        return graph.without_spent(value) if position is None else Input(position)
    if result is None or isinstance(result, str | int | float | np.ndarray | np.generic):
        return result
    raise DTypeError(
        "compile: results must be tensors, plain data, or lists, tuples, named tuples and dicts of "
        f"them, got {type(result).__name__}"
    )
