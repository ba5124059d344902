"""Write docs/operators: a page per family of functions, from the registry and the docstrings.

`python tools/operators.py` writes the pages; with `--check` it says which are not current.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from diptych.graphs.ops import FUNCTIONS, REGISTRY, Op
from diptych.graphs.ops.core import _one_flop_an_element
from diptych.graphs.ops.rules import no_flop

FOLDER = Path(__file__).parents[1] / "docs" / "operators"
FAMILIES = "diptych.graphs.ops."
COMMAND = "python tools/operators.py"
MADE = f"Made by `{COMMAND}`; the text is that of the docstrings."
COLUMNS = ("", "gradient", "vmap", "view", "in place", "checks data", "FLOP")

INTRODUCTION = """\
Every function takes tensors, plain arrays and values of static graphs, and gives what it was given.
A page lists the functions of a family, and what is declared of each operator:

- **gradient**: to which operands a gradient can flow, where they are floats; that of a function
  composed of operators follows from theirs.
- **vmap**: by a rule for the whole batch, or by a loop over examples; "no" where the shape of a
  result depends on data, so that the function is eager's alone.
- **view**: the result may share the operand's memory.
- **in place**: the result may be written over an operand that is no longer needed.
- **checks data**: the kernel may refuse what it finds in an array, such as an index out of range.
- **FLOP**: what one call counts as: one an element of the results, none, or by a rule of its own.
"""


@dataclass(frozen=True)
class Function:
    """What users call.

    Attributes
    ----------
    names : tuple of str
        All that it goes by, such as ``dt.matmul`` and ``dt.linalg.matmul``.
    call : callable
    op : Op or None
        The operator of its name; None for what is composed of others.
    """

    names: tuple[str, ...]
    call: Callable[..., Any]
    op: Op | None

    @property
    def name(self) -> str:
        return self.names[0].rpartition(".")[2]


@dataclass(frozen=True)
class Family:
    """One module of `graphs/ops`: its functions, and the operators that only they call."""

    name: str
    title: str
    functions: list[Function]
    inner: list[Op]

    @property
    def operators(self) -> int:
        return sum(f.op is not None for f in self.functions) + len(self.inner)


# -- what there is ---------------------------------------------------------------------------


def offered() -> Iterator[tuple[str, Any]]:
    """Public names and what they stand for."""
    for name, function in FUNCTIONS.items():
        yield f"dt.{name}", function
    for space in ("linalg", "fft"):
        module = import_module(f"diptych.{space}")
        for name in module.__all__:
            yield f"dt.{space}.{name}", getattr(module, name)


def families() -> list[Family]:
    """All families that declare anything, by name."""
    names: dict[Any, list[str]] = {}
    for name, function in offered():
        if not isinstance(function, type):
            names.setdefault(function, []).append(name)
    functions: dict[str, list[Function]] = {}
    for call, known in names.items():
        own = getattr(call, "op", None)
        module = own.module if own else call.__module__
        op = own or REGISTRY.get(call.__name__)
        if op is not None and op.module != module:
            op = None
        functions.setdefault(module, []).append(Function(tuple(known), call, op))
    shown = {f.op for found in functions.values() for f in found}
    inner: dict[str, list[Op]] = {}
    for op in REGISTRY.values():
        if op not in shown and op.module.startswith(FAMILIES):
            inner.setdefault(op.module, []).append(op)
    return [
        Family(
            module.removeprefix(FAMILIES),
            _title(module),
            sorted(functions.get(module, []), key=lambda f: f.name),
            sorted(inner.get(module, []), key=lambda op: op.name),
        )
        for module in sorted(functions.keys() | inner.keys())
    ]


def _title(module: str) -> str:
    first = (import_module(module).__doc__ or "").partition("\n")[0]
    return first.partition(". ")[0].rstrip(".")


# -- pages -----------------------------------------------------------------------------------


def pages() -> dict[str, str]:
    """The text of every page, by file name."""
    found = families()
    return {"README.md": _index(found)} | {f"{f.name}.md": _page(f) for f in found}


def _index(found: list[Family]) -> str:
    functions = [f for family in found for f in family.functions]
    composed = sum(f.op is None for f in functions)
    rows = [
        (f"[{f.name}]({f.name}.md)", _plain(f.title), str(len(f.functions)), str(f.operators))
        for f in found
    ]
    rows.append(("", "all", str(len(functions)), str(sum(f.operators for f in found))))
    counts = (
        f"{len(functions)} functions in {len(found)} families; {composed} of them are composed of "
        "operators, the others are operators themselves. The further operators are gradients and "
        "other parts of functions."
    )
    table = _table(("family", "", "functions", "operators"), rows)
    return "\n".join(("# Operators", "", INTRODUCTION, counts, "", *table, "", MADE, ""))


def _page(family: Family) -> str:
    rows = [_row(f"[{f.name}](#{f.name})", f.op) for f in family.functions]
    rows += [_row(op.name, op) for op in family.inner]
    lines = [f"# {_plain(family.title)}", "", *_table(COLUMNS, rows), ""]
    for function in family.functions:
        lines += _section(function)
    if family.inner:
        lines += ["## Operators behind them", ""]
        lines += [f"- **{op.name}**: {_plain(op.doc.partition(chr(10))[0])}" for op in family.inner]
        lines.append("")
    return "\n".join((*lines, MADE, ""))


def _row(shown: str, op: Op | None) -> tuple[str, ...]:
    if op is None:
        return (shown, "composed of operators", *[""] * (len(COLUMNS) - 2))
    return (
        shown,
        _gradient(op),
        "no" if op.dynamic else "rule" if op.batch is not None else "loop",
        *("yes" if flag else "" for flag in (op.view, op.in_place, op.may_raise)),
        {_one_flop_an_element: "1 an element", no_flop: "0"}.get(op.cost, "rule"),
    )


def _gradient(op: Op) -> str:
    if not op.vjp:
        return "none"
    flows = (i for i in range(len(op.operands)) if _has_rule(op, i))
    return ", ".join(f"`{op.operands[i]}`" for i in flows)


def _has_rule(op: Op, position: int) -> bool:
    """Whether the rule of an operand does anything but give None, as that of an index does."""
    try:
        return op.rule(position)(None, 0) is not None
    except Exception:
        return True


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    lines = [head, ("---",) * len(head), *rows]
    return [f"| {' | '.join(line)} |".replace("  ", " ") for line in lines]


def _section(function: Function) -> list[str]:
    """A function's heading, signature and docstring."""
    calls = [f"{name}{_signature(function.call)}" for name in function.names]
    doc = inspect.getdoc(function.call) or ""
    return [f"## {function.name}", "", "```python", *calls, "```", "", *markdown(doc), ""]


class _Shown:
    """A default value under the name that users know."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _signature(call: Any) -> str:
    signature = inspect.signature(call)
    parameters = [
        p.replace(
            annotation=p.empty,
            default=_Shown(str(p.default)) if isinstance(p.default, np.dtype) else p.default,
        )
        for p in signature.parameters.values()
    ]
    return str(inspect.Signature(parameters))


# -- docstrings ------------------------------------------------------------------------------


def markdown(doc: str) -> list[str]:
    """A numpydoc docstring as lines of Markdown."""
    head, *parts = re.split(r"^(\w[\w ]*)\n-{3,}\n", doc + "\n", flags=re.MULTILINE)
    lines = [_plain(line) for line in head.strip().splitlines()]
    for title, body in zip(parts[::2], parts[1::2], strict=True):
        lines += ["", f"**{title}**", ""]
        if title == "Examples":
            lines += ["```pycon", *body.strip().splitlines(), "```"]
        elif title in ("Parameters", "Returns", "Raises"):
            lines += _items(body.strip("\n").splitlines(), title)
        else:
            lines += [_plain(line) for line in body.strip().splitlines()]
    return lines


def _items(body: list[str], title: str) -> list[str]:
    """Entries and their indented descriptions as a list."""
    lines: list[str] = []
    for line in body:
        if line.startswith(" "):
            lines.append(f"  {_plain(line.strip())}")
        elif not line:
            lines.append("")
        else:
            names, colon, kind = line.partition(" : ")
            if colon or title != "Returns":
                names = ", ".join(f"`{name}`" for name in names.split(", "))
            else:
                names = _plain(names)
            lines.append(f"- {names}: {_plain(kind)}" if colon else f"- {names}")
    # What is described goes on in the same line.
    mark = ": " if title == "Raises" else ". "
    return re.sub(r"(?m)^(- .*)\n  (?=\S)", rf"\1{mark}", "\n".join(lines)).splitlines()


def _plain(text: str) -> str:
    """A line of a docstring, with what Markdown would take for marks escaped."""
    parts = re.split(r"(``.+?``|`.+?`)", text)
    for i, part in enumerate(parts):
        if i % 2:
            parts[i] = f"`{part.strip('`')}`"
        else:
            parts[i] = re.sub(r"([*<|])", r"\\\1", part)
    return "".join(parts)


# -- command ---------------------------------------------------------------------------------


def stale(wanted: dict[str, str]) -> list[str]:
    """Names of files in the folder that are missing, superfluous or not as wanted."""
    found = {path.name: path.read_text() for path in FOLDER.glob("*.md")}
    return sorted(n for n in found.keys() | wanted.keys() if found.get(n) != wanted.get(n))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="only say which pages are not current")
    arguments = parser.parse_args()
    wanted = pages()
    if arguments.check:
        wrong = stale(wanted)
        if wrong:
            sys.exit(f"docs/operators: not current, run `{COMMAND}`: {', '.join(wrong)}")
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in stale(wanted):
        if name in wanted:
            (FOLDER / name).write_text(wanted[name])
        else:
            (FOLDER / name).unlink()


if __name__ == "__main__":
    main()
