"""The printer: statements as C."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .buffers import Buffer, Entries, Kept, Placed, Room, Sizes, Stack
from .cache import key
from .extents import TABLE, Extent
from .kernel import Kernel
from .layout import Layout
from .scalars import IN_MEMORY
from .statements import HEED_EVERY, Branch, Call, Loop, Python, Statement, While, is_long

_HEAD = """#include "runtime.h"
#include "vector_math.h"
#include "integers.h"
#include "conversions.h"
#include "operators.h"
#include "convolution.h"
#include "pooling.h"
#include "places.h"
#include "lines.h"
"""
# A step is nothing but calls: there is little to gain from long thought about their arguments.
_QUICKLY = """#ifdef __clang__
#pragma clang optimize off
#else
#pragma GCC optimize ("O0")
#endif
"""

ONCE = "once"  # the function that runs before all steps
FIRST = 2  # pointers: the arena and what is kept come before all others
_BUFFER = re.compile(r"\bb(\d+)\b")
_COMMENT = re.compile(r"/\*.*?\*/")
_OPEN = re.compile(rf"\b{TABLE}\[")
_WORD = re.compile(r"\w+")
MOST_COLUMNS = 92  # characters of a line, before it is indented
WORTH_A_UNIT = 4_000  # characters of kernels for which another compiler process pays
STEPS_ARE_QUICK = 15  # times as many characters of a step compile as long as a kernel


@dataclass(frozen=True)
class Function:
    """A kernel as a C function, but for its linkage."""

    note: str
    head: str
    body: str

    def text(self, linkage: str) -> str:
        note = textwrap.fill(self.note, 96, subsequent_indent="   ")
        return f"/* {note} */\n{linkage}{self.head} {{\n{self.body}\n}}\n"


def _is_open(lines: Sequence[str]) -> bool:
    """Whether C reads sizes of the run."""
    return any(_OPEN.search(line) for line in lines)


def _wrapped(line: str, pieces: list[str], end: str) -> list[str]:
    """A call or a head in lines that are not too long."""
    lines = []
    for i, piece in enumerate(pieces):
        text = piece + (end if i == len(pieces) - 1 else ", ")
        if len(line) + len(text) > MOST_COLUMNS:
            lines.append(line.rstrip())
            line = "    "
        line += text
    return [*lines, line]


def _positions(name: str, position: str, lines: Sequence[str]) -> list[str]:
    """What the lines of a round read of the variable that counts rounds."""
    read = {word for line in lines for word in _WORD.findall(line)}
    variables = {
        f"at_{name}": position,
        f"even_{name}": f"{name} % 2",
        f"odd_{name}": f"1 - {name} % 2",
    }
    return [f"    const dt_int {v} = {value};" for v, value in variables.items() if v in read]


def _heed(name: str) -> str:
    """The line with which a long loop asks, now and then, whether it is to end."""
    return f"    if ({name} % {HEED_EVERY} == {HEED_EVERY - 1} && dt_ends(team, thread)) return;"


def _memory(buffer: Buffer) -> Buffer | None:
    """Whose pointer leads to a buffer; None for what lies in the arena, or is there before."""
    if isinstance(buffer, Room):
        return buffer.host
    return None if isinstance(buffer, Placed) else buffer


def _parity(name: str, count: str, lines: Sequence[str]) -> list[str]:
    """Which place of a carry the last round has written, for what follows a loop in which carries
    take turns."""
    takes_turns = any(f"odd_{name}" in _WORD.findall(line) for line in lines)
    return [f"const dt_int last_{name} = {count} % 2;"] if takes_turns else []


class Printer:
    """Prints the native parts of a step.

    Kernels whose text is equal are one function. Attributes are filled as `Printer` is made.

    Attributes
    ----------
    parts : list of list of str, or Python
        What runs in turn: the lines of native functions, and operators that run by their kernels.
    once : str
        A name for what the native function that runs before all steps computes, from whatever its
        pointers point at; empty where there is none.
    once_reads : int
        Of the pointers, how many of the first it reads.
    functions : list of Function
        The kernels.
    pointers : dict
        From each buffer whose place is not planned to its place among the pointers. The first of
        these are the arena and what is kept from before all steps.
    """

    def __init__(self, statements: Sequence[Statement], once: Sequence[Statement] = ()) -> None:
        self.pointers: dict[Buffer, int] = {}
        self._sizes = Sizes(0, "sizes")
        self._buffers: dict[Buffer, int] = {}
        self.functions: list[Function] = []
        self._known: dict[str, str] = {}
        self._labels: dict[str, int] = {}
        self.parts: list[list[str] | Python] = []
        self._once = [self._step(ONCE, self._block(once))] if once else []
        self.once_reads, self.once = len(self.pointers), ""
        if once:  # labels, which are comments, do not matter
            functions = "".join(f.head + f.body for f in self.functions)
            self.once = key(functions, _COMMENT.sub("", self._once[0]))
        lines: list[str] = []
        for statement in statements:
            if isinstance(statement, Python):
                if lines:
                    self.parts.append(lines)
                    lines = []
                self.parts.append(statement)
            else:
                lines += self._block([statement])
        if lines:
            self.parts.append(lines)

    @property
    def source(self) -> str:
        """The whole text."""
        texts = (f.text("static __attribute__((noinline)) ") for f in self.functions)
        return "\n".join([_HEAD, *texts, *self._steps()])

    def units(self, most: int) -> list[str]:
        """The text in parts that take about equally long on so many cores, to be compiled at once.

        The first one has the steps, the others, from the longest to the shortest, the kernels.
        """
        length = sum(len(f.body) for f in self.functions)
        count = min(most, 1 + length // WORTH_A_UNIT)
        if count == 1:
            return [self.source]
        hidden = '__attribute__((noinline, visibility("hidden"))) '
        known = [f"{hidden}{f.head};" for f in self.functions]
        steps = "\n".join([_HEAD, _QUICKLY, *known, *self._steps()])
        units: list[list[str]] = [[] for _ in range(count)]
        lengths = [len(steps) // STEPS_ARE_QUICK, *[0] * (count - 1)]
        for f in sorted(self.functions, key=lambda f: -len(f.body)):
            shortest = lengths.index(min(lengths))
            units[shortest].append(f.text(hidden))
            lengths[shortest] += len(f.body)
        texts = ["\n".join([_HEAD, *unit]) for unit in units if unit]
        return [steps, *sorted(texts, key=len, reverse=True)]

    def _steps(self) -> list[str]:
        natives = [part for part in self.parts if not isinstance(part, Python)]
        steps = [self._step(f"step{number}", lines) for number, lines in enumerate(natives)]
        return [*self._once, *steps]

    def _step(self, name: str, lines: list[str]) -> str:
        body = "\n".join(lines)
        used = sorted(set(map(int, _BUFFER.findall(body))))
        known = "\n".join(self._declared(i) for i in used)
        if re.search(rf"\b{TABLE}\b", body):
            place = self.pointers.setdefault(self._sizes, len(self.pointers) + FIRST)
            known += f"\n    const dt_int *const {TABLE} = (const dt_int *)pointers[{place}];"
        return (
            f'__attribute__((visibility("default")))\n'
            f"void {name}(dt_team *team, int thread, char *const *pointers) {{\n"
            f"{known}\n\n{body}\n}}\n"
        )

    def _print(self, statement: Statement) -> list[str]:
        if isinstance(statement, Call):
            return self._call(statement)
        if isinstance(statement, Loop):
            return self._loop(statement)
        if isinstance(statement, While):
            return self._while(statement)
        if isinstance(statement, Branch):
            return self._branch(statement)
        raise NotImplementedError(f"{statement.node.op.name} within a loop or a branch")

    def _block(self, statements: Iterable[Statement]) -> list[str]:
        return [f"    {line}" for s in statements for line in self._print(s)]

    def _loop(self, loop: Loop) -> list[str]:
        name, body = loop.name, self._block(loop.body)
        count, asks, last = str(loop.count), [], []
        if isinstance(loop.count, Extent):
            last = _parity(name, count, body)
        if isinstance(loop.count, Layout):
            count = f"count_{name}"
            asks = [f"const dt_int {count} = *{self._address(loop.count)};"]
            last = _parity(name, count, body)
        return [
            *(["dt_barrier(team);"] if loop.waits_before else []),
            *asks,
            f"for (dt_int {name} = 0; {name} < {count}; ++{name}) {{",
            *_positions(name, f"{count} - 1 - {name}" if loop.reverse else name, body),
            *body,
            *([_heed(name)] if is_long(loop.count) else []),
            "}",
            *last,
        ]

    def _while(self, loop: While) -> list[str]:
        name, body = loop.name, self._block(loop.body)
        asks = self._block(loop.asks)
        holds = []
        if loop.stack is not None:
            head = f"(dt_stack *){self._base(loop.stack)}"
            holds = [f"    dt_hold(team, thread, {head}, {name}, {loop.stack.nbytes});"]
        return [
            *(["dt_barrier(team);"] if loop.waits_before else []),
            f"dt_int {name} = 0;",
            f"for (;; ++{name}) {{",
            "    dt_heed(team, thread);",
            *holds,
            *_positions(name, name, [*asks, *body]),
            *asks,
            "    dt_barrier(team);",
            "    if (team->failed) return;",
            f"    if (!*{self._address(loop.condition)}) break;",
            *body,
            *(["    dt_barrier(team);"] if loop.waits_after else []),
            "}",
            *_parity(name, name, body),
        ]

    def _branch(self, branch: Branch) -> list[str]:
        holds, fails = branch.bodies
        return [
            *(["dt_barrier(team);"] if branch.waits_before else []),
            f"if (*{self._address(branch.condition)}) {{",
            *self._block(holds),
            "} else {",
            *self._block(fails),
            "}",
        ]

    def _call(self, call: Call) -> list[str]:
        kernel = call.kernel
        name = self._function(kernel)
        arguments = ["team", "thread"]
        if call.scratch is not None:
            arguments.append(self._base(call.scratch))
        arguments += [TABLE] if _is_open(kernel.body) else []
        arguments += [self._address(a.layout) for a in kernel.accesses]
        waits = ["dt_barrier(team);"] if call.waits_before else []
        does = _wrapped(f"{name}(", arguments, ");")
        asks = ["dt_barrier(team);", "if (team->failed) return;"] if kernel.refuses else []
        return [*waits, *does, *asks]

    def _address(self, layout: Layout) -> str:
        buffer, width = layout.buffer, layout.dtype.itemsize
        offset = layout.offset * width
        text = self._base(buffer) + (f" + {offset}" if offset else "")
        text += "".join(f" + {name} * {step * width}" for name, step in layout.moving)
        return f"({IN_MEMORY[layout.dtype]} *)({text})"

    def _base(self, buffer: Buffer) -> str:
        """The name of a buffer's first byte."""
        if isinstance(buffer, Entries):
            return f"((dt_stack *){self._base(buffer.stack)})->entries"
        memory = _memory(buffer)
        if memory is not None:
            self.pointers.setdefault(memory, len(self.pointers) + FIRST)
        if buffer not in self._buffers:
            self._buffers[buffer] = len(self._buffers)
        return f"b{self._buffers[buffer]}"

    def _declared(self, number: int) -> str:
        """The line that says where a buffer is, and what it holds."""
        buffer = list(self._buffers)[number]
        memory = _memory(buffer)
        place = int(isinstance(buffer, Kept)) if memory is None else self.pointers[memory]
        where = f"pointers[{place}]"
        if isinstance(buffer, Placed):
            where += f" + {buffer.offset}"
        size = f"{buffer.nbytes} bytes" + (" a round" if isinstance(buffer, Stack) else "")
        # A name of the user's must not end the comment.
        label = re.sub(r"[^\w %.,-]", "", buffer.label, flags=re.ASCII)
        return f"    char *const b{number} = {where}; /* {label}, {size} */"

    def _function(self, kernel: Kernel) -> str:
        text = "\n".join([*kernel.parameters, str(kernel.scratch > 0), *kernel.body])
        if text not in self._known:
            number = self._labels[kernel.label] = self._labels.get(kernel.label, 0) + 1
            name = f"{kernel.label}_{number}"
            self._known[text] = name
            parameters = ["dt_team *team", "int thread"]
            parameters += ["char *scratch"] if kernel.scratch else []
            parameters += [f"const dt_int *{TABLE}"] if _is_open(kernel.body) else []
            head = "\n".join(_wrapped(f"void {name}(", [*parameters, *kernel.parameters], ")"))
            body = "\n".join(f"    {line}" for line in kernel.body)
            self.functions.append(Function(kernel.note, head, body))
        return self._known[text]
