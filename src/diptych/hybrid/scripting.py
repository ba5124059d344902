"""A function's syntax with its branches and loops as functions, which may become nodes of a graph.

Beside what `rewriting` does, and after `jumps` has taken out breaks and early returns::

    if x.sum() > 0:      def __1__(): nonlocal y; y = ...
        y = ...          def __2__(): nonlocal y; y = ...
    else:                tracer.branch(tracer.truth(x.sum() > 0), __1__, __2__, ...)
        y = ...
    while a and b: ...   tracer.repeat(test, body, ...)
    for x in xs: ...     tracer.each_round(along, body, ...)
    a and b              tracer.boolean("and", lambda: a, lambda: b)
    a if t else b        tracer.choose(t, lambda: a, lambda: b)
    a < b < c            tracer.chain(("Lt", "Lt"), a, lambda: b, lambda: c)

The functions share the names of the one around them, so a branch on plain values runs as written.
What is handed over last says which names there are, and how to take and to set their values.
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Sequence
from typing import Any

from .asks import as_statement, ask, assigned, load, thunk
from .bindings import SCOPES, appended_in, bound_in, locals_of, names_in, read_beyond
from .jumps import ends_of, is_generator, without_jumps
from .rewriting import ClassNames, Rewriter
from .source import Definition, Source, function_of


def scripted(source: Source, free: Sequence[str], known: Any) -> Definition:
    """A definition whose branches, too, go through a tracer; else as `rewriting.rewritten`."""
    definition = copy.deepcopy(source.definition)
    without_jumps(definition)
    found: Definition = _Scripter(set(free), known, source.owner).visit(definition)
    return found


class _Scripter(Rewriter):
    """Of each function around: what it declares, what it reads how often, and what became shared
    with functions that stand for its branches."""

    def __init__(self, free: set[str], known: Any, owner: str | None) -> None:
        super().__init__(free, known, owner)
        self.plain_functions = 0  # generators around, whose statements stay where they are
        self.loops = self.tries = 0
        self.globals: set[str] = set()
        self.reads: Counter[str] = Counter()
        self.shared: set[str] = set()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        held = self.plain_functions, self.loops, self.globals, self.reads, self.shared
        self.plain_functions, self.loops = int(is_generator(node)), 0
        self.globals, self.reads, self.shared = _declared(node, ast.Global), _reads(node), set()
        super().visit_FunctionDef(node)
        own = self.shared - _declared(node, ast.Nonlocal) - _parameters(node)
        node.body = [*(_local(name, node) for name in sorted(own)), *node.body]
        self.plain_functions, self.loops, self.globals, self.reads, self.shared = held
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if isinstance(node.ctx, ast.Load) and self._is_local(node.id):
            return ask("local", node, ast.Constant(node.id), node)
        return super().visit_Name(node)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        is_super = isinstance(node.func, ast.Name) and node.func.id == "super"
        if is_super and not node.args and self.functions:
            # It would look at the frame of a function that stands for a branch.
            arguments = self.functions[-1].args  # type: ignore[attr-defined]
            first = [*arguments.posonlyargs, *arguments.args][:1]
            node.args = [load(name, node) for name in ("__class__", *(a.arg for a in first))]
            return node
        return super().visit_Call(node)

    def _made(self, node: Any) -> ast.expr:
        """What is made here may be changed here."""
        self.generic_visit(node)
        return ask("made", node, node)

    def visit_List(self, node: ast.List) -> ast.expr:
        return self._made(node) if isinstance(node.ctx, ast.Load) else node

    visit_Dict = visit_Set = _made

    def _comprehension(self, node: Any) -> Any:
        return ask("made", node, super()._comprehension(node))

    visit_ListComp = visit_SetComp = visit_DictComp = _comprehension

    # -- expressions -----------------------------------------------------------------------------

    def _is_free(self, *nodes: ast.AST) -> bool:
        """Whether expressions may stand in a function of their own."""
        if isinstance(self.scopes[-1], ClassNames):
            return False
        return not any(isinstance(n, _TIED) for node in nodes for n in _own(node))

    def _plain(self, test: ast.expr, construct: str) -> ast.expr:
        return ask("plain", test, self.visit(test), ast.Constant(construct))

    def _condition(self, node: ast.expr) -> ast.expr:
        """Whether something holds: a bool, of Python or of the graph."""
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ask("negated", node, self._condition(node.operand))
        if isinstance(node, ast.BoolOp) and self._is_free(*node.values[1:]):
            return ask("boolean", node, _name_of(node), *map(self._condition_later, node.values))
        return ask("truth", node, self.visit(node))

    def _condition_later(self, node: ast.expr) -> ast.expr:
        return thunk(self._condition(node), node)

    def _later(self, node: ast.expr) -> ast.expr:
        return thunk(self.visit(node), node)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        if not self._is_free(*node.values):
            return super().visit_BoolOp(node)
        return ask("boolean", node, _name_of(node), *map(self._later, node.values))

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        return (
            self._condition(node) if isinstance(node.op, ast.Not) else super().visit_UnaryOp(node)
        )

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        if not self._is_free(node.body, node.orelse):
            return super().visit_IfExp(node)
        sides = map(self._later, (node.body, node.orelse))
        return ask("choose", node, self._condition(node.test), *sides)

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        identical = all(isinstance(op, ast.Is | ast.IsNot) for op in node.ops)
        if len(node.ops) == 1 or identical or not self._is_free(*node.comparators):
            return super().visit_Compare(node)
        names = ast.Tuple([ast.Constant(type(op).__name__) for op in node.ops], ast.Load())
        others = map(self._later, node.comparators)
        return ask("chain", node, names, self.visit(node.left), *others)

    # -- statements ------------------------------------------------------------------------------

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        if not isinstance(node.target, ast.Name):
            return super().visit_AnnAssign(node)
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        return self.visit_Assign(ast.copy_location(ast.Assign([node.target], node.value), node))

    def visit_Raise(self, node: ast.Raise) -> Any:
        self.generic_visit(node)
        return [as_statement(ask("check_raise", node), node), node]

    def visit_Try(self, node: Any) -> Any:
        self.tries += bool(node.handlers)
        node.body = self._block(node.body)
        self.tries -= bool(node.handlers)
        for handler in node.handlers:
            self.visit(handler)
        node.orelse, node.finalbody = self._block(node.orelse), self._block(node.finalbody)
        return node

    visit_TryStar = visit_Try

    def visit_Assert(self, node: ast.Assert) -> ast.stmt:
        if self.tries or not self._is_free(node.test):  # which run would it be that catches it?
            return super().visit_Assert(node)
        told = node.msg or ast.copy_location(ast.Constant(None), node)
        found = ask("asserted", node, self._condition(node.test), self._later(told))
        only = ast.Name("__debug__", ast.Load())
        return ast.copy_location(ast.If(only, [as_statement(found, node)], []), node)

    def visit_If(self, node: ast.If) -> Any:
        if self.plain_functions:
            return super().visit_If(node)
        read = self._read_around(node)
        names = self._names([*node.body, *node.orelse])
        kinds = "".join("r" if name in read else "-" for name in names)
        test = self._condition(node.test)
        then = self._function(node, names, self._block(node.body))
        other = self._function(node, names, self._block(node.orelse))
        sides = [load(then.name, node), load(other.name, node)]
        return [then, other, *self._asked("branch", node, [test, *sides], names, kinds)]

    def visit_While(self, node: ast.While) -> Any:
        if self.plain_functions:
            return super().visit_While(node)
        read = self._read_around(node)
        names = self._names([node.test, *node.body])
        kinds = "".join("r" if name in read else "-" for name in names)
        going = ast.copy_location(ast.Return(self._condition(node.test)), node)
        test = self._function(node, names, [going])
        body = self._function(node, names, self._rounds(node.body))
        parts = [load(test.name, node), load(body.name, node), _ends(node)]
        return [test, body, *self._asked("repeat", node, parts, names, kinds)]

    def visit_For(self, node: ast.For) -> Any:
        if self.plain_functions:
            return super().visit_For(node)
        held, one = self._fresh(), self._fresh()
        lines: list[ast.stmt] = [assigned(held, self._along(node.iter), node)]
        read = read_beyond(self.functions[-1], node)
        own = set(names_in(node.target)) - read
        bound = bound_in([node.target, *node.body])
        lists = {n for n in appended_in(node.body) if self._is_bound(n)} - bound
        names = self._names([node.target, *node.body], lists)
        kinds = "".join(
            "a" if n in lists else "t" if n in own else "r" if n in read else "-" for n in names
        )
        first = self._unpacked(node.target, load(one, node), node)
        body = self._function(node, names, [*first, *self._rounds(node.body)], (one,))
        parts = [load(held, node), load(body.name, node), _ends(node)]
        return [*lines, body, *self._asked("each_round", node, parts, names, kinds)]

    def _rounds(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        self.loops += 1
        found = self._block(statements)
        self.loops -= 1
        return found

    def _names(self, statements: Sequence[ast.AST], others: Sequence[str] | set[str] = ()) -> Any:
        """The names that statements bind, which from now on are shared."""
        names = sorted((bound_in(statements) | set(others)) - self.globals)
        self.shared.update(names)
        return names

    def _read_around(self, node: ast.AST) -> set[str]:
        """The names that are read elsewhere than in a statement, or in another round of it."""
        inside = Counter[str]() if self.loops else _reads(node)
        return {name for name, count in self.reads.items() if count > inside[name]}

    def _function(
        self,
        at: ast.stmt,
        names: list[str],
        body: list[ast.stmt],
        arguments: tuple[str, ...] = (),
    ) -> ast.FunctionDef:
        """Statements that have been visited, as a function that shares names."""
        lines: list[ast.stmt] = []
        if self.globals:
            lines.append(ast.Global(sorted(self.globals)))
        if names:
            lines.append(ast.Nonlocal(names))
        lines += body or [ast.Pass()]
        return ast.copy_location(function_of(self._fresh(), arguments, lines), at)

    def _asked(
        self, method: str, node: ast.stmt, parts: Sequence[ast.expr], names: list[str], kinds: str
    ) -> list[ast.stmt]:
        """What asks the tracer for a statement, and what sets the names for it."""
        values = [ask("bound", node, thunk(load(name, node), node)) for name in names]
        shown = ast.Tuple([ast.Constant(name) for name in names], ast.Load())
        taken = thunk(ast.Tuple(values, ast.Load()), node)
        given = self._fresh()
        targets: list[ast.expr] = [ast.Name(name, ast.Store()) for name in names]
        stored = ast.Assign([ast.Tuple(targets, ast.Store())], load(given, node))
        line: list[ast.stmt] = [ast.copy_location(stored, node)] if names else []
        setter = self._function(node, names, line, (given,))
        asked = [*parts, shown, ast.Constant(kinds), taken, load(setter.name, node)]
        return [setter, as_statement(ask(method, node, *asked), node)]


_TIED = (ast.NamedExpr, ast.Yield, ast.YieldFrom, ast.Await)


def _own(node: ast.AST) -> list[ast.AST]:
    """A node and all within it, but for what stands in other functions."""
    if isinstance(node, ast.Lambda):
        return [node]
    return [node, *(n for child in ast.iter_child_nodes(node) for n in _own(child))]


def _declared(function: ast.FunctionDef, kind: type) -> set[str]:
    """The names that a function declares as others'."""
    pending: list[ast.AST] = list(function.body)
    names: set[str] = set()
    while pending:
        node = pending.pop()
        if isinstance(node, kind):
            names.update(node.names)  # type: ignore[attr-defined]
        if not isinstance(node, SCOPES):
            pending.extend(ast.iter_child_nodes(node))
    return names


def _parameters(function: ast.FunctionDef) -> set[str]:
    bare = ast.FunctionDef(function.name, function.args, [], decorator_list=[])
    return locals_of(bare)


def _reads(node: ast.AST) -> Counter[str]:
    """How often names are read in a piece of syntax."""
    names = [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and _is_read(n)]
    changed = [n.target for n in ast.walk(node) if isinstance(n, ast.AugAssign)]
    flags = [name for n in ast.walk(node) for name in ends_of(n)]
    return Counter([*names, *(t.id for t in changed if isinstance(t, ast.Name)), *flags])


def _is_read(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Load)


def _local(name: str, at: ast.AST) -> ast.stmt:
    """Says that a name is the function's own, though only functions in it bind it."""
    target = ast.Name(name, ast.Store())
    return ast.copy_location(ast.AnnAssign(target, ast.Constant(None), None, 1), at)


def _name_of(node: ast.BoolOp) -> ast.expr:
    return ast.Constant("and" if isinstance(node.op, ast.And) else "or")


def _ends(loop: ast.For | ast.While) -> ast.expr:
    """The flags by which a loop ends early, asked later."""
    flags = [load(name, loop) for name in ends_of(loop)]
    return thunk(ast.Tuple(flags, ast.Load()), loop) if flags else ast.Constant(None)
