"""From a function to the syntax tree that it was written as."""

from __future__ import annotations

import ast
import linecache
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType, FunctionType

Definition = ast.FunctionDef | ast.Lambda

_INNER = "__function__"


@dataclass(frozen=True, slots=True)
class Source:
    """How a function was written.

    Attributes
    ----------
    definition : ast.FunctionDef or ast.Lambda
        With the lines of its file. It is shared: copy it before a change.
    owner : str or None
        The class in whose body it stands, by whose name private names are changed.
    """

    definition: Definition
    owner: str | None


def source_of(function: FunctionType) -> Source | None:
    """The definition of a function; None where it cannot be known.

    So it is without the text of its file, and where that has changed since: the file as it is now
    compiles to the very code that the function runs.
    """
    code = function.__code__
    lines = linecache.getlines(code.co_filename, function.__globals__)
    text = "".join(lines)
    if not text or code not in _codes_of(text, code.co_flags & _FUTURE):
        return None
    found = [
        Source(definition, owner)
        for definition, owner in _definitions(text)
        if _name(definition) == code.co_name
        and _first_line(definition) == code.co_firstlineno
        and _holds(definition, code)
    ]
    # Of lambdas within each other the innermost one comes last.
    return found[-1] if found else None


def compiled(definition: Definition, like: CodeType, free: tuple[str, ...] = ()) -> CodeType | None:
    """A definition's code, within a function that has what it takes from around it."""
    # Under another name, lest the one by which it calls itself were that of this very definition.
    inner: ast.stmt = (
        ast.Return(definition) if isinstance(definition, ast.Lambda) else _bare(definition)
    )
    name = "<lambda>" if isinstance(definition, ast.Lambda) else _INNER
    outer = function_of("around", [*like.co_freevars, *free], [inner])
    module = ast.fix_missing_locations(ast.Module([outer], type_ignores=[]))
    flags = like.co_flags & _FUTURE
    code = compile(module, like.co_filename, "exec", flags=flags, dont_inherit=True)
    for found in _codes(code):
        if found.co_name == name and found.co_firstlineno == definition.lineno:
            return found.replace(co_name=like.co_name, co_qualname=like.co_qualname)
    return None


def function_of(name: str, arguments: Sequence[str], body: list[ast.stmt]) -> ast.FunctionDef:
    """A definition of a function of some names."""
    made = ast.arguments(
        posonlyargs=[], args=[ast.arg(argument) for argument in arguments], kwonlyargs=[],
        kw_defaults=[], defaults=[],
    )  # fmt: skip
    return _without_types(ast.FunctionDef(name, made, body, decorator_list=[]))


def _bare(definition: ast.FunctionDef) -> ast.FunctionDef:
    """Without decorators, and without what is evaluated when the function is made."""
    made = ast.FunctionDef(_INNER, definition.args, definition.body, decorator_list=[])
    return _without_types(ast.copy_location(made, definition))


def _without_types(node: ast.FunctionDef) -> ast.FunctionDef:
    """With the field that newer versions of Python have for parameters of types."""
    if sys.version_info >= (3, 12):
        node.type_params = []
    return node


@lru_cache(maxsize=64)
def _definitions(text: str) -> tuple[tuple[Definition, str | None], ...]:
    """All definitions of functions in a file, and the classes in whose bodies they stand."""

    def walk(node: ast.AST, owner: str | None) -> Iterator[tuple[Definition, str | None]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.Lambda):
                yield child, owner
            yield from walk(child, child.name if isinstance(child, ast.ClassDef) else owner)

    return tuple(walk(ast.parse(text), None))


@lru_cache(maxsize=64)
def _codes_of(text: str, flags: int) -> frozenset[CodeType]:
    """The code of all functions in a file; of none where it is no Python."""
    try:
        return frozenset(_codes(compile(text, "", "exec", flags, dont_inherit=True)))
    except SyntaxError:
        return frozenset()


def _holds(definition: Definition, code: CodeType) -> bool:
    """Whether all that a lambda's code does stands in its body: there may be several in a line."""
    if isinstance(definition, ast.FunctionDef):
        return True
    body = definition.body
    begin, end = (body.lineno, body.col_offset), (body.end_lineno, body.end_col_offset)
    return all(
        begin <= (line, column) and (last, last_column) <= end
        for line, last, column, last_column in code.co_positions()
        if column is not None and last_column  # what sets a frame up is nowhere
    )


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _name(definition: Definition) -> str:
    return "<lambda>" if isinstance(definition, ast.Lambda) else definition.name


def _first_line(definition: Definition) -> int:
    """The line that the function's code begins with: that of its first decorator."""
    decorators = getattr(definition, "decorator_list", None)
    return decorators[0].lineno if decorators else definition.lineno


def _future_flags() -> int:
    import __future__

    return sum(getattr(__future__, n).compiler_flag for n in __future__.all_feature_names)


_FUTURE = _future_flags()
