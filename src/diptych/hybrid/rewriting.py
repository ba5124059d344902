"""A function's syntax with every read of Python state, call and loop handed to a `Tracer`.

What the rewritten function does in place of the written one::

    n + 1               tracer.name("n", n) + 1             a global; `free` for a closure's name
    cfg.width           tracer.attribute(cfg, "width")
    cfg["width"]        tracer.item(cfg, "width")
    f(x)                tracer.call(f, x)
    n + 1               tracer.binary("Add", n, 1)
    a in names          tracer.compare("In", a, names)      reads all of a container
    cfg.width = 1       tracer.set_attribute(cfg, "width", 1)
    if x.sum() > 0:     if tracer.test(x.sum() > 0):
    for x in xs: ...    the loop's body as a function, which `tracer.loop` may trace once; where it
                        does not, the loop as it was written

Lines stay those of the file, so a traceback shows what the user wrote.
"""

from __future__ import annotations

import ast
import builtins
import copy
from collections.abc import Sequence
from typing import Any

from .asks import (
    as_statement,
    ask,
    assigned,
    each_of,
    has_star,
    index_of,
    load,
    tested,
    thunk,
    tracer_method,
    whole_of,
)  # fmt: skip
from .bindings import (
    appended_in,
    bound_in,
    leaves_early,
    locals_of,
    names_in,
    read_beyond,
    shared_names,
)  # fmt: skip
from .source import Definition, Source, function_of

# These look at the frame that calls them.
_FRAMED = {"super", "locals", "globals", "vars", "dir", "eval", "exec", "breakpoint"}
_ALONG = {"enumerate", "range", "reversed", "zip"}


def rewritten(source: Source, free: Sequence[str], known: Any) -> Definition:
    """A definition whose reads, calls and loops go through a tracer.

    Parameters
    ----------
    source : Source
    free : sequence of str
        Names that it takes from functions around it.
    known : dict
        The globals of its module.
    """
    found: Definition = Rewriter(set(free), known, source.owner).visit(
        copy.deepcopy(source.definition)
    )
    return found


class Rewriter(ast.NodeTransformer):
    def __init__(self, free: set[str], known: Any, owner: str | None) -> None:
        self.free, self.known, self.owner = free, known, owner
        self.scopes: list[set[str]] = []
        self.functions: list[ast.AST] = []
        self.count = 0

    # -- names ---------------------------------------------------------------------------------

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if not isinstance(node.ctx, ast.Load) or self._is_local(node.id):
            return node
        if node.id in self.free:
            return ask("free", node, ast.Constant(node.id), node)
        if node.id not in self.known and hasattr(builtins, node.id):
            return node
        return ask("name", node, ast.Constant(node.id), node)

    def _is_local(self, name: str) -> bool:
        """Whether a function around binds a name, or the class in whose body it is read."""
        around = [s for s in self.scopes[:-1] if not isinstance(s, ClassNames)]
        return any(name in s for s in (*around, *self.scopes[-1:]))

    def _is_bound(self, name: str) -> bool:
        """Whether anything around binds a name, classes among it."""
        return any(name in s for s in self.scopes)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        outermost = not self.scopes
        if not outermost:
            node.decorator_list = [self.visit(d) for d in node.decorator_list]
            node.args = self._defaults(node.args)
        self.functions.append(copy.deepcopy(node))
        with _scope(self, node):
            node.body = self._block(node.body)
        self.functions.pop()
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        if self.scopes:
            node.args = self._defaults(node.args)
        with _scope(self, node):
            node.body = self.visit(node.body)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Its methods, and what it assigns; other statements of a body stay as they are."""
        node.bases = [self.visit(base) for base in node.bases]
        node.decorator_list = [self.visit(d) for d in node.decorator_list]
        owner, self.owner = self.owner, node.name
        self.scopes.append(ClassNames(bound_in(node.body)))
        node.body = [
            self.visit(s) if isinstance(s, ast.FunctionDef | ast.Assign | ast.AnnAssign) else s
            for s in node.body
        ]
        self.scopes.pop()
        self.owner = owner
        return node

    def _defaults(self, arguments: ast.arguments) -> ast.arguments:
        arguments.defaults = [self.visit(d) for d in arguments.defaults]
        arguments.kw_defaults = [d and self.visit(d) for d in arguments.kw_defaults]
        return arguments

    def _comprehension(self, node: Any) -> Any:
        with _scope(self, node):
            for generator in node.generators:
                generator.iter = each_of(self.visit(generator.iter))
                generator.ifs = [self._plain(t, "a comprehension") for t in generator.ifs]
            for name in ("elt", "key", "value"):
                if hasattr(node, name):
                    setattr(node, name, self.visit(getattr(node, name)))
        return node

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    # -- reads -----------------------------------------------------------------------------------

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        node.value = self.visit(node.value)
        if not isinstance(node.ctx, ast.Load):
            return node
        return ask("attribute", node, node.value, self._key(node))

    def _key(self, node: ast.Attribute) -> ast.expr:
        """The name of an attribute, changed by the class where it is private."""
        name = node.attr
        if self.owner and name.startswith("__") and not name.endswith("__"):
            name = f"_{self.owner.lstrip('_')}{name}"
        return ast.Constant(name)

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        node.value, node.slice = self.visit(node.value), self.visit(node.slice)
        if not isinstance(node.ctx, ast.Load) or has_star(node.slice):
            return node
        return ask("item", node, node.value, index_of(node.slice))

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if isinstance(node.func, ast.Name) and node.func.id in _FRAMED:
            node.args = [self.visit(a) for a in node.args]
            return node
        self.generic_visit(node)
        for keyword in node.keywords:
            if keyword.arg is None:
                keyword.value = whole_of(keyword.value)
        return ast.copy_location(
            ast.Call(tracer_method("call", node), [node.func, *node.args], node.keywords), node
        )

    def visit_Starred(self, node: ast.Starred) -> ast.expr:
        node.value = self.visit(node.value)
        if isinstance(node.ctx, ast.Load):
            node.value = each_of(node.value)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        sides = [self.visit(side) for side in (node.left, *node.comparators)]
        if all(isinstance(op, ast.Is | ast.IsNot) for op in node.ops):
            node.left, *node.comparators = sides  # what is told by identity is not read
            return node
        if len(sides) == 2:
            name = ast.Constant(type(node.ops[0]).__name__)
            return ask("compare", node, name, *sides)
        node.left, *node.comparators = [ask("compared", side, side) for side in sides]
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        left, right = self.visit(node.left), self.visit(node.right)
        return ask("binary", node, ast.Constant(type(node.op).__name__), left, right)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        # The last operand is not asked, and an earlier one is only where it is the result.
        *first, last = node.values
        what = "an operand that binds names"
        node.values = [*(self._plain(v, what) for v in first), self.visit(last)]
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        is_not = isinstance(node.op, ast.Not)
        node.operand = self._plain(node.operand, "not") if is_not else self.visit(node.operand)
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        node.test = self._plain(node.test, "a choice that binds names")
        node.body, node.orelse = self.visit(node.body), self.visit(node.orelse)
        return node

    def _plain(self, test: ast.expr, construct: str) -> ast.expr:
        """A condition that Python asks."""
        return tested(self.visit(test))

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.expr:
        self.generic_visit(node)
        node.value = ask("compared", node.value, node.value)  # as the text of a size would be
        return node

    # -- statements ------------------------------------------------------------------------------

    def _block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        found: list[ast.stmt] = []
        for statement in statements:
            made = self.visit(statement)
            found.extend(made if isinstance(made, list) else [made])
        return found

    def visit_Return(self, node: ast.Return) -> ast.stmt:
        if node.value is not None:
            node.value = whole_of(self.visit(node.value))
        return node

    def visit_Assign(self, node: ast.Assign) -> Any:
        node.value = self.visit(node.value)
        if any(isinstance(t, ast.Tuple | ast.List) for t in node.targets):
            node.value = each_of(node.value)
        return self._stored(node, node.targets, node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        if node.value is None:
            return node
        node.value = self.visit(node.value)
        return self._stored(node, [node.target], node.value)

    def _stored(self, node: ast.stmt, targets: Sequence[ast.expr], value: ast.expr) -> Any:
        """An assignment, as calls where it goes to attributes and items."""
        if not any(
            isinstance(n, ast.Attribute | ast.Subscript) for t in targets for n in ast.walk(t)
        ):
            return node
        if len(targets) == 1 and isinstance(targets[0], ast.Attribute | ast.Subscript):
            return as_statement(self._store(targets[0], value), node)
        held = self._fresh()
        lines: list[ast.stmt] = [assigned(held, value, node)]
        for target in targets:
            lines += self._unpacked(target, load(held, node), node)
        return lines

    def _unpacked(self, target: ast.expr, value: ast.expr, node: ast.stmt) -> list[ast.stmt]:
        if isinstance(target, ast.Attribute | ast.Subscript):
            return [as_statement(self._store(target, value), node)]
        if not isinstance(target, ast.Tuple | ast.List):
            return [ast.copy_location(ast.Assign([target], value), node)]
        names, lines = [], []
        for part in target.elts:
            starred = isinstance(part, ast.Starred)
            inner = part.value if isinstance(part, ast.Starred) else part
            if isinstance(inner, ast.Name):
                names.append(part)
                continue
            held = self._fresh()
            name: ast.expr = ast.copy_location(ast.Name(held, ast.Store()), part)
            names.append(ast.Starred(name, ast.Store()) if starred else name)
            lines += self._unpacked(inner, load(held, node), node)
        outer = ast.copy_location(ast.Assign([ast.Tuple(names, ast.Store())], value), node)
        return [outer, *lines]

    def _store(self, target: Any, value: ast.expr) -> ast.expr:
        owner = self.visit(target.value)
        if isinstance(target, ast.Attribute):
            return ask("set_attribute", target, owner, self._key(target), value)
        return ask("set_item", target, owner, index_of(self.visit(target.slice)), value)

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        value = self.visit(node.value)
        name = type(node.op).__name__
        if isinstance(node.target, ast.Name):
            before = self.visit(ast.copy_location(ast.Name(node.target.id, ast.Load()), node))
            changed = ask("changed", node, ast.Constant(name), before, value)
            return ast.copy_location(ast.Assign([node.target], changed), node)
        owner = self.visit(node.target.value)
        if isinstance(node.target, ast.Attribute):
            key = self._key(node.target)
            return as_statement(
                ask("change_attribute", node, ast.Constant(name), owner, key, value), node
            )
        key = index_of(self.visit(node.target.slice))
        return as_statement(ask("change_item", node, ast.Constant(name), owner, key, value), node)

    def visit_Global(self, node: ast.Global) -> Any:
        return [node, *(as_statement(self._outer(name, node), node) for name in node.names)]

    def visit_Nonlocal(self, node: ast.Nonlocal) -> Any:
        outer = [name for name in node.names if not self._is_bound(name)]
        return [
            node,
            *(as_statement(self._outer(name, node), node) for name in outer),
            as_statement(ask("check_round", node, ast.Constant("nonlocal")), node),
        ]

    def _outer(self, name: str, node: ast.stmt) -> ast.expr:
        return ask("check_outer", node, ast.Constant(name))

    def visit_Delete(self, node: ast.Delete) -> Any:
        lines: list[ast.stmt] = []
        for target in node.targets:
            if isinstance(target, ast.Attribute):
                found = ask("delete_attribute", target, self.visit(target.value), self._key(target))
                lines.append(as_statement(found, node))
            elif isinstance(target, ast.Subscript):
                index = index_of(self.visit(target.slice))
                lines.append(
                    as_statement(ask("delete_item", target, self.visit(target.value), index), node)
                )
            else:
                lines.append(ast.copy_location(ast.Delete([target]), node))
        return lines

    def visit_If(self, node: ast.If) -> Any:
        node.test = self._plain(node.test, "if in a generator")
        node.body, node.orelse = self._block(node.body), self._block(node.orelse)
        return node

    def visit_While(self, node: ast.While) -> Any:
        node.test = self._plain(node.test, "while in a generator")
        node.body, node.orelse = self._block(node.body), self._block(node.orelse)
        return node

    def visit_Match(self, node: ast.Match) -> ast.stmt:
        node.subject = whole_of(self.visit(node.subject))
        for case in node.cases:  # a pattern has no calls
            case.guard = case.guard and self._plain(case.guard, "the guard of a case")
            case.body = self._block(case.body)
        return node

    def visit_With(self, node: ast.With) -> ast.stmt:
        for item in node.items:
            item.context_expr = ask("entered", item.context_expr, self.visit(item.context_expr))
        node.body = self._block(node.body)
        return node

    def visit_Assert(self, node: ast.Assert) -> ast.stmt:
        node.test = self._plain(node.test, "assert")
        node.msg = node.msg and self.visit(node.msg)
        return node

    def visit_For(self, node: ast.For) -> Any:
        """First what the loop goes along; then, if its body can be a function, the try to trace it
        once; else, and where that gives None, the loop."""
        held, carried = self._fresh(), self._fresh()
        lines: list[ast.stmt] = [assigned(held, self._along(node.iter), node)]
        around = self.functions[-1]
        read = read_beyond(around, node)
        bound, own = bound_in(node.body), set(names_in(node.target))
        lists = {n for n in appended_in(node.body) if self._is_bound(n)} - bound
        # Names of the loop itself count where they are read when it has ended.
        names = sorted((bound | lists) - own | (own & read))
        shared = shared_names(around, node) & {*names, *bound}
        is_whole = not (leaves_early(node.body) or node.orelse or shared)
        once = copy.deepcopy(node) if is_whole else None
        inline = self._loop(node, held)
        if once is None:
            return [*lines, inline]
        body = self._body(once, names)
        state = ast.Tuple(
            [ask("bound", node, thunk(load(name, node), node)) for name in names], ast.Load()
        )
        shown = ast.Tuple([ast.Constant(name) for name in names], ast.Load())
        kinds = "".join("a" if n in lists else "r" if n in read else "-" for n in names)
        asked = [load(held, node), load(body.name, node), shown, ast.Constant(kinds), state]
        found = ask("loop", node, *asked)
        none = ast.Compare(load(carried, node), [ast.Is()], [ast.Constant(None)])
        taken: ast.stmt = ast.Pass()
        if names:
            targets: list[ast.expr] = [ast.Name(name, ast.Store()) for name in names]
            taken = ast.Assign([ast.Tuple(targets, ast.Store())], load(carried, node))
        choice = ast.If(none, [inline], [ast.copy_location(taken, node)])
        return [*lines, body, assigned(carried, found, node), ast.copy_location(choice, node)]

    def _along(self, node: ast.expr) -> ast.expr:
        """What a loop goes along: `range`, `zip` and the like are seen as such."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            name = node.func.id
            hidden = name in self.free or name in self.known or self._is_bound(name)
            stars = any(isinstance(a, ast.Starred) for a in node.args)
            if name in _ALONG and not hidden and not stars:
                inner = self.visit if name == "range" else self._along
                return ask("along_" + name, node, *(inner(a) for a in node.args))
        return ask("along", node, self.visit(node))

    def _loop(self, node: ast.For, held: str) -> ast.stmt:
        one = self._fresh()
        first = self._unpacked(node.target, load(one, node), node)
        iterated = ask("each", node, load(held, node))
        body = [*first, *self._block(node.body)]
        target = ast.Name(one, ast.Store())
        loop = ast.For(target, iterated, body, self._block(node.orelse))
        return ast.copy_location(loop, node)

    def _body(self, node: ast.For, names: Sequence[str]) -> ast.FunctionDef:
        """A round as a function of what it goes along and of the names that it binds."""
        one = self._fresh()
        targets = set(names_in(node.target))
        self.scopes.append({one, *names, *targets})
        first = self._unpacked(node.target, load(one, node), node)
        values = [ask("bound", node, thunk(load(name, node), node)) for name in names]
        last = ast.Return(ast.Tuple(values, ast.Load()))
        body = [*first, *self._block(node.body), ast.copy_location(last, node)]
        self.scopes.pop()
        return ast.copy_location(function_of(self._fresh(), (one, *names), body), node)

    def _fresh(self) -> str:
        self.count += 1
        return f"__{self.count}__"


class ClassNames(set[str]):
    """The names that a class binds, which functions in it do not see."""


class _scope:
    """The names that a function, comprehension or class binds, while it is rewritten."""

    def __init__(self, rewriter: Rewriter, node: ast.AST) -> None:
        self.scopes, self.names = rewriter.scopes, set(locals_of(node))

    def __enter__(self) -> None:
        self.scopes.append(self.names)

    def __exit__(self, *error: object) -> None:
        self.scopes.pop()
