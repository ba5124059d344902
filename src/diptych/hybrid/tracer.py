"""Tracer: what rewritten functions hand their reads, calls and loops to, during a trace."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from io import IOBase
from types import (
    BuiltinMethodType,
    CellType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)  # fmt: skip
from typing import Any

import numpy as np

from ..eager import asarray, tensor
from ..graphs.errors import GraphError, StaticValueError
from ..graphs.guards import watching
from ..graphs.ir import Value
from ..graphs.nodes import user_location
from ..graphs.operand import Operand
from ..graphs.ops import dispatch
from ..graphs.parameter import Parameter
from . import reads
from .along import AppendOnly, has_symbol, plain
from .bodies import Own
from .branches import Branches
from .frame import Frame
from .graph import Trace
from .loops import Loops
from .objects import Objects
from .operators import ARITHMETIC, COMPARISONS, ORDERING
from .purity import is_pure
from .reads import CONTAINERS, MISSING, Place, is_fed
from .repeats import Repeats
from .scripted import ScriptFrame
from .staging import (
    is_library_file,
    is_staged,
    is_users,
    is_users_class,
    like,
    names_read,
    python_function,
    staged,
)  # fmt: skip
from .weak import Number, as_operands, index_of, operated

_SCALARS = (int, float, complex, bool, str, bytes, type(None), np.generic, np.dtype, slice, range)
_SOME = asarray(0.0)
_OF_SIZES = (len, list, max, min, range, tuple, type)
# What makes a tensor of numbers, and what gives the numbers of one.
_MAKING = (asarray, tensor)
_CONVERTING = (bool, complex, float, int)
_NUMBERS = {"__array__", "array", "item", "numpy", "tolist"}
_OWN = __name__.partition(".")[0]
_OF_ATTRIBUTES = (getattr, hasattr, setattr)
_CHANGEABLE = (list, dict, set, deque, bytearray, Iterator)
_SETTING = {"__setattr__", "__delattr__"}
_CHANGING = {
    "__delitem__", "__iadd__", "__ior__", "__next__", "__setitem__", "add", "append", "appendleft",
    "clear", "extendleft", "move_to_end", "popleft", "rotate", "send",
    "difference_update", "discard", "extend", "insert", "intersection_update", "pop",
    "popitem", "remove", "reverse", "setdefault", "sort", "symmetric_difference_update", "update",
}  # fmt: skip


class _Running(threading.local):
    tracer: Tracer | None = None


_running = _Running()


class Tracer:
    """One trace: what it has read so far, and what was there before it began.

    Only what was there before needs a guard: what the function makes itself is the same whenever
    its arguments and reads are.

    Parameters
    ----------
    graph : Trace
        That is being traced into.
    captures : bool
        Whether loops become loops of the graph.
    feeds : bool
        Whether NumPy arrays found outside are fed at each call. Else their numbers are guarded.
    scripts : bool
        Whether branches on data become branches of the graph.

    Attributes
    ----------
    path : list of (Place, token)
        What was read, each place once, in the order of the first reads.
    fed : list of (Place, Value)
        Tensors and arrays found outside, and what stands for them in the graph.
    notes : list of str
        What became part of the graph, and what did not, and why.
    """

    def __init__(self, graph: Trace, captures: bool, feeds: bool, scripts: bool = False) -> None:
        self.graph, self._feeds, self._scripts = graph, feeds, scripts
        self.path: list[tuple[Place, Any]] = []
        self.fed: list[tuple[Place, Value]] = []
        self.notes: list[str] = []
        self.loops = Loops(self, captures)
        self.objects = Objects(self)
        self.own = Own()
        self.branches = Branches(self, self.own)
        self.repeats = Repeats(self, self.branches, self.own)
        self._seen: dict[tuple[int, Any, Any, Any], Any] = {}
        self._absent: set[tuple[int, Any, Any, Any]] = set()
        self._outside: dict[int, tuple[Any, str]] = {}
        self._given: dict[int, tuple[Any, str]] = {}
        self._staged: dict[FunctionType, FunctionType | None] = {}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Be the tracer of this thread's functions within the block."""
        before, _running.tracer = _running.tracer, self
        try:
            with watching(self._note_table):
                yield
        finally:
            _running.tracer = before

    @property
    def is_running(self) -> bool:
        """Whether this thread traces by it now."""
        return _running.tracer is self

    @property
    def is_in_body(self) -> bool:
        """Whether a branch or a round is being traced, which must not change what is around it."""
        return self.own.is_open

    @property
    def _body_name(self) -> str:
        name: str = getattr(dispatch.current(), "name", "for")
        return name

    # -- what is outside -------------------------------------------------------------------------

    def enter(self, value: Any, text: str) -> None:
        """Note that something was there before the trace, under the user's name for it."""
        if not isinstance(value, _SCALARS) and not is_operand(value):
            self._outside.setdefault(id(value), (value, text))
            held = getattr(value, "__dict__", None)
            if type(held) is dict:
                self._outside.setdefault(id(held), (held, text))
            for kind in value.__mro__ if isinstance(value, type) else type(value).__mro__:
                if is_users_class(kind):
                    self._outside.setdefault(id(kind), (kind, kind.__name__))

    def give(self, value: Any, text: str) -> None:
        """Note containers of arguments, which the key of a call tells and none may change."""
        held = reads.parts(value)
        if held is None or id(value) in self._given or self.text_of(value) is not None:
            return
        self._given[id(value)] = (value, text)
        for key, part in held:
            inner = f"{text}[{key!r}]" if isinstance(value, CONTAINERS) else f"{text}.{key}"
            self.give(part, inner)

    def text_of(self, value: Any) -> str | None:
        """The user's name for what was there before the trace; None for what was not."""
        found = self._outside.get(id(value))
        return found[1] if found is not None and found[0] is value else None

    def found(self, place: Place) -> Any:
        """What stands at a place now, which becomes part of what the trace depends on."""
        known = self._seen.get(place.identity, MISSING)
        if known is not MISSING:
            return known
        try:
            value = place.read(place.holder, place.key)
        except (LookupError, AttributeError, ValueError):
            if place.identity not in self._absent:
                self._absent.add(place.identity)
                self.path.append((place, MISSING))
            raise
        if isinstance(value, np.ndarray) and not self._feeds and place.tell is reads.token:
            place = replace(place, tell=reads.numbers)
        self.path.append((place, place.tell(value)))
        if is_fed(value) and place.tell is reads.token:
            value = self._feed(place, value)
        else:
            self.enter(value, place.text)
        self._seen[place.identity] = value
        return value

    def seen(self, place: Place) -> Any:
        """The same, of what is not reached through that place by the user's code."""
        if place.identity not in self._seen:
            value = self._seen[place.identity] = place.read(place.holder, place.key)
            self.path.append((place, place.tell(value)))
        return self._seen[place.identity]

    def _feed(self, place: Place, array: Any) -> Value:
        value = self.graph.add_input(asarray(array))
        self.fed.append((place, value))
        return value

    def _note_table(self, table: dict[str, Any], key: str) -> None:
        """A read of a module's own tables."""
        text = f"{self.text_of(table) or 'a module'}.{key.lstrip('_')}"
        self.found(Place(text, table, key, reads.entry, reads.Same))

    def note(self, text: str) -> None:
        """Say once what `explain` is to tell."""
        if text not in self.notes:
            self.notes.append(text)

    # -- reads -----------------------------------------------------------------------------------

    def name(self, table: dict[str, Any], key: str) -> Any:
        return self.found(Place(f"global {key}", table, key, reads.entry))

    def free(self, held: CellType, key: str) -> Any:
        return self.found(Place(key, held, key, reads.cell))

    def attribute(self, owner: Any, key: str) -> Any:
        owner = self.loops.each(owner)
        if isinstance(owner, Operand):
            if key == "shape":
                return self.loops.shape_of(owner)
            if key in _NUMBERS and isinstance(owner, Parameter):
                raise _no_number(key)
        if not isinstance(owner, ModuleType):
            return self.objects.attribute(owner, key)
        text = self.text_of(owner)
        if text is None or _is_library(owner):
            return getattr(owner, key)
        return self.found(Place(f"{text}.{key}", owner, key, reads.attribute))

    def item(self, owner: Any, key: Any) -> Any:
        if isinstance(owner, Value):
            return self.loops.item(owner, key)
        get = self.objects.special(owner, "__getitem__")
        if get is not None:
            return get(key)
        owner = self.loops.each(owner)
        if has_symbol(key) and not isinstance(owner, list | tuple):
            raise StaticValueError(f"dimension: a key must be a number, got {key}")
        text = self.text_of(owner)
        if text is None or not isinstance(owner, dict | list | tuple | deque):
            return owner[key]
        if isinstance(key, slice):
            return self.whole(owner)[key]
        return self.found(Place(f"{text}[{key!r}]", owner, key, reads.entry))

    def whole(self, value: Any) -> Any:
        """All that a container holds is read, if it was there before."""
        value = self.loops.each(value)
        text = self.text_of(value)
        if text is not None:
            if isinstance(value, Iterator) and not isinstance(value, IOBase):
                self.check_change(value, ", gone through")
            if reads.parts(value) is not None:
                self.found(Place(text, value, "content", reads.itself, reads.content))
                self._enter_parts(value, text, set())
        return plain(value)

    def _enter_parts(self, value: Any, text: str, above: set[int]) -> None:
        if id(value) in above:
            return
        above.add(id(value))
        if isinstance(value, set | frozenset):
            for held in value:
                self.enter(held, text)
            return
        for key, held in reads.parts(value) or ():
            inner = f"{text}[{key!r}]" if isinstance(value, CONTAINERS) else f"{text}.{key}"
            self.enter(held, inner)
            self._enter_parts(held, inner, above)

    def each(self, value: Any) -> Any:
        """What is gone through, one by one."""
        value = self.loops.each(value)
        gone = self.objects.special(value, "__iter__")
        if gone is not None:
            return gone()
        text = self.text_of(value)
        if text is None:
            return value
        if not isinstance(value, CONTAINERS):
            return self.whole(value)
        self.found(Place(f"len({text})", value, "length", reads.length))
        if isinstance(value, list | tuple):
            return [self.item(value, i) for i in range(len(value))]
        return self.whole(value)

    def binary(self, name: str, left: Any, right: Any) -> Any:
        """An operator of Python on two things."""
        found = operated(name, left, right)
        if found is not NotImplemented:
            return found
        found = self.objects.operated(name, left, right)
        if found is not NotImplemented:
            return found
        # A size and a number make a size, still.
        if not (isinstance(left, int) and isinstance(right, int)):
            left, right = self.whole(left), self.whole(right)
        return ARITHMETIC[name](left, right)

    def compare(self, name: str, left: Any, right: Any) -> Any:
        """A comparison of Python of two things."""
        found = operated(name, left, right) if name in ORDERING else NotImplemented
        if found is NotImplemented:
            found = self.objects.compared(name, left, right)
        if found is NotImplemented:
            found = COMPARISONS[name](*self.compared(left, right))
        return found

    def compared(self, left: Any, right: Any) -> tuple[Any, Any]:
        """Two things that are about to be compared, or looked for in each other."""
        left, right = self.whole(left), self.whole(right)
        of_values = isinstance(left, Operand) or isinstance(right, Operand)
        if not of_values and (has_symbol(left) or has_symbol(right)) and left != right:
            raise StaticValueError(
                f"dimension: a size must be a number to be compared, got {left} and {right}"
            )
        return left, right

    # -- changes ---------------------------------------------------------------------------------

    def check_change(self, owner: Any, what: str) -> None:
        """Raise a GraphError where a change would be made when tracing and not again."""
        if self.own.has(owner):
            return
        if self.is_in_body:
            raise GraphError(
                f"{self._body_name}: a branch or round that is traced must not change what is not "
                f"its own, got a change of a {type(owner).__name__}{what} at {user_location()}"
            )
        text = self.text_of(owner) or self._given.get(id(owner), (None, None))[1]
        if text is not None:
            raise GraphError(
                "compile: a traced function must not change what outlives it, got a change of "
                f"{text}{what}; return the new value, or hold it in a dt.Storage"
            )

    def set_attribute(self, owner: Any, key: str, value: Any) -> None:
        self.check_change(owner, f".{key}")
        setattr(owner, key, value)

    def set_item(self, owner: Any, key: Any, value: Any) -> None:
        if not isinstance(owner, Operand):
            self.check_change(owner, f"[{key!r}]")
        owner[index_of(key)] = value.like(owner) if isinstance(value, Number) else value

    # -- calls -----------------------------------------------------------------------------------

    def call(self, callee: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call something as the user's code would, and see what it reads."""
        captured = self.loops.call(callee, args, kwargs)
        if captured is not NotImplemented:
            return captured
        makes = callee in _MAKING and args and not isinstance(args[0], Operand)
        if makes and not kwargs.get("requires_grad"):
            made = callee(*plain(args), **self._named(kwargs))
            return dispatch.current().constant(made.array)
        if callee in _CONVERTING and args and isinstance(args[0], Parameter):
            raise _no_number(callee.__name__)
        if callee is isinstance and args and isinstance(args[0], Value):
            return isinstance(self._stood_for(args[0]), *args[1:])
        if callee in _OF_ATTRIBUTES and len(args) > 1:
            return self._call_of_attributes(callee, *args)
        if isinstance(callee, MethodDescriptorType | WrapperDescriptorType) and args:
            return self.call(callee.__get__(args[0]), args[1:], kwargs)
        made = self.objects.call(callee, args, kwargs)
        if made is not NotImplemented:
            return made
        if self._scripts:
            made = self.branches.call(callee, args, kwargs)
            if made is not NotImplemented:
                return made
        if str(getattr(callee, "__module__", "")).partition(".")[0] == _OWN:
            args, kwargs = as_operands(args, kwargs)
        if isinstance(callee, BuiltinMethodType | MethodWrapperType):
            return self._call_builtin(callee, args, kwargs)
        found = python_function(callee)
        if found is None:
            self._check_foreign(callee, (*args, *kwargs.values()))
            calls = isinstance(callee, type) and not is_users_class(callee)
            read = self._handed(args) if calls else self._read(args)
            return callee(*read, **self._named(kwargs))
        function, before, named = found
        if not is_users(function):
            self._check_foreign(callee, (*args, *kwargs.values()))
            return self._through(callee)(*self._handed(args), **self._named(kwargs))
        seen = self.staged(function)
        if seen is function and not is_staged(function):
            args = tuple(self._handed(args))
        return seen(*before, *args, **{**named, **kwargs})

    def class_of(self, value: Any) -> type:
        """The class of what a value stands for, where the function runs as it is written."""
        return type(self._stood_for(value) if isinstance(value, Value) else value)

    def _stood_for(self, value: Value) -> Any:
        """What the function has in place of a value where it runs as it is written."""
        held = (p.read(p.holder, p.key) for p, fed in self.fed if fed is value)
        return next(held, self.graph.tensors.get(value, _SOME))

    def _call_of_attributes(self, callee: Any, owner: Any, key: Any, *others: Any) -> Any:
        if callee is setattr:
            return self.set_attribute(owner, key, *others)
        try:
            found = self.attribute(owner, key)
        except AttributeError:
            if callee is getattr and not others:
                raise
            return others[0] if others else False
        return True if callee is hasattr else found

    def _check_foreign(self, callee: Any, args: tuple[Any, ...]) -> None:
        """Raise where what is not looked into would see, or do, what a trace cannot."""
        if any(isinstance(a, Number | AppendOnly) for a in args):
            raise StaticValueError(
                f"number: one that depends on data, or on the round, is for tensors, got {callee!r}"
            )
        if str(getattr(callee, "__module__", "")).partition(".")[0] == _OWN or callee is isinstance:
            return
        if any(map(has_symbol, args)) and callee not in _OF_SIZES:
            raise StaticValueError(f"dimension: {callee!r} must be given numbers, got a symbol")
        if self.is_in_body and not is_pure(callee):
            raise GraphError(
                f"{self._body_name}: a branch or round that is traced must not call what may "
                f"change others, got {callee!r} at {user_location()}; use dt.hybrid.call_python"
            )

    def _call_builtin(self, callee: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        owner = callee.__self__
        changes = isinstance(owner, _CHANGEABLE) and callee.__name__ in _CHANGING
        if changes or callee.__name__ in _SETTING:
            self.check_change(owner, f".{callee.__name__}()")
        if not (changes and self.own.has(owner)):
            self._check_foreign(callee, (*args, *kwargs.values()))
        if self.text_of(owner) is not None and isinstance(owner, CONTAINERS):
            if callee.__name__ == "get" and args:
                try:
                    return self.item(owner, args[0])
                except LookupError:
                    return args[1] if len(args) > 1 else None
            self.whole(owner)
        elif callee is len and len(args) == 1 and self.text_of(args[0]) is not None:
            return self._length(args[0])
        read = self._handed(args) if isinstance(owner, ModuleType) else self._read(args)
        return callee(*read, **self._named(kwargs))

    def _length(self, owner: Any) -> int:
        text = f"len({self.text_of(owner)})"
        found: int = self.found(Place(text, owner, "length", reads.length))
        return found

    def _read(self, args: Any) -> list[Any]:
        """What a function that is not looked into may read all of."""
        return [self.whole(a) for a in args]

    def _handed(self, args: Any) -> list[Any]:
        """The same, and functions among it as they are looked into."""
        return [self.whole(self._seen_into(a)) for a in args]

    def _named(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        return dict(zip(kwargs, self._handed(kwargs.values())))

    def _seen_into(self, value: Any) -> Any:
        if isinstance(value, FunctionType):
            return self.staged(value) if is_users(value) else value
        if isinstance(value, MethodType):
            seen = self._seen_into(value.__func__)
            return value if seen is value.__func__ else MethodType(seen, value.__self__)
        if isinstance(value, partial):
            return partial(self._seen_into(value.func), *value.args, **value.keywords)
        return value

    def _through(self, callee: Any) -> Any:
        """A library's function that wraps one of the user's, as it wraps the one that is traced."""
        if not isinstance(callee, FunctionType):
            return callee
        cells = []
        for cell in callee.__closure__ or ():
            with suppress(ValueError):  # an empty one
                seen = self._seen_into(cell.cell_contents)
                if seen is not cell.cell_contents:
                    cell = CellType(seen)
            cells.append(cell)
        if tuple(cells) == (callee.__closure__ or ()):
            return callee
        return like(callee, callee.__code__, tuple(cells))

    def staged(self, function: FunctionType) -> FunctionType:
        """A function as this trace runs it."""
        if is_staged(function):
            return function
        if function not in self._staged:
            named = function.__kwdefaults__ or {}
            for default in (*(function.__defaults__ or ()), *named.values()):
                self.enter(default, f"a default of {function.__name__}")
            frame = ScriptFrame(self, function) if self._scripts else Frame(self, function)
            made = staged(function, frame, self._scripts)
            self._staged[function] = made
            if made is None:
                self._guard_unseen(function)
        return self._staged[function] or function

    def _guard_unseen(self, function: FunctionType) -> None:
        """Of a function without source, all that it mentions is guarded."""
        if any(value.aval.is_symbolic for value in self.graph.inputs):
            raise StaticValueError(
                f"{function.__qualname__}: its source must be known for sizes to be symbols, got "
                "a function without"
            )
        for name, holder, key in names_read(function):
            value = self.name(holder, name) if key is not None else self.free(holder, name)
            self.whole(value)
        self.notes.append(f"{function.__qualname__}: its source is not known, so loops unroll")


def _no_number(name: str) -> StaticValueError:
    return StaticValueError(
        f"{name}: a parameter has no number until its graph runs, got a request for it in a trace"
    )


def is_operand(value: Any) -> bool:
    """Whether a trace knows a value by its aval and not by its numbers."""
    return isinstance(value, Operand | np.ndarray)


def _is_library(module: ModuleType) -> bool:
    root = module.__name__.partition(".")[0]
    file = getattr(module, "__file__", None)
    return root in sys.stdlib_module_names or root == _OWN or bool(file and is_library_file(file))
