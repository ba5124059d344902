"""A model as a table: shapes, parameters and floating-point operations of every module."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..graphs.avals import Aval, aval_of, show
from ..graphs.dims import Dim, Shape, Size
from ..graphs.dtypes import as_dtype
from ..graphs.errors import ArgumentError, DTypeError
from ..graphs.ir import Graph, Node
from ..graphs.operand import Operand
from ..graphs.ops import dispatch
from ..graphs.trees import flatten, unflatten
from .hooks import Hook
from .module import Module

_HEAD = ("module", "type", "output", "parameters", "FLOP")
_UNITS = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


@dataclass(frozen=True, slots=True)
class Row:
    """One module of a `Summary`.

    Attributes
    ----------
    path : str
        Its dotted name, empty for the model itself.
    type : str
    outputs : tuple of shapes
        Of the last call; empty for a module that was not called.
    parameters : int
        Numbers in its parameters and those of the modules below, each once.
    flop : int or Dim
        Of all its calls, the modules below included.
    """

    path: str
    type: str
    outputs: tuple[Shape, ...]
    parameters: int
    flop: Size

    def cells(self) -> list[str]:
        """What stands in the columns of the table."""
        depth = self.path.count(".") + 1 if self.path else 0
        name = self.path.rpartition(".")[2] or "(model)"
        outputs = ", ".join(map(show, self.outputs)) or "not called"
        counts = _count(self.parameters), _count(self.flop)
        return ["  " * depth + name, self.type, outputs, *counts]


@dataclass(frozen=True, slots=True)
class Summary:
    """What `summary` gives; printed, it is a table.

    Attributes
    ----------
    rows : tuple of Row
        The model, then all modules below it.
    parameters, trained : int
        Numbers in parameters, and in those of them that want a gradient.
    parameter_bytes : int
    flop : int or Dim
        Of one forward pass, by the operators' cost rules.
    """

    rows: tuple[Row, ...]
    parameters: int
    trained: int
    parameter_bytes: int
    flop: Size

    def __str__(self) -> str:
        lines = [list(_HEAD), *(row.cells() for row in self.rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(_HEAD))]
        text = [
            "  ".join(
                cell.ljust(width) if i < 3 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths))
            ).rstrip()
            for line in lines
        ]
        text.insert(1, "-" * max(map(len, text)))
        trained = "" if self.trained == self.parameters else f", {_count(self.trained)} trained"
        return "\n".join([
            *text,
            f"parameters: {_count(self.parameters)}, {_bytes(self.parameter_bytes)}{trained}",
            f"FLOP of a forward pass: {_count(self.flop)}",
        ])  # fmt: skip

    __repr__ = __str__


def summary(model: Module, *inputs: Any, dtypes: Any = "float32", **options: Any) -> Summary:
    """What each module of a model gives, holds and computes, without running it.

    The model is traced into a graph in the mode in which it is. A loop counts as often as it runs;
    of a `cond` both branches count, and of a `while_loop` one round.

    Parameters
    ----------
    model : Module
    *inputs : shapes, arrays or containers of arrays
        What `forward` takes. A string in a shape names a symbolic dimension. Of an array only shape
        and dtype count.
    dtypes : dtype, or a sequence of them
        Of the inputs that are given by their shapes.
    **options
        Keyword arguments of `forward`, as they are.

    Returns
    -------
    Summary

    Raises
    ------
    DTypeError
        When `model` is no module.
    ArgumentError
        When there is not one dtype per input.
    DiptychError
        As `forward` does for such inputs, and when its shapes depend on data.

    Examples
    --------
    >>> model = dt.nn.Sequential(dt.nn.Linear(3, 4), dt.nn.ReLU(), dt.nn.Linear(4, 2))
    >>> print(dt.nn.summary(model, ("batch", 3)))
    module   type        output      parameters      FLOP
    -----------------------------------------------------
    (model)  Sequential  (batch, 2)          26  50*batch
      0      Linear      (batch, 4)          16  28*batch
      1      ReLU        (batch, 4)           0   4*batch
      2      Linear      (batch, 2)          10  18*batch
    parameters: 26, 104 B
    FLOP of a forward pass: 50*batch
    """
    if not isinstance(model, Module):
        raise DTypeError(f"summary: must be a Module, got {type(model).__name__}")
    if isinstance(dtypes, list | tuple) and len(dtypes) != len(inputs):
        raise ArgumentError(
            f"summary: one dtype per input is needed, got {len(dtypes)} for {len(inputs)}"
        )
    each = dtypes if isinstance(dtypes, list | tuple) else [dtypes] * len(inputs)
    graph = Graph()
    graph.is_trace = True
    watch = _Watch(graph)
    placed = [_placed(graph, x, dtype) for x, dtype in zip(inputs, each)]
    with watch.over(model), graph.building():
        model(*placed, **options)
    rows = tuple(_row(path, module, watch) for path, module in model.named_modules())
    parameters = list(model.parameters())
    return Summary(
        rows,
        rows[0].parameters,
        sum(_size(p) for p in parameters if p.requires_grad),
        sum(_size(p) * p.dtype.itemsize for p in parameters),
        rows[0].flop,
    )


class _Watch:
    """Notes which nodes each call of a module appends, by hooks that are there while it is."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._open: list[tuple[Graph, int]] = []
        self._calls: dict[int, list[tuple[Graph, int, int]]] = {}
        self.outputs: dict[int, tuple[Shape, ...]] = {}

    @contextmanager
    def over(self, model: Module) -> Iterator[None]:
        known = [(module, module.__dict__["_hooks"]) for module in model.modules()]
        enter, leave = Hook(self._enter, True, False), Hook(self._leave, False, False)
        for module, hooks in known:
            module.__dict__["_hooks"] = (enter, *hooks, leave)
        try:
            yield
        finally:
            # The very tuples of before: to a trace that read them nothing has changed.
            for module, hooks in known:
                module.__dict__["_hooks"] = hooks

    def flop(self, module: Module) -> Size:
        """Of all calls of a module."""
        rounds = _rounds(self._graph, 1)
        total: Size = 0
        for graph, start, stop in self._calls.get(id(module), ()):
            total = total + sum(map(_flop, graph.nodes[start:stop])) * rounds[id(graph)]
        return total

    def _enter(self, module: Module, args: Any) -> None:
        current = dispatch.current()
        graph = current if isinstance(current, Graph) else self._graph
        self._open.append((graph, len(graph.nodes)))

    def _leave(self, module: Module, args: Any, output: Any) -> None:
        graph, start = self._open.pop()
        self._calls.setdefault(id(module), []).append((graph, start, len(graph.nodes)))
        leaves, _ = flatten(output)
        self.outputs[id(module)] = tuple(x.shape for x in leaves if hasattr(x, "shape"))


def _row(path: str, module: Module, watch: _Watch) -> Row:
    return Row(
        path,
        type(module).__name__,
        watch.outputs.get(id(module), ()),
        sum(map(_size, module.parameters())),
        watch.flop(module),
    )


def _placed(graph: Graph, given: Any, dtype: Any) -> Any:
    """An input as placeholders of a graph."""
    if isinstance(given, list | tuple) and all(isinstance(n, int | str | Dim) for n in given):
        shape = tuple(Dim.symbol(n) if isinstance(n, str) else n for n in given)
        return _place(graph, Aval(shape, as_dtype(dtype)))
    leaves, structure = flatten(given)
    placed = [
        _place(graph, aval_of(getattr(x, "array", x))) if isinstance(x, Operand | np.ndarray) else x
        for x in leaves
    ]
    return unflatten(structure, placed)


def _place(graph: Graph, aval: Aval) -> Any:
    return graph.add_placeholder(f"input{len(graph.placeholders)}", aval)


def _rounds(graph: Graph, times: Size) -> dict[int, Size]:
    """How often a graph and the bodies in it run."""
    found = {id(graph): times}
    for node in graph.nodes:
        for body in node.attrs.get("bodies", ()):
            found |= _rounds(body, times * node.attrs.get("length", 1))
    return found


def _flop(node: Node) -> Size:
    bodies = node.attrs.get("bodies", ())
    inside = sum(sum(map(_flop, body.nodes)) for body in bodies)
    return node.bound.flop + inside * node.attrs.get("length", 1)


def _size(parameter: Any) -> int:
    return math.prod(parameter.shape)


def _count(number: Size) -> str:
    return f"{number:,}" if isinstance(number, int) else str(number)


def _bytes(number: int) -> str:
    factor, unit = next((u for u in _UNITS if number >= u[0]), (1, "B"))
    return f"{number} B" if factor == 1 else f"{number / factor:.1f} {unit}"
