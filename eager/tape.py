"""The tape: one node per recorded call, linked from results to operands."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from ..graphs.autodiff import zeros_of
from ..graphs.avals import Aval
from ..graphs.bound import Bound
from ..graphs.errors import TapeError
from ..graphs.held import new_held
from ..graphs.kernels import recorder
from ..graphs.modes import mode
from ..graphs.nodes import user_location
from ..graphs.ops import REGISTRY
from ..graphs.ops.dispatch import call
from ..graphs.pulling import pull
from ..graphs.storage import Storage
from ..graphs.watch import is_watching

_count = itertools.count()
_ADD, _SUBTRACT, _MULTIPLY = REGISTRY["add"], REGISTRY["subtract"], REGISTRY["multiply"]
_DIVIDE, _MATMUL, _NEGATIVE = REGISTRY["divide"], REGISTRY["matmul"], REGISTRY["negative"]


def next_seq() -> int:
    """A moment in the order of creation of nodes: later ones have a larger `seq`."""
    return next(_count)


class Recorded:
    """What the tape knows of a tensor: its numbers, how it was made, and what its gradient is.

    `Tensor` adds what users call. The fields are documented there.
    """

    array: Any
    requires_grad: bool
    grad: Any
    grad_fn: Node | None
    index: int
    _storage: Any
    _base: Any
    _made: tuple[Any, Any] | None
    _view_version: int
    _recorded_version: int
    _hooks: list[Callable[[Any], Any]] | None

    def __init__(self, array: Any, requires_grad: bool = False) -> None:
        begin(self, array, requires_grad)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> Any:
        return self.array.dtype

    @property
    def storage(self) -> Storage:
        """The storage that this tensor and all its views share."""
        return storage_of(self)

    @property
    def is_leaf(self) -> bool:
        """Whether nothing recorded made it."""
        return self.grad_fn is None

    def edge(self) -> tuple[Any, int] | None:
        """Where its gradient flows: its maker, or itself if it is a leaf."""
        return edge_of(self)

    # `Operand` has these, too; here they are slots of a compiled class, which Python calls sooner,
    # and with the operands in their order, so that these need no reflected ones.

    def __add__(self, other: Any) -> Any:
        return call(_ADD, (self, other), ())

    def __sub__(self, other: Any) -> Any:
        return call(_SUBTRACT, (self, other), ())

    def __mul__(self, other: Any) -> Any:
        return call(_MULTIPLY, (self, other), ())

    def __truediv__(self, other: Any) -> Any:
        return call(_DIVIDE, (self, other), ())

    def __matmul__(self, other: Any) -> Any:
        return call(_MATMUL, (self, other), ())

    def __neg__(self) -> Any:
        return call(_NEGATIVE, (self,), ())


# What compiled code calls is no method: on an instance of a class in Python, which `Tensor` is, a
# method would have to be searched for.


def begin(tensor: Recorded, array: Any, requires_grad: bool) -> None:
    """Fill in a new tensor, which nothing has recorded."""
    tensor.array = array
    tensor.requires_grad = requires_grad
    tensor.grad = None
    tensor.grad_fn = None
    tensor.index = 0
    tensor._storage = tensor._base = tensor._made = tensor._hooks = None
    tensor._view_version = tensor._recorded_version = 0


def made(kind: Any, array: Any) -> Any:
    """A new tensor of a class: what calling the class gives, sooner."""
    tensor = kind.__new__(kind)
    begin(tensor, array, False)
    return tensor


def storage_of(tensor: Recorded) -> Storage:
    """The storage of a tensor, which it gets when it is first asked for."""
    if tensor._storage is None:
        tensor._storage = new_held(Storage, tensor.array)
    return tensor._storage


def version_of(tensor: Recorded) -> int:
    """How often a tensor's memory was written; without a storage, never."""
    held = tensor._storage
    return 0 if held is None else held.version


def edge_of(tensor: Recorded) -> tuple[Any, int] | None:
    """Where a tensor's gradient flows: its maker, or itself if it is a leaf."""
    if tensor._base is not None and _is_stale(tensor):
        raise TapeError(
            "view: its base must not change in place after it was taken, got version "
            f"{tensor.storage.version} in place of {tensor._view_version}; take the view again"
        )
    if not tensor.requires_grad:
        return None
    return (tensor if tensor.grad_fn is None else tensor.grad_fn, tensor.index)


def _is_stale(view: Recorded) -> bool:
    """Whether a view's numbers have a history that it does not know of."""
    if view._view_version == version_of(view):
        return False
    return view.requires_grad or view._base._recorded_version > view._view_version


def join(tensor: Recorded, node: Node, index: int) -> None:
    """Say that a tensor is a result of a node."""
    tensor.grad_fn, tensor.index, tensor.requires_grad = node, index, True


class Saved:
    """A value that a gradient rule will read, with the version it had when it was saved.

    An operand is held as its tensor. A result is held as its array and storage alone: holding the
    tensor would tie a knot with the node that the tensor holds.
    """

    name: Any
    tensor: Any
    version: int
    index: int

    def __init__(self, name: Any, tensor: Recorded, index: int = -1) -> None:
        keep(self, name, tensor, index)

    def read(self, node: Node) -> Any:
        """The saved tensor, joined to its history; an error if it was changed in place since."""
        tensor = self.tensor
        if version_of(tensor) != self.version:
            raise TapeError(
                f"{node.name}: a value saved for the gradient must not change in place, got "
                f"{self.name!r} at version {version_of(tensor)} in place of {self.version}"
            )
        if self.index < 0 or not mode().enabled:
            return tensor
        joined = made(type(tensor), tensor.array)
        joined._storage = tensor._storage
        join(joined, node, self.index)
        return joined


def keep(saved: Saved, name: Any, tensor: Recorded, index: int) -> None:
    """Fill in what saves the result of an index, or an operand, whose index is -1."""
    saved.name = name
    saved.version = version_of(tensor)
    saved.index = index
    if index < 0:
        saved.tensor = tensor
    else:
        saved.tensor = made(type(tensor), tensor.array)
        saved.tensor._storage = storage_of(tensor)


def new_saved(name: str, tensor: Recorded, index: int) -> Saved:
    """What calling the class gives, sooner."""
    saved = Saved.__new__(Saved)
    keep(saved, name, tensor, index)
    return saved


class SavedValues(Protocol):
    """What a node has saved, by name: kept, or made when one is asked for."""

    def __getitem__(self, name: Any, /) -> Saved: ...


class Node:
    """A recorded call: where its operands came from, and how cotangents pass through it.

    Attributes
    ----------
    name : str
    seq : int
        Order of creation on all threads; the sweep visits descending ones.
    edges : tuple
        Per operand, the node that made it, or the leaf tensor itself, with the index of the
        result; None where no gradient flows.
    wanted : tuple of int
        Positions of the operands to which a gradient flows.
    outputs : tuple of Aval
    location : Location or None
        The line of the call, noted where anomalies are looked for.
    """

    def __init__(
        self,
        name: str,
        edges: tuple[Any, ...],
        outputs: tuple[Aval, ...],
        saved: dict[Any, Saved],
    ) -> None:
        wanted = tuple([i for i, edge in enumerate(edges) if edge is not None])
        self.begin(name, edges, wanted, outputs, saved)

    def begin(
        self,
        name: str,
        edges: tuple[Any, ...],
        wanted: tuple[int, ...],
        outputs: tuple[Aval, ...],
        saved: dict[Any, Saved],
    ) -> None:
        """Fill in a new node."""
        self.name = name
        self.edges = edges
        self.wanted = wanted
        self.outputs = outputs
        self.saved: SavedValues | None = saved
        self.seq = next(_count)
        self.location = user_location() if recorder() is not None and is_watching() else None
        self._hooks: dict[int, list[Callable[[Any], Any]]] | None = None
        self.retained: dict[int, weakref.ref[Any]] | None = None

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """Per operand, the node its gradient flows to and the index of the result there."""
        return tuple(
            [
                (None, 0) if edge is None else
                (edge[0] if isinstance(edge[0], Node) else AccumulateGrad(edge[0]), edge[1])
                for edge in self.edges
            ]
        )  # fmt: skip

    def hooks(self, index: int) -> list[Callable[[Any], Any]]:
        """The list of hooks on the cotangent of one result."""
        if self._hooks is None:
            self._hooks = {}
        return self._hooks.setdefault(index, [])

    def apply_hooks(self, index: int, cotangent: Any) -> Any:
        """A result's cotangent after the hooks on it."""
        if self._hooks is not None:
            for hook in tuple(self._hooks.get(index, ())):
                replaced = hook(cotangent)
                cotangent = cotangent if replaced is None else replaced
        return cotangent

    def retain(self, index: int, tensor: Any) -> None:
        """Let a backward add the cotangent of one result to ``tensor.grad``.

        The tensor is held weakly: it holds this node.
        """
        if self.retained is None:
            self.retained = {}
        self.retained[index] = weakref.ref(tensor)

    @property
    def is_watched(self) -> bool:
        """Whether anybody wants to see the cotangents of its results."""
        return self._hooks is not None or self.retained is not None

    def pull(self, cotangents: list[Any], wanted: tuple[int, ...]) -> list[tuple[int, Any]]:
        """Cotangents of the operands, as (position, cotangent).

        Parameters
        ----------
        cotangents : list
            One per result; None where nothing reads the result.
        wanted : tuple of int
            Positions of the operands whose cotangents are wanted.
        """
        raise NotImplementedError(self.name)

    def unpack(self, name: Any) -> Any:
        """A saved value.

        Raises
        ------
        TapeError
            When it was freed, or changed in place.
        """
        if self.saved is None:
            raise TapeError(
                f"{self.name}: the tape's buffers are freed by the first backward, got a second; "
                "pass retain_graph=True to the first"
            )
        return self.saved[name].read(self)

    def check_alive(self) -> None:
        """Raises TapeError when the buffers were freed."""
        if self.saved is None:
            self.unpack(None)

    def free(self) -> None:
        """Drop the saved values; another backward through this node is an error."""
        self.saved = None

    def __repr__(self) -> str:
        return f"<{self.name} backward>"


class OpNode(Node):
    """The recorded call of one operator, whose rules are in the operator table.

    Attributes
    ----------
    bound : Bound
    """

    bound: Bound

    def pull(self, cotangents: list[Any], wanted: tuple[int, ...]) -> list[tuple[int, Any]]:
        saved = {}
        for name, _, _ in self.bound.reads(wanted):
            saved[name] = self.unpack(name)
        full = [zeros_of(self.outputs[i]) if g is None else g for i, g in enumerate(cotangents)]
        return pull(self.bound, wanted, saved, full)


def new_node(
    bound: Bound, edges: tuple[Any, ...], wanted: tuple[int, ...], saved: dict[Any, Saved]
) -> OpNode:
    """The node of one operator's call."""
    node = OpNode.__new__(OpNode)
    node.begin(bound.name, edges, wanted, bound.outs, saved)
    node.bound = bound
    return node


class AccumulateGrad:
    """The end of the tape at a leaf: its cotangent is added to ``leaf.grad``."""

    def __init__(self, variable: Any) -> None:
        self.variable = variable
        self.next_functions: tuple[Any, ...] = ()

    def __repr__(self) -> str:
        return "<accumulate grad>"
