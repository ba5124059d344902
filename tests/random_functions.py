"""Random functions of Python over tensors: lines, branches on numbers, loops, lists, closures."""

import linecache

import numpy as np

_UNARY = ["dt.tanh({})", "dt.sigmoid({})", "({} * 0.5)", "({} + 1.0)", "(-{})", "dt.sin({})"]
_BINARY = ["({} + {})", "({} * {})", "({} - {})", "dt.maximum({}, {})", "dt.where({} > 0, {}, 0.3)"]
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
            kind = self.rng.integers(7)
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
            else:
                made = self.name("t")
                self.add(depth, f"{made} = {self.expression(tensors)}")
                tensors.append(made)
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


def random_function(seed):
    """A function ``f(xs, h)`` of (4, 3) and (3,), its text, and the settings that it reads."""
    writer = Writer(seed)
    writer.add(1, "k = h * scale")
    tensors = writer.block(1, ["k"], ["scale", "bias"], 6, 2)
    writer.add(1, f"return {' + '.join(tensors)}")
    text = "\n".join(["import diptych as dt", "def f(xs, h):", *writer.lines, ""])
    name = f"<random function {seed}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    scope = {"scale": 0.7, "bias": 1.3, "__name__": "random_functions"}
    exec(compile(text, name, "exec"), scope)
    return scope["f"], text, scope
