"""Trace: the graph that a function is traced into, and what it does to the caller's tensors."""

from __future__ import annotations

from typing import Any

from ..eager import Tensor
from ..eager.tensor import check_change
from ..graphs.autodiff import as_list
from ..graphs.avals import Aval, aval_of
from ..graphs.errors import GraphError, TapeError
from ..graphs.ir import STOP_GRADIENT, Graph, Value
from ..graphs.modes import GradMode
from ..graphs.moves import Moves
from ..graphs.ops import accumulate, dispatch, stop_gradient
from ..graphs.parameter import Parameter
from ..graphs.partition import depending
from ..graphs.pulling import met
from .effects import Change, Effects


class Gradient:
    """What ``.grad`` of a leaf is while its function is traced.

    Attributes
    ----------
    leaf : Parameter or Value
        A value is an argument.
    now : Value or None
    read : bool
        Whether the trace depends on what was there before.
    start : Value or None
        What stands for that.
    """

    def __init__(self, leaf: Any) -> None:
        self.leaf = leaf
        self.read = False
        self.now: Any = None
        self.start: Any = None


class Trace(Graph):
    """A graph that is built by running a function once, on values in place of tensors.

    The user's code may change what it is given in place, call `backward` and read ``.grad``. Here
    that makes values; `effects` says what is to be done with them after each run.

    Attributes
    ----------
    inputs : list of Value
        What is fed, in order.
    tensors : dict
        From each input to the tensor for which it stands in this run.
    strides : dict
        From inputs, where the trace depends on them, to the strides of their arrays, in bytes.
    """

    keeps_grads = True

    def __init__(self) -> None:
        super().__init__()
        self.is_trace = True
        self.moves: Any = _Arguments(self)
        self.inputs: list[Value] = []
        self.tensors: dict[Value, Tensor] = {}
        self.strides: dict[Value, tuple[int, ...]] = {}
        self._gradients: dict[int, Gradient] = {}
        self._spent: set[int] = set()

    def add_input(self, tensor: Tensor, aval: Aval | None = None) -> Value:
        """A value that stands for a tensor, and in other calls for another like it."""
        aval = aval_of(tensor.array) if aval is None else aval
        value = self.add_placeholder(f"input{len(self.inputs)}", aval)
        self.inputs.append(value)
        self.tensors[value] = tensor
        return value

    # -- gradients of leaves ---------------------------------------------------------------------

    def backward(
        self,
        output: Value,
        gradient: Any,
        *,
        retain_graph: bool,
        create_graph: bool,
    ) -> None:
        if dispatch.current() is not self:
            raise GraphError(
                "backward: a traced function calls it outside of loops and branches, got a call "
                "within one; use dt.grad"
            )
        nodes = list(self.nodes)
        output = self.now(output)
        reached = depending(nodes, self.moves.recording())
        if output not in reached:
            raise TapeError(
                "backward: an output must have been recorded, got one without requires_grad"
            )
        behind = _behind(output, reached)
        if behind & self._spent:
            raise TapeError(
                f"{output.node.op.name}: the tape's buffers are freed by the first backward, got a "
                "second; pass retain_graph=True to the first"
            )
        leaves = [*(p for p in self.parameters if p.requires_grad), *self._leaf_inputs()]
        found = self.grad(
            [output], leaves, as_list(gradient), create_graph=create_graph, allow_unused=True
        )
        given: set[Value] = set()
        for leaf, g in zip(leaves, found):
            if g is not None:
                self._accumulate(leaf, g, given)
        if not (retain_graph or create_graph):
            self._spent |= behind

    def _leaf_inputs(self) -> list[Value]:
        leaves = [v for v in self.inputs if self.tensors[v].requires_grad]
        for leaf in leaves:
            if self.tensors[leaf].grad_fn is not None:
                raise TapeError(
                    "backward: within a compiled function it ends at leaves, got an argument that "
                    "was computed with a gradient; call backward outside, or detach the argument"
                )
        return leaves

    def _accumulate(self, leaf: Any, gradient: Value, given: set[Value]) -> None:
        """Add to a leaf's gradient, with a copy where the tape makes one."""
        held = self.grad_of(leaf)
        made = gradient.node.inputs[0] if gradient.node.op is STOP_GRADIENT else gradient
        if held is not None:
            gradient = met(held, gradient)
        elif made in given or made.node.op.view or not made.node.inputs:
            gradient = accumulate([gradient])
        given.add(made)
        self.set_grad(leaf, gradient)

    def grad_of(self, leaf: Any) -> Any:
        if isinstance(leaf, Value) and leaf not in self.tensors:
            return None
        known = self._gradients.get(id(leaf))
        if known is None:
            known = self._gradients[id(leaf)] = Gradient(leaf)
            known.read = True
            before = self._tensor_of(leaf)._grad
            if before is not None:
                aval = leaf.aval if isinstance(leaf, Value) else None
                known.now = known.start = self.add_input(before, aval)
        return known.now

    def set_grad(self, leaf: Any, gradient: Any) -> None:
        if dispatch.current() is not self:
            raise GraphError(
                "grad: a traced function changes gradients outside of loops and branches, got an "
                "assignment within one"
            )
        if isinstance(leaf, Value) and leaf not in self.tensors:
            raise TapeError("grad: only a leaf is given a gradient, got a computed value")
        known = self._gradients.setdefault(id(leaf), Gradient(leaf))
        known.now = gradient if gradient is None else self.lift(gradient, "grad")

    @property
    def gradients_read(self) -> list[Parameter]:
        """The parameters on whose gradients from before the trace depends."""
        known = self._gradients.values()
        return [g.leaf for g in known if g.read and isinstance(g.leaf, Parameter)]

    def _tensor_of(self, leaf: Any) -> Any:
        return leaf if isinstance(leaf, Parameter) else self.tensors[leaf]

    # -- what is left ----------------------------------------------------------------------------

    def without_spent(self, value: Value) -> Value:
        """A result as the caller gets it: without a history that `backward` has used up.

        An argument that changed within `no_grad` keeps the history that it has.
        """
        leaf = self.leaf_of(value)
        if isinstance(leaf, Value) and leaf is not value:
            return stop_gradient(value)
        if not self._spent:
            return value
        spent: set[Value] = set()
        for node in self.nodes:
            through = node.recorded and node.op.vjp and any(v in spent for v in node.inputs)
            if through or node.id in self._spent:
                spent.update(node.outputs)
        return stop_gradient(value) if value in spent else value

    def input_of(self, value: Any) -> int | None:
        """Which changed input a result is itself; None for all other results."""
        for memory in self.moves.changed:
            if value is memory.value and memory.base in self.tensors:
                return self.inputs.index(memory.base)
        return None

    def effects_on_tensors(self, outputs: list[Value]) -> Effects | None:
        """What runs do beside giving results; None where that is nothing.

        Parameters
        ----------
        outputs : list of Value
            What a run computes, to which is added what tensors become.
        """

        def add(value: Value) -> int:
            outputs.append(value)
            return len(outputs) - 1

        places = {value: i for i, value in enumerate(self.inputs)}
        changed = tuple(
            Change(places[m.base], m.operator, m.recorded, add(self.without_spent(m.value)))
            for m in self.moves.changed
            if m.base in places and m.value is not m.base
        )
        known = list(self._gradients.values())
        fed = {places[g.start]: g.leaf for g in known if g.start is not None}
        left = tuple(
            (_place(g.leaf, places), None if g.now is None else add(self.now(g.now)))
            for g in known
            if g.now is not g.start or not g.read
        )
        self.moves = None  # from here on values are what they are
        if not (changed or known or self.strides):
            return None
        return Effects(
            changed=changed,
            fed={position: _place(leaf, places) for position, leaf in fed.items()},
            left=left,
            starts=tuple(
                (places[g.leaf], g.start is not None)
                for g in known
                if g.read and isinstance(g.leaf, Value)
            ),
            strides=tuple((places[v], strides) for v, strides in self.strides.items()),
            storages=tuple(storage for storage, _ in self.variables),
        )


class _Arguments(Moves):
    """The changes in place of a trace: its arguments may change."""

    def __init__(self, trace: Trace) -> None:
        super().__init__(trace)
        self._trace = trace

    def recording(self) -> list[Value]:
        trace = self._trace
        leaves: list[Any] = [p.storage for p in trace.parameters if p.requires_grad]
        leaves += [v for v, tensor in trace.tensors.items() if tensor.requires_grad]
        return [read for leaf in leaves for read in trace.reads_of(leaf)]

    def check_change(self, leaf: Any, operator: str, recorded: bool) -> None:
        tensor = self._trace.tensors.get(leaf)
        if tensor is None:
            super().check_change(leaf, operator, recorded)
            return
        with GradMode(recorded):
            check_change(tensor, operator)

    def strides_of(self, value: Value) -> tuple[int, ...] | None:
        tensor = self._trace.tensors.get(value)
        if tensor is None:
            return None
        return self._trace.strides.setdefault(value, tensor.array.strides)


def _place(leaf: Any, places: dict[Value, int]) -> Any:
    """A parameter as itself, an argument as the position of its input."""
    return places[leaf] if isinstance(leaf, Value) else leaf


def _behind(output: Value, reached: set[Value]) -> set[int]:
    """The ids of the nodes through which a gradient flows from a value."""
    found: set[int] = set()
    pending = [output]
    while pending:
        node = pending.pop().node
        if node.id not in found and node.recorded and node.op.vjp and node.inputs:
            found.add(node.id)
            pending.extend(v for v in node.inputs if v in reached)
    return found
