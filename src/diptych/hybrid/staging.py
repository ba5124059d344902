"""Functions rewritten so that a trace sees what they read, made once per function's code."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import PurePath
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from ..graphs.errors import GraphError
from .asks import TRACER
from .jumps import UnsupportedSyntax
from .rewriting import rewritten
from .scripting import scripted
from .source import compiled, source_of

# Below the bridge nothing depends on state that the trace would not see otherwise.
_OWN = __name__.partition(".")[0]
_BELOW = tuple(f"{_OWN}.{room}" for room in ("graphs", "eager", "static", "compiler", "hybrid"))
_LIBRARIES = tuple(
    {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)

# Code objects are equal where their files differ, so the file is told as well.
_codes: WeakKeyDictionary[CodeType, dict[Any, CodeType | None]] = WeakKeyDictionary()
_made: WeakSet[CodeType] = WeakSet()
_users: WeakKeyDictionary[type, bool] = WeakKeyDictionary()
_CACHED: Any = type(lru_cache(len))


class LookedInto:
    """Base of what stands for a function that is traced in its place."""

    function: Callable[..., Any]


def is_users(function: FunctionType) -> bool:
    """Whether a function is looked into: the user's own, and modules and optimisers."""
    name = str(function.__globals__.get("__name__", ""))
    if name.partition(".")[0] == _OWN:
        return not (name == _OWN or name.startswith(_BELOW))
    return not is_library_file(function.__code__.co_filename)


def is_users_class(kind: type) -> bool:
    """Whether a class is neither Python's, nor of an installed package, nor of Diptych."""
    if kind not in _users:
        _users[kind] = _is_users_class(kind)
    return _users[kind]


def _is_users_class(kind: type) -> bool:
    root = str(kind.__module__).partition(".")[0]
    if root in sys.stdlib_module_names or root == _OWN:
        return False
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return not (file and is_library_file(file))


def is_of_library(kind: type) -> bool:
    """Whether a class is one of Diptych's, or made from one."""
    return any(str(base.__module__).partition(".")[0] == _OWN for base in kind.__mro__)


def is_library_file(file: str) -> bool:
    """Whether a file belongs to Python or to an installed package."""
    return any(PurePath(file).is_relative_to(folder) for folder in _LIBRARIES)


def staged(function: FunctionType, tracer: Any, scripts: bool = False) -> FunctionType | None:
    """A function that does the same and asks a tracer; None where its source is not known.

    It shares the globals, the closure and the defaults of the original. With `scripts` it asks for
    branches, too.
    """
    code = _staged_code(function, scripted if scripts else rewritten)
    if code is None:
        return None
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or ()))
    cells[TRACER] = CellType(tracer)
    closure = tuple(cells[name] for name in code.co_freevars)
    return like(function, code, closure)


def like(function: FunctionType, code: CodeType, closure: tuple[CellType, ...]) -> FunctionType:
    """A function of other code and closure, with the globals and the defaults of another."""
    made = FunctionType(
        code, function.__globals__, function.__name__, function.__defaults__, closure
    )
    made.__kwdefaults__ = function.__kwdefaults__
    made.__qualname__, made.__module__ = function.__qualname__, function.__module__
    return made


def is_staged(function: FunctionType) -> bool:
    """Whether a function asks a tracer already, as those made within a trace do."""
    return function.__code__ in _made


def _staged_code(function: FunctionType, rewrite: Any) -> CodeType | None:
    code = function.__code__
    known = _codes.setdefault(code, {})
    key = (code.co_filename, rewrite)
    if key not in known:
        known[key] = _rewritten_code(function, rewrite)
    return known[key]


def _rewritten_code(function: FunctionType, rewrite: Any) -> CodeType | None:
    source = source_of(function)
    if source is None:
        return None
    code = function.__code__
    try:
        definition = rewrite(source, code.co_freevars, function.__globals__)
    except UnsupportedSyntax as unsupported:
        raise GraphError(
            f"script: {unsupported.construct} has no place in a graph, got one at "
            f"{code.co_filename}:{unsupported.line}"
        ) from None
    made = compiled(definition, code, (TRACER,))
    if made is not None:
        _made.update(_all(made))
    return made


def _all(code: CodeType) -> list[CodeType]:
    within = [c for c in code.co_consts if isinstance(c, CodeType)]
    return [code, *(found for c in within for found in _all(c))]


def python_function(callee: Any) -> tuple[FunctionType, tuple[Any, ...], dict[str, Any]] | None:
    """The function of Python that runs when something is called, and what it takes before."""
    if isinstance(callee, FunctionType):
        return callee, (), {}
    if isinstance(callee, MethodType):
        found = python_function(callee.__func__)
        return found and (found[0], (*found[1], callee.__self__), found[2])
    if isinstance(callee, partial):
        found = python_function(callee.func)
        return found and (found[0], (*found[1], *callee.args), {**found[2], **callee.keywords})
    if isinstance(callee, _CACHED):  # what it keeps must not outlive a trace
        return python_function(callee.__wrapped__)
    if isinstance(callee, LookedInto):
        return python_function(callee.function)
    if isinstance(callee, type):
        return None
    call = getattr(type(callee), "__call__", None)  # noqa: B004 - its function is what is asked
    return (call, (callee,), {}) if isinstance(call, FunctionType) else None


def names_read(function: FunctionType) -> list[tuple[str, Any, Any]]:
    """Globals and names of the closure that a function's code mentions, where it has no source.

    Returns
    -------
    list of (str, object, object)
        The name, and the dict or the cell that holds it.
    """
    code = function.__code__
    table = function.__globals__
    found = [(n, table, n) for c in _all(code) for n in c.co_names if n in table]
    cells = zip(code.co_freevars, function.__closure__ or ())
    return [*found, *((name, held, None) for name, held in cells)]
