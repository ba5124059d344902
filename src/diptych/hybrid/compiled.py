"""`compile`: trace a function once per signature, and run what was traced."""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from functools import partial, update_wrapper
from types import FunctionType, MethodType
from typing import Any, TypeVar

from ..compiler import EXECUTORS, RECOMPUTE, passes_of
from ..graphs.avals import Aval, show
from ..graphs.batching import innermost
from ..graphs.errors import ArgumentError, DiptychError, DTypeError, unknown
from ..graphs.ir import Value
from ..graphs.modes import is_grad_enabled
from ..graphs.nodes import user_location
from ..graphs.ops import dispatch
from ..graphs.trees import flatten
from .background import BACKGROUND
from .calls import recording
from .costs import costs_of
from .decisions import Decisions, Path
from .entry import Entry
from .front import Front, Served
from .function import GraphFunction, Spent
from .gate import Verdict, judged
from .loops import ROLL
from .signatures import Axis, Family, Shapes, family_of, is_array, key_of, resized
from .staging import LookedInto
from .switch import is_disabled
from .tracing import Options, name_of, traced
from .trial import Trial, trial_of

C = TypeVar("C", bound="CompiledFunction")
# A trace that holds, and what stands where it has read.
Found = tuple[Entry, list[Any]]

_MOST_KEYS = 4096  # of calls, beside the traces that serve them
_UNASKED = 1024  # eager calls of a key, until it is asked again which trace holds

_log = logging.getLogger(__name__)


class CompiledFunction(Front, LookedInto):
    """A function that runs as a static program inside eager code. Made by `compile`."""

    def __init__(self, function: Callable[..., Any], options: Options) -> None:
        super().__init__(function)
        self._options = options
        # By the key of a call, and by that of a family with symbols for sizes.
        self._entries: dict[Any, Decisions] = {}
        self._families: dict[Any, Family] = {}
        self._choices: dict[Any, Served] = {}
        self._failures: list[str] = []
        self._is_over = False
        self._spent = Spent()
        self._lock = threading.RLock()
        if hasattr(function, "__name__"):
            update_wrapper(self, function, updated=())

    def _is_off(self) -> bool:
        return dispatch.is_building() or innermost() is not None or is_disabled()

    def _call(self, key: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        leaves, structure = flatten((args, kwargs))
        if any(isinstance(x, Value) for x in leaves):
            return self.function(*args, **kwargs)
        whole = (structure, is_grad_enabled(), *map(key_of, leaves))
        found = self._entry(whole, leaves, structure)
        if found is None:
            return self.function(*args, **kwargs)
        entry, values = found
        arrays = [leaf for leaf in leaves if is_array(leaf)]
        served = self._choice(whole, entry, arrays, values)
        if key is not None:
            self._remember(key, served)
        return self.function(*args, **kwargs) if served.is_eager else entry.run(arrays, values)

    # -- whether it runs compiled ----------------------------------------------------------------

    def _choice(self, key: Any, entry: Entry, arrays: list[Any], values: list[Any]) -> Served:
        """How calls of a key run for which an entry holds."""
        served = self._choices.get(key)
        # What was to be compiled by the time of a fork is not, in the child.
        is_lost = served is not None and served.is_due and not BACKGROUND.has(served)
        if served is None or served.entry is not entry or is_lost:
            served = self._choices[key] = self._chosen(key, entry, arrays, values)
        served.calls = _UNASKED
        return served

    def _chosen(self, key: Any, entry: Entry, arrays: list[Any], values: list[Any]) -> Served:
        served = Served(self._entries[key], entry, key)
        function, operands = entry.function, entry.operands(arrays, values)
        wanted = recording(function, operands)
        sizes = {s: operands[i].shape[axis] for s, (i, axis) in function.sizes.items()}
        if not self._pays(entry, sizes, bool(wanted)):
            served.is_eager = True
            return served
        job = partial(self._prepare, served, operands, wanted, sizes)
        if self._options.background:
            served.is_eager = served.is_due = True
            BACKGROUND.do(served, partial(self._prepare_apart, job, served))
        elif self._is_tried(wanted):
            job()
        return served

    def _pays(self, entry: Entry, sizes: dict[str, int], is_recorded: bool) -> bool:
        """What the gate says of an entry, which is noted there."""
        options = self._options
        if not options.gate or options.executor == "reference":
            return True
        plain = Options(options.executor, None, limit=2)
        costs = costs_of(options.executor, partial(CompiledFunction, options=plain))
        if costs is None:
            return True
        verdict = judged(entry.function, sizes, is_recorded, options.executor == "native", costs)
        return self._note(entry, verdict)

    def _note(self, entry: Entry, verdict: Verdict | Trial) -> bool:
        if isinstance(verdict, Trial):
            entry.verdicts.pop(True, None)  # what was thought before
        entry.verdicts[verdict.pays] = verdict
        if not verdict.pays:
            _log.info("%s(%s) %s", self._name, entry.signature, verdict)
        return verdict.pays

    def _prepare(
        self, served: Served, operands: list[Any], wanted: tuple[int, ...], sizes: dict[str, int]
    ) -> None:
        """Compile what serves a key, and try it."""
        entry = served.entry
        entry.function.prepare_all(wanted, sizes)
        trial = None
        if self._is_tried(wanted):
            trial = trial_of(entry.function, [x.array for x in operands], sizes)
        served.is_eager = trial is not None and not self._note(entry, trial)

    def _is_tried(self, wanted: tuple[int, ...]) -> bool:
        """Whether code is made whose time only running it tells, of a forward pass alone."""
        return self._options.gate and self._options.executor == "native" and not wanted

    def _prepare_apart(self, job: Callable[[], None], served: Served) -> None:
        """The same in the background; where it fails, calls go on as eager code."""
        try:
            job()
        except Exception as error:
            if not threading.main_thread().is_alive():  # a process that ends starts no compiler
                return
            reason = f"{type(error).__name__}: {error}"
            self._failures.append(f"compiling for ({served.entry.signature}) failed: {reason}")
            _warn(f"compile: {self._name} must be compiled, got {reason}; it runs as eager code")
        finally:
            served.is_due = False

    @property
    def is_compiling(self) -> bool:
        """Whether code is being compiled in the background."""
        return any(map(BACKGROUND.has, list(self._choices.values())))

    # -- which trace holds -----------------------------------------------------------------------

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
                self._spent.tracing += time.perf_counter() - start

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

    def _trace(
        self, leaves: list[Any], structure: Any, avals: list[Aval], reason: str
    ) -> tuple[Path, Entry, set[Axis]]:
        return traced(self.function, self._options, self._spent, leaves, structure, avals, reason)

    def _keep(self, known: Decisions, path: Path, entry: Entry) -> None:
        entry.instead = known.find([])
        known.add(path, entry)
        _log.info("traced %s(%s): %s", self._name, entry.signature, entry.reason)

    def _forget_sizes(self) -> None:
        """Drop the keys of calls whose trace is found again by their family."""
        kept = {k: known for k, known in self._entries.items() if k[0] in self._families}
        found = set(map(id, kept.values()))
        self._entries = kept | {k: d for k, d in self._entries.items() if id(d) not in found}
        self._choices = {}

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
        if self.traces < self._options.limit:
            return False
        if not self._is_over:
            self._is_over = True
            most, last = self._options.limit, self._all()[-1].reason
            _warn(
                f"compile: at most {most} traces are made, got more of {self._name}, the last one "
                f"for {last}; other calls run as eager code"
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
        return (type(self), (self.function, self._options))

    @property
    def traces(self) -> int:
        """How many times the function was traced."""
        return len(self._all())

    @property
    def trace_s(self) -> float:
        """Seconds spent so far on tracing, and on building backward passes."""
        return self._spent.tracing

    @property
    def compile_s(self) -> float:
        """Seconds spent so far on compiling what was traced."""
        return self._spent.compiling

    def _functions(self) -> list[GraphFunction]:
        return [entry.function for entry in self._all()]

    def _all(self) -> list[Entry]:
        held = {id(known): known for known in self._entries.values()}
        return [e for known in held.values() for first in known.all() for e in first.chain()]

    @property
    def _name(self) -> str:
        return name_of(self.function)

    def explain(self) -> str:
        """What was traced for which signature, and what each pass and executor did."""
        lines = []
        for entry in self._all():
            lines.append(f"{self._name}({entry.signature})")
            gated = map(str, entry.verdicts.values())
            said = [f"traced for {entry.reason}", *gated, *entry.notes, *entry.function.explain()]
            lines += [f"  {line}" for line in said]
        lines += self._failures
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
    gate: bool = True,
    background: bool = False,
    deterministic: bool = False,
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
    gate : bool
        Run calls as eager code for which compiling does not pay. What eager and compiled calls
        cost is measured once on each machine, in a few tenths of a second, and kept with the
        compiled code; from that, and from the number of operators that a trace holds, follows the
        choice, which `explain` gives with its figures. What `native` makes of a function without
        gradients and updates is also tried on the first arguments, before the first result. With
        `reference` there is no gate.
    background : bool
        Compile on another thread. Calls run as eager code until it is done, and compiled from
        then on, which changes results within the rounding of the executor. Tracing, which runs
        the function, is not put off. Where compiling fails, a RuntimeWarning says so, and calls
        go on as eager code.
    deterministic : bool
        Refuse what would let calls of one kind change from eager to compiled code within a run:
        `background`. The gate does not, and in another process it chooses the same.

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
        When `limit` is no whole number of at least 1, or `background` is to be deterministic.
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
    if background and deterministic:
        raise ArgumentError(
            "compile: what is deterministic must not change from eager to compiled code amid a "
            "run, got background=True"
        )
    options = checked("compile", executor, passes, limit, gate=gate, background=background)
    if function is None:
        return lambda function: compiled_by(CompiledFunction, function, options)
    return compiled_by(CompiledFunction, function, options)


def checked(
    name: str, executor: str, passes: Iterable[str] | None, limit: int, **others: bool
) -> Options:
    """Options that are what the function of a name takes."""
    if not isinstance(limit, int) or limit < 1:
        raise ArgumentError(f"{name}: limit must be a whole number of at least 1, got {limit!r}")
    return Options(executor, check_passes(executor, passes), limit, **others)


def compiled_by(kind: type[C], function: Callable[..., Any], options: Options) -> C:
    """A function as one of a kind of compiled functions."""
    if isinstance(function, CompiledFunction):
        function = function.function
    if not callable(function):
        raise DTypeError(f"compile: must be callable, got {type(function).__name__}")
    return kind(function, options)


def check_passes(executor: str, passes: Iterable[str] | None) -> tuple[str, ...] | None:
    """The passes that were chosen for an executor, by name.

    Raises
    ------
    UnknownNameError
        When an executor or a pass is not known.
    """
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


def _warn(text: str) -> None:
    """A warning at the user's own line."""
    place = user_location()
    if place is None:
        warnings.warn(text, RuntimeWarning, stacklevel=2)
    else:
        warnings.warn_explicit(text, RuntimeWarning, place.file, place.line)


def _found(known: Decisions, leaves: list[Any]) -> Found | None:
    """The entry that holds now for such arguments, and what it reads."""
    values: list[Any] = []
    first = known.find(values)
    if first is None:
        return None
    entry = first.of([leaf for leaf in leaves if is_array(leaf)], values)
    return None if entry is None else (entry, values)
