"""Values and nodes: what a graph is made of, and the operators that bring values into it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import ops
from .avals import Aval
from .devices import Device
from .errors import GraphError, StaticValueError
from .modes import mode
from .operand import Operand
from .ops.core import Bound, Op, defop
from .ops.rules import no_flop

if TYPE_CHECKING:
    from .ir import Graph


def _source(name: str, attrs: dict[str, Any], doc: str) -> Op:
    """An operator that brings a value into a graph; it has no kernel and is never launched."""
    function = defop(
        name,
        "-> y",
        attrs=attrs,
        infer=lambda **attrs: attrs["aval"],
        kernel=None,
        vjp=(),
        structural=True,
        cost=no_flop,
        doc=doc,
    )
    return function.op


PLACEHOLDER = _source("placeholder", {"aval": None, "name": ""}, "A value that each run is fed.")
CONSTANT = _source("constant", {"aval": None, "array": None}, "An array known when building.")
VARIABLE = _source("variable", {"aval": None, "storage": None}, "What a storage held at the start.")
SIZE = _source("size", {"aval": None, "dim": None}, "A symbolic dimension as a number.")
ASSIGN = defop(
    "assign",
    "variable, value -> written",
    attrs={"storage": None},
    infer=lambda variable, value, storage: value,
    kernel=None,
    vjp=None,
    structural=True,
    effect=True,
    cost=no_flop,
    doc="Write a value into a variable's storage when the run has computed everything.",
).op


@dataclass(frozen=True, slots=True)
class Location:
    """The line of the user's program that made a node."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def _in_place(operator: Any, symbol: str) -> Callable[[Any, Any], Any]:
    """The method behind an assignment such as ``x += y``, which only a trace has."""
    name = operator.__name__

    def change(self: Any, other: Any) -> Any:
        moves = self._moves(name, f"write x = x {symbol} y")
        return moves.change(self, lambda: operator(self, other), name)

    return change


class Value(Operand):
    """A result of a node: what a graph computes, known by its aval alone.

    Attributes
    ----------
    node : Node
    index : int
        Which of the node's results it is.
    aval : Aval
    uses : list of Node
        The nodes that read it, once per operand position.
    """

    __slots__ = ("aval", "index", "node", "uses")

    def __init__(self, node: Node, index: int, aval: Aval) -> None:
        self.node, self.index, self.aval = node, index, aval
        self.uses: list[Node] = []

    @property
    def style(self) -> Graph:
        return self.node.graph

    @property
    def graph(self) -> Graph:
        return self.node.graph

    @property
    def shape(self) -> Any:
        return self.aval.shape

    @property
    def dtype(self) -> Any:
        return self.aval.dtype

    @property
    def device(self) -> Device:
        return self.aval.device

    @property
    def name(self) -> str:
        """Its name in the text form, such as ``%3``."""
        suffix = f".{self.index}" if len(self.node.outputs) > 1 else ""
        return f"%{self.node.id}{suffix}"

    def __bool__(self) -> bool:
        script = ", or take dt.hybrid.script in place of dt.compile" if self.graph.is_trace else ""
        raise self._no_number("bool()", f"write the choice with dt.where{script}")

    def __int__(self) -> int:
        raise self._no_number("int()")

    def __float__(self) -> float:
        raise self._no_number("float()")

    def __complex__(self) -> complex:
        raise self._no_number("complex()")

    def __index__(self) -> int:
        raise self._no_number("an index")

    def __len__(self) -> int:
        size = self.shape[0] if self.shape else None
        if isinstance(size, int):
            return size
        raise self._no_number("len()")

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise self._no_number("a NumPy array")

    def __setitem__(self, index: Any, value: Any) -> None:
        moves = self._moves("setitem", "use x = dt.setitem(x, value, index)")
        if not moves.is_there(self, index, value):
            moves.change(self, lambda: ops.setitem(self, value, index), "setitem")

    # In a graph that is no trace, rebinding the name, as Python would, leaves other names of the
    # value as they were, where eager code changes what all of them see.
    __iadd__, __isub__ = _in_place(ops.add, "+"), _in_place(ops.subtract, "-")
    __imul__, __itruediv__ = _in_place(ops.multiply, "*"), _in_place(ops.divide, "/")
    __ifloordiv__, __imod__ = _in_place(ops.floor_divide, "//"), _in_place(ops.remainder, "%")
    __ipow__, __imatmul__ = _in_place(ops.pow, "**"), _in_place(ops.matmul, "@")
    __iand__, __ior__ = _in_place(ops.bitwise_and, "&"), _in_place(ops.bitwise_or, "|")
    __ixor__ = _in_place(ops.bitwise_xor, "^")
    __ilshift__ = _in_place(ops.bitwise_left_shift, "<<")
    __irshift__ = _in_place(ops.bitwise_right_shift, ">>")

    def copy_(self, other: Any) -> Value:
        """Take the numbers of `other`, broadcast to this shape, in place; in a trace alone."""
        moves = self._moves("copy_", "use the value itself")
        return moves.change(self, lambda: ops.setitem(self, other, (Ellipsis,)), "copy_")

    def _moves(self, operator: str, remedy: str) -> Any:
        """What changes values in place for the trace that this one belongs to."""
        if self.graph.moves is None:
            raise GraphError(
                f"{operator}: a static value cannot change in place, got {self.name}; {remedy}"
            )
        return self.graph.moves

    def numpy(self) -> Any:
        raise self._no_number("numpy()")

    def item(self) -> Any:
        raise self._no_number("item()")

    def tolist(self) -> Any:
        raise self._no_number("tolist()")

    @property
    def grad(self) -> Any:
        """What `backward` has summed so far for an argument of a function that is traced."""
        return self._tape("grad", "use dt.grad").grad_of(self)

    @grad.setter
    def grad(self, gradient: Any) -> None:
        self._tape("grad", "use dt.grad").set_grad(self, gradient)

    def backward(
        self, gradient: Any = None, *, retain_graph: bool = False, create_graph: bool = False
    ) -> None:
        """While a function is traced, as `Tensor.backward`; a graph of other kind has no tape."""
        trace = self._tape("backward()", "use dt.grad or an optimiser's minimize")
        trace.backward(self, gradient, retain_graph=retain_graph, create_graph=create_graph)

    def _tape(self, asked: str, remedy: str) -> Any:
        """The trace that keeps gradients as the tape does."""
        graph: Any = self.graph
        while graph.parent is not None:
            graph = graph.parent
        if not graph.keeps_grads:
            raise self._no_number(asked, remedy)
        return graph

    def _no_number(self, asked: str, remedy: str = "") -> StaticValueError:
        error = StaticValueError(
            f"{asked}: a static value has no number until its graph runs, got {self.name} "
            f"({self.aval})" + (f"; {remedy}" if remedy else "")
        )
        here, made = user_location(), self.node.location
        if here is not None:
            error.add_note(f"asked at {here}")
        if made is not None:
            error.add_note(f"{self.name} ({self.node.op.name}) was made at {made}")
        return error

    def __str__(self) -> str:
        if not self.graph.is_trace:
            return repr(self)
        # A trace that prints a value would print no number, and only once.
        raise self._no_number("str()", "print(repr(value)) shows the value itself")

    def __format__(self, spec: str) -> str:
        return str(self)

    def __repr__(self) -> str:
        return f"<{self.node.op.name} {self.name}: {self.aval}>"


class Node:
    """One application of an operator.

    Attributes
    ----------
    graph : Graph
    id : int
        Its place in the graph, which is the order of creation.
    op : Op
    bound : Bound
        The operator with its attributes and avals.
    inputs, outputs : tuple of Value
    when : Value or None
        Of an `assign`: it takes place in every run that computes this value.
    location : Location or None
    recorded : bool
        Whether gradients flow through it: it was not made within `no_grad`.
    """

    __slots__ = (
        "bound", "graph", "id", "inputs", "location", "op", "outputs", "recorded", "when",
    )  # fmt: skip

    def __init__(
        self,
        graph: Graph,
        bound: Bound,
        inputs: tuple[Value, ...],
        location: Location | None,
        when: Value | None = None,
        recorded: bool | None = None,
    ) -> None:
        self.graph, self.op, self.bound, self.inputs = graph, bound.op, bound, inputs
        self.id = len(graph.nodes)
        self.location, self.when = location, when
        self.recorded = mode().enabled if recorded is None else recorded
        outs = bound.outs
        if len(outs) == 1:
            self.outputs: tuple[Value, ...] = (Value(self, 0, outs[0]),)
        else:
            self.outputs = tuple([Value(self, i, aval) for i, aval in enumerate(outs)])
        for value in inputs:
            value.uses.append(self)

    @property
    def attrs(self) -> dict[str, Any]:
        return self.bound.attrs

    @property
    def is_source(self) -> bool:
        """Whether the node brings a value in rather than computing one."""
        return self.op.is_source

    def __repr__(self) -> str:
        from .text import node_text

        return f"<node {node_text(self)}>"


@dataclass(frozen=True, slots=True)
class Update:
    """A group of assignments. Fetched, it makes a run write them, and gives None."""

    nodes: tuple[Node, ...]

    def __repr__(self) -> str:
        return f"<update of {len(self.nodes)} storages>"


def note_location(error: BaseException, node: Node) -> None:
    """Add to an error of a node's kernel the line of the user's program that made the node.

    An error from within a body, or from a function of the user's, has its line already.
    """
    known = getattr(error, "__notes__", ())
    if node.location is not None and not any(str(node.location) in note for note in known):
        error.add_note(f"in {node.op.name}, made at {node.location}")


def user_location() -> Location | None:
    """The innermost line on this thread's stack that is not Diptych's own."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if not (name == "diptych" or name.startswith("diptych.")):
            return Location(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return None
