"""Pieces of syntax by which a rewritten function asks its tracer."""

from __future__ import annotations

import ast

TRACER = "__tracer__"

# Nobody holds what these make, so nothing of it was there before.
_FRESH = (
    ast.Constant, ast.List, ast.Tuple, ast.Dict, ast.Set, ast.Compare, ast.JoinedStr, ast.Lambda,
    ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.BinOp, ast.UnaryOp,
)  # fmt: skip


def tracer_method(method: str, at: ast.AST) -> ast.expr:
    found = ast.Attribute(ast.Name(TRACER, ast.Load()), method, ast.Load())
    return ast.copy_location(found, at)


def ask(method: str, at: ast.AST, *operands: ast.expr) -> ast.expr:
    return ast.copy_location(ast.Call(tracer_method(method, at), list(operands), []), at)


def whole_of(node: ast.expr) -> ast.expr:
    return node if isinstance(node, _FRESH) else ask("whole", node, node)


def each_of(node: ast.expr) -> ast.expr:
    return node if isinstance(node, _FRESH) else ask("each", node, node)


def tested(node: ast.expr) -> ast.expr:
    return node if isinstance(node, ast.Constant) else ask("test", node, node)


def index_of(node: ast.expr) -> ast.expr:
    """What stands between brackets, as an expression that may stand elsewhere."""
    if isinstance(node, ast.Slice):
        none = ast.Constant(None)
        parts = [part or none for part in (node.lower, node.upper, node.step)]
        return ask("slice", node, *parts)
    if isinstance(node, ast.Tuple):
        return ast.copy_location(ast.Tuple([index_of(e) for e in node.elts], ast.Load()), node)
    return node


def has_star(node: ast.expr) -> bool:
    return isinstance(node, ast.Tuple) and any(isinstance(e, ast.Starred) for e in node.elts)


def as_statement(expression: ast.expr, at: ast.AST) -> ast.stmt:
    return ast.copy_location(ast.Expr(expression), at)


def assigned(name: str, value: ast.expr, at: ast.AST) -> ast.stmt:
    return ast.copy_location(ast.Assign([ast.Name(name, ast.Store())], value), at)


def load(name: str, at: ast.AST) -> ast.expr:
    return ast.copy_location(ast.Name(name, ast.Load()), at)


def thunk(node: ast.expr, at: ast.AST) -> ast.expr:
    none = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    return ast.copy_location(ast.Lambda(none, node), at)
