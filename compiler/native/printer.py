"""The printer: statements as C."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from typing import Any

from .layout import Buffer, Layout
from .nest import Kernel
from .scalars import C_TYPES
from .statements import Branch, Call, Loop, Python, While

_HEAD = """#include "runtime.h"
#include "vector_math.h"
#include "operators.h"
#include "convolution.h"
"""


# Nanoseconds that the first thread spends in each call, and waiting before it.
_TIMES = """#include <time.h>
__attribute__((visibility("default"))) int64_t times[{0}], waits[{0}];
static int64_t since;
static int64_t now(void) {{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}}
static void begin(int thread) {{ if (!thread) since = now(); }}
static void end(int thread, int64_t *total) {{ if (!thread) *total += now() - since; }}
"""


_BUFFER = re.compile(r"\bb(\d+)\b")
WORTH_A_UNIT = 12_000  # characters of kernels for which another compiler process pays


@dataclass(frozen=True)
class Function:
    """A kernel as a C function, but for its linkage."""

    note: str
    head: str
    body: str

    def text(self, linkage: str) -> str:
        note = textwrap.fill(self.note, 96, subsequent_indent="   ")
        return f"/* {note} */\n{linkage}{self.head} {{\n{self.body}\n}}\n"


def _wrapped(line: str, pieces: list[str], end: str, indent: str) -> str:
    """A call or a head in lines that are not too long."""
    lines = []
    for i, piece in enumerate(pieces):
        text = piece + (end if i == len(pieces) - 1 else ", ")
        if len(line) + len(text) > 100:
            lines.append(line.rstrip())
            line = indent
        line += text
    return "\n".join([*lines, line])


class Printer:
    """Prints the native parts of a step.

    Kernels whose text is equal are one function. Attributes are filled as `Printer` is made.

    Attributes
    ----------
    parts : list of list of str, or Python
        What runs in turn: the lines of native functions, and operators that run by their kernels.
    functions : list of Function
        The kernels.
    pointers : dict
        From each buffer that is not in the arena to its place among the pointers.
    """

    def __init__(self, statements: list[Any], is_timed: bool = False) -> None:
        self._timed: list[Kernel] | None = [] if is_timed else None
        self.pointers: dict[Buffer, int] = {}
        self._buffers: dict[Buffer, int] = {}
        self.functions: list[Function] = []
        self._known: dict[str, str] = {}
        self._labels: dict[str, int] = {}
        self.parts: list[Any] = []
        lines: list[str] = []
        for statement in statements:
            if isinstance(statement, Python):
                if lines:
                    self.parts.append(lines)
                    lines = []
                self.parts.append(statement)
            else:
                lines += self._print(statement, 1)
        if lines:
            self.parts.append(lines)

    @property
    def source(self) -> str:
        """The whole text."""
        texts = (f.text("static __attribute__((noinline)) ") for f in self.functions)
        return "\n".join([self._head, *texts, *self._steps()])

    def units(self, most: int) -> list[str]:
        """The text in parts of about equal length, at most so many, to be compiled at once."""
        length = sum(len(f.body) for f in self.functions)
        count = min(most, 1 + length // WORTH_A_UNIT)
        if count == 1:
            return [self.source]
        hidden = '__attribute__((noinline, visibility("hidden"))) '
        units: list[list[str]] = [[] for _ in range(count)]
        for f in sorted(self.functions, key=lambda f: -len(f.body)):
            min(units, key=lambda unit: sum(map(len, unit))).append(f.text(hidden))
        known = [f"{hidden}{f.head};" for f in self.functions]
        return [
            *("\n".join([self._head, *unit]) for unit in units[:-1]),
            "\n".join([self._head, *known, *units[-1], *self._steps()]),
        ]

    @property
    def _head(self) -> str:
        return _HEAD if self._timed is None else _HEAD + _TIMES.format(len(self._timed) + 1)

    def _steps(self) -> list[str]:
        steps: list[str] = []
        number = 0
        for part in self.parts:
            if isinstance(part, Python):
                continue
            body = "\n".join(part)
            used = sorted(set(map(int, _BUFFER.findall(body))))
            known = "\n".join(self._declared(i) for i in used)
            steps.append(
                f'__attribute__((visibility("default")))\n'
                f"void step{number}(dt_team *team, int thread, char *const *pointers) {{\n"
                f"{known}\n\n{body}\n}}\n"
            )
            number += 1
        return steps

    @property
    def timed(self) -> list[Kernel]:
        """The kernels in the order of their times."""
        return self._timed or []

    def _print(self, statement: Any, depth: int) -> list[str]:
        indent = "    " * depth
        if isinstance(statement, Call):
            return self._call(statement, indent)
        if isinstance(statement, Loop):
            return self._loop(statement, depth)
        lines = []
        if isinstance(statement, While):
            if statement.waits_before:
                lines.append(f"{indent}dt_barrier(team);")
            lines.append(f"{indent}for (;;) {{")
            lines += [x for s in statement.asks for x in self._print(s, depth + 1)]
            lines.append(f"{indent}    dt_heed(team, thread);")
            lines.append(f"{indent}    dt_barrier(team);")
            lines.append(f"{indent}    if (team->failed) return;")
            lines.append(f"{indent}    if (!*{self._address(statement.condition)}) break;")
            lines += [x for s in statement.body for x in self._print(s, depth + 1)]
            if statement.waits_after:
                lines.append(f"{indent}    dt_barrier(team);")
            return [*lines, f"{indent}}}"]
        if isinstance(statement, Branch):
            if statement.waits_before:
                lines.append(f"{indent}dt_barrier(team);")
            lines.append(f"{indent}if (*{self._address(statement.condition)}) {{")
            lines += [x for s in statement.bodies[0] for x in self._print(s, depth + 1)]
            lines.append(f"{indent}}} else {{")
            lines += [x for s in statement.bodies[1] for x in self._print(s, depth + 1)]
            return [*lines, f"{indent}}}"]
        raise TypeError(type(statement).__name__)

    def _loop(self, loop: Loop, depth: int) -> list[str]:
        indent, name = "    " * depth, loop.name
        position = f"{loop.count - 1} - {name}" if loop.reverse else name
        inner = [x for s in loop.body for x in self._print(s, depth + 1)]
        text = "\n".join(inner)
        lines = [f"{indent}for (dt_int {name} = 0; {name} < {loop.count}; ++{name}) {{"]
        for variable, value in (
            (f"at_{name}", position), (f"even_{name}", f"{name} % 2"), (f"odd_{name}", f"1 - {name} % 2"),
        ):  # fmt: skip
            if re.search(rf"\b{variable}\b", text):
                lines.append(f"{indent}    const dt_int {variable} = {value};")
        return [*lines, *inner, f"{indent}}}"]

    def _call(self, call: Call, indent: str) -> list[str]:
        kernel = call.kernel
        name = self._function(kernel)
        arguments = ["team", "thread"]
        if call.scratch is not None:
            arguments.append(self._base(call.scratch))
        arguments += [self._address(a.layout) for a in kernel.accesses]
        lines: list[str] = []
        if self._timed is not None:
            lines.append(f"{indent}begin(thread);")
        if call.waits_before:
            lines.append(f"{indent}dt_barrier(team);")
        if self._timed is not None:
            lines.append(f"{indent}end(thread, &waits[{len(self._timed)}]);")
            lines.append(f"{indent}begin(thread);")
        lines.append(_wrapped(f"{indent}{name}(", arguments, ");", f"{indent}    "))
        if self._timed is not None:
            lines.append(f"{indent}end(thread, &times[{len(self._timed)}]);")
            self._timed.append(kernel)
        if kernel.refuses:
            lines += [f"{indent}dt_barrier(team);", f"{indent}if (team->failed) return;"]
        return lines

    def _address(self, layout: Layout) -> str:
        buffer, width = layout.buffer, layout.dtype.itemsize
        offset = layout.offset * width
        text = self._base(buffer) + (f" + {offset}" if offset else "")
        text += "".join(f" + {name} * {step * width}" for name, step in layout.moving)
        return f"({C_TYPES[layout.dtype.name]} *)({text})"

    def _base(self, buffer: Buffer) -> str:
        """The name of a buffer's first byte."""
        if buffer.kind != "arena":
            self.pointers.setdefault(buffer, len(self.pointers) + 1)
        if buffer not in self._buffers:
            self._buffers[buffer] = len(self._buffers)
        return f"b{self._buffers[buffer]}"

    def _declared(self, number: int) -> str:
        """The line that says where a buffer is, and what it holds."""
        buffer = list(self._buffers)[number]
        kept = buffer.kind != "arena"
        where = f"pointers[{self.pointers[buffer]}]" if kept else f"pointers[0] + {buffer.offset}"
        # A name of the user's must not end the comment.
        label = re.sub(r"[^\w %.,-]", "", buffer.label, flags=re.ASCII)
        return f"    char *const b{number} = {where}; /* {label}, {buffer.nbytes} bytes */"

    def _function(self, kernel: Kernel) -> str:
        text = "\n".join([*kernel.parameters, str(kernel.scratch > 0), *kernel.body])
        if text not in self._known:
            number = self._labels[kernel.label] = self._labels.get(kernel.label, 0) + 1
            name = f"{kernel.label}_{number}"
            self._known[text] = name
            parameters = ["dt_team *team", "int thread"]
            parameters += ["char *scratch"] if kernel.scratch else []
            head = _wrapped(f"void {name}(", [*parameters, *kernel.parameters], ")", "    ")
            body = "\n".join(f"    {line}" for line in kernel.body)
            self.functions.append(Function(kernel.note, head, body))
        return self._known[text]
