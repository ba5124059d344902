"""Changes in place while a function is traced: what was changed moves on to another value.

In eager code a tensor is one of several names of its memory, and an assignment such as ``x += y``
changes what all of them see. A graph is functional, so there it makes a new value, and the values
that user code holds become names: whenever one is an operand, what its memory holds by then is
meant. A view is taken anew of what its base has become, and a change of a view becomes a change of
the base. What gradient rules read is meant as it was made; see `Graph.as_made`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .errors import GraphError, TapeError
from .ir import PLACEHOLDER, STOP_GRADIENT, Graph, Node, Value, is_within
from .modes import is_grad_enabled
from .ops import broadcast_to, dispatch
from .ops.core import Bound
from .ops.indexing import getitem, hashable
from .partition import copies, depending, laid_out, untouched
from .storage import Storage, check_kind
from .views import can_undo, undone


class Memory:
    """What the names of one array have in common.

    Attributes
    ----------
    base : Value
        What it held first.
    value : Value
        What it holds by now.
    operator : str
        What changed it first.
    recorded : bool
        Whether anything changed it where gradients are recorded.
    """

    def __init__(self, base: Value, operator: str) -> None:
        self.base = self.value = base
        self.operator, self.recorded = operator, False


class Moves:
    """The changes in place of a graph that is being traced; here of a body within it."""

    takes_changes = False  # of what is around the body

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._memories: dict[Value, Memory] = {}  # by every value that one has held
        self._taken: dict[tuple[Value, Value], Value] = {}

    @property
    def changed(self) -> list[Memory]:
        """The memories that changed, but for those of storages, which are assigned."""
        return list({id(memory): memory for memory in self._memories.values()}.values())

    # -- what depends on where the graph gets its placeholders from -----------------------------

    def recording(self) -> list[Value]:
        """The values from which gradients may be wanted."""
        return list(self._graph.placeholders.values())

    def check_change(self, leaf: Any, operator: str, recorded: bool) -> None:
        """Raises unless a storage or placeholder may change in place.

        Parameters
        ----------
        leaf : Storage or Value
        operator : str
        recorded : bool
            Whether gradients are recorded there.

        Raises
        ------
        TapeError
            For a leaf that records, where gradients are recorded.
        GraphError
            For what a body is given from outside.
        """
        if not isinstance(leaf, Storage):
            raise GraphError(
                f"{operator}: a body changes in place what it computed itself, got {leaf!r} from "
                "outside; return what it becomes"
            )
        for parameter in self._graph.parameters:
            if recorded and parameter.storage is leaf and parameter.requires_grad:
                raise TapeError(
                    f"{operator}: a leaf that records must not change in place, got "
                    "requires_grad=True; use dt.no_grad()"
                )

    def strides_of(self, value: Value) -> tuple[int, ...] | None:
        """The strides of a placeholder's array, in bytes, where they are known."""
        return None

    # -- names -----------------------------------------------------------------------------------

    def own(self, value: Value) -> None:
        """Say that a value is no view, whatever operator made it."""
        self._memories.setdefault(value, Memory(value, ""))

    def now(self, value: Value) -> Value:
        """What a value stands for by now."""
        if not (self._memories or self._graph.has_assigned):
            return value
        base, views = self._origin(value)
        current = self._held(base)
        if current is base:
            return value
        found = self._taken.get((value, current))
        if found is None:
            self._check_sizes(views)
            found = current
            for bound in reversed(views):
                found = self._take(bound, found)
            self._taken[value, current] = found
        return found

    def is_view(self, value: Value) -> bool:
        """Whether a value shows the memory of another one."""
        return bool(self._origin(value)[1])

    def share(self, value: Value, other: Value) -> bool:
        """Whether two values show the same memory."""
        return self._are_one(self._origin(value)[0], self._origin(other)[0])

    def is_there(self, x: Value, index: Any, value: Any) -> bool:
        """Whether a value is ``x[index]`` itself, which Python assigns after ``x[index] += y``."""
        inner = self._inner()
        if inner is not None:
            return inner.moves.is_there(inner.arriving(x), index, value)
        if not isinstance(value, Value) or value.graph is not x.graph:
            return False
        base, views = self._origin(value)
        outer, around = self._origin(x)
        if len(views) != len(around) + 1 or not self._are_one(base, outer):
            return False
        taken = views[0]
        if taken.op is not getitem.op or [b.attrs for b in views[1:]] != [b.attrs for b in around]:
            return False
        spec = (x.shape, x.dtype, x.device)
        try:
            return taken.attrs == getitem.op.bind((spec,), (hashable(index),)).attrs
        except (TypeError, ValueError, IndexError):  # setitem says so, if it is no index at all
            return False

    def change(self, name: Value, compute: Callable[[], Any], operator: str) -> Value:
        """Let a value, and all names of its memory, stand for what is computed.

        Parameters
        ----------
        name : Value
        compute : callable
            Gives what the value becomes, by an operator on it.
        operator : str

        Returns
        -------
        Value
            The name itself.

        Raises
        ------
        TapeError
            Where eager code does: for a leaf that records, and for memory that is not writeable.
        GraphError
            When the value belongs to the graph around a body, or its history cannot be kept.
        ShapeError, DTypeError
            When the result does not fit.
        """
        inner = self._inner()
        if inner is not None:
            inner.moves.change(inner.arriving(name), compute, operator)
            return name
        base, views = self._origin(name)
        leaf = self._graph.leaf_of(base)
        detached = any(bound.op is STOP_GRADIENT for bound in views)
        recorded = is_grad_enabled() and not detached
        self._check_views(operator, views)
        self._check_sizes(views)
        if leaf is not base or leaf.node.op is PLACEHOLDER:
            self.check_change(leaf, operator, recorded)
        result = self._fitted(name, compute(), operator)
        current = self._held(base)
        new = self._changed_base(current, views, result)
        if isinstance(leaf, Storage):
            if is_grad_enabled() and self._records(new):
                raise self._no_history(operator, "what a storage or a parameter becomes")
            self._graph.assign(leaf, new)
            return name
        if is_grad_enabled() and detached and self._records(result):
            raise self._no_history(operator, "what a detached tensor becomes")
        memory = self._memories.get(base) or Memory(base, operator)
        memory.recorded = memory.recorded or recorded
        start = self._graph.leaf_of(current)
        if not recorded and start.node.op is PLACEHOLDER:
            new = self._graph.read_as(start, new)
        elif not recorded and self._records(current):
            raise GraphError(
                f"{operator}: within no_grad a trace changes no tensor that was computed with a "
                f"gradient, got {current!r}; change a copy of it"
            )
        memory.value = new
        self._memories[base] = self._memories[new] = memory
        return name

    def _inner(self) -> Any:
        """The body within the graph that is being built, if it takes changes of what is around."""
        graph: Any = dispatch.current()
        inside = graph is not self._graph and is_within(graph, self._graph)
        return graph if inside and graph.moves is not None and graph.moves.takes_changes else None

    def _origin(self, value: Value) -> tuple[Value, list[Bound]]:
        """The value whose memory a value shows, and the views on the way, the last one first."""
        views = []
        while value not in self._memories and self._graph.leaf_of(value) is value:
            node = value.node
            if not node.op.view or self._copies(node):
                break
            views.append(node.bound)
            value = node.inputs[0]
        return value, views

    def _copies(self, node: Node) -> bool:
        """Whether a view has memory of its own, as far as is known.

        Of symbolic sizes that is not known, but such a view is refused where it matters.
        """
        return not _is_doubtful(node.bound) and copies(node, self._layout_of)

    def _layout_of(self, value: Value) -> Any:
        strides = self.strides_of(value)
        return untouched(value) if strides is None else laid_out(value.shape, strides)

    def _held(self, base: Value) -> Value:
        """What the memory of a base holds by now."""
        leaf = self._graph.leaf_of(base)
        if isinstance(leaf, Storage):
            return self._graph.read(leaf)
        memory = self._memories.get(base)
        return base if memory is None else memory.value

    def _are_one(self, base: Value, other: Value) -> bool:
        return self._held(base) is self._held(other)

    def _take(self, bound: Bound, source: Value) -> Value:
        """A view taken anew."""
        return self._graph.call(bound.op, (source,), tuple(bound.attrs.values()))

    def _changed_base(self, base: Value, views: list[Bound], result: Value) -> Value:
        """What a base becomes when a view of it becomes a result."""
        sources = [base]
        for bound in reversed(views[1:]):
            sources.append(self._take(bound, sources[-1]))
        for bound, source in zip(views, reversed(sources)):
            result = undone(bound, result, source) if can_undo(bound) else result
        return result

    def _fitted(self, name: Value, result: Any, operator: str) -> Value:
        """A result in the shape and dtype of what it takes the place of."""
        if result.graph is not self._graph:
            raise GraphError(
                f"{operator}: a body changes in place what it computed itself, got {name!r} of the "
                "graph around it; return what it becomes"
            )
        check_kind("storage", result.dtype, name.dtype)
        if result.shape != name.shape:
            result = broadcast_to(result, name.shape)
        return result if result.dtype == name.dtype else result.astype(name.dtype)

    @staticmethod
    def _check_views(operator: str, views: list[Bound]) -> None:
        for bound in views:
            if not can_undo(bound) and bound.op is not STOP_GRADIENT:
                raise TapeError(
                    f"{operator}: only writeable memory can change in place, got a read-only or "
                    "broadcast view; clone it"
                )

    @staticmethod
    def _check_sizes(views: list[Bound]) -> None:
        if any(map(_is_doubtful, views)):
            raise GraphError(
                "in place: a reshape of symbolic sizes must not be changed, nor what it was taken "
                "of: it may be a view or a copy"
            )

    def _records(self, value: Value) -> bool:
        """Whether a gradient flows through a value."""
        return value in depending(self._graph.nodes, self.recording())

    def _no_history(self, operator: str, what: str) -> GraphError:
        return GraphError(
            f"{operator}: {what} within a trace must not depend on what records a gradient; use "
            "dt.no_grad()"
        )


def _is_doubtful(bound: Bound) -> bool:
    """Whether a view may or may not be one, as sizes that are not known turn out."""
    return bound.name == "reshape" and any(a.is_symbolic for a in (*bound.ins, *bound.outs))
