"""Functions without jumps: `break`, `continue` and early `return` as flags that statements ask.

    for x in xs:                      __broke_1__ = False
        if x < 0:                     for x in xs:                 ends by __broke_1__
            break                         if x < 0:
        y = y + x                             __broke_1__ = True
    return y                              else:
                                              y = y + x
                                      __value__ = y

What follows a branch that always jumps moves into the other branch; what follows one that may or
may not jump asks the flags. So every branch and every round runs from its beginning to its end, and
can be a function. A loop notes in `ends` the flags by which it ends.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import TypeVar

from .bindings import SCOPES

N = TypeVar("N", bound=ast.AST)

_JUMPS = (ast.Return, ast.Break, ast.Continue)
RETURNED, VALUE = "__returned__", "__value__"
_BROKE, _CONTINUED = "__broke_{}__", "__continued_{}__"


class UnsupportedSyntax(Exception):
    """A construct that cannot be lowered, and its line."""

    def __init__(self, construct: str, node: ast.AST) -> None:
        super().__init__(construct)
        self.construct, self.line = construct, getattr(node, "lineno", 0)


def ends_of(loop: ast.AST) -> tuple[str, ...]:
    """The flags by which a loop of a function without jumps ends early."""
    found: tuple[str, ...] = getattr(loop, "ends", ())
    return found


def without_jumps(function: ast.AST) -> None:
    """Rewrite the body of a function, and those of the functions in it; in place."""
    for node in ast.walk(function):
        if isinstance(node, ast.FunctionDef) and not is_generator(node):
            _Lowering().function(node)


def is_generator(function: ast.AST) -> bool:
    """Whether a function hands over control in the middle of its statements."""
    return any(
        isinstance(node, ast.Yield | ast.YieldFrom | ast.Await | ast.AsyncFor | ast.AsyncWith)
        for node in _own(getattr(function, "body", []))
    )


def _has_else(node: ast.AST) -> bool:
    return isinstance(node, ast.For | ast.While) and bool(node.orelse)


class _Lowering:
    """One function. `loops` are the numbers of the loops around a statement."""

    def __init__(self) -> None:
        self.loops: list[int] = []
        self.count = 0
        self.returns_early = False

    def function(self, node: ast.FunctionDef) -> None:
        last = node.body[-1]
        if not any(
            (isinstance(n, _JUMPS) and n is not last) or _has_else(n) for n in _own(node.body)
        ):
            return
        self.returns_early = any(
            isinstance(n, ast.Return) and n is not last for n in _own(node.body)
        )
        if not self.returns_early:
            node.body = self.block(node.body)
            return
        body = node.body if _always_jumps(node.body) else [*node.body, _at(ast.Return(None), last)]
        node.body = [
            _assigned(RETURNED, ast.Constant(False), node.body[0]),
            *self.block(body),
            _at(ast.Return(_load(VALUE, last)), last),
        ]

    def block(self, statements: Sequence[ast.stmt]) -> list[ast.stmt]:
        found: list[ast.stmt] = []
        for i, node in enumerate(statements):
            rest = statements[i + 1 :]
            if isinstance(node, ast.Return) and self.returns_early:
                value = node.value or _at(ast.Constant(None), node)
                found.append(_at(ast.Assign([_store(VALUE, node)], value), node))
                found.append(_assigned(RETURNED, ast.Constant(True), node))
                break
            if isinstance(node, ast.Break | ast.Continue):
                name = _BROKE if isinstance(node, ast.Break) else _CONTINUED
                found.append(_assigned(name.format(self.loops[-1]), ast.Constant(True), node))
                break
            flags = self._flags(_jumps([node]))
            if isinstance(node, ast.If) and flags:
                taken, other = _always_jumps(node.body), _always_jumps(node.orelse)
                if taken:
                    node.orelse, rest = [*node.orelse, *rest], []
                elif other:
                    node.body, rest = [*node.body, *rest], []
            found += self.statement(node)
            if flags and rest:
                found.append(self._unless(flags, self.block(rest), rest[0]))
                break
            if not rest and flags:
                break
        return found

    def statement(self, node: ast.stmt) -> list[ast.stmt]:
        if isinstance(node, ast.For | ast.While):
            return self.loop(node)
        if isinstance(node, ast.Try | ast.TryStar):
            return [self.attempt(node)]
        for name in ("body", "orelse"):
            if isinstance(node, ast.If | ast.With):
                held = getattr(node, name, None)
                if held:
                    setattr(node, name, self.block(held))
        if isinstance(node, ast.Match):
            for case in node.cases:
                case.body = self.block(case.body)
        return [node]

    def loop(self, node: ast.For | ast.While) -> list[ast.stmt]:
        self.count += 1
        number = self.count
        broke, continued = _BROKE.format(number), _CONTINUED.format(number)
        kinds = _jumps(node.body)
        ends = [
            name for kind, name in ((ast.Break, broke), (ast.Return, RETURNED)) if kind in kinds
        ]
        self.loops.append(number)
        body = self.block(node.body)
        self.loops.pop()
        if ast.Continue in kinds:
            body = [_assigned(continued, ast.Constant(False), node.body[0]), *body]
        orelse, node.body, node.orelse = node.orelse, body, []
        node.ends = tuple(ends)  # type: ignore[union-attr]
        found: list[ast.stmt] = [node]
        if ast.Break in kinds:
            found.insert(0, _assigned(broke, ast.Constant(False), node))
        if orelse:
            after = self.block(orelse)
            found += [self._unless(ends, after, orelse[0])] if ends else after
        return found

    def attempt(self, node: ast.Try | ast.TryStar) -> ast.stmt:
        if _jumps(node.finalbody):
            raise UnsupportedSyntax("a jump within `finally`", node.finalbody[0])
        flags = self._flags(_jumps(node.body))
        node.body = self.block(node.body)
        for handler in node.handlers:
            handler.body = self.block(handler.body)
        after = self.block(node.orelse)
        if flags and after:
            after = [self._unless(flags, after, after[0])]
        node.orelse, node.finalbody = after, self.block(node.finalbody)
        return node

    def _flags(self, kinds: set[type]) -> list[str]:
        """The flags that such jumps out of a statement set."""
        found = [RETURNED] if ast.Return in kinds else []
        if ast.Break in kinds:
            found.append(_BROKE.format(self.loops[-1]))
        if ast.Continue in kinds:
            found.append(_CONTINUED.format(self.loops[-1]))
        return found

    def _unless(self, flags: Sequence[str], body: list[ast.stmt], at: ast.AST) -> ast.stmt:
        """Statements that run where none of the flags is set."""
        names = [_load(name, at) for name in flags]
        any_ = names[0] if len(names) == 1 else _at(ast.BoolOp(ast.Or(), names), at)
        return _at(ast.If(_at(ast.UnaryOp(ast.Not(), any_), at), body, []), at)


# -- what is asked of statements -------------------------------------------------------------------


def _own(statements: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """All nodes but those within other functions and classes; comprehensions have no jumps."""
    pending = list(statements)
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, SCOPES):
            pending.extend(ast.iter_child_nodes(node))


def _jumps(statements: Sequence[ast.AST]) -> set[type]:
    """The kinds of jumps that leave some statements."""
    found: set[type] = set()
    pending = [(node, False) for node in statements]
    while pending:
        node, in_loop = pending.pop()
        if isinstance(node, ast.Return) or (
            isinstance(node, ast.Break | ast.Continue) and not in_loop
        ):
            found.add(type(node))
        elif isinstance(node, ast.For | ast.While):
            pending += [(child, True) for child in node.body]
            pending += [(child, in_loop) for child in node.orelse]
        elif not isinstance(node, SCOPES):
            pending += [(child, in_loop) for child in ast.iter_child_nodes(node)]
    return found


def _always_jumps(statements: Sequence[ast.stmt]) -> bool:
    """Whether what follows some statements is never reached."""
    for node in statements:
        if isinstance(node, ast.Return | ast.Break | ast.Continue | ast.Raise):
            return True
        if isinstance(node, ast.If) and _always_jumps(node.body) and _always_jumps(node.orelse):
            return True
        if isinstance(node, ast.With) and _always_jumps(node.body):
            return True
        if isinstance(node, ast.While) and _is_endless(node):
            return True
    return False


def _is_endless(node: ast.While) -> bool:
    is_constant = isinstance(node.test, ast.Constant) and bool(node.test.value)
    return is_constant and ast.Break not in _jumps(node.body)


# -- pieces ----------------------------------------------------------------------------------------


def _at(node: N, like: ast.AST) -> N:
    return ast.copy_location(node, like)


def _load(name: str, at: ast.AST) -> ast.expr:
    return ast.copy_location(ast.Name(name, ast.Load()), at)


def _store(name: str, at: ast.AST) -> ast.expr:
    return ast.copy_location(ast.Name(name, ast.Store()), at)


def _assigned(name: str, value: ast.expr, at: ast.AST) -> ast.stmt:
    made = ast.Assign([_store(name, at)], ast.copy_location(value, at))
    return ast.copy_location(made, at)
