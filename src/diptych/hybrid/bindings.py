"""Which names a piece of syntax binds, reads and shares."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef, *_COMPREHENSIONS)


def _within(nodes: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """All nodes, but for those within functions and classes defined there."""
    pending = list(nodes)
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, SCOPES):
            pending.extend(ast.iter_child_nodes(node))


def bound_in(nodes: Sequence[ast.AST]) -> set[str]:
    """The names that statements bind."""
    names: set[str] = set()
    for node in _within(nodes):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            names.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            names.add(node.rest)
        elif isinstance(node, _COMPREHENSIONS):  # a walrus in it binds outside it
            names |= _walruses(node)
    return names


def _walruses(comprehension: ast.AST) -> set[str]:
    """The names that a comprehension, or one within it, binds in the function around."""
    names: set[str] = set()
    for node in _within(list(ast.iter_child_nodes(comprehension))):
        if isinstance(node, ast.NamedExpr):
            names.add(node.target.id)
        elif isinstance(node, _COMPREHENSIONS):
            names |= _walruses(node)
    return names


def locals_of(node: Any) -> set[str]:
    """The names that a function, lambda or comprehension binds for itself."""
    if isinstance(node, _COMPREHENSIONS):
        return {name for g in node.generators for name in names_in(g.target)}
    a = node.args
    held = [*a.posonlyargs, *a.args, *a.kwonlyargs, *(x for x in (a.vararg, a.kwarg) if x)]
    names = {x.arg for x in held}
    if isinstance(node, ast.Lambda):
        return names | bound_in([node.body])
    elsewhere = {
        name
        for n in _within(node.body)
        if isinstance(n, ast.Global | ast.Nonlocal)
        for name in n.names
    }
    return names | bound_in(node.body) - elsewhere


def names_in(target: ast.AST) -> list[str]:
    """The names that stand in a piece of syntax, such as the target of a loop."""
    return [n.id for n in ast.walk(target) if isinstance(n, ast.Name)]


def appended_in(body: Sequence[ast.AST]) -> set[str]:
    """The names of lists that statements append to."""
    return {
        node.func.value.id
        for node in _within(body)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "append"
        and isinstance(node.func.value, ast.Name)
    }


def read_beyond(function: ast.AST, loop: ast.For) -> set[str]:
    """The names that a function may read when a loop has ended, as the loop left them."""
    names: set[str] = set()
    pending: list[tuple[ast.AST, frozenset[str]]] = [(function, frozenset())]
    while pending:
        node, bound = pending.pop()
        if isinstance(node, ast.For) and _place(node) == _place(loop):
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id not in bound:
            names.add(node.id)
        if isinstance(node, ast.For):  # its body reads what it binds itself
            pending.append((node.iter, bound))
            inner = bound | set(names_in(node.target))
            pending.extend((child, inner) for child in node.body)
            pending.extend((child, bound) for child in node.orelse)
        else:
            pending.extend((child, bound) for child in ast.iter_child_nodes(node))
    return names


def shared_names(function: ast.AST, loop: ast.For) -> set[str]:
    """The names that functions outside a loop share with it, which see what it does to them."""
    names: set[str] = set()
    pending = list(ast.iter_child_nodes(function))
    while pending:
        node = pending.pop()
        if isinstance(node, ast.For) and _place(node) == _place(loop):
            continue
        if isinstance(node, ast.FunctionDef | ast.Lambda | ast.GeneratorExp | ast.ClassDef):
            names.update(names_in(node))
        pending.extend(ast.iter_child_nodes(node))
    return names


def _place(node: ast.For) -> tuple[int, int]:
    return node.lineno, node.col_offset


def leaves_early(body: Sequence[ast.AST]) -> bool:
    """Whether a round may end the loop or the function, so that it is no function itself."""
    pending: list[tuple[ast.AST, bool]] = [(node, True) for node in body]
    while pending:
        node, outer = pending.pop()
        if isinstance(node, ast.Return | ast.Yield | ast.YieldFrom | ast.Await):
            return True
        if isinstance(node, ast.Global | ast.Nonlocal | ast.Delete):
            return True
        if outer and isinstance(node, ast.Break | ast.Continue):
            return True
        if isinstance(node, SCOPES):
            continue
        inside = outer and not isinstance(node, ast.For | ast.While)
        pending.extend((child, inside) for child in ast.iter_child_nodes(node))
    return False
