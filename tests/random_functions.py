"""Random functions of Python over tensors: lines, branches on numbers, loops, lists, closures.

Those for scripts also branch on data, loop by them, and leave loops and the function early.
"""

import linecache

import numpy as np

_UNARY = ["dt.tanh({})", "dt.sigmoid({})", "({} * 0.5)", "({} + 1.0)", "(-{})", "dt.sin({})"]
_BINARY = ["({} + {})", "({} * {})", "({} - {})", "dt.maximum({}, {})", "dt.where({} > 0, {}, 0.3)"]
_BOUNDS = [-0.5, 0.1, 0.4, 0.9]
_LOOPS = [
    ("for {i} in range(xs.shape[0]):", "xs[{i}]"),
    ("for {i} in range(len(xs)):", "xs[{i}]"),
    ("for {i} in xs:", "{i}"),
    ("for {i} in reversed(xs):", "{i}"),
    ("for _, {i} in enumerate(xs):", "{i}"),
    ("for {i}, _ in zip(xs, xs * 2):", "{i}"),
    ("for {i} in (0.5, 2.0):", "{i}"),
]


class Writer:
    """One function, a line at a time; every local name holds a tensor of shape (3,) or a number."""

    kinds = 7

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.lines = []
        self.count = 0

    def pick(self, options):
        return options[self.rng.integers(len(options))]

    def name(self, kind):
        self.count += 1
        return f"{kind}{self.count}"

    def add(self, depth, text):
        self.lines.append("    " * depth + text)

    def expression(self, tensors):
        if self.rng.random() < 0.5:
            return self.pick(_UNARY).format(self.pick(tensors))
        return self.pick(_BINARY).format(self.pick(tensors), self.pick(tensors))

    def block(self, depth, tensors, numbers, lines, loops):
        """Lines at a depth, on names that are there; the names that are there after them."""
        tensors = list(tensors)
        for _ in range(lines):
            kind = self.rng.integers(self.kinds)
            if kind == 0:
                self.branch(depth, tensors, numbers)
            elif kind == 1 and loops:
                self.loop(depth, tensors, numbers, loops - 1)
            elif kind == 2 and depth == 1:
                number = self.name("n")
                self.add(depth, f"{number} = {self.pick(numbers)} * {self.pick([0.5, 1.5])}")
                numbers.append(number)
            elif kind == 3:
                self.add(depth, f"{self.pick(tensors)} = {self.expression(tensors)}")
            elif kind == 4:
                self.add(
                    depth, f"{self.pick(tensors)} = {self.pick(tensors)} * {self.pick(numbers)}"
                )
            elif kind < 7:
                made = self.name("t")
                self.add(depth, f"{made} = {self.expression(tensors)}")
                tensors.append(made)
            else:
                self.ask_data(kind - 7, depth, tensors, numbers, loops)
        return tensors

    def branch(self, depth, tensors, numbers):
        self.add(depth, f"if {self.pick(numbers)} > {self.pick([0.2, 1.0])}:")
        self.add(depth + 1, f"{self.pick(tensors)} = {self.expression(tensors)}")
        if self.rng.random() < 0.5:
            self.add(depth, "else:")
            self.add(depth + 1, f"{self.pick(tensors)} = {self.expression(tensors)}")

    def loop(self, depth, tensors, numbers, loops):
        head, item = self.pick(_LOOPS)
        variable, made = self.name("i"), self.name("t")
        appended = self.rng.random() < 0.3 and depth == 1
        held = self.name("held")
        if appended:
            self.add(depth, f"{held} = []")
        carried = self.pick(tensors)
        self.add(depth, head.format(i=variable))
        self.add(depth + 1, f"{made} = {self.pick(tensors)} * {item.format(i=variable)}")
        inner = self.block(depth + 1, [*tensors, made], list(numbers), 2, loops)
        self.add(depth + 1, f"{carried} = dt.tanh({self.expression(inner)})")
        if appended:
            self.add(depth + 1, f"{held}.append({carried})")
            self.add(depth, f"{carried} = {carried} + dt.stack({held}).sum(0)")


class ScriptWriter(Writer):
    """Also with what asks for data. A `while` stands in no other loop: it has no bound there."""

    kinds = 12

    def __init__(self, seed):
        super().__init__(seed)
        self.around = []  # the loops around a line, by their first words

    def condition(self, tensors):
        one = f"{self.pick(tensors)}.{self.pick(['sum', 'max', 'min'])}() > {self.pick(_BOUNDS)}"
        other = f"{self.pick(tensors)}.mean() < {self.pick(_BOUNDS)}"
        return self.pick([
            one, f"not {one}", f"{one} and {other}", f"{one} or {other}",
            f"{self.pick(_BOUNDS)} < {self.pick(tensors)}.sum() < 1.1",
        ])  # fmt: skip

    def ask_data(self, kind, depth, tensors, numbers, loops):
        if kind == 0:
            self.branch_on_data(depth, tensors, numbers, loops)
        elif kind == 1:
            made = self.pick(tensors)
            sides = self.expression(tensors), self.condition(tensors), self.expression(tensors)
            self.add(depth, f"{made} = {sides[0]} if {sides[1]} else {sides[2]}")
        elif kind == 2 and not self.around and loops:
            self.while_loop(depth, tensors, numbers, loops)
        elif kind == 3 and loops:
            self.ending_loop(depth, tensors, numbers, loops)
        elif kind == 4:
            self.leave(depth, tensors)

    def branch_on_data(self, depth, tensors, numbers, loops):
        number = self.name("n")
        self.add(depth, f"{number} = {self.pick([1.0, 0.5])}")
        self.add(depth, f"if {self.condition(tensors)}:")
        self.block(depth + 1, tensors, list(numbers), 2, loops - 1)
        self.add(depth + 1, f"{number} = {number} * {self.pick([0.5, 1.5])}")
        for word in self.pick([[], ["else"], ["elif", "else"]]):
            test = f" {self.condition(tensors)}" if word == "elif" else ""
            self.add(depth, f"{word}{test}:")
            self.block(depth + 1, tensors, list(numbers), 1, loops - 1)
            self.add(depth + 1, f"{self.pick(tensors)} = {self.expression(tensors)}")
        self.add(depth, f"{self.pick(tensors)} = {self.pick(tensors)} * {number}")

    def while_loop(self, depth, tensors, numbers, loops):
        count, held = self.name("c"), self.pick(tensors)
        self.add(depth, f"{count} = 0")
        limit = f"{count} < {self.rng.integers(2, 5)}"
        tests = [
            f"{held}.sum() < 1.5 and {limit}",
            f"{limit} and ({self.condition(tensors)})",
            limit,
        ]
        self.add(depth, f"while {self.pick(tests)}:")
        self.add(depth + 1, f"{count} += 1")
        self.rounds("while", depth + 1, held, tensors, numbers, loops)
        self.add(depth, f"{held} = {held} * {count}")

    def ending_loop(self, depth, tensors, numbers, loops):
        item, held = self.name("i"), self.pick(tensors)
        heads = [
            (f"for {item} in range({self.rng.integers(1, 5)}):", f"(0.5 * {item})"),
            (f"for {item} in xs:", item), (f"for _, {item} in enumerate(xs):", item),
            (f"for {item} in (0.5, 1.5, 2.0):", item),
        ]  # fmt: skip
        head, used = self.pick(heads)
        self.add(depth, head)
        self.add(depth + 1, f"{held} = {held} + {used}")
        self.rounds("for", depth + 1, held, tensors, numbers, loops)
        if self.rng.random() < 0.3:
            self.add(depth, "else:")
            self.add(depth + 1, f"{held} = {held} * 0.7")

    def rounds(self, word, depth, held, tensors, numbers, loops):
        self.around.append(word)
        self.block(depth, tensors, list(numbers), 2, loops - 1)
        self.add(depth, f"{held} = dt.tanh({self.expression(tensors)}) + 0.2")
        self.leave(depth, tensors)
        self.around.pop()

    def loop(self, depth, tensors, numbers, loops):
        self.around.append("appends")
        super().loop(depth, tensors, numbers, loops)
        self.around.pop()

    def leave(self, depth, tensors):
        """A jump on data: out of a loop, or out of the function; no list may grow by data."""
        if "appends" in self.around:
            return
        jumps = [f"return {self.expression(tensors)}"] + ["break", "continue"] * bool(self.around)
        self.add(depth, f"if {self.condition(tensors)}:")
        self.add(depth + 1, self.pick(jumps))


def random_function(seed, writer=Writer):
    """A function ``f(xs, h)`` of (4, 3) and (3,), its text, and the settings that it reads."""
    writer = writer(seed)
    writer.add(1, "k = h * scale")
    tensors = writer.block(1, ["k"], ["scale", "bias"], 6, 2)
    writer.add(1, f"return {' + '.join(tensors)}")
    text = "\n".join(["import diptych as dt", "def f(xs, h):", *writer.lines, ""])
    name = f"<random {type(writer).__name__} {seed}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    scope = {"scale": 0.7, "bias": 1.3, "__name__": "random_functions"}
    exec(compile(text, name, "exec"), scope)
    return scope["f"], text, scope
